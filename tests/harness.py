# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: a keybrake that really runs, against vendor doubles.

    class Denials(harness.Case):
        vendors = ["stripe"]
        def test_it(self):
            key = self.issue(allowed_endpoints=["/v1/balance"])
            status, headers, body = self.ask(key, "GET", "/stripe/v1/balance")

Every test key is made of obviously fake letters.  Nothing here knows the program's insides: it is
driven as its users drive it, by command line, API and sockets.
"""

import atexit
import base64
import datetime
import http.client
import json
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import ssl
import string
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "vendor"))

import other_doubles as others  # noqa: E402
import stripe_double  # noqa: E402

BINARY = os.environ.get("KEYBRAKE", str(ROOT / "out" / "release" / "keybrake"))
# A build that watches itself: it may call more and keeps what it freed.
SANITIZED = pathlib.Path(BINARY).parent.name == "sanitize"
AS_ROOT = os.getuid() == 0
READY_SECONDS = 20


class Place:
    """A directory for one test class, with a CA and a certificate for localhost."""

    shared_certificates = None
    data_root = None  # where data directories go; None: into the place itself

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="keybrake-test-"))
        self.path.chmod(0o755)
        if Place.shared_certificates is None:
            Place.shared_certificates = make_certificates()
        self.certificates = Place.shared_certificates

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make_certificates():
    """ca.pem, and cert.pem with key.pem for localhost and 127.0.0.1."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="keybrake-certs-"))
    place.chmod(0o755)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", place / "ca.key", "-out", place / "ca.pem",
            "-subj", "/CN=keybrake test CA", "-days", "30",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    certify(place, "cert", "DNS:localhost,IP:127.0.0.1")
    return place


def certify(place, name, names, days=30):
    """NAME.pem and NAME.key for the given subjectAltNames, by the CA of `place`."""
    (place / f"{name}.ext").write_text(
        f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", place / f"{name}.key", "-out", place / f"{name}.csr", "-subj", "/CN=double")
    openssl("x509", "-req", "-in", place / f"{name}.csr", "-CA", place / "ca.pem", "-CAkey",
            place / "ca.key", "-CAcreateserial", "-out", place / f"{name}.pem", "-days", days,
            "-extfile", place / f"{name}.ext")
    for suffix in ("pem", "key"):
        (place / f"{name}.{suffix}").chmod(0o644)


def fake_secret(vendor):
    """A real key of that vendor, as far as its shape goes."""
    letters = string.ascii_letters + string.digits
    tail = "".join(secrets.choice(letters) for _ in range(40))
    return {"stripe": "sk_test_FAKE", "openai": "sk-FAKE", "anthropic": "sk-ant-FAKE",
            "resend": "re_FAKE", "github": "ghp_FAKE", "twilio": "FAKE",
            "acme": "FAKE"}.get(vendor, "FAKE") + tail


def free_port():
    """Below those that the system gives to outgoing connections: a server that starts again must
    not find its port taken by somebody's client."""
    while True:
        port = random.randint(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


# What no log may say: a sanitizer's report; and, unless a test kills, the death of a process.
REPORTS = re.compile(r".*(runtime error|(Address|Leak|UndefinedBehavior)Sanitizer|Assertion .* failed"
                     r"|\*\*\* .* terminated).*")
DEATHS = re.compile(r"^keybrake(?: \S+)? \w+ (?:died|fault) .*", re.MULTILINE)


class Refusal(Exception):
    """The API said no."""

    def __init__(self, status, problem):
        super().__init__(f"{status} {problem}")
        self.status, self.problem = status, problem


class Keybrake:
    """One data directory and the server on it."""

    deaths_expected = False
    listen_host = "127.0.0.1"

    def __init__(self, place, name="data", options=(), scheme="http"):
        self.place = place
        self.data = (place.data_root or place.path) / name
        self.binary = BINARY
        self.options = list(options)
        self.scheme = scheme
        self.process = None
        self.token = None
        self.door_port, self.control_port = free_port(), free_port()
        self.log_path = place.path / f"{name}.log"
        self.log_checked = 0

    # -- command line

    def run(self, *args, stdin="", check=True, env=None, data=True):
        where = ["--data", str(self.data)] if data else []
        done = subprocess.run([self.binary, *map(str, args), *where], input=stdin, text=True,
                              capture_output=True, timeout=60, check=False,
                              env={**os.environ, **(env or {})})
        if check and done.returncode != 0:
            raise AssertionError(f"{args}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def init(self, *args):
        done = self.run("init", *args)
        line = [l for l in done.stdout.splitlines() if l.startswith("KEYBRAKE_TOKEN=")]
        assert len(line) == 1, done.stdout
        self.token = line[0].partition("=")[2]
        return self

    # -- the server

    def start(self, *more, wait=True):
        args = [self.binary, "serve", "--data", str(self.data),
                "--listen", f"{self.listen_host}:{self.door_port}",
                "--control", f"127.0.0.1:{self.control_port}", *self.options, *map(str, more)]
        if AS_ROOT and "--user" not in args:
            args += ["--user", "nobody"]
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=self.log,
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        atexit.register(self.kill)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        line = []
        reader = threading.Thread(target=lambda: line.append(self.process.stdout.readline()))
        reader.daemon = True
        reader.start()
        reader.join(READY_SECONDS)
        if not line or b"ready" not in line[0]:
            self.kill()
            raise AssertionError(f"keybrake did not become ready:\n{self.log_text()[-4000:]}")

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def pids(self):
        """{name: [pid, ...]} of the children: gate, reader, judge, scribe, vault, control."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                name = (entry / "cmdline").read_bytes().split(b"\0")[0].decode()
            except (OSError, ValueError, IndexError):
                continue
            if parent == self.process.pid:
                found.setdefault(name.removeprefix("keybrake-"), []).append(int(entry.name))
        return found

    def stop(self, seconds=40):
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.forget()
        return code

    def kill(self):
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)
        self.forget()

    def forget(self):
        atexit.unregister(self.kill)
        self.process.stdout.close()
        self.log.close()
        self.process = None
        self.check_log()

    def check_log(self):
        """What went wrong unseen fails whoever stops the server; said once."""
        text = self.log_text()[self.log_checked:]
        self.log_checked += len(text)
        found = [m[0] for m in REPORTS.finditer(text)]
        if not self.deaths_expected:
            found += [m[0] for m in DEATHS.finditer(text)]
        if found:
            raise AssertionError("the server's log says:\n" + "\n".join(found[:20])
                                 + "\n\nits end:\n" + text[-6000:])

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    # -- the API

    def api_raw(self, method, path, body=None, token=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=30)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        all_headers = {"Authorization": f"Bearer {token or self.token}"}
        if data is not None:
            all_headers["Content-Type"] = "application/json"
        all_headers.update(headers or {})
        try:
            connection.request(method, path, body=data, headers=all_headers)
            answer = connection.getresponse()
            return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
        finally:
            connection.close()

    def api(self, method, path, body=None, token=None, headers=None):
        """The JSON of a call; Refusal when it is not 2xx."""
        status, _, data = self.api_raw(method, path, body, token, headers)
        parsed = json.loads(data) if data else None
        if status >= 300:
            raise Refusal(status, parsed)
        return parsed

    # -- the door

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.door_port), timeout=30)
        if self.scheme == "https":
            context = ssl.create_default_context(cafile=self.place.certificates / "ca.pem")
            connection = context.wrap_socket(connection, server_hostname="localhost")
        return connection

    def door_url(self, prefix=""):
        return f"{self.scheme}://localhost:{self.door_port}{prefix}" if self.scheme == "https" \
            else f"http://127.0.0.1:{self.door_port}{prefix}"

    def door(self):
        if self.scheme == "https":
            context = ssl.create_default_context(cafile=self.place.certificates / "ca.pem")
            return http.client.HTTPSConnection("localhost", self.door_port, timeout=30,
                                               context=context)
        return http.client.HTTPConnection("127.0.0.1", self.door_port, timeout=30)

    def ask(self, token, method, path, body=None, headers=None):
        """One request with that vault key: (status, headers in lower case, body)."""
        connection = self.door()
        all_headers = {"Authorization": f"Bearer {token}"} if token else {}
        all_headers.update(headers or {})
        try:
            connection.request(method, path, body=body, headers=all_headers)
            answer = connection.getresponse()
            return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
        finally:
            connection.close()

    def raw(self, data, seconds=10, half_close=False):
        """Sends these very bytes; all that comes until the end (or the time is up)."""
        with self.connect() as connection:
            connection.settimeout(seconds)
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            pieces = []
            try:
                while piece := connection.recv(65536):
                    pieces.append(piece)
            except TimeoutError:
                pieces.append(b"<open>")
            except ConnectionResetError:
                pieces.append(b"<reset>")
            return b"".join(pieces)


class Case(unittest.TestCase):
    """Doubles of `vendors`, and a keybrake that holds a credential of each."""

    vendors = ["stripe"]
    options = []
    scheme = "http"
    daily_usd_cap = 100
    deaths_expected = False  # do processes of the server die in these tests?

    @classmethod
    def setUpClass(cls):
        cls.place = Place()
        cls.doubles, cls.secrets = {}, {}
        cls.keybrake = cls.make_keybrake(cls.place)
        cls.keybrake.deaths_expected = cls.deaths_expected
        if cls.scheme == "https":
            cls.keybrake.options += ["--tls-cert", str(cls.place.certificates / "cert.pem"),
                                     "--tls-key", str(cls.place.certificates / "cert.key")]
        try:
            cls.keybrake.init().start()
            for vendor in cls.vendors:
                cls.add_double(vendor)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def make_keybrake(cls, place):
        return Keybrake(place, options=cls.options, scheme=cls.scheme)

    @classmethod
    def tearDownClass(cls):
        try:
            cls.keybrake.kill()
        finally:
            for double in cls.doubles.values():
                double.stop()
            cls.place.remove()

    @classmethod
    def add_double(cls, vendor):
        secret = fake_secret(vendor)
        certificates = cls.place.certificates
        args = (secret, certificates / "cert.pem", certificates / "cert.key",
                cls.place.path / f"{vendor}.calls")
        double = stripe_double.make(*args) if vendor == "stripe" else others.make(vendor, *args)
        cls.doubles[vendor], cls.secrets[vendor] = double.start(), secret
        cls.keybrake.api("PUT", f"/v1/credentials/{vendor}", cls.credential(vendor, double.port))

    @classmethod
    def credential(cls, vendor, port):
        body = {"vendor": vendor, "upstream": f"https://localhost:{port}", "allow_private": True,
                "ca_pem": (cls.place.certificates / "ca.pem").read_text()}
        if vendor == "twilio":
            body["fields"] = {"account_sid": others.Twilio.ACCOUNT,
                              "secret": cls.secrets[vendor]}
        else:
            body["secret"] = cls.secrets[vendor]
        return body

    def issue(self, **policy):
        """A vault key: the whole answer.  Stripe, 100 dollars a day, everything but guarded."""
        body = {"label": self.id().rpartition(".")[2], "vendor": "stripe",
                "daily_usd_cap": self.daily_usd_cap, "allowed_endpoints": ["/v1/*"],
                "expires_in": "10m"}
        body.update(policy)
        return self.keybrake.api("POST", "/v1/keys", body)

    def ask(self, key, method, path, body=None, headers=None):
        return self.keybrake.ask(key["token"], method, path, body, headers)

    def charge(self, key, amount, **form):
        """A Stripe charge of so many cents."""
        fields = {"amount": amount, "currency": "usd", "source": "tok_visa", **form}
        body = "&".join(f"{k}={v}" for k, v in fields.items())
        return self.ask(key, "POST", "/stripe/v1/charges", body,
                        {"Content-Type": "application/x-www-form-urlencoded"})

    def spent(self, key):
        shown = self.keybrake.api("GET", f"/v1/keys/{key['id']}")
        return shown["spent_usd"], shown["held_usd"], shown["remaining_usd"]

    def audit(self, **query):
        path = "/v1/audit?" + "&".join(f"{k}={v}" for k, v in query.items())
        return self.keybrake.api("GET", path)["data"]

    def refusals(self, key, code):
        """How many requests of a key were refused so; waits for the first to be written."""
        def rows():
            return [row for row in self.audit(key=key["id"]) if row["reason"] == code]

        self.eventually(rows)
        time.sleep(0.2)  # a second attempt would be written by now
        return len(rows())

    def eventually(self, question, seconds=5):
        """What `question` gives once it is true."""
        end = time.monotonic() + seconds
        while True:
            found = question()
            if found or time.monotonic() > end:
                self.assertTrue(found)
                return found
            time.sleep(0.02)


def when(text):
    """A time of the API."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
