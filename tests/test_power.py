# SPDX-License-Identifier: Apache-2.0
"""Money and the audit under power cuts (tests/power.py) and full disks."""

import os
import random
import signal
import sqlite3
import time
import unittest

import harness
import oracle
import power
from test_faults import HARMFUL, HARMLESS

WHY_NOT = power.why_not()


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Control(unittest.TestCase):
    """The cut does cut: what was not synchronised is gone, else the tests below prove nothing."""

    def test_unsynchronised_rows_are_lost_and_synchronised_ones_are_not(self):
        disk = power.Disk()
        try:
            kept = {}
            for mode in ("FULL", "OFF"):
                db = sqlite3.connect(disk.path / f"{mode}.db", isolation_level=None)
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("CREATE TABLE t(x)")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                os.sync()
                db.execute(f"PRAGMA synchronous = {mode}")
                for i in range(50):
                    db.execute("INSERT INTO t VALUES (?)", (i,))
                kept[mode] = db
            disk.cut()
            for db in kept.values():
                try:
                    db.close()
                except sqlite3.Error:
                    pass
            disk.unmount()
            disk.mount()
            rows = {mode: sqlite3.connect(disk.path / f"{mode}.db").execute(
                "SELECT count(*) FROM t").fetchone()[0] for mode in kept}
            self.assertEqual(rows["FULL"], 50)
            self.assertLess(rows["OFF"], 50)
        finally:
            disk.remove()


@unittest.skipIf(WHY_NOT, WHY_NOT)
class PowerCuts(oracle.FaultCase):
    @classmethod
    def setUpClass(cls):
        cls.disk = power.Disk(1024 if cls.long else 64)
        cls.addClassCleanup(cls.disk.remove)
        super().setUpClass()

    @classmethod
    def make_keybrake(cls, place):
        place.data_root = cls.disk.path
        return harness.Keybrake(place)

    def cut(self):
        """Frozen, shut down, killed, and what is left of the disk mounted again."""
        os.killpg(self.keybrake.process.pid, signal.SIGSTOP)
        for _ in range(100):
            if all(self.is_stopped(p) for group in self.keybrake.pids().values() for p in group):
                break
            time.sleep(0.01)
        self.disk.cut()
        self.keybrake.kill()
        self.disk.unmount()
        self.disk.mount()

    @staticmethod
    def is_stopped(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return True

    def test_power_cuts(self):
        rng = random.Random(self.seed)
        rounds = 200 if self.long else 10
        load = self.begin()
        unknown = 0
        for i in range(rounds):
            fates = HARMFUL if i % 4 == 3 else HARMLESS
            self.vendor.fates(**fates)
            load.new_keys()
            with self.subTest(round=i, seed=self.seed):
                before = self.oracle.unanswered()
                load.start()
                time.sleep(rng.uniform(0.02, 1.2))
                self.cut()
                began = time.monotonic()
                self.keybrake.start()
                self.assertLess(time.monotonic() - began, 5)
                time.sleep(rng.uniform(0, 0.3))
                load.stop()
                most = self.oracle.unanswered() - before
                unknown += self.oracle.check(
                    most_unknown=min(most, load.clients) if fates is HARMLESS else most,
                    all_keys=False)
        self.oracle.check()
        self.tell(f"{rounds} power cuts, {len(load.sent)} requests, "
                  f"{sum(1 for c in self.vendor.calls() if c.get('moved'))} charges, "
                  f"{unknown} unknown outcomes")


@unittest.skipIf(WHY_NOT, WHY_NOT)
class BrokenDisk(oracle.FaultCase):
    """A disk that fails: EIO of the kernel's own, to the very program with its very filter."""

    make_keybrake = PowerCuts.__dict__["make_keybrake"]

    @classmethod
    def setUpClass(cls):
        cls.disk = power.Disk(1024 if cls.long else 64)
        cls.addClassCleanup(cls.disk.remove)
        super().setUpClass()

    def test_a_failed_write_or_fsync_ends_the_server_and_nothing_is_lost(self):
        rng = random.Random(self.seed)
        rounds = 20 if self.long else 3
        load = self.begin()
        self.vendor.fates(**HARMLESS)
        for i in range(rounds):
            with self.subTest(round=i, seed=self.seed):
                load.new_keys()
                load.start()
                time.sleep(rng.uniform(0.1, 0.8))
                self.disk.fail()
                code = self.keybrake.process.wait(20)
                self.assertNotEqual(code, 0)
                self.keybrake.forget()
                load.stop()
                self.assertIn("store-broken", self.keybrake.log_text())
                self.disk.unmount()
                self.disk.mount()
                self.keybrake.start()
                self.oracle.check(most_unknown=load.clients, all_keys=False)
        self.tell(f"{rounds} times EIO: the server ended each time, and began again with all of it")


@unittest.skipIf(os.getuid() != 0, "needs root, to mount a small tmpfs")
class FullDisk(oracle.FaultCase):
    """No room: what needs the ledger is refused, what is under way ends, and room mends it."""

    deaths_expected = False

    @classmethod
    def setUpClass(cls):
        cls.root = harness.pathlib.Path(harness.tempfile.mkdtemp(prefix="keybrake-full-"))
        cls.root.chmod(0o755)
        power.run("mount", "-t", "tmpfs", "-o", f"size={200 if cls.long else 24}m,mode=755", "keybrake-full", str(cls.root))
        cls.addClassCleanup(lambda: (power.run("umount", "-l", str(cls.root)), cls.root.rmdir()))
        super().setUpClass()

    @classmethod
    def make_keybrake(cls, place):
        place.data_root = cls.root
        return super().make_keybrake(place)

    def fill(self):
        with open(self.root / "filler", "ab", buffering=0) as file:
            for size in (65536, 4096):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    def probe(self, key, name):
        """One charge of a cent; its status and code."""
        sent = oracle.Sent(key, name, 1, None)
        self.load.sent.append(sent)
        self.load.attempt(self.keybrake.door(), sent)
        return sent.answers[-1]

    def works(self):
        try:
            key = self.load.issue(1000)
        except harness.Refusal as refusal:
            self.assertEqual(refusal.status, 503)
            return False
        return self.probe(key, f"free{len(self.load.sent)}")[0] == 200

    def test_full_and_free_again(self):
        self.vendor.fates(**HARMLESS)
        load = self.begin()
        refused = 0
        for i in range(20 if self.long else 4):
            with self.subTest(round=i, seed=self.seed):
                load.new_keys()
                spare = load.issue(5000)
                load.keys.remove(spare)
                before = len(load.sent)
                load.start()
                time.sleep(0.3)
                self.fill()
                self.eventually(lambda: self.probe(spare, f"full{len(load.sent)}")
                                == (503, "ledger_unavailable"), 10)
                # What needs no row goes on; what is refused says when to come again.
                status, headers, _ = self.ask({"token": spare.token}, "GET", "/stripe/v1/balance")
                self.assertEqual(status, 200)
                status, _, _ = self.keybrake.api_raw("GET", "/healthz")
                self.assertEqual(status, 200)
                time.sleep(0.5)
                (self.root / "filler").unlink()
                self.eventually(self.works, 5)  # and no restart
                load.stop()
                refused += sum(1 for s in load.sent[before:] for a in s.answers
                               if a and a[1] == "ledger_unavailable")
                self.oracle.check(most_unknown=0)
        self.assertEqual(self.keybrake.log_text().count("born process=scribe"), 1)
        self.tell(f"{i + 1} times full, {refused} requests refused for it")
