# SPDX-License-Identifier: Apache-2.0
"""Breaking out: what an intruder could call in each process, tried in that process's own
confinement, call by call (tests/impostor/breakout.c).  What is not listed here kills the process."""

import json
import pathlib
import re
import subprocess
import unittest

import harness

BREAKOUT = pathlib.Path(harness.BINARY).parent / "tests" / "impostor" / "breakout"
ROLES = ("gate", "reader", "judge", "scribe", "vault", "control", "dialer",
         *(["check"] if harness.AS_ROOT else []), "unlock")

# What a process may do because it is its duty, or what only Landlock refuses.  Everything else is
# killed by the filter.
VAULT = {"connect-tcp": "worked", "memfd_create": "worked", "memfd_secret": "worked",
         "socket-inet": "worked", "socket-inet6": "worked", "socket-udp": "worked",
         # With a socket that somebody had left open: it cannot make one of this kind itself.
         "connect-abstract": "refused EPERM"}
DIALER = {n: VAULT[n] for n in ("connect-tcp", "socket-inet", "socket-inet6", "socket-udp",
                                "connect-abstract")}
CONTROL = {"read-passwd": "refused EACCES", "read-vault-key": "refused EACCES",
           "read-database": "worked", "write-database": "refused EACCES",
           "read-memory-of-parent": "refused EACCES", "create-file": "refused EACCES"}
# Once, at the start, on the operator's own files; they meet nobody.  `check` may read what its
# user may, which is little when that is not root.
CHECK = {"read-passwd": "worked", "read-vault-key": "refused EACCES",
         "read-database": "worked", "write-database": "refused EACCES",
         "read-memory-of-parent": "refused EACCES", "create-file": "refused EACCES",
         "memfd_create": "worked", "getdents64": "worked"}
UNLOCK = {**CONTROL, "read-database": "refused EACCES", "memfd_create": "worked",
          "memfd_secret": "worked"}
EXCEPTIONS = {"gate": {}, "reader": {}, "judge": {}, "scribe": {}, "vault": VAULT,
              "control": CONTROL, "dialer": DIALER, "check": CHECK,
              "unlock": UNLOCK}

# What stays refused when there is no filter at all: by Landlock, by the user, by the namespace.
FILES = ("read-passwd", "read-vault-key", "write-database", "create-file", "execve", "open")
OTHERS = ("kill-init", "process_vm_readv", "mount", "chroot", "setuid", "clock_settime", "bpf",
          "init_module")


def doctor(data):
    """The exit code, and the findings by subject."""
    done = subprocess.run([harness.BINARY, "doctor", "--json", "--data", data],
                          capture_output=True, text=True, check=False)
    return done.returncode, {f["subject"]: f for f in json.loads(done.stdout)["data"]}


def landlock_abi():
    return int(re.match(r"ABI (\d+)", doctor("/nonexistent")[1]["landlock"]["finding"])[1])


class Doctor(harness.Case):
    vendors = []

    def test_it_looks_at_each_process(self):
        code, findings = doctor(self.keybrake.data)
        self.assertEqual(code, 0, findings)
        for role, pids in self.keybrake.pids().items():
            for i in range(len(pids)):
                says = findings[f"{role}.{i}"]
                self.assertNotEqual(says["grade"], "broken", says)
                for part in ("call filter", "no new privileges", "no capabilities", "Landlock"):
                    self.assertIn(part, says["finding"])
                if harness.AS_ROOT and role in ("gate", "reader", "judge", "scribe"):
                    self.assertIn("an empty network", says["finding"])
        self.assertNotIn("processes", findings)

    def test_one_that_is_not_confined_is_found(self):
        script = "import time; print(flush=True); time.sleep(60)"
        with subprocess.Popen(["keybrake-gate", "-c", script, self.keybrake.data],
                              executable="/usr/bin/python3", stdout=subprocess.PIPE) as stray:
            try:
                stray.stdout.readline()
                code, findings = doctor(self.keybrake.data)
            finally:
                stray.kill()
        self.assertEqual(code, 1)
        broken = findings["gate.-c"]
        self.assertEqual(broken["grade"], "broken")
        self.assertIn("NO call filter", broken["finding"])
        self.assertTrue(broken["mend"])

    def test_a_server_that_does_not_run(self):
        self.assertIn("does not run", doctor("/tmp")[1]["processes"]["finding"])


@unittest.skipIf(harness.SANITIZED, "such a build is allowed more, for its own reports")
class Breakout(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not BREAKOUT.exists():
            raise unittest.SkipTest("breakout is not built (make impostors)")
        cls.abi = landlock_abi()
        cls.place = harness.Place()
        # Once started, so that everything is there and belongs to whom it should.
        cls.keybrake = harness.Keybrake(cls.place).init().start()
        cls.keybrake.stop()

    @classmethod
    def tearDownClass(cls):
        cls.place.remove()

    def outcomes(self, role, walls):
        user = "nobody" if harness.AS_ROOT else ""
        done = subprocess.run([BREAKOUT, role, self.keybrake.data, user, walls], text=True,
                              capture_output=True, timeout=120, check=False)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[-1:], ["done"], (role, walls, done.stdout[-300:], done.stderr))
        found = dict(line.split(" ", 1) for line in lines[:-1])
        self.assertGreater(len(found), 120)
        return found

    def not_killed(self, role, walls):
        return {n: o for n, o in self.outcomes(role, walls).items() if o != "killed"}

    def test_every_process(self):
        for role in ROLES:
            expected = dict(EXCEPTIONS[role])
            if self.abi < 6:
                expected.pop("connect-abstract", None)
            found = self.not_killed(role, "all")
            if self.abi < 6:
                found.pop("connect-abstract", None)
            with self.subTest(role):
                self.assertEqual(found, expected)

    def test_a_kernel_whose_landlock_knows_no_network(self):
        """Debian 12's.  The filter and the empty namespace do what Landlock's rules would."""
        for role in ROLES:
            expected = {**EXCEPTIONS[role]}
            if "connect-abstract" in expected:
                expected["connect-abstract"] = "worked"
            with self.subTest(role):
                self.assertEqual(self.not_killed(role, "abi3"), expected)

    def test_a_kernel_without_landlock(self):
        """No process that takes bytes from sandboxes can name a file or a host all the same; only
        the operators' one can read what its user may."""
        for role in ROLES:
            with self.subTest(role):
                self.assertEqual(set(self.not_killed(role, "no-landlock")),
                                 set(EXCEPTIONS[role]))

    def test_the_other_walls_hold_without_the_filter(self):
        if self.abi < 6:
            self.skipTest("this kernel's Landlock knows no network or no scopes")
        for role in ROLES:
            found = self.outcomes(role, "no-seccomp")
            with self.subTest(role):
                for name in FILES:
                    if role == "check" and name in ("read-passwd", "open", "read-vault-key"):
                        continue  # it reads what its user may
                    self.assertEqual(found[name], "refused EACCES", name)
                for name in OTHERS:
                    self.assertNotEqual(found.get(name), "worked", name)
                self.assertEqual(found["bind-tcp"], "refused EACCES")
                self.assertEqual(found["connect-abstract"], "refused EPERM")
                if role not in ("vault", "dialer"):
                    self.assertEqual(found["connect-tcp"], "refused EACCES")
