"""What containers may take: places on a worker, its network's addresses, a processor's time and memory."""

import io
import tarfile
import time

import pytest

import harness
import house
import registry


@pytest.fixture
def root(place):
    """A root file system that needs no container to be fetched."""
    folder = place / "root"
    with tarfile.open(fileobj=io.BytesIO(registry.busybox("wget", "ip", "nslookup", "ping", "dd"))) as archive:
        archive.extractall(folder)
    for name in ("tmp", "proc", "dev", "sys", "etc", "scratch"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o777)
    return folder


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


def task(root, script, name="task", **config):
    return {"task": name, "config": {"platform": "linux", "rootfs_uri": f"raw://{root}",
                                     "run": {"path": "/bin/sh", "args": ["-c", script]}, **config}}


def run(api, name, plan):
    api.set_pipeline(name, {"jobs": [{"name": "job", "plan": plan}]})
    return house.Watcher(api, api.trigger(name, "job"))


def said(watcher):
    return "".join(event["data"]["payload"] for event in watcher.events if event["event"] == "log")


def wait_until(what, why):
    deadline = time.monotonic() + harness.PATIENCE
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


# A network of eight addresses: its own, the gateway's and the broadcast's are nobody's.
@pytest.mark.parametrize("flag, count, reason", [
    ("--containerd-max-containers=2", 2, "max containers reached"),
    ("--containerd-network-pool={pool}", 5, "no address left for a container")])
def test_a_build_waits_for_a_place_on_a_full_worker_and_says_so(start, root, flag, count, reason):
    api = start(flag.format(pool=harness.free_pool(29)))
    block = "echo begun; while [ ! -e /go ]; do sleep 0.05; done"
    first = run(api, "first", [{"in_parallel": [task(root, block, f"t{number}") for number in range(count)]}])
    wait_until(lambda: said(first).count("begun") == count, lambda: first.events)
    second = run(api, "second", [task(root, "echo second")])
    wait_until(lambda: f"worker w1 is full ({reason}): waiting for a place" in said(second), lambda: second.events)
    (root / "go").touch()
    assert first.wait().status() == "succeeded"
    assert second.wait().status() == "succeeded", second.errors()
    assert "second\r\n" in said(second)


def test_builds_that_wait_for_each_other_do_not_wait_for_ever(start, root):
    api = start("--containerd-max-containers=1")
    alone = run(api, "alone", [task(root, "true", "one"), task(root, "true", "two")]).wait()
    assert alone.status() == "errored"
    assert alone.errors() == ["find or create container on worker w1: new container: checking container capacity: max containers reached"]
    assert run(api, "next", [task(root, "true")]).wait().status() == "succeeded"
