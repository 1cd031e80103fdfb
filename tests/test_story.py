# SPDX-License-Identifier: Apache-2.0
"""The published story, as README tells it: issue, use, refuse, cap, revoke, audit."""

import json

import harness

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Story(harness.Case):
    def test_from_issue_to_audit(self):
        key = self.keybrake.api("POST", "/v1/keys", {
            "label": "agent-7", "vendor": "stripe", "daily_usd_cap": 50,
            "allowed_endpoints": ["/v1/payment_intents", "/v1/payment_intents/*"],
            "expires_in": "30m"})
        self.assertRegex(key["token"], r"^vk_[0-9A-Za-z]{38}$")
        self.assertRegex(key["id"], r"^key_")
        self.assertEqual(key["env"]["STRIPE_API_BASE"], self.keybrake.door_url("/stripe"))
        self.assertEqual(key["env"]["STRIPE_API_KEY"], key["token"])

        def create(cents):
            return self.ask(key, "POST", "/stripe/v1/payment_intents",
                            f"amount={cents}&currency=usd", FORM)

        for _ in range(4):
            status, headers, body = create(1200)
            self.assertEqual(status, 200, body)
            self.assertTrue(headers["keybrake-request-id"].startswith("req_"))
        status, headers, body = create(1200)
        self.assertEqual(status, 429)
        self.assertEqual(headers["keybrake-denied"], "cap_exceeded")
        self.assertNotIn("retry-after", headers)
        error = json.loads(body)["error"]
        self.assertEqual(error["code"], "cap_exceeded")
        self.assertIn("$50.00", error["message"])
        self.assertEqual(create(200)[0], 200)  # exactly the cap is allowed

        status, headers, body = self.ask(key, "POST", "/stripe/v1/payouts",
                                         "amount=100&currency=usd", FORM)
        self.assertEqual((status, headers["keybrake-denied"]), (403, "endpoint_not_allowed"))

        ended = self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        self.assertEqual(ended["status"], "revoked")
        status, headers, _ = create(100)
        self.assertEqual((status, headers["keybrake-denied"]), (401, "revoked_key"))

        def reasons():
            return {row["reason"] for row in self.audit(key=key["id"]) if row["event"] == "request"}

        self.eventually(lambda: reasons() >= {"cap_exceeded", "endpoint_not_allowed", "revoked_key"})
        verified = self.keybrake.run("audit", "verify")
        self.assertIn("verif", verified.stdout.lower())

    def test_nothing_without_a_vault_key(self):
        before = len(self.doubles["stripe"].calls)
        for token, code in ((None, "missing_key"), ("sk_test_FAKE" + "x" * 24, "unknown_key"),
                            (self.secrets["stripe"], "unknown_key"),
                            ("vk_" + "A" * 38, "unknown_key")):
            status, headers, _ = self.keybrake.ask(token, "GET", "/stripe/v1/balance")
            self.assertEqual((status, headers.get("keybrake-denied")), (401, code))
        self.assertEqual(len(self.doubles["stripe"].calls), before)

    def test_a_key_that_expires(self):
        key = self.issue(expires_in="2s")
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)
        status, headers, _ = self.eventually(
            lambda: (a := self.ask(key, "GET", "/stripe/v1/balance"))[0] == 401 and a)
        self.assertEqual(headers["keybrake-denied"], "expired_key")

    def test_pause_and_resume(self):
        key = self.issue()
        self.keybrake.api("POST", f"/v1/keys/{key['id']}/pause")
        status, headers, _ = self.ask(key, "GET", "/stripe/v1/balance")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "paused_key"))
        self.keybrake.api("POST", f"/v1/keys/{key['id']}/resume")
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)

    def test_a_sandbox_sees_and_ends_its_own_key(self):
        key = self.issue(daily_usd_cap=7)
        status, _, body = self.ask(key, "GET", "/_keybrake/v1/self")
        self.assertEqual(status, 200)
        shown = json.loads(body)
        self.assertEqual(shown["daily_usd_cap"], "7.00")
        self.assertNotIn("id", shown)
        self.assertEqual(self.ask(key, "DELETE", "/_keybrake/v1/keys/self")[0], 200)
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 401)


class Restart(harness.Case):
    def test_a_restart_keeps_every_number(self):
        key = self.issue(daily_usd_cap=10)
        self.assertEqual(self.charge(key, 123)[0], 200)
        self.assertEqual(self.ask(key, "POST", "/stripe/v1/payment_intents",
                                  "amount=77&currency=usd", FORM)[0], 200)
        before = self.keybrake.api("GET", f"/v1/keys/{key['id']}")
        for stop in (self.keybrake.stop, self.keybrake.kill):
            stop()
            self.keybrake.start()
            self.assertEqual(self.keybrake.api("GET", f"/v1/keys/{key['id']}"), before)
        self.assertEqual(self.charge(key, 801)[0], 429)
        self.assertEqual(self.charge(key, 800)[0], 200)
