"""A commit's journey: pushed to a real git server, found, tested in a container, tagged (the house's items 2 and 3)."""

import time

import pytest

import harness
import house

TEST = "#!/bin/sh\nwget -q -O /dev/null --post-data started $1\necho the commit says: $(cat program/greeting)\nexit $(cat program/status)\n"

# Promises about time are of the program as it is shipped; with a sanitizer they only may not be absurd.
RELEASE = b"__asan_init" not in house.WEB.read_bytes() if house.WEB.exists() else False


def pipeline(repository, recorder):
    image = {"type": "mock", "source": {"mirror_self": True}}
    return {
        "resources": [{"name": "program", "type": "git", "check_every": "1s",
                       "source": {"uri": repository.uri, "branch": "main"}}],
        "jobs": [
            {"name": "test", "plan": [
                {"get": "program", "trigger": True},
                {"task": "test", "config": {"platform": "linux", "image_resource": image,
                                            "inputs": [{"name": "program"}], "outputs": [{"name": "tag"}],
                                            "run": {"path": "sh", "args": [
                                                "-ec", f"sh program/test.sh {recorder.url}; cp program/greeting tag/name"]}}},
                {"put": "program", "params": {"repository": "program", "only_tag": True, "tag": "tag/name"}}]},
            {"name": "sleep", "plan": [
                {"task": "sleep", "config": {"platform": "linux", "image_resource": image,
                                             "run": {"path": "sh", "args": ["-c", "echo asleep; exec sleep 1000"]}}}]}]}


@pytest.fixture
def journey(place):
    server = house.House(place).start()
    git = harness.GitServer(place / "git", server.gateway)
    repository = git.repository()
    repository.commit("first", {"test.sh": TEST, "greeting": "good-morning\n", "status": "0\n"})
    api = house.Api(server).login()
    recorder = house.Recorder(server.gateway)
    api.set_pipeline("journey", pipeline(repository, recorder))
    yield api, repository, recorder
    recorder.stop()
    git.stop()
    server.stop()


def build_of(api, number):
    """The job's build of that number, which starts by itself."""
    deadline = time.monotonic() + harness.PATIENCE
    while time.monotonic() < deadline:
        for build in api.builds("journey", "test"):
            if int(build["name"]) == number:
                return house.Watcher(api, build["id"])
        time.sleep(0.05)
    raise AssertionError(f"no build {number} of the job started")


def output(api, watcher, step):
    return "".join(watcher.output(plan_id) for plan_id, (kind, name) in api.plan_names(watcher.build_id).items()
                   if (kind, name) == ("task", step))


def test_a_commit_starts_the_job_is_tested_and_tagged(journey):
    api, repository, recorder = journey
    first = build_of(api, 1).wait()
    assert first.status() == "succeeded", first.errors()
    assert output(api, first, "test") == "the commit says: good-morning\r\n"
    assert repository.tags() == ["good-morning"]

    commit = repository.commit("second", {"greeting": "good-evening\n"})
    second = build_of(api, 2).wait()
    assert second.status() == "succeeded", second.errors()
    assert output(api, second, "test") == "the commit says: good-evening\r\n"
    assert sorted(repository.tags()) == ["good-evening", "good-morning"]
    assert repository.git("ls-remote", repository.uri, "refs/tags/good-evening").split()[0] == commit
    assert commit in [event["data"]["version"].get("ref") for event in second.events if event["event"] == "finish-get"]

    repository.commit("third", {"greeting": "good-night\n", "status": "1\n"})
    third = build_of(api, 3).wait()
    assert third.status() == "failed"
    assert output(api, third, "test") == "the commit says: good-night\r\n"
    assert "good-night" not in repository.tags()


def test_from_a_version_known_to_its_first_process_is_less_than_a_second(journey):
    """More than that is measured: to the task's process, after the fetch of the commit."""
    api, repository, recorder = journey
    build_of(api, 1).wait()
    took = []
    for number in range(2, 7):
        commit = repository.commit("next", {"greeting": f"number-{number}\n"})
        deadline = time.monotonic() + harness.PATIENCE
        while not any(version["version"]["ref"] == commit for version in
                      api.get("/teams/main/pipelines/journey/resources/program/versions?limit=2")):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        known = time.monotonic()
        recorder.wait_for(number)
        took.append(recorder.times[number - 1] - known)
        build_of(api, number).wait()
    took.sort()
    print(f"from version known to the task's process: median {took[2] * 1000:.0f} ms, "
          f"{took[0] * 1000:.0f} to {took[-1] * 1000:.0f} ms")
    assert took[2] < (1 if RELEASE else 5)


def test_an_aborted_sleep_ends_at_once_and_its_process_is_gone(journey):
    api, _, _ = journey
    build_of(api, 1).wait()
    watcher = house.Watcher(api, api.trigger("journey", "sleep"))
    deadline = time.monotonic() + harness.PATIENCE
    while "asleep" not in str(watcher.events):
        assert time.monotonic() < deadline, watcher.events
        time.sleep(0.01)
    while sleeping() != 1:  # the line is written before the shell has become the sleep
        assert time.monotonic() < deadline
        time.sleep(0.001)
    before = time.monotonic()
    api.call("PUT", f"/builds/{watcher.build_id}/abort")
    watcher.wait()
    took = time.monotonic() - before
    assert watcher.status() == "aborted"
    assert sleeping() == 0
    print(f"aborted within {took * 1000:.0f} ms")
    assert took < (1 if RELEASE else 5)


def sleeping():
    return sum(argv[:2] == ["sleep", "1000"] for _, argv in house.processes())
