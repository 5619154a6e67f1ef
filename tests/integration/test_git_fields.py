"""The git resource type's fields that people use, against git's own HTTP server: check, get and put as pipelines do them."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

import chroots
from test_git_servers import get, head, place, root, shell, web  # noqa: F401 (fixtures)


@pytest.fixture
def source(place, web):
    """Of a repository with folders, tags, a side branch and a submodule."""
    web.locked = False
    shell("""
        git init -q --bare part.git; git clone -q part.git part 2>/dev/null; cd part; echo p >p; git add p; git commit -q -m part; git push -q origin main
        cd ../work; mkdir app docs; echo a >app/a; git add app; git commit -q -m app; git tag v1.0
        echo d >docs/d; git add docs; git commit -q -m docs; git tag v1.1; git tag nightly
        git submodule --quiet add %s/part.git lib; git commit -q -m lib
        git checkout -q -b side; echo s >side; git add side; git commit -q -m side; git checkout -q main
        git push -q origin main side; git push -q --tags origin""" % web.url.rsplit("/", 1)[0], place)
    return {"uri": web.url, "branch": "main"}


def messages(place, versions):
    return [shell(f"git -C repo.git log -1 --format=%s {version['ref']}", place) for version in versions]


def first(place):
    return {"ref": shell("git -C repo.git rev-list --max-parents=0 main", place)}


@pytest.mark.parametrize("field, expect", [
    ({}, ["one", "two", "three", "app", "docs", "lib"]),
    ({"branch": "side"}, ["one", "two", "three", "app", "docs", "lib", "side"]),
    ({"paths": ["app", "docs"]}, ["app", "docs"]),
    ({"ignore_paths": ["file", "docs", "lib", ".gitmodules"]}, ["app"]),
    ({"paths": ["*"], "ignore_paths": ["file"]}, ["app", "docs", "lib"]),
])
def test_check_finds_the_commits_of_a_branch_and_of_its_paths(root, place, source, field, expect):
    versions, _ = chroots.run(root, "check", {"source": {**source, **field}, "version": first(place)})
    assert messages(place, versions) == expect


@pytest.mark.parametrize("field, expect", [
    ({"tag_filter": "v*"}, ["v1.1"]), ({"tag_regex": r"v1\.[0-9]"}, ["v1.1"]), ({"tag_filter": "night*"}, ["nightly"]),
    ({"tag_regex": "v[0-9]"}, [])])
def test_check_finds_tags(root, place, source, field, expect):
    versions, _ = chroots.run(root, "check", {"source": {**source, **field}})
    assert [version["ref"] for version in versions] == expect
    assert all(version["commit"] == head(place, f"{version['ref']}^{{commit}}") for version in versions)


@pytest.mark.parametrize("key", ["version_type", "tag_sort", "branch_filters"])
def test_keys_of_newer_versions_are_refused_by_name(root, source, key):
    _, said = chroots.run(root, "check", {"source": {**source, key: "x"}}, status=1)
    assert said == f'Found unknown keys in source:\n"{key}"\n'


def test_get_takes_a_depth_other_branches_submodules_and_a_part_of_the_tree(root, place, source):
    version = {"ref": head(place)}
    _, _, got = get(root, source, version)
    assert (got / "lib/p").read_text() == "p\n" and (got / ".git/ref").read_text() == version["ref"] + "\n"
    _, _, got = get(root, source, version, {"depth": 1, "submodules": "none"})
    assert shell("git rev-list --count HEAD", got) == "1" and list((got / "lib").iterdir()) == []
    _, _, got = get(root, source, version, {"fetch": ["side"], "submodules": ["lib"]})
    assert shell("git log -1 --format=%s side", got) == "side" and (got / "lib/p").exists()
    _, _, got = get(root, {**source, "sparse_paths": ["app"]}, version, {"submodules": "none"})
    assert sorted(one.name for one in got.iterdir()) == [".git", "app"]


@pytest.fixture
def mine(root, place, source):
    """A commit made of what a get brought, while somebody else pushed another."""
    get(root, source, {"ref": head(place)}, {"submodules": "none"})
    got = root / "tmp/build/get"
    shell("git config user.name Me; git config user.email me@localhost; echo mine >mine; git add mine; git commit -q -m mine", got)
    shell("cd work; echo theirs >theirs; git add theirs; git commit -q -m theirs; git push -q origin main", place)
    (root / "tmp/build/name").write_text("2.0\n")
    return got


def put(root, source, params, status=0):
    return chroots.run(root, "out", {"source": source, "params": {"repository": "get", **params}}, "/tmp/build", status=status)


def test_put_is_refused_when_somebody_was_faster_and_no_way_is_given(root, place, source, mine):
    _, said = put(root, source, {}, status=1)
    assert "[rejected]" in said


@pytest.mark.parametrize("way, expect", [("rebase", ["mine", "theirs", "lib"]), ("merge", ["Merge branch 'main' of", "theirs", "mine"])])
def test_put_rebases_or_merges_and_tags_what_it_pushed(root, place, source, mine, way, expect):
    answer, said = put(root, source, {way: True, "tag": "name", "tag_prefix": "rel-"})
    assert "pushed" in said
    assert answer["version"] == {"ref": head(place)} and head(place, "rel-2.0^{commit}") == head(place)
    found = shell("git -C repo.git log -3 --topo-order --format=%s main", place).split("\n")
    assert sorted(found)[1:] == sorted(expect)[1:] if way == "merge" else found == expect
    assert found[0].startswith(expect[0])


def test_put_to_another_branch_is_gotten_from_there(root, place, source, mine):
    answer, _ = put(root, source, {"branch": "release"})
    assert answer["version"] == {"branch": "release", "ref": head(place, "release")}
    shutil.rmtree(root / "tmp/build")
    _, said, got = get(root, source, answer["version"], {"submodules": "none"})
    assert "Override main with release" in said and (got / "mine").read_text() == "mine\n"


# ---- large ----


def descendants(pid):
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for thread in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            try:
                todo += [int(word) for word in thread.read_text().split()]
            except OSError:
                continue
    return found


def anonymous(pid):
    """KiB that no file stands behind, of a process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")), 0)


def measured(root, program, request, *words):
    """The most that it and its children had at once, in MiB."""
    with subprocess.Popen(["chroot", root, f"/opt/resource/{program}", *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env=chroots.ENVIRONMENT) as child:
        child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
        peak = 0
        while child.poll() is None:
            peak = max(peak, sum(map(anonymous, descendants(child.pid))))
            time.sleep(0.02)
        assert child.returncode == 0
    return peak >> 10


def make_large(root, name, files, size):
    """A repository of so many files of random bytes, as it is served; a commit each."""
    bare = root / f"srv/{name}.git"
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True)
    # The server's side runs below the program here: it must not look for deltas among them.
    for setting in (("uploadpack.allowFilter", "true"), ("core.compression", "0"), ("pack.compression", "0"), ("core.bigFileThreshold", "1m")):
        subprocess.run(["git", "-C", bare, "config", *setting], check=True)
    with subprocess.Popen(["git", "-C", bare, "fast-import", "--quiet"], stdin=subprocess.PIPE) as importer:
        for number in range(files):
            importer.stdin.write(b"commit refs/heads/main\ncommitter T <t@t> %d +0000\ndata 2\nc\n\nM 100644 inline f%d\ndata %d\n"
                                 % (1700000000 + number, number, size))
            for _ in range(size >> 20):
                importer.stdin.write(os.urandom(1 << 20))
            importer.stdin.write(b"\n")
        importer.stdin.close()
        assert importer.wait() == 0
    return bare, subprocess.run(["git", "-C", bare, "rev-parse", "main"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.soak
def test_a_repository_of_two_gigabytes_is_checked_and_gotten_in_little_memory(root, place):
    size, peaks = 64 << 20, {}
    for name, files in (("small", 4), ("large", 32)):
        bare, ref = make_large(root, name, files, size)
        source = {"uri": f"file:///srv/{name}.git", "branch": "main"}
        for left in ("tmp/build", "tmp/git-resource-repo-cache"):
            shutil.rmtree(root / left, ignore_errors=True)
        check = measured(root, "check", {"source": source})
        fetched = measured(root, "in", {"source": source, "version": {"ref": ref}}, "/tmp/build/get")
        assert sum(one.stat().st_size for one in (root / "tmp/build/get").glob("f*")) == files * size
        peaks[name] = check, fetched
        for left in (root / "tmp/build", bare):
            shutil.rmtree(left)
    print(f"peaks of check and get: {peaks} MiB")
    # Git holds a file whole below its core.bigFileThreshold, several at a time; never the repository.
    assert peaks["large"][0] < 64, peaks
    assert peaks["large"][1] < 1.3 * peaks["small"][1] + 32, peaks
