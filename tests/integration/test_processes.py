"""Processes at the worker: many short ones lose nothing, and who dies, weir-init or the OCI runtime, is named."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

import harness
import house

SHORT = ["--gc-interval", "1s", "--gc-one-off-grace-period", "1s", "--gc-missing-grace-period", "1s",
         "--gc-hijack-grace-period", "1s", "--gc-failed-grace-period", "1s"]
WORKER = ["--sweep-interval", "1s", "--connection-drain-timeout", "2s"]
ROOTFS = harness.ROOT / "tests/unit/worker/rootfs.sh"
NOTHING = {kind: 0 for kind in ("containers", "runtime", "veths", "inits")}
IMAGE = {"type": "mock", "source": {"mirror_self": True}}

# The control groups of a machine's containers are named by their handles: no other test run may have the same.
BOX = f"box-{os.getpid()}"


def until(condition, what):
    deadline = time.monotonic() + harness.PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


class Garden:
    """The worker's own API, as a web node speaks it."""

    def __init__(self, server):
        self.port = server.worker_ports[0]

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE)
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status == 200, text
        return json.loads(text)

    def take_over(self, method, path, body=None):
        """A file of what comes after the answer's head."""
        text = b"" if body is None else json.dumps(body).encode()
        connection = socket.create_connection(("127.0.0.1", self.port), harness.PATIENCE)
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
        stream = connection.makefile("rb")
        connection.close()
        head = stream.readline()
        assert head.split()[1] in (b"200", b"201"), head + stream.read()
        while stream.readline().strip():
            pass
        return stream

    def run(self, handle, script, *words):
        """Exit status, standard output and error."""
        spec = {"path": "sh", "args": ["-c", script, "sh", *map(str, words)]}
        with self.take_over("POST", f"/containers/{handle}/processes", spec) as control:
            first = json.loads(control.readline())
            place = f"/containers/{handle}/processes/{first['process_id']}/attaches/{first['stream_id']}"
            with self.take_over("GET", place + "/stdout") as out, self.take_over("GET", place + "/stderr") as err:
                return json.loads(control.readline()).get("exit_status"), out.read(), err.read()


def run_short_ones(place, count):
    server = house.House(place).start()
    try:
        garden = Garden(server)
        subprocess.run([ROOTFS, place / "root", "100000"], check=True)
        garden.call("POST", "/containers", {"handle": BOX, "rootfs": f"raw://{place}/root"})

        def one(number):
            script = 'echo "out $1"; echo "err $1" >&2; [ $(($1 % 3)) = 0 ] || echo "more $1"; exit $(($1 % 100))'
            more = "" if number % 3 == 0 else f"more {number}\n"
            wanted = (number % 100, f"out {number}\n{more}".encode(), f"err {number}\n".encode())
            got = garden.run(BOX, script, number)
            return None if got == wanted else (number, got)

        def descriptors():
            return server.census()["worker fds"]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert [lost for lost in pool.map(one, range(100)) if lost] == []
            before = descriptors()
            assert [lost for lost in pool.map(one, range(100, count)) if lost] == []
        # Connections of the last ones may still be closing.
        until(lambda: descriptors() <= before + 8, f"{descriptors()} descriptors, {before} before")
        garden.call("DELETE", f"/containers/{BOX}")
    finally:
        server.stop()


def test_short_processes_lose_no_output_and_leave_no_descriptors(place):
    run_short_ones(place, 500)


@pytest.mark.soak
def test_ten_thousand_short_processes_lose_no_output(place):
    run_short_ones(place, 10_000)


# ---- deaths ----


def job(name, script):
    return {"name": name, "plan": [{"task": "t", "config": {
        "platform": "linux", "image_resource": IMAGE, "run": {"path": "sh", "args": ["-c", script]}}}]}


def inits(server):
    """The pids of process 1 of each container of the house."""
    folder = server.directory / "worker/containers"
    found = []
    for entry in folder.iterdir() if folder.exists() else []:
        with contextlib.suppress(OSError, ValueError):
            pid = int((entry / "init.pid").read_text())
            os.kill(pid, 0)
            found.append((entry.name, pid))
    return found


class Handles:
    """The handles that the worker had at any time, for their control groups: other workers may have some too."""

    def __init__(self, server):
        self.folder, self.seen, self.over = server.directory / "worker/containers", set(), threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self):
        while not self.over.wait(0.02):
            with contextlib.suppress(OSError):
                self.seen.update(os.listdir(self.folder))

    def groups(self):
        """Control groups that are left, in every hierarchy."""
        root = pathlib.Path("/sys/fs/cgroup")
        return [str(path) for place in [root, *root.iterdir()] for handle in list(self.seen)
                if (path := place / "weir" / handle).is_dir()]


def zombies(server):
    """Children of the worker that ended and were never asked how."""
    found = []
    for task in pathlib.Path(f"/proc/{server.worker.pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for pid in (task / "children").read_text().split():
                with contextlib.suppress(OSError):
                    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
                    if text.rpartition(")")[2].split()[0] == "Z":
                        found.append(text[:60])
    return found


def expect_nothing(server, handles):
    """All that the containers were is gone."""
    def left():
        census = server.census()
        ours = {kind: census[kind] for kind in NOTHING}
        more = zombies(server), handles.groups()
        return None if ours == NOTHING and not any(more) else (ours, *more)

    deadline = time.monotonic() + harness.PATIENCE
    while (what := left()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert what is None


def test_when_weir_init_is_killed_the_build_is_errored_at_once_and_says_so(place, soak):
    server = house.House(place, SHORT, WORKER).start()
    handles = Handles(server)
    try:
        api = house.Api(server).login()
        api.set_pipeline("p", {"jobs": [job("waits", "echo begun; sleep 1000")]})
        watcher = house.Watcher(api, api.trigger("p", "waits"))
        until(lambda: any("begun" in event["data"].get("payload", "") for event in list(watcher.events)), "not begun")
        plans = {entry["id"] for entry in api.get("/teams/main/containers?step_name=t&type=task")}
        for handle, pid in inits(server):
            if handle in plans:
                os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        watcher.wait()
        assert time.monotonic() - began < 5
        assert watcher.status() == "errored"
        assert any("process 1 of the container was killed by signal 9 (Killed)" in text for text in watcher.errors()), watcher.errors()
        api.call("DELETE", "/teams/main/pipelines/p")
        expect_nothing(server, handles)
    finally:
        handles.over.set()
        server.stop()


@pytest.mark.parametrize("rounds", [3, pytest.param(40, marks=pytest.mark.soak)])
def test_weir_init_killed_at_random_never_leaves_a_build_stuck_or_green(place, soak, rounds):
    server = house.House(place, SHORT, WORKER).start()
    handles = Handles(server)
    try:
        api = house.Api(server).login()
        script = "i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done; echo whole"
        api.set_pipeline("p", {"jobs": [job(f"job-{number}", script) for number in range(3)]})
        for _ in range(rounds):
            watchers = [house.Watcher(api, api.trigger("p", f"job-{number}")) for number in range(3)]
            time.sleep(soak.random.uniform(0.05, 1.2))
            killed = inits(server)
            soak.random.shuffle(killed)
            for _, pid in killed[:2]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for watcher in watchers:
                watcher.wait()
                text = "".join(event["data"].get("payload", "") for event in watcher.events if event["event"] == "log")
                if watcher.status() == "succeeded":
                    assert "whole" in text and all(f"line {number}\r\n" in text for number in range(20)), text
                else:
                    assert watcher.status() == "errored", (watcher.status(), text)
                    assert watcher.errors(), "errored, and no reason is given"
        api.call("DELETE", "/teams/main/pipelines/p")
        expect_nothing(server, handles)
    finally:
        handles.over.set()
        server.stop()


RUNTIME = """#!/usr/bin/env python3
# runc, which is killed at a random moment of some of its runs.
import os, random, signal, subprocess, sys, time
argv = [{runc!r}, *sys.argv[1:]]
if "run" not in argv or random.Random().random() > 0.5:
    os.execv(argv[0], argv)
pid = os.getpid()
if os.fork() == 0:
    os.closerange(0, 64)
    time.sleep(random.Random().uniform(0, 0.06))
    os.kill(pid, signal.SIGKILL)
    os._exit(0)
os.execv(argv[0], argv)
"""


@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=pytest.mark.soak)])
def test_a_runtime_killed_at_random_is_named_and_leaves_nothing(place, soak, rounds):
    runc = subprocess.run(["which", "runc"], capture_output=True, text=True, check=True).stdout.strip()
    program = place / "runtime"
    program.write_text(RUNTIME.format(runc=runc))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    server = house.House(place, SHORT, [*WORKER, "--oci-runtime", str(program)]).start()
    handles = Handles(server)
    try:
        api = house.Api(server).login()
        api.set_pipeline("p", {"jobs": [job(f"job-{number}", "echo whole") for number in range(4)]})
        reasons = []
        for _ in range(rounds):
            watchers = [house.Watcher(api, api.trigger("p", f"job-{number}")) for number in range(4)]
            for watcher in watchers:
                watcher.wait()
                if watcher.status() != "succeeded":
                    assert watcher.status() == "errored"
                    reasons += watcher.errors()
        assert reasons, "the runtime was never hit"
        assert any("OCI runtime was killed by signal 9 (Killed)" in reason for reason in reasons), reasons
        api.call("DELETE", "/teams/main/pipelines/p")
        expect_nothing(server, handles)
    finally:
        handles.over.set()
        server.stop()
