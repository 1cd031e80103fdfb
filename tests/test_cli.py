# SPDX-License-Identifier: Apache-2.0
"""The command line as a contract: names, exit codes, JSON."""

import json
import os
import stat

import harness


class Cli(harness.Case):
    vendors = []

    def run_json(self, *args, **more):
        return json.loads(self.keybrake.run(*args, "--json", **more).stdout)

    def test_a_first_day(self):
        double = harness.stripe_double.make(
            self.secrets.setdefault("stripe", harness.fake_secret("stripe")),
            self.place.certificates / "cert.pem", self.place.certificates / "cert.key").start()
        self.addCleanup(double.stop)
        self.keybrake.run("credential", "put", "stripe", "--vendor", "stripe", "--upstream",
                          f"https://localhost:{double.port}", "--ca",
                          self.place.certificates / "ca.pem", "--allow-private",
                          stdin=self.secrets["stripe"] + "\n")
        self.assertEqual([c["name"] for c in self.run_json("credential", "list")], ["stripe"])
        key = self.run_json("key", "issue", "--vendor", "stripe", "--cap", "50", "--allow",
                            "/v1/payment_intents", "--allow", "/v1/payment_intents/*", "--ttl", "30m",
                            "--label", "agent-7")
        self.assertEqual(self.keybrake.ask(key["token"], "GET", "/stripe/v1/payment_intents")[0], 200)
        self.assertEqual([k["id"] for k in self.run_json("key", "list")], [key["id"]])
        text = self.keybrake.run("key", "list").stdout
        self.assertIn("agent-7", text)
        self.keybrake.run("key", "set", key["id"], "--cap", "60")
        self.assertEqual(self.run_json("key", "show", key["id"])["daily_usd_cap"], "60.00")
        env = self.keybrake.run("env", key["id"], "--token-stdin", stdin=key["token"]).stdout
        self.assertIn("STRIPE_API_KEY", env)
        self.assertIn(key["token"], env)
        told = self.run_json("explain", "--key", key["id"], "POST", "/v1/payouts")
        self.assertEqual(told["reason"], "endpoint_not_allowed")
        self.keybrake.run("key", "pause", key["id"])
        self.assertEqual(self.run_json("key", "show", key["id"])["status"], "paused")
        self.keybrake.run("key", "resume", key["id"])
        self.keybrake.run("key", "revoke", key["id"])
        self.assertEqual(self.keybrake.ask(key["token"], "GET", "/stripe/v1/payment_intents")[0], 401)
        self.assertIn("agent-7", self.keybrake.run("audit").stdout)
        self.keybrake.run("spend", "--by", "label")
        self.keybrake.run("holds", "list")
        self.keybrake.run("tenant", "put", "acme", "--cap", "5")
        self.assertEqual(self.run_json("tenant", "show", "acme")["daily_usd_cap"], "5.00")
        stop = self.run_json("stop", "add", "vendor", "stripe", "--reason", "a drill")
        self.keybrake.run("stop", "rm", stop["id"])
        token = self.run_json("token", "add", "--role", "viewer", "--name", "v")
        self.keybrake.run("token", "rm", token["id"])
        self.keybrake.run("prices", "list")
        self.keybrake.run("fx")
        self.assertIn("stripe", self.keybrake.run("vendors").stdout)
        self.assertIn("charges.create", self.keybrake.run("vendors", "stripe").stdout)
        self.keybrake.run("doctor")

    def test_exit_codes_and_one_sentence(self):
        cases = [(2, []), (2, ["nonsense"]), (2, ["key", "issue"]), (2, ["key", "show"]),
                 (2, ["key", "list", "--nonsense"]), (1, ["key", "show", "key_0000000000000000"]),
                 (1, ["credential", "show", "nothing"]), (0, ["help"]), (0, ["key", "issue", "--help"])]
        for code, args in cases:
            done = self.keybrake.run(*args, check=False, data=len(args) > 1)
            self.assertEqual(done.returncode, code, (args, done.stderr))
            if code == 1:
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_by_url_and_token(self):
        env = {"KEYBRAKE_URL": f"http://127.0.0.1:{self.keybrake.control_port}",
               "KEYBRAKE_TOKEN": self.keybrake.token}
        self.keybrake.run("key", "list", env=env, data=False)
        bad = self.keybrake.run("key", "list", env={**env, "KEYBRAKE_TOKEN": "wrong"}, data=False,
                                check=False)
        self.assertEqual(bad.returncode, 1)

    def test_init_refuses_to_overwrite_and_guards_its_files(self):
        again = self.keybrake.run("init", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertEqual(stat.S_IMODE((self.keybrake.data / "vault" / "key").stat().st_mode), 0o600)
        mode = stat.S_IMODE(self.keybrake.data.stat().st_mode)
        self.assertEqual(mode & 0o022, 0)

    def test_serve_refuses_what_is_unsafe(self):
        other = harness.Keybrake(self.place, "unsafe").init()
        for args in (["--listen", "0.0.0.0:0"], ["--listen", "nonsense"], ["--gates", "0"]):
            done = other.run("serve", *args, *(["--user", "nobody"] if harness.AS_ROOT else []),
                             check=False)
            self.assertIn(done.returncode, (1, 2), args)
            self.assertTrue(done.stderr.strip(), args)
        self.assertEqual(other.run("serve", "--check").returncode, 0)

    def test_secrets_are_not_in_arguments(self):
        for name, pids in self.keybrake.pids().items():
            for pid in pids:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    self.assertNotIn(b"FAKE", file.read(), name)
        self.assertNotIn("KEYBRAKE_TOKEN", os.environ)
