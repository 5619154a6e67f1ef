"""After the builds and the janitor nothing is left: no container, veth, mount, process 1, and no open file more."""

import time

import pytest

import harness
import house
import load

# Long: the worker keeps what has ended for a minute before it lets go of it.
pytestmark = pytest.mark.soak

SHORT = ["--gc-interval", "1s", "--gc-one-off-grace-period", "1s", "--gc-missing-grace-period", "1s",
         "--gc-hijack-grace-period", "1s", "--gc-failed-grace-period", "1s"]
BUILDS = 6
# Connections that are kept for the next request come and go. The worker keeps what a process wrote for 60 s after
# its end, with two descriptors; a build has about seven processes.
SLACK = {"web fds": 8, "worker fds": 8 + 2 * 7 * BUILDS}


def settled(server, at_most):
    """The census once it is no more than `at_most`, or when patience ends."""
    deadline = time.monotonic() + harness.PATIENCE
    while True:
        census = server.census()
        if all(census[kind] <= most for kind, most in at_most.items()) or time.monotonic() > deadline:
            return census
        time.sleep(0.2)


def test_nothing_is_left_after_builds_also_when_both_were_killed(place):
    server = house.House(place, SHORT, ["--sweep-interval", "1s", "--connection-drain-timeout", "2s"]).start()
    try:
        empty = server.census()
        assert [empty[kind] for kind in ("containers", "runtime", "veths", "inits")] == [0, 0, 0, 0], empty
        first = load.Load(server, "first", BUILDS, first_failing=1).set()
        load.run_at_once(range(BUILDS), 3, lambda job: first.start(job).wait())
        first.api.call("DELETE", "/teams/main/pipelines/first")
        nothing = {kind: 0 for kind in ("containers", "runtime", "veths", "inits")}
        after_first = settled(server, nothing)

        second = load.Load(server, "second", BUILDS, blocks=10, block=10, pause="0.1", first_failing=2).set()
        watchers = [second.start(job) for job in range(BUILDS)]
        watchers[0].begun.wait(harness.PATIENCE)
        time.sleep(1.5)
        for name in ("worker", "web"):
            server.kill(name)
        server.start_web()
        server.start_worker()
        for watcher in watchers:
            watcher.wait()
        second.api.call("DELETE", "/teams/main/pipelines/second")
        after_second = settled(server, {**nothing, "mounts": after_first["mounts"]})

        def once_more(name, failing):
            again = load.Load(server, name, BUILDS, first_failing=failing).set()
            load.run_at_once(range(BUILDS), 3, lambda job: again.start(job).wait())
            again.api.call("DELETE", f"/teams/main/pipelines/{name}")
            return settled(server, {**nothing, "mounts": after_first["mounts"]})

        after_third, after_fourth = once_more("third", 3), once_more("fourth", 4)
        for name, census in (("empty", empty), ("first", after_first), ("second, killed", after_second), ("third", after_third),
                             ("fourth", after_fourth)):
            print(f"{name:15} {census}")
        for census in (after_first, after_second, after_third, after_fourth):
            assert {kind: census[kind] for kind in nothing} == nothing
        assert after_fourth["mounts"] <= after_first["mounts"]
        for kind in ("web fds", "worker fds"):
            assert after_fourth[kind] <= after_third[kind] + SLACK[kind]
    finally:
        server.stop()
