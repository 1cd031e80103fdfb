# SPDX-License-Identifier: Apache-2.0
"""What the documents say can be tried, can be tried: every test that they name exists."""

import pathlib
import re
import subprocess
import unittest

import harness

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

    def test_every_folder_of_the_source_is_in_the_architecture(self):
        table = (ROOT / "docs" / "architecture.md").read_text().split("## Folders")[1]
        named = set(re.findall(r"`(\w+)`", table.split("\n## ")[0]))
        layers = [line.split()[0] for line in (ROOT / "src" / "LAYERS").read_text().splitlines()
                  if line and not line.startswith("#")]
        folders = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
        self.assertEqual(folders, set(layers))
        self.assertEqual(folders - named, set())

    def test_every_page_is_reached_from_the_readme(self):
        pages, found = [ROOT / "README.md"], {(ROOT / "README.md").resolve()}
        while pages:
            page = pages.pop()
            for link in re.findall(r"\]\(([^)#:]+\.md)[)#]", page.read_text()):
                there = (page.parent / link).resolve()
                with self.subTest(f"{page.name} -> {link}"):
                    self.assertTrue(there.exists())
                if there.exists() and there not in found:
                    found.add(there)
                    pages.append(there)
        self.assertEqual({path.resolve() for path in (ROOT / "docs").rglob("*.md")} - found, set())

    def test_source_files_that_documents_name_exist(self):
        for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
            for name in set(re.findall(r"\bsrc/\w+/\w+\.[ch]\b", path.read_text())):
                with self.subTest(f"{path.name}: {name}"):
                    self.assertTrue((ROOT / name).exists(), name)


class Commands(unittest.TestCase):
    """What a document shows of the command line, the command line knows."""

    @staticmethod
    def said(*words):
        return subprocess.run([harness.BINARY, *words], capture_output=True, text=True,
                              check=True).stdout

    @staticmethod
    def shown(text):
        """Command lines: in a block, or between back-ticks, without what follows them."""
        lines = re.findall(r"`(keybrake [^`\n]+)`", text)
        for block in re.findall(r"```\w*\n(.*?)```", text, re.S):
            lines += re.sub(r"\\\n\s*", " ", block).splitlines()
        for line in lines:
            found = re.match(r"\s*(?:\$ )?keybrake ([a-z]+(?: [a-z]+)?)(?![\w:])(.*)", line)
            if found:
                yield found[1].split(), re.split(r"\s-- |[|;&#]|\s{2,}", found[2])[0], line

    def test_commands_and_options_exist(self):
        known = set(re.findall(r"^  (\w+(?: \w+)?)  ", self.said("--help"), re.M))
        helps, count = {}, 0
        for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
            for words, rest, line in self.shown(path.read_text()):
                count += 1
                with self.subTest(f"{path.name}: {line}"):
                    name = next((n for n in (" ".join(words), words[0]) if n in known), None)
                    self.assertIsNotNone(name)
                    if name not in helps:
                        helps[name] = self.said(*name.split(), "--help")
                    options = re.findall(r"(?<![\w-])--[a-z][\w-]*", rest)
                    self.assertEqual([o for o in options
                                      if not re.search(rf"{o}(?![\w-])", helps[name])], [])
        self.assertGreater(count, 50)
