"""Bad input, one row each: what is said about it, to the letter, and that nothing was touched.

Starts: whatever is wrong is known before the work directory and the database are touched. Requests: the database is
what it was. `{work}`, `{place}` and `{port}` stand for what they are in the run.
"""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import typing
import urllib.error

import pytest

import harness
import house

SOMEBODY = 65532
USER = ["--add-local-user", "test:test", "--main-team-local-user", "test"]


@pytest.fixture
def place(containers):
    """A folder that every user may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="weir-bad-") as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


def snapshot(folder):
    """Every file below a folder with its content, every directory, and their modes."""
    return {
        str(path): (path.stat().st_mode, path.stat().st_uid, path.read_bytes() if path.is_file() else None)
        for path in [folder, *sorted(folder.rglob("*"))] if path.exists() and not path.is_socket()
    }


# ---- starts ----


class Start(typing.NamedTuple):
    name: str
    words: list  # behind `weir`
    said: str  # behind "error: "
    prepare: typing.Callable = None  # of the place; may return a context that lasts as long as the start
    environment: dict = {}
    user: int = None


def file(name, content="x", mode=0o644):
    def prepare(place):
        path = place / name
        path.write_text(content)
        path.chmod(mode)
    return prepare


def folder(name, mode):
    return lambda place: (place / name).mkdir(mode=mode)


def listening(place):
    taken = socket.create_server(("127.0.0.1", 0))
    (place / "port").write_text(str(taken.getsockname()[1]))
    return taken


def locked(place):
    """As a quickstart that runs has it."""
    (place / "work").mkdir()
    return harness.Process(["flock", "--no-fork", place / "work", "sh", "-c", "echo locked; exec sleep 600"])


def in_use(place):
    """A web node that runs."""
    server = house.House(place)
    (place / "web").mkdir()
    os.chown(place / "web", 0, 0)
    server.start_web()
    server.web.wait_for(r"atc\.listening")
    return server


def database(version):
    """A quickstart's folder whose database a newer program made."""
    def prepare(place):
        with made(place):
            pass
        with sqlite3.connect(place / "web/weir.db") as connection:
            connection.execute("UPDATE weir_schema SET version = ? WHERE version = (SELECT max(version) FROM weir_schema)",
                               (version,))
        connection.close()
        (place / "work").mkdir(mode=0o711)
        shutil.move(place / "web", place / "work/web")
        os.chown(place / "work/web", SOMEBODY, SOMEBODY)
        for path in (place / "work/web").iterdir():
            os.chown(path, SOMEBODY, SOMEBODY)
    return prepare


@contextlib.contextmanager
def made(place):
    """A database as a first start leaves it."""
    server = house.House(place)
    server.start_web()
    yield server
    server.stop()
    for log in place.glob("*.log"):
        log.unlink()


WEB = ["web", "--work-dir", "{work}", "--bind-ip", "127.0.0.1", "--bind-port", "0", *USER]
WORKER = ["worker", "--work-dir", "{work}"]
QUICKSTART = ["quickstart", "--work-dir", "{work}", "--bind-port", "0", *USER]
NOTHING = {"PATH": "/nonexistent"}


def invalid(flag, kind, reason):
    return f"invalid argument for flag `--{flag}' (expected {kind}): {reason}"


STARTS = [
    # the grammar
    Start("no such command", ["nope"], "Unknown command `nope'\n*"),
    Start("a command that is not there yet", ["gateway"], "gateway is not part of this version yet"),
    Start("no such flag of web", ["web", "--nope"], "unknown flag `nope'"),
    Start("no such flag of worker", ["worker", "--nope"], "unknown flag `nope'"),
    Start("no such flag of quickstart", ["quickstart", "--nope"], "unknown flag `nope'"),
    Start("no such flag of quickstart's worker", ["quickstart", "--worker-nope"], "unknown flag `worker-nope'"),
    Start("no such letter", ["quickstart", "-x"], "unknown flag `x'"),
    Start("a word too many", ["web", "extra"], "unexpected positional arguments: [extra]"),
    Start("a flag without its value", ["web", "--bind-port"], "expected argument for flag `--bind-port'"),
    Start("a flag in its place", ["web", "--bind-port", "--nope"],
          "expected argument for flag `--bind-port', but got option `--nope'"),
    Start("a switch with a value", ["web", "--disable-redact-secrets=true"],
          "bool flag `--disable-redact-secrets' cannot have an argument"),
    Start("a required flag that is missing", ["worker"], "the required flag `--work-dir' was not specified"),

    # values
    Start("a number that is none", [*WEB, "--backend-max-conns", "many"],
          invalid("backend-max-conns", "int", 'strconv.ParseInt: parsing "many": invalid syntax')),
    Start("a number that is too large", [*WEB, "--backend-max-conns", "99999999999999999999"],
          invalid("backend-max-conns", "int", 'strconv.ParseInt: parsing "99999999999999999999": value out of range')),
    Start("a number below nothing", [*WEB, "--backend-max-conns=-1"],
          invalid("backend-max-conns", "int", "'-1' is below 0")),
    Start("a port that is none", [*WEB, "--bind-port", "http"],
          invalid("bind-port", "uint16", 'strconv.ParseUint: parsing "http": invalid syntax')),
    Start("a port that is too large", [*WEB, "--bind-port", "99999"],
          invalid("bind-port", "uint16", 'strconv.ParseUint: parsing "99999": value out of range')),
    Start("a port of the worker that is too large", [*WORKER, "--baggageclaim-bind-port", "65536"],
          invalid("baggageclaim-bind-port", "uint16", 'strconv.ParseUint: parsing "65536": value out of range')),
    Start("a duration that is none", [*WEB, "--gc-interval", "soon"],
          invalid("gc-interval", "time.Duration", 'time: invalid duration "soon"')),
    Start("a duration without a unit", [*WEB, "--auth-duration", "1"],
          invalid("auth-duration", "time.Duration", 'time: invalid duration "1"')),
    Start("an interval that has passed", [*WEB, "--gc-interval=-5s"],
          invalid("gc-interval", "time.Duration", "'-5s' is below 0")),
    Start("an interval of the worker that has passed", [*WORKER, "--sweep-interval=-1s"],
          invalid("sweep-interval", "time.Duration", "'-1s' is below 0")),
    Start("a choice that is none", [*WEB, "--log-level", "loud"],
          "Invalid value `loud' for option `--log-level'. Allowed values are: debug, info, error or fatal"),
    Start("a driver that is none", [*WORKER, "--baggageclaim-driver", "zfs"],
          "Invalid value `zfs' for option `--baggageclaim-driver'. Allowed values are: detect, naive, btrfs or overlay"),
    Start("a strategy that is none", [*WEB, "--container-placement-strategy", "best"],
          "invalid container placement strategy 'best'"),
    Start("an address that is none", [*WEB, "--bind-ip", "here"], invalid("bind-ip", "flag.IP", "invalid IP: 'here'")),
    Start("a URL without a scheme", [*WEB, "--external-url", "ci.example.com"],
          invalid("external-url", "flag.URL", "missing scheme in 'ci.example.com'")),
    Start("a URL without a host", [*WEB, "--external-url", "http://"],
          invalid("external-url", "flag.URL", "missing host in 'http://'")),
    Start("a file that is not there", [*WEB, "--session-signing-key", "{place}/key"],
          invalid("session-signing-key", "flag.File", "path '{place}/key' does not exist")),
    Start("a folder for a file", [*WEB, "--session-signing-key", "{place}"],
          invalid("session-signing-key", "flag.File", "path '{place}' is a directory, not a file")),
    Start("a file for a folder", [*WEB, "--cli-artifacts-dir", "{place}/file"],
          invalid("cli-artifacts-dir", "flag.Dir", "path '{place}/file' is not a directory"), file("file")),
    Start("a key that is none", [*WEB, "--session-signing-key", "{place}/key"],
          invalid("session-signing-key", "flag.PrivateKey", "failed to read private key file ({place}/key): *"), file("key")),
    Start("a key of a wrong length", [*WEB, "--encryption-key", "short"],
          invalid("encryption-key", "flag.Cipher", "failed to construct AES cipher: crypto/aes: invalid key size 5")),
    Start("a user without a password", ["web", "--work-dir", "{work}", "--bind-port", "0", "--add-local-user", "test",
                                        "--main-team-local-user", "test"],
          "invalid local user 'test': expected NAME:PASSWORD"),
    Start("a main team without owners", ["web", "--work-dir", "{work}", "--bind-port", "0"],
          "default team auth not configured: auth config for the team does not have users and groups configured"),
    Start("a device rule that is none", [*WORKER, "--containerd-allowed-device", "all"],
          "*invalid device rule 'all': must be like 'c 10:200 rwm'"),
    Start("a variable that is wrong", WEB, invalid("gc-interval", "time.Duration", 'time: invalid duration ""'),
          environment={"CONCOURSE_GC_INTERVAL": ""}),
    Start("a switch that is wrong", WEB,
          invalid("disable-redact-secrets", "string", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
          environment={"WEIR_DISABLE_REDACT_SECRETS": "maybe"}),

    # the machine
    Start("not root", QUICKSTART, "quickstart must be run as root: its worker makes containers", user=SOMEBODY),
    Start("a worker that is not root", WORKER, "*worker must be run as root", user=SOMEBODY),
    Start("no runtime", QUICKSTART,
          "no OCI runtime found: install runc or crun, or name one with --worker-oci-runtime", environment=NOTHING),
    Start("no such runtime for a worker", [*WORKER, "--oci-runtime", "nope"], "no OCI runtime found: no program 'nope'"),
    Start("no such runtime", [*QUICKSTART, "--worker-oci-runtime", "nope"], "no OCI runtime found: no program 'nope'"),
    Start("a port in use", ["quickstart", "--work-dir", "{work}", "--bind-port", "{port}", *USER],
          "listen tcp 127.0.0.1:{port}: bind: address already in use", listening),
    Start("a port in use, web alone", ["web", "--work-dir", "{work}", "--bind-ip", "127.0.0.1", "--bind-port", "{port}", *USER],
          "listen tcp 127.0.0.1:{port}: bind: address already in use", listening),
    Start("a work directory that is a file", QUICKSTART, "work directory {work}: Not a directory", file("work")),
    Start("a second start", QUICKSTART, "work directory {work} is in use by another quickstart", locked),
    Start("a second web node", ["web", "--work-dir", "{place}/web", "--bind-ip", "127.0.0.1", "--bind-port", "0", *USER],
          "database {place}/web/weir.db is in use by another process", in_use),
    Start("an unwritable work directory", WEB, "work directory {work}: Permission denied", folder("work", 0o755), user=SOMEBODY),
    Start("a work directory in a folder that is not ours", WEB, "make directory {work}: Permission denied", user=SOMEBODY),
    Start("a database of a newer version", QUICKSTART,
          "database has version 9999, and this program knows versions up to *: start a newer program, or restore a backup",
          database(9999)),
    Start("a database that is none", ["web", "--work-dir", "{place}", "--bind-ip", "127.0.0.1", "--bind-port", "0", *USER],
          "open {place}/weir.db: database: file is not a database", file("weir.db", "no database " * 1000)),
]


def pattern(said, place):
    """`said` as a regular expression: * is anything, the rest is itself."""
    port = (place / "port").read_text() if (place / "port").exists() else ""
    text = said.replace("{work}", str(place / "work")).replace("{place}", str(place)).replace("{port}", port)
    return "error: " + ".*".join(map(re.escape, text.split("*"))) + "\n?"


def fill_in(words, place):
    port = (place / "port").read_text() if (place / "port").exists() else ""
    return [str(word).format(work=place / "work", place=place, port=port) for word in words]


def start(row, place):
    options = {} if row.user is None else {"user": row.user, "group": row.user, "extra_groups": []}
    return subprocess.run([str(harness.WEIR), *fill_in(row.words, place)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=harness.PATIENCE, env={**os.environ, **row.environment}, **options)


@contextlib.contextmanager
def prepared(row, place):
    """What the row's start finds."""
    found = row.prepare(place) if row.prepare else None
    if isinstance(found, harness.Process):
        found.wait_for("locked")
    try:
        yield
    finally:
        if isinstance(found, (harness.Process, house.House)):
            found.stop()
        elif found:
            found.close()


@pytest.mark.parametrize("row", STARTS, ids=[row.name for row in STARTS])
def test_a_start_that_cannot_be_says_why_and_touches_nothing(place, row):
    with prepared(row, place):
        before = snapshot(place)
        run = start(row, place)
        # What a server that runs writes meanwhile is its own.
        ours = {} if row.prepare is in_use else before
        lines = [line for line in run.stderr.splitlines(keepends=True) if not line.startswith('{"timestamp"')]
        assert re.fullmatch(pattern(row.said, place), "".join(lines), re.S), run.stderr
        assert run.returncode == 1
        assert run.stdout == ""
        after = snapshot(place)
        assert {path: after.get(path) for path in ours} == ours
        assert not set(after) - set(before)


def dump(database):
    """A PostgreSQL database's tables and rows as text."""
    words = ["pg_dump", "--inserts", "-h", database.place["host"], "-U", database.place["user"], database.name]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if "restrict " not in line]  # a word of the dump's own, each time another


def test_a_postgresql_database_of_a_newer_version_is_refused_and_left_as_it_is(place, postgres):
    database = house.Database(postgres)
    server = house.House(place, database=database)
    server.start_web()
    server.stop()
    database.psql("UPDATE weir_schema SET version = 9999 WHERE version = (SELECT max(version) FROM weir_schema)")
    before = dump(database)
    run = start(Start("newer", ["web", "--work-dir", str(place / "web"), "--bind-ip", "127.0.0.1", "--bind-port", "0", *USER,
                                *database.flags()], ""), place)
    assert run.returncode == 1
    assert re.search(r"^error: database has version 9999, and this program knows versions up to \d+: "
                     r"start a newer program, or restore a backup$", run.stderr, re.M), run.stderr
    assert dump(database) == before


# ---- requests of a server that runs ----

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + last] * 9)}]\n" for last, name in zip("abcdefgh", "bcdefghi")) + "jobs: *i\n"
MISSING = "jobs: [{name: j, plan: [{get: nowhere}]}]\n"
PARSE = "error: error parsing yaml before applying templates: yaml: "
CONVERT = '{"errors":["malformed config: error converting YAML to JSON: yaml: %s"]}\n'

# name, text, what fly says on stderr, the API's status and answer
CONFIGS = [
    ("not YAML", "jobs: [", PARSE + "line 1: did not find expected node content\n", 400,
     CONVERT % "line 1: did not find expected node content"),
    ("a tab", "\tjobs: []", PARSE + "found character that cannot start any token\n", 400,
     CONVERT % "found character that cannot start any token"),
    ("not text", "jobs: \x01", PARSE + "control characters are not allowed\n", 400,
     CONVERT % "control characters are not allowed"),
    ("a list", "- a\n", PARSE + "unmarshal errors:\n  line 1: cannot unmarshal !!seq into map[string]interface {}\n", 400,
     '{"errors":["malformed config: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value '
     'of type atc.Config"]}\n'),
    ("10 MB", "jobs:\n" + "- {name: a, plan: []}\n" * 480_000, PARSE + "more than 8388608 bytes\n", 413,
     '{"errors":["malformed config: more than 8388608 bytes"]}\n'),
    ("an alias bomb", BOMB, PARSE + "document contains excessive aliasing\n", 400,
     CONVERT % "document contains excessive aliasing"),
    ("20 000 deep", "jobs: " + "[" * 20000 + "]" * 20000, PARSE + "exceeded max depth of 200\n", 400,
     CONVERT % "exceeded max depth of 200"),
]


@pytest.fixture(scope="module")
def server(containers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bad")
    running = house.House(directory).start_web()
    api = house.Api(running).login()
    api.set_pipeline("kept", {"resources": [{"name": "r", "type": "mock", "source": {}}],
                              "jobs": [{"name": "j", "plan": [{"get": "r"}]}]})
    api.call("PUT", "/teams/main/pipelines/kept/pause")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    return harness.Fly(server, tmp_path_factory.mktemp("home")).login()


def content(server):
    """What people have put into the database."""
    with sqlite3.connect(f"file:{server.directory}/web/weir.db?mode=ro", uri=True) as connection:
        tables = ["teams", "pipelines", "jobs", "resources", "job_inputs", "builds", "versions"]
        found = {table: connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in tables}
        found["accounts"] = connection.execute("SELECT sub, username FROM accounts ORDER BY sub").fetchall()
        found["counters"] = connection.execute("SELECT * FROM counters WHERE name <> 'build' ORDER BY name").fetchall()
    connection.close()
    return found


def put_config(server, text, pipeline="bad"):
    """Status and body of the answer."""
    api = house.Api(server).login()
    request = house.urllib.request.Request(
        f"{server.url}/api/v1/teams/main/pipelines/{pipeline}/config", text.encode(),
        {"Authorization": "Bearer " + api.token, "Content-Type": "application/x-yaml"}, method="PUT")
    try:
        with house.urllib.request.urlopen(request, timeout=harness.PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def run_fly(client, *words, stdin=subprocess.DEVNULL):
    return subprocess.run([str(client.program), *map(str, words)], env=client.environment(), stdin=stdin, capture_output=True,
                          text=True, timeout=harness.PATIENCE)


@pytest.mark.parametrize("name, text, said, status, answer", CONFIGS, ids=[row[0] for row in CONFIGS])
def test_a_config_that_is_none_is_refused_by_fly_and_by_the_server(server, client, tmp_path, name, text, said, status, answer):
    path = tmp_path / "pipeline.yml"
    path.write_text(text)
    before = content(server)
    for words in (["-t", "test", "set-pipeline", "-n", "-p", "bad", "-c", path], ["validate-pipeline", "-c", path]):
        run = run_fly(client, *words)
        assert (run.returncode, run.stdout, run.stderr) == (1, "", said)
    assert put_config(server, text) == (status, answer)
    assert content(server) == before


def test_a_missing_resource_is_named(server, client, tmp_path):
    path = tmp_path / "pipeline.yml"
    path.write_text(MISSING)
    before = content(server)
    unknown = "invalid jobs:\n\tjobs.j.plan.do[0].get(nowhere): unknown resource 'nowhere'\n"
    run = run_fly(client, "-t", "test", "set-pipeline", "-n", "-p", "bad", "-c", path)
    assert (run.returncode, run.stderr) == (1, "error: invalid pipeline config:\n" + unknown + "\n"), run
    run = run_fly(client, "validate-pipeline", "-c", path)
    assert run.returncode == 1 and "unknown resource 'nowhere'" in run.stderr
    status, answer = put_config(server, MISSING)
    assert (status, "unknown resource 'nowhere'" in answer) == (400, True)
    assert content(server) == before


def test_a_config_in_place_of_another_leaves_that_one_as_it_is(server):
    put_config(server, BOMB, "kept")
    before = content(server)
    for _, text, _, status, answer in CONFIGS:
        assert put_config(server, text, "kept") == (status, answer)
    assert content(server) == before


@pytest.mark.parametrize("user, password, said", [
    ("test", "wrong", '"access_denied" "Invalid username or password"'),
    ("nobody", "test", '"access_denied" "Invalid username or password"'),
    ("test", "x" * 100_000, '"invalid_request" "request body too large"')], ids=["wrong", "nobody's", "endless"])
def test_a_wrong_password_is_refused(server, tmp_path, user, password, said):
    home = harness.Fly(server, tmp_path / "home")
    before = content(server)
    run = run_fly(home, "-t", "other", "login", "-c", server.url, "-u", user, "-p", password)
    assert run.returncode == 1, run
    assert run.stderr == f"error: oauth2: {said}\n"
    assert content(server) == before
    assert not (home.home / ".flyrc").exists()


# ---- disks ----


def test_a_full_disk_is_said_and_a_start_after_it_works(place):
    with house.disk(place, 16) as small:
        server = house.House(small)
        house.fill(small / "filler")
        run = start(Start("full", ["web", "--work-dir", str(small / "web"), "--bind-ip", "127.0.0.1", "--bind-port", "0", *USER], ""), place)
        assert run.returncode == 1
        assert re.fullmatch(r"error: .*(No space left on device|database or disk is full)\n", run.stderr), run.stderr
        (small / "filler").unlink()
        server.start_web()
        server.stop()


def test_programs_in_a_folder_that_is_closed_to_others_run_all_the_same(place):
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    for program in ("src/cmd/weir", "src/cmd/weir-quickstart", "src/cmd/weir-web", "src/cmd/weir-worker", "src/worker/init/weir-init"):
        (closed / program).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(harness.BUILD / program, closed / program)
    server = harness.Weir(place)
    server.program = closed / "src/cmd/weir"
    try:
        server.start()
        fly = harness.Fly(server, place / "home").login()
        fly.set_pipeline("p", """
jobs:
- name: j
  plan:
  - task: t
    config:
      platform: linux
      image_resource: {type: mock, source: {mirror_self: true}}
      run: {path: echo, args: [content]}
""")
        assert "content" in fly("trigger-job", "-j", "p/j", "-w")
    finally:
        server.stop()


@pytest.mark.parametrize("itself", [False, True], ids=["above", "itself"])
def test_a_work_directory_that_is_closed_to_others_is_served_all_the_same(place, itself):
    """/root is such a folder: web node and containers run as others, who may not pass it."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    server = harness.Weir(place)
    server.work = closed if itself else closed / "weir"
    try:
        server.start()
        assert re.search(rf"^  work directory    {server.work}\n +\(others may not enter {closed}: bound to /run/weir/\w+ for them\)$",
                         server.process.output, re.M)
        fly = harness.Fly(server, place / "home").login()
        fly.set_pipeline("p", """
resources: [{name: r, type: mock, source: {initial_version: "1", create_files: {name: content}}}]
jobs:
- name: j
  plan:
  - get: r
  - task: t
    config:
      platform: linux
      image_resource: {type: mock, source: {mirror_self: true}}
      inputs: [{name: r}]
      run: {path: cat, args: [r/name]}
""")
        assert "content" in fly("trigger-job", "-j", "p/j", "-w")
        assert closed.stat().st_mode & 0o777 == 0o700 and (server.work / "web/weir.db").exists()
        # Once more, on what is there.
        server.stop()
        server.start()
        assert "content" in fly("trigger-job", "-j", "p/j", "-w")
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        assert "/run/weir/" not in mounts
    finally:
        server.stop()
