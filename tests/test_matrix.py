# SPDX-License-Identifier: Apache-2.0
"""Every rule through every door: one table of rules, one of doors, and each pair is tried."""

import array
import base64
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
import unittest

import harness
from test_forward import HOST, Forward

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Doors(Forward):
    """door(token, method, path, body, headers) -> (status, headers, body)"""

    def parse(self, connection, method, path, token, body, headers, host=None):
        all_headers = {"Authorization": f"Bearer {token}"} if token else {}
        all_headers.update(headers or {})
        if host:
            all_headers["Host"] = host
        connection.request(method, path, body=body, headers=all_headers)
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def door_prefix(self, token, method, path, body=None, headers=None):
        return self.parse(self.keybrake.door(), method, "/stripe" + path, token, body, headers)

    def door_unprefixed(self, token, method, path, body=None, headers=None):
        return self.parse(self.keybrake.door(), method, path, token, body, headers)

    def door_host(self, token, method, path, body=None, headers=None):
        return self.parse(self.keybrake.door(), method, path, token, body, headers,
                          "stripe.keybrake.test")

    def door_absolute(self, token, method, path, body=None, headers=None):
        return self.parse(self.keybrake.door(), method, f"http://{HOST}{path}", token, body,
                          headers, HOST)

    def through(self, stream, token, method, path, body, headers):
        connection = http.client.HTTPConnection(HOST)
        connection.sock = stream
        return self.parse(connection, method, path, token, body, headers, HOST)

    def door_connect(self, token, method, path, body=None, headers=None):
        raw, head = self.connect(self.opener["token"])
        self.assertIn(" 200 ", head.splitlines()[0])
        stream = self.trust.wrap_socket(raw, server_hostname=HOST)
        return self.through(stream, token, method, path, body, headers)

    def door_connect_plain(self, token, method, path, body=None, headers=None):
        raw, _ = self.connect(self.opener["token"], f"{HOST}:80")
        return self.through(raw, token, method, path, body, headers)

    def door_socks(self, token, method, path, body=None, headers=None):
        raw, reply = self.socks(self.opener["token"])
        self.assertEqual(reply[:2], b"\x05\x00")
        stream = self.trust.wrap_socket(raw, server_hostname=HOST)
        return self.through(stream, token, method, path, body, headers)

    def setUp(self):
        # Whoever opens the tunnel has nothing to say about what goes through it.
        self.opener = self.issue(label="opener", allowed_endpoints=["/v1/events"])
        self.doors = {name.removeprefix("door_"): getattr(self, name)
                      for name in dir(self) if name.startswith("door_")}

    def each(self, rule):
        for name, door in self.doors.items():
            with self.subTest(door=name):
                rule(door)

    def pay(self, door, token, cents, currency="usd", headers=None):
        return door(token, "POST", "/v1/charges",
                    f"amount={cents}&currency={currency}&source=tok_visa",
                    {**FORM, **(headers or {})})

    def denied(self, answer, code, status=None):
        self.assertEqual(answer[1].get("keybrake-denied"), code, answer)
        if status:
            self.assertEqual(answer[0], status)
        json.loads(answer[2])  # in the vendor's own shape
        self.assertIn("keybrake-request-id", answer[1])


class Matrix(Doors):
    def test_allowed(self):
        def rule(door):
            key = self.issue()
            self.assertEqual(door(key["token"], "GET", "/v1/balance")[0], 200)
        self.each(rule)

    def test_allowlist(self):
        def rule(door):
            key = self.issue(allowed_endpoints=["/v1/balance", "POST /v1/refunds"])
            self.assertEqual(door(key["token"], "GET", "/v1/balance")[0], 200)
            self.denied(door(key["token"], "GET", "/v1/events"), "endpoint_not_allowed", 403)
            self.denied(self.pay(door, key["token"], 100), "endpoint_not_allowed", 403)
        self.each(rule)

    def test_paths_that_two_would_read_differently(self):
        def rule(door):
            key = self.issue()
            for path in ("/v1/charges/../balance", "/v1/%2e%2e/balance", "/v1//balance",
                         "/v1/bal%61nce", "/v1/a;b", "/v1/a%2fb"):
                self.assertEqual(door(key["token"], "GET", path)[0], 400, path)
        self.each(rule)

    def test_class(self):
        """Guarded operations are granted by name only."""
        def rule(door):
            wide = self.issue(allowed_endpoints=["/v1/*"])
            self.denied(door(wide["token"], "POST", "/v1/ephemeral_keys", "customer=cus_1", FORM),
                        "endpoint_not_allowed", 403)
        self.each(rule)

    def test_caps(self):
        def rule(door):
            key = self.issue(daily_usd_cap=15)
            self.assertEqual(self.pay(door, key["token"], 1000)[0], 200)
            answer = self.pay(door, key["token"], 1000)
            self.denied(answer, "cap_exceeded", 429)
            self.assertIn(b"$10.00 spent", answer[2])
            self.assertEqual(self.spent(key), ("10.00", "0.00", "5.00"))
        self.each(rule)

    def test_parents_caps(self):
        def rule(door):
            parent = harness.Case.issue(self, daily_usd_cap=5)
            child = self.issue(parent=parent["id"], daily_usd_cap=100)
            self.denied(self.pay(door, child["token"], 1000), "cap_exceeded", 429)
        self.each(rule)

    def test_params(self):
        def rule(door):
            key = self.issue(params={"max_amount_usd": 5, "currencies": ["usd"]})
            self.assertEqual(self.pay(door, key["token"], 400)[0], 200)
            self.denied(self.pay(door, key["token"], 600), "param_not_allowed", 403)
            self.denied(self.pay(door, key["token"], 100, "eur"), "param_not_allowed", 403)
        self.each(rule)

    def test_rates(self):
        def rule(door):
            key = self.issue(limits={"requests_per_minute": 2})
            for _ in range(2):
                self.assertEqual(door(key["token"], "GET", "/v1/balance")[0], 200)
            answer = door(key["token"], "GET", "/v1/balance")
            self.denied(answer, "rate_limited", 429)
            self.assertIn("retry-after", answer[1])
        self.each(rule)

    def test_concurrency(self):
        def rule(door):
            key = self.issue(limits={"concurrency": 1})
            slow = threading.Thread(target=door,
                                    args=(key["token"], "GET", "/v1/double/slow/600"))
            slow.start()
            time.sleep(0.25)
            answer = door(key["token"], "GET", "/v1/balance")
            slow.join()
            self.denied(answer, "rate_limited", 429)
        self.each(rule)

    def test_expiry(self):
        keys = {name: self.issue(expires_in="1s") for name in self.doors}
        time.sleep(1.2)
        for name, door in self.doors.items():
            with self.subTest(door=name):
                self.denied(door(keys[name]["token"], "GET", "/v1/balance"), "expired_key", 401)

    def test_pause(self):
        def rule(door):
            key = self.issue()
            self.keybrake.api("POST", f"/v1/keys/{key['id']}/pause")
            self.denied(door(key["token"], "GET", "/v1/balance"), "paused_key", 403)
            self.keybrake.api("POST", f"/v1/keys/{key['id']}/resume")
            self.assertEqual(door(key["token"], "GET", "/v1/balance")[0], 200)
        self.each(rule)

    def test_revoke(self):
        def rule(door):
            key = self.issue()
            self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
            self.denied(door(key["token"], "GET", "/v1/balance"), "revoked_key", 401)
        self.each(rule)

    def test_stop(self):
        def rule(door):
            key = self.issue(label="stopped")
            stop = self.keybrake.api("POST", "/v1/stops", {
                "kind": "label_prefix", "value": "stopped", "reason": "a test"})
            self.denied(door(key["token"], "GET", "/v1/balance"), "stopped", 403)
            self.keybrake.api("DELETE", f"/v1/stops/{stop['id']}")
            self.assertEqual(door(key["token"], "GET", "/v1/balance")[0], 200)
        self.each(rule)

    def test_accounts(self):
        def rule(door):
            key = self.issue(params={"accounts": ["acct_ours"]})
            self.assertEqual(door(key["token"], "GET", "/v1/balance", None,
                                  {"Stripe-Account": "acct_ours"})[0], 200)
            self.denied(door(key["token"], "GET", "/v1/balance", None,
                             {"Stripe-Account": "acct_other"}), "account_not_allowed", 403)
        self.each(rule)

    def test_sources(self):
        def rule(door):
            key = self.issue(limits={"sources": ["192.0.2.0/24"]})
            self.denied(door(key["token"], "GET", "/v1/balance"), "wrong_session", 403)
            near = self.issue(limits={"sources": ["127.0.0.0/8"]})
            self.assertEqual(door(near["token"], "GET", "/v1/balance")[0], 200)
        self.each(rule)

    def test_observe(self):
        def rule(door):
            key = self.issue(mode="observe", daily_usd_cap=5, allowed_endpoints=["/v1/balance"])
            self.assertEqual(self.pay(door, key["token"], 1000)[0], 200)
            self.denied(door(key["token"], "POST", "/v1/ephemeral_keys", "customer=cus_1", FORM),
                        "endpoint_not_allowed", 403)  # a class is never relaxed
        self.each(rule)

    def test_idempotency(self):
        def rule(door):
            key = self.issue()
            same = {"Idempotency-Key": f"once-{key['id']}"}
            for _ in range(2):
                self.assertEqual(self.pay(door, key["token"], 1000, headers=same)[0], 200)
            self.assertEqual(self.spent(key)[0], "10.00")
            self.denied(self.pay(door, key["token"], 1100, headers=same), "idempotency_mismatch",
                        422)
        self.each(rule)

    def test_no_key_and_a_real_one(self):
        def rule(door):
            self.denied(door(None, "GET", "/v1/balance"), "missing_key", 401)
            self.denied(door(self.secrets["stripe"], "GET", "/v1/balance"), "unknown_key", 401)
        self.each(rule)

    def test_a_key_for_another_vendor(self):
        def rule(door):
            key = self.issue(vendor="github", allowed_endpoints=["/*"])
            answer = door(key["token"], "GET", "/v1/balance")
            if door == getattr(self, "door_unprefixed", None):  # there the key says the vendor
                self.assertNotEqual(answer[0], 403, answer)
            else:
                self.denied(answer, "vendor_mismatch", 403)
        self.add_double("github")
        self.each(rule)

    def test_one_policy_for_all_doors_at_once(self):
        """The same window, whichever way the money goes."""
        key = self.issue(daily_usd_cap=10 * len(self.doors))
        for door in self.doors.values():
            self.assertEqual(self.pay(door, key["token"], 1000)[0], 200)
        for name, door in self.doors.items():
            with self.subTest(door=name):
                self.denied(self.pay(door, key["token"], 1), "cap_exceeded", 429)


class SessionMatrix(Matrix):
    """The same on sockets such as a sandbox has: whatever comes was meant for anybody."""

    door_prefix = door_unprefixed = door_host = door_absolute = door_connect_plain = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        key, certificate = cls.place.path / "session.key", cls.place.path / "session.pem"
        harness.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=session",
                        "-days", "1", "-addext", "basicConstraints=critical,CA:TRUE",
                        "-addext", "keyUsage=critical,keyCertSign")
        der = subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", str(key), "-outform",
                              "DER"], capture_output=True, check=True).stdout
        cls.session_ca = {"ca_pem": certificate.read_text(),
                          "ca_key": base64.b64encode(der).decode()}
        cls.trust = ssl.create_default_context(cafile=certificate)

    def setUp(self):
        self.ports = {}
        self.doors = {name.removeprefix("door_"): getattr(self, name) for name in dir(self)
                      if name.startswith("door_") and getattr(self, name)}
        self.anybody = self.issue(label="nobody's")

    def issue(self, **policy):
        """A session of its own for each key."""
        body = {"label": "session", "vendor": "stripe", "daily_usd_cap": self.daily_usd_cap,
                "allowed_endpoints": ["/v1/*"], "expires_in": "10m", **policy}
        data = json.dumps({"keys": [body], **self.session_ca}).encode()
        listener = socket.create_server(("127.0.0.1", 0))
        control = socket.socket(socket.AF_UNIX)
        control.connect(str(self.keybrake.data / "run" / "control.sock"))
        self.addCleanup(control.close)
        head = (f"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
                f"\r\nContent-Length: {len(data)}\r\n\r\n").encode()
        control.sendmsg([head + data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                         array.array("i", [listener.fileno()]))])
        port = listener.getsockname()[1]
        listener.close()
        answer = http.client.HTTPResponse(control)
        answer.begin()
        made = json.loads(answer.read())
        self.assertEqual(answer.status, 201, made)
        key = made["keys"][0]
        self.ports[key["token"]] = port
        return key

    def dial(self, token):
        port = self.ports.get(token, self.ports[self.anybody["token"]])
        return socket.create_connection(("127.0.0.1", port), timeout=5)

    def over_tls(self, raw, token, *request):
        return self.through(self.trust.wrap_socket(raw, server_hostname=HOST), token, *request)

    def door_session(self, token, method, path, body=None, headers=None):
        return self.over_tls(self.dial(token), token, method, path, body, headers)

    def door_session_plain(self, token, method, path, body=None, headers=None):
        return self.through(self.dial(token), token, method, path, body, headers)

    def door_connect(self, token, method, path, body=None, headers=None):
        raw = self.dial(token)
        raw.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += raw.recv(1)
        self.assertIn(b" 200 ", head.splitlines()[0])
        return self.over_tls(raw, token, method, path, body, headers)

    def door_socks(self, token, method, path, body=None, headers=None):
        raw = self.dial(token)
        raw.sendall(b"\x05\x01\x00")
        self.assertEqual(raw.recv(2), b"\x05\x00")
        raw.sendall(b"\x05\x01\x00\x03" + bytes([len(HOST)]) + HOST.encode() + b"\x01\xbb")
        self.assertEqual(raw.recv(10)[:2], b"\x05\x00")
        return self.over_tls(raw, token, method, path, body, headers)

    def test_a_key_in_another_session(self):
        """Its own sockets and no others; and no public key here, nor this one outside."""
        mine, other = self.issue(), self.issue()
        public = harness.Case.issue(self)
        self.assertEqual(self.keybrake.ask(mine["token"], "GET", "/stripe/v1/balance")[1]
                         ["keybrake-denied"], "wrong_session")
        for name, door in self.doors.items():
            with self.subTest(door=name):
                self.ports[public["token"]] = self.ports[other["token"]]
                self.denied(door(public["token"], "GET", "/v1/balance"), "wrong_session", 403)
                kept = self.ports[mine["token"]]
                self.ports[mine["token"]] = self.ports[other["token"]]
                self.denied(door(mine["token"], "GET", "/v1/balance"), "wrong_session", 403)
                self.ports[mine["token"]] = kept
                self.assertEqual(door(mine["token"], "GET", "/v1/balance")[0], 200)

    def test_a_host_that_nobody_serves_is_told_inside_tls(self):
        key = self.issue()
        raw = self.dial(key["token"])
        stream = self.trust.wrap_socket(raw, server_hostname="evil.example")
        connection = http.client.HTTPConnection("evil.example")
        connection.sock = stream
        answer = self.parse(connection, "GET", "/", None, None, None, "evil.example")
        self.denied(answer, "endpoint_not_allowed", 403)
        self.assertIn(b"evil.example cannot be reached from here", answer[2])

    def test_connections_of_one_sandbox(self):
        """256 at a time; then as many as have left."""
        key = self.issue()
        held = [self.dial(key["token"]) for _ in range(256)]
        time.sleep(0.5)
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.door_session_plain(key["token"], "GET", "/v1/balance")
        for connection in held:
            connection.close()
        time.sleep(0.5)
        self.assertEqual(self.door_session_plain(key["token"], "GET", "/v1/balance")[0], 200)

    def test_what_is_neither_tls_nor_http_ends_at_once(self):
        key = self.issue()
        for data in (b"\x00\x00\x00\x01", b"\xff\xff", b"\x16\x03\x01\x00\x02\x01\x00", b"\n\n"):
            raw = self.dial(key["token"])
            raw.sendall(data + b"\0" * 30)
            raw.settimeout(3)
            try:
                self.assertEqual(raw.recv(100), b"", data)
            except ConnectionResetError:
                pass
            raw.close()


if __name__ == "__main__":
    unittest.main()
