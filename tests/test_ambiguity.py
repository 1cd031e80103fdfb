# SPDX-License-Identifier: Apache-2.0
"""What two parsers might read differently is refused, and names what it is about."""

import json
import unittest

import harness

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
CHARGES, INTENTS = "/stripe/v1/charges", "/stripe/v1/payment_intents"
PAYMENTS = "/stripe/v2/money_management/outbound_payments"
EMAILS, BATCH = "/resend/emails", "/resend/emails/batch"

GOOD_FORM = "amount=100&currency=usd&source=tok_visa"
GOOD_JSON = '{"amount":{"value":100,"currency":"usd"},"to":{"recipient":"r"}}'
GOOD_MAIL = '{"from":"a@x.io","to":["b@x.io"],"subject":"s","html":"h"}'

# (what the answer must name, path, body)
FORMS = [
    # the same thing twice
    ("amount", CHARGES, "amount=100&amount=5000&currency=usd"),
    ("amount", CHARGES, "amount=100&amount=100&currency=usd"),
    ("amount", CHARGES, "amount=100&currency=usd&source=tok_visa&amount=100"),
    ("currency", CHARGES, "amount=100&currency=usd&currency=jpy"),
    ("confirm", INTENTS, "amount=100&currency=usd&confirm=false&confirm=true"),
    ("capture_method", INTENTS, "amount=100&currency=usd&capture_method=manual&capture_method=automatic"),
    # in the query and in the body, or in the query alone
    ("amount", CHARGES + "?amount=1", GOOD_FORM),
    ("amount", CHARGES + "?amount=1", "currency=usd"),
    ("amount", CHARGES + "?%61mount=1", GOOD_FORM),
    ("amount", CHARGES + "?amount[]=1", GOOD_FORM),
    ("amount", CHARGES + "?AMOUNT=1", GOOD_FORM),
    ("currency", CHARGES + "?currency=usd", "amount=100"),
    ("confirm", INTENTS + "?confirm=true", "amount=100&currency=usd"),
    # names that are written otherwise
    ("amount", CHARGES, "%61mount=5000&currency=usd"),
    ("amount", CHARGES, "amoun%74=5000&currency=usd"),
    ("amount", CHARGES, GOOD_FORM + "&am%6Fun%74=5000"),
    ("amount", CHARGES, GOOD_FORM + "&AMOUNT=5000"),
    ("amount", CHARGES, GOOD_FORM + "&Amount=5000"),
    ("amount", CHARGES, GOOD_FORM + "&amount%20=5000"),
    ("amount", CHARGES, GOOD_FORM + "&+amount=5000"),
    ("amount", CHARGES, GOOD_FORM + "&amount.=5000"),
    ("currency", CHARGES, GOOD_FORM + "&curr%45ncy=jpy"),
    ("currency", CHARGES, GOOD_FORM + "&CURRENCY=jpy"),
    ("confirm", INTENTS, "amount=100&currency=usd&confir%6D=true"),
    ("confirm", INTENTS, "amount=100&currency=usd&Confirm=true"),
    # brackets
    ("amount", CHARGES, "amount[]=5000&currency=usd"),
    ("amount", CHARGES, "amount[0]=5000&currency=usd"),
    ("amount", CHARGES, GOOD_FORM + "&amount[]=5000"),
    ("amount", CHARGES, GOOD_FORM + "&amount%5B%5D=5000"),
    ("amount", CHARGES, GOOD_FORM + "&[amount]=5000"),
    ("amount", CHARGES, GOOD_FORM + "&amount]=5000"),
    ("amount", CHARGES, GOOD_FORM + "&amount[=5000"),
    ("amount", CHARGES, GOOD_FORM + "&amount[value]=5000"),
    ("currency", CHARGES, "amount=100&currency[]=usd"),
    # no plain whole number
    ("amount", CHARGES, "amount=1e3&currency=usd"),
    ("amount", CHARGES, "amount=+100&currency=usd"),
    ("amount", CHARGES, "amount=%2B100&currency=usd"),
    ("amount", CHARGES, "amount=-100&currency=usd"),
    ("amount", CHARGES, "amount=%20100&currency=usd"),
    ("amount", CHARGES, "amount=100%20&currency=usd"),
    ("amount", CHARGES, "amount=100%0A&currency=usd"),
    ("amount", CHARGES, "amount=0100&currency=usd"),
    ("amount", CHARGES, "amount=0x64&currency=usd"),
    ("amount", CHARGES, "amount=100.0&currency=usd"),
    ("amount", CHARGES, "amount=1,000&currency=usd"),
    ("amount", CHARGES, "amount=1_000&currency=usd"),
    ("amount", CHARGES, "amount=&currency=usd"),
    ("amount", CHARGES, "amount&currency=usd"),
    ("amount", CHARGES, "amount=%D9%A1%D9%A0&currency=usd"),
    ("amount", CHARGES, "amount=100%00&currency=usd"),
    ("amount", CHARGES, "amount=%FF100&currency=usd"),
    ("amount", CHARGES, "amount=99999999999999999999&currency=usd"),
    ("amount", CHARGES, "amount=NaN&currency=usd"),
    ("currency", CHARGES, "amount=100&currency="),
    ("currency", CHARGES, "amount=100&currency=us"),
    ("currency", CHARGES, "amount=100&currency=%20usd"),
    ("currency", CHARGES, "amount=100&currency=usd%00"),
    # what parts and what encodes
    (";", CHARGES, "amount=100;amount=5000&currency=usd"),
    ("percent", CHARGES, GOOD_FORM + "&x=%zz"),
    ("percent", CHARGES, GOOD_FORM + "&x=%4"),
    ("control", CHARGES, "amount=100\r\n&currency=usd"),
    # another method
    ("_method", CHARGES, GOOD_FORM + "&_method=DELETE"),
    ("_method", CHARGES, GOOD_FORM + "&_METHOD=DELETE"),
    ("_method", CHARGES + "?_method=DELETE", GOOD_FORM),
    # JSON where a form belongs
    ("form", CHARGES, '{"amount":100,"currency":"usd"}'),
]

JSONS = [
    # the same thing twice
    ("value", PAYMENTS, '{"amount":{"value":100,"value":5000,"currency":"usd"}}'),
    ("amount", PAYMENTS, '{"amount":{"value":100,"currency":"usd"},"amount":{"value":5000,"currency":"usd"}}'),
    ("currency", PAYMENTS, '{"amount":{"value":100,"currency":"usd","currency":"jpy"}}'),
    ("to", EMAILS, '{"from":"a@x.io","to":["b@x.io"],"to":["c@x.io","d@x.io"]}'),
    ("x", PAYMENTS, '{"x":1,"x":1,"amount":{"value":100,"currency":"usd"}}'),
    # in the query
    ("amount", PAYMENTS + "?amount[value]=1", GOOD_JSON),
    ("amount", PAYMENTS + "?amount=1", GOOD_JSON),
    # names that are written otherwise
    ("amount", PAYMENTS, '{"am\\u006funt":{"value":5000,"currency":"usd"}}'),
    ("amount", PAYMENTS, '{"Amount":{"value":5000,"currency":"usd"},"amount":{"value":100,"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"VALUE":5000,"value":100,"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"v\\u0061lue":5000,"currency":"usd"}}'),
    ("to", EMAILS, '{"from":"a@x.io","to":["b@x.io"],"TO":["c@x.io"]}'),
    # no plain whole number
    ("value", PAYMENTS, '{"amount":{"value":1e3,"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":1E3,"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":100.0,"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":-100,"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":-0,"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":"100","currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":true,"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":[100],"currency":"usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":{"x":100},"currency":"usd"}}'),
    ("currency", PAYMENTS, '{"amount":{"value":100,"currency":["usd"]}}'),
    ("currency", PAYMENTS, '{"amount":{"value":100,"currency":840}}'),
    ("currency", PAYMENTS, '{"amount":{"value":100,"currency":" usd"}}'),
    ("value", PAYMENTS, '{"amount":{"value":99999999999999999999,"currency":"usd"}}'),
    # not JSON as it is written in the standard
    ("JSON", PAYMENTS, GOOD_JSON + GOOD_JSON),
    ("JSON", PAYMENTS, GOOD_JSON + " x"),
    ("JSON", PAYMENTS, '{"amount":{"value":100,"currency":"usd",}}'),
    ("JSON", PAYMENTS, '{"amount":{"value":100,"currency":"usd"}/* */}'),
    ("JSON", PAYMENTS, '{"amount":{"value":0100,"currency":"usd"}}'),
    ("JSON", PAYMENTS, '{"amount":{"value":+100,"currency":"usd"}}'),
    ("JSON", PAYMENTS, '{"amount":{"value":NaN,"currency":"usd"}}'),
    ("JSON", PAYMENTS, "{'amount':{'value':100,'currency':'usd'}}"),
    ("JSON", PAYMENTS, '{"amount":{"value":100,"currency":"usd"}'),
    ("JSON", PAYMENTS, "\ufeff" + GOOD_JSON),
    ("UTF-8", PAYMENTS, b'{"x":"\xff","amount":{"value":100,"currency":"usd"}}'),
    ("JSON", PAYMENTS, GOOD_JSON.encode("utf-16")),
    ("JSON", PAYMENTS, "amount[value]=100&amount[currency]=usd"),
    ("JSON", EMAILS, "to=b@x.io"),
    ("to", BATCH, '[{"to":"a@x.io","to":["b@x.io","c@x.io"]}]'),
]

HEADERS = [
    ("Content-Type", {"Content-Type": "text/plain"}),
    ("Content-Type", {"Content-Type": "multipart/form-data; boundary=x"}),
    ("Content-Type", {}),
    ("charset", {"Content-Type": "{type}; charset=utf-16"}),
    ("charset", {"Content-Type": "{type}; charset=utf-7"}),
    ("charset", {"Content-Type": "{type}; charset=iso-8859-1"}),
    ("charset", {"Content-Type": "{type}; charset=utf-8; charset=utf-16"}),
    ("Content-Type", {"Content-Type": "{type}; boundary=x"}),
    ("Content-Type", {"Content-Type": "{type}, text/plain"}),
    ("Content-Type", {"Content-Type": "{other}"}),
    ("Content-Encoding", {"Content-Type": "{type}", "Content-Encoding": "gzip"}),
    ("Content-Encoding", {"Content-Type": "{type}", "Content-Encoding": "identity, deflate"}),
    ("method", {"Content-Type": "{type}", "X-HTTP-Method-Override": "DELETE"}),
    ("method", {"Content-Type": "{type}", "X-HTTP-Method": "DELETE"}),
    ("method", {"Content-Type": "{type}", "X-Method-Override": "PUT"}),
    ("method", {"Content-Type": "{type}", "X_HTTP_Method_Override": "PUT"}),
]

GOOD_HEADERS = ["{type}", "{type}; charset=utf-8", "{type};charset=UTF-8", '{type}; charset="utf-8"']

# Card data, wherever they stand.
CARDS_FORM = [
    (CHARGES, "amount=100&currency=usd&card[number]=4242424242424242"),
    (CHARGES, "amount=100&currency=usd&source[number]=4242424242424242"),
    (CHARGES, "amount=100&currency=usd&source[object]=card&source[cvc]=123"),
    (INTENTS, "amount=100&currency=usd&payment_method_data[card][number]=4242424242424242"),
    (INTENTS, "amount=100&currency=usd&payment_method_data[card][cvc]=123"),
    (INTENTS, "amount=100&currency=usd&payment_method_data%5Bcard%5D%5Bnumber%5D=4242424242424242"),
    (INTENTS, "amount=100&currency=usd&payment_method_data[card][NUMBER]=4242424242424242"),
    ("/stripe/v1/tokens", "card[number]=4242424242424242&card[exp_month]=1&card[exp_year]=30"),
    ("/stripe/v1/payment_methods", "type=card&card[number]=4242424242424242"),
    ("/stripe/v1/customers", "source[object]=card&source[number]=4242424242424242"),
]
CARDS_JSON = [
    (PAYMENTS, '{"amount":{"value":100,"currency":"usd"},"card":{"number":"4242424242424242"}}'),
    (PAYMENTS, '{"amount":{"value":100,"currency":"usd"},"to":{"card":{"number":"4242424242424242"}}}'),
    (PAYMENTS, '{"amount":{"value":100,"currency":"usd"},"card":{"cvc":"123"}}'),
    (PAYMENTS, '{"amount":{"value":100,"currency":"usd"},"list":[{"number":4242424242424242}]}'),
]


class Ambiguity(harness.Case):
    vendors = ["stripe", "resend"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {}

    def key_for(self, path):
        vendor = path.split("/")[1]
        if vendor not in self.keys:
            names = (["/v1/*", "/v2/*"] if vendor == "stripe"
                     else ["/emails", "/emails/batch"])
            self.keys[vendor] = self.issue(vendor=vendor, allowed_endpoints=names,
                                           daily_usd_cap=1000)
        return self.keys[vendor]

    def arrived(self):
        return sum(len(double.arrived) for double in self.doubles.values())

    def send(self, path, body, headers):
        data = body if isinstance(body, bytes) else body.encode()
        status, answered, text = self.ask(self.key_for(path), "POST", path, data, headers)
        return status, answered.get("keybrake-denied"), text.decode("utf-8", "replace")

    def check_refused(self, name, path, body, headers, code="bad_request"):
        before = self.arrived()
        status, denied, text = self.send(path, body, headers)
        with self.subTest(path=path, body=body, headers=headers):
            self.assertEqual((status, denied), (400, code), text)
            self.assertIn(name.lower(), text.lower())
            self.assertEqual(self.arrived(), before, "it reached the vendor")

    def test_forms(self):
        self.assertGreaterEqual(len(FORMS), 40)
        for name, path, body in FORMS:
            self.check_refused(name, path, body, {"Content-Type": FORM})

    def test_json(self):
        self.assertGreaterEqual(len(JSONS), 40)
        for name, path, body in JSONS:
            self.check_refused(name, path, body, {"Content-Type": JSON})

    def test_headers(self):
        for path, body, kind, other in [(CHARGES, GOOD_FORM, FORM, JSON),
                                        (PAYMENTS, GOOD_JSON, JSON, FORM),
                                        (EMAILS, GOOD_MAIL, JSON, FORM)]:
            for name, headers in HEADERS:
                filled = {k: v.format(type=kind, other=other) for k, v in headers.items()}
                self.check_refused(name, path, body, filled)

    def test_two_content_types(self):
        key = self.key_for(CHARGES)
        head = (f"POST {CHARGES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key['token']}\r\n"
                f"Content-Type: {FORM}\r\nContent-Type: {JSON}\r\n"
                f"Content-Length: {len(GOOD_FORM)}\r\nConnection: close\r\n\r\n{GOOD_FORM}")
        before = self.arrived()
        answer = self.keybrake.raw(head.encode())
        self.assertIn(b" 400 ", answer.split(b"\r\n")[0])
        self.assertIn(b"bad_request", answer)
        self.assertEqual(self.arrived(), before)

    def test_what_is_plain_passes(self):
        for kind in GOOD_HEADERS:
            status, _, text = self.send(CHARGES, GOOD_FORM, {"Content-Type": kind.format(type=FORM)})
            self.assertEqual(status, 200, text)
            status, _, text = self.send(EMAILS, GOOD_MAIL, {"Content-Type": kind.format(type=JSON)})
            self.assertEqual(status, 200, text)

    def test_card_data(self):
        for path, body in CARDS_FORM:
            self.check_refused("card", path, body, {"Content-Type": FORM}, "card_data_refused")
        for path, body in CARDS_JSON:
            self.check_refused("card", path, body, {"Content-Type": JSON}, "card_data_refused")
        # What only looks like it.
        for body in [GOOD_FORM + "&metadata[number]=4242", GOOD_FORM + "&number=7"]:
            self.assertEqual(self.send(CHARGES, body, {"Content-Type": FORM})[0], 200)

    def test_accounts_in_json(self):
        key = self.issue(allowed_endpoints=["/v2/*"], params={"accounts": ["acct_1"]})
        events = "/stripe/v2/billing/meter_events"

        def send(path, body):
            before = self.arrived()
            _, headers, text = self.ask(key, "POST", path, body, {"Content-Type": JSON})
            return headers.get("keybrake-denied"), self.arrived() - before, text

        money = '"amount":{"value":1,"currency":"usd"}'
        cases = [
            (None, PAYMENTS, '{%s,"to":{"recipient":"acct_1"}}' % money),
            (None, PAYMENTS, '{%s,"to":{"recipient":"someone"}}' % money),
            (None, PAYMENTS, '{%s,"metadata":{"to":"acct_2"}}' % money),
            (None, events, '{"event_name":"e","payload":{"value":"1"}}'),
            (None, events, '{"account":"acct_1"}'),
            ("account_not_allowed", PAYMENTS, '{%s,"to":{"recipient":"acct_2"}}' % money),
            ("account_not_allowed", PAYMENTS, '{%s,"to":{"recipient":"Acct_1"}}' % money),
            ("account_not_allowed", events, '{"account":"acct_2"}'),
            ("bad_request", PAYMENTS, '{%s,"from":{"recipient":"acct_2"}}' % money),
            ("bad_request", PAYMENTS, '{%s,"from":[" acct_1"]}' % money),
            ("bad_request", PAYMENTS, '{%s,"x":{"y":{"z":"ACCT_1"}}}' % money),
            ("bad_request", events, '{"payload":{"value":"acct_1"}}'),
            ("bad_request", events, '{"payload":{"value":"\\u0061cct_2"}}'),
        ]
        for code, path, body in cases:
            with self.subTest(body=body):
                denied, arrivals, text = send(path, body)
                self.assertEqual((denied, arrivals), (code, 1 if code is None else 0), text)

    def test_no_body_is_written_anywhere(self):
        mark = "4000000000000002"
        for body in [f"amount=100&currency=usd&card[number]={mark}",
                     f"amount=100&currency=usd&source={mark}&description={mark}",
                     f"amount=1e{mark}&currency=usd"]:
            self.send(CHARGES, body, {"Content-Type": FORM})
        self.send(PAYMENTS, '{"amount":{"value":"%s","currency":"usd"}}' % mark,
                  {"Content-Type": JSON})
        self.audit(limit=1)
        found = [str(path) for path in self.keybrake.data.rglob("*")
                 if path.is_file() and mark.encode() in path.read_bytes()]
        self.assertEqual(found, [])
        self.assertNotIn(mark, self.keybrake.log_text())
        self.assertNotIn(mark, json.dumps(self.audit(limit=1000)))

    def test_a_large_chunked_body_is_too_large(self):
        before = self.arrived()

        def pieces(count):
            yield GOOD_FORM.encode()
            for _ in range(count):
                yield b"&x=" + b"y" * 65533

        key = self.key_for(CHARGES)
        status, headers, text = self.ask(key, "POST", CHARGES, pieces(17), {"Content-Type": FORM})
        self.assertEqual((status, headers.get("keybrake-denied")), (413, "too_large"), text)
        whole = b"".join(pieces(17))
        status, headers, text = self.ask(key, "POST", CHARGES, whole, {"Content-Type": FORM})
        self.assertEqual((status, headers.get("keybrake-denied")), (413, "too_large"), text)
        self.assertEqual(self.arrived(), before)
        status, _, text = self.ask(key, "POST", CHARGES, pieces(15), {"Content-Type": FORM})
        self.assertEqual(status, 200, text)


if __name__ == "__main__":
    unittest.main()
