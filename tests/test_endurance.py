# SPDX-License-Identifier: Apache-2.0
"""Liveness and leaks: 5 s after a fault the throughput is what it was, without a restart by anybody;
and after many requests no process has more descriptors or memory than when it was warm."""

import http.client
import os
import signal
import threading
import time
import unittest

import harness
import oracle
from test_faults import HARMLESS

FORM = {"Content-Type": oracle.FORM}


class Endurance(oracle.FaultCase):
    """Clients that read, and pay without a key of their own: whatever would be remembered of them by
    right (idempotency keys, ended vault keys) is left out."""

    def begin_clients(self, count=16):
        self.vendor.fates(ok=1)
        self.stopping, self.lock, self.done = threading.Event(), threading.Lock(), 0
        token = self.issue(daily_usd_cap=None, total_usd_cap=None)["token"]
        self.threads = [threading.Thread(target=self.client, args=(token,)) for _ in range(count)]
        for thread in self.threads:
            thread.start()
        self.addCleanup(self.end_clients)

    def end_clients(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)

    def client(self, token):
        headers = {"Authorization": f"Bearer {token}", **FORM}
        connection, number = self.keybrake.door(), 0
        connection.timeout = 10
        while not self.stopping.is_set():
            number += 1
            try:
                if number % 4:
                    connection.request("GET", "/stripe/v1/balance", headers=headers)
                else:
                    connection.request("POST", "/stripe/v1/charges",
                                       "amount=1&currency=usd&source=tok_visa", headers)
                answer = connection.getresponse()
                answer.read()
                good = answer.status == 200
            except (OSError, http.client.HTTPException, ValueError):
                connection.close()
                good = False
            if good:
                with self.lock:
                    self.done += 1
            else:
                time.sleep(0.02)
        connection.close()

    def rate(self, seconds):
        before, began = self.done, time.monotonic()
        time.sleep(seconds)
        return (self.done - before) / (time.monotonic() - began)

    # -- liveness

    def lives_on(self, name):
        """Nine tenths of what it was; in the short run, which shares the machine with others whose
        work comes and goes, half."""
        share = 0.9 if self.long else 0.5
        before = self.rate(2)
        for pid in self.keybrake.pids()[name]:
            os.kill(pid, signal.SIGKILL)
        time.sleep(5)
        after = []
        while len(after) < 5:
            after.append(self.rate(2))
            if after[-1] >= share * before:
                break
        self.tell(f"{name}: {before:.0f} requests/s before, {after[-1]:.0f} after "
                  f"({len(after)} looks)")
        self.assertGreaterEqual(after[-1], share * before, (name, before, after))
        self.assertIsNone(self.keybrake.process.poll())

    def test_5_s_after_a_fault_all_is_as_before(self):
        self.begin_clients()
        self.rate(2)
        for name in ("judge", "scribe", "vault", "gate", "reader") if self.long else ("judge",):
            with self.subTest(killed=name):
                self.lives_on(name)

    # -- leaks

    def use(self):
        """By process: descriptors, and kilobytes that are its own."""
        found = {}
        for name, pids in self.keybrake.pids().items():
            for i, pid in enumerate(sorted(pids)):
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                    own = sum(int(line.split()[1]) for line in file
                              if line.startswith(("Private_Clean", "Private_Dirty")))
                found[f"{name}.{i}"] = (len(os.listdir(f"/proc/{pid}/fd")), own)
        return found

    @unittest.skipIf(harness.SANITIZED, "such a build keeps what it freed")
    def test_nothing_leaks(self):
        self.keybrake.kill()
        self.keybrake.start()
        self.begin_clients()
        time.sleep(60 if self.long else 3)
        warm, before = self.use(), self.done
        time.sleep(int(os.environ.get("KEYBRAKE_LEAK_SECONDS", 3600 if self.long else 4)))
        after = self.use()
        self.end_clients()
        self.assertEqual(set(warm), set(after))
        spare = 1024 if self.long else 6 * 1024  # caches of a fixed size fill in the first minute
        for name, (files, kilobytes) in after.items():
            self.assertLessEqual(files, 1.1 * warm[name][0] + 2, f"{name}: descriptors")
            self.assertLessEqual(kilobytes, 1.1 * warm[name][1] + spare, f"{name}: memory")
        self.tell(f"{self.done - before} requests; kilobytes and descriptors warm and after: "
                  + ", ".join(f"{n} {warm[n][1]}/{after[n][1]} {warm[n][0]}/{after[n][0]}"
                              for n in sorted(after)))
