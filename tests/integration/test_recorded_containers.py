"""What a step finds inside its container: environment, identity, mounts, devices, limits, what it may do; against recordings.

A probe prints the recordings' sections. Each is compared as a whole, after what is the machine's own is taken out.
"""

import json
import os
import re

import pytest

import house
import recordings
import recordings_compare

# The sections that say something of the worker rather than of the machine it runs on; in the recordings' own words.
PROBE = r"""
s() { echo; echo "--- $*"; }
s args; echo "$0 $*"
s pwd; pwd
s id; id
s umask; umask
s env; env | sort
s status; grep -E 'Cap|Seccomp|NoNewPrivs|Groups|^Uid|^Gid' /proc/self/status
s setgroups; cat /proc/self/setgroups
s mount; mount
s hosts; cat /etc/hosts
s hostname file; cat /etc/hostname
s ls /; ls -la /
s ls /dev; ls -la /dev
s ls /tmp/build; ls -la /tmp/build /tmp/build/*
s ls /scratch; ls -la /scratch
s ls certs; ls -la /etc/ssl/certs
s cgroup; cat /proc/self/cgroup
s cgroup limits
for file in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us pids/pids.max; do
  echo "/sys/fs/cgroup/$file $(cat /sys/fs/cgroup/$file)"
done
s devices; cat /sys/fs/cgroup/devices/devices.list
s tty; tty; stty size
s fds; ls -l /proc/self/fd | cat
s masked and readonly
for file in /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/sched_debug /proc/scsi /sys/firmware; do
  echo "$file: $(stat -c '%F %a' $file 2>&1)"
done
for file in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq /proc/bus; do
  test -w $file && echo "$file w: yes" || echo "$file w: no"
done
s try
mkdir /x && echo "mkdir / ok"
mknod /x/null c 1 3 && echo "mknod ok"
mount -t tmpfs t /mnt
mount -t tmpfs t /x && echo "mount tmpfs ok"
hostname probed && echo "sethostname ok"
chown 1:1 /x && echo "chown ok"
s end
"""

ZERO_TASK = {"platform": "linux", "image_resource": {"type": "mock", "source": {"mirror_self": True}}}


def task_config(**more):
    return {**ZERO_TASK, "run": {"path": "sh", "args": ["-c", PROBE]}, **more}


def script(answer):
    return "#!/bin/sh\ninput=$(cat)\n{\necho '--- stdin'; echo \"$input\"\n" + PROBE + "} >&2 2>&1\n" + f"echo '{answer}'\n"


def pipeline(privileged):
    files = {f"rootfs/opt/resource/{name}": script(answer) for name, answer in (
        ("check", '[{"v":"1"}]'), ("in", '{"version":{"v":"1"}}'), ("out", '{"version":{"v":"2"}}'))}
    task = {"privileged": privileged}
    outputs = {"inputs": [{"name": "r"}], "outputs": [{"name": "o"}]}
    return {
        "resource_types": [{"name": "probe", "type": "mock", "privileged": privileged,
                            "source": {"mirror_self": True, "create_files": files}}],
        "resources": [{"name": "r", "type": "probe", "check_every": "never", "source": {"a": privileged}}],
        "jobs": [{"name": "j", "plan": [
            {"get": "r"},
            {"task": "t", **task, "config": task_config(params={"P": "1"}, caches=[{"path": "ca"}], **outputs)},
            {"task": "u", **task, "config": task_config(**outputs)},
            {"task": "h", **task, "hermetic": True, "config": task_config()},
            {"put": "r", "params": {"x": 1}, "inputs": [], "no_get": True},
        ]}],
    }


ONE_OFFS = {
    "task-oneoff-unprivileged": ({}, task_config()),
    "task-oneoff-privileged": ({"privileged": True}, task_config()),
    "task-oneoff-limits": ({}, task_config(container_limits={"cpu": 512, "memory": 200 << 20})),
    "task-oneoff-nonroot": ({}, task_config(outputs=[{"name": "o"}])),
    "task-oneoff-nonroot-privileged": ({"privileged": True}, task_config()),
}
for name in ("task-oneoff-nonroot", "task-oneoff-nonroot-privileged"):
    ONE_OFFS[name][1]["run"] = {**ONE_OFFS[name][1]["run"], "user": "nonroot"}

NAMES = [*(f"{kind}-{mode}" for mode in ("unprivileged", "privileged") for kind in ("check", "get", "put", "task")),
         "task-outputs", "task-hermetic", *ONE_OFFS]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What the probe said, by the recordings' names."""
    why = house.missing() or (None if recordings.GOLDEN else "WEIR_GOLDEN is not set")
    if why:
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("containers")
    for folder in [directory, *directory.parents]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    server = recordings.make_server(directory)
    try:
        api, found = house.Api(server).login(), {}
        for mode in ("unprivileged", "privileged"):
            name = f"gb-zz-containers-{mode}"
            api.set_pipeline(name, pipeline(mode == "privileged"))
            path = f"/teams/main/pipelines/{name}"
            check = api.call("POST", path + "/resources/r/check", b'{"from":null}', {"Content-Type": "application/json"})
            found |= logs(api, check, {("check", "r"): f"check-{mode}"})
            found |= logs(api, {"id": api.trigger(name, "j")}, {
                ("get", "r"): f"get-{mode}", ("put", "r"): f"put-{mode}", ("task", "t"): f"task-{mode}",
                **({("task", "u"): "task-outputs", ("task", "h"): "task-hermetic"} if mode == "unprivileged" else {})})
        for name, (flags, config) in ONE_OFFS.items():
            plan = {"id": "1", "task": {"name": "one-off", "privileged": False, "hermetic": False, "config": config, **flags}}
            build = api.call("POST", "/teams/main/builds", json.dumps(plan).encode(), {"Content-Type": "application/json"})
            found |= logs(api, build, {("task", "one-off"): name})
        yield found
    finally:
        server.stop()


def logs(api, build, wanted):
    watcher = house.Watcher(api, build["id"]).wait()
    assert watcher.status() == "succeeded", f"{wanted}: {watcher.status()} {watcher.errors()}\n{watcher.events}"
    steps = api.plan_names(build["id"])
    return {wanted[step]: watcher.output(plan_id) for plan_id, step in steps.items() if step in wanted and "/" not in plan_id}


# ---- sections -------------------------------------------------------------------------------------------------------


def sections_of(text):
    parts = re.split(r"^--- (.*)\n", text.replace("\r\n", "\n"), flags=re.M)
    return {name: [line for line in body.splitlines() if line] for name, body in zip(parts[1::2], parts[2::2])}


def mounts(lines):
    """Place, kind and what the mount forbids, in order. What holds a volume, and where init is, is the worker's choice."""
    shown = []
    for line in lines:
        if " on /tmp/gdn-init " in line or " on /dev/.weir-init " in line:
            continue
        found = re.match(r"\S+ on (\S+) type (\S+) \((.*)\)$", line)
        if not found:
            shown.append(line)
            continue
        place, kind, options = found[1], found[2], found[3].split(",")
        if kind in ("ext4", "overlay", "btrfs", "xfs", "devtmpfs", "tmpfs") and place not in ("/dev", "/dev/shm", "/sys/fs/cgroup"):
            kind = "volume" if not place.startswith("/dev/") else "device"
        kept = [option for option in options if re.match(r"(ro|rw|nosuid|nodev|noexec|size=|mode=|ptmxmode=|name=)", option)]
        shown.append(f"{place} {kind} " + ",".join(kept if kind not in ("volume", "device") else kept[:1]))
    return shown


def listing(lines):
    """Mode, owners and name of each file; sizes, links and dates are the file system's business.

    Who is outside the container's user namespace has a number, or in an image that knows it a name.
    """
    shown = []
    lines = [re.sub(r"\bnobody +nogroup\b", "65534 65534", line) for line in lines if not line.endswith(" .weir-init")]
    for line in lines:
        found = re.match(r"(\S{10}) +\d+ (\S+) +(\S+) +(\d+(?:, +\d+)?) (?:DATE|\w{3} +\d+ +\S+) (.*)$", line)
        if found and found[5] not in (".", ".."):
            number = found[4] if "," in found[4] else ""
            owner = "" if found[5] == "mqueue" else f"{found[2]} {found[3]}"  # of whoever mounted it
            shown.append(" ".join(filter(None, [found[1], owner, number, found[5]])))
        elif not found and not line.startswith("total "):
            shown.append(line)
    return shown


def made_by_the_worker(lines):
    """In the root folder; what else is there is the image's."""
    return [line for line in listing(lines) if line.split()[-1] in ("dev", "proc", "scratch", "sys")]


def environment(lines):
    return [re.sub(r"^(BUILD_\w*ID|BUILD_URL\w*)=.*", r"\1=…", recordings_compare.settle(line)) for line in lines]


def hosts(lines):
    return [recordings_compare.settle(line) for line in lines]


def descriptors(lines):
    """Where the standard ones lead; more are the probe's own."""
    shown = [re.sub(r"^.*?(\d+ -> )", r"\1", re.sub(r":\[\d+\]", "", line)) for line in lines]
    return [line for line in shown if re.match("[012] -> ", line)]


def cgroups(lines):
    """In its own namespace a container is at the root; without one it sees where the worker put it."""
    return [re.sub(r":/.*/", ":/", recordings_compare.settle(line)) for line in lines]


def limits(lines):
    return [line for line in lines if "cpuset" not in line]


def tried(lines):
    return [line for line in lines if not line.startswith("ping")]


def same(lines):
    return lines


SECTIONS = {
    "stdin": same, "args": same, "pwd": same, "id": same, "umask": same, "env": environment, "setgroups": same,
    "status": lambda lines: [line for line in lines if not line.startswith("NSpid")],
    "mount": mounts, "hosts": hosts, "hostname file": hosts, "ls /": made_by_the_worker, "ls /dev": listing, "ls /tmp/build": listing,
    "ls /scratch": listing, "ls certs": same, "cgroup": cgroups, "cgroup limits": limits, "devices": same,
    "tty": same, "fds": descriptors, "masked and readonly": same, "try": tried,
}


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_container_is_as_recorded(reports, name, section):
    theirs = sections_of((recordings.GOLDEN / f"builds/containers/{name}.txt").read_text())
    ours = sections_of(reports[name])
    if section not in theirs:
        assert section == "stdin" and section not in ours
        return
    found = recordings_compare.differences(section, SECTIONS[section](ours[section]), SECTIONS[section](theirs[section]))
    assert not found, "\n" + "\n".join(found)
