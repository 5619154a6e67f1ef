"""Resource types unpacked from the root filesystems that workers get; their programs run in a chroot."""

import json
import os
import subprocess
import tarfile

import pytest

import harness

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}


def unpack(name, root):
    """The root of a type, with what a container's /dev would have."""
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    packed = harness.RESOURCE_TYPES / name / "rootfs.tgz"
    if not packed.exists():
        pytest.skip(f"there is no {packed}")
    with tarfile.open(packed) as archive:
        archive.extractall(root)
    for device, minor in (("null", 3), ("urandom", 9)):
        os.mknod(root / "dev" / device, 0o666 | 0o020000, os.makedev(1, minor))
    return root


def run(root, program, request, *words, status=0):
    """Runs /opt/resource/PROGRAM in the root; its answer, what it said."""
    done = subprocess.run(["chroot", root, f"/opt/resource/{program}", *words], input=json.dumps(request), text=True,
                          capture_output=True, env=ENVIRONMENT)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if done.stdout else None, done.stderr
