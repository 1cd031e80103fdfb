# SPDX-License-Identifier: Apache-2.0
"""The real key never comes back, in whatever clothes a vendor sends it."""

import base64
import gzip
import json
import urllib.parse

import harness


def raw_answer(body, headers=""):
    text = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
    return "/stripe/v1/double/raw/" + text.hex()


class Hygiene(harness.Case):
    def setUp(self):
        self.key = self.issue(allowed_endpoints=["/v1/double/*"])
        self.secret = self.secrets["stripe"]

    def assert_clean(self, *texts):
        pieces = (self.secret, base64.b64encode(self.secret.encode()).decode().rstrip("="),
                  self.secret.encode().hex())
        for text in texts:
            for piece in pieces:
                self.assertNotIn(piece.lower(), text.lower())

    def test_echoed_headers_and_bodies(self):
        status, headers, body = self.ask(self.key, "GET", "/stripe/v1/double/echo")
        self.assertEqual(status, 200)
        self.assert_clean(body.decode(), json.dumps(headers))
        self.assertIn("*" * 20, body.decode())

    def test_chunked_at_every_boundary(self):
        for size in list(range(1, 12)) + [17, 31, 46, 47, 48, 64]:
            status, _, body = self.ask(self.key, "GET", f"/stripe/v1/double/split/{size}")
            self.assertEqual((status, body), (200, b"Bearer " + b"*" * len(self.secret)))

    def test_every_encoding(self):
        secret = self.secret.encode()
        forms = [secret, secret.hex().encode(), secret.hex().upper().encode(),
                 "".join(f"%{b:02X}" for b in secret).encode(),
                 urllib.parse.quote(self.secret, safe="").encode(),
                 base64.b64encode(secret), base64.b64encode(b"a" + secret + b"bc"),
                 base64.b64encode(b"ab" + secret + b"c"), base64.urlsafe_b64encode(secret),
                 base64.b64encode(b":" + secret), json.dumps(self.secret).encode(),
                 "".join(f"\\u{b:04x}" for b in secret).encode()]
        for form in forms:
            # A path may be 8 KiB: what fits is enough.
            status, _, body = self.ask(self.key, "GET", raw_answer(b"<" + form + b">"))
            self.assertEqual(status, 200, body)
            self.assertEqual(len(body), len(form) + 2)
            self.assertIn(b"*" * 16, body, form)

    def test_headers_redirects_and_cookies(self):
        status, headers, body = self.ask(self.key, "GET", "/stripe/v1/double/redirect-away")
        self.assertEqual(status, 302)
        self.assertNotIn("location", headers)
        self.assert_clean(json.dumps(headers), body.decode())
        status, headers, _ = self.ask(self.key, "GET", "/stripe/v1/double/redirect")
        self.assertEqual(status, 302)
        self.assertTrue(headers["location"].endswith("/stripe/v1/elsewhere?a=1"), headers)
        self.assertIn(str(self.keybrake.door_port), headers["location"])
        status, headers, _ = self.ask(self.key, "GET", "/stripe/v1/double/cookie")
        self.assertEqual(status, 200)
        self.assertNotIn("set-cookie", headers)
        self.assertNotIn("alt-svc", headers)
        status, headers, _ = self.ask(self.key, "GET",
                                      raw_answer(b"", f"X-Echo: {self.secret}\r\n"))
        self.assertEqual(headers["x-echo"], "*" * len(self.secret))

    def test_coded_answers_are_decoded_or_refused(self):
        status, headers, body = self.ask(self.key, "GET", "/stripe/v1/double/gzip")
        if status == 200:
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            self.assert_clean(body.decode())
        else:
            self.assertEqual(status, 502)

    def test_bad_answers_become_502(self):
        for text in (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                     b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
                     b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", b"nonsense\r\n\r\n",
                     b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nX: " + b"a" * 3000 + b"\r\nTransfer-Encoding: gzip\r\n\r\n"):
            status, _, body = self.ask(self.key, "GET", "/stripe/v1/double/raw/" + text.hex())
            self.assertEqual(status, 502, (text[:60], body))
            self.assert_clean(body.decode())
