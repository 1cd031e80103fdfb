# SPDX-License-Identifier: Apache-2.0
"""Values that keybrake puts into a body before it goes out."""

import urllib.parse

import harness

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Calls(harness.Case):
    vendors = ["twilio"]

    def setUp(self):
        self.double = self.doubles["twilio"]
        self.path = f"/twilio/2010-04-01/Accounts/{harness.others.Twilio.ACCOUNT}/Calls.json"
        self.key = self.issue(vendor="twilio", allowed_endpoints=["calls.create"],
                              params={"flat_price_usd": "0.50"})

    def call(self, body, headers=FORM):
        account = harness.others.Twilio.ACCOUNT
        status, _, answer = self.keybrake.ask(
            None, "POST", self.path, body,
            {"Authorization": harness.basic(account, self.key["token"]), **headers})
        return status, answer

    def sent(self):
        """The last body that reached the vendor, and its Content-Length."""
        last = self.double.calls[-1]
        headers = {name.lower(): value for name, value in last["headers"]}
        self.assertNotIn("transfer-encoding", headers)
        self.assertEqual(int(headers["content-length"]), len(last["body"]))
        self.assertEqual(headers["content-type"], FORM["Content-Type"])
        return last["body"]

    def test_a_limit_is_put_in_lowered_or_left(self):
        cases = [
            ("To=%2B15550001&Url=u", "To=%2B15550001&Url=u&TimeLimit=600"),
            ("To=%2B15550001&Url=u&", "To=%2B15550001&Url=u&TimeLimit=600"),
            ("To=%2B15550001&TimeLimit=14400&Url=u", "To=%2B15550001&TimeLimit=600&Url=u"),
            ("To=%2B15550001&TimeLimit=601", "To=%2B15550001&TimeLimit=600"),
            ("TimeLimit=600&To=%2B15550001", "TimeLimit=600&To=%2B15550001"),
            ("TimeLimit=0&To=%2B15550001", "TimeLimit=0&To=%2B15550001"),
        ]
        for body, expected in cases:
            status, answer = self.call(body)
            self.assertEqual(status, 201, answer)
            self.assertEqual(self.sent(), expected)

    def test_chunked_bodies_too(self):
        pieces = (piece for piece in [b"To=%2B15550001&Ti", b"meLimit=99999", b"&Url=u"])
        status, answer = self.call(pieces)
        self.assertEqual(status, 201, answer)
        self.assertEqual(self.sent(), "To=%2B15550001&TimeLimit=600&Url=u")

    def test_the_largest_body(self):
        begin = "To=%2B15550001&Url="
        body = begin + "u" * (1024 * 1024 - len(begin))
        status, answer = self.call(body)
        self.assertEqual(status, 201, answer)
        self.assertEqual(self.sent(), body + "&TimeLimit=600")

    def test_an_empty_body_becomes_a_form(self):
        arrived = len(self.double.arrived)
        status, answer = self.call(None, {})
        self.assertEqual(status, 201, answer)
        self.assertEqual(len(self.double.arrived), arrived + 1)
        self.assertEqual(self.sent(), "TimeLimit=600")

    def test_what_is_no_number_is_refused(self):
        arrived = len(self.double.arrived)
        for value in ["-1", "6e2", "+600", "%20600", "600.0", "", "0600", "max",
                      "99999999999999999999"]:
            status, answer = self.call(f"To=%2B15550001&TimeLimit={value}")
            self.assertEqual(status, 400, (value, answer))
            self.assertIn(b"TimeLimit", answer)
        self.assertEqual(len(self.double.arrived), arrived)

    def test_a_repeat_says_the_same(self):
        first = self.call("To=%2B15550001&Url=u")
        second = self.call("To=%2B15550001&Url=u")
        self.assertEqual((first[0], second[0]), (201, 201))
        bodies = [call["body"] for call in self.double.calls[-2:]]
        self.assertEqual(bodies[0], bodies[1])
        fields = dict(urllib.parse.parse_qsl(bodies[0]))
        self.assertEqual(fields["TimeLimit"], "600")
