# SPDX-License-Identifier: Apache-2.0
"""The program is built so that a mistake in it is harder to use."""

import pathlib
import platform
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

    def test_each_unit_was_compiled_so(self):
        """Flags that leave no symbol behind, as the compiler itself wrote them down."""
        archive = pathlib.Path(harness.BINARY).parent / "core.a"
        units = re.findall(rb"GNU C17 [^\0]*", archive.read_bytes()) if archive.exists() else []
        if not units:
            self.skipTest("not built here, or not by gcc")
        for flag in (b"-O3", b"-fPIE", b"-fstack-protector-strong", b"-fstack-clash-protection",
                     b"-fcf-protection=full", b"-ftrivial-auto-var-init=zero"):
            self.assertEqual([u for u in units if flag not in u.split()], [], flag)

    @unittest.skipUnless(platform.machine() == "x86_64", "a property of x86-64")
    def test_jumps_and_returns_are_marked(self):
        """IBT and SHSTK in each object of ours.  The linker drops the note from the whole, since
        Debian's start files (Scrt1.o, crti.o) do not bear it; nor would its C library switch it
        on.  Forcing it would be a claim that the start files break."""
        archive = pathlib.Path(harness.BINARY).parent / "core.a"
        if not archive.exists():
            self.skipTest("not built here")
        notes = subprocess.run(["readelf", "--notes", archive], capture_output=True, text=True,
                               check=True).stdout.split("File: ")[1:]
        bare = [n.splitlines()[0] for n in notes if "IBT, SHSTK" not in n]
        self.assertEqual(bare, [])
        self.assertGreater(len(notes), 100)
        code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", harness.BINARY],
                              capture_output=True, text=True, check=True).stdout
        self.assertGreater(code.count("endbr64"), 500)
