# SPDX-License-Identifier: Apache-2.0
"""The programs of docs/recipes, word for word, with the platforms' own SDKs and doubles of their
APIs.  A block "```js NAME" is a file beside the program."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness
import test_platforms_node as platforms

RECIPES = harness.ROOT / "docs" / "recipes"
SDK, NODE, rest = platforms.SDK, platforms.NODE, platforms.rest
PUBLIC = platforms.PUBLIC
COMPILE = """
const ts = require(process.argv[1]);
const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
process.stdout.write(ts.transpileModule(require("fs").readFileSync(0, "utf8"), { compilerOptions }).outputText);
"""


def blocks(page, language):
    """(programs, {file: text}) of a page."""
    found = re.findall(rf"^```{language}(?: (\S+))?\n(.*?)^```$", (RECIPES / page).read_text(),
                       re.MULTILINE | re.DOTALL)
    return [text for name, text in found if not name], {n: text for n, text in found if n}


class Recipe(harness.Case):
    def setUp(self):
        self.room = pathlib.Path(tempfile.mkdtemp(prefix="keybrake-recipe-"))
        self.addCleanup(shutil.rmtree, self.room)

    def env(self, **more):
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.room), "NO_COLOR": "1",
                "KEYBRAKE_URL": f"http://127.0.0.1:{self.keybrake.control_port}",
                "KEYBRAKE_TOKEN": self.keybrake.token, **more}

    def run_python(self, program, files=(), **env):
        for name, text in dict(files).items():
            (self.room / name).write_text(text)
        return subprocess.run(["/usr/bin/python3", "-c", program], cwd=self.room, text=True,
                              capture_output=True, timeout=90, check=False,
                              env=self.env(PYTHONPATH=str(harness.ROOT / "clients" / "python"), **env))

    def run_node(self, program, files=(), **env):
        """`await using` is compiled for the pinned Node, as its users would."""
        for name, text in dict(files).items():
            (self.room / name).write_text(text)
        modules = self.room / "node_modules"
        modules.mkdir()
        (modules / "keybrake").symlink_to(harness.ROOT / "clients" / "node")
        (modules / "@kubernetes").mkdir()
        for name in ("e2b", "modal", "dockerode", "openai", "@kubernetes/client-node"):
            (modules / name).symlink_to(SDK / name)
        (self.room / "package.json").write_text('{"type": "module"}')
        done = subprocess.run([NODE, "-e", COMPILE, SDK / "typescript"], input=program, text=True,
                              capture_output=True, check=True)
        (self.room / "recipe.js").write_text(done.stdout)
        return subprocess.run([NODE, "recipe.js"], cwd=self.room, text=True, capture_output=True,
                              timeout=90, check=False, env=self.env(**env))

    def one_key(self, label):
        """The recipe's key, which must have ended."""
        key, = self.keybrake.api("GET", f"/v1/keys?label={label}")["data"]
        self.assertEqual(key["status"], "revoked")
        return key

    def double(self, made):
        made.__enter__()
        self.addCleanup(made.__exit__)
        return made


@platforms.needs_npm
class Hosted(Recipe):
    options = ["--public-url", PUBLIC]

    def program(self, page, number=0):
        return blocks(page, "js")[0][number]

    def test_e2b(self):
        double = self.double(rest.E2b())
        done = self.run_node(self.program("e2b.md"), E2B_API_URL=double.url,
                             E2B_SANDBOX_URL=double.url, E2B_API_KEY="e2b_" + "0" * 40)
        self.assertEqual((done.returncode, done.stdout), (0, "hello from the double\n"), done.stderr)
        self.one_key("e2b/agent-7")
        self.assertEqual(double.alive, {})
        self.assertEqual(double.named("extend")[0]["body"], {"timeout": 600})

    def test_modal(self):
        double = self.double(platforms.ModalDouble())
        done = self.run_node(self.program("modal.md"), MODAL_SERVER_URL=double.url,
                             MODAL_TOKEN_ID="ak-FAKE", MODAL_TOKEN_SECRET="as-FAKE")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("has STRIPE_SECRET_KEY STRIPE_API_KEY STRIPE_API_BASE", done.stdout)
        self.one_key("modal/agent-7")
        self.eventually(lambda: double.alive == [])

    def test_kubernetes_from_outside(self):
        double = self.double(rest.Kubernetes())
        (self.room / "config").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": double.url,
                                                   "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": "FAKE"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}))
        done = self.run_node(self.program("kubernetes.md"), KUBECONFIG=str(self.room / "config"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^keybrake-[0-9a-f]{40} ends after 600 s\n$")
        self.one_key("k8s/agent-7")
        self.assertEqual(double.alive, {})

    def test_kubernetes_in_the_pod(self):
        """The manifests' own commands, run where their containers would be."""
        done = self.run_node(self.program("kubernetes.md", 1))
        self.assertEqual(done.returncode, 0, done.stderr)
        policy, pod = json.loads(done.stdout)["items"]
        issue, revoke = pod["spec"]["initContainers"]
        agent, = pod["spec"]["containers"]
        self.assertEqual(revoke["restartPolicy"], "Always")
        self.assertIn("KEYBRAKE_TOKEN", json.dumps(issue))
        self.assertNotIn("KEYBRAKE_TOKEN", json.dumps(agent))
        self.assertEqual([m["name"] for m in agent["volumeMounts"]], ["keybrake"])
        self.assertEqual([p["port"] for p in policy["spec"]["egress"][0]["ports"]], [443, 8788])
        tools = self.room / "bin"
        tools.mkdir()
        (tools / "keybrake").symlink_to(harness.BINARY)
        for name in ("keybrake", "keybrake-own"):
            (self.room / name).mkdir()

        def run(command):
            here = [part.replace("/keybrake", f"{self.room}/keybrake") for part in command]
            return subprocess.run(here, text=True, capture_output=True, check=True, cwd=self.room,
                                  env=self.env(PATH=f"{tools}:/usr/bin:/bin")).stdout

        run(issue["command"])
        token = run(["sh", "-c", '. /keybrake/env && echo "$STRIPE_API_KEY $STRIPE_API_BASE"']).split()
        self.assertEqual(token[1], PUBLIC + "/stripe")
        status, headers, _ = self.keybrake.ask(token[0], "GET", "/stripe/v1/balance")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "endpoint_not_allowed"))
        run(revoke["lifecycle"]["preStop"]["exec"]["command"])
        status, headers, _ = self.keybrake.ask(token[0], "GET", "/stripe/v1/balance")
        self.assertEqual((status, headers["keybrake-denied"]), (401, "revoked_key"))

    def test_fly(self):
        double = self.double(rest.Fly())
        done = self.run_python(blocks("fly.md", "python")[0][0], FLY_API_HOSTNAME=double.url,
                               FLY_API_TOKEN="fo1_FAKE")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^m\d+ has STRIPE_SECRET_KEY STRIPE_API_KEY STRIPE_API_BASE\n$")
        self.one_key("fly/agent-7")
        self.assertEqual((double.alive, len(double.named("policy"))), ({}, 1))


class Local(Recipe):
    vendors = ["stripe", "openai"]

    def test_by_hand(self):
        programs, files = blocks("by-hand.md", "python")
        done = self.run_python(programs[0], files)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^pi_\S+ 1200\n$")
        self.one_key("by-hand/agent-7")

    @unittest.skipUnless(NODE.exists(), "npm packages are not installed (./check installs them)")
    def test_agents(self):
        programs, files = blocks("agents.md", "js")
        done = self.run_node(programs[0], files)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "Hello from the double\n"
                                      "the agent ended with 0 and had spent 0.01\n", done.stderr)
        self.assertEqual(self.keybrake.api("GET", "/v1/keys?vendor=openai")["data"][0]["status"],
                         "revoked")
