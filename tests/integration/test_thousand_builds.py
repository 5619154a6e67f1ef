"""Build after build, for as long as one likes: web, worker and database stay as large as they were, and nothing gathers.

The house is counted after each batch. What is there after the last batch is what was there after the first, kind by
kind; what stays has a rule that keeps it, and the tables `KEPT` and `FILES` name it.
"""

import contextlib
import json
import os
import pathlib
import re
import sqlite3
import time

import pytest

import harness
import house
import load

AT_ONCE = 4
# Seconds: rounds of the janitor and of the sweeper, and how long what was read of a process can be read again; with
# memory, also until the programs give back what they freed.
SILENCE = 8
SILENCE_WITH_MEMORY = 12

SHORT = ["--gc-interval", "1s", "--gc-one-off-grace-period", "1s", "--gc-missing-grace-period", "1s",
         "--gc-hijack-grace-period", "1s", "--gc-failed-grace-period", "1s", "--default-build-logs-to-retain", "2",
         "--gc-builds-to-retain", "2", "--gc-versions-to-retain", "1"]

# Tables that may hold rows when all is quiet, and the rule that keeps them. All others must be empty.
KEPT = {
    "accounts": "one per person who signed in",
    "base_resource_types": "one per type that a worker ever had",
    "build_inputs": "with their build",
    "build_outputs": "with their build",
    "builds": "whose logs are retained, so many more (--gc-builds-to-retain), and of the job's last transition",
    "components": "one per component of the server",
    "counters": "numbers that never repeat",
    "job_inputs": "with the pipeline's config",
    "job_outputs": "with the pipeline's config",
    "jobs": "with their pipeline",
    "lease_buckets": "64 per kind of work",
    "lease_nodes": "one per web node and kind of work",
    "next_inputs": "one per input of a job: what its next build would get",
    "pipelines": "until somebody deletes it",
    "resource_caches": "what a job's next build would get (05 §6.6)",
    "resource_configs": "used by a resource (05 §6.7)",
    "resource_scopes": "with their config",
    "resources": "with their pipeline",
    "server_secrets": "signing keys",
    "teams": "until somebody deletes it",
    "tokens": "until they expire",
    "versions": "of builds that are there, and so many more (--gc-versions-to-retain)",
    "check_sessions": "until they expire; a check's container is used again (05 §6.4)",
    "containers": "of check sessions",
    "volumes": "of resource caches, base types, and check containers",
    "worker_base_types": "one per type of a worker",
    "worker_resource_caches": "with the cache",
    "workers": "while they are registered",
    "build_image_caches": "of a job's newest build with that image, and of those that run",
    "weir_schema": "the database's version",
    "weir_settings": "which key it is encrypted with",
}
# The same for files of the work directories, without those inside of volumes.
FILES = {
    r"web/weir\.db(-wal|-shm|\.lock)?": "the database",
    r"web/logs/.*": "of builds whose logs are retained (05 §5.1)",
    r"web/worker\.sock": "while the web node runs",
    r"worker/worker\.lock": "while the worker runs",
    r"worker/containers/.*": "of the check container, until its session expires (05 §6.4)",
    r"worker/runtime/.*": "of the check container",
    r"worker/network/.*": "of the check container",
    r"worker/volumes/.*": "of resource caches, base types, and the check container",
}


def pss(pid):
    """Bytes of memory that are a process' own share, without its files: how many others run the same programs and
    libraries, and so share those, is no business of ours."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no PSS of {pid}")


def descendants(pid):
    todo, found = [pid], []
    while todo:
        with contextlib.suppress(OSError):  # gone meanwhile
            for task in pathlib.Path(f"/proc/{todo.pop()}/task").iterdir():
                children = [int(word) for word in (task / "children").read_text().split()]
                found += children
                todo += children
    return found


class Steady:
    """One job that runs again and again in a house with short graces."""

    def __init__(self, place):
        # Freed memory must be seen as freed, also by ASan.
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
        self.house = house.House(place, SHORT, ["--sweep-interval", "1s", "--connection-drain-timeout", "2s"]).start()
        self.api = house.Api(self.house).login()
        self.done = 0
        self.api.set_pipeline("steady", {
            "resources": [
                {"name": "in", "type": "mock", "check_every": "never",
                 "source": {"initial_version": "1", "create_files": {"name": "in"}}},
                {"name": "out", "type": "mock", "check_every": "never", "source": {"no_initial_version": True}}],
            "jobs": [self.job(name) for name in ("well", "badly")]})

    @staticmethod
    def job(name):
        script = "echo here.; cat in/name; cat /proc/sys/kernel/random/uuid > out-dir/version" + \
            ("; exit 3" if name == "badly" else "")
        return {"name": name, "plan": [
            {"get": "in"},
            {"task": "work", "config": {
                "platform": "linux", "image_resource": {"type": "mock", "source": {"mirror_self": True}},
                "inputs": [{"name": "in"}], "outputs": [{"name": "out-dir"}], "run": {"path": "sh", "args": ["-c", script]}}},
            {"put": "out", "params": {"file": "out-dir/version"}}]}

    def build(self, number):
        badly = number % 2 == 1  # so either job soon has more builds than it keeps
        watcher = house.Watcher(self.api, self.api.trigger("steady", "badly" if badly else "well")).wait()
        want = "failed" if badly else "succeeded"
        assert watcher.status() == want, f"build {number}: {watcher.status()}, {watcher.errors()}"

    def run_to(self, count):
        load.run_at_once(range(self.done, count), AT_ONCE, self.build)
        self.done = count

    def memory(self):
        """What web and worker take now."""
        return {name: pss(getattr(self.house, name).pid) for name in ("web", "worker")}

    def rows(self):
        database = sqlite3.connect(f"file:{self.house.directory}/web/weir.db?mode=ro", uri=True)
        names = [name for name, in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
                 if not name.startswith("sqlite_")]
        found = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
        database.close()
        return found

    def files(self):
        """Of the work directories, without what is inside of volumes."""
        found = []
        for top in ("web", "worker"):
            for path, folders, names in os.walk(self.house.directory / top):
                if os.path.basename(path) == "layers":
                    folders.clear()
                    continue
                found += [os.path.relpath(os.path.join(path, name), self.house.directory) for name in names]
        return found

    def database_size(self):
        """Bytes of its pages, those that are free to be used again too."""
        database = sqlite3.connect(f"file:{self.house.directory}/web/weir.db?mode=ro", uri=True)
        size = database.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
        database.close()
        return size

    def census(self):
        return {**self.house.census(), "files": len(self.files()),
                "processes": len(descendants(self.house.worker.pid)) + len(descendants(self.house.web.pid)),
                **{f"rows of {name}": count for name, count in self.rows().items()}}

    def quiet(self, silence=SILENCE):
        """Until nothing changes any more for a few rounds of the janitor; the census."""
        deadline = time.monotonic() + 2 * harness.PATIENCE
        last, since = None, time.monotonic()
        while time.monotonic() < deadline:
            census = self.census()
            census = {kind: count for kind, count in census.items() if "fds" not in kind}
            if census != last:
                last, since = census, time.monotonic()
            elif time.monotonic() - since > silence:
                return self.census()
            time.sleep(0.2)
        raise AssertionError(f"it does not get quiet: {last}")


class Moment:
    """What there is after so many builds."""

    def __init__(self, steady, count, silence):
        steady.run_to(count)
        self.count, self.census, self.memory = count, steady.quiet(silence), steady.memory()
        self.files, self.database = steady.files(), steady.database_size()

    def report(self):
        memory = ", ".join(f"{name} {bytes_ / 1e6:.2f} MB" for name, bytes_ in self.memory.items())
        print(f"after {self.count} builds: {memory}, database {self.database / 1e6:.2f} MB")
        for kind, number in sorted(self.census.items()):
            if number:
                print(f"    {kind:32} {number:6}  {KEPT.get(kind.removeprefix('rows of '), '')}")

    def unruled(self):
        """What is there and has no rule that keeps it."""
        tables = [kind for kind, count in self.census.items()
                  if kind.startswith("rows of ") and count and kind.removeprefix("rows of ") not in KEPT]
        return tables + [path for path in self.files if not any(re.fullmatch(rule, path) for rule in FILES)]

    def more_than(self, first):
        """What is more than it was, by kind."""
        # Connections that are kept for the next request come and go.
        grown = [f"{kind}: {first.census[kind]}, then {count}" for kind, count in self.census.items()
                 if count > first.census[kind] + (8 if kind.endswith(" fds") else 0)]
        if len(self.files) > len(first.files):
            grown += sorted(set(self.files) - set(first.files))
        return grown


# A sanitizer keeps what was freed for a while: memory says something in release builds only.
SANITIZED = b"__asan_init" in (harness.BUILD / "src/cmd/weir-web").read_bytes() if harness.BUILD.exists() else False


def judge(place, *counts, memory=False):
    """After the last of so many builds there is no more than after the first; of memory hardly more after any."""
    steady = Steady(place)
    try:
        moments = [Moment(steady, count, SILENCE_WITH_MEMORY if memory else SILENCE) for count in counts]
    finally:
        steady.house.stop()
    first, last = moments[0], moments[-1]
    for moment in moments:
        moment.report()
    assert last.unruled() == []
    assert last.more_than(first) == []
    for moment in moments[1:] if memory and not SANITIZED else ():
        for name, before in first.memory.items():
            assert moment.memory[name] <= before * 1.05 + 1e6, f"{name} grew from {before} to {moment.memory[name]} bytes"


def test_builds_in_a_row_leave_nothing_behind(place):
    judge(place, 16, 24)


@pytest.mark.soak
def test_a_hundred_builds_in_a_row_leave_nothing_behind(place):
    judge(place, 20, 40, 100, memory=True)


@pytest.mark.soak
def test_a_thousand_builds_in_a_row_leave_nothing_behind(place):
    judge(place, 200, 400, 1000, memory=True)


class Brief(Steady):
    """Builds of one get, each of a version that was just found: short, and each leaves what a build leaves in the database."""

    def __init__(self, place):
        super().__init__(place)
        self.api.set_pipeline("brief", {
            "resources": [{"name": "in", "type": "mock", "check_every": "never", "source": {"initial_version": "0"}}],
            "jobs": [{"name": "get", "plan": [{"get": "in"}]}]})

    def build(self, number):
        check = self.api.call("POST", "/teams/main/pipelines/brief/resources/in/check",
                              json.dumps({"from": {"version": str(number)}}).encode())
        house.Watcher(self.api, check["id"]).wait()
        watcher = house.Watcher(self.api, self.api.trigger("brief", "get")).wait()
        assert watcher.status() == "succeeded", f"build {number}: {watcher.errors()}"


@pytest.mark.soak
def test_the_database_stops_growing(place):
    brief = Brief(place)
    try:
        sizes = {}
        for count in (250, 500, 1000, 2000):
            brief.run_to(count)
            brief.quiet()
            sizes[count] = brief.database_size()
            print(f"after {count} builds: {sizes[count]} bytes, {brief.rows()}", flush=True)
        assert sizes[2000] <= sizes[500] * 1.02, sizes
    finally:
        brief.house.stop()
