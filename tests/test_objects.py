# SPDX-License-Identifier: Apache-2.0
"""Money that is held for an object at the vendor: the golden cases, who pays, what must be asked
first, and what becomes of it when an answer is lost."""

import json
import threading
import time
import urllib.parse

import harness

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Objects(harness.Case):
    def setUp(self):
        self.double = self.doubles["stripe"]
        self.double.forbidden, self.double.lose_answers, self.double.pause = (), 0, 0

    def post(self, key, path, headers=(), **form):
        body = urllib.parse.urlencode(form)
        status, head, text = self.ask(key, "POST", "/stripe" + path, body, {**FORM, **dict(headers)})
        return status, json.loads(text), head

    def money(self, key):
        """Posted and held, in dollars."""
        return tuple(float(v) for v in self.spent(key)[:2])

    def intent(self, key, amount=5000, **form):
        status, body, _ = self.post(key, "/v1/payment_intents", amount=amount, currency="usd", **form)
        self.assertEqual(status, 200, body)
        return body["id"]

    def manual(self, key, amount=5000):
        return self.intent(key, amount, capture_method="manual", confirm="true",
                           payment_method="pm_card_visa")

    def foreign(self, amount=5000, **more):
        """An intent that nobody made through keybrake."""
        number = f"pi_foreign{next(self.double.numbers)}"
        self.double.objects[number] = {
            "id": number, "object": "payment_intent", "amount": amount, "amount_received": 0,
            "amount_capturable": 0, "currency": "usd", "status": "requires_confirmation",
            "capture_method": "automatic", "latest_charge": None, **more}
        self.double.accounts[number] = None
        return number

    def last_post(self):
        return [c for c in self.double.calls if c["method"] == "POST"][-1]


class Golden(Objects):
    """Of DESIGN, cap 100: posted and held after each."""

    def test_create_then_confirm(self):
        key = self.issue()
        number = self.intent(key)
        self.assertEqual(self.money(key), (0, 50))
        status, body, _ = self.post(key, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, body["status"]), (200, "succeeded"))
        self.assertEqual(self.money(key), (50, 0))

    def test_confirm_declined(self):
        key = self.issue()
        number = self.intent(key)
        status, _, _ = self.post(key, f"/v1/payment_intents/{number}/confirm",
                                 payment_method="pm_card_visa_chargeDeclined")
        self.assertEqual((status, *self.money(key)), (402, 0, 50))

    def test_create_and_confirm_declined(self):
        key = self.issue()
        status, _, _ = self.post(key, "/v1/payment_intents", amount=5000, currency="usd",
                                 confirm="true", payment_method="pm_card_visa_chargeDeclined")
        self.assertEqual((status, *self.money(key)), (402, 0, 0))

    def test_cancel(self):
        key = self.issue()
        number = self.intent(key)
        status, _, _ = self.post(key, f"/v1/payment_intents/{number}/cancel")
        self.assertEqual((status, *self.money(key)), (200, 0, 0))

    def test_manual_confirm_and_capture(self):
        key = self.issue()
        number = self.intent(key, capture_method="manual")
        self.assertEqual(self.money(key), (0, 50))
        self.post(key, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual(self.money(key), (0, 50))
        status, _, _ = self.post(key, f"/v1/payment_intents/{number}/capture",
                                 amount_to_capture=3000)
        self.assertEqual((status, *self.money(key)), (200, 30, 0))

    def test_partial_captures(self):
        key = self.issue()
        number = self.manual(key)
        self.assertEqual(self.money(key), (0, 50))
        self.post(key, f"/v1/payment_intents/{number}/capture", amount_to_capture=2000,
                  final_capture="false")
        self.assertEqual(self.money(key), (20, 30))
        self.post(key, f"/v1/payment_intents/{number}/capture", amount_to_capture=1000,
                  final_capture="false")
        self.assertEqual(self.money(key), (30, 20))
        self.post(key, f"/v1/payment_intents/{number}/capture")
        self.assertEqual(self.money(key), (50, 0))
        settled = [r for r in self.audit(key=key["id"]) if r["event"] == "settled"]
        self.assertEqual([r["settled_usd"] for r in settled], ["20.00", "10.00", "20.00", "0.00"])

    def test_cancel_after_a_partial_capture(self):
        key = self.issue()
        number = self.manual(key)
        self.post(key, f"/v1/payment_intents/{number}/capture", amount_to_capture=2000,
                  final_capture="false")
        self.post(key, f"/v1/payment_intents/{number}/cancel")
        self.assertEqual(self.money(key), (20, 0))

    def test_refund_and_payout_add(self):
        key = self.issue()
        number = self.intent(key, confirm="true", payment_method="pm_card_visa")
        self.assertEqual(self.money(key), (50, 0))
        status, _, _ = self.post(key, "/v1/refunds", payment_intent=number, amount=1000)
        self.assertEqual((status, *self.money(key)), (200, 60, 0))
        other = self.issue()
        self.post(other, "/v1/payouts", amount=5000, currency="usd")
        self.assertEqual(self.money(other), (50, 0))

    def test_replays_add_nothing(self):
        key = self.issue()
        again = {"Idempotency-Key": "create-1"}
        numbers = {self.post(key, "/v1/payment_intents", again, amount=5000, currency="usd")[1]["id"]
                   for _ in range(3)}
        self.assertEqual((len(numbers), self.money(key)), (1, (0, 50)))
        number = numbers.pop()
        for _ in range(3):
            status, _, head = self.post(key, f"/v1/payment_intents/{number}/confirm",
                                        {"Idempotency-Key": "confirm-1"})
            self.assertEqual((status, self.money(key)), (200, (50, 0)))
        self.assertEqual(head["idempotent-replayed"], "true")

    def test_an_old_replay_does_not_bring_back_what_is_over(self):
        key = self.issue()
        again = {"Idempotency-Key": "create-2"}
        number = self.post(key, "/v1/payment_intents", again, amount=5000, currency="usd")[1]["id"]
        self.post(key, f"/v1/payment_intents/{number}/cancel")
        self.assertEqual(self.money(key), (0, 0))
        status, body, _ = self.post(key, "/v1/payment_intents", again, amount=5000, currency="usd")
        self.assertEqual((status, body["id"]), (200, number))
        self.eventually(lambda: self.money(key) == (0, 0), 10)

    def test_a_replayed_update_moves_nothing(self):
        key = self.issue()
        number = self.intent(key)
        first = {"Idempotency-Key": "update-1"}
        self.post(key, f"/v1/payment_intents/{number}", first, amount=8000)
        self.post(key, f"/v1/payment_intents/{number}", amount=1000)
        self.assertEqual(self.money(key), (0, 10))
        self.post(key, f"/v1/payment_intents/{number}", first, amount=8000)
        self.assertEqual(self.money(key), (0, 10))

    def test_an_attempt_that_was_not_sent_is_made_again(self):
        key = self.issue()
        number = self.intent(key)
        again = {"Idempotency-Key": "update-2"}
        port = self.double.port
        upstream = self.credential("stripe", harness.free_port())
        self.keybrake.api("PUT", "/v1/credentials/stripe", upstream)
        status, _, head = self.post(key, f"/v1/payment_intents/{number}", again, amount=8000)
        self.assertEqual((status, head["keybrake-denied"]), (502, "upstream_unreachable"))
        self.assertEqual(self.money(key), (0, 50))
        self.keybrake.api("PUT", "/v1/credentials/stripe", self.credential("stripe", port))
        status, _, _ = self.post(key, f"/v1/payment_intents/{number}", again, amount=8000)
        self.assertEqual((status, self.money(key)), (200, (0, 80)))
        hold = self.keybrake.api("GET", "/v1/holds?key=" + key["id"])["data"][0]
        self.assertFalse(hold["overrun"])

    def test_an_update_is_the_new_total(self):
        key = self.issue()
        number = self.intent(key)
        self.assertEqual(self.post(key, f"/v1/payment_intents/{number}", amount=8000)[0], 200)
        self.assertEqual(self.money(key), (0, 80))
        status, body, head = self.post(key, f"/v1/payment_intents/{number}", amount=10001)
        self.assertEqual((status, head["keybrake-denied"]), (429, "cap_exceeded"))
        self.assertEqual(self.money(key), (0, 80))
        self.post(key, f"/v1/payment_intents/{number}", amount=1000)
        self.assertEqual(self.money(key), (0, 10))
        self.post(key, f"/v1/payment_intents/{number}", description="nothing about money")
        self.assertEqual(self.money(key), (0, 10))

    def test_an_increment_that_the_vendor_refuses(self):
        key = self.issue()
        number = self.intent(key)
        status, _, _ = self.post(key, f"/v1/payment_intents/{number}/increment_authorization",
                                 amount=9000)
        self.assertEqual((status, *self.money(key)), (400, 0, 50))
        number = self.manual(self.issue(), 100)


class WhoPays(Objects):
    def test_the_key_that_confirms(self):
        first, second = self.issue(daily_usd_cap=50), self.issue(daily_usd_cap=60)
        number = self.intent(first)
        status, _, _ = self.post(second, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual(status, 200)
        self.assertEqual((self.money(first), self.money(second)), ((0, 0), (50, 0)))

    def test_it_needs_the_whole_amount(self):
        first, second = self.issue(), self.issue(daily_usd_cap="49.99")
        number = self.intent(first)
        status, _, head = self.post(second, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, head["keybrake-denied"]), (429, "cap_exceeded"))
        self.assertEqual((self.money(first), self.money(second)), ((0, 50), (0, 0)))

    def test_a_decline_leaves_the_owner_its_hold(self):
        first, second = self.issue(), self.issue()
        number = self.intent(first)
        self.post(second, f"/v1/payment_intents/{number}/confirm",
                  payment_method="pm_card_visa_chargeDeclined")
        self.assertEqual((self.money(first), self.money(second)), ((0, 50), (0, 0)))

    def test_captures_by_two_keys(self):
        first, second = self.issue(), self.issue()
        number = self.manual(first)
        self.post(first, f"/v1/payment_intents/{number}/capture", amount_to_capture=2000,
                  final_capture="false")
        self.post(second, f"/v1/payment_intents/{number}/capture", amount_to_capture=1000,
                  final_capture="false")
        self.assertEqual((self.money(first), self.money(second)), ((20, 0), (10, 20)))
        self.post(second, f"/v1/payment_intents/{number}/capture")
        self.assertEqual((self.money(first), self.money(second)), ((20, 0), (30, 0)))

    def test_another_keys_cancel_frees_the_owner(self):
        first, second = self.issue(), self.issue()
        number = self.intent(first)
        self.post(second, f"/v1/payment_intents/{number}/cancel")
        self.assertEqual((self.money(first), self.money(second)), ((0, 0), (0, 0)))

    def test_a_new_key_of_the_same_run_goes_on(self):
        first = self.issue(run_id="run-7")
        number = self.intent(first)
        self.keybrake.api("DELETE", f"/v1/keys/{first['id']}")
        second = self.issue(run_id="run-7")
        status, _, _ = self.post(second, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, self.money(first), self.money(second)), (200, (0, 0), (50, 0)))

    def test_a_key_revoked_and_issued_again_repeats_a_create(self):
        again = {"Idempotency-Key": "the-one"}
        first = self.issue(run_id="run-8")
        one = self.post(first, "/v1/payment_intents", again, amount=5000, currency="usd")[1]
        self.keybrake.api("DELETE", f"/v1/keys/{first['id']}")
        second = self.issue(run_id="run-8")
        two = self.post(second, "/v1/payment_intents", again, amount=5000, currency="usd")[1]
        self.assertEqual(one["id"], two["id"])
        self.assertEqual((self.money(first), self.money(second)), ((0, 50), (0, 0)))
        stranger = self.issue(run_id="run-9")
        three = self.post(stranger, "/v1/payment_intents", again, amount=5000, currency="usd")[1]
        self.assertNotEqual(one["id"], three["id"])


class Tenants(Objects):
    """Whose object is it?  Where a tenant is set, only those of the same run may be acted on."""

    def refused(self, answer):
        return answer[0] == 403 and answer[2]["keybrake-denied"] == "object_not_yours"

    def test_anothers_is_refused(self):
        mine = self.issue(tenant="blue", run_id="b-1")
        theirs = self.issue(tenant="red", run_id="b-1")
        number = self.intent(mine)
        for path in ("/confirm", "/capture", "/cancel", ""):
            answer = self.post(theirs, f"/v1/payment_intents/{number}{path}", description="x")
            self.assertTrue(self.refused(answer), path)
        self.assertTrue(self.refused(self.post(self.issue(tenant="blue", run_id="b-2"),
                                               f"/v1/payment_intents/{number}/confirm")))
        self.assertEqual(self.money(mine), (0, 50))
        again = self.issue(tenant="blue", run_id="b-1")
        self.assertEqual(self.post(again, f"/v1/payment_intents/{number}/confirm")[0], 200)

    def test_one_that_nobody_made_here_is_refused(self):
        number = self.foreign()
        key = self.issue(tenant="blue")
        self.assertTrue(self.refused(self.post(key, f"/v1/payment_intents/{number}/confirm")))
        free = self.issue(tenant="blue", params={"own_objects_only": False})
        self.assertEqual(self.post(free, f"/v1/payment_intents/{number}/confirm")[0], 200)

    def test_without_a_tenant_it_must_be_asked_for(self):
        number = self.intent(self.issue())
        strict = self.issue(label="another", params={"own_objects_only": True})
        self.assertTrue(self.refused(self.post(strict, f"/v1/payment_intents/{number}/confirm")))


class Redacted(Objects):
    def test_an_unconfirmed_intent_holds_nothing_and_counts_at_confirm(self):
        key = self.issue(params={"client_secret": "redact"})
        status, body, _ = self.post(key, "/v1/payment_intents", amount=5000, currency="usd")
        self.assertEqual((status, self.money(key)), (200, (0, 0)))
        self.assertEqual(set(body["client_secret"]), {"*"})
        number = body["id"]
        _, _, text = self.ask(key, "GET", f"/stripe/v1/payment_intents/{number}")
        self.assertNotIn(b"_secret_double", text)
        status, body, _ = self.post(key, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, self.money(key)), (200, (50, 0)))

    def test_with_the_secret_it_stays_held(self):
        key = self.issue()
        body = self.post(key, "/v1/payment_intents", amount=5000, currency="usd")[1]
        self.assertIn("_secret_double", body["client_secret"])
        self.assertEqual(self.money(key), (0, 50))


class FetchFirst(Objects):
    def test_a_refund_without_an_amount(self):
        key = self.issue()
        number = self.intent(key, confirm="true", payment_method="pm_card_visa")
        self.post(key, "/v1/refunds", payment_intent=number, amount=2000)
        self.assertEqual(self.money(key), (70, 0))
        status, body, _ = self.post(key, "/v1/refunds", payment_intent=number)
        self.assertEqual((status, body["amount"], self.money(key)), (200, 3000, (100, 0)))
        self.assertIn("amount=3000", self.last_post()["body"])

    def test_in_dollars_it_fits_where_the_dearest_currency_does_not(self):
        """A refund names an amount and no currency: the vendor is asked, before it is refused."""
        number = self.intent(self.issue(), confirm="true", payment_method="pm_card_visa")
        key = self.issue(daily_usd_cap=20)
        status, body, _ = self.post(key, "/v1/refunds", payment_intent=number, amount=2000)
        self.assertEqual((status, self.money(key)), (200, (20, 0)), body)
        self.assertIn("amount=2000", self.last_post()["body"])
        status, _, head = self.post(key, "/v1/refunds", payment_intent=number, amount=1)
        self.assertEqual((status, head["keybrake-denied"]), (429, "cap_exceeded"))

    def test_its_retry_says_the_same_bytes(self):
        key = self.issue()
        number = self.intent(key, confirm="true", payment_method="pm_card_visa")
        again = {"Idempotency-Key": "refund-all"}
        self.double.lose_answers = 2
        status, _, head = self.post(key, "/v1/refunds", again, payment_intent=number)
        self.assertEqual((status, head["keybrake-denied"]), (502, "outcome_unknown"))
        first = self.last_post()["body"]
        status, body, head = self.post(key, "/v1/refunds", again, payment_intent=number)
        self.assertEqual((status, body["amount"]), (200, 5000), body)
        self.assertEqual(self.last_post()["body"], first)
        self.assertEqual(self.money(key), (100, 0))

    def test_confirm_of_an_unknown_intent(self):
        key = self.issue()
        number = self.foreign(4000)
        status, _, _ = self.post(key, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, self.money(key)), (200, (40, 0)))
        self.assertEqual(self.last_post()["body"], "amount_to_confirm=4000")
        get = [c for c in self.double.calls if c["method"] == "GET" and number in c["path"]][-1]
        self.assertIn(["stripe-version", "2025-09-30.clover"],
                      [[k.lower(), v] for k, v in get["headers"]])

    def test_capture_of_an_unknown_intent(self):
        key = self.issue()
        number = self.manual(self.issue())
        holder = self.double.objects[number]
        unknown = self.foreign(5000, status="requires_capture", amount_capturable=5000,
                               authorised=time.time(), latest_charge=holder["latest_charge"])
        status, _, _ = self.post(key, f"/v1/payment_intents/{unknown}/capture",
                                 amount_to_capture=1500, final_capture="false")
        self.assertEqual((status, self.money(key)), (200, (15, 35)))

    def test_what_does_not_fit_is_refused_before_anything_is_sent(self):
        key = self.issue(daily_usd_cap=39)
        number = self.foreign(4000)
        posts = len([c for c in self.double.calls if c["method"] == "POST"])
        status, _, head = self.post(key, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, head["keybrake-denied"]), (429, "cap_exceeded"))
        self.assertEqual(len([c for c in self.double.calls if c["method"] == "POST"]), posts)

    def test_a_missing_permission_is_named(self):
        key = self.issue()
        charge = json.loads(self.charge(key, 1000)[2])["id"]
        self.double.forbidden = ("/v1/charges",)
        status, body, head = self.post(key, "/v1/refunds", charge=charge)
        self.assertEqual((status, head["keybrake-denied"]), (403, "cost_unknown"))
        self.assertIn(f"/v1/charges/{charge}", body["error"]["message"])
        self.assertIn("permission", body["error"]["message"])
        self.assertEqual(self.money(key), (10, 0))

    def test_nothing_there(self):
        key = self.issue()
        for path, form in (("/v1/refunds", {"charge": "ch_none"}),
                           ("/v1/payment_intents/pi_none/confirm", {}),
                           ("/v1/refunds", {"charge": "../x"}), ("/v1/refunds", {})):
            status, _, head = self.post(key, path, **form)
            self.assertEqual((status, head["keybrake-denied"]), (403, "cost_unknown"), path)
        self.assertEqual(self.money(key), (0, 0))

    def test_an_invoice(self):
        key = self.issue()
        number = self.post(key, "/v1/invoices", **{"metadata[due]": 2500})[1]["id"]
        self.post(key, f"/v1/invoices/{number}/finalize")
        self.assertEqual(self.money(key), (0, 25))
        status, _, _ = self.post(key, f"/v1/invoices/{number}/pay")
        self.assertEqual((status, self.money(key)), (200, (25, 0)))
        number = self.post(key, "/v1/invoices", **{"metadata[due]": 900})[1]["id"]
        self.post(key, f"/v1/invoices/{number}/pay", paid_out_of_band="true")
        self.assertEqual(self.money(key), (25, 0))


class Turns(Objects):
    def race(self, count, work):
        results = [None] * count

        def one(i):
            results[i] = work(i)
        threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def test_a_storm_of_one_key_counts_once(self):
        key = self.issue()
        self.double.pause = 0.5
        again = {"Idempotency-Key": "storm"}
        results = self.race(24, lambda i: self.post(key, "/v1/payment_intents", again, amount=5000,
                                                    currency="usd", confirm="true",
                                                    payment_method="pm_card_visa")[:2])
        self.assertEqual({r[0] for r in results}, {200})
        self.assertEqual(len({r[1]["id"] for r in results}), 1)
        self.assertEqual(self.money(key), (50, 0))

    def test_captures_of_one_intent_take_turns(self):
        key = self.issue()
        number = self.manual(key)
        results = self.race(8, lambda i: self.post(
            key, f"/v1/payment_intents/{number}/capture", amount_to_capture=1000,
            final_capture="false")[0])
        self.assertEqual((results.count(200), results.count(400)), (5, 3))
        self.assertEqual(self.money(key), (50, 0))

    def test_refunds_of_one_charge_take_turns(self):
        key = self.issue()
        charge = json.loads(self.charge(key, 1000)[2])["id"]
        results = self.race(6, lambda i: self.post(key, "/v1/refunds", charge=charge)[0])
        self.assertEqual(results.count(200), 1)
        self.assertEqual(self.money(key), (20, 0))


    def test_after_ten_seconds_it_is_409(self):
        key = self.issue()
        self.double.pause = 12
        again = {"Idempotency-Key": "slow-one"}
        form = {"amount": 1000, "currency": "usd"}
        results = self.race(2, lambda i: (time.sleep(0.2 * i), self.post(
            key, "/v1/payment_intents", again, **form))[1])
        self.assertEqual([r[0] for r in results], [200, 409])
        self.assertEqual(results[1][2]["keybrake-denied"], "in_flight")
        self.assertEqual(results[1][2]["stripe-should-retry"], "true")
        self.assertEqual(self.money(key), (0, 10))


class LostAnswers(Objects):
    """The vendor did it, and its answer never came."""

    deaths_expected = True

    def test_a_create_is_found_among_the_events(self):
        key = self.issue()
        self.double.lose_answers = 2
        status, _, head = self.post(key, "/v1/payment_intents", amount=5000, currency="usd",
                                    confirm="true", payment_method="pm_card_visa")
        self.assertEqual((status, head["keybrake-denied"]), (502, "outcome_unknown"))
        self.eventually(lambda: self.money(key) == (50, 0), 20)
        self.eventually(lambda: [r["reason"] for r in self.audit(key=key["id"])
                                 if r["event"] == "resolved"] == ["object_looked_up"])

    def test_what_went_astray_together_is_found_together(self):
        """After a crash all that was under way is looked for; a page of events serves all."""
        count, key = 40, self.issue()
        before = len(self.double.calls)
        self.double.lose_answers = 2 * count
        threads = [threading.Thread(target=self.post, args=(key, "/v1/payment_intents"), kwargs={
            "amount": 100 + i, "currency": "usd", "confirm": "true",
            "payment_method": "pm_card_visa"}) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.double.lose_answers = 0
        total = sum(100 + i for i in range(count)) / 100
        self.eventually(lambda: self.money(key) == (total, 0), 30)
        pages = [c for c in self.double.calls[before:] if c["path"].startswith("/v1/events")]
        self.assertLess(len(pages), 5 * count)  # each for itself reads nine

    def test_an_open_one_stays_held(self):
        key = self.issue()
        self.double.lose_answers = 2
        self.post(key, "/v1/payment_intents", amount=5000, currency="usd")

        def states():
            holds = self.keybrake.api("GET", "/v1/holds")["data"]
            return [h["state"] for h in holds if h["key"] == key["id"]]
        self.assertEqual(states(), ["unknown"])
        self.eventually(lambda: states() == ["held"], 20)
        self.assertEqual(self.money(key), (0, 50))

    def test_a_confirm_of_ones_own(self):
        key = self.issue()
        number = self.intent(key)
        self.double.lose_answers = 2
        status, _, _ = self.post(key, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, self.money(key)), (502, (0, 50)))
        self.eventually(lambda: self.money(key) == (50, 0), 20)

    def test_a_confirm_of_anothers(self):
        first, second = self.issue(), self.issue()
        number = self.intent(first)
        self.double.lose_answers = 2
        status, _, _ = self.post(second, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, self.money(first), self.money(second)), (502, (0, 50), (0, 50)))
        self.eventually(lambda: (self.money(first), self.money(second)) == ((0, 0), (50, 0)), 20)

    def test_the_clients_own_retry(self):
        key = self.issue()
        number = self.manual(key)
        again = {"Idempotency-Key": "capture-me"}
        self.double.lose_answers = 2
        self.post(key, f"/v1/payment_intents/{number}/capture", again, amount_to_capture=3000)
        status, _, _ = self.post(key, f"/v1/payment_intents/{number}/capture", again,
                                 amount_to_capture=3000)
        self.assertEqual((status, self.money(key)), (200, (30, 0)))

    def test_after_a_crash_within_a_minute(self):
        key = self.issue()
        self.double.pause = 3
        begun = self.double.begun
        worker = threading.Thread(target=self.lost, args=(key,))
        worker.start()
        self.eventually(lambda: self.double.begun > begun)
        self.keybrake.kill()
        worker.join()
        self.keybrake.start()
        self.double.pause = 0
        self.eventually(lambda: self.money(key) == (50, 0), 60)

    def lost(self, key):
        try:
            self.post(key, "/v1/payment_intents", amount=5000, currency="usd", confirm="true",
                      payment_method="pm_card_visa")
        except OSError:
            pass


class Rates(Objects):
    """What is held in another currency is settled by the rate by which it was held."""

    def put_rate(self, dollars):
        self.keybrake.api("PUT", "/v1/fx", {
            "as_of": time.strftime("%Y-%m-%d", time.gmtime()), "source": "test",
            "margin_percent": 5, "usd_per_unit": {"usd": "1", "eur": dollars}})

    def setUp(self):
        super().setUp()
        self.put_rate("1.1")

    def euros(self, key, **form):
        status, body, _ = self.post(key, "/v1/payment_intents", amount=1000, currency="eur", **form)
        self.assertEqual(status, 200, body)
        return body["id"]

    def test_a_rate_that_rises_passes_no_cap(self):
        key = self.issue(daily_usd_cap="11.55")  # all of it, with the margin of 5 %
        number = self.euros(key)
        self.assertEqual(self.money(key), (0, 11.55))
        self.put_rate("1.5")
        status, body, _ = self.post(key, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, self.money(key)), (200, (11.55, 0)), body)
        row = self.eventually(lambda: [r for r in self.audit(key=key["id"])
                                       if r["event"] == "settled"])[0]
        self.assertEqual(row["settled_usd"], "11.55")

    def test_one_that_falls_gives_nothing_back(self):
        key = self.issue()
        number = self.euros(key, capture_method="manual", confirm="true",
                            payment_method="pm_card_visa")
        self.put_rate("0.5")
        self.post(key, f"/v1/payment_intents/{number}/capture", amount_to_capture=400,
                  final_capture="false")
        self.assertEqual(self.money(key), (4.62, 6.93))
        self.put_rate("2")
        self.keybrake.kill()
        self.keybrake.start()
        self.post(key, f"/v1/payment_intents/{number}/capture")
        self.assertEqual(self.money(key), (11.55, 0))

    def test_another_key_takes_the_object_over_at_its_rate(self):
        first, second = self.issue(), self.issue(daily_usd_cap="11.55")
        number = self.euros(first)
        self.put_rate("1.5")
        status, body, _ = self.post(second, f"/v1/payment_intents/{number}/confirm")
        self.assertEqual((status, self.money(first), self.money(second)), (200, (0, 0), (11.55, 0)),
                         body)

    deaths_expected = True


class Messages(harness.Case):
    """Twilio tells its price later: held at the estimate until then."""

    vendors = ["twilio"]

    def send(self, key):
        account = harness.others.Twilio.ACCOUNT
        headers = {**FORM, "Authorization": harness.basic(account, key["token"])}
        status, _, body = self.keybrake.ask(
            None, "POST", f"/twilio/2010-04-01/Accounts/{account}/Messages.json",
            "To=%2B14155550100&From=%2B14155550101&Body=hello", headers)
        return status, json.loads(body)

    def test_held_until_the_price_is_read(self):
        key = self.issue(vendor="twilio", allowed_endpoints=["messages.create"])
        status, body = self.send(key)
        self.assertEqual(status, 201, body)
        spent, held, _ = self.spent(key)
        self.assertEqual(spent, "0.00")
        self.assertGreater(float(held), 0)
        self.doubles["twilio"].objects[body["sid"]]["price"] = "-0.00750"
        # A key that ends has its holds looked at.
        self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        self.eventually(lambda: self.spent(key)[:2] == ("0.0075", "0.00"), 10)

    def test_still_held_while_there_is_no_price(self):
        key = self.issue(vendor="twilio", allowed_endpoints=["messages.create"])
        self.send(key)
        held = self.spent(key)[1]
        since = len(self.doubles["twilio"].calls)
        self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        self.eventually(lambda: len(self.doubles["twilio"].calls) > since, 10)
        self.assertEqual(self.spent(key)[:2], ("0.00", held))


if __name__ == "__main__":
    harness.unittest.main()
