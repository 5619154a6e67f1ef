"""An abort reaches a build wherever it waits: within a second it has ended."""

import contextlib
import shutil
import signal
import time

import pytest

import house
import scenes
from scenes import saw, saw_text, task, until

LIMIT = 1.0
TRIES = 3  # other work on the machine may cost one of them its second

# `run` waits while a file is there: a container that is being made.
RUNTIME = """#!/bin/bash
case " $* " in *" run "*) while [ -e {place}/hold ]; do touch {place}/held; sleep 0.05; done ;; esac
exec {runc} "$@"
"""


class Scene(scenes.Scene):
    """With a second worker, and a runtime that can be held."""

    def __init__(self, place):
        runtime = place / "runtime"
        runtime.write_text(RUNTIME.format(place=place, runc=shutil.which("runc")))
        runtime.chmod(0o755)
        flags = ["--container-placement-strategy", "limit-active-tasks", "--max-active-tasks-per-worker", "2"]
        super().__init__(place, flags, ["--oci-runtime", runtime])
        self.other = house.House(place / "other", worker_flags=["--tag", "other", "--connection-drain-timeout", "2s"])
        self.other.directory.mkdir()
        self.other.web_directory, self.other.worker_name = self.house.web_directory, "w2"
        self.other.start_worker()
        self.other.worker.wait_for("registered")

    def stop(self):
        with contextlib.suppress(FileNotFoundError):
            (self.place / "hold").unlink()
        for part in (self.other, self.house):
            if part.worker:
                part.worker.signal(signal.SIGCONT)
        self.other.stop()
        super().stop()

    def abort(self, watcher):
        """How long it takes until the end is seen."""
        began = time.monotonic()
        self.api.call("PUT", f"/builds/{watcher.build_id}/abort")
        watcher.wait()
        assert watcher.status() == "aborted"
        return time.monotonic() - began


@pytest.fixture(scope="module")
def scene(module_place):
    made = Scene(module_place)
    yield made
    made.stop()


# Each yields a watcher of a build that waits at its place, and tidies up afterwards.

@contextlib.contextmanager
def waiting_for_a_worker(scene):
    busy = [scene.start([task("busy", "sleep 600")]) for _ in range(2)]
    for watcher in busy:
        saw(watcher, "start-task")
    watcher = scene.start([task("late", "true")])
    saw(watcher, "waiting-for-worker")
    yield watcher
    for watcher in busy:
        scene.abort(watcher)


@contextlib.contextmanager
def creating_a_container(scene):
    (scene.place / "hold").touch()
    watcher = scene.start([task("made", "true")])
    until(lambda: (scene.place / "held").exists())
    yield watcher
    (scene.place / "hold").unlink()
    (scene.place / "held").unlink()


@contextlib.contextmanager
def streaming_a_volume(scene):
    made = task("made", "dd if=/dev/zero of=out/big bs=1M count=64 2>/dev/null")
    made["config"]["outputs"] = [{"name": "out"}]
    taken = task("taken", "true", tags=["other"])
    taken["config"]["inputs"] = [{"name": "out"}]
    watcher = scene.start([made, {"task": "gate", "config": made["config"]}, taken])
    saw(watcher, "finish-task", 1)
    scene.other.worker.signal(signal.SIGSTOP)
    until(lambda: sum(e["event"] == "selected-worker" and e["data"]["selected_worker"] == "w2" for e in watcher.events) >= 1)
    yield watcher
    scene.other.worker.signal(signal.SIGCONT)


@contextlib.contextmanager
def running(scene):
    watcher = scene.start([task("long", "echo runs; sleep 600")])
    saw_text(watcher, "runs")
    yield watcher


@contextlib.contextmanager
def in_a_hook(scene):
    watcher = scene.start([task("fails", "exit 1", on_failure=task("hook", "echo hook runs; sleep 600"))])
    saw_text(watcher, "hook runs")
    yield watcher


@contextlib.contextmanager
def in_an_attempt(scene):
    watcher = scene.start([task("tries", "echo a try; sleep 0.2; [ -e /tmp/x ] || exit 1", attempts=50)])
    saw(watcher, "start-task", 2)
    yield watcher


@contextlib.contextmanager
def while_the_worker_is_away(scene):
    watcher = scene.start([task("long", "echo runs; sleep 600")])
    saw_text(watcher, "runs")
    scene.house.kill("worker")
    time.sleep(0.3)  # it notices, and tries again and again
    yield watcher
    scene.house.start_worker()
    scene.house.worker.wait_for("registered")


@contextlib.contextmanager
def waiting_for_its_serial_group(scene):
    name = scene.set([task("long", "echo runs; sleep 600")], serial=True)
    first = house.Watcher(scene.api, scene.api.trigger(name, "job"))
    saw_text(first, "runs")
    yield house.Watcher(scene.api, scene.api.trigger(name, "job"))
    scene.abort(first)


PLACES = [running, in_a_hook, in_an_attempt, waiting_for_its_serial_group, waiting_for_a_worker, creating_a_container,
          streaming_a_volume, while_the_worker_is_away]


@pytest.mark.parametrize("blocked", PLACES, ids=[place.__name__ for place in PLACES])
def test_abort_reaches_a_build_that_is(scene, blocked):
    times = []
    while len(times) < TRIES and (not times or min(times) > LIMIT):
        with blocked(scene) as watcher:
            times.append(scene.abort(watcher))
    print(f"{blocked.__name__}: {min(times):.3f} s")
    assert min(times) <= LIMIT, times
