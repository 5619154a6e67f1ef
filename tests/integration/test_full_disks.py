"""Disks that fill up while all runs: what is said, that nothing acknowledged is lost, and that all goes on when there is room.

The web node's disk has the database and the logs; the worker's has images and volumes.
"""

import contextlib
import http.client
import time
import urllib.error

import pytest

import harness
import house
import load

QUICK = ["--gc-interval", "1s", "--gc-one-off-grace-period", "1s", "--gc-missing-grace-period", "1s"]


@contextlib.contextmanager
def small(place, program, mebibytes):
    """A house whose `program` has its folder on a disk of its own; the house and the disk's folder."""
    with house.disk(place, mebibytes) as disk:
        (disk / "folder").mkdir(mode=0o711)
        (place / program).symlink_to(disk / "folder")
        server = house.House(place, QUICK, ["--sweep-interval", "1s", "--connection-drain-timeout", "2s"])
        server.start()
        try:
            yield server, disk
        finally:
            server.stop()


def pipeline(api, lines=10, name="p"):
    api.set_pipeline(name, {
        "resources": [{"name": "in", "type": "mock",
                       "source": {"initial_version": "1", "create_files": {"name": "in"}}}],
        "jobs": [{"name": "j", "plan": [
            {"get": "in"},
            {"task": "work", "config": {
                "platform": "linux", "image_resource": {"type": "mock", "source": {"mirror_self": True}},
                "inputs": [{"name": "in"}],
                "run": {"path": "sh", "args": ["-c", f"seq {lines} | sed 's/^/this is line number /'; cat in/name"]}}}]}]})


def run(api, name="p"):
    return house.Watcher(api, api.trigger(name, "j")).wait()


def until(what, patience=harness.PATIENCE):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("not within time")


def test_a_web_node_without_room_says_so_and_loses_nothing_that_it_acknowledged(place):
    """Database and logs: what was said to be triggered ends, what was stored is there, and it goes on when there is room."""
    with small(place, "web", 24) as (server, disk):
        api = house.Api(server).login()
        pipeline(api, 2000)
        before = run(api)
        assert before.status() == "succeeded"

        house.fill(disk / "filler")
        acknowledged, refused = [], []
        for _ in range(6):
            try:
                acknowledged.append(api.trigger("p", "j"))
            except urllib.error.HTTPError as error:
                refused.append(error)
            except (OSError, http.client.HTTPException) as error:
                raise AssertionError(f"the web node does not answer any more: {error}")
        assert all(error.code >= 500 for error in refused), refused
        until(lambda: any(word in server.web.output for word in ("No space left on device", "database or disk is full")))
        assert server.web.child.poll() is None
        assert house.Watcher(api, before.build_id).wait().events == before.events

        (disk / "filler").unlink()
        for build in acknowledged:
            until(lambda: api.build(build)["status"] in house.FINAL)
            events = house.Watcher(api, build).wait()
            assert events.status() == api.build(build)["status"]
        assert run(api).status() == "succeeded"
        assert api.build(before.build_id)["status"] == "succeeded"
        assert house.Watcher(api, before.build_id).wait().events == before.events


@pytest.mark.soak
def test_a_log_that_fills_the_disk_ends_its_build_and_no_other(place):
    with small(place, "web", 32) as (server, disk):
        api = house.Api(server).login()
        pipeline(api, 400_000, "long")
        pipeline(api, 10)
        house.fill(disk / "filler", leave=3 << 20)
        build = api.trigger("long", "j")
        until(lambda: "No space left on device" in server.web.output)
        (disk / "filler").unlink()
        until(lambda: api.build(build)["status"] in house.FINAL)
        watcher = house.Watcher(api, build).wait()
        assert watcher.status() == api.build(build)["status"]
        # What is there is a beginning of what was written, without a gap.
        text = "".join(event["data"]["payload"] for event in watcher.events if event["event"] == "log")
        numbers = [int(line.split()[-1]) for line in text.splitlines() if line.startswith("this is line number ")]
        assert numbers[:-1] == list(range(1, len(numbers))), numbers[:3]
        if watcher.status() != "succeeded":
            assert any("No space left on device" in error for error in watcher.errors()), watcher.errors()
        assert run(api).status() == "succeeded"


def test_a_worker_without_room_gets_no_new_container_and_builds_wait(place):
    """Never a failed build: it says what it waits for, and goes on by itself."""
    with small(place, "worker", 640) as (server, disk):
        api = house.Api(server).login()
        pipeline(api)
        assert run(api).status() == "succeeded"
        house.fill(disk / "filler", leave=40 << 20)
        until(lambda: api.get("/workers")[0].get("disk_low"))
        watcher = house.Watcher(api, api.trigger("p", "j"))
        until(lambda: any("disk" in event["data"].get("payload", "") for event in list(watcher.events) if event["event"] == "log"))
        assert api.build(watcher.build_id)["status"] == "started"
        (disk / "filler").unlink()
        assert watcher.wait().status() == "succeeded", watcher.errors()
        assert not api.get("/workers")[0].get("disk_low")


def test_caches_that_nothing_uses_go_first(place):
    with small(place, "worker", 640) as (server, disk):
        api = house.Api(server).login()
        pipeline(api)
        assert run(api).status() == "succeeded"
        caches = lambda: [volume for volume in api.get("/teams/main/volumes") if volume["type"] == "resource"]
        assert until(caches)
        house.fill(disk / "filler", leave=40 << 20)
        until(lambda: not caches())
        (disk / "filler").unlink()
        assert run(api).status() == "succeeded"
