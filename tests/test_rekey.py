# SPDX-License-Identifier: Apache-2.0
"""A change of the vault key: everything sealed opens before, during and after it."""

import fcntl
import os
import pty
import random
import select
import sqlite3
import subprocess
import time
import unittest

import harness

SEED = int(os.environ.get("KEYBRAKE_SEED", random.randrange(1 << 30)))


class Rekey(harness.Case):
    COUNT = 40  # credentials, so that a kill may fall between two of them

    def setUp(self):
        self.key_file = self.keybrake.data / "vault" / "key"
        self.database = self.keybrake.data / "db" / "keybrake.db"

    def boxes(self):
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as db:
            found = dict(db.execute("SELECT name, sealed FROM credentials"))
        db.close()
        return found

    def vendor_hears_us(self):
        """The real key goes out, by a key of each of some credentials."""
        for name in ("stripe", "more0", f"more{self.COUNT - 1}"):
            key = self.issue(credential=name)
            self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200, name)

    def put_more(self):
        body = self.credential("stripe", self.doubles["stripe"].port)
        for i in range(self.COUNT):
            self.keybrake.api("PUT", f"/v1/credentials/more{i}",
                              {**body, "secret": self.secrets["stripe"]})

    def start_again(self):
        self.keybrake.start()
        self.vendor_hears_us()
        self.keybrake.stop()

    def on_terminal(self, *arguments, answers=()):
        """Runs a command on a terminal of its own, and types; what the terminal showed."""
        pid, master = pty.fork()
        if pid == 0:
            os.execv(self.keybrake.binary, [str(self.keybrake.binary), *arguments, "--data",
                                            str(self.keybrake.data)])
        shown, answers, end = b"", list(answers), time.monotonic() + 30
        while time.monotonic() < end:
            if not select.select([master], [], [], 0.1)[0]:
                continue
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            shown += piece
            if answers and (b"assphrase" in piece or b"Once more" in piece):
                time.sleep(0.05)  # it drops what is typed before echo is off
                os.write(master, answers.pop(0).encode() + b"\n")
        os.close(master)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def test_a_change(self):
        self.put_more()
        refused = self.keybrake.run("rekey", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("serves", refused.stderr)  # not while a server runs
        self.keybrake.stop()
        boxes, old_file = self.boxes(), self.key_file.read_bytes()
        owner, mode = self.key_file.stat().st_uid, self.key_file.stat().st_mode
        done = self.keybrake.run("rekey")
        self.assertIn(f"{self.COUNT + 1} credentials", done.stdout)
        self.assertNotEqual(self.key_file.read_bytes(), old_file)
        self.assertEqual((self.key_file.stat().st_uid, self.key_file.stat().st_mode), (owner, mode))
        after = self.boxes()
        self.assertEqual(after.keys(), boxes.keys())
        everything = b"".join(p.read_bytes() for p in self.database.parent.iterdir())
        for name, box in after.items():
            self.assertNotEqual(box, boxes[name])
            self.assertIn(box, everything)
            self.assertNotIn(boxes[name], everything)  # not in a free page or the log either
        self.start_again()
        # The key of before opens nothing any more.
        new_file = self.key_file.read_bytes()
        self.key_file.write_bytes(old_file)
        self.keybrake.start()
        try:
            status, headers, _ = self.ask(self.issue(), "GET", "/stripe/v1/balance")
            self.assertEqual((status, headers["keybrake-denied"]), (502, "credential_rejected"))
        finally:
            self.keybrake.stop()
            self.key_file.write_bytes(new_file)
        self.keybrake.start()
        self.vendor_hears_us()
        self.assertEqual(self.keybrake.run("audit", "verify").returncode, 0)

    def test_killed_on_the_way(self):
        self.put_more()
        self.keybrake.stop()
        chance = random.Random(SEED)
        began = time.monotonic()
        self.keybrake.run("rekey")
        takes = time.monotonic() - began
        cut = 0
        with self.subTest(seed=SEED):
            for _ in range(100 if os.environ.get("KEYBRAKE_LONG") else 20):
                process = subprocess.Popen(
                    [self.keybrake.binary, "rekey", "--data", str(self.keybrake.data)],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                time.sleep(chance.uniform(0, takes))
                process.kill()
                process.communicate()
                cut += process.returncode != 0
                self.start_again()
        self.assertGreater(cut, 3)
        done = self.keybrake.run("rekey")
        self.assertIn("sealed to the new vault key", done.stdout)
        self.keybrake.start()
        self.vendor_hears_us()

    def test_what_is_half_done_is_finished(self):
        """Cut after the first of its steps: the key file has both pairs, and nothing else moved."""
        self.put_more()
        self.keybrake.stop()
        lock = os.open(self.database.parent, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another writer has it
        before = self.boxes()
        stopped = self.keybrake.run("rekey", check=False)
        self.assertEqual(stopped.returncode, 1)
        self.assertIn("in use", stopped.stderr)
        os.close(lock)
        self.assertEqual(self.boxes(), before)
        self.start_again()  # with both keys
        self.keybrake.start()  # a credential of now is sealed to the older one still
        self.keybrake.api("PUT", "/v1/credentials/late", {
            **self.credential("stripe", self.doubles["stripe"].port),
            "secret": self.secrets["stripe"]})
        self.keybrake.stop()
        done = self.keybrake.run("rekey")
        self.assertIn("cut short", done.stdout)
        self.assertIn(f"{self.COUNT + 2} credentials", done.stdout)
        self.start_again()
        self.assertNotIn("cut short", self.keybrake.run("rekey").stdout)
        self.keybrake.start()
        key = self.issue(credential="late")
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)

    def test_passphrases(self):
        self.put_more()
        self.keybrake.stop()
        plain = self.key_file.read_bytes()
        status, shown = self.on_terminal("rekey", "--passphrase",
                                         answers=["obviously fake one", "obviously fake two"])
        self.assertEqual((status, "differ" in shown), (1, True), shown)
        self.assertEqual(self.key_file.read_bytes(), plain)
        status, shown = self.on_terminal("rekey", "--passphrase",
                                         answers=["obviously fake one"] * 2)
        self.assertEqual(status, 0, shown)
        self.assertNotIn("obviously", shown)
        self.assertTrue(self.key_file.read_bytes().startswith(b"keybrake vault key 2 sealed\n"))
        sealed = self.key_file.read_bytes()
        status, shown = self.on_terminal("rekey", answers=["obviously wrong"])
        self.assertEqual((status, "passphrase is wrong" in shown), (1, True), shown)
        self.assertEqual(self.key_file.read_bytes(), sealed)
        status, shown = self.on_terminal("rekey", answers=["obviously fake one"])  # keeps it
        self.assertEqual(status, 0, shown)
        self.assertTrue(self.key_file.read_bytes().startswith(b"keybrake vault key 2 sealed\n"))
        no_terminal = subprocess.run(
            [self.keybrake.binary, "rekey", "--data", str(self.keybrake.data)], text=True,
            capture_output=True, stdin=subprocess.DEVNULL, start_new_session=True, check=False)
        self.assertEqual(no_terminal.returncode, 1)
        self.assertIn("terminal", no_terminal.stderr)
        status, shown = self.on_terminal("rekey", "--no-passphrase",
                                         answers=["obviously fake one"])
        self.assertEqual(status, 0, shown)
        self.start_again()
        self.keybrake.start()

    def test_usage(self):
        wrong = self.keybrake.run("rekey", "--passphrase", "--no-passphrase", check=False)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("exclude", wrong.stderr)


if __name__ == "__main__":
    unittest.main()
