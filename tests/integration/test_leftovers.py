"""After the builds and the janitor nothing is left: no container, veth, mount, process 1, and no open file more."""

import time

import pytest

import harness
import house
import load

SHORT = ["--gc-interval", "1s", "--gc-one-off-grace-period", "1s", "--gc-missing-grace-period", "1s",
         "--gc-hijack-grace-period", "1s", "--gc-failed-grace-period", "1s"]
NOTHING = {kind: 0 for kind in ("containers", "runtime", "veths", "inits")}
# Connections that are kept for the next request come and go.
SLACK = {"web fds": 8, "worker fds": 8}


class Census:
    """What there is after each load of so many builds, once it is no more than it may be, or when patience ends."""

    def __init__(self, server, builds):
        self.server, self.builds, self.most, self.taken = server, builds, dict(NOTHING), {}
        self.take("empty")

    def take(self, name):
        deadline = time.monotonic() + harness.PATIENCE
        while True:
            census = self.server.census()
            if all(census[kind] <= most for kind, most in self.most.items()) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        self.taken[name] = census
        print(f"{name:15} {census}")
        assert {kind: census[kind] for kind in NOTHING} == NOTHING
        return census

    def after(self, name, failing):
        work = load.Load(self.server, name, self.builds, first_failing=failing).set()
        load.run_at_once(range(self.builds), 3, lambda job: work.start(job).wait())
        work.api.call("DELETE", f"/teams/main/pipelines/{name}")
        return self.take(name)

    def no_more_than(self, census, kinds):
        self.most.update({kind: census[kind] + SLACK.get(kind, 0) for kind in kinds})

    def expect_no_growth(self, name):
        """More of the same leaves no more open files and mounts."""
        census = self.after(name, 2)
        assert [kind for kind, most in self.most.items() if census[kind] > most] == [], (census, self.most)


def test_nothing_is_left_after_builds(place):
    server = house.House(place, SHORT, ["--sweep-interval", "1s"]).start()
    try:
        census = Census(server, 4)
        census.no_more_than(census.after("first", 1), ["mounts", *SLACK])
        census.expect_no_growth("second")
    finally:
        server.stop()


@pytest.mark.soak
def test_nothing_is_left_after_builds_also_when_both_were_killed(place):
    server = house.House(place, SHORT, ["--sweep-interval", "1s", "--connection-drain-timeout", "2s"]).start()
    try:
        census = Census(server, 6)
        census.no_more_than(census.after("first", 1), ["mounts"])
        work = load.Load(server, "killed", 6, blocks=10, block=10, pause="0.1", first_failing=2).set()
        watchers = [work.start(job) for job in range(6)]
        watchers[0].begun.wait(harness.PATIENCE)
        time.sleep(1.5)
        for name in ("worker", "web"):
            server.kill(name)
        server.start_web()
        server.start_worker()
        for watcher in watchers:
            watcher.wait()
        work.api.call("DELETE", "/teams/main/pipelines/killed")
        census.take("killed")
        census.no_more_than(census.after("third", 3), SLACK)
        census.expect_no_growth("fourth")
    finally:
        server.stop()
