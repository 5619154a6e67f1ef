"""Build after build, for as long as one likes: web and worker stay as large as they were, and nothing gathers.

The house is counted after each batch. What is there after the last batch is what was there after the first, kind by
kind; what stays has a rule that keeps it, and the table `KEPT` names it.
"""

import contextlib
import os
import pathlib
import sqlite3
import time

import pytest

import harness
import house
import load

AT_ONCE = 4
# Rounds of the janitor, and of giving memory back, with nothing new.
SILENCE = 12
FAILING = 20  # each twentieth build fails

SHORT = ["--gc-interval", "1s", "--gc-one-off-grace-period", "1s", "--gc-missing-grace-period", "1s",
         "--gc-hijack-grace-period", "1s", "--gc-failed-grace-period", "1s", "--default-build-logs-to-retain", "10"]

# Tables that may hold rows when all is quiet, and the rule that keeps them. All others must be empty.
KEPT = {
    "accounts": "one per person who signed in",
    "base_resource_types": "one per type that a worker ever had",
    "build_inputs": "with their build",
    "build_outputs": "with their build",
    "build_pipes": "with their build",
    "builds": "with their job: its history",
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
    "versions": "with their scope: what there is in the world",
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
# These grow with the number of builds on purpose; the others must not.
HISTORY = {"builds", "build_inputs", "build_outputs", "build_pipes", "versions"}


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
        script = "echo here.; cat in/name; printf same > out-dir/version" + ("; exit 3" if name == "badly" else "")
        return {"name": name, "plan": [
            {"get": "in"},
            {"task": "work", "config": {
                "platform": "linux", "image_resource": {"type": "mock", "source": {"mirror_self": True}},
                "inputs": [{"name": "in"}], "outputs": [{"name": "out-dir"}], "run": {"path": "sh", "args": ["-c", script]}}},
            {"put": "out", "params": {"file": "out-dir/version"}}]}

    def build(self, number):
        badly = number % FAILING == FAILING - 1
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
        """Of the work directories, without what is inside of volumes. Of processes the worker keeps what they wrote as
        long as their container, which a check's is for many checks."""
        found = 0
        for top in ("web", "worker"):
            for path, folders, names in os.walk(self.house.directory / top):
                if os.path.basename(path) in ("layers", "processes"):
                    folders.clear()
                    continue
                found += len(names)
        return found

    def census(self):
        return {**self.house.census(), "files": self.files(),
                "processes": len(descendants(self.house.worker.pid)) + len(descendants(self.house.web.pid)),
                **{f"rows of {name}": count for name, count in self.rows().items()}}

    def quiet(self):
        """Until nothing changes any more for a few rounds of the janitor; the census."""
        deadline = time.monotonic() + 2 * harness.PATIENCE
        last, since = None, time.monotonic()
        while time.monotonic() < deadline:
            census = self.census()
            census = {kind: count for kind, count in census.items() if "fds" not in kind}
            if census != last:
                last, since = census, time.monotonic()
            elif time.monotonic() - since > SILENCE:
                return self.census()
            time.sleep(0.2)
        raise AssertionError(f"it does not get quiet: {last}")


def run(place, first, second, last):
    steady = Steady(place)
    try:
        steady.run_to(first)
        census_first, memory_first = steady.quiet(), steady.memory()
        steady.run_to(second)
        steady.quiet()
        memory_second = steady.memory()
        steady.run_to(last)
        census_last, memory_last = steady.quiet(), steady.memory()
        report(first, memory_first, census_first)
        report(second, memory_second, {})
        report(last, memory_last, census_last)
        return memory_first, memory_second, memory_last, census_first, census_last
    finally:
        steady.house.stop()


def report(count, memory, census):
    print(f"after {count} builds: " + ", ".join(f"{name} {bytes_ / 1e6:.2f} MB" for name, bytes_ in memory.items()))
    for kind, number in sorted(census.items()):
        if number:
            print(f"    {kind:32} {number:6}  {KEPT.get(kind.removeprefix('rows of '), '')}")


# A sanitizer keeps what was freed for a while: memory says something in release builds only.
SANITIZED = b"__asan_init" in (harness.BUILD / "src/cmd/weir-web").read_bytes() if harness.BUILD.exists() else False


def judge(place, first, second, last):
    memory_first, memory_second, memory_last, census_first, census_last = run(place, first, second, last)
    for memory in () if SANITIZED else (memory_second, memory_last):
        for name, before in memory_first.items():
            assert memory[name] <= before * 1.05 + 1e6, f"{name} grew from {before} to {memory[name]} bytes"
    for kind, count in census_last.items():
        table = kind.removeprefix("rows of ")
        if kind.startswith("rows of ") and count:
            assert table in KEPT, f"{count} rows of {table} and no rule that keeps them"
        if table not in HISTORY and "fds" not in kind:
            assert count <= census_first[kind], f"{kind}: {census_first[kind]} after {first} builds, {count} after {last}"
    for kind in ("web fds", "worker fds"):
        # Connections that are kept for the next request come and go.
        assert census_last[kind] <= census_first[kind] + 8, f"{kind}: {census_first[kind]}, then {census_last[kind]}"


@pytest.mark.soak
def test_a_hundred_builds_in_a_row_leave_nothing_behind(place):
    judge(place, 20, 40, 100)


@pytest.mark.soak
def test_a_thousand_builds_in_a_row_leave_nothing_behind(place):
    judge(place, 200, 400, 1000)
