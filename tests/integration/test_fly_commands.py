"""fly against a server that a test scripts: what execute sends, sync, completion, and questions that are asked."""

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import harness

VERSION = "8.2.5"
TEAM = "/api/v1/teams/main"
TASK = """
platform: linux
inputs: [{name: one}, {name: two, optional: true}]
outputs: [{name: out}]
run: {path: ls}
"""


class Scripted:
    """Answers what it was told to, {"METHOD /path": answer}: JSON, bytes, (status, text), or a function of the request's body and query.
    Remembers what it was asked."""

    def __init__(self):
        self.asked, self.bodies = [], []
        self.answers = {"GET /api/v1/info": {"version": VERSION, "worker_version": "3.0"}}
        lock, scripted = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def body(self):
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def any(self):
                path, _, query = self.path.partition("?")
                request = f"{self.command} {path}"
                body = self.body()
                with lock:
                    scripted.asked.append(request)
                    scripted.bodies.append(body)
                answer = scripted.answers.get(request, (404, ""))
                if callable(answer):
                    answer = answer(body, urllib.parse.parse_qs(query))
                status, content = answer if isinstance(answer, tuple) else (200, answer)
                kind = "text/event-stream" if path.endswith("/events") else "application/json"
                if not isinstance(content, (str, bytes)):
                    content = json.dumps(content)
                content = content if isinstance(content, bytes) else content.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = any

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def body_of(self, request):
        return self.bodies[self.asked.index(request)]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server():
    if not harness.FLY.exists():
        pytest.skip(f"there is no fly in {harness.BUILD}")
    one = Scripted()
    yield one
    one.stop()


class Client:
    def __init__(self, server, home):
        self.home, self.program = home, harness.FLY
        home.mkdir()
        token = "token: {type: bearer, value: x}"
        (home / ".flyrc").write_text(f"targets:\n  t:\n    api: {server.url}\n    team: main\n    {token}\n")

    def __call__(self, *words, status=0, stdin="", where=None, **environment):
        run = subprocess.run(["fly", *words], executable=self.program, cwd=where or self.home, input=stdin, text=True,
                             capture_output=True, timeout=harness.PATIENCE,
                             env={"PATH": os.environ["PATH"], "HOME": str(self.home), "FAKE_FLY_VERSION": VERSION, **environment})
        assert run.returncode == status, run.stdout + run.stderr
        return run.stdout + run.stderr


@pytest.fixture
def fly(server, tmp_path):
    return Client(server, tmp_path / "home")


# ---- execute ----

def event(kind, data, number):
    text = json.dumps({"data": data, "event": kind, "version": "1.0", "event_id": str(number)}, separators=(",", ":"))
    return f"id: {number}\nevent: event\ndata: {text}\n\n"


@pytest.fixture
def task(server, tmp_path):
    """A server that runs every build to its end, and a folder with a task."""
    ids = iter(range(100, 200))
    sent = {}

    def take(body, query):
        number = next(ids)
        sent[number] = (body, query)
        return 201, {"id": number, "name": "", "build_id": 0, "created_at": 1}

    server.sent = sent
    server.answers.update({
        f"POST {TEAM}/artifacts": take,
        f"POST {TEAM}/builds": (201, {"id": 7, "name": "7", "status": "started", "team_name": "main"}),
        "GET /api/v1/builds/7/events": event("status", {"status": "succeeded", "time": 1}, 0) + "id: 1\nevent: end\ndata:\n\n",
        "GET /api/v1/builds/7/artifacts": [],
    })
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "task.yml").write_text(TASK)
    return folder


def names_in(archive):
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as tar:
        return tar.getnames()


def files_in(archive):
    """Its files' names, "./" taken away."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as tar:
        return sorted(member.name.removeprefix("./") for member in tar if not member.isdir())


def git_tree(folder):
    """A work tree with a tracked, a changed, a deleted, a new and an ignored file, and a link."""
    folder.mkdir()
    for name in ("tracked", "deleted"):
        (folder / name).write_text(name)
    (folder / "sub").mkdir()
    (folder / "sub/deep").write_text("deep")
    (folder / ".gitignore").write_text("ignored\n*.o\n")
    settings = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "-A"], [*settings, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    (folder / "deleted").unlink()
    for name in ("new", "ignored", "sub/x.o"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("tracked")
    return folder


def test_execute_leaves_out_what_git_ignores_and_git_itself(fly, server, task, tmp_path):
    tree = git_tree(tmp_path / "tree")
    fly("-t", "t", "execute", "-c", "task.yml", "-i", f"one={tree}", where=task)
    assert files_in(server.sent[100][0]) == [".gitignore", "link", "new", "sub/deep", "tracked"]


def test_execute_sends_only_a_folder_of_a_work_tree_when_that_is_the_input(fly, server, task, tmp_path):
    tree = git_tree(tmp_path / "tree")
    fly("-t", "t", "execute", "-c", "task.yml", "-i", f"one={tree}/sub", where=task)
    assert files_in(server.sent[100][0]) == ["deep"]


def test_execute_sends_everything_with_include_ignored(fly, server, task, tmp_path):
    tree = git_tree(tmp_path / "tree")
    fly("-t", "t", "execute", "-c", "task.yml", "--include-ignored", "-i", f"one={tree}", where=task)
    files = files_in(server.sent[100][0])
    assert {"ignored", "sub/x.o", "new", "tracked", ".git/HEAD"} <= set(files) and "deleted" not in files


@pytest.mark.parametrize("has_git", [True, False])
def test_execute_sends_a_folder_that_is_no_work_tree_whole(fly, server, task, tmp_path, has_git):
    tree = tmp_path / "plain" if has_git else git_tree(tmp_path / "tree")
    tree.mkdir(exist_ok=True)
    (tree / "file").write_text("x")
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("tar", "gzip"):
        (tools / tool).symlink_to(shutil.which(tool))
    path = os.environ["PATH"] if has_git else str(tools)
    fly("-t", "t", "execute", "-c", "task.yml", "-i", f"one={tree}", where=task, PATH=path)
    names = names_in(server.sent[100][0])
    assert names[0] == "." and "./file" in names and has_git != ("./ignored" in names)


def test_execute_sends_all_inputs_at_once(fly, server, task, tmp_path):
    both = threading.Barrier(2, timeout=harness.PATIENCE)
    take = server.answers[f"POST {TEAM}/artifacts"]

    def after_the_other(body, query):
        both.wait()
        return take(body, query)

    server.answers[f"POST {TEAM}/artifacts"] = after_the_other
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("x")
    fly("-t", "t", "execute", "-c", "task.yml", "-i", f"one={tmp_path}/a", "-i", f"two={tmp_path}/b", where=task)
    plan = json.loads(server.body_of(f"POST {TEAM}/builds"))
    sources = {step["artifact_input"]["name"]: step["artifact_input"]["artifact_id"] for step in plan["do"][0]["in_parallel"]["steps"]}
    assert {name: files_in(server.sent[number][0]) for name, number in sources.items()} == {"one": ["a"], "two": ["b"]}


def test_execute_says_which_input_could_not_be_sent_and_starts_nothing(fly, server, task, tmp_path):
    server.answers[f"POST {TEAM}/artifacts"] = (500, "no disk")
    said = fly("-t", "t", "execute", "-c", "task.yml", "-i", f"one={tmp_path}", where=task, status=1)
    assert "'uploading one' failed: Unexpected Response\nStatus: 500 Internal Server Error\nBody: no disk" in said
    assert f"POST {TEAM}/builds" not in server.asked


def test_execute_sends_its_tags_with_inputs_and_plan(fly, server, task, tmp_path):
    fly("-t", "t", "execute", "-c", "task.yml", "-i", f"one={tmp_path}/home", "--tag", "big", "--tag", "x y", where=task)
    assert server.sent[100][1] == {"platform": ["linux"], "tags": ["big", "x y"]}
    assert json.loads(server.body_of(f"POST {TEAM}/builds"))["do"][1]["task"]["tags"] == ["big", "x y"]


JOB = f"{TEAM}/pipelines/p/jobs/j"


@pytest.fixture
def job(server, task):
    server.answers.update({
        f"GET {JOB}/inputs": [
            {"name": "image", "resource": "image", "type": "registry-image", "source": {"repository": "r"},
             "params": {"format": "rootfs"}, "version": {"digest": "sha256:1"}},
            {"name": "code", "resource": "code", "type": "git", "source": {"uri": "u"}, "version": {"ref": "1"}, "tags": ["t"]}],
        f"GET {TEAM}/pipelines/p/resource-types": [],
        f"POST {TEAM}/pipelines/p/builds": (201, {"id": 7, "name": "7", "status": "started", "team_name": "main"}),
    })
    return task


def plan_of_job(server):
    return json.loads(server.body_of(f"POST {TEAM}/pipelines/p/builds"))["do"]


def test_execute_takes_the_inputs_of_a_job_by_their_mapped_names(fly, server, job):
    fly("-t", "t", "execute", "-c", "task.yml", "-j", "p/j", "-m", "one=code", where=job)
    inputs, one_off = plan_of_job(server)
    assert [(step["get"]["name"], step["get"]["version"], step["get"]["tags"]) for step in inputs["in_parallel"]["steps"]] == [
        ("one", {"ref": "1"}, ["t"])]
    assert one_off["task"]["input_mapping"] == {"one": "code"}


def test_execute_runs_in_the_image_that_a_job_has_as_an_input(fly, server, job):
    fly("-t", "t", "execute", "-c", "task.yml", "-j", "p/j", "-m", "one=code", "--image", "image", where=job)
    assert plan_of_job(server)[1]["task"]["config"]["image_resource"] == {
        "name": "", "type": "registry-image", "source": {"repository": "r"}, "version": {"digest": "sha256:1"},
        "params": {"format": "rootfs"}}


def test_execute_refuses_an_image_that_the_job_does_not_have(fly, server, job):
    assert "error: image resource nope not found\n" in fly("-t", "t", "execute", "-c", "task.yml", "-j", "p/j", "--image", "nope",
                                                            where=job, status=1)


def test_execute_refuses_an_image_without_a_job_to_look_it_up_in(fly, task, tmp_path):
    said = fly("-t", "t", "execute", "-c", "task.yml", "-i", f"one={tmp_path}", "--image", "image", where=task, status=1)
    assert said == "error: must set --inputs-from when using --image so fly knows which job to look up the image\n"


def test_execute_fetches_an_output_with_modes_links_and_empty_folders(fly, server, task, tmp_path):
    made = tmp_path / "made"
    (made / "empty").mkdir(parents=True)
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    (made / "link").symlink_to("run.sh")
    packed = subprocess.run(["tar", "-C", made, "-czf", "-", "."], capture_output=True, check=True).stdout
    server.answers["GET /api/v1/builds/7/artifacts"] = [{"id": 9, "name": "out", "build_id": 7, "created_at": 1}]
    server.answers[f"GET {TEAM}/artifacts/9"] = packed
    fly("-t", "t", "execute", "-c", "task.yml", "-i", f"one={tmp_path}/home", "-o", f"out={tmp_path}/x/y", where=task)
    got = tmp_path / "x/y"
    assert (got / "empty").is_dir() and (got / "link").readlink().name == "run.sh" and (got / "run.sh").stat().st_mode & 0o777 == 0o755


# ---- sync ----

@pytest.fixture
def copied(fly, tmp_path):
    """fly in a folder of its own, that may be replaced."""
    (tmp_path / "bin").mkdir()
    fly.program = tmp_path / "bin/fly"
    shutil.copy(harness.FLY, fly.program)
    return fly


def test_sync_does_nothing_when_versions_match(copied, server):
    assert copied("-t", "t", "sync") == f"version {VERSION} already matches; skipping\n"


@pytest.mark.parametrize("words", [["-f"], []])
def test_sync_replaces_the_program_that_runs_and_keeps_its_mode(copied, server, words):
    new = b"#!/bin/sh\necho new\n"
    asked = []
    server.answers["GET /api/v1/cli"] = lambda body, query: asked.append(query) or new
    copied.program.chmod(0o750)
    said = copied("-t", "t", "sync", *words, FAKE_FLY_VERSION=VERSION if words else "8.2.4")
    assert said == f"downloading fly from {server.url}...\n\ndone\n"
    assert copied.program.read_bytes() == new and copied.program.stat().st_mode & 0o777 == 0o750
    assert asked[0]["platform"] == ["linux"] and re.fullmatch(r"[a-z0-9]+", asked[0]["arch"][0])
    assert [path.name for path in copied.program.parent.iterdir()] == ["fly"]


def test_sync_keeps_the_old_program_when_the_server_has_none(copied, server):
    before = copied.program.read_bytes()
    server.answers["GET /api/v1/cli"] = (500, "failed to open tgz archive: open fly-linux-amd64.tgz: no such file or directory\n")
    assert "failed to open tgz archive" in copied("-t", "t", "sync", "-f", status=1)
    assert copied.program.read_bytes() == before and [path.name for path in copied.program.parent.iterdir()] == ["fly"]


def test_sync_without_a_target_asks_the_given_server(copied, server):
    assert copied("sync", "-c", server.url) == f"version {VERSION} already matches; skipping\n"


# ---- completion ----

def complete(fly, *words):
    return fly(*words, GO_FLAGS_COMPLETION="1").splitlines()


def test_commands_options_and_targets_complete(fly):
    assert complete(fly, "set-p") == ["set-pipeline"]
    assert "--input-mapping" in complete(fly, "execute", "--input-m")
    assert complete(fly, "-t", "") == ["t"]


def test_pipelines_jobs_teams_and_workers_complete_from_the_server(fly, server):
    server.answers.update({
        f"GET {TEAM}/pipelines": [{"id": 1, "name": "app", "team_name": "main"},
                                  {"id": 2, "name": "app", "team_name": "main", "instance_vars": {"branch": "feature/x"}}],
        f"GET {TEAM}/pipelines/app/jobs": [{"id": 1, "name": "unit"}, {"id": 2, "name": "ship"}],
        "GET /api/v1/teams": [{"id": 1, "name": "main"}], "GET /api/v1/workers": [{"name": "w1"}]})
    assert complete(fly, "-t", "t", "get-pipeline", "-p", "a") == ["app", 'app/branch:"feature/x"']
    assert complete(fly, "-t", "t", "trigger-job", "-j", "app/u") == ["app/unit"]
    assert complete(fly, "-t", "t", "prune-worker", "-w", "w") == ["w1"]
    assert complete(fly, "-t", "t", "jobs", "-p", "app", "--team", "m") == ["main"]


def test_completion_says_nothing_when_the_server_is_away(fly, server):
    server.stop()
    assert complete(fly, "-t", "t", "get-pipeline", "-p", "a") == []


def test_bash_completes_through_the_script(fly, tmp_path):
    script = (f"{fly('completion', '--shell', 'bash')}\n"
              "COMP_WORDS=(fly unpause-j) COMP_CWORD=1; _fly_compl; printf '%s\\n' \"${COMPREPLY[@]}\"\n")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "fly").symlink_to(harness.FLY)
    run = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True,
                         env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(fly.home)})
    assert run.stdout == "unpause-job\n"


def test_completion_has_scripts_for_zsh_and_fish_and_for_no_other(fly):
    assert fly("completion", "--shell", "zsh").startswith("autoload -Uz compinit")
    fish = fly("completion", "--shell", "fish").splitlines()
    assert all(line.startswith("complete -c fly ") for line in fish)
    assert any('-a "set-pipeline"' in line and "(alias: sp)" in line for line in fish)
    assert "Allowed values are: bash, zsh or fish" in fly("completion", "--shell", "csh", status=1)


# ---- questions ----

PIPELINE = f"{TEAM}/pipelines/p"


@pytest.mark.parametrize("answer, destroys", [("y\r", True), ("YES\n", True), ("maybe\ry\r", True), ("n\r", False), ("\r", False), ("\033", False),
                                              ("", False)])
def test_destroying_asks_first(fly, server, answer, destroys):
    server.answers.update({f"GET {PIPELINE}": {"id": 1, "name": "p", "team_name": "main"}, f"DELETE {PIPELINE}": (204, "")})
    said = fly("-t", "t", "destroy-pipeline", "-p", "p", stdin=answer)
    assert said.startswith("!!! this will remove all data for pipeline `p`\n\nare you sure? [yN]: ")
    assert (f"DELETE {PIPELINE}" in server.asked) == destroys and ("`p` deleted" in said) == destroys
    assert ("bailing out" in said) != destroys and ("Unknown input. Please enter y/yes/n/no." in said) == ("maybe" in answer)


@pytest.mark.parametrize("answer, applies", [("y\r", True), ("n\r", False)])
def test_a_pipeline_is_set_once_its_diff_was_agreed_to(fly, server, answer, applies):
    server.answers.update({f"GET {PIPELINE}": {"id": 1, "name": "p", "team_name": "main"}, f"PUT {PIPELINE}/config": (201, {})})
    (fly.home / "p.yml").write_text("jobs: [{name: j, plan: []}]\n")
    said = fly("-t", "t", "set-pipeline", "-p", "p", "-c", "p.yml", stdin=answer)
    assert "apply configuration? [yN]: " in said
    assert ("pipeline created!" in said) == applies and ("bailing out" in said) != applies
    assert (f"PUT {PIPELINE}/config" in server.asked) == applies


def test_a_team_is_destroyed_once_its_name_was_typed(fly, server):
    server.answers[f"DELETE {TEAM.replace('main', 'old')}"] = (204, "")
    words = ["-t", "t", "destroy-team", "-n", "old"]
    assert "error: incorrect team name; bailing out" in fly(*words, stdin="main\r", status=1)
    assert "`old` deleted" in fly(*words, stdin="old\r")


def test_a_team_that_was_not_agreed_to_is_an_error(fly, server):
    said = fly("-t", "t", "set-team", "-n", "x", "--local-user", "u", stdin="n\r", status=1)
    assert said.endswith("bailing out\n") and not any(request.startswith("PUT") for request in server.asked)


@pytest.mark.parametrize("words, request_, answer", [
    (["clear-task-cache", "-j", "p/j", "-s", "s"], f"DELETE {PIPELINE}/jobs/j/tasks/s/cache", {"caches_removed": 3}),
    (["clear-resource-cache", "-r", "p/r"], f"DELETE {PIPELINE}/resources/r/cache", {"caches_removed": 3}),
    (["archive-pipeline", "-p", "p"], f"PUT {PIPELINE}/archive", ""),
])
def test_what_throws_things_away_asks_first(fly, server, words, request_, answer):
    server.answers[request_] = answer
    fly("-t", "t", *words, stdin="n\r")
    assert request_ not in server.asked
    fly("-t", "t", *words, stdin="y\r")
    assert request_ in server.asked
