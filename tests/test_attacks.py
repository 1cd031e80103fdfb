# SPDX-License-Identifier: Apache-2.0
"""Requests that a sandbox might make to get past what its key allows, byte by byte: none of them
reaches the vendor, and none moves the cap."""

import json
import threading

import harness
import recorder
from test_doors import FORM, read_answer

CHARGE = "amount=1000000&currency=usd&source=tok_visa"


class Attacks(harness.Case):
    vendors = ["stripe", "twilio"]

    def send(self, key, method, target, headers="", body="", version="1.1"):
        head = (f"{method} {target} HTTP/{version}\r\nHost: keybrake\r\n"
                f"Authorization: Bearer {key['token']}\r\nConnection: close\r\n{headers}")
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        return self.keybrake.raw((head + "\r\n" + body).encode("latin-1"))

    def forwarded(self, vendor="stripe"):
        return len(self.doubles[vendor].calls)

    def refused(self, rows, key, vendor="stripe"):
        for row in rows:
            before = self.forwarded(vendor)
            answer = self.send(key, *row)
            with self.subTest(row):
                self.assertRegex(answer[:12].decode(), r"HTTP/1\.[01] (4|5)")
                self.assertEqual(self.forwarded(vendor), before, answer)
        self.assertEqual(self.spent(key)[:2], ("0.00", "0.00"))

    def test_past_the_cap(self):
        """Each would move 10,000 dollars under a cap of 50, or under the flat price."""
        key = self.issue(daily_usd_cap=50, params={"flat_price_usd": "0.01"},
                         allowed_endpoints=["/v1/*", "POST /v1/charges"])
        self.refused([
            ("POST", "/stripe/v1/charges", FORM, CHARGE),
            ("POST", "/stripe/files.stripe.com/v1/charges", FORM, CHARGE),
            ("POST", "/stripe/meter-events.stripe.com/v1/charges", FORM, CHARGE),
            ("POST", "/stripe/connect.stripe.com/v1/charges", FORM, CHARGE),
            ("POST", "http://files.stripe.com/v1/charges", FORM, CHARGE),
            ("POST", "/stripe/v1/charges/", FORM, CHARGE),
            ("POST", "/stripe/v1/charges.json", FORM, CHARGE),
            ("POST", "/stripe/V1/charges", FORM, CHARGE),
            ("POST", "/stripe/v1//charges", FORM, CHARGE),
            ("POST", "/stripe/v1/./charges", FORM, CHARGE),
            ("POST", "/stripe/v1/%63harges", FORM, CHARGE),
            ("POST", "/stripe/v1/x/..%2fcharges", FORM, CHARGE),
            ("POST", "/stripe/v1/charges;x", FORM, CHARGE),
            ("PUT", "/stripe/v1/charges", FORM, CHARGE),
            ("post", "/stripe/v1/charges", FORM, CHARGE),
            ("POST", "/stripe/v1/charges?" + CHARGE, FORM, "description=x"),
            ("POST", "/stripe/v1/charges?amount=1000000", FORM, "amount=1&currency=usd"),
            ("POST", "/stripe/v1/charges", FORM, "amount=1&currency=usd&amount=1000000"),
            ("POST", "/stripe/v1/charges", FORM, "amount=1&currency=usd&AMOUNT=1000000"),
            ("POST", "/stripe/v1/charges", FORM, "amount=1&currency=usd&amount[]=1000000"),
            ("POST", "/stripe/v1/charges", FORM, "amount=1&currency=usd&%61mount=1000000"),
            ("POST", "/stripe/v1/charges", FORM, "amount=1;amount=1000000&currency=usd"),
            ("POST", "/stripe/v1/charges", FORM, "amount=-100&currency=usd"),
            ("POST", "/stripe/v1/charges", FORM, "amount=99999999999999999999&currency=usd"),
            ("POST", "/stripe/v1/charges", FORM, "amount=9223372036854775807&currency=usd"),
            ("POST", "/stripe/v1/charges", FORM, '{"amount": 1000000, "currency": "usd"}'),
            ("POST", "/stripe/v1/charges", "Content-Type: application/json\r\n",
             '{"amount": 1000000, "currency": "usd"}'),
            ("POST", "/stripe/v1/charges", "Content-Type: multipart/form-data; boundary=x\r\n",
             '--x\r\nContent-Disposition: form-data; name="amount"\r\n\r\n1000000\r\n--x--\r\n'),
            ("POST", "/stripe/v1/charges", "", CHARGE),
            ("POST", "/stripe/v1/charges", FORM + FORM, CHARGE),
            ("POST", "/stripe/v1/charges", FORM + "Content-Encoding: deflate\r\n",
             "amount=1&currency=usd&source=tok_visa"),
            ("POST", "/stripe/v1/charges", FORM + "Content_Length: 5\r\n", CHARGE),
            ("POST", "/stripe/v1/charges", FORM + "Transfer-Encoding: chunked\r\n", CHARGE),
        ], key)
        self.assertEqual(self.spent(key), ("0.00", "0.00", "50.00"))

    def test_method_overrides_are_refused(self):
        key = self.issue(allowed_endpoints=["GET /v1/double/echo"])
        self.refused([("GET", "/stripe/v1/double/echo", f"{name}: POST\r\n")
                      for name in ("X-HTTP-Method-Override", "X_HTTP_Method_Override",
                                   "X-HTTP-Method", "X-Method-Override")], key)

    def test_other_names_of_the_request_stay_here(self):
        key = self.issue(allowed_endpoints=["GET /v1/double/echo"])
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Host", "X-Forwarded_Prefix"):
            answer = self.send(key, "GET", "/stripe/v1/double/echo", f"{name}: POST\r\n")
            self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
            self.assertNotIn(name.lower().encode(), answer.lower())

    def test_other_accounts(self):
        """A key without accounts names none, wherever the vendor would look for one."""
        key = self.issue(daily_usd_cap=50)
        small = "amount=100&currency=usd&source=tok_visa"
        self.refused([
            ("POST", "/stripe/v1/charges", FORM + "Stripe-Account: acct_2\r\n", small),
            ("POST", "/stripe/v1/charges", FORM + "stripe-context: acct_2\r\n", small),
            ("GET", "/stripe/v1/balance", "Stripe-Account:\r\n"),
            ("GET", "/stripe/v1/balance?stripe_account=acct_2"),
            ("GET", "/stripe/v1/balance?on_behalf_of=acct_2"),
            ("POST", "/stripe/v1/charges", FORM, small + "&on_behalf_of=acct_2"),
            ("POST", "/stripe/v1/charges", FORM, small + "&transfer_data[destination]=acct_2"),
            ("POST", "/stripe/v1/charges", FORM, small + "&transfer_data%5bdestination%5d=acct_2"),
            ("POST", "/stripe/v1/charges", FORM, small + "&transfer_data[0][destination]=acct_2"),
            ("POST", "/stripe/v1/charges", FORM, small + "&transfer_data.destination=acct_2"),
            ("POST", "/stripe/v1/charges", FORM, small + "&destination=%20acct_2"),
            ("POST", "/stripe/v1/charges?transfer_data[destination]=acct_2", FORM, small),
            ("POST", "/stripe/v1/charges", FORM, small + "&x[0][y][destination]=acct_2"),
            ("POST", "/stripe/v1/setup_intents", FORM, "y[on_behalf_of]=acct_2"),
        ], key)
        # What the pack judges goes out only as judged, under whatever spelling.
        answer = self.send(key, "GET", "/stripe/v1/double/echo", "Stripe_Account: acct_2\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
        self.assertNotIn(b"acct_2", answer)

    def test_other_accounts_of_twilio(self):
        key = self.issue(vendor="twilio", allowed_endpoints=["/2010-04-01/*"],
                         params={"flat_price_usd": "0.01"})
        token = harness.basic("AC" + "0" * 32, key["token"])
        other = "/2010-04-01/Accounts/AC" + "9" * 32
        before = self.forwarded("twilio")
        for path in (other + "/Messages.json", other + "/Messages", other + "/Unheard_of.csv",
                     other + ".json", other, other.replace("Accounts", "accounts") + "/Messages",
                     "/verify.twilio.com" + other + "/Messages.json"):
            status, headers, body = self.keybrake.ask(None, "GET", "/twilio" + path, None,
                                                      {"Authorization": token})
            self.assertEqual(status, 403, (path, body))
        self.assertEqual(self.forwarded("twilio"), before)

    def test_a_key_in_a_body_stays_what_it_is(self):
        """A broker that fills placeholders wherever they stand mails the secret to who asks."""
        key = self.issue(allowed_endpoints=["POST /v1/double/echo"],
                         params={"flat_price_usd": "0.01"})
        token = key["token"]
        text = f"to=thief&a={token}&b=Bearer+{token}&c=%7B%7Bsecret_key%7D%7D&d=${{STRIPE_API_KEY}}"
        headers = (f"X-Note: {token}\r\nX-Other: ${{secret_key}}\r\nCookie: k={token}\r\n"
                   f"Referer: https://x/?{token}\r\n" + FORM)
        before = self.forwarded()
        self.send(key, "POST", f"/stripe/v1/double/echo?k={token}", headers, text)
        for call in self.doubles["stripe"].calls[before:]:
            sent = call["path"] + call["body"] + repr([h for h in call["headers"]
                                                       if h[0].lower() != "authorization"])
            self.assertNotIn(self.secrets["stripe"], sent)
        self.assertEqual(self.forwarded(), before + 1)
        self.assertEqual(self.doubles["stripe"].calls[-1]["body"], text)

    def test_trace(self):
        key = self.issue(allowed_endpoints=["/v1/*", "TRACE /v1/double/echo"],
                         params={"flat_price_usd": "0.01"})
        self.refused([(method, "/stripe/v1/double/echo", "", "")
                      for method in ("TRACE", "TRACK", "DEBUG", "trace")], key)

    def test_pipelined_twins(self):
        """The same request ten times at once under one idempotency key: one is done."""
        key = self.issue(daily_usd_cap=50)
        body = "amount=1000&currency=usd&source=tok_visa"
        one = (f"POST /stripe/v1/charges HTTP/1.1\r\nHost: k\r\n"
               f"Authorization: Bearer {key['token']}\r\nIdempotency-Key: twins\r\n{FORM}"
               f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        statuses, charges = [], set()

        def twins():
            with self.keybrake.connect() as connection:
                connection.settimeout(20)
                connection.sendall(one * 2)
                with connection.makefile("rb") as stream:
                    for _ in range(2):
                        status, _, answer = read_answer(stream)
                        statuses.append(status)
                        if status == 200:
                            charges.add(answer)

        threads = [threading.Thread(target=twins) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(statuses), 10)
        self.assertLessEqual(set(statuses), {200, 409})
        self.assertEqual(len(charges), 1)
        self.assertEqual(self.spent(key), ("10.00", "0.00", "40.00"))

    def test_the_audit_is_not_for_a_sandbox_to_fill(self):
        """Refused requests with the longest of paths: each is answered, none is written whole.
        How many are written: src/judge/process_test.c."""
        key = self.issue(allowed_endpoints=["charges.list"])
        one = (f"GET /stripe/v1/{'x' * 7000} HTTP/1.1\r\nHost: keybrake\r\n"
               f"Authorization: Bearer {key['token']}\r\n\r\n").encode()
        with self.keybrake.connect() as connection, connection.makefile("rb") as stream:
            connection.settimeout(20)
            sender = threading.Thread(target=connection.sendall, args=(one * 300,))
            sender.start()
            statuses = [read_answer(stream)[0] for _ in range(300)]
            sender.join()
        self.assertEqual(set(statuses), {403})

        def rows():
            found = self.keybrake.api("GET", f"/v1/audit?key={key['id']}&limit=1000")["data"]
            return [row for row in found if row["verdict"] == "denied"]

        self.eventually(lambda: len(rows()) == 300)
        self.assertLess(max(len(row["path"]) for row in rows()), 1025)


class Organisations(harness.Case):
    """Whose bill it is, is the credential's to say and not the sandbox's."""

    vendors = []

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        certificates, secret = cls.place.certificates, harness.fake_secret("openai")
        cls.server = recorder.Recorder(secret, certificates / "cert.pem",
                                       certificates / "cert.key").start()
        for name, fields in (("said", {"organization": "org-A", "project": "proj_A"}),
                             ("unsaid", {})):
            cls.keybrake.api("PUT", f"/v1/credentials/{name}", {
                "vendor": "openai", "fields": {"api_key": secret, **fields}, "allow_private": True,
                "upstream": f"https://localhost:{cls.server.port}",
                "ca_pem": (certificates / "ca.pem").read_text()})

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def sent(self, key, number, headers):
        """Status, and what reached the vendor of these headers."""
        status, _, body = self.ask(key, "GET", "/openai/v1/models",
                                   headers={**headers, "X-Case": number})
        seen = self.server.of(number)
        self.assertEqual(len(seen), 1 if status == 200 else 0, body)
        return status, [field for request in seen for field in request.fields
                        if field[0].startswith(b"openai")]

    def test_the_credentials_own(self):
        key = self.issue(vendor="openai", credential="said", daily_usd_cap=None)
        own = (200, [(b"openai-organization", b"org-A"), (b"openai-project", b"proj_A")])
        self.assertEqual(self.sent(key, "1", {}), own)
        self.assertEqual(self.sent(key, "2", {"OpenAI-Organization": "org-A"}), own)
        self.assertEqual(self.sent(key, "3", {"openai_organization": "org-B"}), own)
        for number, other in enumerate(({"OpenAI-Organization": "org-B"},
                                        {"OpenAI-Project": "proj_B"},
                                        {"openai-organization": "org-a"})):
            self.assertEqual(self.sent(key, f"1{number}", other), (403, []))
        self.assertEqual(self.refusals(key, "account_not_allowed"), 3)
        key = self.issue(vendor="openai", credential="said", daily_usd_cap=None,
                         params={"accounts": ["org-B"]})
        self.assertEqual(self.sent(key, "20", {"OpenAI-Organization": "org-B"}), (403, []))

    def test_where_it_has_none(self):
        other = {"OpenAI-Organization": "org-B", "OpenAI-Project": "proj_B"}
        key = self.issue(vendor="openai", credential="unsaid", daily_usd_cap=None)
        self.assertEqual(self.sent(key, "30", {}), (200, []))
        self.assertEqual(self.sent(key, "31", other), (403, []))
        key = self.issue(vendor="openai", credential="unsaid", daily_usd_cap=None,
                         params={"accounts": ["org-B", "proj_B"]})
        self.assertEqual(self.sent(key, "32", other)[0], 200)
        self.assertEqual(self.sent(key, "33", {"OpenAI-Organization": "org-C"}), (403, []))


class Parameters(harness.Case):
    """Rules about who sends and which model works hold, in whatever way the body says it."""

    vendors = ["resend", "openai"]

    def post(self, key, path, body):
        data = body if isinstance(body, str) else json.dumps(body)
        return self.ask(key, "POST", path, data, {"Content-Type": "application/json"})[0]

    def test_senders(self):
        key = self.issue(vendor="resend", allowed_endpoints=["emails.send"],
                         params={"from_domains": ["good.example"]})

        def send(sender):
            return self.post(key, "/resend/emails", {"from": sender, "to": "x@y.example",
                                                     "subject": "s", "text": "t"})

        for sender in ("a@good.example", "Anna <a@good.example>", "\"Doe, J\" <j@good.example>",
                       " a@good.example "):
            self.assertEqual(send(sender), 200, sender)
        sent = len(self.doubles["resend"].calls)
        for sender in ("a@evil.example", "a@sub.good.example", "<a@evil.example> @good.example",
                       "a@evil.example, b@good.example", "a@evil.example,b@good.example",
                       "a@evil.example <b@good.example>", "\"b@good.example\" <a@evil.example>",
                       "a@evil.example (b@good.example)", "a@evil.example>@good.example",
                       "@good.example", "a@@good.example", "a@evil.example\n@good.example",
                       "<a@evil.example>, <b@good.example>", "<b@good.example", "good.example", "",
                       "a@evil.example:b@good.example", ["a@good.example"], None, 7):
            self.assertIn(send(sender), (400, 403), sender)
        self.assertIn(self.post(key, "/resend/emails",
                                '{"from":"a@good.example","from":"a@evil.example","to":"x@y.z"}'),
                      (400, 403))
        self.assertEqual(len(self.doubles["resend"].calls), sent)

    def test_models(self):
        key = self.issue(vendor="openai", daily_usd_cap=None, params={"models": ["small"]})

        def chat(body):
            return self.post(key, "/openai/v1/chat/completions", body)

        self.assertEqual(chat({"model": "small", "messages": []}), 200)
        sent = len(self.doubles["openai"].calls)
        for body in ({"model": "large"}, {"messages": []}, {"model": "small "}, {"model": ["small"]},
                     {"model": None}, {"model": {"a": "small"}}, {"m": {"model": "small"}}, [],
                     '{"model":"small","model":"large"}', '{"model":"large","mode\\u006c":"small"}',
                     '{"model":"small","Model":"large"}', '{"model":"small"} {"model":"large"}'):
            self.assertIn(chat(body), (400, 403), body)
        self.assertEqual(len(self.doubles["openai"].calls), sent)
