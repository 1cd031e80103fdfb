# SPDX-License-Identifier: Apache-2.0
"""keybrake attach: doors for a container that has no network; and egress: rules for one that has."""

import contextlib
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import time
import unittest

import harness
import test_run

POLICY = ["--vendor", "stripe", "--cap", "50", "--allow", "/v1/balance"]


@unittest.skipUnless(harness.AS_ROOT, "needs root, as a container's runtime has it")
class Attach(test_run.Case):
    @contextlib.contextmanager
    def container(self, *command):
        """A process in an empty network namespace of its own, as `--network none` has it."""
        process = subprocess.Popen(["unshare", "--net", *command], stdin=subprocess.PIPE)
        try:
            time.sleep(0.2)
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdin.close()

    @contextlib.contextmanager
    def attached(self, *options):
        process = subprocess.Popen([harness.BINARY, "attach", "--data", str(self.keybrake.data),
                                    *map(str, options), *POLICY], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        try:
            process.first = process.stderr.readline()
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(10)
            process.stdout.close()
            process.stderr.close()

    def inside(self, pid, script, **env):
        return subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sh", "-c", script],
                              capture_output=True, text=True, check=False, timeout=30,
                              env={**os.environ, **env})

    def test_a_container_without_network(self):
        out = self.place.path / "out"
        out.mkdir()
        with self.container("sleep", "60") as container:
            with self.attached("--pid", container.pid, "--out", out) as attached:
                self.assertIn("every TCP connection is caught", attached.first)
                env = dict(line.split("=", 1) for line in (out / "env").read_text().splitlines())
                self.assertTrue(env["STRIPE_SECRET_KEY"].startswith("vk_"))
                ask = ("curl -sS --cacert %s/ca.pem --resolve api.stripe.com:443:198.18.0.7"
                       " https://api.stripe.com/v1/balance -u $STRIPE_SECRET_KEY:" % out)
                done = self.inside(container.pid, ask, **env)
                self.assertEqual(json.loads(done.stdout)["object"], "balance", done.stderr)
                done = self.inside(container.pid, "curl -sS -m 3 http://203.0.113.9:5432/", **env)
                self.assertIn("203.0.113.9:5432 cannot be reached from here", done.stdout)
                key = self.key_of("active")
                container.kill()
                container.wait()
                began = time.monotonic()
                self.eventually(lambda: self.keybrake.api("GET", f"/v1/keys/{key['id']}")["status"]
                                == "revoked")
                self.assertLess(time.monotonic() - began, 1)
                self.assertEqual(attached.wait(10), 0)
                self.assertIn("stripe: 1 requests passed", attached.stderr.read())
        row = [r for r in self.audit(limit=20) if r["reason"] == "session_ended"][0]
        self.assertEqual(row["detail"], "the container ended")

    def test_when_attach_is_killed_so_are_the_keys_and_the_doors(self):
        with self.container("sleep", "60") as container:
            with self.attached("--pid", container.pid) as attached:
                self.assertIn("attached", attached.first)
                attached.kill()
                attached.wait()
                self.eventually(lambda: self.key_of("revoked"))
                self.eventually(lambda: self.inside(
                    container.pid, "curl -sS -m 2 http://198.18.0.1/").returncode == 7)

    def test_refused(self):
        def attach(*options):
            return subprocess.run([harness.BINARY, "attach", "--data", str(self.keybrake.data),
                                   *map(str, options), *POLICY], capture_output=True, text=True,
                                  check=False, timeout=30)
        self.assertIn("this machine's own network", attach("--pid", os.getpid()).stderr)
        self.assertIn("no process", attach("--pid", 4194304 - 7).stderr)
        self.assertIn("is not a container's name", attach("--container", "a;b").stderr)
        self.assertIn("one of --pid", attach().stderr)
        with self.container("sh", "-c", "ip link add kbx0 type veth peer name kbx1; sleep 60") as c:
            time.sleep(0.3)
            self.assertIn("a network of its own (kbx", attach("--pid", c.pid).stderr)

    def test_a_unix_socket(self):
        path = self.place.path / "door.sock"
        with self.attached("--unix", path) as attached:
            env = dict([attached.stdout.readline().strip().split("=", 1) for _ in range(2)])
            done = subprocess.run(["curl", "-sS", "--unix-socket", path, "-u",
                                   env["STRIPE_SECRET_KEY"] + ":",
                                   "http://api.stripe.com/v1/balance"], capture_output=True,
                                  text=True, check=False)
            self.assertEqual(json.loads(done.stdout)["object"], "balance", done.stderr)
            status, headers, _ = self.keybrake.ask(env["STRIPE_SECRET_KEY"], "GET",
                                                   "/stripe/v1/balance")
            self.assertEqual((status, headers["keybrake-denied"]), (403, "wrong_session"))
        self.assertFalse(path.exists())


class Egress(unittest.TestCase):
    def egress(self, *args):
        return subprocess.run([harness.BINARY, "egress", *map(str, args)], capture_output=True,
                              text=True, check=False)

    def test_usage(self):
        for wrong in ("keybrake.example:1", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:70000", "[::1:80", ""):
            self.assertEqual(self.egress("nft", "--to", wrong).returncode, 2, wrong)
        self.assertEqual(self.egress("nft", "--to", "1.2.3.4:1", "--interface", 'x" accept').returncode, 2)
        self.assertEqual(self.egress("k8s", "--to", "1.2.3.4:1", "--selector", "a").returncode, 2)

    def test_docker(self):
        text = self.egress("docker", "--to", "172.30.0.1:8787").stdout
        self.assertIn("--subnet 172.30.0.0/24 --gateway 172.30.0.1 keybrake\n", text)
        self.assertIn("keybrake egress nft --to 172.30.0.1:8787 --interface br-keybrake", text)
        text = self.egress("docker", "--to", "[fd00:1::1]:8787", "--name", "agents").stdout
        self.assertIn("--ipv6 --subnet fd00:1::/64 --gateway fd00:1::1 agents\n", text)
        refused = self.egress("docker", "--to", "172.30.0.1:8787", "--name", "a-bridge-too-long")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("at most 12", refused.stderr)

    def test_k8s_is_a_network_policy(self):
        text = self.egress("k8s", "--to", "10.0.0.7:8787", "--selector", "app=agent").stdout
        for line in ("kind: NetworkPolicy", 'policyTypes: ["Ingress", "Egress"]',
                     'cidr: "10.0.0.7/32"', "port: 8787", '"app": "agent"', "ingress: []"):
            self.assertIn(line, text)
        try:
            import yaml
        except ImportError:
            return
        policy = yaml.safe_load(text)
        self.assertEqual(policy["apiVersion"], "networking.k8s.io/v1")
        self.assertEqual(policy["spec"]["egress"], [{
            "to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}],
            "ports": [{"protocol": "TCP", "port": 8787}]}])

    def test_k8s_by_the_clients_own_schema(self):
        """The real client's models take it, field by field, and write the same again; and they refuse
        what a policy must have and has not, so this does say something."""
        try:
            import kubernetes.client
            import yaml
        except ImportError:
            self.skipTest("not installed: python3-kubernetes (tools/install test)")
        api = kubernetes.client.ApiClient()

        class Answer:  # what the client reads models from
            def __init__(self, data):
                self.data = json.dumps(data)

        def read(policy):
            return api.deserialize(Answer(policy), "V1NetworkPolicy")

        for to in ("10.0.0.7:8787", "[fd00::7]:8787"):
            policy = yaml.safe_load(self.egress("k8s", "--to", to, "--selector", "app=agent").stdout)
            model = read(policy)
            self.assertEqual(api.sanitize_for_serialization(model), policy)  # nothing was unknown to it
            self.assertIsInstance(model.spec, kubernetes.client.V1NetworkPolicySpec)
            rule, = model.spec.egress
            self.assertIsInstance(rule.to[0].ip_block, kubernetes.client.V1IPBlock)
            self.assertEqual(ipaddress.ip_network(rule.to[0].ip_block.cidr).num_addresses, 1)
            self.assertEqual((rule.ports[0].protocol, rule.ports[0].port), ("TCP", 8787))
            self.assertEqual(model.spec.policy_types, ["Ingress", "Egress"])
            self.assertEqual(model.spec.ingress, [])
        unknown = {**policy, "spec": {**policy["spec"], "egres": []}}
        self.assertNotEqual(api.sanitize_for_serialization(read(unknown)), unknown)
        del policy["spec"]["podSelector"]
        with self.assertRaises(ValueError):
            read(policy)

    @unittest.skipUnless(harness.AS_ROOT and shutil.which("nft"), "needs root and nft")
    def test_nft_in_a_namespace_and_on_its_bridge(self):
        """A namespace behind a veth: all doors open, then only keybrake's, by either rules."""
        name = f"kb{os.getpid()}"

        def run(line, **more):
            return subprocess.run(line.split(), capture_output=True, text=True, check=True, **more)

        run(f"ip netns add {name}")
        listeners = []
        try:
            run(f"ip link add {name} type veth peer name eth0 netns {name}")
            run(f"ip addr add 172.31.77.1/24 dev {name}")
            run(f"ip link set {name} up")
            run(f"ip -n {name} addr add 172.31.77.2/24 dev eth0")
            run(f"ip -n {name} link set eth0 up")
            run(f"ip -n {name} link set lo up")  # refusals travel over it
            run(f"ip -n {name} route add default via 172.31.77.1")
            for port in (8787, 9099):
                listeners.append(socket.create_server(("0.0.0.0", port + os.getpid() % 500)))
            door, other = (one.getsockname()[1] for one in listeners)

            def reach(port):
                began = time.monotonic()
                done = subprocess.run(["ip", "netns", "exec", name, "/usr/bin/python3", "-c",
                                       "import socket,sys\ntry:\n socket.create_connection(("
                                       f"'172.31.77.1',{port}),3);print('open')\nexcept OSError as"
                                       " e:\n print(e)"], capture_output=True, text=True, check=False)
                return done.stdout.strip(), time.monotonic() - began

            self.assertEqual((reach(door)[0], reach(other)[0]), ("open", "open"))
            for where in ("inside", "bridge"):
                args = ["nft", "--to", f"172.31.77.1:{door}", "--name", f"t{os.getpid()}"]
                if where == "bridge":
                    args += ["--interface", name]
                rules = self.egress(*args).stdout
                prefix = f"ip netns exec {name} " if where == "inside" else ""
                run(f"{prefix}nft -f -", input=rules)
                try:
                    self.assertEqual(reach(door)[0], "open", where)
                    said, seconds = reach(other)
                    self.assertRegex(said, "refused|No route to host|denied", where)
                    self.assertLess(seconds, 1.5, "refused at once")
                finally:
                    run(f"{prefix}nft delete table inet t{os.getpid()}")
                self.assertEqual(reach(other)[0], "open", where)
        finally:
            for one in listeners:
                one.close()
            subprocess.run(["ip", "netns", "del", name], check=False)
            subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


if __name__ == "__main__":
    unittest.main()
