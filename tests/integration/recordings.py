"""Recorded builds of the stock server, as a folder of $WEIR_GOLDEN/builds holds them, and what drives ours the same way.

A case is a pipeline or a task, every command that was given in run.txt, and the builds that came of it. `Run` gives the
same commands to our fly and our server; `recordings_compare` says what came out differently.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time

import harness
import house

GOLDEN = pathlib.Path(os.environ["WEIR_GOLDEN"]) if os.environ.get("WEIR_GOLDEN") else None
RECORDED_URL = "http://localhost:8080"
FINAL = ("succeeded", "failed", "errored", "aborted")

COMMAND = re.compile(r"^\$ ((?:fly -t dev|curl) .*?)\n(.*?)\[exit (\d+)\]\n", re.M | re.S)
BUILD_MADE = re.compile(r'\bin build (\d+)|^executing build (\d+) at|^\{"id":(\d+),"team_name"', re.M)


def read_text(path):
    return path.read_bytes().decode("utf-8", "surrogateescape")


def load(path):
    return json.loads(path.read_text()) if path.exists() else None


def read_events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Command:
    def __init__(self, line, output, status):
        self.words, self.output, self.status = shlex.split(line), output, int(status)
        self.verb = "curl" if self.words[0] == "curl" else self.words[3]

    def option(self, *names):
        for name, value in zip(self.words, self.words[1:]):
            if name in names:
                return value
        return None


class Build:
    """One build of a case, as it was recorded."""

    def __init__(self, directory, record):
        self.directory, self.id, self.status = directory, record["id"], record["status"]
        self.events = read_events(directory / "events.jsonl")
        self.plan = load(directory / "plan.json")
        self.json = load(directory / "build.json")

    @property
    def job(self):
        return self.json.get("job_name")

    @property
    def start(self):
        return self.json.get("start_time", 0)


class Case:
    """`place` is "given" or "held"."""

    def __init__(self, name, place="given"):
        self.name = name
        self.area, self.slug = name.split("/")
        self.directory = GOLDEN / "builds" / place / name
        self.record = json.loads((self.directory / "case.json").read_text())
        self.commands = [Command(*found) for found in COMMAND.findall(read_text(self.directory / "run.txt"))]
        self.builds = [Build(self.directory / build["dir"], build) for build in self.record["builds"]]
        self.pipeline = f"gb-{self.area}-{self.slug}"

    def source(self):
        path = self.directory / "pipeline.yml"
        return path.read_text() if path.exists() else ""

    def build(self, recorded_id):
        return next((build for build in self.builds if build.id == recorded_id), None)

    def build_of_job(self, job, name):
        return next((build for build in self.builds if build.job == job and build.json["name"] == name), None)


def case_names(place="given"):
    if GOLDEN is None:
        return []
    root = GOLDEN / "builds" / place
    return sorted(str(path.parent.relative_to(root)) for path in root.glob("*/*/case.json"))


def make_server(directory):
    """A server as the recorded one was: it offers one base resource type."""
    server = house.House(directory, ["--cluster-name", "dev"], ["--containerd-max-containers", "0"])
    server.resource_types = directory / "types"
    shutil.copytree(harness.RESOURCE_TYPES / "mock", server.resource_types / "mock")
    # More builds than a worker of usual size has in five minutes, and that long their containers stay.
    server.pool = harness.free_pool(20)
    server.gateway = str(next(server.pool.hosts()))
    return server.start()


# ---- plan ids -------------------------------------------------------------------------------------------------------


class Names:
    """Plan ids by the order in which the plan and the events name them: p1, p2, …; what hangs below keeps its suffix."""

    def __init__(self, plan):
        self.names = {}
        self._walk((plan or {}).get("plan"))

    def _walk(self, node):
        if isinstance(node, dict):
            if isinstance(node.get("id"), str):
                self.of(node["id"])
            node = list(node.values())
        if isinstance(node, list):
            for child in node:
                self._walk(child)

    def of(self, plan_id):
        head, slash, tail = plan_id.partition("/")
        return self.names.setdefault(head, f"p{len(self.names) + 1}") + slash + tail

    def rename(self, node):
        if isinstance(node, dict):
            return {key: self.of(value) if key == "id" and isinstance(value, str) else self.rename(value)
                    for key, value in node.items()}
        return [self.rename(value) for value in node] if isinstance(node, list) else node


def origin(event):
    return event["data"].get("origin", {}).get("id", "") if event["event"] != "end" else ""


def text_of(events, names, name):
    return "".join(event["data"]["payload"] for event in events
                   if event["event"] == "log" and names.of(origin(event)) == name)


# ---- when to abort --------------------------------------------------------------------------------------------------


class AbortPoint:
    """What the recording shows of the steps that an abort meets: they have begun, and printed their first line."""

    def __init__(self, build, number):
        self.names = Names(build.plan)
        ends = [at for at, event in enumerate(build.events)
                if event["event"] == "error" and event["data"]["message"] == "interrupted"]
        before = build.events[:ends[0]] if ends else []
        if number == 0:
            wanted = {self.names.of(origin(build.events[at])) for at in ends}
            shown = [event for event in build.events if self.names.of(origin(event)) in wanted]
        else:  # a later abort meets what the first one set off
            known = {self.names.of(origin(event)) for event in before}
            shown = [event for event in build.events if self.names.of(origin(event)) not in known]
            wanted = {self.names.of(origin(event)) for event in shown if event["event"] == "log"}
        self.lines = {name: text_of(shown, self.names, name).partition("\n")[0] for name in wanted}
        self.kinds = {(self.names.of(origin(event)), event["event"]) for event in shown
                      if self.names.of(origin(event)) in wanted and event["event"] not in ("error", "finish-task")}

    def reached(self, events, plan):
        names = Names(plan)
        kinds = {(names.of(origin(event)), event["event"]) for event in events if origin(event)}
        return self.kinds <= kinds and all(line in text_of(events, names, name) for name, line in self.lines.items())


# ---- running --------------------------------------------------------------------------------------------------------


class Run:
    """A case given to our server: what the commands printed, and our builds by the recorded ones' ids."""

    def __init__(self, server, home, case, place):
        self.server, self.case, self.place = server, case, pathlib.Path(place)
        self.home, self.api = home, house.Api(server).login()
        self.outputs = []  # (Command, our output, our exit status)
        self.ids, self.watchers = {}, {}
        self.pending = {}  # file of the recording → what ours said then
        self.aborts = 0

    def do(self):
        shutil.copytree(self.case.directory, self.place)
        for path in self.place.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # as they were uploaded when it was recorded
        for command in self.case.commands:
            if command.verb == "execute" and command.option("-o"):  # what came of it when it was recorded
                shutil.rmtree(self.place / command.option("-o").partition("=")[2])
        commands = self.case.commands
        for number, command in enumerate(commands):
            if command.verb == "abort-build":
                self._await_abort(int(command.option("-b")))
            output, status = self.call(self._translate(command))
            self.outputs.append((command, output, status))
            self._learn(command, output)
            if command.verb in ("trigger-job", "rerun-build") and status == 0:
                self._settle(commands[number + 1:])
        self._find_the_rest()
        for watcher in self.watchers.values():
            watcher.wait()
        return self

    def call(self, words):
        """Output and exit status; both streams together, as they were recorded."""
        program = harness.FLY if words[0] == "fly" else words[0]
        run = subprocess.run(words, executable=program, cwd=self.place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             env={**os.environ, "HOME": str(self.home), "TERM": "dumb"},
                             stderr=subprocess.STDOUT, timeout=4 * harness.PATIENCE)
        return run.stdout.decode("utf-8", "surrogateescape"), run.returncode

    def _translate(self, command):
        words = [word.replace(RECORDED_URL, self.server.url) for word in command.words]
        for number, word in enumerate(words):
            if words[number - 1] == "-b" and word.isdigit() and command.verb == "abort-build":
                words[number] = str(self.ids[int(word)])
            words[number] = re.sub(r"/builds/(\d+)\b", lambda found: f"/builds/{self.ids[int(found[1])]}", words[number])
        return words

    def path(self, what):
        return f"/teams/main/pipelines/{self.case.pipeline}{what}"

    def _learn(self, command, output):
        made = [[int("".join(found)) for found in BUILD_MADE.findall(text)] for text in (command.output, output)]
        for recorded, ours in zip(*made):
            self._follow(recorded, ours)
        started = re.match(r"started \S+/(\S+) #(\S+)\n", command.output)
        ours = re.match(r"started \S+/(\S+) #(\S+)\n", output)
        if started and ours:
            build = self.case.build_of_job(*started.groups())
            self._follow(build.id if build else started[0], self.api.get(self.path(f"/jobs/{ours[1]}/builds/{ours[2]}"))["id"])

    def _follow(self, recorded, ours):
        if recorded not in self.ids:
            self.ids[recorded] = ours
            self.watchers[recorded] = house.Watcher(self.api, ours)

    def _settle(self, later):
        """Waits as whoever recorded this did: to the build's end, or until it is seen to wait for something."""
        recorded, watcher = list(self.watchers.items())[-1]
        if any(command.verb == "abort-build" for command in later):
            waiting = (self.case.directory / "preparation-pending.json").exists()
        else:
            waiting = load(self.case.directory / "build-pending.json")
            if waiting and any(command.verb == "trigger-job" for command in later):
                return
            if not waiting and self._was_waited_for(recorded):
                watcher.wait()
        if waiting:
            self._keep_pending(recorded)

    def _was_waited_for(self, recorded):
        """Whether this build had run when the next one was asked for; one that waits for that one's result had not."""
        build = self.case.build(recorded)
        return build is None or not any(other.id > build.id and other.start < build.start for other in self.case.builds)

    def _keep_pending(self, recorded):
        """The states of a build that waits, once they are what was recorded or after a while."""
        number = self.ids[recorded]
        theirs = load(self.case.directory / "preparation-pending.json")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            ours = self.api.get(f"/builds/{number}/preparation")
            if {**ours, "build_id": 0} == {**theirs, "build_id": 0}:
                break
            time.sleep(0.1)
        self.pending = {"preparation-pending.json": ours, "build-pending.json": self.api.get(f"/builds/{number}")}

    def _await_abort(self, recorded):
        point = AbortPoint(self.case.build(recorded), self.aborts)
        watcher = self.watchers[recorded]
        deadline = time.monotonic() + harness.PATIENCE
        plan = None
        while point.lines and watcher.thread.is_alive() and time.monotonic() < deadline:
            if plan is None and watcher.events:
                plan = self.api.get(f"/builds/{watcher.build_id}/plan")
            if plan and point.reached(list(watcher.events), plan):
                break
            time.sleep(0.05)
        self.aborts += 1

    def _find_the_rest(self):
        """Builds that no command made: of checks that are due, and of jobs that have something new."""
        for build in self.case.builds:
            deadline = time.monotonic() + harness.PATIENCE
            while build.id not in self.ids:
                ours = self._find(build)
                if ours:
                    self._follow(build.id, ours)
                assert time.monotonic() < deadline, f"there is no build like {build.directory}"
                time.sleep(0.1)

    def _find(self, build):
        try:
            assert build.job or "resource_name" in build.json, f"no command made build {build.id}: {self.outputs}"
            if build.job:
                return self.api.get(self.path(f"/jobs/{build.job}/builds/{build.json['name']}"))["id"]
            return self.api.get(self.path(f"/resources/{build.json['resource_name']}")).get("build", {}).get("id")
        except house.urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
