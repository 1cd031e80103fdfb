# SPDX-License-Identifier: Apache-2.0
"""Intruders in the gate's and in the reader's place get no more than docs/security.md says.

tests/impostor/gate.c and reader.c are keybrake with another gate or reader, confined as the real
one; these tests tell it what to try, and look at what reached the vendor.
"""

import pathlib
import socket
import time
import unittest

import harness

HERE = pathlib.Path(harness.BINARY).parent / "tests" / "impostor"
GATE = HERE / "gate"
READER = HERE / "reader"


class Impostor(harness.Case):
    options = ["--gates", "1"]
    program = GATE
    deaths_expected = True

    @classmethod
    def setUpClass(cls):
        if not cls.program.exists():
            raise unittest.SkipTest(f"{cls.program.name} is not built (make impostors)")
        cls.before, harness.BINARY = harness.BINARY, str(cls.program)
        try:
            super().setUpClass()
        finally:
            harness.BINARY = cls.before


class Gate(Impostor):
    def attack(self, name, token="-"):
        """What the impostor saw, or None when it was killed."""
        with socket.create_connection(("127.0.0.1", self.keybrake.door_port), 10) as connection:
            connection.sendall(f"{name} {token}\n".encode())
            connection.settimeout(10)
            seen = b""
            try:
                while piece := connection.recv(65536):
                    seen += piece
            except ConnectionResetError:
                return None
        return seen.decode(errors="replace").splitlines() or None

    def calls(self):
        """What came by way of a gate: keybrake itself looks for lost answers among the events."""
        return [c for c in self.doubles["stripe"].calls if not c["path"].startswith("/v1/events")]

    def alive(self):
        """The server goes on, with a gate that works."""
        key = self.issue()
        seen = self.eventually(lambda: self.try_attack("bad-headers", key["token"]))
        self.assertIn("head 200", seen)

    def fresh(self):
        """A server whose gates have not died lately, so that the next birth does not wait."""
        self.keybrake.kill()
        self.keybrake.start()

    def try_attack(self, *args):
        try:
            return self.attack(*args)
        except OSError:
            return None

    def test_no_grant_no_forward(self):
        before = len(self.calls())
        key = self.issue()
        self.attack("guess-grant", key["token"])
        time.sleep(1.5)  # what is forwarded before its grant waits for a second
        self.attack("next-grant", key["token"])
        self.assertEqual(len(self.calls()), before)
        self.alive()

    def test_a_grant_is_good_once(self):
        before = len(self.calls())
        self.attack("double-forward", self.issue()["token"])
        self.assertLessEqual(len(self.calls()), before + 1)
        self.alive()

    def test_nothing_judged_can_be_changed(self):
        self.fresh()
        seen = self.attack("bad-headers", self.issue()["token"])
        self.assertIn("head 200", seen)
        call = self.calls()[-1]
        headers = {name.lower(): value for name, value in call["headers"]}
        self.assertEqual(headers["x-fine"], "fine")
        self.assertEqual(headers["authorization"], "(the real key)")
        self.assertTrue(headers["host"].startswith("localhost"))
        for name in ("x-api-key", "x_api_key", "stripe-account", "idempotency-key", "upgrade",
                     "x-http-method-override", "transfer-encoding", "content-length"):
            self.assertNotIn("impostor", headers.get(name, ""), name)
        self.assertNotIn("x-http-method-override", headers)
        self.assertEqual(call["body"], "")

    def test_no_body_but_the_priced_one(self):
        for name in ("swap-body", "longer-body"):
            before = len(self.calls())
            key = self.issue()
            seen = self.attack(name, key["token"])
            self.assertIn("granted ", [s + " " if s == "granted" else s for s in seen], seen)
            self.assertEqual(len(self.calls()), before, name)
            self.eventually(lambda: self.spent(key)[:2] == ("0.00", "0.00"))

    def test_no_other_reading_rule(self):
        before = len(self.calls())
        for name in ("wrong-rule", "two-bodies"):
            key = self.issue(daily_usd_cap="1.00")
            self.try_attack(name, key["token"])
            spent = [float(x) for x in self.spent(key)[:2]]
            self.assertLessEqual(sum(spent), 1.0)
        self.assertEqual(len(self.calls()), before)
        self.alive()

    def test_no_hold_is_freed_by_the_gates_word(self):
        for name, least in (("free-hold", 0), ("early-done", 1)):
            before, key = len(self.calls()), self.issue()
            self.attack(name, key["token"])
            charged = len([c for c in self.calls()[before:] if c.get("moved") == 100])
            self.assertGreaterEqual(charged, least, name)
            self.assertGreaterEqual(sum(float(x) for x in self.spent(key)[:2]), charged, name)
        self.alive()

    def test_no_key_no_grant(self):
        self.assertIn("answer 401", self.attack("no-key"))
        self.assertFalse([s for s in self.try_attack("odd-path", self.issue()["token"]) or []
                          if s.startswith("granted")])
        self.assertFalse([s for s in self.try_attack("odd-method", self.issue()["token"]) or []
                          if s.startswith("granted")])

    def test_nobody_elses_words(self):
        before = len(self.calls())
        for name in ("as-judge", "as-vault", "as-reader", "as-scribe", "as-control", "same-number",
                     "done-for-nothing"):
            with self.subTest(name):
                self.fresh()
                seen = self.try_attack(name, self.issue()["token"]) or []
                self.assertFalse([s for s in seen if s.startswith(("head", "data"))], seen)
                self.alive()
        self.assertEqual(self.calls()[before:], [c for c in self.calls()[before:]
                                                 if c["path"] == "/v1/double/echo"])

    @unittest.skipIf(harness.SANITIZED, "such a build may call more")
    def test_forbidden_calls(self):
        for name in ("socket", "connect", "open", "execve", "fork", "ptrace", "memfd", "readv",
                     "fastopen", "sendmsg-address", "exec-page"):
            with self.subTest(name):
                self.fresh()
                seen = self.try_attack("call-" + name) or ["killed"]
                self.assertFalse([s for s in seen if s.startswith("allowed")], seen)
                self.alive()

    def test_what_it_holds(self):
        self.fresh()
        pid = self.eventually(lambda: self.keybrake.pids().get("gate"))[0]
        kinds = set()
        for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            kinds.add(str(entry.readlink()).split(":")[0].split("[")[0])
        files = {k for k in kinds if k.startswith("/") and k not in ("/dev/null",)
                 and not k.startswith("/memfd")}
        self.assertLessEqual(files, {str(self.keybrake.log_path)}, kinds)


class Reader(Impostor):
    program = READER

    def lie(self, key, which, cents=100):
        body = f"amount={cents}&currency=usd&source=tok_visa"
        if which:
            body += f"&metadata[lie]={which}"
        return self.ask(key, "POST", "/stripe/v1/charges", body,
                        {"Content-Type": "application/x-www-form-urlencoded"})[0]

    def charged(self, since):
        return len([c for c in self.doubles["stripe"].calls[since:] if c.get("moved")])

    def test_it_lies_about_the_bodies_that_pass_and_about_nothing_else(self):
        # What DESIGN grants it: a dear body sold for a cheap one, on the key that sent it.
        key = self.issue()
        self.assertEqual(self.lie(key, "less"), 200)
        spent, _, _ = self.spent(key)
        self.assertLessEqual(float(spent), 1.0)

    def test_the_truth_still_works(self):
        key = self.issue()
        self.assertEqual(self.lie(key, ""), 200)
        self.assertEqual(self.spent(key)[0], "1.00")

    def test_a_body_that_is_not_the_one(self):
        since = len(self.doubles["stripe"].calls)
        for which in ("digest", "length", "rule", "few", "negative", "answer"):
            with self.subTest(which):
                key = self.issue()
                self.assertNotEqual(self.try_lie(key, which), 200)
                self.keybrake.kill()
                self.keybrake.start()
                self.assertTrue(self.works())
                self.assertEqual(sum(float(x) for x in self.spent(key)[:2]), 0)
        self.assertEqual(self.charged(since), self.truths)

    truths = 0

    def try_lie(self, key, which):
        try:
            return self.lie(key, which)
        except OSError:
            return None

    def works(self):
        ok = self.try_lie(self.issue(), "") == 200
        self.truths += ok
        return ok

    def test_it_cannot_speak_of_other_requests(self):
        key = self.issue()
        self.try_lie(key, "others")
        self.try_lie(key, "twice")
        self.eventually(lambda: self.works())

    @unittest.skipIf(harness.SANITIZED, "such a build may call more")
    def test_it_may_call_nothing(self):
        old = self.keybrake.pids()["reader"]
        self.assertNotEqual(self.try_lie(self.issue(), "call"), 200)
        self.eventually(lambda: self.keybrake.pids().get("reader", old) != old)
        self.eventually(lambda: self.works())
