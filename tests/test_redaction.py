# SPDX-License-Identifier: Apache-2.0
"""Answers that hold a standing key of the account: the pack says where, and the vault overwrites it
before the gate has a byte.  What cannot be searched is not shown at all."""

import gzip
import json

import harness
import other_doubles as others

PAGE = f"/twilio/2010-04-01/Accounts/{others.Twilio.ACCOUNT}.json"
# Another key than the credential's, so that scrubbing alone would not find it.
TOKEN = "0123456789abcdefFAKEFAKEFAKEFAKE"


class Redaction(harness.Case):
    vendors = ["twilio"]

    def ask(self, key, method, path, body=None, headers=None):
        return self.keybrake.ask(None, method, path, body, {
            "Authorization": harness.basic(others.Twilio.ACCOUNT, key["token"])})

    def page(self, **answer):
        self.doubles["twilio"].account_page = {"status": 200, **answer}
        key = self.issue(vendor="twilio", allowed_endpoints=["accounts.fetch", "accounts.list"])
        return self.ask(key, "GET", PAGE)

    def test_an_account_without_its_token(self):
        page = {"sid": others.Twilio.ACCOUNT, "auth_token": TOKEN, "status": "active"}
        status, headers, body = self.page(body=page)
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(body), {**page, "auth_token": "*" * len(TOKEN)})
        self.assertEqual(int(headers["content-length"]), len(json.dumps(page)))

    def test_every_account_of_a_list(self):
        accounts = [{"sid": f"AC{i}", "auth_token": TOKEN} for i in range(100)]
        self.doubles["twilio"].account_page = {"status": 200, "body": {"accounts": accounts}}
        key = self.issue(vendor="twilio", allowed_endpoints=["accounts.list"])
        status, _, body = self.ask(key, "GET", "/twilio/2010-04-01/Accounts.json")
        self.assertEqual(status, 200)
        shown = json.loads(body)["accounts"]
        self.assertEqual([a["auth_token"] for a in shown], ["*" * len(TOKEN)] * 100)
        self.assertEqual([a["sid"] for a in shown], [a["sid"] for a in accounts])

    def test_a_coded_page(self):
        status, headers, body = self.page(
            raw=gzip.compress(json.dumps({"auth_token": TOKEN, "a": 1}).encode()),
            headers=[("Content-Encoding", "gzip")])
        self.assertEqual(status, 200)
        self.assertNotIn("content-encoding", headers)
        self.assertEqual(json.loads(body), {"auth_token": "*" * len(TOKEN), "a": 1})

    def test_what_cannot_be_searched_is_not_shown(self):
        for raw in (f"<Account><AuthToken>{TOKEN}</AuthToken></Account>",
                    f'{{"auth_token": "x", "auth_token": "{TOKEN}"}}',
                    f'{{"auth_token": "x", "auth\\u005ftoken": "{TOKEN}"}}',
                    f'{{"auth_token": "{TOKEN}"', f'"{TOKEN}"', f'x{{"auth_token": "{TOKEN}"}}',
                    f'{{"auth_token": "{TOKEN}"}}{{"auth_token": "{TOKEN}"}}',
                    '{"pad": "' + "x" * (1 << 20) + f'", "auth_token": "{TOKEN}"}}'):
            status, headers, body = self.page(raw=raw.encode())
            with self.subTest(raw[:60]):
                self.assertEqual(status, 502, body[:100])
                self.assertIn("keybrake-denied", headers)
                self.assertNotIn(TOKEN.encode(), body)

    def test_an_answer_without_a_body_needs_no_search(self):
        key = self.issue(vendor="twilio", allowed_endpoints=["accounts.fetch"])
        self.doubles["twilio"].account_page = {"status": 200, "body": {"auth_token": TOKEN}}
        status, _, body = self.ask(key, "HEAD", PAGE)
        self.assertEqual((status, body), (200, b""))

    def test_it_is_granted_by_its_name_only(self):
        key = self.issue(vendor="twilio", allowed_endpoints=["/*"])
        status, headers, _ = self.ask(key, "GET", PAGE)
        self.assertEqual((status, headers["keybrake-denied"]), (403, "endpoint_not_allowed"))
