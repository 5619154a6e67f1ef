"""A put whose container is lost under it says that nobody knows what it did, and is not done again."""

import os
import signal

import pytest

import harness
import scenes

# Pushing waits for a file: the test decides when, or never.
HOOK = "#!/bin/sh\ntouch '{place}/pushing'\nwhile [ ! -e '{place}/go' ]; do sleep 0.05; done\n"


@pytest.fixture
def scene(place):
    made = scenes.Scene(place)
    made.git = harness.GitServer(place / "git", made.house.gateway)
    made.sink = made.git.repository("sink")
    made.sink.commit("first", {"name": "v1\n"})
    hook = made.sink.bare / "hooks/pre-receive"
    hook.write_text(HOOK.format(place=place))
    hook.chmod(0o755)
    yield made
    (place / "go").touch()
    made.git.stop()
    made.stop()


def pushes(scene):
    return sum("Request receive-pack" in line for line in scene.git.process.lines)


def test_a_put_whose_process_1_is_killed_says_that_its_effect_is_unknown(scene):
    sink = {"name": "sink", "type": "git", "source": {"uri": scene.sink.uri, "branch": "main"}}
    put = {"put": "sink", "no_get": True, "params": {"repository": "sink", "only_tag": True, "tag": "sink/name"}}
    watcher = scene.start([{"get": "sink"}, put], resources=[sink])
    scenes.until(lambda: (scene.place / "pushing").exists())
    for pid in scene.house.shims():
        os.kill(pid, signal.SIGKILL)
    assert watcher.wait().status() == "errored"
    assert [message.split(": ")[:2] for message in watcher.errors()] == [
        ["put 'sink' was under way when its container was lost", "its effect is unknown, it is not repeated"]]
    assert "process 1 of the container was killed by signal 9" in watcher.errors()[0]
    assert pushes(scene) == 1
