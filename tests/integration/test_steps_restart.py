"""The web node dies at every narrow window of load_var, across and set_pipeline: the next one goes on as if nothing had been."""

import json

import pytest

import house

POINTS = ["step-initialized", "step-started", "journal-running", "output-saved", "step-finished", "journal-over"]

SOURCE = {"create_files": {
    "list.json": '["one", "two"]', "one.txt": "first", "two.txt": "second",
    "p.yml": "jobs: [{name: job-START_VARxEND_VAR, plan: []}]\n"}}


def pipeline(case):
    """What one build loads and sets; `case` names the pipelines it sets."""
    return {"resources": [{"name": "r", "type": "mock", "check_every": "never", "source": SOURCE}],
            "jobs": [{"name": "j", "plan": [
                {"get": "r"},
                {"load_var": "list", "file": "r/list.json"},
                {"across": [{"var": "v", "values": "((.:list))"}], "do": [
                    {"load_var": "inner", "file": "r/((.:v)).txt", "reveal": True},
                    {"set_pipeline": "child", "file": "r/p.yml", "vars": {"x": "((.:inner))"},
                     "instance_vars": {"v": "((.:v))", "case": case}}]}]}]}


class Restarts:
    def __init__(self, place):
        self.house = house.House(place).start()
        self.api = house.Api(self.house).login()
        self.version = 0

    def build(self, case):
        path = "/teams/main/pipelines/p"
        self.api.call("PUT", path + "/config", json.dumps(pipeline(case)).encode(),
                      {"Content-Type": "application/json", "X-Concourse-Config-Version": str(self.version)})
        self.api.call("PUT", path + "/unpause")
        self.version = next(each["version"] for each in [self.config_version(path)])
        return house.Watcher(self.api, self.api.call("POST", path + "/jobs/j/builds")["id"])

    def config_version(self, path):
        request = house.urllib.request.Request(self.house.url + "/api/v1" + path + "/config",
                                               headers={"Authorization": "Bearer " + self.api.token})
        with house.urllib.request.urlopen(request) as answer:
            return {"version": int(answer.headers["X-Concourse-Config-Version"])}

    def interrupted(self, case, fault):
        """A build during which the web node dies at the fault and starts again; whether it got there."""
        self.house.kill("web")
        self.house.start_web(fault)
        self.house.kill("worker")  # it would notice in half a minute that the web node is another
        self.house.start_worker()
        self.house.worker.wait_for("registered")
        watcher = self.build(case)
        while watcher.thread.is_alive() and self.house.web.child.poll() is None:
            watcher.thread.join(0.05)
        died = self.house.web.child.poll() is not None
        if died:
            self.house.ended("web")
            self.house.start_web()
        watcher.wait()
        return watcher, died

    def told(self, watcher):
        """The events of the steps that need no worker, by step, without what varies."""
        plan = self.api.get(f"/builds/{watcher.build_id}/plan")["plan"]["do"]
        names = {plan[1]["id"]: "load_var", plan[2]["id"]: "across"}
        steps = {}
        for event in watcher.events:
            head, slash, tail = event["data"].get("origin", {}).get("id", "").partition("/")
            if head in names:
                data = {key: value for key, value in event["data"].items() if key not in ("time", "origin", "substeps")}
                steps.setdefault(names[head] + slash + tail, []).append((event["event"], data))
        return json.dumps(steps, indent=1, sort_keys=True)

    def children(self, case):
        return {each["instance_vars"]["v"]: each["parent_build_id"] for each in self.api.get("/teams/main/pipelines")
                if each["name"] == "child" and each["instance_vars"]["case"] == case}


@pytest.fixture(scope="module")
def restarts(module_place):
    running = Restarts(module_place)
    yield running
    running.house.stop()


@pytest.fixture(scope="module")
def undisturbed(restarts):
    watcher = restarts.build("case")
    watcher.wait()
    assert restarts.api.build(watcher.build_id)["status"] == "succeeded"
    return restarts.told(watcher)


def check(restarts, undisturbed, point, passage):
    """Whether the web node died there; the build is as it would have been."""
    case = f"{point}-{passage}"
    watcher, died = restarts.interrupted(case, f"{point}=kill@{passage}")
    errors = [event["data"]["message"] for event in watcher.events if event["event"] == "error"]
    assert restarts.api.build(watcher.build_id)["status"] == "succeeded", f"{case}: {errors}"
    assert restarts.told(watcher).replace(case, "case") == undisturbed, case
    assert restarts.children(case) == {"one": watcher.build_id, "two": watcher.build_id}, case
    return died


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_passage_of_a_point_repeats_and_loses_nothing(restarts, undisturbed, point):
    passage = 1
    while check(restarts, undisturbed, point, passage):
        passage += 1
    assert passage > 2, f"{point} was passed {passage - 1} times"
