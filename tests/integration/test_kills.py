"""kill -9 of the web node, of the worker, of both, under load: what becomes of the builds, their logs, their effects.

If only the web node died, every build ends as it would have. Whoever died: no task and no put happens twice, what
ended well has its whole log, what did not says why, and a watcher sees each event once and in order.
"""

import collections
import threading

import pytest

import harness
import house
import load

JOBS = 6

# Where web and worker die on purpose, and between which passages of the point.
FAULTS = [
    ("web", "build-log-append", 1, 60), ("web", "build-log-ended", 1, JOBS), ("web", "before-build-finish", 1, JOBS),
    ("web", "db-before-commit", 20, 200), ("web", "db-after-commit", 20, 200),
    ("worker", "container-started", 1, 4 * JOBS), ("worker", "volume-made", 1, 8 * JOBS),
]

# Pushing takes its time, so that kills find puts under way.
HOOK = "#!/bin/sh\nsleep 0.$(( $(date +%N | cut -c1-1) ))\n"


class Kills:
    """One house that dies again and again, with a git server and a recorder of effects outside of it."""

    def __init__(self, place, random):
        self.random = random
        self.house = house.House(place, worker_flags=["--connection-drain-timeout", "2s"]).start()
        self.git = harness.GitServer(place / "git", self.house.gateway)
        self.sink = self.git.repository("sink")
        self.sink.commit("first", {"name": "a file\n"})
        hook = self.sink.bare / "hooks/pre-receive"
        hook.write_text(HOOK)
        hook.chmod(0o755)
        self.recorder = house.Recorder(self.house.gateway)
        self.rounds = []

    def stop(self):
        self.recorder.stop()
        self.git.stop()
        self.house.stop()

    # ---- one round ----

    def load(self, number):
        """Each job pushes to a name of its own of the one repository: the server's log counts the pushes."""
        base = f"git://{self.git.address}:{self.git.port}"
        resources = []
        for job in range(JOBS):
            (self.sink.bare.parent / f"r{number}-{job}.git").symlink_to(self.sink.bare.name)
            resources.append({"name": f"sink-{job}", "type": "git", "check_every": "never",
                              "source": {"uri": f"{base}/r{number}-{job}.git", "branch": "main"}})

        def put(job):
            return {"put": f"sink-{job}", "no_get": True,
                    "params": {"repository": "first", "only_tag": True, "tag": "left-out/version",
                               "tag_prefix": f"r{number}-"}}

        work = load.Load(self.house, f"kills-{number}", JOBS, blocks=12, block=20, pause="0.1", recorder=self.recorder,
                         put=put, first={"type": "git", "source": {"uri": self.sink.uri, "branch": "main"}},
                         first_failing=number % JOBS)
        work.number = number
        return work.set(resources)

    def pushes(self, work, job):
        return sum(f"Request receive-pack for '/r{work.number}-{job}.git'" in line for line in self.git.process.lines)

    def start_all(self, work):
        return load.run_at_once(range(JOBS), JOBS, work.start)

    def restart(self, name, fault=None):
        """A worker's fault point counts from its start: this is how it gets there."""
        self.house.kill(name)
        self.bring_back(name, fault)

    def bring_back(self, name, fault=None):
        if name == "web":
            self.house.start_web(fault)
        else:
            self.house.start_worker(fault)
            self.house.worker.wait_for("registered")

    def at_random(self, number, victims):
        work = self.load(number)
        delay = self.random.uniform(0, 6)
        timer = threading.Timer(delay, lambda: self.kill(victims))
        timer.start()
        watchers = self.start_all(work)
        timer.join()
        return self.judge(work, "+".join(victims), f"after {delay:.2f} s", watchers)

    def kill(self, victims):
        for name in victims:
            self.house.kill(name)
        for name in reversed(victims):  # a worker can wait for web
            self.bring_back(name) if name == "web" else self.house.start_worker()

    def at_point(self, number, victim, point, first, last):
        """Dies there if it gets there; then goes on without the fault."""
        work = self.load(number)
        passage = self.random.randint(first, last)
        self.restart(victim, f"{point}=kill@{passage}")
        died = threading.Event()
        over = threading.Event()

        def supervise():
            process = getattr(self.house, victim)
            while process.child.poll() is None and not over.wait(0.02):
                pass
            if process.child.poll() is not None:
                died.set()
                self.house.ended(victim)
                self.house.start_web() if victim == "web" else self.house.start_worker()

        thread = threading.Thread(target=supervise, daemon=True)
        thread.start()
        watchers = self.start_all(work)
        for watcher in watchers.values():
            watcher.wait()
        over.set()
        thread.join()
        when = f"{point}@{passage}" + ("" if died.is_set() else " (not reached)")
        return self.judge(work, victim, when, watchers)

    # ---- what became of it ----

    def judge(self, work, what, when, watchers):
        outcomes = {}
        wrong = []
        for job, watcher in watchers.items():
            watcher.wait()
            outcomes[job] = watcher.status()
            wrong += [f"{what} {when}: build {watcher.build_id} job {job}: {text}"
                      for text in self.faults_of(work, what, job, watcher)]
        reasons = sorted({message for watcher in watchers.values() if watcher.status() == "errored"
                          for message in watcher.errors()})
        self.rounds.append((what, when, collections.Counter(outcomes.values()),
                            sum(watcher.reconnects for watcher in watchers.values()), reasons))
        return wrong

    def faults_of(self, work, what, job, watcher):
        """What must not be, as sentences."""
        status, errors = watcher.status(), watcher.errors()
        planned = "failed" if work.fails(job) else "succeeded"
        stored = work.api.build(watcher.build_id)["status"]
        builds = work.api.builds(work.name, f"job-{job}")
        if len(builds) != 1:
            yield f"{len(builds)} builds instead of one"
        if stored != status:
            yield f"the log says {status}, the database {stored}"
        unknown = any("effect is unknown" in message for message in errors)
        if status == "errored" and not errors:
            yield "errored, and no reason is given"
        if status != planned and not (status == "errored" and (what != "web" or unknown)):
            yield f"{status} instead of {planned}: {errors}"
        if status == planned or what == "web":
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
        again = house.Watcher(work.api, watcher.build_id).wait()
        if again.events != watcher.events:
            yield f"a watcher from the start sees {len(again.events)} events, this one {len(watcher.events)}"

    def table(self):
        lines = [f"{'killed':12} {'when':34} {'succeeded':>9} {'failed':>6} {'errored':>7} {'reconnects':>10}"]
        for what, when, count, reconnects, reasons in self.rounds:
            lines.append(f"{what:12} {when:34} {count['succeeded']:9} {count['failed']:6} {count['errored']:7} {reconnects:10}")
            lines += [f"             {reason[:150]}" for reason in reasons]
        return "\n".join(lines)


def run(place, random, rounds):
    """rounds: an iterable of numbers. The kinds of deaths take turns."""
    kills = Kills(place, random)
    ways = [lambda n: kills.at_random(n, ["web"]),
            lambda n: kills.at_point(n, *random.choice(FAULTS)),
            lambda n: kills.at_random(n, ["worker"]),
            lambda n: kills.at_random(n, ["worker", "web"])]
    wrong = []
    try:
        for number in rounds:
            wrong += ways[(number - 1) % len(ways)](number)
    finally:
        print(kills.table())
        kills.stop()
    assert not wrong, "\n".join(wrong)


def test_whoever_is_killed_nothing_is_lost_or_done_twice(place, soak):
    print(f"seed {soak.seed}")
    run(place, soak.random, [1, 2, 3])


@pytest.mark.soak
def test_kill_after_kill_nothing_is_lost_or_done_twice(place, soak):
    run(place, soak.random, soak.rounds())
