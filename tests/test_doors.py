# SPDX-License-Identifier: Apache-2.0
"""The base-URL door: every way to name the vendor and to carry the key, and HTTP as it should be."""

import json
import socket
import threading
import time
import unittest

import harness

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def request(method, path, token, more="", body=""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return (f"{method} {path} HTTP/1.1\r\nHost: keybrake\r\nAuthorization: Bearer {token}\r\n"
            f"{more}{length}\r\n{body}").encode()


def read_answer(stream):
    """One answer from a file of a socket: (status, {headers}, body)."""
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().strip()):
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if status < 200 or status in (204, 304):
        return status, headers, b""
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
        return status, headers, body
    return status, headers, stream.read(int(headers["content-length"]))


class Routes(harness.Case):
    vendors = ["stripe", "github"]

    def echo(self, path, headers):
        """What reached the vendor."""
        status, _, body = self.keybrake.ask(None, "GET", path, None, headers)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def test_ways_to_name_the_vendor(self):
        key = self.issue()
        bearer = {"Authorization": "Bearer " + key["token"]}
        for path, host in (("/stripe/v1/double/echo", None), ("/v1/double/echo", None),
                           ("/v1/double/echo", "stripe.keybrake.test"),
                           ("/v1/double/echo", f"stripe.localhost:{self.keybrake.door_port}")):
            headers = {**bearer, **({"Host": host} if host else {})}
            self.assertEqual(self.echo(path, headers)["path"], "/v1/double/echo", (path, host))

    def test_another_vendor_than_the_keys(self):
        key = self.issue()
        status, headers, _ = self.ask(key, "GET", "/github/repos/o/r")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "vendor_mismatch"))

    def test_ways_to_carry_the_key(self):
        token = self.issue()["token"]
        for value in (f"Bearer {token}", f"bearer {token}", f"BEARER {token}",
                      harness.basic(token, ""), harness.basic(token, "x")):
            self.echo("/v1/double/echo", {"Authorization": value})
        github = self.issue(vendor="github", allowed_endpoints=["/v1/double/*"])["token"]
        for value in (f"token {github}", f"bearer {github}", harness.basic("x-access-token", github)):
            self.echo("/github/v1/double/echo", {"Authorization": value})

    def test_two_credentials_that_disagree(self):
        token, other = self.issue()["token"], self.issue()["token"]
        status, headers, _ = self.keybrake.ask(token, "GET", "/stripe/v1/balance", None,
                                               {"X-Api-Key": other})
        self.assertGreaterEqual(status, 400)
        raw = self.keybrake.raw(
            f"GET /stripe/v1/balance HTTP/1.1\r\nHost: k\r\nAuthorization: Bearer {token}\r\n"
            f"Authorization: Bearer {other}\r\n\r\n".encode())
        self.assertTrue(raw.startswith(b"HTTP/1.1 400"), raw)

    def test_what_reaches_the_vendor(self):
        key = self.issue()
        seen = self.echo("/stripe/v1/double/echo?expand[0]=a&b=c%20d", {
            "Authorization": "Bearer " + key["token"], "X-Api-Key": key["token"],
            "X_Api_Key": key["token"], "X.Api!Key": key["token"],
            "Author.ization": key["token"], "X-Forwarded-For": "1.2.3.4", "Connection": "X-Nominated",
            "X-Nominated": "1", "X-Kept": "yes",
            "X-Agent-Run-Id": "run-1", "Accept-Encoding": "gzip", "Range": "bytes=0-1"})
        self.assertEqual(seen["path"], "/v1/double/echo?expand[0]=a&b=c%20d")
        names = [name.lower() for name, _ in seen["headers"]]
        headers = {name.lower(): value for name, value in seen["headers"]}
        self.assertEqual(headers["x-kept"], "yes")
        self.assertEqual(headers["accept-encoding"], "identity")
        self.assertIn("keybrake", headers["via"])
        self.assertEqual(headers["host"].split(":")[0], "localhost")
        self.assertEqual(names.count("authorization"), 1)
        for gone in ("x-api-key", "x_api_key", "x.api!key", "author.ization",
                     "x-forwarded-for", "x-nominated", "range", "x-agent-run-id", "connection"):
            self.assertNotIn(gone, [n for n in names if not (n == "connection")] , gone)
        self.assertNotIn(key["token"], json.dumps(seen))


class Http(harness.Case):
    def test_keep_alive_and_pipelining_in_order(self):
        token = self.issue()["token"]
        with self.keybrake.connect() as connection:
            connection.sendall(request("GET", "/stripe/v1/double/slow/200", token) +
                               request("GET", "/stripe/v1/double/slow/1", token) +
                               request("GET", "/stripe/v1/nothing-there", token))
            stream = connection.makefile("rb")
            answers = [read_answer(stream) for _ in range(3)]
        self.assertEqual([json.loads(a[2]).get("slow") for a in answers[:2]], [200, 1])
        self.assertEqual([a[0] for a in answers], [200, 200, 404])

    def test_http_1_0(self):
        token = self.issue()["token"]
        raw = self.keybrake.raw(f"GET /stripe/v1/double/chunks/3/5 HTTP/1.0\r\n"
                                f"Authorization: Bearer {token}\r\n\r\n".encode())
        head, _, body = raw.partition(b"\r\n\r\n")
        self.assertIn(b" 200 ", head.splitlines()[0])
        self.assertNotIn(b"chunked", head.lower())
        self.assertEqual(body, b"x" * 15)

    def test_expect_100_continue(self):
        key = self.issue()
        with self.keybrake.connect() as connection:
            stream = connection.makefile("rb")
            body = "amount=100&currency=usd&source=tok_visa"
            head = request("POST", "/stripe/v1/charges", key["token"],
                           FORM + f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n")
            connection.sendall(head)
            self.assertEqual(read_answer(stream)[0], 100)
            connection.sendall(body.encode())
            self.assertEqual(read_answer(stream)[0], 200)
            # Refused: the answer comes instead of 100, and the body is never asked for.
            connection.sendall(request("POST", "/stripe/v1/payouts-of-none", key["token"],
                                       FORM + "Expect: 100-continue\r\nContent-Length: 5\r\n"))
            self.assertGreaterEqual(read_answer(stream)[0], 400)

    def test_chunked_upload(self):
        token = self.issue()["token"]
        with self.keybrake.connect() as connection:
            connection.sendall(request("POST", "/stripe/v1/charges", token,
                                       FORM + "Transfer-Encoding: chunked\r\n"))
            for piece in (b"amount=1", b"23&curr", b"ency=usd&source=tok_visa"):
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                time.sleep(0.02)
            connection.sendall(b"0\r\n\r\n")
            status, _, body = read_answer(connection.makefile("rb"))
        self.assertEqual((status, json.loads(body)["amount"]), (200, 123))

    def test_head_has_no_body(self):
        token = self.issue()["token"]
        raw = self.keybrake.raw(request("HEAD", "/stripe/v1/double/bytes/100", token,
                                        "Connection: close\r\n"))
        head, _, body = raw.partition(b"\r\n\r\n")
        self.assertIn(b" 200 ", head.splitlines()[0])
        self.assertEqual(body, b"")

    def test_events_come_at_once(self):
        token = self.issue()["token"]
        with self.keybrake.connect() as connection:
            connection.sendall(request("GET", "/stripe/v1/double/events/5/100", token))
            stream = connection.makefile("rb")
            while stream.readline().strip():
                pass
            late = []
            while size := int(stream.readline(), 16):
                event = json.loads(stream.read(size).partition(b":")[2])
                late.append(time.time() - event["t"])
                stream.readline()
        self.assertEqual(len(late), 5)
        self.assertLess(max(late), 0.25, late)  # buffered, the first would be 0.4 s late

    def test_truncated_answers_stay_truncated(self):
        token = self.issue()["token"]
        raw = self.keybrake.raw(request("GET", "/stripe/v1/double/cut/100", token))
        head, _, body = raw.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200"), raw)
        self.assertIn(b"<reset>", body)
        status, headers, _ = self.keybrake.ask(token, "GET", "/stripe/v1/double/reset")
        self.assertEqual(status, 502)

    def test_a_half_close_is_no_abort(self):
        token = self.issue()["token"]
        raw = self.keybrake.raw(request("GET", "/stripe/v1/double/slow/200", token,
                                        "Connection: close\r\n"), half_close=True)
        self.assertTrue(raw.startswith(b"HTTP/1.1 200"), raw)

    def test_denial_under_upload_is_read_and_not_reset(self):
        key = self.issue(allowed_endpoints=["/v1/balance"])
        with self.keybrake.connect() as connection:
            size = 20 * 1024 * 1024
            connection.sendall(request("POST", "/stripe/v1/files", key["token"],
                                       f"Content-Length: {size}\r\n"))
            for _ in range(size // 65536):
                connection.sendall(b"z" * 65536)
            self.assertEqual(read_answer(connection.makefile("rb"))[0], 403)

    @unittest.skipIf(harness.SANITIZED, "such a build keeps what it freed")
    def test_a_long_download_through_a_slow_client_does_not_grow_memory(self):
        token = self.issue()["token"]
        size = 256 * 1024 * 1024
        with self.keybrake.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.sendall(request("GET", f"/stripe/v1/double/bytes/{size}", token))
            time.sleep(1)
            before = self.resident()
            got = 0
            while got < 64 * 1024 * 1024:
                got += len(connection.recv(1 << 20))
            time.sleep(0.5)
            self.assertLess(self.resident() - before, 8 * 1024 * 1024)

    def resident(self):
        total = 0
        for pids in self.keybrake.pids().values():
            for pid in pids:
                with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                    total += int(file.read().split()[1]) * 4096
        return total

    def test_many_at_once(self):
        key = self.issue()
        wrong = []

        def work():
            for _ in range(20):
                status, _, body = self.ask(key, "GET", "/stripe/v1/double/bytes/5000")
                if status != 200 or len(body) != 5000:
                    wrong.append((status, body[:200]))

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class HttpOverTls(Http):
    scheme = "https"

    # Once is enough; and Python's ssl cannot go on reading after a half-close.
    test_a_long_download_through_a_slow_client_does_not_grow_memory = None
    test_a_half_close_is_no_abort = None

    def test_truncated_answers_stay_truncated(self):
        # Over TLS a client sees the missing close_notify rather than a reset.
        token = self.issue()["token"]
        raw = b""
        try:
            raw = self.keybrake.raw(request("GET", "/stripe/v1/double/cut/100", token))
        except OSError:
            return
        self.assertNotIn(b"y" * 101, raw)


class Framing(harness.Case):
    """A few of the classic ambiguities, whole and byte by byte: always 400 and the end."""

    def setUp(self):
        self.token = self.issue()["token"]
        self.before = len(self.doubles["stripe"].calls)

    def tearDown(self):
        self.assertEqual(len(self.doubles["stripe"].calls), self.before)

    def test_refused(self):
        start = f"POST /stripe/v1/customers HTTP/1.1\r\nHost: k\r\nAuthorization: Bearer {self.token}\r\n"
        cases = [
            start + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            start + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            start + "Content-Length: 3, 3\r\n\r\nabc",
            start + "Content-Length: +3\r\n\r\nabc",
            start + "Content-Length : 3\r\n\r\nabc",
            start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            start + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            start + "Content_Length: 3\r\n\r\nabc",
            start + "X: a\r\n b\r\n\r\n",
            start + "X: a\x00b\r\n\r\n",
            start + "X: a\rb\r\n\r\n",
            start + "Host: other\r\n\r\n",
            start.replace("\r\n", "\n") + "\n",
            start.replace("POST ", "POST  ", 1) + "\r\n",
            start.replace("/v1/customers", "/v1/customers/../charges", 1) + "\r\n",
            start.replace("/v1/customers", "/v1//customers", 1) + "\r\n",
            start.replace("/v1/customers", "/v1/%63ustomers", 1) + "\r\n",
            start.replace("/v1/customers", "/v1/a%2fb", 1) + "\r\n",
            start.replace("/v1/customers", "/v1/a;b", 1) + "\r\n",
            start.replace("HTTP/1.1", "HTTP/2.0", 1) + "\r\n",
            start.replace("HTTP/1.1", "HTTP/1.12", 1) + "\r\n",
            " " + start + "\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ]
        for case in cases:
            with self.subTest(case[-60:]):
                answer = self.keybrake.raw(case.encode("latin-1"))
                self.assertRegex(answer, rb"^HTTP/1\.1 (400|414|431|501|505) ")
                self.assertNotIn(b"<open>", answer)

    def test_refused_byte_by_byte(self):
        with self.keybrake.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in (f"POST /stripe/v1/x HTTP/1.1\r\nHost: k\r\nAuthorization: Bearer "
                         f"{self.token}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                         ).encode():
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    break
            self.assertIn(b" 400 ", connection.recv(4096))

    def test_bad_chunks_abort_the_upstream(self):
        for chunk in (b"zz\r\n", b"-1\r\n", b"1 \r\na\r\n", b"fffffffffffffffff\r\n", b"1\r\nab\r\n",
                      b"1\na\n0\n\n"):
            with self.subTest(chunk):
                answer = self.keybrake.raw(
                    f"POST /stripe/v1/charges HTTP/1.1\r\nHost: k\r\nAuthorization: Bearer "
                    f"{self.token}\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk)
                self.assertNotIn(b"<open>", answer)
                self.assertNotIn(b" 200 ", answer)
