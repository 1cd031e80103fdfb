# SPDX-License-Identifier: Apache-2.0
"""Adapters whose platform's package is not in Debian: what they hand it, by stand-ins as strict as
the package (stand_ins.py).  (tests/test_platforms_*.py runs the real packages that can be had.)"""

import logging
import sys
import types
import unittest

import keybrake
import stand_ins
from double import TOKEN, Double, issued, problem
from keybrake.sandboxes import common, e2b, modal

POLICY = {"vendor": "stripe", "daily_usd_cap": 50, "allowed_endpoints": ["/v1/charges"]}
REACHABLE = {"env": {"STRIPE_API_KEY": TOKEN, "STRIPE_API_BASE": "https://broker.example.com/stripe"}}


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

    def e2b(self, **faults):
        """A world, and its Sandbox class in a package named e2b."""
        world = stand_ins.World(self.server, **faults)
        package = types.ModuleType("e2b")
        package.SandboxQuery = stand_ins.SandboxQuery
        sys.modules["e2b"] = package
        self.addCleanup(sys.modules.pop, "e2b", None)
        return world, stand_ins.e2b(world)

    def modal(self, **faults):
        world = stand_ins.World(self.server, **faults)
        package = stand_ins.modal(world)
        return world, package, {"app": package.App(), "image": package.Image()}

    def test_e2b(self):
        world, Sandbox = self.e2b()
        with e2b.spawn(Sandbox, create={"template": "base", "envs": {"A": "b"}, "api_key": "e2b_0",
                                        "network": {"allow_out": ["198.51.100.1"]}},
                       **self.options()) as box:
            box.extend("30m")
            self.assertEqual(box.env("stripe")["STRIPE_API_KEY"], TOKEN)
        told, = world.created
        self.assertEqual(told, {
            "template": "base", "timeout": 600, "envs": {"A": "b", **REACHABLE["env"]},
            "metadata": {"keybrake_key": "key_0000000000000001"}, "api_key": "e2b_0",
            "network": {"allow_out": ["broker.example.com", "198.51.100.1"],
                        "deny_out": ["0.0.0.0/0"]}})
        self.assertEqual(self.server.calls[0]["body"]["expires_in"], "720s")
        self.assertEqual(world.log, [("timeout", 1800), ("kill", ["key_0000000000000001"])])
        self.assertEqual(world.alive, [])

    def test_e2b_with_nothing_said(self):
        world, Sandbox = self.e2b()
        with e2b.spawn(Sandbox, create={"envs": None, "metadata": None, "network": None},
                       **self.options()):
            self.assertEqual(len(world.alive), 1)
        self.assertEqual(world.alive, [])

    def test_modal(self):
        world, package, where = self.modal()
        box = modal.spawn(package, "sleep", "60", **where, **self.options(), create={
            "secrets": [package.Secret.from_dict({"A": "b"})], "tags": {"team": "x"},
            "outbound_domain_allowlist": ["pypi.org"]})
        box.teardown()
        told, = world.created
        self.assertEqual(told, {
            **where, "command": ("sleep", "60"), "timeout": 600, "client": None,
            "env": {"A": "b", **REACHABLE["env"]},
            "tags": {"team": "x", "keybrake_key": "key_0000000000000001"},
            "outbound_cidr_allowlist": [],
            "outbound_domain_allowlist": ["pypi.org", "broker.example.com"]})
        self.assertEqual(world.log, [("kill", ["key_0000000000000001"])])
        with self.assertRaises(keybrake.KeybrakeError):
            box.extend("30m")

    def test_modal_to_an_address(self):
        world, package, where = self.modal()
        modal.spawn(package, **where, **self.options(broker="https://198.51.100.7")).teardown()
        told, = world.created
        self.assertEqual((told["outbound_cidr_allowlist"], told["outbound_domain_allowlist"]),
                         (["198.51.100.7/32"], []))

    def test_a_create_that_fails(self):
        _, Sandbox = self.e2b(fails=TimeoutError("mine"))
        with self.assertRaises(TimeoutError):
            e2b.spawn(Sandbox, **self.options())
        _, package, where = self.modal(fails=TimeoutError("mine"))
        with self.assertRaises(TimeoutError):
            modal.spawn(package, **where, **self.options())
        self.assertEqual(len(self.server.revoked()), 2)

    def test_a_create_whose_answer_is_lost(self):
        """First the key, then what carries its id; another's sandbox stays."""
        world, Sandbox = self.e2b()
        other = e2b.spawn(Sandbox, **self.options())
        world.fails_late = TimeoutError("mine")
        with self.assertRaises(TimeoutError):
            e2b.spawn(Sandbox, create={"api_key": "e2b_0", "domain": "e2b.example"},
                      **self.options())
        connection = {"api_key": "e2b_0", "domain": "e2b.example"}
        self.assertEqual(world.log, [("list", {"keybrake_key": "key_0000000000000002"}, connection),
                                     ("kill by id", "i1", connection)])
        self.assertEqual(world.alive, [other.sandbox])
        self.assertEqual(self.server.revoked(), ["key_0000000000000002"])
        other.teardown()
        world, package, where = self.modal(fails_late=TimeoutError("mine"))
        with self.assertRaises(TimeoutError):
            modal.spawn(package, **where, **self.options())
        self.assertEqual(world.log, [("list", "ap-1", {"keybrake_key": "key_0000000000000003"}),
                                     ("kill", ["key_0000000000000002", "key_0000000000000001",
                                               "key_0000000000000003"])])
        self.assertEqual(world.alive, [])

    def test_a_kill_that_fails(self):
        world, Sandbox = self.e2b(kill_fails=TimeoutError("mine"))
        box = e2b.spawn(Sandbox, **self.options())
        with self.assertRaises(TimeoutError):
            box.teardown()
        self.assertEqual(len(self.server.revoked()), 1)
        world.kill_fails = None
        box.teardown()
        self.assertTrue(box.ended)
        self.assertEqual(len(self.server.revoked()), 1)

    def test_a_block_that_fails_is_what_is_seen(self):
        _, Sandbox = self.e2b(kill_fails=TimeoutError("mine"))
        with self.assertRaises(ZeroDivisionError):
            with e2b.spawn(Sandbox, **self.options()):
                1 / 0
        self.assertEqual(len(self.server.revoked()), 1)

    def test_an_extension_that_fails(self):
        _, Sandbox = self.e2b()
        box = e2b.spawn(Sandbox, **self.options())
        box.sandbox.set_timeout = lambda seconds: 1 / 0
        before = box.keys[0].expires_at
        with self.assertRaises(ZeroDivisionError):
            box.extend("1h")
        self.assertEqual(self.server.calls[-1]["body"], {"expires_at": before})
        self.assertEqual(box.keys[0].expires_at, before)
        box.teardown()

    def test_a_second_key_that_is_refused(self):
        world, Sandbox = self.e2b()
        self.server.answers = [(201, issued(number=1, **REACHABLE)), problem(422, "no_credential")]
        with self.assertRaises(keybrake.Refused):
            e2b.spawn(Sandbox, **self.options(key=None, keys=[POLICY, POLICY]))
        self.assertEqual((world.created, self.server.revoked()), ([], ["key_0000000000000001"]))

    def test_two_keys_that_set_one_variable(self):
        self.server.answers = [(201, issued(number=1, **REACHABLE)), (201, issued(
            number=2, env={"STRIPE_API_KEY": "vk_" + "B" * 38}))]
        with self.assertRaisesRegex(keybrake.KeybrakeError, "STRIPE_API_KEY"):
            e2b.spawn(self.e2b()[1], **self.options(key=None, keys=[POLICY, POLICY]))
        self.assertEqual(len(self.server.revoked()), 2)

    def test_what_is_not_the_callers_to_say(self):
        _, Sandbox = self.e2b()
        _, package, where = self.modal()
        for create in ({"timeout": 1}, {"network": {"allow_out": lambda context: ["*"]}},
                       {"network": {"allow_out": "pypi.org"}}):
            with self.assertRaises(TypeError, msg=create):
                e2b.spawn(Sandbox, create=create, **self.options())
        for name in ("timeout", "block_network", "cidr_allowlist", "_experimental_outbound_policy",
                     "app", "image"):
            with self.assertRaises(TypeError, msg=name):
                modal.spawn(package, **where, create={name: 1}, **self.options())
        with self.assertRaises(TypeError):
            e2b.spawn(Sandbox, lifetime="1m", client=self.client)
        with self.assertRaises(ValueError):
            e2b.spawn(Sandbox, **self.options(ttl="1h"))
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
