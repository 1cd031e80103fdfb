# SPDX-License-Identifier: Apache-2.0
"""The program is built so that a mistake in it is harder to use."""

import re
import subprocess
import unittest

import harness


def readelf(*options):
    done = subprocess.run(["readelf", "--wide", *options, harness.BINARY], capture_output=True,
                          text=True, check=True)
    return done.stdout


@unittest.skipIf(harness.SANITIZED, "a build for tests")
class Hardening(unittest.TestCase):
    def test_it_is_position_independent(self):
        self.assertRegex(readelf("--file-header"), r"Type:\s+DYN \(Position-Independent Executable")

    def test_nothing_is_writable_and_executable(self):
        segments = readelf("--segments")
        self.assertRegex(segments, r"GNU_STACK\s.* RW\s+0x")
        self.assertNotRegex(segments, r"LOAD\s.* RWE\s")

    def test_relocations_are_read_only_from_the_start(self):
        self.assertIn("GNU_RELRO", readelf("--segments"))
        self.assertRegex(readelf("--dynamic"), r"\(FLAGS(_1)?\).*NOW")

    def test_it_takes_libraries_from_the_system_only(self):
        dynamic = readelf("--dynamic")
        self.assertNotRegex(dynamic, r"\((RPATH|RUNPATH)\)")
        self.assertNotIn("(TEXTREL)", dynamic)

    def test_stack_and_buffers_are_checked(self):
        symbols = readelf("--dyn-syms")
        self.assertIn("__stack_chk_fail@", symbols)
        checked = set(re.findall(r"\b(__\w+_chk)@", symbols)) - {"__stack_chk_fail"}
        self.assertIn("__memcpy_chk", checked)
        self.assertGreater(len(checked), 3, checked)

    def test_it_knows_no_place_of_its_build(self):
        with open(harness.BINARY, "rb") as file:
            self.assertNotIn(str(harness.ROOT).encode(), file.read())
