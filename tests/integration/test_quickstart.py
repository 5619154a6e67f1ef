"""weir quickstart and weir web: starts, refusals, restarts, ends."""

import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import pytest

import harness

WEB_USER = 65532


@pytest.fixture
def place(containers):
    """A folder that every user may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="weir-quickstart-") as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


@pytest.fixture
def server(place):
    """Made, not started; ended whatever happens."""
    weir = harness.Weir(place)
    yield weir
    weir.stop()


def snapshot(folder):
    """Every file below a folder with its content, every directory, and their modes."""
    return {
        str(path): (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in [folder, *sorted(folder.rglob("*"))] if path.exists() and not path.is_socket()
    }


def refused(words, environment=None, **options):
    """Standard error of a start that must fail with status 1."""
    run = subprocess.run([str(harness.WEIR), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=harness.PATIENCE, env={**os.environ, **(environment or {})}, **options)
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stderr


def children(weir):
    """{"web": pid, "worker": pid}; the worker's helpers go by other parents."""
    found = {}
    for task in pathlib.Path(f"/proc/{weir.process.pid}/task").iterdir():
        for pid in map(int, (task / "children").read_text().split()):
            name = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
            found[name.rsplit("weir-", 1)[-1]] = pid
    return found


def token(weir, user, password):
    """What fly login gets; None when it is refused."""
    form = urllib.parse.urlencode({"grant_type": "password", "username": user, "password": password,
                                   "scope": "openid profile email federated:id groups"}).encode()
    request = urllib.request.Request(weir.url + "/sky/issuer/token", form, {"Authorization": "Basic Zmx5OlpteDU="})
    try:
        with urllib.request.urlopen(request, timeout=harness.PATIENCE) as answer:
            return json.load(answer)["access_token"]
    except urllib.error.HTTPError as refusal:
        assert refusal.code in (400, 401)
        return None


# ---- starts and ends ----


def test_it_is_ready_when_the_worker_runs(server):
    server.start()
    assert json.loads(server.get("/api/v1/health"))["workers"]["running"] == 1
    assert json.loads(server.get("/api/v1/info"))["external_url"] == server.url


def test_it_says_what_it_found_and_chose(server):
    server.start()
    for what in ["OCI runtime", "cgroup mode", "overlay", "ID-mapped mounts", "disk", "work directory"]:
        assert re.search(rf"^  {what} +\S", server.process.output, re.M), what
    assert f"Weir is at {server.url}" in server.process.output


def test_it_gives_away_its_own_fly(server):
    weir = server.start()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
    fly = (harness.BUILD / "src/fly/fly").read_bytes()
    assert weir.get(f"/api/v1/cli?platform=linux&arch={machine}") == fly
    with pytest.raises(urllib.error.HTTPError, match="404"):
        weir.get("/api/v1/cli?platform=windows&arch=amd64")


def test_web_runs_as_an_unprivileged_user_and_owns_only_its_part(server):
    server.start()
    status = pathlib.Path(f"/proc/{children(server)['web']}/status").read_text()
    assert re.search(rf"^Uid:\t{WEB_USER}\t{WEB_USER}\t{WEB_USER}\t{WEB_USER}$", status, re.M) or \
        not re.search(r"^Uid:\t0\t", status, re.M)
    assert re.search(r"^CapEff:\t0+$", status, re.M)
    assert server.work.stat().st_uid == 0
    assert (server.work / "web/worker.sock").stat().st_mode & 0o777 == 0o600
    assert (server.work / "web/weir.db").stat().st_uid != 0


def test_no_secret_is_on_a_command_line(server):
    server.flags = ["--encryption-key", "0123456789abcdef"]
    server.start()
    for pid in children(server).values():
        assert b"0123456789abcdef" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_it(server, number):
    server.start()
    pids = list(server.pids())
    server.process.signal(number)
    assert server.process.wait(30) == 0
    assert [pid for pid in pids if pathlib.Path(f"/proc/{pid}").exists()] == []


def test_a_killed_supervisor_takes_its_children_along_and_a_restart_works(server):
    server.start()
    family = children(server)
    watched = [os.pidfd_open(pid) for pid in family.values()]
    server.process.signal(signal.SIGKILL)
    server.process.child.wait(30)
    for descriptor in watched:
        assert select.select([descriptor], [], [], 30)[0]
        os.close(descriptor)
    server.start()


def test_it_starts_again_on_what_it_left(server):
    server.start()
    assert server.stop() == 0
    server.start()
    assert token(server, "test", "test")


def test_levels_are_kept_while_ready_is_still_said(server):
    server.flags = ["--log-level", "error", "--worker-log-level", "error"]
    process = server.process = harness.Process([harness.WEIR, *server.arguments()], env=server.environment)
    process.wait_for("Weir is at")
    assert '"level":"info"' not in process.output


def test_settings_come_from_the_environment_too(server):
    server.environment = {**server.environment, "CONCOURSE_CLUSTER_NAME": "one", "WEIR_WORKER_TAG": "a,b",
                          "CONCOURSE_WORKER_NAME": "named"}
    server.start()
    assert json.loads(server.get("/api/v1/info"))["cluster_name"] == "one"
    assert '"worker":"named"' in server.process.wait_for("beacon.registered")


# ---- users ----


def without_users(server):
    words = server.arguments()
    for flag in ["--add-local-user", "--main-team-local-user"]:
        at = words.index(flag)
        del words[at:at + 2]
    return words


def test_without_users_there_is_an_admin_whose_password_is_said_once(server):
    def start():
        server.process = harness.Process([harness.WEIR, *without_users(server)], env=server.environment)
        server.process.wait_for(server.READY)

    start()
    password = re.search(r"user admin, password (\S+)", server.process.output).group(1)
    assert len(password) >= 16
    assert token(server, "admin", password) and not token(server, "admin", "admin")
    assert (server.work / "admin").stat().st_mode & 0o777 == 0o600
    assert password not in (server.work / "admin").read_text()
    server.stop()
    start()
    assert password not in server.process.output and "password of the first start" in server.process.output
    assert token(server, "admin", password)


def test_the_line_that_says_how_to_log_in_does(server, tmp_path):
    server.process = harness.Process([harness.WEIR, *without_users(server)], env=server.environment)
    server.process.wait_for(server.READY)
    words = re.search(r"^  fly (-t weir login .*)$", server.process.output, re.M).group(1).split()
    run = subprocess.run([harness.FLY, *words], env={**os.environ, "HOME": str(tmp_path)}, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=harness.PATIENCE)
    assert run.returncode == 0 and "target saved" in run.stdout, run.stdout + run.stderr


# ---- restarts ----


def test_a_killed_web_node_is_started_again_and_nobody_is_refused(server):
    server.start()
    before, seen = children(server)["web"], len(server.process.lines)
    os.kill(before, signal.SIGKILL)
    # The supervisor holds the listening socket: who comes now waits for the next web node.
    assert b"version" in server.get("/api/v1/info")
    server.process.wait_for(r"quickstart\.restarting.*\"program\":\"web\"", start=seen)
    assert children(server)["web"] != before


def test_a_killed_worker_is_started_again(server):
    server.start()
    before, seen = children(server)["worker"], len(server.process.lines)
    os.kill(before, signal.SIGKILL)
    server.process.wait_for(r"quickstart\.restarting.*\"program\":\"worker\"", start=seen)
    server.process.wait_for(r"worker\.beacon\.registered", start=seen)
    assert json.loads(server.get("/api/v1/health"))["workers"]["running"] == 1


# ---- refusals; those of a start are one table in test_bad_input.py ----


def test_a_port_in_use_leaves_an_existing_directory_alone(server):
    server.start()
    server.stop()
    before = snapshot(server.work)
    with socket.create_server(("127.0.0.1", server.port)):
        refused(server.arguments())
    assert snapshot(server.work) == before


def test_a_second_start_leaves_the_first_alone(server):
    server.start()
    said = refused([*server.arguments(), "--bind-port", harness.free_port()])
    assert said == f"error: work directory {server.work} is in use by another quickstart\n"
    assert json.loads(server.get("/api/v1/health"))["status"] == "ok"
