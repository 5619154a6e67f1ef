"""The resource types in the root filesystems that workers get: what is in them runs, unconfined but for chroot."""

import datetime
import json
import re
import subprocess

import pytest

import chroots
import harness
from chroots import run


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Unpacks a type's rootfs.tgz once: roots("git") is its folder."""
    place = tmp_path_factory.mktemp("types")

    def unpacked(name):
        root = place / name
        return root if root.exists() else chroots.unpack(name, root)

    return unpacked


@pytest.mark.parametrize("name,unique", [("git", False), ("mock", False), ("time", True)])
def test_metadata_names_the_type(name, unique):
    described = harness.RESOURCE_TYPES / name / "resource_metadata.json"
    if not described.exists():
        pytest.skip(f"there is no {described}")
    metadata = json.loads(described.read_text())
    assert metadata["type"] == name
    assert metadata["privileged"] is False and metadata["unique_version_history"] is unique


def test_mock_is_an_image_that_has_what_tasks_use(roots):
    root = roots("mock")
    answer, said = run(root, "in", {"source": {"mirror_self": True}, "version": {"version": "1"}}, "/tmp/build/get")
    assert answer == {"version": {"version": "1"}, "metadata": None}
    assert "fetching version: 1" in said and "mirroring self image" in said
    copy = root / "tmp/build/get/rootfs"
    assert json.loads((root / "tmp/build/get/metadata.json").read_text())["user"] == "root"
    script = ("bash -c true && env >/dev/null && printenv PATH >/dev/null && cat /etc/passwd | sed -n 1p | wc -l && "
              "find /bin -name sh && stat -c %U /bin && whoami && test -x /opt/resource/out && id nonroot && "
              "command -v wget ping sleep touch mkdir cp")
    done = subprocess.run(["chroot", copy, "sh", "-euc", script], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})
    assert done.returncode == 0, done.stderr
    assert "uid=65532(nonroot)" in done.stdout


def test_mock_says_what_is_wrong(roots):
    _, said = run(roots("mock"), "check", {"source": {"unknown": 1}}, status=1)
    assert 'FATA\x1b[0m[0000] invalid payload: json: unknown field "unknown"' in said


def test_time_knows_the_zones_of_the_world(roots):
    root = roots("time")
    source = {"location": "America/New_York", "interval": "1s"}
    (version,), _ = run(root, "check", {"source": source})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?-0[45]:00", version["time"])
    answer, _ = run(root, "in", {"source": source, "version": version}, "/tmp/build/get")
    assert answer == {"version": version, "metadata": None}
    seconds = datetime.datetime.fromisoformat(re.sub(r"\.\d+", "", version["time"])).timestamp()
    assert (root / "tmp/build/get/epoch").read_text() == str(int(seconds))
    _, said = run(root, "check", {"source": {"location": "Atlantis"}}, status=1)
    assert said == "parse error: unknown time zone Atlantis\n"


def test_git_checks_gets_and_puts(roots):
    root = roots("git")
    served = root / "srv"
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", served / "r.git"], check=True)
    subprocess.run(["git", "clone", "-q", served / "r.git", root / "tmp/work"], check=True, capture_output=True)
    (root / "tmp/work/file").write_text("content\n")
    subprocess.run([*git, "add", "."], cwd=root / "tmp/work", check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], cwd=root / "tmp/work", check=True)
    subprocess.run([*git, "push", "-q", "origin", "HEAD:main"], cwd=root / "tmp/work", check=True)
    source = {"uri": "file:///srv/r.git", "branch": "main"}

    versions, _ = run(root, "check", {"source": source})
    assert len(versions) == 1
    answer, _ = run(root, "in", {"source": source, "version": versions[0]}, "/tmp/build/get")
    assert answer["version"] == versions[0]
    assert (root / "tmp/build/get/file").read_text() == "content\n"
    assert (root / "tmp/build/get/.git/commit_message").read_text() == "first\n"

    (root / "tmp/build/put").mkdir(parents=True)
    (root / "tmp/build/get").rename(root / "tmp/build/put/r")
    (root / "tmp/build/put/name").write_text("green\n")
    pushed, said = run(root, "out", {"source": source, "params": {"repository": "r", "tag": "name", "only_tag": True}},
                       "/tmp/build/put")
    assert pushed["version"] == versions[0] and "pushed" in said
    tags = subprocess.run(["git", "-C", served / "r.git", "tag"], capture_output=True, text=True, check=True)
    assert tags.stdout == "green\n"
