# SPDX-License-Identifier: Apache-2.0
"""Under a service manager, and what whoever starts the server is told when it cannot be."""

import os
import shutil
import socket
import subprocess

import harness


class Manager:
    """What stands behind $NOTIFY_SOCKET."""

    def __init__(self, place):
        self.path = str(place / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(20)

    def close(self):
        self.socket.close()

    def hear(self, name):
        """The next message that says NAME=...; signs of life are passed over."""
        while True:
            said = dict(l.split("=", 1) for l in self.socket.recv(4096).decode().splitlines())
            if name in said:
                return said
            assert set(said) == {"WATCHDOG"}, said


class Notify(harness.Case):
    vendors = []

    def test_ready_reload_stop(self):
        manager = Manager(self.place.path)
        self.addCleanup(manager.close)
        config = self.place.path / "service.json"
        config.write_text('{"ttl_max": "1h"}')
        other = harness.Keybrake(self.place, "notified", ["--config", str(config)]).init()
        self.addCleanup(other.kill)
        os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"] = manager.path, "200000"
        try:
            other.start()
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
        said = manager.hear("READY")
        self.assertEqual(said["READY"], "1")
        self.assertIn(f"127.0.0.1:{other.door_port}", said["STATUS"])
        for _ in range(3):
            self.assertEqual(manager.hear("WATCHDOG"), {"WATCHDOG": "1"})
        other.reload()
        self.assertRegex(manager.hear("RELOADING")["MONOTONIC_USEC"], r"^\d+$")
        self.assertEqual(manager.hear("READY")["STATUS"], "reloaded")
        config.write_text('{"ttl_max": "nonsense"}')
        other.reload()
        manager.hear("RELOADING")
        self.assertRegex(manager.hear("READY")["STATUS"], "nothing has changed: .*nonsense")
        other.stop()
        self.assertEqual(manager.hear("STOPPING")["STOPPING"], "1")

    def test_the_environment_is_nobodys_business(self):
        for pid in sum(self.keybrake.pids().values(), []):
            with open(f"/proc/{pid}/environ", "rb") as file:
                self.assertEqual(file.read(), b"")


class Stop(harness.Case):
    vendors = []

    def test_a_stop_is_no_error(self):
        """Whichever process goes first at the end."""
        for _ in range(3):
            self.assertEqual(self.keybrake.stop(), 0)
            self.assertNotIn(" error ", self.keybrake.log_text())
            self.keybrake.start()


class CannotStart(harness.Case):
    vendors = []

    def serve(self, other, *args):
        done = other.run("serve", *args, *(["--user", "nobody"] if harness.AS_ROOT else []),
                         check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = [l for l in done.stderr.splitlines() if not l.startswith("keybrake parent info")]
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def test_no_data_directory(self):
        other = harness.Keybrake(self.place, "never-made")
        self.assertIn("run: keybrake init", self.serve(other))

    def test_addresses(self):
        other = harness.Keybrake(self.place, "addresses").init()
        taken, free = self.keybrake.door_port, harness.free_port()
        said = self.serve(other, "--listen", f"127.0.0.1:{taken}", "--control", f"127.0.0.1:{free}")
        self.assertRegex(said, "--listen: .*in use; `ss -ltnp`")
        said = self.serve(other, "--listen", f"127.0.0.1:{free}", "--control", f"127.0.0.1:{taken}")
        self.assertRegex(said, "--control: .*in use; `ss -ltnp`")
        said = self.serve(other, "--listen", f"192.0.2.7:{free}", "--insecure-listen")
        self.assertRegex(said, "--listen: .*no such address")

    def test_the_vault_key_is_gone(self):
        other = harness.Keybrake(self.place, "keyless").init()
        (other.data / "vault" / "key").unlink()
        self.assertIn("put it back from a backup", self.serve(other, "--listen", "127.0.0.1:0",
                                                              "--control", "127.0.0.1:0"))
        self.assertIn("put it back from a backup", other.run("doctor", check=False).stdout.replace(
            "\n", " "))
        shutil.rmtree(other.data)
        self.assertIn("keybrake init", other.run("doctor", check=False).stdout)
