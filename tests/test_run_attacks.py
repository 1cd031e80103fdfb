# SPDX-License-Identifier: Apache-2.0
"""keybrake run, attacked from inside: what sandbox_attacks.py tries, in each tier, as root and as nobody;
what it does to who stands outside; a session that ends while it is being used."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

import harness
import test_run

ATTACKS = pathlib.Path(__file__).with_name("sandbox_attacks.py")


class Attacks(test_run.Case):
    tier = []
    NOTHING = ("protocols", "netlink", "socket_options", "newer_calls", "x32", "int80",
               "mounts_the_new_way", "clone_flags", "other_processes", "setuid_programs",
               "writable_kernel_files", "secrets_of_the_kernel", "devices", "streams_again",
               "out_of_the_root", "hard_links", "trusted_cas", "control_by_the_door",
               "memory_that_nobody_gave")
    FAMILIES = ["1", "10", "16", "2", "pair 1"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shutil.copy(ATTACKS, cls.work / "attacks.py")

    def attack(self, *options):
        said = self.place.path / "said"
        with open(said, "w") as out:  # a file that is only to be written
            done = subprocess.run(
                self.command(["/usr/bin/python3", "attacks.py", self.keybrake.control_port],
                             [*self.tier, *options]), cwd=self.work, text=True, stdout=out,
                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(said.read_text())

    def test_all(self):
        found = self.attack()
        for name in self.NOTHING:
            with self.subTest(name):
                self.assertEqual(found[name], [])
        self.assertEqual(found["interfaces"], "ENOENT")
        self.assertEqual(found["families"], self.FAMILIES)
        self.assertEqual(found["signal_init"], "keybrake-init")
        self.assertLessEqual(set(found["names_that_carry_data"]), {"(0, 0)", "(0, 1)"})
        self.assertRegex(found["odd_questions"], r"^198\.1[89]\.")
        self.assertLessEqual(set(found["odd_tls_names"]), {"closed", "alert", "hello", "ConnectionResetError"})
        self.assertEqual(found["many_connections"], "keybrake")
        self.assertNotIn(self.secrets["stripe"], json.dumps(found))
        self.assertEqual(self.sandbox("true", options=self.tier).returncode, 0)


class AttacksWithoutRedirect(Attacks):
    tier = ["--tier", "no-redirect"]


class AttacksByNotify(Attacks):
    """The machine's /proc is there, Landlock's rules on it; no datagrams, and so no names over UDP."""

    tier = ["--tier", "notify"]
    FAMILIES = ["1", "10", "2", "pair 1"]

    def test_all(self):
        found = self.attack()
        for name in self.NOTHING:
            if name in ("setuid_programs", "secrets_of_the_kernel", "out_of_the_root",
                        "protocols"):
                continue  # the machine's mounts and names are seen; see below
            with self.subTest(name):
                # A socket may be bound to a device: it is replaced by ours when it connects.
                self.assertEqual([one for one in found[name] if "device" not in one], [])
        self.assertEqual(set(map(tuple, found["protocols"])) - {(1, 0), (1, 6)}, set())
        self.assertEqual(found["families"], self.FAMILIES)
        for path in found["secrets_of_the_kernel"]:
            self.assertNotIn(path, ("/proc/1/mem", "/proc/1/environ", "/proc/kcore", "/dev/mem"))
        self.assertEqual(found["many_connections"], "keybrake")
        self.assertNotIn(self.secrets["stripe"], json.dumps(found))


@unittest.skipUnless(harness.AS_ROOT, "needs root, to become somebody else")
class AttacksAsNobody(Attacks):
    """Server, launcher and who watches are one unprivileged user: what would be refused to another user
    anyway is not, here."""

    @classmethod
    def setUpClass(cls):
        test_run.start_as_nobody(cls, super().setUpClass)

    def bystander(self, program, *options):
        """A process of the same user in the launcher's own process group, while `program` runs inside."""
        watcher = ("import os, subprocess, sys\nos.setpgid(0, 0)\n"
                   "other = subprocess.Popen(['sleep', '60'])\n"
                   "subprocess.run(sys.argv[1:])\n"
                   "print('bystander', other.poll(), os.getpriority(os.PRIO_PROCESS, other.pid))\n"
                   "other.kill()\n")
        command = self.command(["/usr/bin/python3", "-c", program], [*options, "--quiet"])
        return subprocess.run([*command[:len(self.keybrake.prefix)], "/usr/bin/python3", "-c", watcher,
                               *command[len(self.keybrake.prefix):]], cwd=self.work, text=True,
                              capture_output=True, check=False, timeout=60)

    def test_who_shares_the_launchers_group_hears_nothing(self):
        program = ("import ctypes, os, signal\n"
                   "for number in (signal.SIGUSR1, signal.SIGTERM):\n    signal.signal(number, signal.SIG_IGN)\n"
                   "def attempt(function, *args):\n"
                   "    try:\n        function(*args)\n    except OSError as refused:\n        print(refused)\n"
                   "attempt(os.setpriority, os.PRIO_PGRP, 0, 7)\n"
                   "for number in (signal.SIGUSR1, signal.SIGTERM):\n    attempt(os.kill, 0, number)\n"
                   "libc = ctypes.CDLL(None)\n"
                   "libc.syscall(424, os.pidfd_open(os.getpid()), 9 * 0 + 10, None, 4)\n"
                   "libc.syscall(251, 2, 0, 3 << 13)\nprint('did')\n")
        for options in ([], ["--tier", "notify"]):
            done = self.bystander(program, *options)
            self.assertIn("did\n", done.stdout, done.stderr)
            self.assertIn("bystander None 0", done.stdout, options)


class OnATerminal(test_run.Case):
    """There the command stays in the launcher's session, so that Ctrl-C and job control are as ever."""

    def on_terminal(self, *command, options=(), typed=b""):
        """What the terminal shows, and the exit status."""
        pid, terminal = os.forkpty()
        if pid == 0:
            os.chdir(self.work)
            full = self.command(command, ["--quiet", *options])
            os.execvp(full[0], full)
        shown = b""
        with contextlib.suppress(OSError):  # its end
            while piece := os.read(terminal, 4096):
                shown += piece
                if typed and b"ready" in shown:
                    os.write(terminal, typed)
                    typed = b""
        os.close(terminal)
        return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_whole_groups_are_out_of_reach(self):
        program = ("import ctypes, errno, fcntl, os, termios\n"
                   "libc = ctypes.CDLL(None, use_errno=True)\n"
                   "def said(result):\n"
                   "    return errno.errorcode[ctypes.get_errno()] if result < 0 else 'done'\n"
                   "print('kill', said(libc.kill(0, 10)), 'nice', said(libc.setpriority(1, 0, 5)), 'io',"
                   " said(libc.syscall(251, 2, 0, 3 << 13)), 'pidfd', said(libc.syscall(424,"
                   " os.pidfd_open(os.getpid()), 10, None, 4)))\n"
                   "for request, data in ((termios.TIOCSTI, b'x'), (0x541c, b'\\x03'), (termios.TIOCCONS, b'')):\n"
                   "    try:\n        fcntl.ioctl(0, request, data)\n        print('typed')\n"
                   "    except OSError as refused:\n        print(errno.errorcode[refused.errno])\n")
        for options in ([], ["--tier", "notify"]):
            shown, status = self.on_terminal("/usr/bin/python3", "-c", program, options=options)
            self.assertIn("kill EPERM nice EPERM io EPERM pidfd EINVAL", shown)
            self.assertEqual(shown.split()[-3:], ["EPERM"] * 3, shown)
            self.assertEqual(status, 0)

    def test_control_c(self):
        for options in ([], ["--tier", "notify"]):
            shown, status = self.on_terminal(
                "sh", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done",
                options=options, typed=b"\x03")
            self.assertIn("caught", shown)
            self.assertEqual(status, 5, shown)


class Ends(test_run.Case):
    def test_a_session_that_ends_while_it_is_used(self):
        """Twenty clients ask as fast as they can when the launcher is killed: what reaches the vendor was
        admitted before the key was dead."""
        script = ("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (while :; do curl -s -o"
                  " /dev/null https://api.stripe.com/v1/balance -u $STRIPE_SECRET_KEY:; done) & done;"
                  " echo up; wait")
        with self.running("sh", "-c", script) as process:
            self.assertEqual(process.stdout.readline(), "up\n")
            double = self.doubles["stripe"]
            self.eventually(lambda: len(double.calls) > 20, 20)
            process.kill()
            self.eventually(lambda: self.key_of("revoked"))
            time.sleep(0.1)  # what was under way arrives
            count = len(double.calls)
            time.sleep(0.7)
            self.assertEqual(len(double.calls), count)

    def test_a_directory_as_standard_input(self):
        with contextlib.ExitStack() as stack:
            root = os.open("/", os.O_RDONLY)
            stack.callback(os.close, root)
            done = subprocess.run(self.command(["sh", "-c", "ls /proc/self/fd/0/root"]), cwd=self.work,
                                  stdin=root, text=True, capture_output=True, check=False, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertIn("is a directory", done.stderr)


class Repository(test_run.Case):
    def test_what_git_would_run_outside(self):
        shared = self.place.path / "repository"
        (shared / ".git" / "hooks").mkdir(parents=True)
        (shared / ".git" / "modules" / "sub" / "hooks").mkdir(parents=True)
        (shared / ".git" / "config").write_text("[core]\n")
        subprocess.run(["chmod", "-R", "a+rwX", shared], check=True)
        done = self.sandbox("sh", "-c", f"cd {shared}; mv .git moved; mkdir -p .git/hooks;"
                            " echo evil >.git/hooks/post-commit; echo evil >>.git/config;"
                            " echo evil >.git/modules/sub/hooks/pre-commit; rm -rf .git/hooks;"
                            " echo x >.git/index && mkdir .git/objects && echo works",
                            options=["--rw", shared])
        self.assertEqual(done.stdout, "works\n", done.stderr)
        self.assertEqual((shared / ".git" / "config").read_text(), "[core]\n")
        for place in ("hooks", "modules/sub/hooks"):
            self.assertEqual(list((shared / ".git" / place).iterdir()), [], place)
        self.assertFalse((shared / "moved").exists())

    def test_a_worktrees_file(self):
        shared = self.place.path / "worktree"
        shared.mkdir()
        (shared / ".git").write_text("gitdir: /nowhere\n")
        subprocess.run(["chmod", "-R", "a+rwX", shared], check=True)
        self.sandbox("sh", "-c", f"cd {shared}; echo gitdir: /tmp/evil >.git; rm -f .git; mv .git x;"
                     " mkdir .git", options=["--rw", shared])
        self.assertEqual((shared / ".git").read_text(), "gitdir: /nowhere\n")


if __name__ == "__main__":
    unittest.main()
