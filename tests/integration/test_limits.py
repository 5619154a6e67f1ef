"""What containers may take: places on a worker, its network's addresses, a processor's time and memory."""

import pathlib
import shutil

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


# Of cgroup v1, and of v2.
READ = ("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; "
        "cat /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu.weight 2>/dev/null")
MEBIBYTE = 1 << 20


def shares(number):
    """As the control group has them: v2 counts otherwise, and runtimes differ in how they convert."""
    return [str(number)] if (pathlib.Path("/sys/fs/cgroup/memory")).exists() else [str(weight) for weight in range(1, 100)]


def test_limits_are_the_containers_and_the_servers_where_the_task_sets_none(start, root):
    api = start(web_flags=["--default-task-cpu-limit", "512", "--default-task-memory-limit", str(96 * MEBIBYTE)])
    steps = {"defaults": bare.task(root, READ, "defaults"),
             "own": bare.task(root, READ, "own", container_limits={"cpu": 256, "memory": "64MB"}),
             "half": bare.task(root, READ, "half", container_limits={"memory": 80 * MEBIBYTE}),
             "step": bare.task(root, READ, "step", step={"container_limits": {"cpu": 128}}, container_limits={"cpu": 256, "memory": "64MB"})}
    expect = {"defaults": (96, 512), "own": (64, 256), "half": (80, 512), "step": (64, 128)}
    for name, step in steps.items():
        memory, cpu = expect[name]
        watcher = bare.start(api, name, [step]).wait()
        read = bare.said(watcher).split()
        assert read[0] == str(memory * MEBIBYTE), (name, read)
        assert read[1] in shares(cpu), (name, read)


def test_a_task_that_takes_too_much_memory_is_killed_as_upstream_says(start, root):
    api = start()
    watcher = bare.start(api, "hungry", [bare.task(root, "echo begun; exec dd if=/dev/zero of=/dev/null bs=200M count=1", container_limits={"memory": 64 * MEBIBYTE})]).wait()
    finished = [event["data"] for event in watcher.events if event["event"] == "finish-task"]
    assert bare.said(watcher) == "begun\n"
    assert [one["exit_status"] for one in finished] == [137]
    assert watcher.status() == "failed"


def test_a_container_that_is_not_made_in_time_is_given_up(start, place, root):
    runtime = place / "runtime"
    runtime.write_text(f'#!/bin/sh\ncase " $* " in *" run "*) [ -e {place}/slow ] && exec sleep 600 ;; esac\nexec {shutil.which("runc")} "$@"\n')
    runtime.chmod(0o755)
    (place / "slow").touch()
    api = start("--oci-runtime", runtime, "--containerd-request-timeout", "500ms")
    watcher = bare.start(api, "slow", [bare.task(root, "true")]).wait()
    assert watcher.status() == "errored"
    assert watcher.errors()[0].startswith("find or create container on worker w1: starting task: ") and "timeout exceeded" in watcher.errors()[0]
    (place / "slow").unlink()
    assert bare.start(api, "quick", [bare.task(root, "true")]).wait().status() == "succeeded"
