"""One house that a module's tests share, one small pipeline for each: what tests of single steps have in common."""

import signal
import time

import harness
import house

IMAGE = {"type": "mock", "source": {"mirror_self": True}}


def task(name, script, **rest):
    return {"task": name, "config": {"platform": "linux", "image_resource": IMAGE,
                                     "run": {"path": "sh", "args": ["-c", script]}}, **rest}


class Scene:
    """`start` runs a plan once, as the only job of a pipeline of its own."""

    def __init__(self, place, web_flags=(), worker_flags=(), database=None):
        self.place = place
        self.house = house.House(place, web_flags, [*worker_flags, "--connection-drain-timeout", "2s"], database).start()
        self.api = house.Api(self.house).login()
        self.recorder = house.Recorder(self.house.gateway)
        self.count = 0

    def stop(self):
        self.recorder.stop()
        self.house.stop()

    def set(self, plan, resources=(), **job):
        self.count += 1
        name = f"p{self.count}"
        self.api.set_pipeline(name, {"resources": list(resources), "jobs": [{"name": "job", "plan": plan, **job}]})
        return name

    def start(self, plan, resources=(), **job):
        self.recorder.lines.clear()
        name = self.set(plan, resources, **job)
        return house.Watcher(self.api, self.api.trigger(name, "job"))

    def recorded(self, name, script="true", **rest):
        """A task that first tells the recorder that it runs."""
        return task(name, f"wget -q -O /dev/null --post-data '{name}' {self.recorder.url}; {script}", **rest)

    def ran(self):
        """Names of recorded tasks, in their order."""
        return list(self.recorder.lines)

    def restart(self, how=signal.SIGKILL, meanwhile=None):
        """The web node is killed, or drained, and comes back."""
        if how == signal.SIGKILL:
            self.house.kill("web")
        else:
            self.house.web.stop()
            self.house.ended("web")
        if meanwhile:
            meanwhile()
        self.house.start_web()


def until(condition):
    deadline = time.monotonic() + harness.PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def count(watcher, event):
    return sum(each["event"] == event for each in watcher.events)


def saw(watcher, event, times=1):
    until(lambda: count(watcher, event) >= times)


def text(watcher):
    return "".join(each["data"].get("payload", "") for each in watcher.events if each["event"] == "log")


def saw_text(watcher, words):
    until(lambda: words in text(watcher))
