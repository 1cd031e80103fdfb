# SPDX-License-Identifier: Apache-2.0
"""Tunnels to other hosts that a policy names: spliced through the dialer, unseen."""

import json
import os
import signal
import socket
import threading
import time
import unittest

import harness
from test_forward import Forward


class Echo:
    """A server that sends back what it gets, until the client's FIN."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(connection,), daemon=True).start()

    def echo(self, connection):
        try:
            while piece := connection.recv(65536):
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        connection.close()

    def stop(self):
        self.listener.close()


class Case(Forward):
    options = ["--dial-private", "yes"]

    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.stop)
        self.authority = f"localhost:{self.echo.port}"

    def pipe(self, connection, data):
        """What comes back of `data`, which is sent meanwhile."""
        def send():
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = []
        connection.settimeout(20)
        while piece := connection.recv(65536):
            got.append(piece)
        sender.join()
        connection.close()
        return b"".join(got)

    def tunnel_rows(self, key):
        return [row for row in self.audit(key=key["id"]) if row["method"] == "CONNECT"]


class Splice(Case):
    def test_bytes_both_ways(self):
        key = self.issue(allowed_hosts=[self.authority])
        data = os.urandom(3_000_000)
        connection, head = self.connect(key["token"], self.authority)
        self.assertTrue(head.startswith("HTTP/1.1 200 "), head)
        self.assertEqual(self.pipe(connection, data), data)
        rows = self.eventually(lambda: [r for r in self.tunnel_rows(key)
                                        if r["reason"] == "tunnel_closed"])
        self.assertEqual((rows[0]["bytes_in"], rows[0]["bytes_out"], rows[0]["path"]),
                         (len(data), len(data), self.authority))
        self.assertEqual([r["reason"] for r in self.tunnel_rows(key)],
                         ["tunnel_closed", "tunnel_opened"])
        self.assertEqual(rows[0]["door"], "connect")

    def test_bytes_that_come_with_the_connect(self):
        key = self.issue(allowed_hosts=[self.authority])
        connection = self.keybrake.connect()
        connection.sendall(f"CONNECT {self.authority} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: "
                           f"{harness.basic(key['token'], '')}\r\n\r\nearly".encode())
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while piece := connection.recv(1000):
            got += piece
        self.assertTrue(got.endswith(b"\r\n\r\nearly"), got)

    def test_by_socks(self):
        key = self.issue(allowed_hosts=[self.authority])
        connection, reply = self.socks(key["token"], host="localhost", port=self.echo.port)
        self.assertEqual(reply[:2], b"\x05\x00")
        self.assertEqual(self.pipe(connection, b"hello"), b"hello")
        self.assertEqual(self.eventually(lambda: self.tunnel_rows(key))[0]["door"], "socks")

    def test_many_at_once(self):
        key = self.issue(allowed_hosts=[self.authority])
        open_ones = [self.connect(key["token"], self.authority)[0] for _ in range(50)]
        for at, connection in enumerate(open_ones):
            connection.sendall(b"%d" % at)
        for at, connection in enumerate(open_ones):
            self.assertEqual(connection.recv(10), b"%d" % at)
            connection.close()

    def test_what_the_policy_does_not_name(self):
        for hosts in (["localhost"], ["other.example"], [f"*.localhost.example:{self.echo.port}"], []):
            key = self.issue(allowed_hosts=hosts)
            connection, head = self.connect(key["token"], self.authority)
            self.assertTrue(head.startswith("HTTP/1.1 403 "), (hosts, head))
            connection.close()

    def test_a_child_has_no_more_than_its_parent(self):
        parent = self.issue(allowed_hosts=["pypi.org"])
        child = self.issue(parent=parent["id"], allowed_hosts=[self.authority])
        connection, head = self.connect(child["token"], self.authority)
        self.assertTrue(head.startswith("HTTP/1.1 403 "), head)
        connection.close()
        parent = self.issue(allowed_hosts=[self.authority])
        child = self.issue(parent=parent["id"])
        connection, head = self.connect(child["token"], self.authority)
        self.assertTrue(head.startswith("HTTP/1.1 403 "), head)
        connection.close()

    def test_the_vendors_own_host_is_never_spliced(self):
        key = self.issue(allowed_hosts=["api.stripe.com"])
        connection, _ = self.connect(key["token"])
        self.assertEqual(self.inside(connection, key["token"])[0], 200)

    def test_nobody_listens(self):
        port = harness.free_port()
        key = self.issue(allowed_hosts=[f"localhost:{port}"])
        connection, head = self.connect(key["token"], f"localhost:{port}")
        self.assertTrue(head.startswith("HTTP/1.1 502 "), head)
        connection.close()
        connection, reply = self.socks(key["token"], host="localhost", port=port)
        self.assertEqual(reply[:2], b"\x05\x04")
        connection.close()
        rows = self.eventually(lambda: [r for r in self.tunnel_rows(key)
                                        if r["reason"] == "tunnel_failed"])
        self.assertIn("Connection refused", json.dumps(rows[0]))

    def test_it_ends_with_its_key(self):
        for end in ("revoke", "pause", "expire"):
            key = self.issue(allowed_hosts=[self.authority],
                             expires_in="2s" if end == "expire" else "10m")
            connection, _ = self.connect(key["token"], self.authority)
            connection.sendall(b"x")
            self.assertEqual(connection.recv(1), b"x")
            if end == "revoke":
                self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
            elif end == "pause":
                self.keybrake.api("POST", f"/v1/keys/{key['id']}/pause")
            connection.settimeout(4)
            try:
                self.assertEqual(connection.recv(1), b"")
            except ConnectionResetError:
                pass
            connection.close()
            connection, head = self.connect(key["token"], self.authority)
            self.assertTrue(head.startswith("HTTP/1.1 403 "), (end, head))
            connection.close()

    def test_a_key_bound_to_a_source(self):
        key = self.issue(allowed_hosts=[self.authority], limits={"sources": ["192.0.2.0/24"]})
        connection, head = self.connect(key["token"], self.authority)
        self.assertTrue(head.startswith("HTTP/1.1 403 "), head)
        connection.close()

    def test_an_issuer_may_not_grant_hosts(self):
        token = self.keybrake.api("POST", "/v1/tokens", {
            "name": "issuer", "role": "issuer",
            "bounds": {"vendors": ["stripe"], "daily_usd_cap": 100}})["token"]
        body = {"vendor": "stripe", "daily_usd_cap": 1, "allowed_endpoints": ["/v1/balance"]}
        self.keybrake.api("POST", "/v1/keys", body, token=token)
        with self.assertRaises(harness.Refusal):
            self.keybrake.api("POST", "/v1/keys", {**body, "allowed_hosts": ["pypi.org"]},
                              token=token)

    def test_policy_is_shown_and_patched(self):
        key = self.issue(allowed_hosts=["pypi.org"])
        self.assertEqual(self.keybrake.api("GET", f"/v1/keys/{key['id']}")["allowed_hosts"],
                         ["pypi.org"])
        self.keybrake.api("PATCH", f"/v1/keys/{key['id']}", {"allowed_hosts": [self.authority]})
        connection, head = self.connect(key["token"], self.authority)
        self.assertTrue(head.startswith("HTTP/1.1 200 "), head)
        connection.close()
        with self.assertRaises(harness.Refusal):
            self.issue(allowed_hosts=["10.0.0.1"])


class Private(Case):
    options = []

    def test_private_addresses_are_not_dialled(self):
        key = self.issue(allowed_hosts=[self.authority])
        connection, head = self.connect(key["token"], self.authority)
        self.assertTrue(head.startswith("HTTP/1.1 502 "), head)
        connection.close()
        rows = self.eventually(lambda: [r for r in self.tunnel_rows(key)
                                        if r["reason"] == "tunnel_failed"])
        self.assertIn("a loopback address", json.dumps(rows[0]))


class Deaths(Case):
    deaths_expected = True

    def test_the_dialer_comes_back(self):
        key = self.issue(allowed_hosts=[self.authority])
        before, _ = self.connect(key["token"], self.authority)
        pid = self.keybrake.pids()["dialer"][0]
        os.kill(pid, signal.SIGKILL)
        before.sendall(b"still here")  # its socket is the gate's by now
        self.assertEqual(before.recv(20), b"still here")
        before.close()

        def again():
            connection, head = self.connect(key["token"], self.authority)
            connection.close()
            return head.startswith("HTTP/1.1 200 ")

        self.eventually(again, seconds=5)
        self.assertNotEqual(self.keybrake.pids()["dialer"][0], pid)

    def test_a_dial_ends_with_the_dialer(self):
        key = self.issue(allowed_hosts=[self.authority])
        self.connect(key["token"], self.authority)[0].close()
        pid = self.keybrake.pids()["dialer"][0]
        os.kill(pid, signal.SIGSTOP)  # it will have been asked, and not have answered
        heads = []
        asking = threading.Thread(
            target=lambda: heads.append(self.connect(key["token"], self.authority)[1]))
        asking.start()
        asking.join(1)
        self.assertEqual(heads, [])
        os.kill(pid, signal.SIGKILL)
        asking.join(3)
        self.assertEqual(len(heads), 1, "nobody told the client")
        self.assertTrue(heads[0].startswith("HTTP/1.1 502 "), heads[0])
        self.eventually(lambda: [r for r in self.tunnel_rows(key)
                                 if r["reason"] == "tunnel_failed"])

    def test_z_an_open_one_does_not_hold_up_a_stop(self):
        key = self.issue(allowed_hosts=[self.authority])
        connection, _ = self.connect(key["token"], self.authority)
        connection.sendall(b"x")
        self.assertEqual(connection.recv(1), b"x")
        started = time.monotonic()
        self.assertEqual(self.keybrake.stop(), 0)
        self.assertLess(time.monotonic() - started, 15)
        connection.close()


if __name__ == "__main__":
    unittest.main()
