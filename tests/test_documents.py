# SPDX-License-Identifier: Apache-2.0
"""What the documents say can be tried, can be tried: every test that they name exists."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def names(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from names(item)
        else:
            yield item.id()


class Named(unittest.TestCase):
    def test_every_test_that_a_document_names_exists(self):
        here = str(ROOT / "tests")
        there = set(names(unittest.TestLoader().discover(here, "test_*.py", here)))
        for path in sorted([ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]):
            said = set()
            for command in re.findall(r"tests/run ([\w. -]+)", path.read_text()):
                said |= {w for w in command.split() if w.startswith("test_")}
            if path.name == "security.md":
                said |= set(re.findall(r"`(test_[\w.]+)`", path.read_text()))
            for name in said:
                with self.subTest(f"{path.name}: {name}"):
                    # test_forward.Cut: of that module; Inside runs within a test of its own.
                    self.assertTrue(any(name in test for test in there), name)

    def test_files_that_documents_name_exist(self):
        for path in (ROOT / "docs" / "security.md", ROOT / "docs" / "attacks.md",
                     ROOT / "docs" / "testing.md"):
            for name in re.findall(r"`((?:src|tests|tools|fuzz)/[\w./]+)`", path.read_text()):
                with self.subTest(f"{path.name}: {name}"):
                    self.assertTrue((ROOT / name).exists(), name)
