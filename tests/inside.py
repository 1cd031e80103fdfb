# SPDX-License-Identifier: Apache-2.0
"""Runs a test class again inside network and mount namespaces of its own.

    class Outside(inside.Outside):
        inner = "test_names.Inside"
        hosts = "127.0.0.1 api.double.test\\n"      # /etc/hosts there; None: the machine's
        resolv = "nameserver 127.0.0.1\\n"

    if inside.IS:
        class Inside(harness.Case): ...
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
MARK = "KEYBRAKE_TEST_INSIDE"
IS = MARK in os.environ


def namespaces_work():
    done = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False)
    return os.getuid() == 0 and done.returncode == 0


@unittest.skipIf(IS, "this is the inside")
class Outside(unittest.TestCase):
    inner = None
    hosts = None
    resolv = "nameserver 127.0.0.1\n"
    seconds = 300

    @unittest.skipUnless(namespaces_work(), "needs root, network and mount namespaces")
    def test_inside_a_network_of_our_own(self):
        if self.inner is None:
            self.skipTest("the base of others")
        script = "ip link set lo up"
        with tempfile.TemporaryDirectory() as place:
            for name, text in (("resolv.conf", self.resolv), ("hosts", self.hosts)):
                if text is not None:
                    file = pathlib.Path(place) / name
                    file.write_text(text)
                    script += f" && mount --bind {file} /etc/{name}"
            script += f" && exec {sys.executable} {HERE / 'run'} {self.inner}"
            done = subprocess.run(["unshare", "-n", "-m", "sh", "-c", script], text=True,
                                  capture_output=True, timeout=self.seconds, check=False,
                                  env={**os.environ, MARK: "1"})
        last = (done.stdout.splitlines() or ["nothing was said"])[-1]
        self.assertRegex(last, r"^[1-9]\d* passed, 0 failed", done.stdout + done.stderr)
