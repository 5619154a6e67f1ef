"""The projects of docs/examples, as a new user would run them: repositories, a registry, five pipelines, all green.

Compilers and interpreters are heavy: here the images have programs of their names that only say that they were called. With the soak
marker, images of real packages are made as docs/images.md says.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import harness
import registry as registries

EXAMPLES = harness.ROOT / "docs/examples"
HOOK = "a secret of the git server"
# Projects: their repository, and the jobs that end green without a hand being lifted.
PROJECTS = {
    "c": ("calc", ["test", "package"]),
    "go": ("hello", ["test", "build"]),
    "python": ("shop", ["reconfigure", "test"]),
    "node": ("slug", ["test", "publish"]),
    "train": ("service", ["test", "image", "release"]),
}

# What stands in for the tools: they do what the pipelines see of them.
LAYOUT = "/opt/layout"
TOOLS = {
    "make": 'echo "make $*"; case "$*" in *test*) echo object > calc.o ;; *) echo calc > program/calc ;; esac',
    "umoci": f'[ "$1" != init ] || cp -r {LAYOUT} "$3"',
    "go": 'case "$1" in build) while [ "$1" != -o ]; do shift; done; echo hello > "$2" ;; *) echo "go $*" ;; esac',
    "git": "echo v1.2.3",
    "python3": 'case "$*" in *pytest*) echo "<testsuites/>" > ../report/junit.xml ;; *) echo "no pyflakes here"; exit 1 ;; esac',
    "node": 'case "$1" in --test) echo "pass 1 $NODE_ENV" ;; -p) ls package ;; esac',
}
IMAGES = {"gcc": ["make", "umoci"], "golang": ["go", "git"], "python": ["python3"], "node": ["node"]}
PACKAGES = {"gcc": "gcc,libc6-dev,make,umoci", "golang": "golang-go,git,ca-certificates", "python": "python3,python3-pytest",
            "node": "nodejs"}


def script(text):
    return f"#!/bin/sh\nset -eu\n{text}\n".encode()


def layout_files():
    """An OCI layout, as `umoci init` and its like would make it, as files of a layer."""
    image = registries.Image(registries.layer({"calc": b"calc"}))
    index = ('{"schemaVersion":2,"manifests":[{"mediaType":"%s","digest":"%s","size":%d,'
             '"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}' % (image.media_type, image.digest, len(image.manifest)))
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index.encode()}
    for blob in (image.manifest, image.config, *image.layers):
        files["blobs/sha256/" + registries.digest(blob).removeprefix("sha256:")] = blob
    return {f"{LAYOUT[1:]}/{name}": content for name, content in files.items()}


def push_small_images(registry):
    base = registries.busybox("cp", "date", "grep", "mkdir", "sed")
    for name, tools in IMAGES.items():
        programs = {f"bin/{tool}": script(TOOLS[tool]) for tool in tools}
        registry.push(name, registries.Image(base, registries.layer({**programs, **layout_files()}), config={"Env": ["PATH=/bin"]}), "1")
    types = {f"opt/resource/{path.name}": path.read_bytes() for path in (EXAMPLES / "train/notify").iterdir()}
    registry.push("notify-resource", registries.Image(base, registries.layer(types), config={"Env": ["PATH=/bin"]}), "latest")


def push_real_images(registry):
    for name, packages in PACKAGES.items():
        subprocess.run([EXAMPLES / "image", f"{registry.host}/{name}:1", packages], check=True)
    subprocess.run([EXAMPLES / "image", f"{registry.host}/notify-resource:latest", "sed", f"{EXAMPLES}/train/notify=/opt/resource"], check=True)


class Company:
    """Its repositories, its registry, and its pipelines."""

    def __init__(self, weir, fly, git_server, registry):
        self.weir, self.fly, self.registry, self.repositories = weir, fly, registry, {}
        for project, (name, _) in PROJECTS.items():
            self.repositories[project] = git_server.repository(name)
            shutil.copytree(EXAMPLES / project, self.repositories[project].work, dirs_exist_ok=True)
            self.repositories[project].commit("All of it")
        self.git = self.repositories["c"].uri.rsplit("/", 1)[0]

    def begin(self, project):
        """What README.md of the examples says."""
        variables = ["-v", f"git={self.git}", "-v", f"registry={self.registry.host}"]
        if project == "node":
            variables += ["-v", f"hook={HOOK}"]
        if project == "python":
            variables += ["-l", EXAMPLES / "python/ci/vars.yml"]
        self.fly("set-pipeline", "-n", "-p", project, "-c", EXAMPLES / project / "ci/pipeline.yml", *variables)
        self.fly("unpause-pipeline", "-p", project)

    def hook(self, token):
        url = f"{self.weir.url}/api/v1/teams/main/pipelines/node/resources/source/check/webhook?webhook_token={token.replace(' ', '%20')}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=harness.PATIENCE) as answer:
            return answer.status

    def first_build(self, project, job):
        """The log of a job's first build, which must become green."""
        deadline = time.monotonic() + harness.PATIENCE * 2
        while not self.fly.json("builds", "-j", f"{project}/{job}"):
            assert time.monotonic() < deadline, \
                f"{project}/{job} has no build:\n{self.fly('builds', '-p', project)}{self.fly('resources', '-p', project)}"
            time.sleep(0.05)
        return self.fly("watch", "-j", f"{project}/{job}", "-b", "1")


def run_all(weir, fly, git_server, place, push):
    if registries.missing():
        pytest.skip(registries.missing())
    registry = registries.Registry(place, weir.gateway)
    try:
        push(registry)
        company = Company(weir, fly, git_server, registry)
        for project in PROJECTS:
            company.begin(project)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            company.hook("a guess")
        assert company.hook(HOOK) == 201

        def follow(project):
            return {(project, job): company.first_build(project, job) for job in PROJECTS[project][1]}

        with concurrent.futures.ThreadPoolExecutor(len(PROJECTS)) as pool:
            return company, {job: log for logs in pool.map(follow, PROJECTS) for job, log in logs.items()}
    finally:
        registry.stop()


def check(company, logs):
    short = {project: repository.git("rev-parse", "--short", "HEAD") for project, repository in company.repositories.items()}
    assert "this is said whatever happened" in logs["c", "test"] and "is broken" not in logs["c", "test"]
    assert "pushing tag(s) 1.0.0, latest, 1, 1.0" in logs["c", "package"]
    assert "hello-amd64" in logs["go", "build"] and "hello-arm64" in logs["go", "build"]
    assert "no changes to apply" in logs["python", "reconfigure"]
    assert "somebody should look at this" not in logs["python", "test"]
    assert "package.json" in logs["node", "publish"] or "1.2.3" in logs["node", "publish"]
    assert f"to releases: train/release #1: 1.0.{short['train']}" in logs["train", "release"]
    assert company.repositories["train"].tags() == [f"v1.0.{short['train']}"]


def test_five_projects_become_green(weir, fly, git_server, tmp_path):
    check(*run_all(weir, fly, git_server, tmp_path / "registry", push_small_images))


@pytest.mark.soak
def test_five_projects_become_green_with_real_compilers(weir, git_server, tmp_path):
    """On a server that has not seen them yet."""
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("images are made by mmdebstrap, as root")
    place = pathlib.Path(weir.directory)
    fresh = harness.Weir(place / "fresh")
    fresh.directory.mkdir()
    fresh.directory.chmod(0o755)
    fresh.start()
    server = harness.GitServer(place / "fresh/git", fresh.gateway)
    try:
        fly = harness.Fly(fresh, place / "fresh/home").login()
        company, logs = run_all(fresh, fly, server, tmp_path / "registry", push_real_images)
        check(company, logs)
        assert "1.2.3" in logs["node", "publish"] and "1 passed" in logs["python", "test"]
    finally:
        server.stop()
        fresh.stop()


@pytest.mark.parametrize("project", PROJECTS)
def test_an_example_is_valid_to_the_letter(project):
    run = subprocess.run([harness.FLY, "validate-pipeline", "--strict", "-c", EXAMPLES / project / "ci/pipeline.yml"],
                         capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("looks good\n", "")
