"""weir doctor: says that all is well where it is, and finds each thing that is broken, one at a time."""

import os
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile

import pytest

import harness
import house

SOMEBODY = 65532


@pytest.fixture
def place(containers):
    with tempfile.TemporaryDirectory(prefix="weir-doctor-") as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


def doctor(place, *flags, environment=None, within=(), **options):
    """Its exit status and {what: (verdict, found, remedy)}."""
    words = [*within, harness.WEIR, "doctor", "--work-dir", place / "work", "--bind-port", harness.free_port(),
             "--worker-resource-types", harness.RESOURCE_TYPES, *flags]
    run = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=harness.PATIENCE, env={**os.environ, **(environment or {})}, **options)
    assert run.stderr == "", run.stderr
    found, last = {}, None
    for line in run.stdout.splitlines():
        match = re.fullmatch(r"(ok|note|WRONG) +(.{17}) (.*)", line)
        if match:
            last = match.group(2).strip()
            found[last] = (match.group(1), match.group(3), None)
        elif line.strip().startswith("->"):
            found[last] = (*found[last][:2], line.strip().removeprefix("-> "))
    return run.returncode, found


def wrong(found):
    return {what for what, (verdict, _, _) in found.items() if verdict == "WRONG"}


def only(what, place, *flags, **options):
    """This one thing is wrong, and its remedy said."""
    status, found = doctor(place, *flags, **options)
    assert wrong(found) == {what}, found
    assert status == 1
    assert found[what][2], found[what]
    return found[what][1], found[what][2]


def database(place, user=SOMEBODY):
    """A quickstart's folder with a database of ours, as that user's."""
    (place / "server").mkdir()
    server = house.House(place / "server")
    server.start_web()
    server.stop()
    (place / "work").mkdir(mode=0o711)
    shutil.move(place / "server/web", place / "work/web")
    for path in [place / "work/web", *(place / "work/web").rglob("*")]:
        os.chown(path, user, user)
    return place / "work/web/weir.db"


def test_where_all_is_well_it_says_so_and_leaves_nothing(place):
    before = sorted(place.rglob("*"))
    status, found = doctor(place)
    assert wrong(found) == set() and status == 0
    assert {"OCI runtime", "cgroups", "overlay", "ID-mapped mounts", "user namespaces", "nft", "IP forwarding", "disk", "file system",
            "work directory", "keys", "database", "clock", "port", "resource types"} <= set(found)
    assert sorted(place.rglob("*")) == before


def test_a_server_that_runs_is_no_fault(place):
    server = harness.Weir(place)
    server.work = place / "work"
    server.start()
    try:
        status, found = doctor(place, "--bind-port", server.port)
        assert status == 0, found
        assert found["port"][1] == f"127.0.0.1:{server.port}: a Weir answers there"
        assert found["database"][1] == "in use by the web node that runs"
        assert found["files' owner"][1] == f"user {SOMEBODY}"
    finally:
        server.stop()
    status, found = doctor(place)
    assert status == 0 and re.fullmatch(rf"{place}/work/web/weir.db, version \d+", found["database"][1]), found


def test_not_root(place):
    status, found = doctor(place, user=SOMEBODY, group=SOMEBODY, extra_groups=[])
    assert status == 1 and {"user", "overlay", "user namespaces", "ID-mapped mounts"} <= wrong(found)


def test_no_runtime(place):
    folder = place / "bin"
    folder.mkdir()
    for program in ("nft",):
        (folder / program).symlink_to(shutil.which(program))
    said, remedy = only("OCI runtime", place, environment={"PATH": str(folder)})
    assert said.startswith("no OCI runtime found") and "install runc" in remedy


def test_a_runtime_that_does_not_work(place):
    broken = place / "runc"
    broken.write_text("#!/bin/sh\necho broken >&2; exit 3\n")
    broken.chmod(0o755)
    said, _ = only("OCI runtime", place, "--worker-oci-runtime", broken)
    assert said == f"{broken} --version: exit status 3: broken"


def test_no_nft(place):
    folder = place / "bin"
    folder.mkdir()
    (folder / "runc").symlink_to(shutil.which("runc"))
    assert only("nft", place, environment={"PATH": str(folder)}) == ("no program 'nft'", "install nftables")


def test_an_nft_that_does_not_work(place):
    folder = place / "bin"
    folder.mkdir()
    (folder / "nft").write_text("#!/bin/sh\necho no such kernel >&2; exit 1\n")
    (folder / "nft").chmod(0o755)
    said, _ = only("nft", place, environment={"PATH": f"{folder}:{os.environ['PATH']}"})
    assert said == "nft list tables: exit status 1: no such kernel"


def within_mounts(*mounts):
    """A shell that makes these in a mount namespace of its own and runs its arguments there."""
    return ["unshare", "-m", "--propagation", "private", "sh", "-ec", "; ".join([*mounts, 'exec "$@"']), "sh"]


def test_cgroups_that_are_not_there(place):
    said, remedy = only("cgroups", place, within=within_mounts("mount -t tmpfs none /sys/fs/cgroup"))
    assert said == "none at /sys/fs/cgroup" and "cgroup2" in remedy


def test_forwarding_that_is_off_and_cannot_be_switched_on(place):
    (place / "zero").write_text("0\n")
    closed = within_mounts(f"mount --bind {place}/zero /proc/sys/net/ipv4/ip_forward",
                           "mount -o remount,bind,ro /proc/sys/net/ipv4/ip_forward")
    said, remedy = only("IP forwarding", place, within=closed)
    assert said == "off, and not ours to switch on" and "net.ipv4.ip_forward=1" in remedy


@pytest.mark.parametrize("option", ["ro", "noexec", "nosuid"])
def test_a_work_directory_that_is_mounted_so_that_programs_do_not_run(place, option):
    (place / "work").mkdir()
    status, found = doctor(place, within=within_mounts(f"mount --bind {place}/work {place}/work",
                                                       f"mount -o remount,bind,{option} {place}/work"))
    assert status == 1 and found["file system"][:2] == ("WRONG", f"{place}/work is mounted {option}"), found


def test_a_work_directory_on_an_overlay(place):
    for name in ("lower", "upper", "scratch", "work"):
        (place / name).mkdir()
    overlay = f"mount -t overlay none -o lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/scratch {place}/work"
    status, found = doctor(place, within=within_mounts(overlay))
    assert status == 1 and "file system" in wrong(found)
    assert found["file system"][1] == f"{place}/work is on overlay"


def test_a_work_directory_in_memory_is_worth_a_note(place):
    (place / "work").mkdir()
    _, found = doctor(place, within=within_mounts(f"mount -t tmpfs -o size=4G none {place}/work"))
    assert found["file system"][:2] == ("note", f"{place}/work is on tmpfs")


def test_a_disk_that_is_too_small(place):
    with house.disk(place, 64) as small:
        (small / "work").mkdir()
        said, _ = only("disk", small)
        assert said == "0.05 GiB free: too little for any build"


def test_a_work_directory_that_is_a_file(place):
    (place / "work").write_text("")
    status, found = doctor(place)
    assert status == 1 and found["work directory"][:2] == ("WRONG", f"{place}/work is not a directory")


def test_a_closed_folder_above_is_worth_a_note(place):
    (place / "closed").mkdir(mode=0o700)
    status, found = doctor(place / "closed")
    assert status == 0 and found["work directory"][0] == "note" and f"{place}/closed" in found["work directory"][1]


def test_files_of_somebody_else(place):
    path = database(place)
    os.chown(path, 0, 0)
    said, remedy = only("files' owner", place)
    assert said == f"{path} belongs to user 0, the web node runs as user {SOMEBODY}"
    assert remedy == f"chown -R {SOMEBODY} {place}/work/web"


def test_a_database_of_a_newer_version(place):
    with sqlite3.connect(database(place)) as connection:
        connection.execute("UPDATE weir_schema SET version = 9999 WHERE version = (SELECT max(version) FROM weir_schema)")
    connection.close()
    said, remedy = only("database", place)
    assert said.startswith("database has version 9999, and this program knows") and "newer Weir" in remedy


def test_a_database_that_is_damaged(place):
    path = database(place)
    path.write_bytes(b"no database " * 1000)
    said, remedy = only("database", place)
    assert said == f"open {path}: database: file is not a database" and "restore a backup" in remedy


def test_a_database_that_another_key_encrypted(place):
    (place / "server").mkdir()
    server = house.House(place / "server", ["--encryption-key", "0123456789abcdef"])
    server.start_web()
    server.stop()
    (place / "work").mkdir(mode=0o711)
    shutil.move(place / "server/web", place / "work/web")
    for path in [place / "work/web", *(place / "work/web").rglob("*")]:
        os.chown(path, SOMEBODY, SOMEBODY)
    assert only("database", place)[0] == "database is encrypted: an encryption key is needed"
    assert only("database", place, "--encryption-key", "fedcba9876543210")[0] == "row encrypted with neither old nor new key"
    assert doctor(place, "--encryption-key", "0123456789abcdef")[0] == 0


def test_a_postgresql_that_cannot_be_reached(place):
    said, remedy = only("database", place, "--postgres-host", "127.0.0.1", "--postgres-port", harness.free_port())
    assert "Connection refused" in said and "--postgres-*" in remedy


def test_a_key_of_a_wrong_length(place):
    assert "invalid key size 5" in only("settings", place, "--encryption-key", "short")[0]


def test_a_signing_key_that_others_may_read(place):
    key = place / "key"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, capture_output=True)
    key.chmod(0o644)
    said, remedy = only("keys", place, "--session-signing-key", key)
    assert said == f"{key} can be read by others" and remedy.startswith("chmod 600")
    key.chmod(0o600)
    assert doctor(place, "--session-signing-key", key)[0] == 0


def test_a_port_that_somebody_else_has(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said, remedy = only("port", place, "--bind-port", port)
    assert said == f"listen tcp 127.0.0.1:{port}: bind: address already in use" and "--bind-port" in remedy


def test_resource_types_without_their_files(place):
    types = place / "types"
    shutil.copytree(harness.RESOURCE_TYPES, types)
    (types / "mock/rootfs.tgz").unlink()
    assert only("resource types", place, "--worker-resource-types", types)[0] == f"{types}/mock: no rootfs.tgz"
    shutil.rmtree(types)
    types.mkdir()
    assert only("resource types", place, "--worker-resource-types", types)[0] == "none in that folder"


def test_too_few_open_files(place):
    said, remedy = only("open files", place, within=["prlimit", "--nofile=512:512"])
    assert said.startswith("at most 512") and "LimitNOFILE" in remedy
