# SPDX-License-Identifier: Apache-2.0
"""The platforms' own Python packages, unmodified (docker and kubernetes from Debian; Fly has none),
driven by clients/python against the same doubles, with the same faults."""

import subprocess

import harness
import test_platforms_node as node
from test_platforms_node import rest

SPAWN = harness.ROOT / "tests" / "platforms" / "spawn.py"


class Program(node.Program):
    def __init__(self, keybrake, asked):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", SPAWN, harness.ROOT / "clients" / "python"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": "/usr/bin:/bin",
                 "KEYBRAKE_URL": f"http://127.0.0.1:{keybrake.control_port}",
                 "KEYBRAKE_TOKEN": keybrake.token})
        self.tell(node.json.dumps(asked))
        self.first = self.hear()


class Python:
    program = Program


class Fly(Python, node.Platforms, node.Remote, harness.Case):
    platform = "fly"
    make_double = staticmethod(rest.Fly)
    env_of = node.Fly.env_of
    lifetime_of = node.Fly.lifetime_of
    test_what_else_it_is_told = node.Fly.test_what_else_it_is_told
    test_the_timer_ends_it = node.Fly.test_the_timer_ends_it


class Docker(Python, node.Platforms, harness.Case):
    platform = "docker"
    make_double = staticmethod(rest.docker)
    extra = node.Docker.extra
    env_of = node.Docker.env_of
    lifetime_of = node.Docker.lifetime_of
    test_the_timer_ends_it = node.Docker.test_the_timer_ends_it
    test_a_start_that_fails = node.Docker.test_a_start_that_fails
    test_networks_that_reach_more_are_refused = \
        node.Docker.test_networks_that_reach_more_are_refused

    def test_what_else_it_is_told(self):
        program = self.spawn()
        call, = self.double.named("create")
        host = call["body"]["HostConfig"]
        self.assertEqual(host["NetworkMode"], "none")
        self.assertEqual(host["Binds"], ["/run/keybrake/door.sock:/run/keybrake.sock:rw"])
        self.assertEqual(self.env_of(call)["KEYBRAKE_SOCKET"], "/run/keybrake.sock")
        program.end()

    def test_its_death_ends_the_key(self):
        program = self.spawn()
        self.double.die(next(iter(self.double.alive)))
        self.ended()
        self.assertIsNone(program.process.poll())
        program.end()


class Kubernetes(Python, node.Platforms, node.Remote, harness.Case):
    platform = "kubernetes"
    make_double = staticmethod(rest.Kubernetes)
    extra = node.Kubernetes.extra
    env_of = node.Kubernetes.env_of
    lifetime_of = node.Kubernetes.lifetime_of
    test_what_else_it_is_told = node.Kubernetes.test_what_else_it_is_told
    test_what_was_made_goes_when_the_rest_fails = \
        node.Kubernetes.test_what_was_made_goes_when_the_rest_fails
