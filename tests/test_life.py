# SPDX-License-Identifier: Apache-2.0
"""Death and birth of processes, reload, drain."""

import os
import pathlib
import shutil
import signal
import ssl
import threading
import time

import harness


class Deaths(harness.Case):
    deaths_expected = True

    def works(self, key):
        try:
            return self.ask(key, "GET", "/stripe/v1/balance")[0] == 200
        except OSError:
            return False

    def test_any_process_may_die_and_comes_back(self):
        key = self.issue(daily_usd_cap=1000)
        self.assertEqual(self.charge(key, 100)[0], 200)
        for name in ("gate", "reader", "vault", "control", "judge", "scribe"):
            with self.subTest(name):
                old = self.keybrake.pids()[name][0]
                os.kill(old, signal.SIGKILL)
                self.eventually(lambda: old not in self.keybrake.pids().get(name, [old]))
                self.eventually(lambda: self.works(key), 10)
                self.eventually(lambda: self.charge(key, 100)[0] == 200, 10)

    def test_the_parents_death_takes_all_along(self):
        place = harness.Place()
        try:
            other = harness.Keybrake(place).init().start()
            pids = [p for group in other.pids().values() for p in group]
            other.process.send_signal(signal.SIGKILL)
            other.process.wait()
            self.eventually(lambda: not any(pathlib.Path(f"/proc/{p}/exe").exists() for p in pids))
            other.forget()
        finally:
            place.remove()

    def test_two_servers_cannot_share_a_directory(self):
        twin = harness.Keybrake(self.place)
        twin.data = self.keybrake.data
        with self.assertRaises(AssertionError):
            twin.start()
        self.assertTrue(self.works(self.issue()))


class Drain(harness.Case):
    def test_sigterm_lets_requests_finish_and_loses_nothing(self):
        key = self.issue()
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(self.ask(key, "GET", "/stripe/v1/double/slow/700")))
        thread.start()
        time.sleep(0.3)
        self.assertEqual(self.keybrake.stop(), 0)
        thread.join()
        self.assertEqual(answers[0][0], 200)
        self.keybrake.start()
        rows = self.audit(key=key["id"])
        self.assertTrue([r for r in rows if r["event"] == "request" and r["status"] == 200])


class Reload(harness.Case):
    scheme = "https"

    @classmethod
    def setUpClass(cls):
        cls.packs = pathlib.Path(harness.tempfile.mkdtemp(prefix="keybrake-packs-"))
        cls.packs.chmod(0o755)
        cls.options = ["--packs", str(cls.packs)]
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.packs)

    def vendors_known(self):
        return [v["vendor"] for v in self.keybrake.api("GET", "/v1/vendors")["data"]]

    def test_packs_and_a_bad_pack_that_changes_nothing(self):
        text = (harness.ROOT / "packs" / "resend.json").read_text()
        (self.packs / "acme.json").write_text(text.replace('"resend"', '"acme"', 1))
        self.assertNotIn("acme", self.vendors_known())
        self.keybrake.reload()
        self.eventually(lambda: "acme" in self.vendors_known())
        (self.packs / "bad.json").write_text('{"vendor": "bad", "unknown": 1}')
        self.keybrake.reload()
        self.eventually(lambda: "bad.json" in self.keybrake.log_text())
        self.assertIn("acme", self.vendors_known())
        self.assertEqual(self.ask(self.issue(), "GET", "/stripe/v1/balance")[0], 200)

    def test_certificates(self):
        def served():
            context = ssl.create_default_context(cafile=self.place.certificates / "ca.pem")
            with harness.socket.create_connection(("127.0.0.1", self.keybrake.door_port)) as raw:
                with context.wrap_socket(raw, server_hostname="localhost") as wrapped:
                    return wrapped.getpeercert()["serialNumber"]

        mine = self.place.certificates
        backup = [(mine / f"cert.{s}").read_bytes() for s in ("pem", "key")]
        before = served()
        try:
            harness.certify(mine, "cert", "DNS:localhost,IP:127.0.0.1")
            self.keybrake.reload()
            self.eventually(lambda: served() != before)
        finally:
            for suffix, data in zip(("pem", "key"), backup):
                (mine / f"cert.{suffix}").write_bytes(data)
