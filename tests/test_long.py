# SPDX-License-Identifier: Apache-2.0
"""What takes long, in earnest: the gate's timers by the clock on the wall, and a gibibyte through a
slow client.  Only with --long; src/gate/timers_test.c has the timers on a clock that is moved on."""

import hashlib
import os
import socket
import threading
import time
import unittest

import harness

LONG = bool(os.environ.get("KEYBRAKE_LONG"))
GIB = 1 << 30


@unittest.skipUnless(LONG, "only with --long: they take as long as the timers")
class Timers(harness.Case):
    """All at once, each in a thread of its own: (seconds until the end, what was said before)."""

    def setUp(self):
        self.token = self.issue()["token"]
        self.took = {}

    def head(self, method, path, more=""):
        return (f"{method} {path} HTTP/1.1\r\nHost: k\r\nAuthorization: Bearer {self.token}\r\n"
                f"{more}\r\n").encode()

    def plain(self):
        return socket.create_connection(("127.0.0.1", self.keybrake.door_port), timeout=120)

    def until_end(self, name, connection, began=None):
        said, began = b"", began or time.monotonic()
        try:
            while piece := connection.recv(65536):
                said += piece
        except OSError:
            said += b"<reset>"
        self.took[name] = time.monotonic() - began, said

    def idle(self):
        with self.plain() as connection:
            self.until_end("idle", connection)

    def idle_after_an_answer(self):
        with self.plain() as connection:
            connection.sendall(self.head("GET", "/stripe/v1/double/slow/1"))
            connection.recv(65536)
            self.until_end("idle after an answer", connection)

    def header(self):
        with self.plain() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            self.until_end("header", connection)

    def dripping_header(self):
        with self.plain() as connection:
            began = time.monotonic()
            connection.sendall(b"GET / HTTP/1.1\r\n")

            def drip():
                try:
                    while True:
                        connection.sendall(b"X: y\r\n")
                        time.sleep(1)
                except OSError:
                    pass

            threading.Thread(target=drip, daemon=True).start()
            self.until_end("dripping header", connection, began)

    def body(self):
        with self.plain() as connection:
            connection.sendall(self.head("POST", "/stripe/v1/charges",
                                         "Content-Type: application/x-www-form-urlencoded\r\n"
                                         "Content-Length: 100\r\n") + b"amount=1")
            self.until_end("body", connection)

    def stall(self):
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", self.keybrake.door_port))
            connection.settimeout(120)
            connection.sendall(self.head("GET", "/stripe/v1/double/bytes/100000000"))
            began = time.monotonic()
            gate, = self.keybrake.pids()["gate"]
            open_before = len(os.listdir(f"/proc/{gate}/fd"))
            while time.monotonic() - began < 100 and self.is_open(connection):
                time.sleep(0.25)
            self.took["stall"] = time.monotonic() - began, open_before

    def is_open(self, connection):
        """TCP_INFO's first byte is the state; 1 is ESTABLISHED."""
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1

    def test_each_by_the_clock(self):
        work = [self.idle, self.idle_after_an_answer, self.header, self.dripping_header, self.body,
                self.stall]
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wanted = {"idle": (75, b""), "idle after an answer": (75, b""), "header": (10, b" 408 "),
                  "dripping header": (10, b" 408 "), "body": (30, b" 408 "), "stall": (60, None)}
        for name, (seconds, text) in wanted.items():
            took, said = self.took[name]
            print(f"      {name}: {took:.1f} s, of {seconds}", flush=True)
            with self.subTest(name):
                self.assertGreater(took, seconds - 1)
                self.assertLess(took, seconds + 10)
                if text is not None:
                    self.assertIn(text, said[:40])


@unittest.skipUnless(LONG, "only with --long")
class TimersOverTls(harness.Case):
    scheme = "https"

    def test_handshake(self):
        with socket.create_connection(("127.0.0.1", self.keybrake.door_port), timeout=60) as raw:
            began = time.monotonic()
            raw.sendall(b"\x16\x03\x01")
            self.assertEqual(raw.recv(100), b"")
            self.assertAlmostEqual(time.monotonic() - began, 10, delta=5)


@unittest.skipUnless(LONG, "only with --long")
@unittest.skipIf(harness.SANITIZED, "such a build keeps what it freed")
class Download(harness.Case):
    def resident(self):
        total = 0
        for pids in self.keybrake.pids().values():
            for pid in pids:
                with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                    total += int(file.read().split()[1]) * 4096
        return total

    def test_a_gibibyte_through_a_slow_client(self):
        token = self.issue()["token"]
        block = bytes(range(256)) * 256
        whole, got, seen, most, before = hashlib.sha256(), 0, hashlib.sha256(), 0, None
        for _ in range(GIB // len(block)):
            whole.update(block)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.connect(("127.0.0.1", self.keybrake.door_port))
            connection.settimeout(60)
            connection.sendall((f"GET /stripe/v1/double/bytes/{GIB} HTTP/1.1\r\nHost: k\r\n"
                                f"Authorization: Bearer {token}\r\n\r\n").encode())
            stream = connection.makefile("rb")
            while stream.readline().strip():
                pass
            while got < GIB:
                piece = stream.read(min(1 << 20, GIB - got))
                self.assertTrue(piece)
                got += len(piece)
                seen.update(piece)
                time.sleep(0.02)  # so that it always waits for us
                if got >= 16 << 20 and got % (16 << 20) == 0:
                    now = self.resident()
                    before = before or now
                    most = max(most, now - before)
        print(f"      memory grew by {most >> 10} KiB at most", flush=True)
        self.assertEqual(seen.digest(), whole.digest())
        self.assertLess(most, 8 << 20)


if __name__ == "__main__":
    unittest.main()
