"""Deaths of all kinds under load, and what must be true afterwards.

If only the web node died, every build ends as it would have. Whoever died: no task and no put happens twice, what
ended as planned has its whole log, what did not says why, and a watcher sees each event once and in order.
"""

import collections
import contextlib
import os
import shutil
import signal
import threading
import time

import faults
import harness
import house
import load

SHORT = ["--gc-interval", "1s", "--gc-one-off-grace-period", "1s", "--gc-missing-grace-period", "1s",
         "--gc-hijack-grace-period", "1s", "--gc-failed-grace-period", "1s", "--node-lease", "3s"]

# The passage of a point at which to die lies between 1 and this: where more than a few are passed in a round.
PASSAGES = {"db-before-commit": 60, "db-after-commit": 60, "build-log-append": 30, "build-log-appended": 30,
            "build-log-synced": 30, "step-initialized": 12, "volume-row": 10, "volume-answered": 1, "container-row": 8,
            "container-answered": 8, "container-ready": 8, "journal-over": 8, "step-finished": 8, "volume-made": 10}
# Passed when a worker gets its base types: its round is the first.
FRESH = "volume-answered"
# Points that a load does not come to: what they are for has tests of its own.
ELSEWHERE = {"migrate-before", "migrate-after", "db-retry", "step-failed", "volume-dead", "container-killed"}

# Pushing takes its time, so that kills find puts under way.
HOOK = "#!/bin/sh\nsleep 0.$(( $(date +%N | cut -c1-1) ))\n"


# An OCI runtime that is killed while it makes a container, when a file says so and after how long.
RUNTIME = """#!/bin/bash
case " $* " in *" run "*)
    if mv {place}/die {place}/dies.$$ 2>/dev/null; then
        {runc} "$@" &
        sleep "$(cat {place}/dies.$$)"
        kill -9 $!
        wait $!
        exit 137
    fi
esac
exec {runc} "$@"
"""


class Kills:
    """One house that dies again and again, with a git server and a recorder of effects outside of it."""

    def __init__(self, place, random, database=None, at_once=6):
        self.random, self.at_once = random, at_once
        self.kind = "postgres" if database else "sqlite"
        self.place = place
        runtime = place / "runtime"
        runtime.write_text(RUNTIME.format(place=place, runc=shutil.which("runc")))
        runtime.chmod(0o755)
        self.house = house.House(place, SHORT, ["--connection-drain-timeout", "2s", "--sweep-interval", "1s",
                                                "--oci-runtime", runtime], database).start()
        self.git = harness.GitServer(place / "git", self.house.gateway)
        self.sink = self.git.repository("sink")
        self.sink.commit("first", {"name": "a file\n"})
        hook = self.sink.bare / "hooks/pre-receive"
        hook.write_text(HOOK)
        hook.chmod(0o755)
        self.recorder = house.Recorder(self.house.gateway)
        self.rounds, self.wrong, self.names = [], [], []

    def stop(self):
        self.recorder.stop()
        self.git.stop()
        self.house.stop()

    # ---- the load ----

    def load(self, number, jobs, blocks):
        """Each job pushes to a name of its own of the one repository: the server's log counts the pushes."""
        base = f"git://{self.git.address}:{self.git.port}"
        resources = []
        for job in range(jobs):
            (self.sink.bare.parent / f"r{number}-{job}.git").symlink_to(self.sink.bare.name)
            resources.append({"name": f"sink-{job}", "type": "git", "check_every": "never",
                              "source": {"uri": f"{base}/r{number}-{job}.git", "branch": "main"}})

        def put(job):
            return {"put": f"sink-{job}", "no_get": True,
                    "params": {"repository": "first", "only_tag": True, "tag": "left-out/version",
                               "tag_prefix": f"r{number}-"}}

        work = load.Load(self.house, f"kills-{number}", jobs, blocks=blocks, block=20, pause="0.1",
                         recorder=self.recorder, put=put,
                         first={"type": "git", "source": {"uri": self.sink.uri, "branch": "main"}},
                         first_failing=number % 7)
        work.number = number
        self.names.append(work.name)
        return work.set(resources)

    def pushes(self, work, job):
        return sum(f"Request receive-pack for '/r{work.number}-{job}.git'" in line for line in self.git.process.lines)

    def start_all(self, work):
        return load.run_at_once(range(work.count), work.count, work.start)

    # ---- deaths ----

    def bring_back(self, name, fault=None):
        if name == "web":
            self.house.start_web(fault)
        else:
            self.house.start_worker(fault)

    def kill(self, victims):
        """True when there was somebody to kill."""
        if victims == ["shim"]:
            return self.kill_one(self.house.shims)
        if victims == ["runtime"]:
            return self.kill_runtime()
        for name in victims:
            self.house.kill(name)
        for name in reversed(victims):  # a worker can wait for web
            self.bring_back(name)
        return True

    def kill_runtime(self, patience=5):
        """The next `run` of the runtime dies after a moment (RUNTIME below)."""
        mark = self.place / "die"
        mark.write_text(f"0.{self.random.randint(0, 60):03d}")
        deadline = time.monotonic() + patience
        while mark.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            mark.unlink()
        except FileNotFoundError:
            return True
        return False

    def kill_one(self, find, patience=5):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(self.random.choice(find()), signal.SIGKILL)
                return True
        return False

    def at_random(self, number, victims):
        work = self.load(number, self.at_once, 12)
        delay, hit = self.random.uniform(0, 6), []
        timer = threading.Timer(delay, lambda: hit.append(self.kill(victims)))
        timer.start()
        watchers = self.start_all(work)
        timer.join()
        self.judge(work, "+".join(victims), f"after {delay:.2f} s" + ("" if hit == [True] else " (nobody)"), watchers)

    def at_point(self, number, victim, point):
        """Dies there if it gets there; then goes on without the fault."""
        work = self.load(number, 3, 4)
        passage = self.random.randint(1, PASSAGES.get(point, 3))
        self.house.kill(victim)
        self.bring_back(victim, f"{point}=kill@{passage}")
        died, over = threading.Event(), threading.Event()

        def supervise():
            process = getattr(self.house, victim)
            while process.child.poll() is None and not over.wait(0.02):
                pass
            if process.child.poll() is not None:
                died.set()
                self.house.ended(victim)
                self.bring_back(victim)

        thread = threading.Thread(target=supervise, daemon=True)
        thread.start()
        watchers = self.start_all(work)
        for watcher in watchers.values():
            watcher.wait()
        over.set()
        thread.join()
        if not died.is_set():  # it must not die in a round of another name
            self.house.kill(victim)
            self.bring_back(victim)
        when = f"{point}@{passage}" + ("" if died.is_set() else " (not reached)")
        self.judge(work, victim, when, watchers)

    # ---- what became of it ----

    def judge(self, work, what, when, watchers):
        outcomes, hurt = {}, 0
        for job, watcher in watchers.items():
            watcher.wait()
            outcomes[job] = watcher.status()
            hurt += watcher.status() != ("failed" if work.fails(job) else "succeeded")
            self.wrong += [f"{self.kind}: {what} {when}: build {watcher.build_id} job {job}: {text}"
                           for text in self.faults_of(work, what, job, watcher)]
        if what in ("shim", "runtime") and hurt > 1:
            self.wrong.append(f"{self.kind}: {what} {when}: {hurt} builds suffered from the death of one")
        reasons = sorted({message for watcher in watchers.values() if watcher.status() == "errored"
                          for message in watcher.errors()})
        count = collections.Counter(outcomes.values())
        count["unknown"] = sum("effect is unknown" in message for watcher in watchers.values() for message in watcher.errors())
        count["reconnects"] = sum(watcher.reconnects for watcher in watchers.values())
        self.rounds.append((what, when, count, reasons))
        print(self.table(self.rounds[-1:]), flush=True)
        work.api.call("DELETE", f"/teams/main/pipelines/{work.name}")

    def faults_of(self, work, what, job, watcher):
        """What must not be, as sentences."""
        status, errors = watcher.status(), watcher.errors()
        planned = "failed" if work.fails(job) else "succeeded"
        builds = work.api.builds(work.name, f"job-{job}")
        if len(builds) != 1:
            yield f"{len(builds)} builds instead of one"
        stored = work.api.build(watcher.build_id)["status"]
        if stored != status:
            yield f"the log says {status}, the database {stored}"
        unknown = any("effect is unknown" in message for message in errors)
        if status == "errored" and not errors:
            yield "errored, and no reason is given"
        if status == "errored":  # containers live on, and what was not yet made is made again
            allowed = what in ("shim", "runtime") or unknown
        else:  # a task whose process 1 was killed fails as if it had been killed itself
            allowed = status == planned or (what == "shim" and status == "failed")
        if not allowed:
            yield f"{status} instead of {planned}: {errors}"
        if status == planned or what not in ("shim", "runtime"):
            difference = work.check_logs(job, watcher)
            if difference:
                yield difference
        for task in load.TASKS:
            count = self.recorder.count(f"{work.name} job {job} {task}")
            if count > 1 or (count == 0 and status == planned):
                yield f"task {task} happened {count} times"
        pushes = self.pushes(work, job)
        if pushes > 1 or (pushes == 0 and status == "succeeded"):
            yield f"the put happened {pushes} times"
        if pushes and status == "errored" and not unknown:
            yield f"the put was under way, and nobody says that its effect is unknown: {errors}"
        for text in self.doubled(watcher):
            yield text
        again = house.Watcher(work.api, watcher.build_id).wait()
        if again.events != watcher.events:
            yield f"a watcher from the start sees {len(again.events)} events, this one {len(watcher.events)}"

    @staticmethod
    def doubled(watcher):
        """Steps begin and end once, whatever was killed between."""
        seen = collections.Counter(
            (event["event"], event["data"]["origin"]["id"]) for event in watcher.events
            if event["event"].split("-")[0] in ("initialize", "start", "finish", "error"))
        for (name, plan_id), count in seen.items():
            if count > 1:
                yield f"{name} of step {plan_id} came {count} times"
        ends = [event["data"]["status"] for event in watcher.events if event["event"] == "status"]
        if len(ends) != 2 or ends[0] != "started":
            yield f"status events {ends}"

    def check_nothing_is_left(self):
        """Pipelines are gone, so are their containers and all that belongs to them."""
        deadline = time.monotonic() + harness.PATIENCE
        nothing = ("containers", "runtime", "veths", "inits")
        while True:
            census = self.house.census()
            if all(census[kind] == 0 for kind in nothing):
                return
            if time.monotonic() > deadline:
                self.wrong.append(f"{self.kind}: left behind: { {kind: census[kind] for kind in nothing} }")
                return
            time.sleep(0.2)

    COLUMNS = ("succeeded", "failed", "errored", "unknown", "reconnects")

    def heading(self, when="when"):
        return f"{self.kind:12} {when:40}" + "".join(f"{column:>11}" for column in self.COLUMNS)

    def row(self, what, when, count):
        return f"{what:12} {when:40}" + "".join(f"{count[column]:11}" for column in self.COLUMNS)

    def table(self, rounds):
        lines = []
        for what, when, count, reasons in rounds:
            lines.append(self.row(what, when, count))
            lines += [f"             {reason[:150]}" for reason in reasons]
        return "\n".join(lines)

    def summary(self):
        """The outcomes of all rounds: builds by how they ended, a line for each kind of death."""
        deaths = {}
        for what, when, count, _ in self.rounds:
            point = when.partition("@")[0] if "@" in when else "at a random moment"
            if "(" in when:
                point += f" ({when.partition('(')[2]}"
            number, sums = deaths.setdefault((what, point), (0, collections.Counter()))
            deaths[what, point] = number + 1, sums + count
        lines = [f"{len(self.rounds)} rounds on {self.kind}", self.heading("who died where, how often")]
        lines += [self.row(what, f"{point}, {number}", count) for (what, point), (number, count) in sorted(deaths.items())]
        total = sum((count for _, _, count, _ in self.rounds), collections.Counter())
        return "\n".join([*lines, self.row("all", "", total)])


def ways_at_random():
    return [("at_random", victims) for victims in (["web"], ["worker"], ["worker", "web"], ["shim"], ["runtime"])]


def ways_at_points():
    return [("at_point", program, point) for program in ("web", "worker") for point in faults.points(program)
            if point not in ELSEWHERE]


def run(place, random, ways, database=None, **options):
    """One round for each way to die; then nothing may be left."""
    kills = Kills(place, random, database, **options)
    print(kills.heading())
    try:
        for number, (how, *words) in enumerate(sorted(ways, key=lambda way: FRESH not in way), 1):
            getattr(kills, how)(number, *words)
        kills.check_nothing_is_left()
    finally:
        print(kills.summary(), flush=True)
        kills.stop()
    assert not kills.wrong, "\n".join(kills.wrong)
