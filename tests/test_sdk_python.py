# SPDX-License-Identifier: Apache-2.0
"""The vendors' own Python SDKs, as Debian has them, unmodified."""

import unittest

import harness
import other_doubles as others

try:
    import stripe
except ImportError:
    stripe = None
try:
    from twilio.base.exceptions import TwilioRestException
    from twilio.rest import Client as Twilio
except ImportError:
    Twilio = None


@unittest.skipUnless(stripe, "python3-stripe is not installed (./check installs it)")
class StripePython(harness.Case):
    vendors = ["stripe"]

    def use(self, key):
        stripe.api_key = key["token"]
        stripe.api_base = self.keybrake.door_url("/stripe")

    def test_success_with_the_real_key_at_the_vendor(self):
        self.use(self.issue(allowed_endpoints=["/v1/payment_intents", "/v1/payment_intents/*"]))
        intent = stripe.PaymentIntent.create(amount=500, currency="usd")
        self.assertEqual(stripe.PaymentIntent.retrieve(intent.id).amount, 500)
        self.assertEqual(self.doubles["stripe"].calls[-1]["status"], 200)

    def test_endpoint_not_allowed_is_a_permission_error(self):
        self.use(self.issue(allowed_endpoints=["/v1/payment_intents"]))
        with self.assertRaises(stripe.error.PermissionError) as caught:
            stripe.Payout.create(amount=100, currency="usd")
        self.assertEqual(caught.exception.json_body["error"]["code"], "endpoint_not_allowed")
        self.assertIn("/v1/payouts", str(caught.exception))

    def test_the_cap_is_a_rate_limit_error_in_one_attempt(self):
        key = self.issue(daily_usd_cap=5, allowed_endpoints=["/v1/charges"])
        self.use(key)
        stripe.Charge.create(amount=400, currency="usd", source="tok_visa")
        with self.assertRaises(stripe.error.RateLimitError) as caught:
            stripe.Charge.create(amount=101, currency="usd", source="tok_visa")
        self.assertIn("$5.00", str(caught.exception))
        self.assertEqual(self.refusals(key, "cap_exceeded"), 1)
        stripe.Charge.create(amount=100, currency="usd", source="tok_visa")
        self.assertEqual(self.spent(key), ("5.00", "0.00", "0.00"))

    def test_a_revoked_key_is_an_authentication_error(self):
        key = self.issue()
        self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        self.use(key)
        with self.assertRaises(stripe.error.AuthenticationError) as caught:
            stripe.Balance.retrieve()
        self.assertIn("revoked", str(caught.exception))


@unittest.skipUnless(Twilio, "python3-twilio is not installed (./check installs it)")
class TwilioPython(harness.Case):
    vendors = ["twilio"]
    policy = {"vendor": "twilio", "allowed_endpoints": ["messages.create"],
              "params": {"flat_price_usd": "0.01"}}

    def client(self, key, account=others.Twilio.ACCOUNT):
        client = Twilio(account, key["token"])
        client.api.base_url = self.keybrake.door_url("/twilio")
        return client

    def send(self, key, **more):
        return self.client(key, **more).messages.create(to="+15005550006", from_="+15005550001",
                                                        body="hi")

    def test_success(self):
        key = self.issue(**self.policy)
        self.assertTrue(self.send(key).sid.startswith("SM"))

    def test_refusals(self):
        cases = [
            (403, {"allowed_endpoints": ["messages.list"]}),
            (429, {"daily_usd_cap": "0.000001"}),
        ]
        for status, policy in cases:
            with self.assertRaises(TwilioRestException) as caught:
                self.send(self.issue(**{**self.policy, **policy}))
            self.assertEqual(caught.exception.status, status)

    def test_another_account_is_refused(self):
        key = self.issue(**self.policy)
        with self.assertRaises(TwilioRestException) as caught:
            self.send(key, account="AC" + "9" * 32)
        self.assertEqual(caught.exception.status, 403)

    def test_the_account_page_shows_all_but_the_real_token(self):
        key = self.issue(vendor="twilio", allowed_endpoints=["/*", "accounts.fetch"])
        status, _, body = self.keybrake.ask(
            None, "GET", f"/twilio/2010-04-01/Accounts/{others.Twilio.ACCOUNT}.json", None,
            {"Authorization": harness.basic(others.Twilio.ACCOUNT, key["token"])})
        self.assertEqual(status, 200)
        self.assertIn(others.Twilio.ACCOUNT.encode(), body)
        self.assertNotIn(self.secrets["twilio"].encode(), body)
