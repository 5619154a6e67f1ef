"""weir backup: copies a server that runs, and a server started on the copy has all that was acknowledged before."""

import json
import os
import pathlib
import shutil
import subprocess
import threading

import pytest

import harness
import house
import load

BUILDS = 12


def backup(work, to, status=0, environment=None, **options):
    """Runs it; standard output of a success, standard error of a failure."""
    run = subprocess.run([str(harness.WEIR), "backup", "--work-dir", str(work), "--to", str(to)], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=harness.PATIENCE,
                         env={**os.environ, **(environment or {})}, **options)
    assert run.returncode == status, run.stdout + run.stderr
    return run.stderr if status else run.stdout


def restored(place, copy):
    """A web node and a worker in folders of their own, on a copy of the backup."""
    server = house.House(place)
    shutil.copytree(copy, place / "web")
    return server.start()


def events(api, build):
    return house.Watcher(api, build).wait().events


def everything(api, builds):
    """What people see of these builds: their status, and every event."""
    return {build: (api.build(build)["status"], events(api, build)) for build in builds}


def test_a_server_started_on_the_copy_has_all_that_was_acknowledged_before_it_began(place):
    (place / "first").mkdir()
    (place / "second").mkdir()
    server = house.House(place / "first").start()
    try:
        work = load.Load(server, "many", BUILDS, blocks=5, block=50, pause="0.05").set()
        before = [watcher.wait().build_id for watcher in [work.start(job) for job in range(BUILDS // 2)]]
        running = [work.start(job) for job in range(BUILDS // 2, BUILDS)]
        for watcher in running:
            assert watcher.begun.wait(harness.PATIENCE)
        acknowledged = everything(work.api, before)
        pipelines, jobs = work.api.get("/teams/main/pipelines"), work.api.get("/teams/main/pipelines/many/jobs")
        versions = work.api.get("/teams/main/pipelines/many/resources/sink/versions")

        said = backup(server.directory / "web", place / "copy")
        assert f"{place}/copy: " in said and "to restore: stop the server" in said
        for watcher in running:
            watcher.wait()
        server.stop()

        second = restored(place / "second", place / "copy")
        try:
            api = house.Api(second).login()
            assert everything(api, before) == acknowledged
            assert api.get("/teams/main/pipelines") == pipelines
            assert [job["name"] for job in api.get("/teams/main/pipelines/many/jobs")] == [job["name"] for job in jobs]
            kept = api.get("/teams/main/pipelines/many/resources/sink/versions")
            assert all(version["version"] in [other["version"] for other in kept] for version in versions)
            # Those that were under way come to an end, and what is new gets a number that nobody had.
            for watcher in running:
                house.Watcher(api, watcher.build_id).wait()
                assert api.build(watcher.build_id)["status"] in house.FINAL
            number = api.trigger("many", "job-0")
            assert number > max(watcher.build_id for watcher in running)
            again = house.Watcher(api, number).wait()
            assert again.status() == "succeeded", again.errors()
        finally:
            second.stop()
    finally:
        server.stop()


def test_many_copies_under_load_are_each_whole(place):
    """Each is checked as SQLite checks, and every build that the copy calls finished has its last event in it."""
    import sqlite3

    server = house.House(place / "server", ["--gc-interval", "1s", "--default-build-logs-to-retain", "3"])
    server.directory.mkdir()
    server.start()
    try:
        work = load.Load(server, "many", BUILDS, block=20).set()
        results = []
        builder = threading.Thread(target=lambda: results.append(
            load.run_at_once([job for job in range(BUILDS)] * 2, 3,
                             lambda job: house.Watcher(work.api, work.api.trigger("many", f"job-{job}")).wait())), daemon=True)
        builder.start()
        count = 0
        while builder.is_alive():
            copy = place / f"copy-{count}"
            backup(server.directory / "web", copy)
            with sqlite3.connect(copy / "weir.db") as database:
                assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                finished = [row[0] for row in database.execute("SELECT id FROM builds WHERE completed AND reaped = 0")]
                known = {row[0] for row in database.execute("SELECT id FROM builds")}
            database.close()
            there = {int(path.name) for path in (copy / "logs").glob("*/*")}
            assert there <= known
            # What retention deleted meanwhile is gone in the original too.
            for build in set(finished) - there:
                assert not (server.directory / f"web/logs/{build & 255:02x}/{build}").exists()
            count += 1
            shutil.rmtree(copy)
        assert results and count > 1, count
    finally:
        server.stop()


def test_a_quickstart_is_copied_with_its_admin_and_starts_from_the_copy(weir_place):
    server = harness.Weir(weir_place)
    words = server.arguments()
    for flag in ["--add-local-user", "--main-team-local-user"]:
        at = words.index(flag)
        del words[at:at + 2]
    server.process = harness.Process([harness.WEIR, *words], env=server.environment)
    try:
        server.process.wait_for(server.READY)
        backup(server.work, weir_place / "copy")
        owner = (server.work / "web").stat().st_uid
        assert (server.work / "admin").read_text() == (weir_place / "copy/admin").read_text()
        manifest = json.loads((weir_place / "copy/backup.json").read_text())
        assert manifest["work_dir"] == str(server.work) and manifest["database_version"] > 0
        server.stop()
        for path in (weir_place / "copy/web").rglob("*"):
            assert path.stat().st_uid == owner and path.stat().st_mode & 0o077 == 0, path
        subprocess.run(["mv", server.work, weir_place / "old"], check=True)
        subprocess.run(["cp", "-a", weir_place / "copy", server.work], check=True)
        server.process = harness.Process([harness.WEIR, *words], env=server.environment)
        server.process.wait_for(server.READY)
        assert "password of the first start" in server.process.output
    finally:
        server.stop()


@pytest.fixture
def weir_place(containers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("backup")
    for folder in [directory, *directory.parents]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    return directory


# ---- refusals, which leave nothing behind ----


def test_what_exists_is_not_overwritten(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web/weir.db").write_bytes(b"")
    (tmp_path / "copy").mkdir()
    assert backup(tmp_path, tmp_path / "copy", status=1) == f"error: {tmp_path}/copy exists already\n"


def test_where_there_is_no_database_that_is_said(tmp_path):
    said = backup(tmp_path, tmp_path / "copy", status=1)
    assert said == f"error: work directory {tmp_path}: there is no weir.db to copy, here or in web/\n"
    assert backup(tmp_path / "nope", tmp_path / "copy", status=1) == f"error: work directory {tmp_path}/nope: No such file or directory\n"
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_database_is_not_taken_for_one(tmp_path):
    (tmp_path / "weir.db").write_text("this is no database, and long enough to be looked at" * 100)
    said = backup(tmp_path, tmp_path / "copy", status=1)
    assert said.endswith("database: file is not a database\n"), said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["weir.db"]


def test_postgresql_is_copied_with_its_own_tools(tmp_path):
    said = backup(tmp_path, tmp_path / "copy", status=1,
                  environment={"CONCOURSE_POSTGRES_HOST": "db.local", "CONCOURSE_POSTGRES_USER": "ci", "WEIR_POSTGRES_DATABASE": "ci"})
    assert said == ("error: this web node keeps everything in PostgreSQL, build logs too: copy that instead, for example with\n"
                    "  pg_dump --format=custom --file=weir.dump --host=db.local --port=5432 --username=ci ci\n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_the_server_and_the_disk_as_they_were(place, small_disk):
    server = house.House(place).start()
    try:
        work = load.Load(server, "one", 1, blocks=200, block=200).set()
        work.start(0).wait()
        before = sorted(small_disk.iterdir())
        house.fill(small_disk / "filler", leave=100_000)
        said = backup(server.directory / "web", small_disk / "copy", status=1)
        assert "No space left on device" in said or "database or disk is full" in said, said
        (small_disk / "filler").unlink()
        assert sorted(small_disk.iterdir()) == before
        house.Watcher(work.api, work.api.trigger("one", "job-0")).wait()
    finally:
        server.stop()
