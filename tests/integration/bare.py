"""Tasks in a root file system that lies on the worker: no image, no resource, a container per step."""

import tarfile
import time

import harness
import house


def make_root(place):
    folder = place / "root"
    with tarfile.open(harness.RESOURCE_TYPES / "mock/rootfs.tgz") as archive:
        archive.extractall(folder)
    for name in ("tmp", "proc", "dev", "sys", "etc", "scratch"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o777)
    return folder


def task(root, script, name="task", step={}, **config):
    return {"task": name, **step, "config": {"platform": "linux", "rootfs_uri": f"raw://{root}",
                                             "run": {"path": "/bin/sh", "args": ["-c", script]}, **config}}


def start(api, name, plan):
    """Runs a job of one plan; its watcher."""
    api.set_pipeline(name, {"jobs": [{"name": "job", "plan": plan}]})
    return house.Watcher(api, api.trigger(name, "job"))


def said(watcher):
    return "".join(event["data"]["payload"] for event in watcher.events if event["event"] == "log").replace("\r\n", "\n")


def wait_until(what, why):
    deadline = time.monotonic() + harness.PATIENCE
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)
