# SPDX-License-Identifier: Apache-2.0
"""`on_key_end: cancel_open`: what a key that has ended leaves open at the vendor is cancelled there
by keybrake itself, with a row before it and what the vendor said behind it."""

import time

from test_objects import Objects

CANCEL = {"params": {"on_key_end": "cancel_open"}}


class KeyEnd(Objects):
    def cancels(self):
        return [c for c in self.double.calls[self.before:]
                if c["method"] == "POST" and c["path"].endswith("/cancel")]

    def setUp(self):
        super().setUp()
        self.before = len(self.double.calls)
        self.double.fail_cancels = 0

    def status(self, number):
        return self.double.objects[number]["status"]

    def revoke(self, key):
        return self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")

    def rows(self, key):
        return [r["reason"] for r in reversed(self.audit(key=key["id"]))
                if (r["reason"] or "").startswith("cancel")]

    def test_revoked(self):
        key = self.issue(**CANCEL)
        unconfirmed, authorised = self.intent(key), self.manual(key, 2000)
        done = self.intent(key, 1000, confirm="true", payment_method="pm_card_visa")
        self.assertEqual(self.money(key), (10, 70))
        ended = self.revoke(key)
        self.assertEqual(sorted(ended["open_objects"]), sorted([unconfirmed, authorised]))
        self.eventually(lambda: self.money(key) == (10, 0), 10)
        self.assertEqual([self.status(n) for n in (unconfirmed, authorised, done)],
                         ["canceled", "canceled", "succeeded"])
        sent = self.cancels()
        self.assertEqual(len(sent), 2)
        keys = {c["idempotency_key"] for c in sent}
        self.assertEqual(len(keys), 2)
        for one in keys:
            self.assertRegex(one, r"^kb\..{10}\.cancel-\d+-1$")
        self.eventually(lambda: sorted(self.rows(key)) == ["cancel_open", "cancel_open",
                                                           "cancelled_at_key_end",
                                                           "cancelled_at_key_end"])
        self.assertEqual(self.keybrake.run("audit", "verify").returncode, 0)

    def test_the_row_comes_before_the_request(self):
        key = self.issue(**CANCEL)
        self.intent(key)
        self.revoke(key)
        self.eventually(self.cancels, 10)
        row = next(r for r in self.audit(key=key["id"]) if r["reason"] == "cancel_open")
        self.assertEqual((row["event"], row["actor"]), ("control", "keybrake"))

    def test_expired(self):
        key = self.issue(expires_in="2s", **CANCEL)
        number = self.intent(key)
        self.eventually(lambda: self.status(number) == "canceled", 10)
        self.eventually(lambda: self.money(key) == (0, 0))

    def test_keep_is_the_default(self):
        for params in ({}, {"params": {"on_key_end": "keep"}}):
            key = self.issue(**params)
            shown = self.keybrake.api("GET", f"/v1/keys/{key['id']}")
            self.assertEqual(shown["params"]["on_key_end"], "keep")
            number = self.intent(key)
            self.revoke(key)
            time.sleep(2.5)  # it is looked at a second after the end
            self.assertEqual((self.cancels(), self.status(number), self.money(key)),
                             ([], "requires_payment_method", (0, 50)))

    def test_an_ancestor_may_say_so(self):
        parent = self.issue(**CANCEL)
        child = self.issue(parent=parent["id"], daily_usd_cap=50, expires_in="5m")
        number = self.intent(child)
        self.revoke(parent)  # and so the child
        self.eventually(lambda: self.status(number) == "canceled", 10)
        self.eventually(lambda: self.money(child) == (0, 0))

    def test_what_another_key_has_taken_over_is_not_its_own_any_more(self):
        run = {"label": "", "run_id": self.id()}
        first, second = self.issue(**run, **CANCEL), self.issue(**run)
        number = self.intent(first, capture_method="manual", payment_method="pm_card_visa")
        status, _, _ = self.post(second, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, self.money(first), self.money(second)), (200, (0, 0), (0, 50)))
        self.revoke(first)
        time.sleep(2.5)
        self.assertEqual((self.cancels(), self.status(number)), ([], "requires_capture"))

    def test_it_has_moved_meanwhile(self):
        """Finished outside keybrake: the vendor refuses, is looked at, and its word counts."""
        key = self.issue(**CANCEL)
        number = self.intent(key)
        self.double.objects[number].update(status="succeeded", amount_received=5000)
        self.revoke(key)
        self.eventually(lambda: self.money(key) == (50, 0), 15)
        self.assertEqual(len(self.cancels()), 1)
        self.eventually(lambda: "cancel_failed" in self.rows(key))

    def test_failures_are_tried_again_and_answers_may_get_lost(self):
        key = self.issue(**CANCEL)
        number = self.intent(key)
        self.double.fail_cancels = 1
        self.revoke(key)
        self.eventually(lambda: self.money(key) == (0, 0), 30)
        self.assertEqual(self.status(number), "canceled")
        self.assertEqual([c["idempotency_key"][-2:] for c in self.cancels()], ["-1", "-2"])

        other = self.issue(**CANCEL)
        number = self.intent(other)
        self.double.lose_answers = 1
        self.revoke(other)
        self.eventually(lambda: self.money(other) == (0, 0), 30)
        self.assertEqual(self.status(number), "canceled")

    def test_after_a_restart(self):
        key = self.issue(**CANCEL)
        number = self.intent(key)
        self.double.fail_cancels = 1
        self.revoke(key)
        self.eventually(self.cancels, 10)
        self.keybrake.kill()
        self.keybrake.start()
        self.eventually(lambda: self.status(number) == "canceled", 30)
        self.eventually(lambda: self.money(key) == (0, 0))
