"""The wall clock is set forth and back by a day while builds run: no lease, no timeout, no check, no worker notices."""

import mmap
import re
import struct
import time

import pytest

import harness
import house
import load

DAY = 24 * 3600 * 10**9


class Clock:
    """The file behind WEIR_CLOCK: nanoseconds by which a program's wall clock is off."""

    def __init__(self, path):
        path.write_bytes(struct.pack("=q", 0))
        self.file = path.open("r+b")
        self.map = mmap.mmap(self.file.fileno(), 8)

    def set(self, nanoseconds):
        self.map[:] = struct.pack("=q", nanoseconds)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request):
    return house.Database(request.getfixturevalue("postgres")) if request.param == "postgres" else None


def last_checked(api, pipeline, resource):
    return api.get(f"/teams/main/pipelines/{pipeline}/resources/{resource}").get("last_checked")


def until(condition, what):
    deadline = time.monotonic() + harness.PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_clock_that_is_set_by_a_day_changes_nothing(place, database):
    server = house.House(place, ["--node-lease", "3s", "--auth-duration", "1000h"], database=database)
    clock = Clock(place / "clock")
    server.environment = {"WEIR_CLOCK": str(place / "clock")}
    server.start()
    try:
        api = house.Api(server).login()
        image = {"type": "mock", "source": {"mirror_self": True}}
        api.set_pipeline("checked", {
            "resources": [{"name": "r", "type": "mock", "check_every": "1s", "source": {"initial_version": "1"}}],
            "jobs": [{"name": "job", "serial": True, "plan": [
                {"get": "r"}, {"task": "t", "timeout": "1h", "attempts": 2, "config": {
                    "platform": "linux", "image_resource": image, "run": {"path": "sleep", "args": ["1"]}}}]}]})
        work = load.Load(server, "work", 2, blocks=80, block=5, pause="0.1").set()
        watchers = load.run_at_once(range(2), 2, work.start)
        for offset in (DAY, -DAY, 0, -DAY, DAY, 0):
            clock.set(offset)
            api.login()  # tokens are dated: they alone do see it
            before = last_checked(api, "checked", "r")
            watcher = house.Watcher(api, api.trigger("checked", "job")).wait()
            assert watcher.status() == "succeeded", (offset, watcher.errors())
            until(lambda: last_checked(api, "checked", "r") != before, f"no check at {offset}")
            assert [worker["state"] for worker in api.get("/workers")] == ["running"]
        for job, watcher in watchers.items():
            assert watcher.wait().status() == "succeeded", watcher.errors()
            assert work.check_logs(job, watcher) is None
            assert watcher.reconnects == 0
        assert not re.search(r"lease-lost|stalled|no workers", server.web.output)
    finally:
        server.stop()
