# SPDX-License-Identifier: Apache-2.0
"""The forward-proxy door: CONNECT, absolute form, SOCKS5; the exported CA; what is refused, and how
that reads."""

import json
import pathlib
import socket
import ssl
import struct
import subprocess
import time
import unittest

import harness
from test_doors import read_answer

HOST = "api.stripe.com"


class Forward(harness.Case):
    """A case whose clients trust the exported CA."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ca = cls.place.path / "exported.pem"
        cls.keybrake.run("ca", "export", cls.ca)
        cls.trust = ssl.create_default_context(cafile=cls.ca)

    def request_row(self, key):
        """The newest row of the audit that is about a request of that key."""
        return self.eventually(lambda: [row for row in self.audit(key=key["id"])
                                        if row["event"] == "request"])[0]

    # -- ways in

    def connect(self, token, authority=f"{HOST}:443", version="1.1", more="", auth=None):
        """The socket after a CONNECT, and the answer's first line."""
        connection = self.keybrake.connect()
        if auth is None:
            auth = f"Proxy-Authorization: {harness.basic(token, '')}\r\n" if token else ""
        host = f"Host: {authority}\r\n" if version == "1.1" else ""
        connection.sendall(f"CONNECT {authority} HTTP/{version}\r\n{host}{auth}{more}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(1)
            if not piece:
                break
            head += piece
        return connection, head.decode()

    def socks(self, user, password="", host=HOST, port=443, methods=b"\x02"):
        """The socket after SOCKS5, and the last reply."""
        connection = self.keybrake.connect()
        connection.sendall(b"\x05" + bytes([len(methods)]) + methods)
        chosen = connection.recv(2)
        if chosen != b"\x05\x02":
            return connection, chosen
        connection.sendall(b"\x01" + bytes([len(user)]) + user.encode() +
                           bytes([len(password)]) + password.encode())
        reply = connection.recv(2)
        if reply != b"\x01\x00":
            return connection, reply
        try:
            name = b"\x01" + socket.inet_aton(host)
        except OSError:
            name = b"\x03" + bytes([len(host)]) + host.encode()
        connection.sendall(b"\x05\x01\x00" + name + struct.pack(">H", port))
        return connection, connection.recv(10)

    def inside(self, connection, token, method="GET", path="/v1/balance", host=HOST, sni=HOST,
               body=None, headers=None, keep=False):
        """One request in a tunnel, over TLS where `sni` is given."""
        stream = self.trust.wrap_socket(connection, server_hostname=sni) if sni else connection
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        stream.sendall(("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode())
        answer = read_answer(stream.makefile("rb"))
        if keep:
            return stream, answer
        stream.close()
        return answer


class Connect(Forward):
    vendors = ["stripe", "github"]

    def test_a_request_inside_tls(self):
        key = self.issue()
        connection, head = self.connect(key["token"])
        self.assertTrue(head.startswith("HTTP/1.1 200 "), head)
        status, _, body = self.inside(connection, key["token"], path="/v1/double/echo")
        self.assertEqual(status, 200, body)
        seen = json.loads(body)
        self.assertEqual(seen["path"], "/v1/double/echo")
        self.assertNotIn(key["token"], json.dumps(seen))
        row = self.request_row(key)
        self.assertEqual((row["door"], row["path"]), ("connect", "/v1/double/echo"))

    def test_money_is_counted_there_too(self):
        key = self.issue()
        connection, _ = self.connect(key["token"])
        status, _, body = self.inside(
            connection, key["token"], "POST", "/v1/charges",
            body="amount=1000&currency=usd&source=tok_visa",
            headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(status, 200, body)
        self.assertEqual(self.spent(key)[0], "10.00")

    def test_http_1_0_without_host(self):
        """As Python's http.client sends it."""
        key = self.issue()
        connection, head = self.connect(key["token"], version="1.0")
        self.assertIn(" 200 ", head.splitlines()[0])
        self.assertEqual(self.inside(connection, key["token"])[0], 200)

    def test_the_key_as_password_or_bearer(self):
        token = self.issue()["token"]
        for auth in (harness.basic("anything", token), harness.basic(token, "x"), f"Bearer {token}"):
            connection, head = self.connect(None, auth=f"Proxy-Authorization: {auth}\r\n")
            self.assertIn(" 200 ", head.splitlines()[0], auth)
            connection.close()

    def test_several_requests_and_a_new_connection(self):
        """Leaves are kept, and sessions resumed."""
        token = self.issue()["token"]
        for _ in range(3):
            connection, _ = self.connect(token)
            stream, answer = self.inside(connection, token, keep=True)
            self.assertEqual(answer[0], 200)
            stream.sendall(f"GET /v1/balance HTTP/1.1\r\nHost: {HOST}:443\r\n"
                           f"Authorization: Bearer {token}\r\n\r\n".encode())
            self.assertEqual(read_answer(stream.makefile("rb"))[0], 200)
            stream.close()

    def test_plain_http_inside(self):
        """Node's fetch makes a CONNECT to port 80 for http:// URLs."""
        token = self.issue()["token"]
        connection, head = self.connect(token, f"{HOST}:80")
        self.assertIn(" 200 ", head.splitlines()[0])
        self.assertEqual(self.inside(connection, token, sni=None)[0], 200)

    def test_the_key_inside_is_the_one_that_counts(self):
        opener, user = self.issue(), self.issue(allowed_endpoints=["/v1/balance"])
        connection, _ = self.connect(opener["token"])
        status, headers, _ = self.inside(connection, user["token"], path="/v1/events")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "endpoint_not_allowed"))
        connection, _ = self.connect(opener["token"])
        self.assertEqual(self.inside(connection, None)[1]["keybrake-denied"], "missing_key")
        connection, _ = self.connect(opener["token"])
        self.assertEqual(self.inside(connection, "sk_test_FAKE" + "x" * 30)[1]["keybrake-denied"],
                         "unknown_key")

    def test_no_vendor_prefix_there(self):
        token = self.issue(allowed_endpoints=["/v1/balance", "/stripe/v1/balance"])["token"]
        connection, _ = self.connect(token)
        status, _, _ = self.inside(connection, token, path="/stripe/v1/balance")
        self.assertEqual(status, 404)

    def test_another_vendors_host(self):
        stripe = self.issue()
        github = self.issue(vendor="github", allowed_endpoints=["/*"])
        connection, head = self.connect(stripe["token"], "api.github.com:443")
        self.assertIn(" 200 ", head.splitlines()[0])
        status, headers, _ = self.inside(connection, stripe["token"], path="/user",
                                         host="api.github.com", sni="api.github.com")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "vendor_mismatch"))
        connection, _ = self.connect(stripe["token"], "api.github.com:443")
        status, _, _ = self.inside(connection, github["token"], path="/v1/double/echo",
                                   host="api.github.com", sni="api.github.com")
        self.assertEqual(status, 200)

    def test_a_host_that_keybrake_does_not_serve(self):
        token = self.issue()["token"]
        connection, _ = self.connect(token, "connect.stripe.com:443")
        status, headers, _ = self.inside(connection, token, path="/oauth/token",
                                         host="connect.stripe.com", sni="connect.stripe.com")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "endpoint_not_allowed"))


class ThreeHosts(Forward):
    """CONNECT's host, the TLS name and the Host of each request are one."""

    def test_another_host_in_the_request(self):
        token = self.issue()["token"]
        for host in ("files.stripe.com", "api.github.com", "localhost", f"{HOST}:444", f"{HOST}."):
            connection, _ = self.connect(token)
            status, headers, _ = self.inside(connection, token, host=host)
            self.assertIn(status, (400, 421), host)
            self.assertEqual(headers["connection"], "close")

    def test_another_name_in_the_tls(self):
        token = self.issue()["token"]
        for sni in ("files.stripe.com", "evil.example", "api.stripe.com.evil.example"):
            connection, _ = self.connect(token)
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                self.inside(connection, token, sni=sni)

    def test_no_name_in_the_tls(self):
        token = self.issue()["token"]
        connection, _ = self.connect(token)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(connection)

    def test_absolute_form_inside(self):
        token = self.issue()["token"]
        connection, _ = self.connect(token)
        self.assertEqual(self.inside(connection, token, path=f"https://{HOST}/v1/balance")[0], 200)
        connection, _ = self.connect(token)
        self.assertEqual(self.inside(connection, token, path="https://files.stripe.com/v1/x",
                                     host="files.stripe.com")[0], 421)

    def test_no_tunnel_inside_a_tunnel(self):
        token = self.issue()["token"]
        connection, _ = self.connect(token)
        self.assertEqual(self.inside(connection, token, "CONNECT", f"{HOST}:443")[0], 400)

    def test_what_is_neither_tls_nor_http(self):
        token = self.issue()["token"]
        for data in (b"\x00\x01", b"\x16\x02\x00\x00\x10", b"\x05\x01\x00", b"\xff" * 10,
                     b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"):
            connection, _ = self.connect(token)
            connection.sendall(data)
            connection.settimeout(3)
            try:
                self.assertEqual(connection.recv(100), b"", data)
            except ConnectionResetError:
                pass
            connection.close()


class Refusals(Forward):
    def line(self, *args, **more):
        connection, head = self.connect(*args, **more)
        connection.close()
        return head.splitlines()[0]

    def test_the_reason_stands_in_the_reason_phrase(self):
        token = self.issue()["token"]
        line = self.line(token, "evil.example:443")
        self.assertTrue(line.startswith("HTTP/1.1 403 "), line)
        self.assertIn("evil.example:443 is not reachable with this vault key", line)
        self.assertIn("--allow-host evil.example", line)

    def test_who_does_not_say_who(self):
        connection, head = self.connect(None)
        self.assertTrue(head.startswith("HTTP/1.1 407 "), head)
        self.assertIn("proxy-authenticate: basic realm=", head.lower())
        connection.close()

    def test_git_asks_again_on_the_same_connection(self):
        token = self.issue()["token"]
        connection = self.keybrake.connect()
        stream = connection.makefile("rb")
        ask = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n"
        connection.sendall(f"{ask}\r\n".encode())
        self.assertEqual(read_answer(stream)[0], 407)
        connection.sendall(f"{ask}Proxy-Authorization: {harness.basic(token, '')}\r\n\r\n".encode())
        self.assertIn(b" 200 ", stream.readline())
        connection.close()

    def test_wrong_credentials(self):
        for auth in (harness.basic("user", "password"), "Bearer nonsense", "Digest x",
                     harness.basic(harness.fake_secret("stripe"), "")):
            line = self.line(None, auth=f"Proxy-Authorization: {auth}\r\n")
            self.assertTrue(line.startswith("HTTP/1.1 407 "), line)
        one, other = self.issue()["token"], self.issue()["token"]
        line = self.line(None, auth=f"Proxy-Authorization: {harness.basic(one, other)}\r\n")
        self.assertTrue(line.startswith("HTTP/1.1 400 "), line)

    def test_forms_that_are_none(self):
        token = self.issue()["token"]
        auth = f"Proxy-Authorization: {harness.basic(token, '')}\r\n"
        for authority in (HOST, f"{HOST}:0", f"{HOST}:65536", f"{HOST}:x", "user@x:443", ":443",
                          f"http://{HOST}/", "/v1/balance", "a b:443"):
            raw = self.keybrake.raw(f"CONNECT {authority} HTTP/1.1\r\nHost: {HOST}\r\n{auth}"
                                    f"Connection: close\r\n\r\n".encode())
            self.assertTrue(raw.startswith(b"HTTP/1.1 400 "), (authority, raw[:100]))
        for more in ("Content-Length: 5\r\n\r\nhello", "Content-Length: 0\r\n\r\n",
                     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", f"{auth}\r\n"):
            raw = self.keybrake.raw(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n{auth}"
                                    f"{more}".encode())
            self.assertTrue(raw.startswith(b"HTTP/1.1 400 "), (more, raw[:100]))

    def test_addresses_and_odd_ports(self):
        token = self.issue()["token"]
        for authority in ("127.0.0.1:443", "[::1]:443", "169.254.169.254:80", f"{HOST}:22",
                          f"{HOST}:8443"):
            self.assertTrue(self.line(token, authority).startswith("HTTP/1.1 403 "), authority)

    def test_a_key_that_has_ended_is_told_so_inside(self):
        key = self.issue()
        self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        connection, head = self.connect(key["token"])
        self.assertIn(" 200 ", head.splitlines()[0])
        status, headers, body = self.inside(connection, key["token"])
        self.assertEqual((status, headers["keybrake-denied"]), (401, "revoked_key"))
        self.assertIn(b"was revoked", body)
        self.assertTrue(self.line(key["token"], "evil.example:443").startswith("HTTP/1.1 403 "))

    def test_a_denial_has_its_row(self):
        key = self.issue()
        self.line(key["token"], "evil.example:443")
        row = self.request_row(key)
        self.assertEqual((row["method"], row["path"], row["door"], row["reason"]),
                         ("CONNECT", "evil.example:443", "connect", "endpoint_not_allowed"))


class Cut(Forward):
    def test_a_tunnel_ends_with_its_key(self):
        for end in ("revoke", "pause", "stop"):
            key = self.issue(label=f"cut-{end}")
            connection, _ = self.connect(key["token"])
            stream, answer = self.inside(connection, key["token"], keep=True)
            self.assertEqual(answer[0], 200)
            started = time.monotonic()
            if end == "stop":
                self.keybrake.api("POST", "/v1/stops",
                                  {"kind": "label_prefix", "value": "cut-stop", "reason": "test"})
            elif end == "revoke":
                self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
            else:
                self.keybrake.api("POST", f"/v1/keys/{key['id']}/pause")
            stream.settimeout(3)
            try:
                self.assertEqual(stream.recv(100), b"")
            except (ConnectionResetError, ssl.SSLError):
                pass
            self.assertLess(time.monotonic() - started, 1)
            stream.close()

    def test_a_tunnel_ends_when_its_key_expires(self):
        key = self.issue(expires_in="2s")
        connection, _ = self.connect(key["token"])
        stream, answer = self.inside(connection, key["token"], keep=True)
        stream.settimeout(5)
        try:
            self.assertEqual(stream.recv(100), b"")
        except (ConnectionResetError, ssl.SSLError):
            pass


class Absolute(Forward):
    def ask_absolute(self, token, url, more=""):
        host = url.split("/")[2]
        raw = self.keybrake.raw(f"GET {url} HTTP/1.1\r\nHost: {host}\r\n{more}"
                                f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = raw.partition(b"\r\n\r\n")
        return int(head.split()[1]), head.decode(), body

    def test_a_vendors_host(self):
        key = self.issue()
        status, _, body = self.ask_absolute(
            key["token"], f"http://{HOST}/v1/double/echo",
            f"Proxy-Authorization: {harness.basic(key['token'], '')}\r\n")
        self.assertEqual(status, 200)
        self.assertNotIn(key["token"].encode(), body)
        self.assertEqual(self.request_row(key)["door"], "absolute")

    def test_our_own_host(self):
        token = self.issue()["token"]
        base = f"http://127.0.0.1:{self.keybrake.door_port}"
        self.assertEqual(self.ask_absolute(token, f"{base}/stripe/v1/balance")[0], 200)
        self.assertEqual(self.ask_absolute(token, f"{base}/v1/balance")[0], 200)

    def test_any_other_host(self):
        token = self.issue()["token"]
        for url in ("http://evil.example/v1/balance", "http://169.254.169.254/latest/meta-data",
                    "http://api.stripe.com.evil.example/v1/balance"):
            status, head, _ = self.ask_absolute(token, url)
            self.assertEqual(status, 403, url)
            self.assertIn("keybrake-denied: endpoint_not_allowed", head.lower())


class Socks(Forward):
    def test_a_request_inside_tls(self):
        key = self.issue()
        for user, password in ((key["token"], ""), ("user", key["token"]), (key["token"], "x")):
            connection, reply = self.socks(user, password)
            self.assertEqual(reply[:2], b"\x05\x00")
            self.assertEqual(self.inside(connection, key["token"])[0], 200)
        self.assertEqual(self.request_row(key)["door"], "socks")

    def test_refusals(self):
        token = self.issue()["token"]
        for args, want in ((dict(user="nobody", password="x"), b"\x01\x01"),
                           (dict(user=token, methods=b"\x00"), b"\x05\xff"),
                           (dict(user=token, host="evil.example"), b"\x05\x02"),
                           (dict(user=token, host="127.0.0.1"), b"\x05\x02"),
                           (dict(user=token, port=22), b"\x05\x02")):
            connection, reply = self.socks(**args)
            self.assertEqual(reply[:2], want, args)
            connection.settimeout(3)
            self.assertEqual(connection.recv(10), b"")
            connection.close()

    def test_other_commands_and_nonsense(self):
        token = self.issue()["token"]
        for request, want in ((b"\x05\x02\x00\x03\x01a\x01\xbb", b"\x05\x07"),
                              (b"\x05\x03\x00\x03\x01a\x01\xbb", b"\x05\x07"),
                              (b"\x05\x01\x00\x03\x03a b\x01\xbb", b"\x05\x08"),
                              (b"\x05\x01\x00\x09aaaaaaaa", None), (b"\x04\x01", None)):
            connection = self.keybrake.connect()
            connection.sendall(b"\x05\x01\x02" + b"\x01" + bytes([len(token)]) + token.encode() +
                               b"\x00" + request)
            connection.settimeout(3)
            got = b""
            try:
                while piece := connection.recv(100):
                    got += piece
            except ConnectionResetError:
                pass
            if want is None:
                self.assertIn(got, (b"", b"\x05\x02\x01\x00"), request)
            else:
                self.assertEqual(got[:6], b"\x05\x02\x01\x00" + want, request)
            connection.close()

    def test_byte_by_byte(self):
        token = self.issue()["token"]
        connection = self.keybrake.connect()
        data = (b"\x05\x01\x02\x01" + bytes([len(token)]) + token.encode() + b"\x00"
                b"\x05\x01\x00\x03" + bytes([len(HOST)]) + HOST.encode() + b"\x01\xbb")
        for at in range(len(data)):
            connection.sendall(data[at:at + 1])
            time.sleep(0.001)
        got = b""
        while len(got) < 14:
            got += connection.recv(100)
        self.assertEqual(got[4:6], b"\x05\x00")
        self.assertEqual(self.inside(connection, token)[0], 200)


class BaseOnly(Forward):
    options = ["--forward", "no"]

    def test_no_proxy_there(self):
        token = self.issue()["token"]
        connection, head = self.connect(token)
        self.assertTrue(head.startswith("HTTP/1.1 501 "), head)
        connection.close()
        self.assertTrue(self.keybrake.raw(b"\x05\x01\x02", half_close=True)
                        .startswith(b"HTTP/1.1 400 "))
        self.assertEqual(self.keybrake.ask(token, "GET", "/stripe/v1/balance")[0], 200)


class OverTls(Forward):
    """A proxy that is spoken to over TLS: TLS inside TLS."""

    scheme = "https"

    def inside(self, connection, token, **more):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.trust.wrap_bio(incoming, outgoing, server_hostname=HOST)

        def pump(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65536))

        pump(tls.do_handshake)
        size = 200_000
        pump(lambda: tls.write(f"GET /v1/double/chunks/{size // 1000}/1000 HTTP/1.1\r\nHost: {HOST}"
                               f"\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
                               .encode()))
        connection.sendall(outgoing.read())
        got = b""
        while b"\r\n0\r\n\r\n" not in got[-20:]:
            got += pump(lambda: tls.read(65536))
        return got

    def test_a_large_answer(self):
        token = self.issue()["token"]
        connection, head = self.connect(token)
        self.assertIn(" 200 ", head.splitlines()[0])
        got = self.inside(connection, token)
        self.assertTrue(got.startswith(b"HTTP/1.1 200"), got[:100])
        self.assertGreater(len(got), 200_000)


class Silence(Forward):
    def test_who_says_nothing_is_shown_out(self):
        """After 10 s: in a tunnel, half way through a ClientHello, half way through SOCKS5."""
        token = self.issue()["token"]
        quiet = [self.connect(token)[0], self.connect(token)[0], self.keybrake.connect()]
        quiet[1].sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        quiet[2].sendall(b"\x05\x01")
        started = time.monotonic()
        for connection in quiet:
            connection.settimeout(20)
            self.assertEqual(connection.recv(10), b"")
            connection.close()
        self.assertGreater(time.monotonic() - started, 8)

    def test_a_hello_without_end(self):
        token = self.issue()["token"]
        connection, _ = self.connect(token)
        connection.settimeout(5)
        try:
            connection.sendall(b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x03" + b"\x16\x03\x01\x00\x01a" * 9000)
            self.assertEqual(connection.recv(10), b"")
        except (ConnectionResetError, BrokenPipeError):
            pass


class Ca(Forward):
    def certificate(self, host=HOST):
        token = self.issue()["token"]
        connection, _ = self.connect(token, f"{host}:443")
        context = ssl.create_default_context(cafile=self.ca)
        with context.wrap_socket(connection, server_hostname=host) as stream:
            return stream.getpeercert()

    def test_a_leaf_is_for_one_host_and_a_day(self):
        leaf = self.certificate()
        self.assertEqual(leaf["subjectAltName"], (("DNS", HOST),))
        life = ssl.cert_time_to_seconds(leaf["notAfter"]) - ssl.cert_time_to_seconds(leaf["notBefore"])
        self.assertLessEqual(life, 24 * 3600)

    def test_the_ca_is_for_the_vendors_hosts_alone(self):
        text = subprocess.run(["openssl", "x509", "-in", self.ca, "-noout", "-text"],
                              capture_output=True, text=True, check=True).stdout
        self.assertIn("X509v3 Name Constraints: critical", text)
        self.assertIn("DNS:api.stripe.com", text)
        self.assertIn("IP:0.0.0.0/0.0.0.0", text)
        self.assertIn("CA:TRUE, pathlen:0", text)
        self.assertIn("prime256v1", text)

    def test_show_and_export(self):
        shown = self.keybrake.run("ca", "show").stdout
        self.assertIn("host api.stripe.com\n", shown)
        pem = self.keybrake.run("ca", "export", "-").stdout
        self.assertEqual(pem, self.ca.read_text())
        self.assertNotIn("sealed", pem)
        open_place = self.place.path / "open"
        open_place.mkdir()
        open_place.chmod(0o777)
        done = self.keybrake.run("ca", "export", open_place / "ca.pem", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("others may write", done.stderr)

    def test_the_key_is_nowhere_in_the_clear(self):
        text = (self.keybrake.data / "vault" / "ca").read_text()
        self.assertNotIn("PRIVATE KEY", text)
        self.assertEqual((self.keybrake.data / "vault" / "ca").stat().st_mode & 0o777, 0o600)

    def test_z_rotation(self):
        before = self.ca.read_text()
        self.certificate()
        self.keybrake.run("ca", "rotate", "--host", "github.example.com")
        self.keybrake.reload()
        after = self.eventually(
            lambda: (lambda pem: pem if pem != before else None)(
                self.keybrake.run("ca", "export", "-").stdout))
        with self.assertRaises(ssl.SSLError):
            self.eventually(self.certificate)
        self.ca.write_text(after)
        self.certificate()
        self.assertIn("host github.example.com\n", self.keybrake.run("ca", "show").stdout)


class OlderDirectory(unittest.TestCase):
    def test_serve_makes_what_is_missing(self):
        place = harness.Place()
        keybrake = harness.Keybrake(place).init()
        try:
            (keybrake.data / "vault" / "ca").unlink()
            keybrake.start()
            self.assertIn("host api.stripe.com\n", keybrake.run("ca", "show").stdout)
            keybrake.stop()
        finally:
            keybrake.kill()
            place.remove()


if __name__ == "__main__":
    unittest.main()
