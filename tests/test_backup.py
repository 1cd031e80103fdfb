# SPDX-License-Identifier: Apache-2.0
"""keybrake backup: a copy beside a running server, and what comes back with it."""

import os
import shutil
import stat
import threading

import harness


class Backup(harness.Case):
    vendors = ["stripe"]

    def other(self, name, *options):
        other = harness.Keybrake(self.place, name, options)
        other.token = self.keybrake.token
        self.addCleanup(other.kill)
        return other

    def back_up(self, name, *args, check=True):
        return self.keybrake.run("backup", self.place.path / name, *args, check=check)

    def test_what_comes_back(self):
        key = self.issue(daily_usd_cap=50, label="kept")
        self.charge(key, 1200)
        done = self.back_up("copy-1")
        other = self.other("copy-1")
        self.assertIn(f"{other.data} up to ", done.stdout)
        self.charge(key, 900)  # after the copy
        verified = other.run("audit", "verify").stdout
        self.assertIn(done.stdout.split()[-1], verified)
        other.start()
        shown = other.api("GET", f"/v1/keys/{key['id']}")
        self.assertEqual((shown["label"], shown["spent_usd"]), ("kept", "12.00"))
        self.assertEqual(other.ask(key["token"], "GET", "/stripe/v1/balance")[0], 200)
        other.stop()

    def test_beside_a_writer(self):
        key = self.issue(daily_usd_cap=5000)
        stop = threading.Event()

        def work():
            while not stop.is_set():
                self.charge(key, 100)

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        try:
            for n in range(5):
                self.back_up(f"busy-{n}")
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        for n in range(5):
            other = self.other(f"busy-{n}")
            other.run("audit", "verify")
            self.assertIn("admissions", other.run("doctor", check=False).stdout)

    def test_only_ours(self):
        self.back_up("modes")
        for place, directories, files in os.walk(self.place.path / "modes"):
            self.assertEqual(stat.S_IMODE(os.stat(place).st_mode), 0o700)
            for name in files:
                path = os.path.join(place, name)
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)
                with open(path, "rb") as file:
                    self.assertNotIn(self.secrets["stripe"].encode(), file.read())

    def test_without_the_key(self):
        done = self.back_up("keyless", "--without-key")
        self.assertIn("the vault key is not in it", done.stderr)
        other = self.other("keyless")
        self.assertFalse((other.data / "vault" / "key").exists())
        as_whom = ["--user", "nobody"] if harness.AS_ROOT else []
        refused = other.run("serve", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", *as_whom,
                            check=False)
        self.assertIn("put it back from a backup", refused.stderr)
        shutil.copy2(self.keybrake.data / "vault" / "key", other.data / "vault" / "key")
        other.start()
        key = other.api("POST", "/v1/keys", {"vendor": "stripe", "daily_usd_cap": 1,
                                             "allowed_endpoints": ["/v1/balance"]})
        self.assertEqual(other.ask(key["token"], "GET", "/stripe/v1/balance")[0], 200)
        other.stop()

    def test_refusals_leave_nothing(self):
        self.back_up("twice")
        again = self.back_up("twice", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("is there already", again.stderr)
        nowhere = harness.Keybrake(self.place, "nowhere")
        place = self.place.path / "of-nothing"
        done = nowhere.run("backup", place, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertFalse(place.exists())
        self.assertEqual(self.keybrake.run("backup", check=False).returncode, 2)
