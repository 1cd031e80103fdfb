# SPDX-License-Identifier: Apache-2.0
"""A power cut: a data directory on an ext4 image of its own, shut down without a flush.

EXT4_IOC_SHUTDOWN with NOLOGFLUSH makes the file system forget what it has not written, as a cut of
the power does: only what an fsync had reached is there after the next mount.  The processes are
frozen first, since an fsync under way could return success for what is then thrown away.
"""

import ctypes
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
DEFAULT, NOLOGFLUSH = 0, 2


def why_not():
    """Why this machine cannot do it, or None."""
    if os.getuid() != 0:
        return "needs root, to mount"
    for tool in ("mkfs.ext4", "mount", "umount", "losetup"):
        if shutil.which(tool, path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin") is None:
            return f"{tool} is not there (package e2fsprogs, mount)"
    disk = None
    try:
        disk = Disk()
        disk.cut()
        return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"an ext4 image cannot be mounted and shut down here: {error}"
    finally:
        if disk:
            disk.remove()


def run(*args):
    subprocess.run(args, check=True, capture_output=True,
                   env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/sbin:/usr/sbin"})


class Disk:
    def __init__(self, megabytes=64):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="keybrake-disk-"))
        self.dir.chmod(0o755)
        self.image, self.path = self.dir / "image", self.dir / "mount"
        self.path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        self.mounted, self.mounts = False, 0
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", str(self.image))
        self.mount()

    def mount(self):
        if self.mounts > 0:
            # A copy: some other mount namespace of this machine may keep the dead one alive.
            dead, self.image = self.image, self.dir / f"image{self.mounts}"
            run("cp", "--sparse=always", str(dead), str(self.image))
            dead.unlink()
        self.mounts += 1
        run("mount", "-o", "loop", str(self.image), str(self.path))
        self.path.chmod(0o755)
        self.mounted = True

    def unmount(self, seconds=10):
        """Waits for those who were killed and are still closing their files."""
        end = time.monotonic() + seconds
        while self.mounted:
            try:
                run("umount", str(self.path))
                self.mounted = False
            except subprocess.CalledProcessError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def shut_down(self, how):
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(fd)

    def cut(self):
        """Whatever was not synchronised is gone; still mounted, and dead."""
        self.shut_down(NOLOGFLUSH)

    def fail(self):
        """All is written so far; every write and fsync from now on is EIO."""
        self.shut_down(DEFAULT)

    def remove(self):
        if self.mounted:
            # Somebody may be dying in it still: out of sight at once, gone with him.
            ctypes.CDLL(None).umount2(os.fsencode(self.path), 2)
            self.mounted = False
        shutil.rmtree(self.dir, ignore_errors=True)
