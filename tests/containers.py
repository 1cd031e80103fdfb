# SPDX-License-Identifier: Apache-2.0
"""Container engines for tests: Docker's and podman's, started here in a network namespace of their
own and gone afterwards; an image with a shell and curl; a bundle for runsc."""

import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import tarfile
import time

CURL = "/usr/bin/curl"
BUSYBOX = "/bin/busybox"


def libraries(program):
    """What a program is linked with, by the loader's own word."""
    listed = subprocess.run(["ldd", program], text=True, capture_output=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def make_root(place):
    """A root file system: busybox, and curl with its libraries."""
    for name in ("bin", "etc", "run", "tmp", "proc", "sys", "dev"):
        (place / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, place / "bin" / "busybox")
    (place / "tmp").chmod(0o1777)
    for name in ("sh", "sleep", "env", "cat", "ls", "id", "ip", "test", "nslookup"):
        (place / "bin" / name).symlink_to("busybox")
    shutil.copy(CURL, place / "bin" / "curl")
    for library in libraries(CURL):
        there = place / library.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, there)
    (place / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nagent:x:1000:1000::/:/bin/sh\n")
    return place


def make_image(root, archive):
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname="")
    return archive


def wait_for(question, seconds, what):
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen in {seconds} s")
        time.sleep(0.1)


class NetworkNamespace:
    """With nothing in it but its own loopback; dockerd may forward and filter there as it likes."""

    def __init__(self):
        self.name = "kb-test-" + secrets.token_hex(4)
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)

    def enter(self):
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False)


class Engine:
    """Started with `args`, which name `socket`; ended with all that it started."""

    def __init__(self, place, name):
        self.place = place / name
        self.place.mkdir()
        self.socket = self.place / "engine.sock"
        self.log = self.place / "log"
        self.namespace = NetworkNamespace()
        self.process = None

    def launch(self, args, env=None):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*self.namespace.enter(), *map(str, args)], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True, env={**os.environ, **(env or {})})

        def answers():
            if self.process.poll() is not None:
                raise AssertionError(self.log.read_text(errors="replace")[-3000:])
            return self.socket.exists() and self.docker("version", check=False).returncode == 0

        wait_for(answers, 60, "an answer of the engine")

    def docker(self, *args, check=True):
        return subprocess.run(["/usr/bin/docker", "--host", f"unix://{self.socket}", *map(str, args)],
                              text=True, capture_output=True, check=check, timeout=120)

    def load(self, archive):
        self.docker("import", archive, "agent:1")

    def stop(self):
        if self.process is not None:
            try:
                left = self.docker("ps", "-aq", check=False).stdout.split()
                if left:
                    self.docker("rm", "-f", *left, check=False)
            finally:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(self.process.pid, signal.SIGKILL)
                    self.process.wait(10)
        mounts = [line.split()[4] for line in
                  pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(str(self.place))), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        self.namespace.remove()


class Docker(Engine):
    def __init__(self, place):
        super().__init__(place, "docker")
        self.launch(["/usr/sbin/dockerd", "--host", f"unix://{self.socket}", "--storage-driver", "vfs",
                     "--iptables=false", "--ip6tables=false", "--bridge=none", "--data-root",
                     self.place / "data", "--exec-root", self.place / "exec", "--pidfile",
                     self.place / "pid"])


class DockerWithNetworks(Engine):
    """It may make bridges and filter there: in a network namespace of its own."""

    def __init__(self, place):
        super().__init__(place, "docker-networks")
        self.launch(["/usr/sbin/dockerd", "--host", f"unix://{self.socket}", "--storage-driver", "vfs",
                     "--bridge=none", "--data-root", self.place / "data", "--exec-root",
                     self.place / "exec", "--pidfile", self.place / "pid"])


class Podman(Engine):
    """Its own state; limits below what this machine may allow; runc, as crun wants other cgroups."""

    def __init__(self, place):
        super().__init__(place, "podman")
        configuration = self.place / "containers.conf"
        configuration.write_text('[containers]\ndefault_ulimits = ["nofile=1024:4096", '
                                 '"nproc=4096:8192"]\n[engine]\nruntime = "runc"\n'
                                 'cgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
        self.launch(["/usr/bin/podman", "--root", self.place / "data", "--runroot",
                     self.place / "run", "--storage-driver", "vfs", "--tmpdir",
                     self.place / "tmp", "system", "service", "--time", "0",
                     f"unix://{self.socket}"], {"CONTAINERS_CONF": str(configuration)})


def make_bundle(place, root, command, env, binds):
    """An OCI bundle: no network, user 1000, nothing writable but what is bound."""
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    mounts += [{"destination": inside, "type": "bind", "source": str(outside),
                "options": ["bind", "rw"]} for outside, inside in binds]
    config = {
        "ociVersion": "1.0.0", "hostname": "agent", "root": {"path": str(root), "readonly": True},
        "process": {"user": {"uid": 1000, "gid": 1000}, "cwd": "/", "args": command,
                    "env": ["PATH=/bin", *(f"{k}={v}" for k, v in env.items())],
                    "noNewPrivileges": True},
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in
                                 ("pid", "network", "ipc", "uts", "mount")]},
    }
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    return place
