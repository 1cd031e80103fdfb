# SPDX-License-Identifier: Apache-2.0
"""The n-th system call of a running process fails (tests/faults/inject.c), and processes that have no
descriptors left: whatever fails where, no money is lost, and it comes back."""

import http.client
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
import unittest

import harness
import oracle
from test_faults import HARMLESS

INJECT = harness.ROOT / "out" / "release" / "tests" / "faults" / "inject"
if os.getuid() != 0:
    WHY_NOT = "needs root, to trace processes that are not dumpable"
elif not INJECT.exists():
    WHY_NOT = "the injector is not built (make impostors)"
else:
    WHY_NOT = None

# Of the disk: a failed write or fsync ends the server; no room refuses.  Of the others: whatever an
# error says that passes by itself must not be noticed, and others cost that process at most.
FATAL, GOES_ON = "ends the server", "goes on"
DISK = [
    ("scribe", "EIO", "pwrite64", FATAL), ("scribe", "EIO", "fdatasync", FATAL),
    ("scribe", "ENOSPC", "pwrite64", GOES_ON), ("scribe", "ENOSPC", "fdatasync", FATAL),
    ("scribe", "EINTR", "pwrite64", GOES_ON), ("scribe", "EINTR", "fdatasync", FATAL),
    ("scribe", "EAGAIN", "pwrite64", FATAL),
]
OTHERS = [
    ("gate", "EMFILE", "accept4", GOES_ON), ("gate", "ECONNABORTED", "accept4", GOES_ON),
    ("gate", "EINTR", "accept4", GOES_ON), ("gate", "EAGAIN", "recvfrom", GOES_ON),
    ("gate", "EINTR", "recvfrom", GOES_ON), ("gate", "EINTR", "recvmsg", GOES_ON),
    ("gate", "EAGAIN", "sendto", GOES_ON), ("gate", "EINTR", "sendto", GOES_ON),
    ("gate", "EIO", "sendto", GOES_ON), ("gate", "EIO", "recvfrom", GOES_ON),
    ("judge", "EINTR", "recvmsg", GOES_ON), ("judge", "EAGAIN", "recvmsg", GOES_ON),
    ("judge", "EINTR", "sendto", GOES_ON), ("judge", "EAGAIN", "sendto", GOES_ON),
    ("scribe", "EINTR", "recvmsg", GOES_ON), ("scribe", "EAGAIN", "sendto", GOES_ON),
    ("vault", "EMFILE", "socket", GOES_ON), ("vault", "ECONNREFUSED", "connect", GOES_ON),
    ("vault", "EINTR", "recvmsg", GOES_ON), ("vault", "EAGAIN", "sendto", GOES_ON),
    ("vault", "EIO", "read", GOES_ON), ("vault", "EIO", "write", GOES_ON),
    ("vault", "EINTR", "read", GOES_ON), ("vault", "EAGAIN", "write", GOES_ON),
    ("reader", "EINTR", "recvmsg", GOES_ON), ("reader", "EAGAIN", "sendto", GOES_ON),
    ("control", "EMFILE", "accept4", GOES_ON), ("control", "EINTR", "recvmsg", GOES_ON),
]


class Injection:
    """The n-th of these calls of that process fails."""

    def __init__(self, pid, error, nth, *calls):
        self.process = subprocess.Popen([INJECT, str(pid), error, str(nth), *calls],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "attached\n", self.process.stderr.read()

    def wait(self, seconds):
        """Did it fail?  False: there were not so many calls in that time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        said = self.process.stdout.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return said.startswith("failed")


class SyscallCase(oracle.FaultCase):
    def pid(self, name):
        return self.keybrake.pids()[name][0]

    def alive(self):
        return self.keybrake.process.poll() is None


class NthCallCase(SyscallCase):
    def round(self, process, error, nth, call, outcome):
        """Did the n-th call come, and fail?"""
        load = self.load
        before = self.oracle.unanswered()
        load.new_keys()
        injection = Injection(self.pid(process), error, nth, call)
        load.start()
        failed = injection.wait(5)
        self.tally[failed] += 1
        if failed and outcome == FATAL:
            self.assertNotEqual(self.keybrake.process.wait(20), 0)
            self.keybrake.forget()
            load.stop()
            self.assertIn("store-broken", self.keybrake.log_text())
            self.keybrake.start()
        else:
            time.sleep(0.3)
            load.stop()
            self.assertTrue(self.alive(), "the server ended")
        self.oracle.check(most_unknown=self.oracle.unanswered() - before, all_keys=False)
        return failed

    def rounds(self, cases, nths):
        self.vendor.fates(**HARMLESS)
        self.tally = {True: 0, False: 0}
        self.begin()
        for process, error, call, outcome in cases:
            for nth in nths:
                with self.subTest(process=process, error=error, call=call, nth=nth):
                    if not self.round(process, error, nth, call, outcome):
                        break  # there are not so many
        self.oracle.wait_resolved()
        self.oracle.check()
        self.tell(f"{self.tally[True]} calls failed, {len(self.load.sent)} requests, "
                  f"{sum(1 for c in self.vendor.calls() if c.get('moved'))} charges")


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Disk(NthCallCase):
    def test_the_nth_call_of_the_scribe_on_its_files(self):
        rng = random.Random(self.seed)
        if self.long:
            self.rounds(DISK, (*range(1, 13), 20, 50, 200))
        else:
            self.rounds(DISK[:3], [rng.randint(1, 20)])


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Channels(NthCallCase):
    def test_the_nth_call_of_each_process_on_its_sockets(self):
        rng = random.Random(self.seed)
        if self.long:
            self.rounds(OTHERS, (1, 2, 3, 5, 10, 50, 200))
        else:
            self.rounds(rng.sample(OTHERS, 3), [rng.randint(1, 10)])


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Descriptors:
    """That process may open so many more.  By its own user: root without CAP_SYS_RESOURCE may not."""

    def __init__(self, pid, more):
        self.pid = pid
        self.before = int(self.prlimit("--output=SOFT", "--noheadings", "--nofile").split()[0])
        used = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
        self.prlimit(f"--nofile={used + more}:")

    def prlimit(self, *args):
        status = dict(line.split(":", 1) for line in
                      pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return subprocess.run(["prlimit", f"--pid={self.pid}", *args], check=True, text=True,
                              capture_output=True, extra_groups=[],
                              user=int(status["Uid"].split()[0]),
                              group=int(status["Gid"].split()[0])).stdout

    def give_back(self):
        if os.path.exists(f"/proc/{self.pid}/status"):
            self.prlimit(f"--nofile={self.before}:")


@unittest.skipIf(os.getuid() != 0, "needs root, to limit a process that is not ours")
class NoDescriptors(SyscallCase):
    """At its limit a process refuses clearly, does not spin, serves those it has, and recovers."""

    def works(self):
        try:
            key = self.load.issue(1000)
            sent = oracle.Sent(key, f"works{len(self.load.sent)}", 1, None)
            self.load.sent.append(sent)
            return self.load.attempt(self.keybrake.door(), sent) == 200
        except (OSError, harness.Refusal, http.client.HTTPException, ValueError):
            return False

    def end(self, most):
        self.eventually(self.works, 10)  # and no restart of the server
        self.assertIsNone(self.keybrake.process.poll())
        self.oracle.check(most_unknown=most, all_keys=False)

    def test_none_for(self):
        self.vendor.fates(**HARMLESS)
        self.begin()
        names = ("gate", "vault", "control", "judge", "scribe", "reader")
        for name in names if self.long else names[:3]:
            with self.subTest(process=name):
                self.round(name)

    def round(self, name):
        load, pid = self.load, self.pid(name)
        load.new_keys()
        before = self.oracle.unanswered()
        load.start()
        time.sleep(0.5)
        limit = Descriptors(pid, 4 if name == "gate" else 0)
        crowd = []
        if name in ("gate", "control"):
            port = self.keybrake.door_port if name == "gate" else self.keybrake.control_port
            crowd = [socket.socket() for _ in range(500)]
            for one in crowd:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
        load.stopping.set()
        if crowd:  # who has no connection waits for one, and nobody asks for anything
            time.sleep(0.5)
            used, began = cpu_seconds(pid), time.monotonic()
            time.sleep(1)
            self.assertLess((cpu_seconds(pid) - used) / (time.monotonic() - began), 0.2, "it spins")
        for one in crowd:
            one.close()
        limit.give_back()
        load.stop()
        self.end(self.oracle.unanswered() - before)


@unittest.skipIf(os.getuid() != 0, "needs root, to limit a process that is not ours")
class NoDescriptorForAChannel(NoDescriptors):
    """A neighbour dies, and the new one's channel comes as a descriptor that there is no room for:
    who loses it ends, and is started again with what it needs."""

    test_none_for = None

    def test_none_for_a_channel(self):
        self.vendor.fates(**HARMLESS)
        load = self.begin()
        cases = [("judge", "vault"), ("scribe", "vault"), ("gate", "vault"), ("vault", "gate"),
                 ("reader", "gate"), ("judge", "gate")]
        for name, dying in cases if self.long else cases[:2]:
            with self.subTest(process=name, dies=dying):
                load.new_keys()
                before = self.oracle.unanswered()
                load.start()
                time.sleep(0.4)
                limit = Descriptors(self.pid(name), 0)
                os.kill(self.pid(dying), signal.SIGKILL)
                time.sleep(1)
                limit.give_back()
                load.stop()
                self.end(self.oracle.unanswered() - before)
