"""What the fixtures are made of: processes that say when they are ready, a Weir of its own, fly, git."""

import atexit
import contextlib
import ipaddress
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build"))
RESOURCE_TYPES = pathlib.Path(os.environ.get("WEIR_RESOURCE_TYPES_DIR", ROOT / ".cache/resource-types"))
WEIR = BUILD / "src/cmd/weir"
# WEIR_FLY: another client, the stock one for example, in its place.
FLY = pathlib.Path(os.environ.get("WEIR_FLY", BUILD / "src/fly/fly"))

# Sanitizers and two busy cores: generous, because only a hang ever gets here.
PATIENCE = float(os.environ.get("WEIR_TEST_PATIENCE", "90"))


def free_port(address="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def free_pool(prefix=24):
    """A network inside 10.200.0.0/13 that no interface or route of this machine uses, for a worker's containers."""
    routes = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True).stdout
    used = [ipaddress.ip_network(word, strict=False) for word in re.findall(r"\b\d+\.\d+\.\d+\.\d+/\d+", routes)]
    while True:
        pool = ipaddress.ip_network(f"10.{random.randint(200, 207)}.{random.randint(0, 255)}.0/{prefix}", strict=False)
        if not any(pool.overlaps(network) for network in used):
            return pool


class Process:
    """A child whose output is read as it comes; every line is kept, and can be waited for."""

    def __init__(self, argv, **options):
        self.argv = [str(word) for word in argv]
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        self.child = subprocess.Popen(
            self.argv, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, **options)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.child.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self):
        return self.child.pid

    @property
    def output(self):
        with self._changed:
            return "\n".join(self.lines)

    def wait_for(self, pattern, timeout=PATIENCE, start=0):
        """The first line from number `start` on in which the pattern is found."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout
        seen = start
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    if expression.search(line):
                        return line
                seen = len(self.lines)
                if self._ended:
                    raise AssertionError(f"{self.argv[0]} ended without /{pattern}/:\n" + "\n".join(self.lines))
                if not self._changed.wait(max(0, deadline - time.monotonic())):
                    raise AssertionError(f"no /{pattern}/ within {timeout}s:\n" + "\n".join(self.lines[-50:]))

    def wait(self, timeout=PATIENCE):
        """Its exit status, once all output is read."""
        status = self.child.wait(timeout)
        self._reader.join(timeout)
        return status

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            self.child.send_signal(number)

    def stop(self, timeout=PATIENCE):
        """SIGTERM and the exit status; SIGKILL for its whole session, and a failure, when it does not end."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.wait()
            raise AssertionError(f"{self.argv[0]} did not end on SIGTERM:\n" + "\n".join(self.lines[-50:]))


def dismantle(work):
    """Containers outlive their worker, and their network with them: ends what is left of a worker's folder."""
    if (work / "network").exists():
        subprocess.run([BUILD / "src/cmd/weir-worker", "--work-dir", work, "--dismantle"], capture_output=True)


class Weir:
    """A `weir quickstart` of its own: its folder, ports and network are nobody else's."""

    READY = r"quickstart\.ready"

    def __init__(self, directory, *flags, environment=None):
        self.directory = pathlib.Path(directory)
        self.work = self.directory / "weir"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.pool = free_pool()
        self.gateway = str(next(self.pool.hosts()))
        self.flags = list(flags)
        self.environment = {**os.environ, **(environment or {})}
        self.program = WEIR
        self.process = None
        # Not in stop(): a test may start it again and expect to find its containers.
        atexit.register(self.dismantle)

    def dismantle(self):
        dismantle(self.work / "worker")

    def arguments(self):
        return [
            "quickstart", "--work-dir", self.work, "--bind-ip", "127.0.0.1", "--bind-port", self.port,
            "--external-url", self.url, "--add-local-user", "test:test", "--main-team-local-user", "test",
            "--worker-resource-types", RESOURCE_TYPES, "--worker-containerd-network-pool", self.pool,
            "--worker-containerd-allow-host-access", *self.flags]

    def start(self):
        self.process = Process([self.program, *self.arguments()], env=self.environment)
        self.process.wait_for(self.READY)
        return self

    def stop(self):
        """Drains and ends. A sanitizer's complaint in the log is a failure of whoever used it."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        status = process.stop()
        (self.directory / "weir.log").write_text(process.output)
        complaint = re.search(r"^.*(ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer).*$", process.output, re.M)
        assert complaint is None, f"{complaint.group(0)}: see {self.directory}/weir.log\n{process.output[-8000:]}"
        return status

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return answer.read()

    def pids(self):
        """Processes below the supervisor, by what they run: {pid: argv[0]}."""
        found = {}
        todo = [self.process.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(OSError):
                found[pid] = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
                for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
                    todo += [int(word) for word in (thread / "children").read_text().split()]
        return found


class Fly:
    """fly, with a home of its own. Calling it runs a command to its end."""

    def __init__(self, weir, home, user="test", password="test", program=FLY):
        self.weir, self.home, self.user, self.password, self.program = weir, pathlib.Path(home), user, password, program
        self.home.mkdir(parents=True, exist_ok=True)

    def environment(self):
        return {**os.environ, "HOME": str(self.home), "TERM": "dumb"}

    def login(self, target="test"):
        self("-t", target, "login", "-c", self.weir.url, "-u", self.user, "-p", self.password)
        return self

    def __call__(self, *words, status=0, stdin=""):
        """Standard output and error together; the exit status must be `status` (None: whatever)."""
        run = subprocess.run([str(self.program), "-t", "test", *map(str, words)], env=self.environment(), input=stdin,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=PATIENCE * 2)
        assert status is None or run.returncode == status, \
            f"fly {' '.join(map(str, words))}: exit status {run.returncode}, not {status}\n{run.stdout}"
        return run.stdout

    def json(self, *words):
        return json.loads(self(*words, "--json"))

    def start(self, *words):
        """A command that goes on, watch or hijack, as a Process."""
        return Process([self.program, "-t", "test", *words], env=self.environment())

    def set_pipeline(self, name, text, *flags):
        path = self.home / f"{name}.yml"
        path.write_text(text)
        self("set-pipeline", "-n", "-p", name, "-c", path, *flags)
        self("unpause-pipeline", "-p", name)


class Repository:
    """A bare repository that the server serves, and a clone to commit in."""

    def __init__(self, directory, name, uri):
        self.bare, self.work, self.uri = directory / "served" / f"{name}.git", directory / "work" / name, uri
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.bare], check=True)
        for setting in ("daemon.receivepack", "uploadpack.allowFilter"):
            subprocess.run(["git", "-C", self.bare, "config", setting, "true"], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", self.work], check=True)
        self.git("remote", "add", "origin", self.bare)

    def git(self, *words):
        settings = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        run = subprocess.run(["git", *settings, *words], cwd=self.work, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    def commit(self, message, files={}):
        """Writes the files, executable, commits and pushes. Returns the commit's hash."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def tags(self):
        run = subprocess.run(["git", "-C", self.bare, "tag", "--list"], capture_output=True, text=True, check=True)
        return run.stdout.split()


class GitServer:
    """git daemon on an address that containers reach. Pushes are allowed."""

    def __init__(self, directory, address):
        self.directory, self.address, self.port = pathlib.Path(directory), address, free_port(address)
        (self.directory / "served").mkdir(parents=True)
        self.process = Process([
            "git", "daemon", "--verbose", "--reuseaddr", f"--listen={address}", f"--port={self.port}",
            f"--base-path={self.directory / 'served'}", "--export-all", "--enable=receive-pack", self.directory / "served"])
        self.process.wait_for("Ready to rumble")

    def repository(self, name="program"):
        return Repository(self.directory, name, f"git://{self.address}:{self.port}/{name}.git")

    def stop(self):
        self.process.stop()


class Soak:
    """How long and from which seed the long runs go; prints both, so that a failure can be run again."""

    def __init__(self):
        self.seed = int(os.environ.get("WEIR_SEED", "1"))
        self.random = random.Random(self.seed)
        self.end = time.monotonic() + 60 * float(os.environ.get("WEIR_SOAK_MINUTES", "1"))
        self.count = 0

    def rounds(self):
        """Yields 1, 2, … until the time is over; at least once."""
        while self.count == 0 or time.monotonic() < self.end:
            self.count += 1
            yield self.count


def missing():
    """Why containers cannot be made here; None when they can."""
    if os.geteuid() != 0:
        return "containers need root"
    if not WEIR.exists() or not FLY.exists():
        return f"there is no weir or fly in {BUILD}"
    if not shutil.which("runc"):
        return "there is no runc"
    return None
