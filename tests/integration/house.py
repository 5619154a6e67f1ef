"""A web node and a worker apart, so that tests can kill either, and the HTTP API as tests speak it.

`harness.Weir` is a quickstart, whose supervisor brings back what dies. Here the test is the supervisor.
"""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import harness

WEB = harness.BUILD / "src/cmd/weir-web"
WORKER = harness.BUILD / "src/cmd/weir-worker"
INIT = harness.BUILD / "src/worker/init/weir-init"

def missing():
    """Why a house cannot stand here; None when it can."""
    if os.geteuid() != 0:
        return "containers need root"
    if not WEB.exists() or not WORKER.exists():
        return f"there is no weir-web or weir-worker in {harness.BUILD}"
    if not shutil.which("runc"):
        return "there is no runc"
    return None


@contextlib.contextmanager
def disk(directory, mebibytes):
    """An ext4 of this size in a file, mounted on a folder that all may enter."""
    image, folder = directory / "disk.img", directory / "disk"
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    folder.mkdir()
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(path, leave=0):
    """Writes a file until its disk has no more than `leave` bytes left for anybody."""
    space = os.statvfs(path.parent)
    with open(path, "wb", buffering=0) as file:  # what a buffer still had would fail once more when it is closed
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(1, space.f_bavail * space.f_frsize - leave))
        with contextlib.suppress(OSError):
            while leave == 0:
                file.seek(0, os.SEEK_END)
                file.write(b"x" * 4096)


FINAL = ("succeeded", "failed", "errored", "aborted")
COMPLAINT = re.compile(r"^.*(ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer).*$", re.M)


class Database:
    """A database of its own in a PostgreSQL that runs."""

    count = 0

    def __init__(self, conninfo):
        self.place = dict(word.split("=", 1) for word in conninfo.split())
        Database.count += 1
        self.name = f"weir_{os.getpid()}_{Database.count}"
        self.psql(f"CREATE DATABASE {self.name}", self.place["dbname"])

    def psql(self, text, database=None):
        run = subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.place["host"], "-U", self.place["user"],
             "-d", database or self.name, "-c", text], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    def flags(self):
        return ["--postgres-socket", self.place["host"], "--postgres-user", self.place["user"],
                "--postgres-database", self.name]


class House:
    """A web node and one worker with folders, ports and a network of their own."""

    def __init__(self, directory, web_flags=(), worker_flags=(), database=None):
        """database: a Database; None: SQLite in the work folder."""
        self.directory = pathlib.Path(directory)
        self.port = harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.worker_ports = [harness.free_port() for _ in range(3)]
        self.pool = harness.free_pool()
        self.gateway = str(next(self.pool.hosts()))
        self.web_flags, self.worker_flags = list(web_flags), list(worker_flags)
        if database:
            self.web_flags += database.flags()
        self.web_directory = self.directory / "web"  # may be set to another place before the start
        self.worker_name, self.environment = "w1", {}
        self.worker_prefix, self.host_access = [], True
        self.resource_types = harness.RESOURCE_TYPES
        self.web = self.worker = None
        self.past = []  # (name, process) of those that ended

    def start_web(self, fault=None):
        self.web = harness.Process(
            [WEB, "--work-dir", self.web_directory, "--bind-ip", "127.0.0.1", "--bind-port", self.port,
             "--external-url", self.url, "--add-local-user", "test:test", "--main-team-local-user", "test",
             *self.web_flags],
            env={**os.environ, **self.environment, "WEIR_FAULT": fault or "", "G_SLICE": "always-malloc"})
        self._until_open(self.web, self.port)
        return self

    def start_worker(self, fault=None):
        garden, volumes, health = self.worker_ports
        self.worker = harness.Process(
            [*self.worker_prefix, WORKER, "--name", self.worker_name, "--work-dir", self.directory / "worker",
             "--web-socket", self.web_directory / "worker.sock", "--resource-types", self.resource_types,
             "--containerd-init-bin", INIT, *["--containerd-allow-host-access"] * self.host_access,
             "--containerd-network-pool", self.pool, "--bind-port", garden, "--baggageclaim-bind-port", volumes,
             "--healthcheck-bind-ip", "127.0.0.1", "--healthcheck-bind-port", health, *self.worker_flags],
            env={**os.environ, **self.environment, "WEIR_FAULT": fault or "", "G_SLICE": "always-malloc"})
        self.worker.wait_for('"worker.started"|worker.started')
        return self

    def start(self):
        self.start_web()
        self.start_worker()
        self.worker.wait_for("registered")
        return self

    @staticmethod
    def _until_open(process, port):
        """A fault may end it while it starts: then there is nothing to wait for."""
        deadline = time.monotonic() + harness.PATIENCE
        while process.child.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            assert time.monotonic() < deadline, f"web does not listen:\n{process.output[-4000:]}"
            time.sleep(0.02)

    def ended(self, name):
        """Keeps the output of a program that ended and forgets it."""
        process = getattr(self, name)
        setattr(self, name, None)
        if process:
            process.wait()
            self.past.append((name, process))

    def kill(self, name):
        getattr(self, name).signal(signal.SIGKILL)
        self.ended(name)

    def stop(self):
        """Drains both. Leaves logs beside the work folders; a sanitizer's complaint is a failure."""
        for name in ("worker", "web"):
            if getattr(self, name):
                getattr(self, name).stop()
                self.ended(name)
        self.remove_containers()
        for number, (name, process) in enumerate(self.past):
            (self.directory / f"{number}-{name}.log").write_text(process.output)
        for name, process in self.past:
            complaint = COMPLAINT.search(process.output)
            if complaint:
                at = max(0, complaint.start() - 200)
                raise AssertionError(f"{name}: {process.output[at:at + 6000]}")

    def remove_containers(self):
        harness.dismantle(self.directory / "worker")

    def census(self):
        """What exists because of this house, by kind."""
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        place = str(self.directory / "worker")
        runtime, containers = self.directory / "worker/runtime", self.directory / "worker/containers"
        links = subprocess.run(["ip", "-o", "link", "show", "type", "veth"], capture_output=True, text=True).stdout
        bridge = subprocess.run(["ip", "-4", "-o", "addr", "show", "to", f"{self.gateway}/32"],
                                capture_output=True, text=True).stdout.split()
        master = bridge[1] if len(bridge) > 1 else "none"
        return {
            "containers": len(list(containers.iterdir())) if containers.exists() else 0,
            "runtime": len(list(runtime.iterdir())) if runtime.exists() else 0,
            "mounts": sum(place in line for line in mounts),
            "veths": len(re.findall(rf"\bmaster {re.escape(master)}\b", links)),
            "inits": sum(place in " ".join(argv) or argv[0].endswith("weir-init") and self._is_ours(pid)
                         for pid, argv in processes() if "init" in argv[0]),
            "web fds": len(os.listdir(f"/proc/{self.web.pid}/fd")) if self.web else 0,
            "worker fds": len(os.listdir(f"/proc/{self.worker.pid}/fd")) if self.worker else 0,
        }

    def shims(self):
        """Process 1 of each of our containers."""
        return [pid for pid, argv in processes() if argv[0].endswith("weir-init") and self._is_ours(pid)]

    def _is_ours(self, pid):
        with contextlib.suppress(OSError):
            return str(self.directory) in pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
        return False


def processes():
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                argv = [word.decode(errors="replace") for word in (entry / "cmdline").read_bytes().split(b"\0")]
                if argv[0]:
                    yield int(entry.name), argv


class Api:
    """The HTTP API of one server, signed in. Calls are tried again while the server is away."""

    def __init__(self, house):
        self.house, self.token = house, None

    def login(self):
        form = urllib.parse.urlencode({
            "grant_type": "password", "username": "test", "password": "test",
            "scope": "openid profile email federated:id groups"}).encode()
        request = urllib.request.Request(self.house.url + "/sky/issuer/token", form, {"Authorization": "Basic Zmx5OlpteDU="})
        with urllib.request.urlopen(request, timeout=harness.PATIENCE) as answer:
            self.token = json.load(answer)["access_token"]
        return self

    def call(self, method, path, body=None, headers={}):
        """The answer's JSON. Not tried again: what a lost answer did is unknown."""
        request = urllib.request.Request(self.house.url + "/api/v1" + path, body,
                                         {"Authorization": "Bearer " + self.token, **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=harness.PATIENCE) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            error.body = error.read().decode(errors="replace")
            error.msg += f": {method} {path}: {error.body[:2000]}"
            raise

    def get(self, path):
        """Reading may be tried as often as it takes."""
        deadline = time.monotonic() + harness.PATIENCE
        while True:
            try:
                return self.call("GET", path)
            except urllib.error.HTTPError as error:
                if error.code < 500 or time.monotonic() > deadline:
                    raise
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def set_pipeline(self, name, config):
        self.call("PUT", f"/teams/main/pipelines/{name}/config", json.dumps(config).encode(),
                  {"Content-Type": "application/x-yaml"})
        self.call("PUT", f"/teams/main/pipelines/{name}/unpause")

    def trigger(self, pipeline, job):
        return self.call("POST", f"/teams/main/pipelines/{pipeline}/jobs/{job}/builds")["id"]

    def builds(self, pipeline, job):
        return self.get(f"/teams/main/pipelines/{pipeline}/jobs/{job}/builds")

    def build(self, number):
        return self.get(f"/builds/{number}")

    def plan_names(self, number):
        """Plan id → (kind, step's name)."""
        names = {}

        def walk(node):
            if isinstance(node, dict):
                for kind in ("get", "put", "task", "check"):
                    if isinstance(node.get(kind), dict) and "id" in node:
                        names[node["id"]] = (kind, node[kind].get("name"))
                node = list(node.values())
            if isinstance(node, list):
                for child in node:
                    walk(child)

        walk(self.get(f"/builds/{number}/plan")["plan"])
        return names


class Watcher:
    """Follows a build's events to their end on a thread of its own, through any number of reconnects."""

    def __init__(self, api, build):
        self.api, self.build_id = api, build
        self.events = []
        self.reconnects = 0
        self.failure = None
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        last = None
        deadline = time.monotonic() + 4 * harness.PATIENCE
        try:
            while time.monotonic() < deadline:
                try:
                    last, ended = self._follow(last)
                    if ended:
                        return
                except (OSError, http.client.HTTPException):
                    pass
                self.reconnects += 1
                time.sleep(0.05)
            self.failure = f"the events of build {self.build_id} do not end"
        except Exception as error:  # shown by the test that waits
            self.failure = f"build {self.build_id}: {error!r}"

    def _follow(self, last):
        connection = http.client.HTTPConnection("127.0.0.1", self.api.house.port, timeout=harness.PATIENCE)
        headers = {"Authorization": "Bearer " + self.api.token, "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        try:
            connection.request("GET", f"/api/v1/builds/{self.build_id}/events", headers=headers)
            answer = connection.getresponse()
            if answer.status >= 500:
                return last, False
            assert answer.status == 200, f"status {answer.status}"
            frame = {}
            for line in answer:
                if not line.endswith(b"\n"):
                    break  # cut off
                name, _, text = line.rstrip(b"\n").partition(b": ")
                if name:
                    frame[name] = text
                    continue
                event = frame.get(b"event")
                if event == b"end":
                    return last, True
                if event == b"event":
                    number = int(frame[b"id"])
                    assert number == (0 if last is None else last + 1), f"event {number} after {last}"
                    last = self._take(number, frame[b"data"])
                frame = {}
            return last, False
        finally:
            connection.close()

    def _take(self, number, data):
        self.events.append(json.loads(data))
        self.begun.set()
        return number

    def wait(self):
        self.thread.join(5 * harness.PATIENCE)
        assert not self.thread.is_alive(), f"the watcher of build {self.build_id} hangs"
        assert self.failure is None, self.failure
        return self

    def output(self, plan_id):
        return "".join(event["data"]["payload"] for event in self.events
                       if event["event"] == "log" and event["data"]["origin"]["id"] == plan_id)

    def errors(self):
        return [event["data"]["message"] for event in self.events if event["event"] == "error"]

    def status(self):
        return [event["data"]["status"] for event in self.events if event["event"] == "status"][-1]


class Recorder:
    """A tiny HTTP server that containers post one line to per side effect."""

    def __init__(self, address):
        self.lines, self.times = [], []
        self._more = threading.Condition()
        self._answer = None
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                recorder._take(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                answer = recorder._held().encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server((address, 0), Handler)
        self.url = f"http://{address}:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self, line):
        with self._more:
            self.times.append(time.monotonic())
            self.lines.append(line)
            self._more.notify_all()

    def _held(self):
        with self._more:
            self._more.wait_for(lambda: self._answer is not None, harness.PATIENCE)
            return self._answer or "late"

    def let_go(self, answer):
        """Answers those that ask, and have waited until now."""
        with self._more:
            self._answer = answer
            self._more.notify_all()

    def wait_for(self, count):
        with self._more:
            assert self._more.wait_for(lambda: len(self.lines) >= count, harness.PATIENCE), self.lines

    def count(self, line):
        return self.lines.count(line)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
