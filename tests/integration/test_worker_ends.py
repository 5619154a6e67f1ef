"""What a worker leaves on its host when it ends, and what it makes of what an earlier run left."""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

import harness
import house

WORKER = harness.BUILD / "src/cmd/weir-worker"
GARDEN, VOLUMES = 7777, 7788
# Ends of a worker while it makes and destroys containers.
KILLS = 6


class Host:
    """A network namespace as a machine of its own, and a worker on it without a web node."""

    def __init__(self, directory):
        self.directory = directory
        self.work = directory / "work"
        self.name = f"weir-{os.getpid()}-{random.randrange(10**6)}"
        # Not ip netns exec: it hides the control groups.
        self.inside = ["nsenter", f"--net=/run/netns/{self.name}", "--"]
        self.worker = None
        self.run("ip", "netns", "add", self.name, inside=False)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *words, inside=True, check=True, **options):
        prefix = self.inside if inside else []
        return subprocess.run([*prefix, *words], capture_output=True, text=True, check=check, timeout=harness.PATIENCE,
                              **options).stdout

    def start(self, *flags):
        self.worker = harness.Process([*self.inside, WORKER, "--work-dir", self.work,
                                       "--containerd-init-bin", house.INIT, "--healthcheck-bind-ip", "127.0.0.1",
                                       "--connection-drain-timeout", "1s", *flags])
        if "--dismantle" not in flags:
            self.worker.wait_for("worker.started")
        return self.worker

    def kill(self):
        self.worker.signal(signal.SIGKILL)
        self.worker.wait()

    def call(self, method, port, path, body=None):
        """The answer's body as JSON; None when the worker is not there, or was killed meanwhile."""
        words = ["curl", "-s", "-X", method, f"http://127.0.0.1:{port}{path}"]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        with contextlib.suppress(ValueError):
            return json.loads(self.run(*words, check=False))

    def import_root(self):
        made = self.call("POST", VOLUMES, "/volumes", {"handle": "base", "strategy": {
            "type": "import", "path": str(harness.RESOURCE_TYPES / "mock/rootfs.tgz")}})
        assert made["handle"] == "base", made

    def make(self, handle):
        """A container with two volumes of its own, in one request."""
        return self.call("POST", GARDEN, "/containers", {
            "handle": handle, "rootfs": f"raw://volume:{handle}-root",
            "bind_mounts": [{"src_path": f"volume:{handle}-scratch", "dst_path": "/scratch", "mode": 1}],
            "netout_rules": [{}],
            "weir_volumes": [
                {"handle": f"{handle}-root", "strategy": {"type": "cow", "volume": "base"}},
                {"handle": f"{handle}-scratch", "strategy": {"type": "empty"}}]})

    def containers(self):
        return self.call("GET", GARDEN, "/containers")["Handles"]

    def destroy(self, handle):
        return self.call("DELETE", GARDEN, f"/containers/{handle}")

    def links(self):
        """Interfaces but the loopback's."""
        return [line.split()[0].split("@")[0] for line in self.run("ip", "-br", "link").splitlines()
                if not line.startswith("lo ")]

    def tables(self):
        return self.run("nft", "list", "tables").split("\n")[:-1]

    def inits(self):
        """Process 1s of containers whose folders are ours."""
        return [pid for pid, argv in house.processes() if "weir-init" in argv[0] and
                str(self.directory) in (pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
                                        if os.path.exists(f"/proc/{pid}/mountinfo") else "")]

    def close(self):
        if self.worker and self.worker.child.poll() is None:
            self.worker.stop()
        self.start("--dismantle").wait()
        self.run("ip", "netns", "delete", self.name, inside=False)


@pytest.fixture
def host(tmp_path):
    why = house.missing() or (None if shutil.which("curl") else "there is no curl")
    if why:
        pytest.skip(why)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    host = Host(tmp_path)
    yield host
    host.close()


def nothing_is_left(host):
    return not host.links() and not host.tables() and not (host.work / "network").exists() and not host.inits()


def test_a_worker_without_containers_takes_its_network_along(host):
    host.start()
    assert host.links() == ["weir0"]
    assert len(host.tables()) == 1
    host.worker.stop()
    assert nothing_is_left(host)


def test_containers_keep_their_network_over_a_stop_and_a_start(host):
    host.start()
    host.import_root()
    assert host.make("kept") == {"Handle": "kept"}
    links, tables, inits = host.links(), host.tables(), host.inits()
    assert len(links) == 2 and len(inits) == 1
    host.worker.stop()
    assert (host.links(), host.tables(), host.inits()) == (links, tables, inits)
    host.start()
    assert (host.links(), host.tables(), host.containers()) == (links, tables, ["kept"])
    assert host.destroy("kept") == {}
    host.worker.stop()
    assert nothing_is_left(host)


def test_a_worker_killed_at_any_moment_finds_what_it_left(host):
    seed = int(os.environ.get("WEIR_SEED", random.randrange(10**6)))
    print(f"WEIR_SEED={seed}")
    chance = random.Random(seed)
    host.start()
    host.import_root()
    for round_ in range(KILLS):
        killer = subprocess.Popen(["sh", "-c", f"sleep {chance.uniform(0, 1.2):.3f}; kill -KILL {host.worker.pid}"])
        number = 0
        while host.worker.child.poll() is None:
            host.make(f"c{round_}-{number}")
            if number % 2:
                host.destroy(f"c{round_}-{number - 1}")
            number += 1
        killer.wait()
        host.worker.wait()
        host.start()
    assert host.make("last") == {"Handle": "last"}
    listed = host.containers()
    assert "last" in listed
    for handle in listed:
        assert host.destroy(handle) == {}
    assert host.containers() == []
    assert host.inits() == []
    assert host.links() == ["weir0"]
    host.worker.stop()
    assert nothing_is_left(host)


def test_a_work_directory_is_dismantled_on_request(host):
    host.start()
    host.import_root()
    host.make("one")
    host.make("two")
    host.kill()
    assert len(host.inits()) == 2
    assert host.start("--dismantle").wait() == 0
    deadline = time.monotonic() + harness.PATIENCE
    while host.inits():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert nothing_is_left(host)
    assert list((host.work / "containers").iterdir()) == []
