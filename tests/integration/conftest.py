"""Fixtures: real programs, each in a folder and on ports of its own, ready when a test gets them."""

import os
import pathlib
import subprocess

import pytest

import harness
import house


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: a long run, only in ./do soak")


@pytest.fixture(scope="session")
def containers():
    """Skips where no containers can be made."""
    why = harness.missing()
    if why:
        pytest.skip(why)


def open_folder(tmp_path_factory, name):
    """That containers, which run as others, may enter: pytest's own only root may."""
    directory = tmp_path_factory.mktemp(name)
    for folder in [directory, *directory.parents]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    return directory


@pytest.fixture
def place(tmp_path_factory):
    """A folder for a house.House."""
    why = house.missing()
    if why:
        pytest.skip(why)
    return open_folder(tmp_path_factory, "house")


@pytest.fixture(scope="module")
def module_place(tmp_path_factory):
    """The same for a house that a module's tests share."""
    why = house.missing()
    if why:
        pytest.skip(why)
    return open_folder(tmp_path_factory, "scene")


@pytest.fixture(scope="module")
def weir(containers, tmp_path_factory, request):
    """A running quickstart for a module's tests. A module adds flags with WEIR_FLAGS = [...]."""
    server = harness.Weir(open_folder(tmp_path_factory, "weir"), *getattr(request.module, "WEIR_FLAGS", []))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def fly(weir):
    """fly, logged in as an owner of the main team."""
    return harness.Fly(weir, weir.directory / "home").login()


@pytest.fixture(scope="module")
def git_server(weir, tmp_path_factory):
    """git daemon where weir's containers reach it."""
    server = harness.GitServer(tmp_path_factory.mktemp("git"), weir.gateway)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL of its own; its connection string."""
    tool = harness.ROOT / "tests/tools/postgres.sh"
    process = harness.Process([tool], stdin=subprocess.PIPE)
    try:
        yield process.wait_for(r".")
    finally:
        process.child.stdin.close()
        process.wait()


@pytest.fixture
def postgres(postgres_server):
    return postgres_server


@pytest.fixture
def soak():
    run = harness.Soak()
    yield run
    print(f"soak: seed {run.seed}, {run.count} rounds")


@pytest.fixture
def small_disk(tmp_path_factory):
    """A file system of 8 MiB, mounted."""
    with house.disk(tmp_path_factory.mktemp("disk"), 8) as folder:
        yield folder


@pytest.fixture(scope="session")
def golden():
    """The folder of recordings."""
    place = os.environ.get("WEIR_GOLDEN")
    if not place:
        pytest.skip("WEIR_GOLDEN is not set")
    return pathlib.Path(place)
