# SPDX-License-Identifier: Apache-2.0
"""Adapters whose platform's package is not in Debian: what they hand it, by stand-ins with the
package's face.  (tests/test_platforms_*.py runs the real packages that can be had.)"""

import logging
import unittest

import keybrake
from double import TOKEN, Double, issued, problem
from keybrake.sandboxes import common, e2b, modal

POLICY = {"vendor": "stripe", "daily_usd_cap": 50, "allowed_endpoints": ["/v1/charges"]}
REACHABLE = {"env": {"STRIPE_API_KEY": TOKEN, "STRIPE_API_BASE": "https://broker.example.com/stripe"}}


class Recorder:
    """A Sandbox class, and a Secret class, that remember what they were told."""

    def __init__(self, server, fails=None, kill_fails=None):
        self.server, self.fails, self.kill_fails = server, fails, kill_fails
        self.created, self.log = [], []
        self.Sandbox = self.Secret = self

    def create(self, *command, **given):
        self.created.append(given)
        if self.fails:
            raise self.fails
        return self

    from_dict = staticmethod(dict)

    def kill(self):
        self.log.append(("kill", self.server.revoked()))
        if self.kill_fails:
            raise self.kill_fails

    terminate = kill

    def set_timeout(self, seconds):
        self.log.append(("timeout", seconds))


class Reachable(Double):
    def usual(self, method, path):
        if method == "POST" and path == "/v1/keys":
            self.issues += 1
            return 201, issued(number=self.issues, **REACHABLE)
        if method == "PATCH":
            return 200, {"id": "key_1", "status": "active", "spent_usd": "0", "held_usd": "0",
                         "expires_at": "later"}
        return super().usual(method, path)


class Adapters(unittest.TestCase):
    def setUp(self):
        logging.getLogger("keybrake").disabled = True
        self.addCleanup(setattr, logging.getLogger("keybrake"), "disabled", False)
        self.server = Reachable()
        self.server.__enter__()
        self.addCleanup(self.server.__exit__)
        self.client = keybrake.Client(self.server.url, "kbo_x", timeout=0.3)

    def options(self, **more):
        return {"key": POLICY, "lifetime": "10m", "client": self.client, **more}

    def test_e2b(self):
        recorder = Recorder(self.server)
        with e2b.spawn(recorder, create={"template": "base", "envs": {"A": "b"},
                                         "network": {"allow_out": ["198.51.100.1"]}},
                       **self.options()) as box:
            box.extend("30m")
            self.assertEqual(box.env("stripe")["STRIPE_API_KEY"], TOKEN)
        told, = recorder.created
        self.assertEqual(told, {
            "template": "base", "timeout": 600, "envs": {"A": "b", **REACHABLE["env"]},
            "metadata": {"keybrake_key": "key_0000000000000001"},
            "network": {"allow_out": ["broker.example.com", "198.51.100.1"],
                        "deny_out": ["0.0.0.0/0"]}})
        self.assertEqual(self.server.calls[0]["body"]["expires_in"], "720s")
        self.assertEqual(recorder.log, [("timeout", 1800),
                                        ("kill", ["key_0000000000000001"])])

    def test_modal(self):
        recorder = Recorder(self.server)
        box = modal.spawn(recorder, "sleep", "60", app="app", image="image", **self.options())
        box.teardown()
        told, = recorder.created
        self.assertEqual(told["secrets"], [REACHABLE["env"]])
        self.assertEqual((told["timeout"], told["outbound_domain_allowlist"],
                          told["outbound_cidr_allowlist"]), (600, ["broker.example.com"], []))
        self.assertEqual(recorder.log, [("kill", ["key_0000000000000001"])])
        with self.assertRaises(keybrake.KeybrakeError):
            box.extend("30m")

    def test_a_create_that_fails(self):
        for spawn in (e2b.spawn, modal.spawn):
            with self.assertRaises(TimeoutError):
                spawn(Recorder(self.server, fails=TimeoutError("mine")), **self.options())
        self.assertEqual(len(self.server.revoked()), 2)

    def test_a_kill_that_fails(self):
        recorder = Recorder(self.server, kill_fails=TimeoutError("mine"))
        box = e2b.spawn(recorder, **self.options())
        with self.assertRaises(TimeoutError):
            box.teardown()
        self.assertEqual(len(self.server.revoked()), 1)
        recorder.kill_fails = None
        box.teardown()
        self.assertTrue(box.ended)
        self.assertEqual(len(self.server.revoked()), 1)

    def test_a_block_that_fails_is_what_is_seen(self):
        recorder = Recorder(self.server, kill_fails=TimeoutError("mine"))
        with self.assertRaises(ZeroDivisionError):
            with e2b.spawn(recorder, **self.options()):
                1 / 0
        self.assertEqual(len(self.server.revoked()), 1)

    def test_an_extension_that_fails(self):
        recorder = Recorder(self.server)
        recorder.set_timeout = lambda seconds: 1 / 0
        box = e2b.spawn(recorder, **self.options())
        before = box.keys[0].expires_at
        with self.assertRaises(ZeroDivisionError):
            box.extend("1h")
        self.assertEqual(self.server.calls[-1]["body"], {"expires_at": before})
        self.assertEqual(box.keys[0].expires_at, before)
        box.teardown()

    def test_a_second_key_that_is_refused(self):
        recorder = Recorder(self.server)
        self.server.answers = [(201, issued(number=1, **REACHABLE)), problem(422, "no_credential")]
        with self.assertRaises(keybrake.Refused):
            e2b.spawn(recorder, **self.options(key=None, keys=[POLICY, POLICY]))
        self.assertEqual((recorder.created, self.server.revoked()), ([], ["key_0000000000000001"]))

    def test_two_keys_that_set_one_variable(self):
        self.server.answers = [(201, issued(number=1, **REACHABLE)), (201, issued(
            number=2, env={"STRIPE_API_KEY": "vk_" + "B" * 38}))]
        with self.assertRaisesRegex(keybrake.KeybrakeError, "STRIPE_API_KEY"):
            e2b.spawn(Recorder(self.server), **self.options(key=None, keys=[POLICY, POLICY]))
        self.assertEqual(len(self.server.revoked()), 2)

    def test_what_is_not_the_callers_to_say(self):
        for spawn, create in ((e2b.spawn, {"timeout": 1}), (modal.spawn, {"timeout": 1}),
                              (modal.spawn, {"block_network": True})):
            with self.assertRaises(TypeError):
                spawn(Recorder(self.server), create=create, **self.options())
        with self.assertRaises(TypeError):
            e2b.spawn(Recorder(self.server), lifetime="1m", client=self.client)
        with self.assertRaises(ValueError):
            e2b.spawn(Recorder(self.server), **self.options(ttl="1h"))
        self.assertEqual(self.server.calls, [])

    def test_where_keybrake_is(self):
        for url, cidr, port in (("https://b.example", None, 443), ("http://192.0.2.1:81", "192.0.2.1/32", 81),
                                ("https://[2001:db8::1]/x", "2001:db8::1/128", 443)):
            broker = common.Broker(url)
            self.assertEqual((broker.cidr, broker.port), (cidr, port))
        for url in ("http://127.0.0.1:1", "http://localhost", "http://a.localhost", "http://[::1]",
                    "http://0.0.0.0:80", "ftp://x", "broker", ""):
            with self.assertRaises(keybrake.KeybrakeError, msg=url):
                common.Broker(url)


if __name__ == "__main__":
    unittest.main()
