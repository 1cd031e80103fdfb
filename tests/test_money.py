# SPDX-License-Identifier: Apache-2.0
"""Caps hold to the cent, whoever races for them."""

import random
import threading

import harness

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def race(count, work):
    """`count` threads that begin together; what each returned."""
    results = [None] * count
    barrier = threading.Barrier(count)

    def one(i):
        barrier.wait()
        results[i] = work(i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Caps(harness.Case):
    def moved(self, since):
        return sum(c.get("moved", 0) for c in self.doubles["stripe"].calls[since:])

    def test_64_racers_use_the_cap_up_and_never_pass_it(self):
        since = len(self.doubles["stripe"].calls)
        key = self.issue(daily_usd_cap=32)

        def work(_):
            return [self.charge(key, 100)[0] for _ in range(2)]

        statuses = [s for pair in race(64, work) for s in pair]
        self.assertEqual(statuses.count(200), 32)
        self.assertEqual(statuses.count(429), 96)
        self.assertEqual(self.moved(since), 3200)
        self.assertEqual(self.spent(key), ("32.00", "0.00", "0.00"))

    def test_random_amounts_never_pass_the_cap(self):
        since = len(self.doubles["stripe"].calls)
        key = self.issue(daily_usd_cap="10.01")
        rng = random.Random(7)
        amounts = [[rng.choice([1, 50, 99, 100, 101, 333]) for _ in range(8)] for _ in range(64)]
        race(64, lambda i: [self.charge(key, a)[0] for a in amounts[i]])
        self.assertLessEqual(self.moved(since), 1001)
        spent, held, _ = self.spent(key)
        self.assertEqual((spent, held), (f"{self.moved(since) / 100:.2f}", "0.00"))

    def test_tenant_and_parent_bound_their_keys(self):
        self.keybrake.api("PUT", "/v1/tenants/acme", {"daily_usd_cap": 5})
        keys = [self.issue(tenant="acme", daily_usd_cap=100) for _ in range(4)]
        statuses = race(16, lambda i: self.charge(keys[i % 4], 100)[0])
        self.assertEqual((statuses.count(200), statuses.count(429)), (5, 11))
        parent = self.issue(daily_usd_cap=3)
        children = [self.issue(parent=parent["id"], daily_usd_cap=3) for _ in range(3)]
        statuses = race(9, lambda i: self.charge(children[i % 3], 100)[0])
        self.assertEqual((statuses.count(200), statuses.count(429)), (3, 6))
        self.keybrake.api("DELETE", f"/v1/keys/{parent['id']}")
        self.assertEqual(self.charge(children[0], 1)[0], 401)

    def test_golden_cases(self):
        key = self.issue(daily_usd_cap=100)

        def intent(**form):
            fields = "&".join(f"{k}={v}" for k, v in {"currency": "usd", **form}.items())
            status, _, _ = self.ask(key, "POST", "/stripe/v1/payment_intents", fields, FORM)
            return status, *self.spent(key)[:2]

        self.assertEqual(intent(amount=5000), (200, "0.00", "50.00"))
        self.assertEqual(intent(amount=1000, confirm="true", payment_method="pm_card_visa"),
                         (200, "10.00", "50.00"))
        self.assertEqual(intent(amount=1000, confirm="true",
                                payment_method="pm_card_visa_chargeDeclined"),
                         (402, "10.00", "50.00"))
        charge = next(o["id"] for o in self.doubles["stripe"].objects.values()
                      if o["object"] == "charge" and o["amount_captured"] == 1000)
        status, _, _ = self.ask(key, "POST", "/stripe/v1/refunds", f"charge={charge}&amount=500",
                                FORM)
        self.assertEqual((status, *self.spent(key)[:2]), (200, "15.00", "50.00"))
        status, _, _ = self.ask(key, "POST", "/stripe/v1/payouts", "amount=1000&currency=usd", FORM)
        self.assertEqual((status, *self.spent(key)[:2]), (200, "25.00", "50.00"))

    def test_free_answers_free_the_money_and_unknown_ones_keep_it(self):
        key = self.issue(daily_usd_cap=10)
        self.assertEqual(self.charge(key, 0)[0], 400)
        self.assertEqual(self.spent(key)[:2], ("0.00", "0.00"))
        self.doubles["stripe"].secret, real = "sk_test_another", self.doubles["stripe"].secret
        try:
            status, headers, _ = self.charge(key, 100)
            self.assertEqual((status, headers["keybrake-denied"]), (502, "credential_rejected"))
        finally:
            self.doubles["stripe"].secret = real
        self.assertEqual(self.spent(key)[:2], ("0.00", "0.00"))

    def test_ambiguity_is_refused(self):
        key = self.issue()
        before = len(self.doubles["stripe"].calls)
        for body in ("amount=100&amount=1&currency=usd", "amount=1e3&currency=usd",
                     "amount=+100&currency=usd", "%61mount=100&currency=usd",
                     "amount[]=100&currency=usd", "amount=-5&currency=usd",
                     "amount=99999999999999999999&currency=usd", "currency=usd", "amount=100&currency=zzz", "{\"amount\":100}"):
            with self.subTest(body):
                status, _, _ = self.ask(key, "POST", "/stripe/v1/charges", body, FORM)
                self.assertIn(status, (400, 403))
        status, _, _ = self.ask(key, "POST", "/stripe/v1/charges?amount=1",
                                "amount=100&currency=usd", FORM)
        self.assertEqual(status, 400)
        status, _, _ = self.ask(key, "POST", "/stripe/v1/charges", "amount=100&currency=usd",
                                {"Content-Type": "application/json"})
        self.assertEqual(status, 400)
        self.assertEqual(len(self.doubles["stripe"].calls), before)
        self.assertEqual(self.spent(key)[:2], ("0.00", "0.00"))

    def test_card_data_is_refused(self):
        key = self.issue()
        status, headers, _ = self.ask(key, "POST", "/stripe/v1/payment_methods",
                                      "type=card&card[number]=4242424242424242", FORM)
        self.assertEqual((status, headers["keybrake-denied"]), (400, "card_data_refused"))

    def test_idempotent_retries_count_once(self):
        key = self.issue()
        headers = {**FORM, "Idempotency-Key": "abc"}

        def go(body="amount=100&currency=usd&source=tok_visa"):
            return self.ask(key, "POST", "/stripe/v1/charges", body, headers)

        first, again = go(), go()
        self.assertEqual((first[0], again[0]), (200, 200))
        self.assertEqual(again[1].get("idempotent-replayed"), "true")
        self.assertEqual(self.spent(key)[0], "1.00")
        status, denied, _ = go("amount=200&currency=usd&source=tok_visa")
        self.assertEqual((status, denied["keybrake-denied"]), (422, "idempotency_mismatch"))
        sent = self.doubles["stripe"].calls[-1]["idempotency_key"]
        self.assertRegex(sent, r"^kb\..{10}\.abc$")
        # Another key's client cannot meet it.
        other = self.issue(label="another")
        status, answer, _ = self.ask(other, "POST", "/stripe/v1/charges",
                                     "amount=300&currency=usd&source=tok_visa", headers)
        self.assertEqual(status, 200)
        self.assertNotIn("idempotent-replayed", answer)

    def test_other_currencies_count_by_the_table_rounded_up(self):
        key = self.issue(daily_usd_cap=100)
        self.assertEqual(self.charge(key, 100, currency="jpy")[0], 200)
        spent = float(self.spent(key)[0])
        self.assertGreater(spent, 0.1)
        self.assertLess(spent, 2)


class Limits(harness.Case):
    def test_requests_per_minute(self):
        key = self.issue(limits={"requests_per_minute": 3})
        answers = [self.ask(key, "GET", "/stripe/v1/balance") for _ in range(5)]
        self.assertEqual([a[0] for a in answers], [200, 200, 200, 429, 429])
        self.assertEqual(answers[4][1]["keybrake-denied"], "rate_limited")
        self.assertLessEqual(int(answers[4][1]["retry-after"]), 30)

    def test_concurrency(self):
        key = self.issue(limits={"concurrency": 2})
        statuses = race(6, lambda _: self.ask(key, "GET", "/stripe/v1/double/slow/500")[0])
        self.assertEqual((statuses.count(200), statuses.count(429)), (2, 4))

    def test_source(self):
        inside = self.issue(limits={"sources": ["127.0.0.0/8"]})
        outside = self.issue(limits={"sources": ["10.0.0.0/8"]})
        self.assertEqual(self.ask(inside, "GET", "/stripe/v1/balance")[0], 200)
        self.assertEqual(self.ask(outside, "GET", "/stripe/v1/balance")[0], 403)
