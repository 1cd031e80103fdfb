# SPDX-License-Identifier: Apache-2.0
"""A planted credential is nowhere but in the vault's secret memory, one second after load."""

import base64
import pathlib
import re
import time
import unittest

import harness


def forms_of(secret):
    data = secret.encode()
    found = {data, data[::-1], data.hex().encode(), data.decode().encode("utf-16-le"),
             data[8:24], data[16:32]}
    for pad in range(3):
        coded = base64.b64encode(b"x" * pad + data)
        found.add(coded[4:-4])
    return found


def scan_memory(pid, needles):
    """Which needles are in the readable memory of a process."""
    hits = set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not match or "[vvar" in line or "[vsyscall" in line:
                continue
            start, end = (int(x, 16) for x in match.groups())
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            hits |= {n for n in needles if n in data}
    return hits


@unittest.skipUnless(harness.AS_ROOT, "reading other processes' memory needs root")
class Planted(harness.Case):
    @unittest.skipIf(harness.SANITIZED, "such a build keeps what it freed")
    def test_memory_and_files(self):
        keys = [self.issue(allowed_endpoints=["/v1/*"], daily_usd_cap=1000) for _ in range(4)]
        for key in keys:
            for path in ("/stripe/v1/double/echo", "/stripe/v1/balance", "/stripe/v1/double/split/3",
                         "/stripe/v1/double/redirect-away", "/stripe/v1/double/status/500",
                         "/stripe/v1/double/gzip", "/stripe/v1/double/reset", "/stripe/v1/nowhere"):
                self.ask(key, "GET", path)
            self.charge(key, 100)
            self.keybrake.ask("wrong", "GET", "/stripe/v1/balance")
        time.sleep(1)
        needles = forms_of(self.secrets["stripe"])
        for name, pids in self.keybrake.pids().items():
            for pid in pids:
                hits = scan_memory(pid, needles)
                self.assertEqual(hits, set(), f"in the memory of {name}")
        self.assertEqual(scan_memory(self.keybrake.process.pid, needles), set(), "parent")
        for path in [*self.keybrake.data.rglob("*"), self.keybrake.log_path]:
            if path.is_file():
                data = path.read_bytes()
                for needle in needles:
                    self.assertNotIn(needle, data, path)
        for path in ("/v1/keys", "/v1/credentials", "/v1/credentials/stripe", "/v1/audit",
                     "/metrics", "/v1/holds", "/v1/vendors/stripe"):
            _, headers, body = self.keybrake.api_raw("GET", path)
            for needle in needles:
                self.assertNotIn(needle, body + repr(headers).encode(), path)

    def test_the_scan_finds_what_is_there(self):
        # Our own memory holds the secret: a scan that found nothing here would be worth nothing.
        import os
        self.assertTrue(scan_memory(os.getpid(), {self.secrets["stripe"].encode()}))

    def test_tokens_are_stored_as_digests_only(self):
        key = self.issue()
        self.ask(key, "GET", "/stripe/v1/balance")
        time.sleep(0.5)
        for path in pathlib.Path(self.keybrake.data).rglob("*"):
            if path.is_file():
                self.assertNotIn(key["token"].encode(), path.read_bytes(), path)
                self.assertNotIn(self.keybrake.token.encode(), path.read_bytes(), path)
        self.assertNotIn(key["token"], self.keybrake.log_text())

    def test_children_are_not_dumpable_and_see_no_environment(self):
        for name, pids in self.keybrake.pids().items():
            for pid in pids:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                self.assertIn("NoNewPrivs:\t1", status, name)
                self.assertIn("Seccomp:\t2", status, name)
                self.assertEqual(pathlib.Path(f"/proc/{pid}/environ").read_bytes().strip(b"\0"), b"")
                limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
                self.assertRegex(limits, r"Max core file size\s+0\s+0", name)
