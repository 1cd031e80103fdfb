# SPDX-License-Identifier: Apache-2.0
"""Reached from elsewhere: public URLs, load balancers, sources, certificates."""

import http.client
import json
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest

import harness

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BALANCER, STRANGER = "127.0.0.1", "127.0.0.2"
CLIENT, OTHER = "192.0.2.7", "198.51.100.9"


def head(source, family=0x11, command=0x21, more=b""):
    v6 = ":" in source
    kind = socket.AF_INET6 if v6 else socket.AF_INET
    addresses = (socket.inet_pton(kind, source) + socket.inet_pton(kind, source)
                 + struct.pack(">HH", 54321, 443))
    return (SIGNATURE + bytes([command, 0x21 if v6 else family])
            + struct.pack(">H", len(addresses) + len(more)) + addresses + more)


class Variables(harness.Case):
    """What env{} says without --public-url, on a port that the system chose."""

    @classmethod
    def setUpClass(cls):
        cls.place = harness.Place()
        cls.addClassCleanup(cls.place.remove)
        cls.doubles, cls.secrets = {}, {}
        cls.keybrake = harness.Keybrake(cls.place)
        cls.keybrake.door_port = 0
        cls.keybrake.init()
        # The line that says "ready" names the port.
        cls.keybrake.start(wait=False)
        line = cls.keybrake.process.stdout.readline().decode()
        cls.keybrake.door_port = int(line.split("http://127.0.0.1:")[1].split()[0])
        cls.add_double("stripe")

    def test_the_port_is_the_real_one(self):
        key = self.issue()
        self.assertNotEqual(self.keybrake.door_port, 0)
        self.assertEqual(key["env"]["STRIPE_API_BASE"],
                         f"http://127.0.0.1:{self.keybrake.door_port}/stripe")
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)

    def test_it_stays_so_after_a_reload_and_a_new_control_process(self):
        self.keybrake.reload()
        time.sleep(0.5)
        base = f"http://127.0.0.1:{self.keybrake.door_port}/stripe"
        self.assertEqual(self.issue()["env"]["STRIPE_API_BASE"], base)

    def test_loopback_is_refused_with_the_remedy(self):
        key = self.issue()
        for where in ("docker", "e2b", "modal", "fly", "k8s"):
            done = self.keybrake.run("env", key["id"], "--token-stdin", "--for", where,
                                     stdin=key["token"], check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("--public-url", done.stderr)
            before = len(self.keybrake.api("GET", "/v1/keys")["data"])
            done = self.keybrake.run("key", "issue", "--vendor", "stripe", "--cap", "1", "--allow",
                                     "/v1/balance", "--for", where, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("--public-url", done.stderr)
            self.assertEqual(len(self.keybrake.api("GET", "/v1/keys")["data"]), before,
                             "refused, and issued")
        self.assertEqual(self.keybrake.run("env", key["id"], "--token-stdin", "--for", "moon",
                                           stdin=key["token"], check=False).returncode, 2)

    def test_a_shell_takes_it_as_it_is(self):
        place = self.place.path / "id"
        done = self.keybrake.run("key", "issue", "--vendor", "stripe", "--cap", "1", "--allow",
                                 "/v1/balance", "--for", "sh", "--id-file", place)
        shown = subprocess.run(["sh", "-c", done.stdout + 'echo "$STRIPE_API_KEY"'], text=True,
                               capture_output=True, check=True).stdout.strip()
        self.assertEqual(self.keybrake.ask(shown, "GET", "/stripe/v1/balance")[0], 200)
        self.assertEqual(self.keybrake.run("key", "revoke", place.read_text().strip()).returncode, 0)
        self.assertEqual(self.keybrake.ask(shown, "GET", "/stripe/v1/balance")[0], 401)
        self.assertEqual(place.stat().st_mode & 0o777, 0o600)
        again = self.keybrake.run("key", "issue", "--vendor", "stripe", "--cap", "1", "--allow",
                                  "/v1/balance", "--id-file", place, check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("nothing was issued", again.stderr)


class Snippets(harness.Case):
    options = ["--public-url", "https://broker.example.com/"]

    def snippet(self, where):
        key = self.issue()
        return key, self.keybrake.run("env", key["id"], "--token-stdin", "--for", where,
                                      stdin=key["token"]).stdout

    def test_each(self):
        base = "https://broker.example.com/stripe"
        key, text = self.snippet("sh")
        self.assertIn(f"export STRIPE_API_BASE='{base}'\n", text)
        key, text = self.snippet("docker")
        self.assertIn(f"--env STRIPE_API_KEY='{key['token']}'", text)
        key, text = self.snippet("fly")
        self.assertEqual(json.loads(text)["config"]["env"]["STRIPE_API_BASE"], base)
        key, text = self.snippet("k8s")
        self.assertIn(f'  - name: STRIPE_API_BASE\n    value: "{base}"\n', text)
        key, text = self.snippet("modal")
        secrets = {}
        exec(text, {"modal": type("M", (), {"Secret": type("S", (), {  # noqa: S102
            "from_dict": staticmethod(secrets.update)})})})
        self.assertEqual(secrets["STRIPE_API_KEY"], key["token"])
        key, text = self.snippet("e2b")
        self.assertIn(f'  STRIPE_API_BASE: "{base}"', text)
        self.assertTrue(text.endswith(
            '}, network: { allowOut: ["broker.example.com"], denyOut: ["0.0.0.0/0"] } })\n'), text)


class Anywhere(harness.Case):
    """Listening on every address."""

    options = ["--insecure-listen"]

    @classmethod
    def setUpClass(cls):
        before = harness.Keybrake.listen_host
        harness.Keybrake.listen_host = "0.0.0.0"
        try:
            super().setUpClass()
        finally:
            harness.Keybrake.listen_host = before

    def test_where_we_listen_is_not_where_we_are(self):
        key = self.issue()
        done = self.keybrake.run("env", key["id"], "--token-stdin", "--for", "docker",
                                 stdin=key["token"], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot reach http://0.0.0.0:", done.stderr)


class Deployment(unittest.TestCase):
    """docs/deploy.md: its settings, with ports and files that a test may have."""

    def test_its_settings(self):
        place = harness.Place()
        self.addCleanup(place.remove)
        text = (harness.ROOT / "docs" / "deploy.md").read_text()
        settings, = [json.loads(block) for block in re.findall(r"^```json\n(\{.*?)^```", text,
                                                               re.MULTILINE | re.DOTALL)]
        server = harness.Keybrake(place, scheme="https")
        settings["listen"] = [f"0.0.0.0:{server.door_port}", f"[::]:{harness.free_port()}"]
        settings["control"] = f"127.0.0.1:{server.control_port}"
        settings["tls_cert"] = str(place.certificates / "cert.pem")
        settings["tls_key"] = str(place.certificates / "cert.key")
        (place.path / "keybrake.json").write_text(json.dumps(settings))
        server.init()
        more = ["--user", "nobody"] if harness.AS_ROOT else []
        checked = server.run("serve", "--check", "--config", place.path / "keybrake.json", *more)
        self.assertEqual(checked.returncode, 0)
        server.log = open(server.log_path, "ab")
        server.process = subprocess.Popen(
            [server.binary, "serve", "--data", server.data, "--config", place.path / "keybrake.json",
             *more], stdout=subprocess.PIPE, stderr=server.log, start_new_session=True)
        self.addCleanup(server.kill)
        server.wait_ready()
        server.api("PUT", "/v1/credentials/stripe", {"vendor": "stripe",
                                                     "secret": harness.fake_secret("stripe")})
        key = server.api("POST", "/v1/keys", {
            "vendor": "stripe", "daily_usd_cap": 1, "allowed_endpoints": ["/v1/balance"]})
        self.assertEqual(key["env"]["STRIPE_API_BASE"], "https://broker.example.com/stripe")
        status, headers, _ = server.ask(key["token"], "GET", "/stripe/v1/charges")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "endpoint_not_allowed"))

    def test_the_unit(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not here")
        unit = (harness.ROOT / "dist" / "keybrake.service").read_text()
        self.assertIn("/usr/local/bin/keybrake serve", unit)
        with tempfile.TemporaryDirectory() as place:
            path = pathlib.Path(place, "keybrake.service")
            path.write_text(unit.replace("/usr/local/bin/keybrake", harness.BINARY))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], text=True,
                                  capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Balancer(harness.Case):
    """Behind a load balancer that speaks the PROXY protocol, version 2."""

    options = ["--proxy-from", BALANCER, "--proxy-from", "10.9.0.0/16"]

    def open(self, source=BALANCER):
        connection = socket.socket()
        connection.bind((source, 0))
        connection.settimeout(15)
        connection.connect(("127.0.0.1", self.keybrake.door_port))
        return connection

    def secure(self, connection):
        return connection

    def send(self, first, key, source=BALANCER, pieces=None):
        """The status of a request behind `first`, or None when the connection was closed."""
        request = (f"GET /stripe/v1/balance HTTP/1.1\r\nHost: localhost\r\n"
                   f"Authorization: Bearer {key['token']}\r\nConnection: close\r\n\r\n").encode()
        with self.open(source) as connection:
            try:
                for piece in pieces or [first]:
                    connection.sendall(piece)
                    if pieces:
                        time.sleep(0.005)
                with self.secure(connection) as inside:
                    inside.sendall(request)
                    answer = http.client.HTTPResponse(inside)
                    answer.begin()
                    answer.read()
                    return answer.status
            except (OSError, http.client.HTTPException):
                return None

    def bound(self, *sources):
        return self.issue(limits={"sources": list(sources)})

    def test_the_client_counts_not_the_balancer(self):
        inside, outside = self.bound("192.0.2.0/24"), self.bound(BALANCER)
        self.assertEqual(self.send(head(CLIENT), inside), 200)
        self.assertEqual(self.send(head(OTHER), inside), 403)
        self.assertEqual(self.send(head(CLIENT), outside), 403)
        self.assertEqual(self.send(head("2001:db8::7"), self.bound("2001:db8::/32")), 200)
        self.assertEqual(self.send(head("::ffff:192.0.2.7"), inside), 200)
        row = self.eventually(lambda: [r for r in self.audit(key=inside["id"])
                                       if r["event"] == "request"])[-1]
        self.assertEqual(row["source"], CLIENT)

    def test_the_balancers_own_connections(self):
        self.assertEqual(self.send(head(CLIENT, command=0x20), self.bound(BALANCER)), 200)
        self.assertEqual(self.send(SIGNATURE + b"\x20\0\0\0", self.bound("192.0.2.0/24")), 403)

    def test_piece_by_piece(self):
        whole = head(CLIENT, more=b"\x04\x00\x02hi")
        pieces = [whole[i:i + 1] for i in range(len(whole))]
        self.assertEqual(self.send(None, self.bound(CLIENT), pieces=pieces), 200)

    def test_what_is_no_such_head_is_closed(self):
        key = self.issue()
        for first in (b"", b"PROXY TCP4 192.0.2.7 127.0.0.1 5 443\r\n", head(CLIENT, family=0x12),
                      head(CLIENT, command=0x31), SIGNATURE + b"\x21\x00\0\0",
                      SIGNATURE + b"\x21\x11\xff\xff", head(CLIENT, more=b"\x04\x00\x09x"),
                      head(CLIENT)[:12] + b"GET / HTTP/1.1\r\n\r\n"):
            self.assertIsNone(self.send(first, key), first)
        self.assertEqual(self.send(head(CLIENT), key), 200)

    def test_from_anybody_else_it_is_refused(self):
        key = self.issue()
        self.assertIn(self.send(head(CLIENT), key, STRANGER), (400, None))
        self.assertEqual(self.send(b"", self.bound(STRANGER), STRANGER), 200)
        self.assertEqual(self.send(b"", self.bound(CLIENT), STRANGER), 403)

    def test_who_says_nothing_is_closed(self):
        with self.open() as connection:
            connection.sendall(head(CLIENT)[:20])
            began = time.monotonic()
            self.assertEqual(connection.recv(1), b"")
            self.assertLess(time.monotonic() - began, 12)

    def test_two_heads_are_one_too_many(self):
        self.assertIn(self.send(head(CLIENT) + head(OTHER), self.bound(OTHER)), (400, None))


class BalancerTls(Balancer):
    scheme = "https"

    def secure(self, connection):
        context = ssl.create_default_context(cafile=self.place.certificates / "ca.pem")
        return context.wrap_socket(connection, server_hostname="localhost")


class Certificates(harness.Case):
    scheme = "https"

    def serial(self):
        context = ssl.create_default_context(cafile=self.place.certificates / "ca.pem")
        with socket.create_connection(("127.0.0.1", self.keybrake.door_port)) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as connection:
            return connection.getpeercert()["serialNumber"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.own = cls.place.path / "tls"
        cls.own.mkdir()
        for name in ("cert.pem", "cert.key", "ca.pem", "ca.key"):
            (cls.own / name).write_bytes((cls.place.certificates / name).read_bytes())
        options = [str(o).replace(str(cls.place.certificates), str(cls.own))
                   for o in cls.keybrake.options]
        cls.keybrake.stop()
        cls.keybrake.options = options
        cls.keybrake.start()

    def test_a_renewed_one_is_served_after_a_reload(self):
        key = self.issue()
        before = self.serial()
        harness.certify(self.own, "cert", "DNS:localhost,IP:127.0.0.1")
        self.assertEqual(self.serial(), before)
        self.keybrake.reload()
        self.eventually(lambda: self.serial() != before)
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)

    def test_one_that_does_not_fit_changes_nothing(self):
        before = self.serial()
        good = (self.own / "cert.key").read_bytes()
        harness.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                        self.own / "cert.key")
        (self.own / "cert.key").chmod(0o644)
        self.keybrake.reload()
        self.eventually(lambda: "reload" in self.keybrake.log_text())
        time.sleep(0.3)
        self.assertEqual(self.serial(), before)
        (self.own / "cert.key").write_bytes(good)
