"""Disks that fill up while all runs: what is said, that nothing acknowledged is lost, and that all goes on when there is room.

The web node's disk has the database and the logs; the worker's has images and volumes.
"""

import contextlib
import http.client
import time
import urllib.error

import harness
import house
import load

# As the log says it, and as the database does: they share the web node's disk.
FULL = ("No space left on device", "database or disk is full")

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
        until(lambda: any(word in server.web.output for word in FULL))
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
            assert any(word in error for error in watcher.errors() for word in FULL), watcher.errors()
        assert run(api).status() == "succeeded"


def held(api, build):
    """Why a pending build does not begin for want of room."""
    preparation = api.get(f"/builds/{build}/preparation")
    return preparation["inputs_satisfied"] == "blocking" and preparation["missing_input_reasons"].get("room on a disk")


def test_a_worker_without_room_gets_no_new_builds_and_they_say_why(place):
    """Never a failed build: it says what it waits for, and begins by itself."""
    with small(place, "worker", 640) as (server, disk):
        api = house.Api(server).login()
        pipeline(api)
        assert run(api).status() == "succeeded"
        house.fill(disk / "filler", leave=40 << 20)
        until(lambda: api.get("/workers")[0].get("disk_low"))
        build = api.trigger("p", "j")
        assert held(api, build) == "no room on the disk of any worker: w1"
        server.web.wait_for("builds-wait.*no room on the disk of any worker: w1")
        assert api.build(build)["status"] == "pending"
        (disk / "filler").unlink()
        watcher = house.Watcher(api, build).wait()
        assert watcher.status() == "succeeded", watcher.errors()
        assert not api.get("/workers")[0].get("disk_low")
        assert not held(api, build)


def test_a_web_node_with_little_room_begins_no_builds_and_says_why(place):
    with small(place, "web", 48) as (server, disk):
        api = house.Api(server).login()
        pipeline(api)
        assert run(api).status() == "succeeded"
        house.fill(disk / "filler", leave=2 << 20)
        build = api.trigger("p", "j")
        assert held(api, build) == "no room on the web node's disk"
        server.web.wait_for("builds-wait.*no room on the web node's disk")
        assert api.build(build)["status"] == "pending"
        (disk / "filler").unlink()
        watcher = house.Watcher(api, build).wait()
        assert watcher.status() == "succeeded", watcher.errors()


def test_a_log_that_cannot_be_written_now_and_then_loses_nothing(place):
    """The build is taken up again from what was written, twice; its process is left alone meanwhile."""
    server = house.House(place)
    server.start_web("build-log-append=error@8,build-log-append=error@16")
    server.start_worker()
    try:
        work = load.Load(server, "broken", 1, blocks=20, pause="0.1").set()
        watcher = work.start(0).wait()
        assert watcher.status() == "succeeded", watcher.errors()
        assert work.check_logs(0, watcher) is None
        assert server.web.output.count("as the fault point said") + server.web.output.count("No space left on device") >= 2
    finally:
        server.stop()


def test_a_task_waits_with_its_output_and_its_end_while_the_workers_disk_is_full(place):
    """weir-init keeps what it cannot spool, and reads no more of the process; its exit status is written down too."""
    with small(place, "worker", 640) as (server, disk):
        recorder = house.Recorder(server.gateway)
        try:
            api = house.Api(server).login()
            # While the disk is full it prints more than a pipe holds, and ends.
            script = (f"echo begun; wget -q -O /dev/null --post-data begun {recorder.url}; "
                      f"wget -q -O /dev/null --post-data $(wget -q -O - {recorder.url}) {recorder.url}; "
                      "seq 40000 | sed 's/^/this is line number /'; exit 7")
            api.set_pipeline("p", {"jobs": [{"name": "j", "plan": [{"task": "t", "config": {
                "platform": "linux", "image_resource": {"type": "mock", "source": {"mirror_self": True}},
                "run": {"path": "sh", "args": ["-c", script]}}}]}]})
            watcher = house.Watcher(api, api.trigger("p", "j"))
            recorder.wait_for(1)
            house.fill(disk / "filler")
            recorder.let_go("full")
            recorder.wait_for(2)
            house.fill(disk / "more")  # should the janitor have made room meanwhile
            assert api.build(watcher.build_id)["status"] == "started"
            (disk / "filler").unlink()
            (disk / "more").unlink()
            assert watcher.wait().status() == "failed", watcher.errors()
            text = "".join(event["data"]["payload"] for event in watcher.events if event["event"] == "log")
            assert text.endswith("begun\r\n" + "".join(f"this is line number {n}\r\n" for n in range(1, 40001)))
            assert [event["data"]["exit_status"] for event in watcher.events if event["event"] == "finish-task"] == [7]
        finally:
            recorder.stop()


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
