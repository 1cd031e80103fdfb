# SPDX-License-Identifier: Apache-2.0
"""The flows of Stripe through its own SDKs, unmodified, with the right spend to the cent: in the
key, in `keybrake spend` and in the audit rows."""

import json
import subprocess
import unittest

import harness
from test_sdk_node import NODE, SDK

try:
    import stripe
except ImportError:
    stripe = None

USD = {"currency": "usd"}
CARD = {"payment_method": "pm_card_visa"}
DECLINED = {"payment_method": "pm_card_visa_chargeDeclined"}

# Steps as stripe-node names them, what is posted and held afterwards, and errors by step.
FLOWS = {
    "create and confirm in one": (
        [["paymentIntents", "create", {"amount": 1999, "confirm": True, **USD, **CARD}]],
        "19.99", "0.00", {}),
    "create, then confirm": (
        [["paymentIntents", "create", {"amount": 1999, **USD}],
         ["paymentIntents", "confirm", "$0.id", CARD]],
        "19.99", "0.00", {}),
    "create and leave": (
        [["paymentIntents", "create", {"amount": 1999, **USD}]], "0.00", "19.99", {}),
    "cancel": (
        [["paymentIntents", "create", {"amount": 1999, **USD}],
         ["paymentIntents", "cancel", "$0.id"]],
        "0.00", "0.00", {}),
    "decline at once": (
        [["paymentIntents", "create", {"amount": 1999, "confirm": True, **USD, **DECLINED}]],
        "0.00", "0.00", {0: "CardError"}),
    "decline at confirm": (
        [["paymentIntents", "create", {"amount": 1999, **USD}],
         ["paymentIntents", "confirm", "$0.id", DECLINED]],
        "0.00", "19.99", {1: "CardError"}),
    "manual capture, less than all": (
        [["paymentIntents", "create", {"amount": 1999, "confirm": True, "capture_method": "manual",
                                       **USD, **CARD}],
         ["paymentIntents", "capture", "$0.id", {"amount_to_capture": 999}]],
        "9.99", "0.00", {}),
    "manual capture, all": (
        [["paymentIntents", "create", {"amount": 1999, "confirm": True, "capture_method": "manual",
                                       **USD, **CARD}],
         ["paymentIntents", "capture", "$0.id"]],
        "19.99", "0.00", {}),
    "captures in pieces": (
        [["paymentIntents", "create", {"amount": 1999, "confirm": True, "capture_method": "manual",
                                       **USD, **CARD}],
         ["paymentIntents", "capture", "$0.id", {"amount_to_capture": 500, "final_capture": False}],
         ["paymentIntents", "capture", "$0.id", {"amount_to_capture": 300, "final_capture": False}]],
        "8.00", "11.99", {}),
    "refund of some": (
        [["paymentIntents", "create", {"amount": 1999, "confirm": True, **USD, **CARD}],
         ["refunds", "create", {"payment_intent": "$0.id", "amount": 500}]],
        "24.99", "0.00", {}),
    "refund of what is left": (
        [["paymentIntents", "create", {"amount": 1999, "confirm": True, **USD, **CARD}],
         ["refunds", "create", {"payment_intent": "$0.id", "amount": 500}],
         ["refunds", "create", {"payment_intent": "$0.id"}]],
        "39.98", "0.00", {}),
    "refund of a charge": (
        [["charges", "create", {"amount": 250, "source": "tok_visa", **USD}],
         ["refunds", "create", {"charge": "$0.id"}]],
        "5.00", "0.00", {}),
    "payout": ([["payouts", "create", {"amount": 4001, **USD}]], "40.01", "0.00", {}),
    "transfer": (
        [["transfers", "create", {"amount": 777, "destination": "acct_1Fake", **USD}]],
        "7.77", "0.00", {}),
    "invoice": (
        [["invoices", "create", {"metadata": {"due": "2550"}}],
         ["invoices", "pay", "$0.id"]],
        "25.50", "0.00", {}),
}
PYTHON = {"paymentIntents": "PaymentIntent", "refunds": "Refund", "charges": "Charge",
          "payouts": "Payout", "transfers": "Transfer", "invoices": "Invoice"}


class Flows(harness.Case):
    def spend_of(self, key):
        rows = json.loads(self.keybrake.run("spend", "--by", "key", "--json").stdout)
        rows = rows.get("data", rows) if isinstance(rows, dict) else rows
        return next((r["spent_usd"] for r in rows if r["key"] == key["id"]), "0.00")

    def check(self, key, posted, held):
        self.assertEqual(self.spent(key)[:2], (posted, held))
        settled = sum(round(float(r["settled_usd"]) * 100) for r in self.audit(key=key["id"])
                      if r["event"] in ("settled", "resolved"))
        self.assertEqual(settled, round(float(posted) * 100))
        self.eventually(lambda: self.spend_of(key) == posted)

    def flows(self, run):
        for name, (steps, posted, held, errors) in FLOWS.items():
            with self.subTest(name):
                key = self.issue(label=name, params={"accounts": ["acct_1Fake"]})
                results = run(key, steps)
                for i, result in enumerate(results):
                    wanted = errors.get(i)
                    if wanted:
                        self.assertIn(wanted, str(result), name)
                    else:
                        self.assertNotIn("ERROR", str(result), name)
                self.check(key, posted, held)

    @unittest.skipUnless(NODE.exists(), "npm packages are not installed (./check installs them)")
    def test_by_stripe_node(self):
        def run(key, steps):
            asked = {"url": self.keybrake.door_url(), "token": key["token"], "steps": steps}
            done = subprocess.run([NODE, SDK / "flows.mjs"], input=json.dumps(asked), text=True,
                                  capture_output=True, timeout=90, check=False, cwd=SDK)
            self.assertEqual(done.returncode, 0, done.stderr)
            return json.loads(done.stdout)

        self.flows(run)

    @unittest.skipUnless(stripe, "python3-stripe is not installed (./check installs it)")
    def test_by_stripe_python(self):
        def fill(value, results):
            if isinstance(value, str) and value.startswith("$"):
                index, name = value[1:].split(".")
                return results[int(index)][name]
            return value

        def run(key, steps):
            stripe.api_key = key["token"]
            stripe.api_base = self.keybrake.door_url("/stripe")
            results = []
            for resource, method, *args in steps:
                positional = [fill(a, results) for a in args if not isinstance(a, dict)]
                named = {k: fill(v, results) for a in args if isinstance(a, dict)
                         for k, v in a.items()}
                try:
                    call = getattr(getattr(stripe, PYTHON[resource]), method)
                    results.append(call(*positional, **named))
                except stripe.error.StripeError as error:
                    results.append("ERROR " + type(error).__name__)
            return results

        self.flows(run)

    def test_other_currencies_by_the_table(self):
        """The rate at which it was held is not the one by which it is settled; rounding is up."""
        key = self.issue(daily_usd_cap=1000)
        before = self.spent(key)
        self.charge(key, 1000, currency="jpy")
        spent = float(self.spent(key)[0])
        self.assertEqual(before[0], "0.00")
        self.assertTrue(4 < spent < 12, spent)


if __name__ == "__main__":
    harness.unittest.main()
