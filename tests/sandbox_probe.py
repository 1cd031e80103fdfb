# SPDX-License-Identifier: Apache-2.0
"""Runs inside a sandbox and tries to get out.  Prints one JSON object: what came of each attempt.

    sandbox_probe.py OUTSIDE-ADDRESS HOST-PORT DATA-DIR
"""

import ctypes
import errno
import json
import os
import pathlib
import resource
import socket
import struct
import sys
import time

OUTSIDE, HOST_PORT, DATA = sys.argv[1], int(sys.argv[2]), sys.argv[3]
descriptors = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
libc = ctypes.CDLL(None, use_errno=True)
found = {}


def attempt(name):
    def run(function):
        began = time.monotonic()
        try:
            result = function()
        except OSError as problem:
            result = errno.errorcode.get(problem.errno, str(problem))
        except Exception as problem:  # what is said is looked at by the test
            result = f"{type(problem).__name__}: {problem}"
        found[name] = {"result": result, "ms": round((time.monotonic() - began) * 1000)}
        return function
    return run


def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *args)
    return errno.errorcode.get(ctypes.get_errno(), "?") if result < 0 else "done"


def landed(connection, first=b"GET / HTTP/1.1\r\nHost: nowhere.example\r\n\r\n"):
    """Who answers: keybrake says so in its head."""
    connection.settimeout(3)
    try:
        connection.sendall(first)
        answer = connection.recv(4096)
    except OSError as problem:
        return "closed: " + errno.errorcode.get(problem.errno or 0, str(problem))
    return "keybrake" if b"keybrake" in answer.lower() else f"answered {answer[:80]!r}"


def tcp(address, port, family=socket.AF_INET, protocol=0):
    with socket.socket(family, socket.SOCK_STREAM, protocol) as connection:
        connection.settimeout(3)
        connection.connect((address, port))
        return landed(connection)


for port in (80, 443, 5432, 9999):
    attempt(f"tcp4 {port}")(lambda port=port: tcp(OUTSIDE, port))
attempt("tcp6 80")(lambda: tcp("2001:db8::9", 80, socket.AF_INET6))
attempt("tcp6 5432")(lambda: tcp("2001:db8::9", 5432, socket.AF_INET6))
attempt("mptcp")(lambda: tcp(OUTSIDE, 80, protocol=262))
attempt("metadata")(lambda: tcp("169.254.169.254", 80))


@attempt("fastopen sendto")
def _():
    with socket.socket() as connection:
        connection.sendto(b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n", 0x20000000, (OUTSIDE, 80))
        connection.settimeout(3)
        return "keybrake" if b"keybrake" in connection.recv(4096).lower() else "somebody else"


@attempt("fastopen connect")
def _():
    with socket.socket() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, 30, 1)
        connection.connect((OUTSIDE, 80))
        return landed(connection)


for port in (443, 5000):
    @attempt(f"udp {port}")
    def _(port=port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect((OUTSIDE, port))
            datagrams.send(b"out")
            time.sleep(0.02)
            datagrams.send(b"out")  # hears of the refusal of the first
            return "sent twice"


@attempt("udp 53")
def _():
    query = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\3api\6stripe\3com\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(1)
        datagrams.sendto(query, (OUTSIDE, 53))
        answer, _ = datagrams.recvfrom(512)
        return socket.inet_ntoa(answer[-4:])


@attempt("tcp 53")
def _():
    query = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\3api\6stripe\3com\0\0\1\0\1"
    with socket.create_connection(("127.0.0.1", 53), 2) as stream:
        stream.sendall(struct.pack(">H", len(query)) + query)
        return socket.inet_ntoa(stream.recv(512)[-4:])


attempt("name")(lambda: socket.gethostbyname("Some-Name.Example"))
attempt("raw")(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1) and "made")
attempt("ping")(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1) and "made")
attempt("packet")(lambda: socket.socket(17, socket.SOCK_RAW, 3) and "made")
attempt("vsock")(lambda: socket.socket(40, socket.SOCK_STREAM) and "made")
attempt("alg")(lambda: socket.socket(38, socket.SOCK_SEQPACKET) and "made")
attempt("netfilter")(lambda: socket.socket(16, socket.SOCK_RAW, 12) and "made")
attempt("host loopback")(lambda: tcp("127.0.0.1", HOST_PORT))


@attempt("abstract socket")
def _():
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect("\0keybrake-test-outside")
        return "connected"


def route(kind, flags):
    """Takes the local default route away, or puts another there."""
    with socket.socket(16, socket.SOCK_RAW, 0) as netlink:
        body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 255, 3, 254, 2, 0) + struct.pack("=HHI", 8, 4, 1)
        netlink.send(struct.pack("=IHHII", 16 + len(body), kind, 1 | 4 | flags, 1, 0) + body)
        answer = netlink.recv(4096)
        code = -struct.unpack_from("=i", answer, 16)[0]
        return errno.errorcode.get(code, "done")


attempt("route delete")(lambda: route(25, 0))
attempt("route add")(lambda: route(24, 0x400))


@attempt("steal the capture")
def _():
    with open("/proc/net/tcp") as table:
        ports = [int(line.split()[1].split(":")[1], 16) for line in table.readlines()[1:]
                 if line.split()[3] == "0A"]
    said = []
    for port in ports:
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                thief.bind(("0.0.0.0", port))
                thief.listen()
                said.append(f"{port} taken")
            except OSError as problem:
                said.append(errno.errorcode[problem.errno])
    return " ".join(sorted(set(said)))


NEWUSER, NEWNS, NEWNET = 0x10000000, 0x20000, 0x40000000
attempt("unshare user")(lambda: call(272, NEWUSER))
attempt("unshare net")(lambda: call(272, NEWNET))
attempt("clone user")(lambda: call(56, NEWUSER | 17, 0, 0, 0, 0))
attempt("clone3")(lambda: call(435, 0, 0))
attempt("setns")(lambda: call(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0))
attempt("mount")(lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, 0))
attempt("umount")(lambda: call(166, b"/etc/shadow", 2))
attempt("pivot_root")(lambda: call(155, b"/tmp", b"/tmp"))
attempt("chroot")(lambda: call(161, b"/tmp"))
attempt("ptrace init")(lambda: call(101, 16, 1, 0, 0))
attempt("read init")(lambda: call(310, 1, 0, 0, 0, 0, 0))
attempt("io_uring")(lambda: call(425, 1, 0))
attempt("keyctl")(lambda: call(250, 0, -3, 0))
attempt("add_key")(lambda: call(248, b"user", b"x", b"y", 1, -3))
attempt("bpf")(lambda: call(321, 0, 0, 0))
attempt("perf")(lambda: call(298, 0, 0, -1, -1, 0))
attempt("userfaultfd")(lambda: call(323, 1))
attempt("open_by_handle")(lambda: call(304, 3, 0, 0))
attempt("kexec")(lambda: call(246, 0, 0, 0, 0))
attempt("type into the terminal")(
    lambda: call(16, 0, 0x5412, ctypes.c_char_p(b"x")))


def read(path):
    text = pathlib.Path(path).read_bytes()
    return f"{len(text)} bytes"


attempt("shadow")(lambda: read("/etc/shadow"))
attempt("root's home")(lambda: os.listdir("/root"))
attempt("homes")(lambda: os.listdir("/home"))
attempt("data")(lambda: os.listdir(DATA))
attempt("control socket")(lambda: socket.socket(socket.AF_UNIX).connect(DATA + "/run/control.sock"))
attempt("docker socket")(lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock"))
attempt("init's environment")(lambda: read("/proc/1/environ"))
attempt("init's memory")(lambda: open("/proc/1/mem", "rb").read(1))
attempt("init's files")(lambda: os.listdir("/proc/1/fd"))
attempt("write the root")(lambda: pathlib.Path("/x").write_text("x"))
attempt("write the system")(lambda: pathlib.Path("/usr/x").write_text("x"))
attempt("write here")(lambda: pathlib.Path("x").write_text("x"))
attempt("write tmp")(lambda: pathlib.Path("/tmp/x").write_text("x"))
attempt("write home")(lambda: pathlib.Path("~/x").expanduser().write_text("x"))
attempt("sysctl")(lambda: pathlib.Path("/proc/sys/kernel/hostname").write_text("x"))
attempt("core pattern")(lambda: pathlib.Path("/proc/sys/kernel/core_pattern").write_text("x"))
attempt("sysrq")(lambda: pathlib.Path("/proc/sysrq-trigger").write_text("h"))

def interfaces():
    try:
        return sorted(name for _, name in socket.if_nameindex())
    except OSError:
        return None


status = dict(line.split(":\t", 1) for line in
              pathlib.Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
found["facts"] = {
    "capabilities": [status[k] for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privs": status["NoNewPrivs"], "seccomp": status["Seccomp"],
    "uid": os.getuid(), "groups": os.getgroups(),
    "processes": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
    "descriptors": descriptors,
    "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
    "environment": dict(os.environ), "cwd": os.getcwd(),
    "interfaces": interfaces(),
    "mounted": [line.split()[1] for line in open("/proc/mounts")],
}
print(json.dumps(found))
