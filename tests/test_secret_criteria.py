# SPDX-License-Identifier: Apache-2.0
"""Where a secret must not be: the ten criteria by which secret hygiene is judged, one test each.

What test_secrets and test_hygiene look at by themselves is not repeated here; --long makes S1 ten
times as long.
"""

import ctypes
import math
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from test_secrets import forms_of, scan_memory

LONG = bool(os.environ.get("KEYBRAKE_LONG"))
STRANGER = 54321  # a user that owns nothing here
PATHS = ("/v1/double/echo", "/v1/balance", "/v1/double/split/3", "/v1/double/redirect-away",
         "/v1/double/status/500", "/v1/double/gzip", "/v1/double/reset", "/v1/double/cut/20",
         "/v1/nowhere", "/v1/double/bytes/70000")


def count_in_memory(pid, needle):
    """How often it stands in the readable memory of a process."""
    found = 0
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not match or "[v" in line:
                continue
            start, end = (int(x, 16) for x in match.groups())
            try:
                memory.seek(start)
                found += memory.read(end - start).count(needle)
            except (OSError, ValueError, OverflowError):
                pass
    return found


def push_out(pid):
    """Asks the kernel to take all memory of a process out to swap (process_madvise(2))."""
    process_madvise, madv_pageout = 440, 21
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
            start, end = (int(x, 16) for x in match.groups())
            vector = (ctypes.c_size_t * 2)(start, end - start)
            # Locked memory says no, as it should.
            libc.syscall(process_madvise, pidfd, vector, ctypes.c_size_t(1), madv_pageout, 0)
    finally:
        os.close(pidfd)


def pieces_of(path):
    """A file's bytes as they are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, 1 << 20) as room:  # aligned, as O_DIRECT wants it
            while got := os.readv(fd, [room]):
                yield room[:got]
    finally:
        os.close(fd)


@unittest.skipUnless(harness.AS_ROOT, "looks at other users' processes")
@unittest.skipIf(harness.SANITIZED, "such a build keeps what it freed, and may open more")
class Criteria(harness.Case):
    options = ["--gates", "1"]

    def needles(self):
        """The vendor's key in every form, and the vault's own as it lies in its file."""
        found = forms_of(self.secrets["stripe"])
        master = (self.keybrake.data / "vault" / "key").read_bytes()
        pairs = master[master.index(b"\n") + 1 :]  # struct vault_key: base/vault_key.h
        for private in (pairs[40:72], pairs[168:200]):  # to unseal; the seed to sign
            found |= {private, private[:16], private.hex().encode()}
        return found

    def everybody(self):
        yield "parent", self.keybrake.process.pid
        for name, pids in self.keybrake.pids().items():
            for pid in pids:
                yield name, pid

    def mixed(self, key, count):
        for i in range(count):
            path = PATHS[i % len(PATHS)]
            try:
                self.ask(key, "GET", "/stripe" + path)
            except (OSError, ValueError, harness.http.client.HTTPException):
                pass
            if i % 10 == 0:
                self.keybrake.ask("wrong", "GET", "/stripe/v1/balance")
                self.charge(key, 1)

    def test_S1_idle_after_load(self):
        key = self.issue(daily_usd_cap=100000)
        threads = [threading.Thread(target=self.mixed, args=(key, 1250 if LONG else 125))
                   for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(1)
        needles = self.needles()
        for name, pid in self.everybody():
            with self.subTest(name):
                self.assertEqual(scan_memory(pid, needles), set())
                for part in ("environ", "cmdline"):
                    data = pathlib.Path(f"/proc/{pid}/{part}").read_bytes()
                    self.assertFalse([n for n in needles if n in data])
                for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                    self.look_into(fd, needles)

    def look_into(self, fd, needles):
        """What an open memfd holds, but for secret memory, which nobody can read."""
        try:
            target = os.readlink(fd)
            if not target.startswith("/memfd:"):
                return
            with open(fd, "rb") as file:
                data = file.read()
        except OSError:
            return
        self.assertFalse([n for n in needles if n in data], target)

    def test_S2_under_load(self):
        key = self.issue(daily_usd_cap=100000)
        secret = self.secrets["stripe"].encode()
        end = time.monotonic() + 12
        clients = 8

        def load():
            while time.monotonic() < end:
                self.ask(key, "GET", "/stripe/v1/double/echo")

        threads = [threading.Thread(target=load) for _ in range(clients)]
        for thread in threads:
            thread.start()
        samples, most = 0, 0
        while samples < 20 and time.monotonic() < end:
            for name, pid in self.everybody():
                if name == "vault":
                    most = max(most, count_in_memory(pid, secret))
                else:
                    self.assertEqual(scan_memory(pid, {secret}), set(), name)
            samples += 1
        end = 0
        for thread in threads:
            thread.join()
        self.assertGreaterEqual(samples, 10)
        # One on its way out and one that the vendor echoes back, for each request under way.
        self.assertLessEqual(most, 2 * clients)

    def test_S4_whatever_is_written_or_exported(self):
        key = self.issue()
        self.mixed(key, 40)
        time.sleep(0.5)
        needles = forms_of(self.secrets["stripe"]) | {key["token"].encode()}
        texts = {path: path.read_bytes()
                 for path in [*self.keybrake.data.rglob("*"), self.keybrake.log_path]
                 if path.is_file()}
        for command in (("audit", "--json"), ("audit", "--csv"), ("spend", "--json"),
                        ("key", "list", "--json"), ("credential", "list", "--json"),
                        ("credential", "show", "stripe"), ("doctor", "--json"),
                        ("audit", "head"), ("audit", "verify"), ("holds", "list", "--json")):
            texts[command] = self.keybrake.run(*command, check=False).stdout.encode()
        self.assertGreater(len(texts), 12)
        for where, data in texts.items():
            self.assertFalse([n for n in needles if n in data], where)

    def test_S5_every_answer_on_every_port(self):
        key = self.issue()
        needles = forms_of(self.secrets["stripe"])

        def scrubbed():
            text = self.keybrake.api_raw("GET", "/metrics")[2].decode()
            return int(re.search(r"^keybrake_scrubbed_total (\d+)", text, re.M)[1])

        before = scrubbed()
        for path in PATHS:
            for method in ("GET", "POST", "HEAD"):
                try:
                    _, headers, body = self.ask(key, method, "/stripe" + path,
                                                "a=b" if method == "POST" else None)
                except (OSError, harness.http.client.HTTPException):
                    continue
                self.assertFalse([n for n in needles if n in body + repr(headers).encode()], path)
        self.eventually(lambda: scrubbed() > before)
        self.eventually(lambda: "credential_overwritten=" in self.keybrake.run(
            "audit", "--json", "--limit", "500").stdout)
        token = self.keybrake.token.encode()
        for path in ("/healthz", "/readyz", "/metrics", "/v1/keys", f"/v1/keys/{key['id']}",
                     "/v1/credentials", "/v1/credentials/stripe", "/v1/audit", "/v1/spend",
                     "/v1/holds", "/v1/vendors", "/v1/tokens", "/v1/stops", "/v1/nowhere"):
            for method in ("GET", "DELETE" if path == "/v1/nowhere" else "GET", "OPTIONS"):
                _, headers, body = self.keybrake.api_raw(method, path)
                text = body + repr(headers).encode()
                self.assertFalse([n for n in needles | {key["token"].encode(), token} if n in text],
                                 path)
        bad = {"vendor": "stripe", "secret": self.secrets["stripe"], "nonsense": 1}
        status, headers, body = self.keybrake.api_raw("PUT", "/v1/credentials/x", bad)
        self.assertEqual(status, 400)
        self.assertFalse([n for n in needles if n in body + repr(headers).encode()])

    def test_S6_refusals_do_not_say_how_near_a_guess_was(self):
        token = self.issue()["token"]

        def wrong(kept):
            """Wrong from a place on; then the checksum is too, so that is looked at first."""
            tail = "".join(random.choice("abcdefghij") for _ in token[kept:])
            return token[:kept] + tail

        answers = {self.strip(self.keybrake.ask(wrong(k), "GET", "/stripe/v1/balance"))
                   for k in (3, 10, 30, 35, 40)}
        self.assertEqual(len(answers), 1, answers)
        for attempt in range(3):
            near, far = [], []
            connection = self.keybrake.door()
            for i in range(6000):
                times, guess = (near, wrong(38)) if i % 2 else (far, wrong(3))
                began = time.perf_counter_ns()
                connection.request("GET", "/stripe/v1/balance",
                                   headers={"Authorization": "Bearer " + guess})
                connection.getresponse().read()
                times.append(time.perf_counter_ns() - began)
            connection.close()
            near, far = (sorted(t)[: len(t) * 9 // 10] for t in (near, far))
            spread = math.sqrt(statistics.variance(near) / len(near)
                               + statistics.variance(far) / len(far))
            welch = (statistics.fmean(near) - statistics.fmean(far)) / spread
            if abs(welch) < 4.5:
                return
        self.fail(f"t = {welch:.1f}")

    @staticmethod
    def strip(answer):
        status, headers, body = answer
        body = re.sub(rb"req_\w+", b"req", body)
        return (status, tuple(sorted(h for h in headers.items()
                                     if h[0] not in ("date", "keybrake-request-id", "request-id"))),
                body)

    def test_S8_strangers_and_equals(self):
        libc = ctypes.CDLL(None, use_errno=True)
        for name, pid in self.everybody():
            for user in (STRANGER, 65534):  # the second one is the children's own
                if name == "parent" and user == 65534:
                    continue
                with self.subTest(f"{name} as {user}"):
                    self.as_user(user, pid)
            cmdline = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            self.assertNotIn(b"sk_", cmdline)
        self.assertIsNotNone(libc)
        done = self.run_as(STRANGER, "ls", self.keybrake.data)
        self.assertNotEqual(done.returncode, 0)
        with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
            script.write("import socket, sys\ns = socket.socket(socket.AF_UNIX)\n"
                         "s.connect(sys.argv[1])\n")
            script.flush()
            os.chmod(script.name, 0o644)
            done = self.run_as(STRANGER, "/usr/bin/python3", script.name,
                               self.keybrake.data / "run" / "control.sock")
        self.assertIn("PermissionError", done.stderr)

    @staticmethod
    def run_as(user, *command):
        return subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                               *map(str, command)], capture_output=True, text=True, check=False)

    def as_user(self, user, pid):
        for part in ("environ", "maps", "mem", "fd", "auxv", "stack"):
            done = self.run_as(user, "ls" if part == "fd" else "head", f"/proc/{pid}/{part}")
            if part == "auxv" and done.returncode == 0:
                self.assertEqual(done.stdout, "")
                continue
            self.assertNotEqual(done.returncode, 0, part)
        # 16 is PTRACE_ATTACH.
        code = ("import ctypes; c = ctypes.CDLL(None, use_errno=True); "
                f"r = c.ptrace(16, {pid}, None, None); print(r, ctypes.get_errno())")
        self.assertEqual(self.run_as(user, "/usr/bin/python3", "-c", code).stdout.strip(), "-1 1")

    @unittest.skipUnless(shutil.which("strace"), "needs strace")
    def test_S9_no_call_writes_it(self):
        key = self.issue()
        secret = self.secrets["stripe"]
        with tempfile.NamedTemporaryFile() as out:
            pids = [x for _, pid in self.everybody() for x in ("-p", str(pid))]
            with subprocess.Popen(["strace", "-f", "-qq", "-s", "1000000", "-o", out.name, "-e",
                                   "trace=write,writev,pwrite64,sendto,sendmsg,sendmmsg", *pids],
                                  stderr=subprocess.DEVNULL) as tracer:
                time.sleep(1)
                for path in PATHS[:6]:
                    self.ask(key, "GET", "/stripe" + path)
                self.charge(key, 5)
                time.sleep(0.5)
                tracer.send_signal(signal.SIGINT)
            traced = pathlib.Path(out.name).read_text(errors="replace")
        self.assertIn("/v1/double/echo", traced)  # what is written does show
        self.assertNotIn(secret, traced)
        self.assertNotIn(secret[8:30], traced)

    def test_S10_nothing_in_a_swap_file(self):
        """All that can be pushed out to a swap file is, and the key is not in it; what an
        ordinary process holds is."""
        canary = os.urandom(16).hex()
        holder = subprocess.Popen(["/usr/bin/python3", "-c",
                                   "import sys, time\n"
                                   "kept = bytearray(sys.stdin.readline().strip().encode() * 4096)\n"
                                   "print('held', flush=True)\n"
                                   "time.sleep(600)"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (holder.kill(), holder.communicate()))
        holder.stdin.write(canary.encode() + b"\n")
        holder.stdin.flush()
        holder.stdout.readline()
        key = self.issue()
        for path in PATHS[:6]:
            self.ask(key, "GET", "/stripe" + path)
        swap = pathlib.Path(tempfile.mkdtemp()) / "swap"
        self.addCleanup(lambda: (swap.unlink(), swap.parent.rmdir()))
        with open(swap, "wb") as file:
            file.write(bytes(64 << 20))  # a hole, or room never written to, reads as zeros
        swap.chmod(0o600)
        subprocess.run(["mkswap", swap], check=True, capture_output=True)
        on = subprocess.run(["swapon", "--priority", "32767", swap], capture_output=True, text=True,
                            check=False)
        if on.returncode != 0:
            self.skipTest(f"no swap file here: {on.stderr.strip()}")
        try:
            for _, pid in [*self.everybody(), ("holder", holder.pid)]:
                push_out(pid)
            for path in PATHS[:6]:  # and it works on
                self.ask(key, "GET", "/stripe" + path)
            for _, pid in self.everybody():
                push_out(pid)
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                self.assertGreater(int(re.search(r"VmSwap:\s+(\d+)", status)[1]), 0)
            os.sync()
            # Read past the cache: what the kernel wrote there did not go through it.
            data = b"".join(pieces_of(swap))
        finally:
            subprocess.run(["swapoff", swap], check=True)
        # What is compared is not to be printed.
        self.assertTrue(canary.encode() * 8 in data, "nothing was pushed out: no proof of anything")
        self.assertFalse(any(n in data for n in self.needles()), "a secret is in the swap file")

    def test_S10_not_to_swap(self):
        self.ask(self.issue(), "GET", "/stripe/v1/balance")
        for pid in self.keybrake.pids()["vault"]:
            maps = pathlib.Path(f"/proc/{pid}/smaps").read_text()
            found = [m for m in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", maps) if m]
            kept = [m for m in found if "secretmem" in m.splitlines()[0]]
            if not kept:  # a kernel without: then locked
                kept = [m for m in found if re.search(r"VmFlags:.* lo\b", m)]
            self.assertTrue(kept)
            for mapping in kept:
                self.assertRegex(mapping, r"Swap:\s+0 kB")


@unittest.skipIf(harness.SANITIZED, "a sanitizer has handlers of its own")
class Crashes(harness.Case):
    options = ["--gates", "1"]
    deaths_expected = True

    def test_S3_no_core_file(self):
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        if pattern.startswith("|") or "/" in pattern:
            self.skipTest(f"core files go elsewhere here: {pattern}")
        self.keybrake.stop()
        before, where = os.getcwd(), self.place.path / "cores"
        where.mkdir()
        where.chmod(0o777)
        os.chdir(where)
        import resource
        limits = resource.getrlimit(resource.RLIMIT_CORE)
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
            # That one would be written here.
            probe = subprocess.Popen(["sleep", "60"])
            probe.send_signal(signal.SIGSEGV)
            probe.wait()
            if not list(where.glob("core*")):
                self.skipTest("no core files are written here")
            for file in where.glob("core*"):
                file.unlink()
            self.keybrake.start()
            key = self.issue()
            for name in ("gate", "reader", "vault", "judge", "scribe", "control"):
                self.ask(key, "GET", "/stripe/v1/double/echo")
                pid = self.keybrake.pids()[name][0]
                os.kill(pid, signal.SIGSEGV if name != "vault" else signal.SIGABRT)
                self.eventually(lambda name=name, pid=pid:
                                pid not in self.keybrake.pids().get(name, [pid]), 10)
                self.eventually(self.answers, 10)
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, limits)
            os.chdir(before)
        self.assertEqual(list(where.iterdir()), [])

    def answers(self):
        try:
            return self.keybrake.api("GET", "/v1/keys")
        except (OSError, harness.Refusal, ValueError):
            return None


class Copied(harness.Case):
    """S7: the database in the hands of somebody without the unsealing key."""

    def put(self, name, secret=None):
        secret = secret or harness.fake_secret("stripe")
        body = self.credential("stripe", self.doubles["stripe"].port)
        self.keybrake.api("PUT", f"/v1/credentials/{name}", {**body, "secret": secret})
        return secret

    def rows(self):
        with sqlite3.connect(self.keybrake.data / "db" / "keybrake.db") as db:
            return dict(db.execute("SELECT name, sealed FROM credentials"))

    def test_S7_sealed_boxes(self):
        # The double takes what is in the second box, so that a swap would work.
        secrets = [self.put("one"), self.put("two", self.secrets["stripe"])]
        seen = set()
        for _ in range(200):
            self.put("again")
            box = self.rows()["again"]
            # Each box begins with a key that was made for it alone.
            self.assertNotIn(box[:32], seen)
            seen.add(box[:32])
        for box in self.rows().values():
            for secret in [*secrets, self.secrets["stripe"]]:
                self.assertNotIn(secret.encode(), box)
        self.keybrake.stop()
        with sqlite3.connect(self.keybrake.data / "db" / "keybrake.db") as db:
            one, two = (db.execute("SELECT sealed FROM credentials WHERE name = ?",
                                   (n,)).fetchone()[0] for n in ("one", "two"))
            db.execute("UPDATE credentials SET sealed = ? WHERE name = 'one'", (two,))
            db.execute("UPDATE credentials SET sealed = ? WHERE name = 'two'",
                       (one[:-1] + bytes([one[-1] ^ 1]),))
        if harness.AS_ROOT:  # SQLite may have made files of ours
            owner = (self.keybrake.data / "db" / "keybrake.db").stat()
            for path in (self.keybrake.data / "db").iterdir():
                os.chown(path, owner.st_uid, owner.st_gid)
        self.keybrake.start()
        before = len(self.doubles["stripe"].calls)
        for name in ("one", "two"):
            key = self.issue(credential=name)
            status, headers, body = self.ask(key, "GET", "/stripe/v1/balance")
            self.assertEqual((status, headers["keybrake-denied"]), (502, "credential_rejected"),
                             body)
        self.assertEqual(len(self.doubles["stripe"].calls), before)
        key = self.issue(credential="stripe")
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)
