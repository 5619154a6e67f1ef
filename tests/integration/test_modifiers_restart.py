"""attempts, try, timeout, fail_fast, ensure and the other hooks when the web node is killed, or drained, before, in or
after the step that they modify: nothing runs twice, nothing is left out, and the end is the one that it would have been.

Tasks wait for the test where it has to come in between: they ask the gate and go on when it opens.
"""

import http.server
import signal
import threading
import time

import pytest

import harness
import scenes
from scenes import IMAGE, count, saw


class Gate:
    """Containers that ask wait for the answer until it is opened; /nth says at once how many asked that so far."""

    def __init__(self, address):
        self.opened, self.asked = threading.Event(), 0
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                gate.asked += self.path == "/nth"
                if self.path != "/nth":
                    gate.opened.wait(harness.PATIENCE)
                body = str(gate.asked).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server((address, 0), Handler)
        url = f"http://{address}:{self.server.server_port}"
        self.wait, self.nth = f"wget -q -O /dev/null {url}/wait", f"wget -q -O - {url}/nth"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.opened.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def scene(module_place):
    made = scenes.Scene(module_place)
    yield made
    made.stop()


@pytest.fixture
def gate(scene):
    made = Gate(scene.house.gateway)
    yield made
    made.stop()


@pytest.fixture(params=[signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)], ids=["killed", "drained"])
def how(request):
    return request.param


def restart_when(scene, gate, ran, how=signal.SIGKILL, meanwhile=None):
    """The web node goes once so many tasks ran, the last of them waiting at the gate."""
    scene.recorder.wait_for(ran)
    scene.restart(how, meanwhile)
    gate.opened.set()


def test_an_attempt_is_neither_repeated_nor_lost(scene, gate, how):
    watcher = scene.start([scene.recorded("try", f"{gate.wait}; exit 1", attempts=3)])
    scene.recorder.wait_for(1)
    scene.restart(how)  # in the first attempt
    gate.opened.set()
    assert watcher.wait().status() == "failed"
    assert scene.ran() == ["try"] * 3
    assert count(watcher, "finish-task") == count(watcher, "start-task") == 3


def test_an_attempt_that_failed_before_stays_failed(scene, gate, how):
    watcher = scene.start([scene.recorded("try", f"[ $({gate.nth}) = 1 ] && exit 1; {gate.wait}", attempts=2)])
    restart_when(scene, gate, 2, how)
    assert watcher.wait().status() == "succeeded"
    assert scene.ran() == ["try"] * 2


def test_what_try_swallowed_is_not_run_again(scene, gate, how):
    watcher = scene.start([{"try": scene.recorded("swallowed", "exit 7")}, scene.recorded("after", gate.wait)])
    restart_when(scene, gate, 2, how)
    assert watcher.wait().status() == "succeeded"
    assert scene.ran() == ["swallowed", "after"]


def test_a_kill_within_try_changes_nothing_of_it(scene, gate, how):
    watcher = scene.start([{"try": scene.recorded("swallowed", f"{gate.wait}; exit 7")}, scene.recorded("after")])
    restart_when(scene, gate, 1, how)
    assert watcher.wait().status() == "succeeded"
    assert scene.ran() == ["swallowed", "after"]


def test_a_step_that_errored_inside_try_does_not_say_so_twice(scene, gate, how):
    broken = {"task": "broken", "config": {"platform": "linux", "image_resource": IMAGE, "run": {"path": "/no/such"}}}
    watcher = scene.start([{"try": broken}, scene.recorded("after", gate.wait)])
    restart_when(scene, gate, 1, how)
    assert watcher.wait().status() == "succeeded"
    assert count(watcher, "error") == 1 and count(watcher, "start-task") == 2
    assert scene.ran() == ["after"]


def test_a_deadline_goes_on_over_a_restart(scene, how):
    watcher = scene.start([scene.recorded("long", "sleep 600", timeout="4s")])
    scene.recorder.wait_for(1)
    scene.restart(how)
    watcher.wait()
    assert watcher.status() == "failed" and watcher.errors() == ["timeout exceeded"]
    assert scene.ran() == ["long"] and count(watcher, "start-task") == 1


def test_a_deadline_that_passed_while_the_server_was_away_is_a_failure(scene):
    watcher = scene.start([scene.recorded("long", "sleep 600", timeout="2s", on_failure=scene.recorded("hook"))])
    scene.recorder.wait_for(1)
    began = time.monotonic()
    scene.restart(meanwhile=lambda: scenes.until(lambda: time.monotonic() > began + 2.2))
    back = time.monotonic()
    assert watcher.wait().status() == "failed"
    assert scene.ran() == ["long", "hook"]
    assert watcher.errors() == ["timeout exceeded"]
    assert time.monotonic() - back < harness.PATIENCE / 2


def test_the_hooks_of_a_step_and_of_its_job_run_once(scene, gate, how):
    """Killed in the step's on_failure."""
    fails = scene.recorded("fails", "exit 1", on_failure=scene.recorded("on_failure", gate.wait), ensure=scene.recorded("ensure"))
    watcher = scene.start([fails], ensure=scene.recorded("job ensure"), on_failure=scene.recorded("job on_failure"))
    restart_when(scene, gate, 2, how)
    assert watcher.wait().status() == "failed"
    assert scene.ran() == ["fails", "on_failure", "ensure", "job on_failure", "job ensure"]


def test_a_kill_within_the_step_does_not_lose_its_hooks(scene, gate, how):
    plan = [scene.recorded("fails", f"{gate.wait}; exit 1", on_failure=scene.recorded("on_failure"),
                           on_success=scene.recorded("on_success"), ensure=scene.recorded("ensure"))]
    watcher = scene.start(plan)
    restart_when(scene, gate, 1, how)
    assert watcher.wait().status() == "failed"
    assert scene.ran() == ["fails", "on_failure", "ensure"]


def test_a_kill_in_ensure_ends_as_the_step_did(scene, gate, how):
    watcher = scene.start([scene.recorded("fails", "exit 1", ensure=scene.recorded("ensure", gate.wait)), scene.recorded("never")])
    restart_when(scene, gate, 2, how)
    assert watcher.wait().status() == "failed"
    assert scene.ran() == ["fails", "ensure"]


@pytest.mark.parametrize("killed_in", [2, 3], ids=["on_abort", "ensure"])
def test_an_abort_runs_its_hooks_once_also_over_a_kill(scene, gate, killed_in):
    waits = {killed_in: gate.wait}
    plan = [scene.recorded("long", "sleep 600", on_abort=scene.recorded("on_abort", waits.get(2, "true")),
                           ensure=scene.recorded("ensure", waits.get(3, "true")))]
    watcher = scene.start(plan)
    scene.recorder.wait_for(1)
    scene.api.call("PUT", f"/builds/{watcher.build_id}/abort")
    restart_when(scene, gate, killed_in)
    assert watcher.wait().status() == "aborted"
    assert scene.ran() == ["long", "on_abort", "ensure"]


def test_an_abort_that_was_answered_is_not_lost_with_the_server(scene):
    watcher = scene.start([scene.recorded("long", "sleep 600", on_abort=scene.recorded("on_abort"))])
    scene.recorder.wait_for(1)
    scene.api.call("PUT", f"/builds/{watcher.build_id}/abort")
    scene.restart()
    assert watcher.wait().status() == "aborted"
    assert scene.ran() == ["long", "on_abort"]


def test_what_fail_fast_interrupted_stays_interrupted(scene, gate, how):
    steps = [scene.recorded("long", "sleep 600"), scene.recorded("fails", "sleep 0.5; exit 1")]
    plan = [{"in_parallel": {"fail_fast": True, "steps": steps}, "on_failure": scene.recorded("hook", gate.wait)}]
    watcher = scene.start(plan)
    restart_when(scene, gate, 3, how)
    assert watcher.wait().status() == "failed"
    assert sorted(scene.ran()) == ["fails", "hook", "long"]
    assert watcher.errors() == ["interrupted"]


def test_a_drained_server_leaves_builds_running_interruptible_or_not(scene, gate):
    """Draining web ends no build: interruptible is what a landing worker looks at (05 §3.8, §6.9)."""
    watchers = []
    for interruptible in (True, False):
        watchers.append(scene.start([scene.recorded(f"long {interruptible}", gate.wait)], interruptible=interruptible))
        scene.recorder.wait_for(1)
    restart_when(scene, gate, 1, signal.SIGTERM)
    assert [watcher.wait().status() for watcher in watchers] == ["succeeded", "succeeded"]
    assert [count(watcher, "start-task") for watcher in watchers] == [1, 1]
