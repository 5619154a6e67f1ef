"""What containers may take: places on a worker, its network's addresses, a processor's time and memory."""

import pytest

import bare
import harness
import house


@pytest.fixture
def root(place):
    return bare.make_root(place)


@pytest.fixture
def start(place):
    """Starts a house with these flags; stops it in the end."""
    houses = []

    def begin(*worker_flags, web_flags=()):
        houses.append(house.House(place, web_flags, ["--sweep-interval", "1s", *worker_flags]).start())
        return house.Api(houses[0]).login()

    yield begin
    for one in houses:
        one.stop()


# A network of eight addresses: its own, the gateway's and the broadcast's are nobody's.
@pytest.mark.parametrize("flag, count, reason", [
    ("--containerd-max-containers=2", 2, "max containers reached"),
    ("--containerd-network-pool={pool}", 5, "no address left for a container")])
def test_a_build_waits_for_a_place_on_a_full_worker_and_says_so(start, root, flag, count, reason):
    api = start(flag.format(pool=harness.free_pool(29)))
    block = "echo begun; while [ ! -e /go ]; do sleep 0.05; done"
    first = bare.start(api, "first", [{"in_parallel": [bare.task(root, block, f"t{number}") for number in range(count)]}])
    bare.wait_until(lambda: bare.said(first).count("begun") == count, lambda: first.events)
    second = bare.start(api, "second", [bare.task(root, "echo second")])
    bare.wait_until(lambda: f"worker w1 is full ({reason}): waiting for a place" in bare.said(second), lambda: second.events)
    (root / "go").touch()
    assert first.wait().status() == "succeeded"
    assert second.wait().status() == "succeeded", second.errors()
    assert "second\n" in bare.said(second)


def test_builds_that_wait_for_each_other_do_not_wait_for_ever(start, root):
    api = start("--containerd-max-containers=1")
    alone = bare.start(api, "alone", [bare.task(root, "true", "one"), bare.task(root, "true", "two")]).wait()
    assert alone.status() == "errored"
    assert alone.errors() == ["find or create container on worker w1: new container: checking container capacity: max containers reached"]
    assert bare.start(api, "next", [bare.task(root, "true")]).wait().status() == "succeeded"
