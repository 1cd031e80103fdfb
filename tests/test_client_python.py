# SPDX-License-Identifier: Apache-2.0
"""The Python package against the real program, and its installation."""

import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
from decimal import Decimal

import harness

# A shell starts what runs in its background with Ctrl-C ignored; a test is about Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup ignores this one

PACKAGE = harness.ROOT / "clients" / "python"
sys.path.insert(0, str(PACKAGE))

import keybrake  # noqa: E402

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
POLICY = {"vendor": "stripe", "daily_usd_cap": 50, "allowed_endpoints": ["/v1/charges", "/v1/balance"]}

HOLDER = """
import sys, time, keybrake
with keybrake.vault_key(vendor="stripe", daily_usd_cap=50, allowed_endpoints=["/v1/balance"],
                        lifetime="10m", label=sys.argv[1]) as key:
    print(key.id, flush=True)
    time.sleep(30)
"""


class PythonClient(harness.Case):
    def client(self, **more):
        return keybrake.Client(f"http://127.0.0.1:{self.keybrake.control_port}",
                               self.keybrake.token, **more)

    def charge_with(self, token, cents):
        return self.keybrake.ask(token, "POST", "/stripe/v1/charges",
                                 f"amount={cents}&currency=usd&source=tok_visa", FORM)[0]

    def test_a_key_for_a_block(self):
        client = self.client()
        with keybrake.vault_key(**POLICY, lifetime="10m", label="block", client=client) as key:
            env = key.env("stripe")
            self.assertEqual(env["STRIPE_API_BASE"], self.keybrake.door_url("/stripe"))
            self.assertEqual(self.charge_with(env["STRIPE_API_KEY"], 2000), 200)
            shown = key.show()
            self.assertEqual((shown.status, shown.spent_usd, shown.remaining_usd),
                             ("active", Decimal(20), Decimal(30)))
            lived = harness.when(shown.expires_at) - harness.when(shown.raw["created_at"])
            self.assertAlmostEqual(lived.total_seconds(), 720, delta=1)
        self.assertEqual(self.charge_with(key.token, 100), 401)
        self.assertEqual(client.show(key.id).status, "revoked")
        reasons = [row["reason"] for row in client.audit(key=key.id)]
        self.assertEqual(sum(r == "key_revoked" for r in reasons), 1, reasons)
        self.assertEqual([Decimal(row["spent_usd"]) for row in client.spend("key", key=key.id)],
                         [Decimal(20)])

    def test_over_the_local_socket(self):
        client = keybrake.Client(f"unix:{self.keybrake.data}/run/control.sock")
        with keybrake.vault_key(**POLICY, lifetime="1m", client=client) as key:
            self.assertIn(key.id, [k.id for k in client.list(status="active")])

    def test_pause_change_extend_explain(self):
        client = self.client()
        with keybrake.vault_key(**POLICY, lifetime="1m", client=client) as key:
            self.assertEqual(client.pause(key.id).status, "paused")
            self.assertEqual(client.resume(key.id).status, "active")
            changed = client.change(key.id, daily_usd_cap=Decimal("7.5"), if_version=1)
            self.assertEqual(changed.raw["daily_usd_cap"], "7.50")
            with self.assertRaises(keybrake.Conflict):
                client.change(key.id, daily_usd_cap=8, if_version=1)
            before = key.expires_at
            key.extend("10m")
            self.assertGreater(key.expires_at, before)
            said = client.explain(key.id, "POST", "/v1/payouts")
            self.assertEqual(said["reason"], "endpoint_not_allowed")

    def test_refusals(self):
        client = self.client()
        with self.assertRaises(keybrake.NotFound) as caught:
            client.show("key_0000000000000000")
        self.assertEqual(caught.exception.code, "not_found")
        with self.assertRaises(keybrake.BadRequest) as caught:
            client.issue(**{**POLICY, "allowed_endpoints": []})
        self.assertIn("allowed_endpoints", caught.exception.detail)
        with self.assertRaises(keybrake.Refused):
            client.issue(**{**POLICY, "vendor": "twilio"})
        with self.assertRaises(keybrake.Unauthorized):
            list(keybrake.Client(f"http://127.0.0.1:{self.keybrake.control_port}",
                                 "kbo_" + "A" * 38).list())
        with self.assertRaises(keybrake.BadRequest) as caught:
            with keybrake.vault_key(**POLICY, lifetime="24h", client=client):
                self.fail("it went on")
        self.assertIn("24 h at most", caught.exception.detail)

    def test_an_issuer_extends_within_its_bounds(self):
        made = self.keybrake.api("POST", "/v1/tokens", {
            "name": "ci", "role": "issuer", "bounds": {"vendors": ["stripe"], "daily_usd_cap": 100,
                                                       "allowed_endpoints": ["/v1/*"],
                                                       "max_ttl": "1h"}})
        client = keybrake.Client(f"http://127.0.0.1:{self.keybrake.control_port}", made["token"])
        with keybrake.vault_key(**POLICY, lifetime="10m", client=client) as key:
            with self.assertRaises(keybrake.Forbidden):
                key.extend("30m")
            self.assertEqual(self.charge_with(key.token, 100), 200)

    def test_a_signal_ends_the_key(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            program = subprocess.Popen(
                [sys.executable, "-c", HOLDER, f"signal/{number}"], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(PACKAGE),
                     "KEYBRAKE_URL": f"http://127.0.0.1:{self.keybrake.control_port}",
                     "KEYBRAKE_TOKEN": self.keybrake.token})
            key_id = program.stdout.readline().strip()
            self.assertEqual(self.client().show(key_id).status, "active")
            program.send_signal(number)
            program.communicate(timeout=20)
            self.assertEqual(self.client().show(key_id).status, "revoked")

    def test_a_caller_that_is_killed_leaves_a_key_that_expires(self):
        program = subprocess.Popen(
            [sys.executable, "-c", HOLDER.replace('"10m"', '"2s"'), "killed"],
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(PACKAGE), "KEYBRAKE_DATA": str(self.keybrake.data)})
        key_id = program.stdout.readline().strip()
        program.kill()
        program.communicate()
        self.eventually(lambda: self.client().show(key_id).status == "expired")


class PythonPackage(unittest.TestCase):
    @staticmethod
    def run_in(place, *args):
        return subprocess.run(args, cwd=place, text=True, capture_output=True, check=False,
                              timeout=120, env={"PATH": "/usr/bin:/bin", "HOME": str(place),
                                                "PIP_NO_INDEX": "1", "PIP_NO_CACHE_DIR": "1",
                                                "PIP_DISABLE_PIP_VERSION_CHECK": "1"})

    def test_pip_installs_it_without_a_network(self):
        with tempfile.TemporaryDirectory() as place:
            done = self.run_in(place, "/usr/bin/python3", "-m", "pip", "install", "--quiet",
                               "--target", f"{place}/site", str(PACKAGE))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            installed = pathlib.Path(place, "site", "keybrake")
            for source in (PACKAGE / "keybrake").rglob("*"):
                if source.is_file() and "__pycache__" not in source.parts:
                    copy = installed / source.relative_to(PACKAGE / "keybrake")
                    self.assertEqual(copy.read_bytes(), source.read_bytes())
                    self.assertFalse(copy.stat().st_mode & stat.S_IXUSR)
            done = self.run_in(place, "/usr/bin/python3", "-I", "-c",
                               f"import sys; sys.path.insert(0, '{place}/site'); import keybrake; "
                               "print(keybrake.__version__)")
            self.assertEqual(done.stdout, "0.1.0\n", done.stderr)

    def test_a_source_archive_installs_too(self):
        with tempfile.TemporaryDirectory() as place:
            done = self.run_in(place, "/usr/bin/python3", "-c",
                               f"import sys; sys.path.insert(0, '{PACKAGE}/build'); import backend; "
                               f"print(backend.build_sdist('{place}'))")
            done = self.run_in(place, "/usr/bin/python3", "-m", "pip", "install", "--quiet",
                               "--target", f"{place}/site", f"{place}/{done.stdout.strip()}")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertTrue(pathlib.Path(place, "site", "keybrake", "py.typed").exists())

    def test_nothing_but_the_standard_library(self):
        for path in (PACKAGE / "keybrake").rglob("*.py"):
            for line in path.read_text().splitlines():
                words = line.split()
                if words[:1] in (["import"], ["from"]) and not line.startswith(" "):
                    name = words[1].split(".")[0]
                    self.assertTrue(name == "" or name in sys.stdlib_module_names
                                    or name == "keybrake", f"{path.name}: {line}")

    def test_the_types_hold(self):
        try:
            done = subprocess.run(["mypy", "--strict", "--python-version", "3.9", "--cache-dir",
                                   "/dev/null", "keybrake"], cwd=PACKAGE, text=True,
                                  capture_output=True, check=False)
        except FileNotFoundError:
            self.skipTest("mypy is not installed (./check installs it)")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
