# SPDX-License-Identifier: Apache-2.0
"""What operators say of money: holds, exchange rates, the clock; and what they are told."""

import json
import time

import harness

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
INTENTS = "/stripe/v1/payment_intents"


class Money(harness.Case):
    def intent(self, key, amount, **form):
        fields = "&".join(f"{k}={v}" for k, v in
                          {"amount": amount, "currency": "usd", **form}.items())
        return self.ask(key, "POST", INTENTS, fields, FORM)[0]

    def hold_of(self, key):
        held = self.keybrake.api("GET", f"/v1/holds?key={key['id']}")["data"]
        self.assertEqual(len(held), 1, held)
        return held[0]["id"]

    def resolve(self, hold, body):
        return self.keybrake.api("POST", f"/v1/holds/{hold}/resolve", body)

    def events(self, key, event):
        return [row for row in self.audit(key=key["id"], limit=100) if row["event"] == event]


class Holds(Money):
    def test_posted_by_the_operator_then_corrected(self):
        key = self.issue(daily_usd_cap=100)
        self.assertEqual(self.intent(key, 5000), 200)
        hold = self.hold_of(key)
        shown = self.resolve(hold, {"state": "posted", "amount_usd": "30"})
        self.assertEqual((shown["state"], shown["posted_usd"], shown["held_usd"]),
                         ("posted", "30.00", "0.00"))
        self.assertEqual(self.spent(key), ("30.00", "0.00", "70.00"))
        shown = self.resolve(hold, {"state": "posted", "amount_usd": 20, "note": "statement 7"})
        self.assertEqual(shown["posted_usd"], "20.00")
        self.assertEqual(self.spent(key), ("20.00", "0.00", "80.00"))
        self.resolve(hold, {"state": "voided"})
        self.assertEqual(self.spent(key), ("0.00", "0.00", "100.00"))
        rows = [(row["event"], str(row["hold"]), row["settled_usd"], row["actor"])
                for row in self.audit(key=key["id"], limit=100)
                if row["event"] in ("resolved", "corrected")]
        self.assertEqual([row[:3] for row in rows],
                         [("corrected", hold, "-20.00"), ("corrected", hold, "-10.00"),
                          ("resolved", hold, "30.00")])
        self.assertTrue(all("admin" in row[3] or "uid" in row[3] for row in rows), rows)
        total = self.keybrake.api("GET", f"/v1/spend?group_by=key&key={key['id']}")["data"]
        self.assertEqual([row["spent_usd"] for row in total], ["0.00"])

    def test_a_voided_one_corrected_twice(self):
        """It is kept in memory for its idempotency key: what it was corrected to must be too."""
        key = self.issue(daily_usd_cap=100)
        form = "amount=5000&currency=usd&source=tok_chargeDeclined"
        headers = {**FORM, "Idempotency-Key": self.id()}
        status, _, _ = self.ask(key, "POST", "/stripe/v1/charges", form, headers)
        self.assertEqual((status, self.spent(key)), (402, ("0.00", "0.00", "100.00")))
        row = self.eventually(lambda: [r for r in self.audit(key=key["id"]) if r["hold"]])[0]
        hold = str(row["hold"])
        for posted in ("10.00", "8.00", "9.00"):
            self.assertEqual(self.resolve(hold, {"state": "posted", "amount_usd": posted})
                             ["posted_usd"], posted)
            self.assertEqual(self.spent(key)[0], posted)
        # It moved after all: a repeat is under it, and sets nothing more aside.
        self.ask(key, "POST", "/stripe/v1/charges", form, headers)
        self.assertEqual(self.spent(key), ("9.00", "0.00", "91.00"))
        self.resolve(hold, {"state": "voided"})
        self.assertEqual(self.spent(key), ("0.00", "0.00", "100.00"))

    def test_voided_gives_the_amount_back(self):
        key = self.issue(daily_usd_cap=50)
        self.assertEqual(self.intent(key, 5000), 200)
        self.assertEqual(self.intent(key, 100), 429)
        done = self.keybrake.run("holds", "resolve", self.hold_of(key), "voided", "--note", "gone")
        self.assertIn("voided", done.stdout)
        self.assertEqual(self.intent(key, 5000), 200)

    def test_on_the_command_line(self):
        key = self.issue(daily_usd_cap=50)
        self.assertEqual(self.intent(key, 1000), 200)
        hold = self.hold_of(key)
        listed = json.loads(self.keybrake.run("holds", "list", "--json").stdout)
        self.assertIn(hold, json.dumps(listed))
        done = self.keybrake.run("holds", "resolve", hold, "posted", "7.50", "--json")
        self.assertEqual(json.loads(done.stdout)["posted_usd"], "7.50")
        for args, code in [((hold, "posted"), 2), ((hold, "voided", "1"), 2), ((hold, "what"), 2),
                           ((hold,), 2), (("999999", "voided"), 1), (("x", "voided"), 1),
                           ((hold, "posted", "-1"), 1), ((hold, "posted", "1e3"), 1)]:
            done = self.keybrake.run("holds", "resolve", *args, check=False)
            self.assertEqual(done.returncode, code, (args, done.stdout, done.stderr))
            self.assertTrue(done.stderr.strip(), args)

    def test_refusals(self):
        key = self.issue(daily_usd_cap=50)
        self.assertEqual(self.intent(key, 1000), 200)
        hold = self.hold_of(key)
        for body in [{}, {"state": "open"}, {"state": "posted"}, {"state": "posted", "amount_usd": -1},
                     {"state": "voided", "amount_usd": 1}, {"state": "voided", "x": 1},
                     {"state": "posted", "amount_usd": 0.1234567}]:
            with self.assertRaises(harness.Refusal) as caught:
                self.resolve(hold, body)
            self.assertEqual(caught.exception.status, 400, body)
        viewer = self.keybrake.api("POST", "/v1/tokens", {"role": "viewer", "name": "v"})
        with self.assertRaises(harness.Refusal) as caught:
            self.keybrake.api("POST", f"/v1/holds/{hold}/resolve", {"state": "voided"},
                              token=viewer["token"])
        self.assertEqual(caught.exception.status, 403)
        self.assertEqual(self.spent(key), ("0.00", "10.00", "40.00"))

    def test_it_survives_a_restart(self):
        key = self.issue(daily_usd_cap=50)
        self.assertEqual(self.intent(key, 1000), 200)
        hold = self.hold_of(key)
        self.resolve(hold, {"state": "posted", "amount_usd": 10})
        self.keybrake.stop()
        self.keybrake.start()
        self.assertEqual(self.spent(key), ("10.00", "0.00", "40.00"))
        self.resolve(hold, {"state": "posted", "amount_usd": 4})
        self.assertEqual(self.spent(key), ("4.00", "0.00", "46.00"))
        self.keybrake.stop()
        self.keybrake.start()
        self.assertEqual(self.spent(key), ("4.00", "0.00", "46.00"))
        self.assertEqual(self.keybrake.run("audit", "verify").returncode, 0)


class Thresholds(Money):
    def told(self, owner):
        return [(row["reason"], row["rule"]) for row in reversed(self.audit(limit=1000))
                if row["event"] == "threshold" and row["rule"] == owner]

    def test_once_a_window(self):
        key = self.issue(daily_usd_cap=10, total_usd_cap=None)
        for amount in [400, 100, 200, 100, 100, 100]:
            self.assertEqual(self.charge(key, amount)[0], 200)
        self.eventually(lambda: len(self.told(key["id"])) == 3)
        self.assertEqual([reason for reason, _ in self.told(key["id"])],
                         ["50_percent", "80_percent", "100_percent"])
        self.assertEqual(self.charge(key, 1)[0], 429)
        self.keybrake.stop()
        self.keybrake.start()
        self.assertEqual(self.charge(key, 1)[0], 429)
        self.keybrake.api("PATCH", f"/v1/keys/{key['id']}", {"daily_usd_cap": 20},
                          headers={"Content-Type": "application/merge-patch+json"})
        self.assertEqual(self.charge(key, 600)[0], 200)
        time.sleep(0.3)
        self.assertEqual(len(self.told(key["id"])), 3)

    def test_all_at_once_and_after_a_restart(self):
        key = self.issue(daily_usd_cap=10, total_usd_cap=None)
        self.assertEqual(self.charge(key, 900)[0], 200)
        self.eventually(lambda: len(self.told(key["id"])) == 2)
        self.keybrake.stop()
        self.keybrake.start()
        self.assertEqual(self.charge(key, 50)[0], 200)
        time.sleep(0.3)
        self.assertEqual([reason for reason, _ in self.told(key["id"])],
                         ["50_percent", "80_percent"])
        self.assertEqual(self.charge(key, 50)[0], 200)
        self.eventually(lambda: len(self.told(key["id"])) == 3)

    def test_tenants_and_lives_have_theirs(self):
        self.keybrake.api("PUT", "/v1/tenants/told", {"daily_usd_cap": 4})
        key = self.issue(daily_usd_cap=100, total_usd_cap=5, tenant="told")
        self.assertEqual(self.charge(key, 300)[0], 200)
        self.eventually(lambda: self.told("told") and self.told(key["id"]))
        self.assertEqual(self.told("told"), [("50_percent", "told")])
        self.assertEqual(self.told(key["id"]), [("50_percent", key["id"])])

    def test_nothing_without_a_cap(self):
        key = self.issue(daily_usd_cap=None)
        self.assertEqual(self.charge(key, 300)[0], 200)
        time.sleep(0.3)
        self.assertEqual(self.told(key["id"]), [])


class Budgets(Money):
    def test_total_cap_of_a_short_key_is_its_daily_cap(self):
        def total(**policy):
            key = self.issue(daily_usd_cap=7, **policy)
            return self.keybrake.api("GET", f"/v1/keys/{key['id']}")["total_usd_cap"]

        self.assertEqual(total(expires_in="10m"), "7.00")
        self.assertEqual(total(expires_in="24h"), "7.00")
        self.assertIsNone(total(expires_in="10m", total_usd_cap=None))
        self.assertEqual(total(expires_in="10m", total_usd_cap=50), "50.00")

    def test_charged_on_all_levels_or_none(self):
        self.keybrake.api("PUT", "/v1/tenants/all", {"daily_usd_cap": 10, "total_usd_cap": 10})
        parent = self.issue(daily_usd_cap=8, tenant="all")
        child = self.issue(daily_usd_cap=6, parent=parent["id"], tenant="all")
        self.assertEqual(self.charge(child, 500)[0], 200)
        self.assertEqual(self.charge(child, 200)[0], 429)   # its own
        self.assertEqual(self.charge(parent, 400)[0], 429)  # the parent's
        self.assertEqual(self.charge(parent, 300)[0], 200)
        self.assertEqual(self.charge(child, 100)[0], 429)   # its parent's
        other = self.issue(daily_usd_cap=100, tenant="all")
        self.assertEqual(self.charge(other, 300)[0], 429)   # the tenant's
        self.assertEqual(self.charge(other, 200)[0], 200)
        self.assertEqual(self.spent(child)[0], "5.00")
        self.assertEqual(self.spent(parent)[0], "8.00")
        tenant = self.keybrake.api("GET", "/v1/tenants/all")
        self.assertEqual((tenant["spent_usd"], tenant["held_usd"]), ("10.00", "0.00"))

    def test_observing_charges_nobody(self):
        key = self.issue(daily_usd_cap=2, mode="observe", tenant="watched")
        self.assertEqual(self.charge(key, 500)[0], 200)
        self.assertEqual(self.charge(key, 500)[0], 200)
        shadowed = [row["reason"] for row in self.audit(key=key["id"], limit=100)
                    if row["verdict"] == "observed"]
        self.assertIn("cap_exceeded", shadowed)
        self.keybrake.stop()
        self.keybrake.start()
        self.assertEqual(self.charge(key, 1)[0], 200)


class Reconcile(Money):
    def write(self, *lines):
        path = self.place.path / "vendor.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return str(path)

    def reconcile(self, path, code):
        done = self.keybrake.run("reconcile", "--vendor-log", path, "--json", check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_every_difference(self):
        key = self.issue(daily_usd_cap=100)
        charges = [json.loads(self.charge(key, amount)[2])["id"] for amount in (1000, 2000, 3000)]
        _, headers, _ = self.ask(key, "POST", "/stripe/v1/payouts", "amount=500&currency=usd", FORM)
        self.assertEqual(self.intent(key, 700), 200)  # held: nothing has moved
        lines = [{"vendor": "stripe", "object": c, "amount_minor": a, "currency": "usd"}
                 for c, a in zip(charges, (1000, 2000, 3000))]
        payout = {"vendor": "stripe", "request_id": headers["request-id"], "amount_usd": "5.00"}
        self.assertEqual(self.reconcile(self.write(*lines, payout), 0), [])
        done = self.keybrake.run("reconcile", "--vendor-log", self.write(*lines, payout))
        self.assertIn("no differences", done.stdout)
        lines[0]["amount_minor"] = 900
        del lines[1]
        stranger = {"vendor": "stripe", "object": "ch_other", "amount_usd": "1", "at": "x"}
        found = self.reconcile(self.write(*lines, payout, stranger), 1)
        self.assertEqual({(d["difference"], d["object"], d["vendor_usd"], d["keybrake_usd"])
                          for d in found},
                         {("amount", charges[0], "9.00", "10.00"),
                          ("not_at_vendor", charges[1], "0.00", "20.00"),
                          ("only_at_vendor", "ch_other", "1.00", "0.00")})
        # What it says is to be done makes an end of it.
        for one in found:
            if one["remedy"].startswith("keybrake holds") or "voided" in one["remedy"]:
                words = one["remedy"][one["remedy"].index("holds"):].split()
                self.keybrake.run(*words)
        found = self.reconcile(self.write(*lines, payout, stranger), 1)
        self.assertEqual([d["object"] for d in found], ["ch_other"])
        text = self.keybrake.run("reconcile", "--vendor-log", self.write(stranger), check=False)
        self.assertEqual(text.returncode, 1)
        self.assertIn("rotate", text.stdout)

    def test_logs_that_are_none(self):
        good = {"vendor": "stripe", "object": "a", "amount_usd": "1"}
        for change in [{"vendor": None}, {"object": None}, {"amount_usd": None},
                       {"amount_usd": "1e3"}, {"amount_usd": 1}, {"amount_usd": "-1"},
                       {"amount_minor": 5}, {"more": 1},
                       {"amount_usd": None, "amount_minor": 5, "currency": "eur"},
                       {"amount_usd": None, "amount_minor": -5, "currency": "usd"},
                       {"amount_usd": None, "amount_minor": 5.5, "currency": "usd"}]:
            line = {k: v for k, v in {**good, **change}.items() if v is not None}
            done = self.keybrake.run("reconcile", "--vendor-log", self.write(line), check=False)
            self.assertEqual(done.returncode, 1, change)
            self.assertIn("line 1", done.stderr, change)
        for text in ["[]", "{", '{"vendor":"a","vendor":"b"}', "1"]:
            path = self.place.path / "bad.jsonl"
            path.write_text(text)
            done = self.keybrake.run("reconcile", "--vendor-log", path, check=False)
            self.assertEqual(done.returncode, 1, text)
        self.assertEqual(self.keybrake.run("reconcile", check=False).returncode, 2)
        self.assertEqual(self.keybrake.run("reconcile", "--vendor-log", "/nonexistent",
                                           check=False).returncode, 1)


class CredentialTest(Money):
    def check(self):
        return self.keybrake.api("POST", "/v1/credentials/stripe/test")

    def test_a_good_one(self):
        shown = self.check()
        self.assertTrue(shown["ok"], shown)
        paths = {check["path"]: check for check in shown["checks"]}
        self.assertIn("/v1/balance", paths)
        intents = paths["/v1/payment_intents/keybrake_check"]
        self.assertEqual(intents["result"], "ok")
        self.assertIn("payment_intents.confirm", intents["needed_for"])
        done = self.keybrake.run("credential", "test", "stripe")
        self.assertIn("the credential is good", done.stdout)
        self.assertNotIn(self.secrets["stripe"], done.stdout + json.dumps(shown))

    def test_a_permission_that_is_missing(self):
        double = self.doubles["stripe"]
        before, double.forbidden = double.forbidden, ["/v1/charges"]
        try:
            shown = self.check()
            done = self.keybrake.run("credential", "test", "stripe", check=False)
        finally:
            double.forbidden = before
        self.assertFalse(shown["ok"])
        bad = [check["path"] for check in shown["checks"] if check["result"] == "not_permitted"]
        self.assertTrue(bad and all(path.startswith("/v1/charges") for path in bad), shown)
        self.assertEqual(done.returncode, 1)
        self.assertIn("permissions", done.stderr)

    def test_one_that_the_vendor_refuses(self):
        double = self.doubles["stripe"]
        right, double.secret = double.secret, "sk_test_other" + "x" * 30
        try:
            shown = self.check()
        finally:
            double.secret = right
        self.assertEqual((shown["ok"], {c["result"] for c in shown["checks"]}),
                         (False, {"rejected"}))
        with self.assertRaises(harness.Refusal) as caught:
            self.keybrake.api("POST", "/v1/credentials/nobody/test")
        self.assertEqual(caught.exception.status, 404)

    def test_one_that_cannot_be_asked(self):
        self.keybrake.api("PUT", "/v1/credentials/away", {
            "vendor": "stripe", "secret": harness.fake_secret("stripe"), "allow_private": True,
            "upstream": f"https://localhost:{harness.free_port()}"})
        shown = self.keybrake.api("POST", "/v1/credentials/away/test")
        self.assertEqual((shown["ok"], {c["result"] for c in shown["checks"]}),
                         (False, {"unreachable"}))
        self.keybrake.api("DELETE", "/v1/credentials/away")
        self.keybrake.api("PUT", "/v1/credentials/gen", {
            "vendor": "generic", "secret": "FAKE" + "x" * 30, "allow_private": True,
            "upstream": f"https://localhost:{harness.free_port()}"})
        with self.assertRaises(harness.Refusal) as caught:
            self.keybrake.api("POST", "/v1/credentials/gen/test")
        self.assertEqual(caught.exception.status, 422)


class Doctor(Money):
    def finding(self):
        done = self.keybrake.run("doctor", "--json", check=False)
        rows = json.loads(done.stdout)["data"]
        return [row for row in rows if row["subject"] == "admissions"][0]

    def test_each_admission_is_within_its_caps(self):
        key = self.issue(daily_usd_cap=5)
        for amount in (100, 200, 200, 100):
            self.charge(key, amount)
        self.eventually(lambda: "3 admissions" in json.dumps(self.finding()))
        self.assertEqual(self.finding()["grade"], "ok")


class Rates(Money):
    def test_rates_of_the_operators_own(self):
        now = time.strftime("%Y-%m-%d", time.gmtime())
        rates = {"source": "our bank", "as_of": now, "margin_percent": 0,
                 "usd_per_unit": {"usd": "1", "eur": "2"}}
        key = self.issue(daily_usd_cap=100)
        self.keybrake.api("PUT", "/v1/fx", rates)
        status, _, _ = self.ask(key, "POST", "/stripe/v1/charges",
                                "amount=1000&currency=eur&source=tok_visa", FORM)
        self.assertEqual((status, self.spent(key)[0]), (200, "20.00"))
        status, _, body = self.ask(key, "POST", "/stripe/v1/charges",
                                   "amount=1000&currency=gbp&source=tok_visa", FORM)
        self.assertEqual(status, 403, body)
        self.keybrake.stop()
        self.keybrake.start()
        shown = self.keybrake.api("GET", "/v1/fx")
        self.assertEqual((shown["source"], shown["rates"]["eur"]), ("our bank", "2.00"))
        self.keybrake.reload()
        time.sleep(0.5)
        self.assertEqual(self.keybrake.api("GET", "/v1/fx")["source"], "our bank")
        path = self.place.path / "rates.json"
        path.write_text(json.dumps({**rates, "source": "from a file",
                                    "usd_per_unit": {"usd": "1", "eur": "1.50"}}))
        done = self.keybrake.run("fx", "put", str(path), "--json")
        self.assertEqual(json.loads(done.stdout)["source"], "from a file")

    def test_refusals(self):
        good = {"source": "s", "as_of": "2026-11-22", "margin_percent": 5,
                "usd_per_unit": {"usd": "1"}}
        for change in [{"source": None}, {"as_of": None}, {"as_of": "yesterday"},
                       {"as_of": "2999-01-01"}, {"margin_percent": -1}, {"margin_percent": 1001},
                       {"margin_percent": "5"}, {"usd_per_unit": {}}, {"usd_per_unit": []},
                       {"usd_per_unit": {"EUR": "1"}}, {"usd_per_unit": {"eu": "1"}},
                       {"usd_per_unit": {"eur": "0"}}, {"usd_per_unit": {"eur": "-1"}},
                       {"usd_per_unit": {"eur": "x"}}, {"more": 1}]:
            body = {k: v for k, v in {**good, **change}.items() if v is not None}
            with self.assertRaises(harness.Refusal, msg=change) as caught:
                self.keybrake.api("PUT", "/v1/fx", body)
            self.assertEqual(caught.exception.status, 400, change)
        with self.assertRaises(harness.Refusal) as caught:
            self.keybrake.api("PUT", "/v1/fx", {**good, "as_of": "2020-01-01"})
        self.assertEqual(caught.exception.status, 409)

    def test_the_clock_may_be_vouched_for(self):
        shown = self.keybrake.api("POST", "/v1/clock/vouch")
        self.assertFalse(shown["was_suspect"])
        self.assertEqual(self.keybrake.run("clock", "vouch").returncode, 0)
        self.assertTrue([row for row in self.audit(limit=50) if row["reason"] == "clock_vouch"])
