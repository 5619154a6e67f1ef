"""fly against recordings of the stock client: what it prints, how it exits, what it asks the server, word for word."""

import base64
import datetime
import functools
import hashlib
import io
import os
import pathlib
import re
import shlex
import shutil
import socket
import struct
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import harness

RECORDED_SERVER = "127.0.0.1:8081"
RECORDED_VERSION = "0.0.0-dev"
GOLDEN = os.environ.get("WEIR_GOLDEN")

# Recordings that say nothing about a client replayed on its own.
UNFIT = {
    "086-clear-resource-cache": "the stock client cannot ask a question when its input is /dev/null, and fails; ours takes that for a no",
    "103-execute-priv": "its event stream was recorded compressed, and cut",
}
# The recordings' command lines lack quotes.
QUOTED = ['{"message":"maintenance at noon","ttl":600000000000}', "not.set={a: 1}", "pinned for a reason", "2020-01-01 00:00:00", "echo hijacked; echo onerr >&2; exit 3"]
# When the token that was recorded expires, and from when on active users were asked for.
TOKEN_EXPIRY = datetime.datetime(2026, 11, 24, 7, 38, tzinfo=datetime.timezone.utc)
RECORDED_SINCE = "since=2026-09-23"
# What varies in the output by its nature.
AGE = re.compile(r"\b(?:\d+d|\d+h\d+m|\d+m\d+s|\d+s)\b")


# Bodies whose bytes matter.
COMPARED = ("application/json", "application/x-yaml")
PLAN_ID = re.compile(r'"id":"([0-9a-f]{8})"')


def counted(body):
    """A plan's ids count from the time it was made: as distances from the first."""
    ids = [int(number, 16) for number in PLAN_ID.findall(body)]
    return PLAN_ID.sub(lambda match: f'"id":{int(match[1], 16) - min(ids)}', body)


def accept_of(key):
    """What a WebSocket server answers to a client's key."""
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


class Exchange:
    """One request and its answer, as the recording has them."""

    def __init__(self, request_line):
        self.method, self.path, _ = request_line.split(" ")
        self.request_headers, self.request_body, self.status, self.headers, self.body = [], [], 0, [], []

    def answer(self):
        text = "\n".join(self.body).encode("utf-8", "surrogateescape")
        headers = dict(header.split(": ", 1) for header in self.headers if ": " in header)
        if binary := re.match(rb"\S+ \(\d+ bytes of binary\) base64 of the first 512: (\S+)", text):
            return base64.b64decode(binary[1])
        if "Content-Length" in headers and "Content-Encoding" not in headers:
            # Replaced tokens are shorter than the real ones were.
            return text[: int(headers["Content-Length"])]
        # Between two recorded exchanges stands an empty line of the recording's own.
        return text.removesuffix(b"\n")


def exchanges_of(path):
    """Reads a recording: '>' begins the client's lines, '<' the server's, bodies are bare."""
    exchanges, part = [], "body"
    for line in path.read_bytes().decode("utf-8", "surrogateescape").split("\n"):
        if part in ("body", "status") and line.startswith("> "):
            exchanges.append(Exchange(line[2:]))
            part = "request"
        elif part == "request":
            if line.strip() == ">":
                part = "request body"
            else:
                exchanges[-1].request_headers.append(line[2:])
        elif part == "request body":
            if line.startswith("< HTTP/"):
                exchanges[-1].status = int(line.split(" ")[2])
                part = "headers"
            else:
                exchanges[-1].request_body.append(line)
        elif part == "headers":
            if line.strip() == "<":
                part = "body"
            else:
                exchanges[-1].headers.append(line[2:])
        elif exchanges:
            exchanges[-1].body.append(line)
    return exchanges


def messages_of(stream):
    """The text messages of a WebSocket's bytes, up to their end or a close; masks removed."""
    messages = []
    while len(head := stream.read(2)) == 2 and head[0] & 15 != 8:
        length = head[1] & 127
        if length > 125:
            length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
        mask = stream.read(4) if head[1] & 128 else bytes(4)
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(stream.read(length)))
        if head[0] & 15 == 1:
            messages.append(payload.decode())
    return messages


class Replay:
    """A server that answers recorded requests, each once, in any order but that of equal ones."""

    def __init__(self, exchanges):
        self.left, self.surprises = list(exchanges), []
        lock, replay = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    while size := int(self.rfile.readline(), 16):
                        self.rfile.read(size + 2)
                    self.rfile.readline()
                body = self.rfile.read(length).decode("utf-8", "surrogateescape")
                with lock:
                    found = next((e for e in replay.left if (e.method, e.path) == (self.command, self.path)), None)
                    if found:
                        replay.left.remove(found)
                    else:
                        replay.surprises.append(f"{self.command} {self.path}")
                if found and found.status == 101:
                    self.take_over(found)
                    return
                if found and body and self.headers.get("Content-Type", "") in COMPARED:
                    expected = counted("\n".join(found.request_body).strip())
                    if counted(body.strip()) != expected:
                        replay.surprises.append(f"body of {self.command} {self.path}:\n{body}\ninstead of\n{expected}")
                self.reply(found)

            def take_over(self, found):
                """The recording has what each side sent then."""
                theirs, ours = (base64.b64decode(text) for text in re.findall(r"of the first 512: (\S+)", "\n".join(found.body)))
                self.send_response_only(101)
                for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                    ("Sec-WebSocket-Accept", accept_of(self.headers["Sec-WebSocket-Key"]))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(ours)
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)
                expected, got = messages_of(io.BytesIO(theirs)), messages_of(self.rfile)
                # The process may end before the end of standard input is sent.
                if got != expected[:len(got)] or not got:
                    replay.surprises.append(f"messages {got} instead of {expected}")
                self.close_connection = True

            def reply(self, found):
                answer = found.answer() if found else b"no such exchange was recorded"
                self.send_response_only(found.status if found else 500)
                for header in found.headers if found else []:
                    name, _, value = header.partition(": ")
                    if name not in ("Content-Length", "Content-Encoding", "Transfer-Encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def recording(path):
    """The command, exit code, stdout and stderr of one file."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    command, _, rest = text.partition("\n--- exit ")
    code, _, rest = rest.partition("\n--- stdout\n")
    stdout, _, stderr = rest.rpartition("--- stderr\n")
    for words in QUOTED:
        command = command.replace(words, shlex.quote(words))
    return shlex.split(command.removeprefix("$ ")), int(code), stdout, stderr


def recorded_commands():
    return sorted(path.stem for path in pathlib.Path(GOLDEN, "fly").glob("*.txt")) if GOLDEN else [None]


@functools.cache
def known_commands():
    text = subprocess.run([harness.FLY, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  ([a-z-]+) ", text.partition("Available commands:")[2], re.M)


def of_known(help_text):
    """Without the lines of commands that fly lacks yet."""
    head, title, commands = help_text.partition("Available commands:\n")
    lines = commands.splitlines(keepends=True)
    return head + title + "".join(line for line in lines if not line.strip() or line.split()[0] in known_commands())


def working_directory(golden, place):
    """The recorded pipelines and, for execute, the folder that was sent."""
    shutil.copytree(golden / "pipelines", place)
    (place / "in").mkdir()
    (place / "in/f").write_text("input-file\n")
    return place


def token():
    """One as servers make them: twenty random bytes and the time it expires."""
    return base64.b64encode(bytes(20) + struct.pack("<q", int(TOKEN_EXPIRY.timestamp()))).decode().rstrip("=")


def two_months_ago():
    """As Go counts: a day that the month lacks runs over into the next one."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    year, month = divmod(today.year * 12 + today.month - 1 - 2, 12)
    return datetime.date(year, month + 1, 1) + datetime.timedelta(days=today.day - 1)


def write_flyrc(home, address, token):
    value = f"\n    token:\n      type: bearer\n      value: {token}" if token else ""
    (home / ".flyrc").write_text(f"targets:\n  g:\n    api: http://{address}\n    team: main{value}\n")


def normalised(text):
    """Without what varies by nature; padding is compared."""
    return AGE.sub("AGE", text)


def without_meter(text):
    """curl's progress, which names its speed."""
    return "" if text.lstrip().startswith("% Total") else text


@pytest.mark.parametrize("name", recorded_commands())
def test_does_as_recorded(golden, name, tmp_path):
    words, code, stdout, stderr = recording(golden / "fly" / f"{name}.txt")
    if name in UNFIT:
        pytest.skip(UNFIT[name])
    command = next((word for word in words[1:] if not word.startswith("-") and word != "g"), None)
    if command and command not in known_commands() and command not in ("bad", "nt"):
        pytest.skip(f"{command} is not part of fly yet")
    exchanges = exchanges_of(golden / "http" / f"{name}.txt") if (golden / "http" / f"{name}.txt").exists() else []
    for exchange in exchanges:
        exchange.path = exchange.path.replace(RECORDED_SINCE, f"since={two_months_ago()}")
    replay = Replay(exchanges)
    try:
        write_flyrc(tmp_path, replay.address, "" if name == "119-after-logout" else token())
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TZ": "UTC", "LC_ALL": "C.UTF-8", "TERM": "xterm",
                       "FAKE_FLY_VERSION": RECORDED_VERSION}
        words = [word.replace(RECORDED_SERVER, replay.address) for word in words]
        result = subprocess.run(words, executable=harness.FLY, env=environment, cwd=working_directory(golden, tmp_path / "work"),
                                capture_output=True, stdin=subprocess.DEVNULL, timeout=harness.PATIENCE)
    finally:
        replay.stop()
    got_out, got_err = (part.decode("utf-8", "surrogateescape").replace(replay.address, RECORDED_SERVER)
                        for part in (result.stdout, result.stderr))
    if name == "113-help":
        stdout = of_known(stdout)
    assert without_meter(got_err) == without_meter(stderr)
    assert normalised(got_out) == normalised(stdout)
    assert result.returncode == code
    assert replay.surprises == [] and [f"{e.method} {e.path}" for e in replay.left] == []


@pytest.mark.parametrize("name", sorted(p.stem for p in pathlib.Path(GOLDEN, "help").glob("fly-*.txt")) if GOLDEN else [None])
def test_helps_as_recorded(golden, name):
    command = name.removeprefix("fly-")
    if command not in known_commands():
        pytest.skip(f"{command} is not part of fly yet")
    result = subprocess.run(["fly", command, "--help"], executable=harness.FLY, capture_output=True, text=True, check=True)
    expected = (golden / "help" / f"{name}.txt").read_text()
    assert result.stdout == expected
