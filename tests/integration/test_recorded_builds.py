"""Recorded builds, run again on our server: their events, plan, resources and status must be the recorded ones.

A case is a folder of $WEIR_GOLDEN/builds/given: what was set, every command in run.txt, and the builds that came of it.
What may vary from run to run is taken out of both sides first, see `comparable`.
"""

import concurrent.futures
import difflib
import importlib.util
import json
import os
import pathlib
import re
import time

import pytest

import harness
import house
import recorded_secrets

# Long, and not yet in full agreement: see the cases it names.
pytestmark = pytest.mark.soak

GOLDEN = pathlib.Path(os.environ["WEIR_GOLDEN"]) if os.environ.get("WEIR_GOLDEN") else None
AT_ONCE = 4

# What a case needs that this driver or the server does not have, by area/slug or area/*.
UNSUPPORTED = {
    "logs/*": "builds of fly execute",
    "checks/periodic": "an in-memory check build has no id to follow",
}

COMMAND = re.compile(r"^\$ fly -t dev (\S+) +(.*)$", re.M)


def case_ids():
    if GOLDEN is None:
        return []
    given = GOLDEN / "builds/given"
    return sorted(str(path.parent.relative_to(given)) for path in given.glob("*/*/case.json"))


class Skip(Exception):
    """Why a case cannot be run by this driver."""


class Case:
    def __init__(self, name):
        self.name = name
        self.directory = GOLDEN / "builds/given" / name
        self.area, self.slug = name.split("/")
        self.pipeline = f"gb-{self.area}-{self.slug}"
        self.record = json.loads((self.directory / "case.json").read_text())
        self.commands = COMMAND.findall((self.directory / "run.txt").read_text())

    def source(self):
        return (self.directory / "pipeline.yml").read_text()

    def expected(self):
        return [(self.directory / build["dir"], build["status"]) for build in self.record["builds"]]


def option(words, name):
    found = re.search(rf"(?:^|\s){name}\s+(\S+)", words)
    return found.group(1) if found else None


class Driver:
    """Does on our server what fly did when the case was recorded."""

    def __init__(self, server, case):
        self.api, self.case = house.Api(server).login(), case
        self.builds = []  # (made by a check?, Watcher), in the order they began
        self.aborts = any(verb == "abort-build" for verb, _ in case.commands)

    def run(self):
        for verb, words in self.case.commands:
            do = self.VERBS.get(verb)
            if do is None:
                raise Skip(f"needs fly {verb}")
            do(self, words)
        for _, watcher in self.builds:
            watcher.wait()
        return self

    def path(self, what):
        return f"/teams/main/pipelines/{self.case.pipeline}{what}"

    def set_pipeline(self, words):
        source = self.case.directory / option(words, "-c")
        if option(words, "-p") != self.case.pipeline or re.search(r"\s-[vyl]\s", words) or not source.exists():
            raise Skip("sets pipelines with flags")
        try:
            version = {"X-Concourse-Config-Version": self.config_version}
        except AttributeError:
            version = {}
        self.api.call("PUT", self.path("/config"), source.read_bytes(), {"Content-Type": "application/x-yaml", **version})

    def unpause(self, words):
        self.api.call("PUT", self.path("/unpause"))

    def begin(self, build, is_check=False):
        watcher = house.Watcher(self.api, build["id"])
        self.builds.append((is_check, watcher))
        if not self.aborts:
            watcher.wait()

    def trigger(self, words):
        job = option(words, "-j").split("/")[-1]
        self.begin(self.api.call("POST", self.path(f"/jobs/{job}/builds")))

    def rerun(self, words):
        job = option(words, "-j").split("/")[-1]
        self.begin(self.api.call("POST", self.path(f"/jobs/{job}/builds/{option(words, '-b')}")))

    def check(self, words, kind="resources"):
        name = option(words, "-r").split("/")[-1]
        key, _, value = (option(words, "-f") or "").partition(":")
        body = {"from": {key: value} if key else None, "shallow": False}
        self.begin(self.api.call("POST", self.path(f"/{kind}/{name}/check"), json.dumps(body).encode(),
                                 {"Content-Type": "application/json"}), True)

    def check_type(self, words):
        self.check(words, "resource-types")

    def abort(self, words):
        """Once what the recording shows before the abort is there: a line of a step that still runs."""
        watcher = self.builds[-1][1]
        deadline = time.monotonic() + harness.PATIENCE
        while not any(event["event"] == "log" and "/image-" not in event["data"]["origin"]["id"]
                      for event in list(watcher.events)) and watcher.thread.is_alive():
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.api.call("PUT", f"/builds/{watcher.build_id}/abort")

    VERBS = {
        "set-pipeline": set_pipeline,
        "unpause-pipeline": unpause,
        "trigger-job": trigger,
        "rerun-build": rerun,
        "check-resource": check,
        "check-resource-type": check_type,
        "abort-build": abort,
    }

    def matched(self):
        """Our builds beside the recorded ones: all, or those of jobs alone."""
        expected = self.case.expected()
        for ours in (self.builds, [build for build in self.builds if not build[0]]):
            if len(ours) == len(expected):
                return list(zip((watcher for _, watcher in ours), expected))
        raise Skip(f"{len(self.builds)} builds here, {len(expected)} in the recording")


class Normaliser:
    """The recordings' own normaliser, and what it leaves."""

    def __init__(self):
        spec = importlib.util.spec_from_file_location("normalise", GOLDEN / "builds/normalise.py")
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def events(self, directory):
        self.module.IMAGE.clear()
        return self.settle(self.module.normalise(str(directory), True))

    @staticmethod
    def settle(lines):
        """A get that found its cache and one that ran look alike; so do a slow script and a fast one."""
        kept = []
        for line in lines:
            line = re.sub(r"\[0\d\d\d\]", "[0000]", line)
            line = re.sub(r"http://(localhost|127\.0\.0\.1):\d+", "http://URL", line)
            line = re.sub(r"builds/\d+", "builds/N", line)
            line = re.sub(r"(BUILD_(?:JOB_|PIPELINE_)?ID)=\d+ *", r"\1=N ", line)
            line = re.sub(r"(ATC_EXTERNAL_URL=http://URL) *", r"\1 ", line)
            kept.append(line)
        return kept


def without_get_runs(lines, ids):
    return [line for line in lines
            if not (len(line.split()) > 2 and line.split()[2] in ids and re.match(r"(log|selected-worker) ", line))]


def cached_gets(lines):
    return {line.split()[2] for line in lines
            if line.startswith("log ") and re.search(r"found existing resource cache|waiting to acquire", line)}


def renamed(node, names):
    """Plan ids by the order they are met in."""
    if isinstance(node, dict):
        ours = {}
        for key, value in node.items():
            if key == "id" and isinstance(value, str):
                head, slash, tail = value.partition("/")
                ours[key] = names.setdefault(head, f"p{len(names) + 1}") + slash + tail
            else:
                ours[key] = renamed(value, names)
        return ours
    return [renamed(value, names) for value in node] if isinstance(node, list) else node


def comparable_resources(node):
    node = json.loads(json.dumps(node))
    for entry in (node.get("inputs") or []) + (node.get("outputs") or []):
        entry.pop("pipeline_id", None)
        entry.pop("id", None)
    return {key: sorted(rows or [], key=json.dumps) for key, rows in node.items()}  # in no order


def differences(what, ours, theirs):
    if ours == theirs:
        return []
    return list(difflib.unified_diff(theirs, ours, f"recorded {what}", f"our {what}", lineterm="", n=1))


def pretty(node):
    return json.dumps(node, indent=1, sort_keys=True).splitlines()


def optional(api, path):
    try:
        return api.get(path)
    except house.urllib.error.HTTPError as error:
        return {"http_status": error.code}


def load(path):
    return json.loads(path.read_text()) if path.exists() else None


def compare(api, watcher, directory, status, scratch, normaliser, pipeline):
    """Lines of difference; none when the build is as recorded."""
    number = watcher.build_id
    plan = optional(api, f"/builds/{number}/plan")
    scratch.mkdir(parents=True, exist_ok=True)
    (scratch / "plan.json").write_text(json.dumps(plan))
    (scratch / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in [*watcher.events, {"event": "end"}]))
    ours, theirs = normaliser.events(scratch), normaliser.events(directory)
    ours = [recorded_secrets.without_warnings(line) for line in ours]
    theirs = recorded_secrets.hidden(ours, theirs, pipeline)
    cached = cached_gets(ours) | cached_gets(theirs)
    found = differences("events", without_get_runs(ours, cached), without_get_runs(theirs, cached))
    found += differences("status", [api.build(number)["status"]], [status])
    recorded = load(directory / "plan.json")
    if recorded and "plan" in recorded:
        found += differences("plan", pretty(renamed(plan, {})), pretty(renamed(recorded, {})))
    recorded = load(directory / "resources.json")
    if recorded and "inputs" in recorded:
        found += differences("resources", pretty(comparable_resources(optional(api, f"/builds/{number}/resources"))),
                             pretty(comparable_resources(recorded)))
    return found


def run_case(server, name, scratch):
    case = Case(name)
    reason = UNSUPPORTED.get(name) or UNSUPPORTED.get(f"{case.area}/*")
    if reason:
        raise Skip(reason)
    if not (case.directory / "pipeline.yml").exists():
        raise Skip("a build of fly execute")
    driver = Driver(server, case).run()
    return [(driver.api, watcher, directory, status, scratch / f"{case.slug}-{number}")
            for number, (watcher, (directory, status)) in enumerate(driver.matched())]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """The selected cases, several at once, on one server."""
    if GOLDEN is None:
        pytest.skip("WEIR_GOLDEN is not set")
    why = house.missing()
    if why:
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("recorded")
    for folder in [directory, *directory.parents]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    server = house.House(directory).start()
    pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
    try:
        names = [item.callspec.params["name"] for item in request.session.items
                 if getattr(item, "originalname", "") == "test_build_is_as_recorded"]
        yield {name: pool.submit(run_case, server, name, directory / "compared" / name) for name in names}
    finally:
        pool.shutdown(cancel_futures=True)
        server.stop()


@pytest.fixture(scope="module")
def normaliser():
    return Normaliser()


@pytest.mark.parametrize("name", case_ids())
def test_build_is_as_recorded(runs, normaliser, name):
    try:
        builds = runs[name].result()
    except Skip as reason:
        pytest.skip(str(reason))
    found = []
    for api, watcher, directory, status, scratch in builds:
        found += compare(api, watcher, directory, status, scratch, normaliser, Case(name).source())
    assert not found, "\n" + "\n".join(found)


@pytest.mark.skipif(GOLDEN is not None, reason="the recordings are there")
def test_recordings_are_at_hand():
    pytest.skip("WEIR_GOLDEN is not set")
