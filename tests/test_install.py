# SPDX-License-Identifier: Apache-2.0
"""`make install`: the program, its manual page, and a unit that systemd takes."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **more)


@unittest.skipIf(harness.SANITIZED, "a build for tests")
class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="keybrake-install-")
        cls.addClassCleanup(directory.cleanup)
        cls.root = pathlib.Path(directory.name)
        done = run("make", "-s", "-C", str(harness.ROOT), "install", f"PREFIX={cls.root}")
        assert done.returncode == 0, done.stdout + done.stderr
        cls.program = str(cls.root / "bin" / "keybrake")

    def test_nothing_else_is_put_anywhere(self):
        found = {str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()}
        self.assertEqual(found, {"bin/keybrake", "share/man/man1/keybrake.1",
                                 "lib/systemd/system/keybrake.service"})

    def test_into_a_package(self):
        with tempfile.TemporaryDirectory(prefix="keybrake-package-") as package:
            done = run("make", "-s", "-C", str(harness.ROOT), "install", f"DESTDIR={package}",
                       "PREFIX=/usr")
            self.assertEqual(done.returncode, 0, done.stderr)
            unit = pathlib.Path(package, "usr/lib/systemd/system/keybrake.service").read_text()
            self.assertIn("ExecStart=/usr/bin/keybrake serve ", unit)
            self.assertNotIn(package, unit)

    def test_the_program_runs(self):
        self.assertRegex(run(self.program, "--version").stdout, r"^keybrake \d")

    def test_the_version_is_the_newest_of_the_changelog(self):
        newest = re.search(r"^## (\S+)", (harness.ROOT / "CHANGELOG.md").read_text(), re.M)[1]
        self.assertEqual(run(self.program, "--version").stdout.split(), ["keybrake", newest])

    def test_the_manual_page_names_every_command(self):
        page = (self.root / "share/man/man1/keybrake.1").read_text().replace("\\-", "-")
        commands = re.findall(r"^  (\w[\w-]*)", run(self.program, "--help").stdout, re.M)
        self.assertGreater(len(commands), 10)
        self.assertEqual([c for c in commands if not re.search(rf"\b{c}\b", page)], [])

    @unittest.skipIf(shutil.which("man") is None, "there is no man")
    def test_the_manual_page_is_well_formed(self):
        page = str(self.root / "share/man/man1/keybrake.1")
        done = run("man", "--warnings", "-l", page, env={**os.environ, "MANWIDTH": "100"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    @unittest.skipIf(shutil.which("systemd-analyze") is None, "there is no systemd")
    def test_the_unit_is_one(self):
        unit = str(self.root / "lib/systemd/system/keybrake.service")
        done = run("systemd-analyze", "verify", "--man=no", unit)
        said = [line for line in done.stderr.splitlines() if "keybrake" in line]
        self.assertEqual(said, [])
