"""The power goes: what was on the disk at that moment is all that a fresh server finds. Nothing it had told anybody is missing.

The server's folder is an ext4 on a loop device whose file lies on an XFS: a reflinked copy of that file is what a disk
would hold if the power went just then. What was not synced is not in it.
"""

import contextlib
import http.client
import json
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

import harness
import house
import load


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"


class Disk:
    """`folder` is a disk of its own; snapshot() is the moment of the cut, opened() what is found afterwards."""

    def __init__(self, place):
        self.outer, self.folder, self.copy = place / "outer", place / "disk", place / "copy"
        self.file = self.outer / "disk.img"
        for folder in (self.outer, self.folder, self.copy):
            folder.mkdir()
        run("truncate", "-s", "2G", place / "outer.img")
        run("mkfs.xfs", "-q", "-m", "reflink=1", place / "outer.img")
        run("mount", "-o", "loop", place / "outer.img", self.outer)
        self.mounted = [self.outer]
        run("truncate", "-s", "256M", self.file)
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.file)
        run("mount", "-o", "loop", self.file, self.folder)
        self.mounted.append(self.folder)

    def snapshot(self, number):
        path = self.outer / f"cut-{number}.img"
        run("cp", "--reflink=always", self.file, path)
        return path

    @contextlib.contextmanager
    def opened(self, path):
        run("mount", "-o", "loop", path, self.copy)  # the file system's own journal is replayed here
        try:
            yield self.copy
        finally:
            run("umount", self.copy)
            path.unlink()

    def close(self):
        deadline = time.monotonic() + harness.PATIENCE
        for folder in reversed(self.mounted):  # a loop device lets go of its file a moment after its own umount
            while subprocess.run(["umount", folder], capture_output=True).returncode != 0:
                assert time.monotonic() < deadline, f"{folder} stays busy"
                time.sleep(0.1)


@pytest.fixture
def disk(place):
    for tool in ("mkfs.xfs", "mkfs.ext4"):
        if not shutil.which(tool):
            pytest.skip(f"there is no {tool}")
    made = Disk(place)
    yield made
    made.close()


def told(api):
    """What the lists say: pipelines that were set, versions that were found, builds that were made."""
    pipelines = [pipeline["name"] for pipeline in api.get("/teams/main/pipelines")]
    seen = {("pipeline", name) for name in pipelines}
    for name in pipelines:
        for resource in api.get(f"/teams/main/pipelines/{name}/resources"):
            versions = api.get(f"/teams/main/pipelines/{name}/resources/{resource['name']}/versions")
            seen |= {("version", name, resource["name"], version["id"]) for version in versions}
        seen |= {("build", build["id"]) for build in api.get(f"/teams/main/pipelines/{name}/builds")}
    return seen


class Known:
    """What the server has told so far: a build's events to its watchers, ends of builds and ids to callers, lists."""

    def __init__(self, api, watchers):
        self.events = {watcher.build_id: list(watcher.events) for watcher in watchers}
        self.ends, self.lists = {}, told(api)
        for watcher in watchers:
            with contextlib.suppress(OSError, http.client.HTTPException):
                build = api.call("GET", f"/builds/{watcher.build_id}")
                if build["status"] in house.FINAL:
                    self.ends[watcher.build_id] = build["status"]


def first_events(server, api, build, count):
    """So many events from the start of a stream that need not end."""
    events = []
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=harness.PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", f"/api/v1/builds/{build}/events",
                           headers={"Authorization": "Bearer " + api.token, "Accept": "text/event-stream"})
        answer = connection.getresponse()
        assert answer.status == 200, f"build {build}: {answer.status}"
        while len(events) < count:
            line = answer.readline()
            assert line, f"build {build}: {len(events)} events, {count} were seen"
            if line.startswith(b"data: ") and line.strip() != b"data:":
                events.append(json.loads(line[6:]))
    return events


def check_found(place, folder, known):
    """A fresh server on what was found. The workers of then are not there: it leaves those of now alone."""
    database = sqlite3.connect(folder / "web/weir.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.execute("UPDATE workers SET state = 'stalled', expires = 0")
    database.commit()
    database.close()
    server = house.House(place)
    server.web_directory = folder / "web"
    server.start_web()
    try:
        api = house.Api(server).login()
        assert known.lists - told(api) == set()
        for build, events in known.events.items():
            found = api.build(build)
            assert first_events(server, api, build, len(events)) == events
            if build in known.ends:
                assert found["status"] == known.ends[build]
    finally:
        server.stop()


def cut_again_and_again(place, disk, random, times):
    (place / "found").mkdir()
    server = house.House(place)
    server.web_directory = disk.folder / "web"
    server.start()
    try:
        rounds, seen = 0, 0
        while rounds < times:
            work = load.Load(server, f"work-{rounds}", 6, blocks=20, block=50, pause="0.1", first_failing=1).set()
            watchers = []
            starter = threading.Thread(target=lambda: watchers.extend(work.start(job) for job in range(6)), daemon=True)
            starter.start()
            for _ in range(3):
                time.sleep(random.uniform(0.1, 2.5))
                known = Known(work.api, list(watchers))
                cut = disk.snapshot(rounds)
                rounds += 1
                seen += sum(map(len, known.events.values())) + len(known.lists)
                with disk.opened(cut) as folder:
                    check_found(place / "found", folder, known)
            starter.join()
            for watcher in watchers:
                watcher.wait()
            known = Known(work.api, watchers)
            assert len(known.ends) == 6
            with disk.opened(disk.snapshot("end")) as folder:
                check_found(place / "found", folder, known)
        print(f"{rounds} cuts, {seen} events and things that were seen before them: all found")
    finally:
        server.stop()


def test_what_was_told_is_there_after_the_power_was_cut(place, disk, soak):
    cut_again_and_again(place, disk, soak.random, 3)


@pytest.mark.soak
def test_cut_after_cut_what_was_told_is_there(place, disk, soak):
    cut_again_and_again(place, disk, soak.random, 30)
