"""fly hijack: terminals and pipes into running, finished and check containers, and who may open them."""

import fcntl
import hashlib
import os
import pty
import random
import re
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

import harness
import house

WEIR_FLAGS = ["--add-local-user", "watcher:watcher", "--gc-interval", "1s", "--gc-one-off-grace-period", "1s",
              "--gc-hijack-grace-period", "6s"]

IMAGE = {"type": "mock", "source": {"mirror_self": True}}


def task(name, script, **more):
    return {"task": name, **more,
            "config": {"platform": "linux", "image_resource": IMAGE, "run": {"path": "sh", "args": ["-c", script]}}}


PIPELINE = {
    "resources": [{"name": "some", "type": "mock", "check_every": "never", "source": {"initial_version": "1"}}],
    "jobs": [
        {"name": "waits", "plan": [{"get": "some"}, task("t", "echo begun; while ! [ -e /tmp/go ]; do sleep 0.1; done; cat /tmp/go")]},
        {"name": "fails", "plan": [task("t", "echo left > behind; exit 1")]},
        {"name": "two", "plan": [{"in_parallel": [task("left", "exit 1"), task("right", "exit 1")]}]},
        {"name": "again", "plan": [task("t", "exit 1", attempts=2)]},
    ],
}


class Terminal:
    """A program on a terminal of its own: what it shows is kept, and can be waited for."""

    def __init__(self, argv, environment, rows=24, columns=80):
        self.text, self._ended = "", False
        self._changed = threading.Condition()
        self.master, slave = pty.openpty()
        self.resize(rows, columns, notify=False)
        self.child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment,
                                      start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""
            with self._changed:
                self.text += piece.decode(errors="replace")
                self._ended = not piece
                self._changed.notify_all()
                if self._ended:
                    return

    def resize(self, rows, columns, notify=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if notify:
            self.child.send_signal(signal.SIGWINCH)

    def type(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, pattern):
        with self._changed:
            found = self._changed.wait_for(lambda: re.search(pattern, self.text), harness.PATIENCE)
            assert found, f"no /{pattern}/ in:\n{self.text}"
            return found

    def end(self):
        """The exit status; the terminal must be as it was before."""
        status = self.child.wait(harness.PATIENCE)
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.slave)
        return status


class Shop:
    """The pipeline, set and its failing jobs run, and ways to open sessions."""

    def __init__(self, weir, fly, failing=("fails", "two", "again")):
        self.weir, self.fly = weir, fly
        self.api = house.Api(weir).login()
        self.api.set_pipeline("p", PIPELINE)
        for job in failing:
            fly("trigger-job", "-j", f"p/{job}", "-w", status=1)

    def argv(self, *words):
        return [str(self.fly.program), "-t", "test", "hijack", *words]

    def run(self, *words, stdin=b"", fly=None):
        """Without a terminal; standard output and error apart, as bytes."""
        fly = fly or self.fly
        return subprocess.run(self.argv(*words), env=fly.environment(), input=stdin, capture_output=True,
                              timeout=harness.PATIENCE)

    def terminal(self, *words, **size):
        return Terminal(self.argv(*words), {**self.fly.environment(), "TERM": "xterm"}, **size)

    def waiting(self):
        """A build whose task runs until it is let go; its id."""
        number = self.api.trigger("p", "waits")
        watcher = house.Watcher(self.api, number)
        deadline = time.monotonic() + harness.PATIENCE
        while not any("begun" in event["data"].get("payload", "") for event in list(watcher.events)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return number, watcher

    def let_go(self, number, watcher, text="on"):
        run = self.run("-b", str(number), "-s", "t", "--", "sh", "-c", f"echo {text} > /tmp/x; mv /tmp/x /tmp/go")
        assert run.returncode == 0, run.stderr
        watcher.wait()


@pytest.fixture(scope="module")
def shop(weir, fly):
    return Shop(weir, fly)


FAILS = ("-j", "p/fails", "-s", "t")


def test_a_failed_task_can_be_looked_into_and_its_status_is_flys(shop):
    run = shop.run(*FAILS, "--", "sh", "-c", "cat behind; echo onerr >&2; exit 3")
    assert (run.returncode, run.stdout, run.stderr) == (3, b"left\n", b"onerr\n")


def test_a_running_task_is_reached_and_goes_on(shop):
    number, watcher = shop.waiting()
    shop.let_go(number, watcher, "hello from outside")
    assert watcher.status() == "succeeded"
    plan = next(plan for plan, (_, name) in shop.api.plan_names(number).items() if name == "t")
    assert "hello from outside" in watcher.output(plan)


def test_a_shell_reads_commands_from_a_pipe(shop):
    run = shop.run(*FAILS, stdin=b"echo one; pwd\nexit 4\n")
    assert run.returncode == 4
    assert re.fullmatch(rb"one\n/tmp/build/[0-9a-f]{8}\n", run.stdout)


def test_the_terminal_has_our_size_and_follows_it(shop):
    terminal = shop.terminal(*FAILS, "--", "sh", rows=33, columns=111)
    terminal.type("stty size\r")
    terminal.wait_for(r"\n33 111\r")
    terminal.resize(20, 70)
    terminal.type("while [ \"$(stty size)\" = '33 111' ]; do sleep 0.1; done; stty size\r")
    terminal.wait_for(r"\n20 70\r")
    terminal.type("echo $TERM; exit 5\r")
    terminal.wait_for(r"\nxterm\r")
    assert terminal.end() == 5


def test_control_c_reaches_the_process_and_not_fly(shop):
    terminal = shop.terminal(*FAILS, "--", "sh", "-c", "trap 'echo caught; exit 6' INT; echo ready; while :; do sleep 0.1; done")
    terminal.wait_for("ready")
    terminal.type("\x03")
    terminal.wait_for("caught")
    assert terminal.end() == 6


def test_a_large_paste_arrives_whole_whatever_its_bytes(shop):
    data = random.Random(7).randbytes(8 << 20)
    run = shop.run(*FAILS, "--", "sha256sum", stdin=data)
    assert run.returncode == 0
    assert run.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    back = shop.run(*FAILS, "--", "cat", stdin=data)
    assert back.stdout == data


def test_a_process_that_reads_little_ends_the_session_all_the_same(shop):
    run = shop.run(*FAILS, "--", "sh", "-c", "head -c 3; exit 7", stdin=b"abc" * (2 << 20))
    assert (run.returncode, run.stdout) == (7, b"abc")


@pytest.mark.parametrize("on_terminal", [False, True], ids=["pipe", "terminal"])
def test_when_fly_is_killed_its_process_ends_and_the_build_does_not(shop, on_terminal):
    number, watcher = shop.waiting()
    where = ("-b", str(number), "-s", "t", "--")
    script = "echo $$ > /tmp/pid; trap '' INT; (sleep 1000; :) & while :; do sleep 1; done"
    if on_terminal:
        session = shop.terminal(*where, "sh", "-c", script)
        child = session.child
    else:
        child = subprocess.Popen(shop.argv(*where, "sh", "-c", script), env=shop.fly.environment(), stdin=subprocess.PIPE)
    shop_waits = "while ! [ -s /tmp/pid ]; do sleep 0.1; done; cat /tmp/pid"
    pid = shop.run(*where, "sh", "-c", shop_waits).stdout.decode().strip()
    child.kill()
    child.wait()
    gone = shop.run(*where, "sh", "-c", f"while kill -0 {pid} 2>/dev/null; do sleep 0.1; done; ps ax 2>/dev/null | grep -c '[s]leep 1000'")
    assert gone.stdout.strip() in (b"0", b"")
    shop.let_go(number, watcher)
    assert watcher.status() == "succeeded"


def test_without_bash_sh_stands_in_and_gets_what_was_typed(shop):
    number, watcher = shop.waiting()
    where = ("-b", str(number), "-s", "t")
    shop.run(*where, "--", "sh", "-c", "rm -f $(command -v bash) /bin/bash /usr/bin/bash")
    run = shop.run(*where, stdin=b"echo in sh\nexit 8\n")
    assert run.stderr == b"\rCouldn't find \"bash\" on container, retrying with \"sh\"\n\r"
    assert (run.returncode, run.stdout) == (8, b"in sh\n")
    shop.let_go(number, watcher)


def test_a_missing_command_is_named(shop):
    for command, text in (("nosuch", b'exec: \\"nosuch\\": executable file not found in $PATH'),
                          ("/no/such", b'exec: \\"/no/such\\": stat /no/such: no such file or directory')):
        run = shop.run(*FAILS, "--", command)
        assert run.returncode == 255
        assert text in run.stderr and run.stderr.startswith(b"\033[0;1;31mstart process: ")


def test_several_containers_are_offered_in_a_menu(shop):
    terminal = shop.terminal("-j", "p/two", "--step-type", "task", "--", "sh", "-c", "echo in the right one")
    terminal.wait_for(r"Select a container:")
    terminal.wait_for(r">  step: left, type: task")
    terminal.type("j\r")
    terminal.wait_for("in the right one")
    assert terminal.end() == 0
    assert b"Select a container:" in shop.run("-j", "p/two", stdin=b"q").stdout


def test_an_attempt_is_chosen_by_its_number(shop):
    run = shop.run("-j", "p/again", "-a", "2", "--", "echo", "second")
    assert (run.returncode, run.stdout) == (0, b"second\n")
    run = shop.run("-j", "p/again", "-a", "3", "--", "echo", "third")
    assert run.returncode == 1
    assert run.stderr == (b"no containers matched your search parameters!\n\n"
                          b"they may have expired if your build hasn't recently finished.\n")


def test_a_container_is_found_by_handle_and_by_address(shop):
    build = shop.api.builds("p", "fails")[0]
    containers = shop.api.get(f"/teams/main/containers?build_id={build['id']}&step_name=t")
    run = shop.run("--handle", containers[0]["id"], "echo", "by handle")
    assert (run.returncode, run.stdout) == (0, b"by handle\n")
    url = f"{shop.weir.url}/teams/main/pipelines/p/jobs/fails/builds/{build['name']}"
    argv = [str(shop.fly.program), "hijack", "-u", url, "-s", "t", "--", "echo", "by address"]
    run = subprocess.run(argv, env=shop.fly.environment(), capture_output=True, timeout=harness.PATIENCE)
    assert (run.returncode, run.stdout) == (0, b"by address\n")
    run = shop.run("--handle", "no-such", "sh")
    assert run.returncode == 1 and run.stderr.startswith(b"no containers matched the given handle id!\n\n")


def test_a_check_container_is_open_to_admins_only(shop):
    shop.fly("check-resource", "-r", "p/some")
    run = shop.run("-c", "p/some", "--", "ls", "/opt/resource/check")
    assert (run.returncode, run.stdout) == (0, b"/opt/resource/check\n")


def test_a_viewer_is_refused(shop, tmp_path):
    team = shop.api.get("/teams/main")["auth"]
    shop.api.call("PUT", "/teams/main", harness.json.dumps({"auth": {**team, "viewer": {"users": ["local:watcher"]}}}).encode())
    viewer = harness.Fly(shop.weir, tmp_path / "viewer", "watcher", "watcher").login()
    run = shop.run(*FAILS, "--", "id", fly=viewer)
    assert (run.returncode, run.stdout) == (1, b"")
    assert run.stderr == b"error: 403 Forbidden websocket: bad handshake\n"


def test_another_sites_page_is_refused(shop):
    build = shop.api.builds("p", "fails")[0]
    handle = shop.api.get(f"/teams/main/containers?build_id={build['id']}&step_name=t")[0]["id"]
    lines = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Cookie": f'skymarshal_auth="Bearer {shop.api.token}"'}
    for origin, status in (("http://evil.example", 403), ("null", 403), (shop.weir.url, 101)):
        connection = harness.socket.create_connection(("127.0.0.1", shop.weir.port), harness.PATIENCE)
        head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, "Host": f"127.0.0.1:{shop.weir.port}",
                                                                 "Origin": origin}.items())
        connection.sendall(f"GET /api/v1/teams/main/containers/{handle}/hijack HTTP/1.1\r\n{head}\r\n".encode())
        assert connection.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())
        connection.close()


def test_an_idle_session_ends_and_says_why(place):
    server = house.House(place, ["--intercept-idle-timeout", "1s"]).start()
    try:
        shop = Shop(server, harness.Fly(server, place / "home").login(), ["fails"])
        child = subprocess.Popen(shop.argv(*FAILS, "--", "sleep", "1000"), env=shop.fly.environment(),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.wait(harness.PATIENCE) == 255
        assert child.stderr.read() == b"\033[0;1;31midle timeout (1s) reached\033[0m\n"
    finally:
        server.stop()


def test_a_session_keeps_its_container_for_the_grace_and_no_longer(shop):
    number, watcher = shop.waiting()
    where = f"/teams/main/containers?build_id={number}&step_name=t"
    terminal = shop.terminal("-b", str(number), "-s", "t", "--", "sh")
    terminal.type("echo rea''dy\r")
    terminal.wait_for("ready")
    handle = shop.api.get(where)[0]["id"]
    shop.let_go(number, watcher)
    # The janitor runs each second: the build has succeeded, yet what is used stays.
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        assert shop.api.get(where)[0]["state"] == "created"
        time.sleep(0.5)
    terminal.type("echo still''here; exit\r")
    terminal.wait_for("stillhere")
    assert terminal.end() == 0
    deadline = time.monotonic() + harness.PATIENCE
    while any(container["state"] == "created" for container in shop.api.get(where)):
        assert time.monotonic() < deadline, handle
        time.sleep(0.2)
