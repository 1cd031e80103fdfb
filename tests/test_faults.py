# SPDX-License-Identifier: Apache-2.0
"""Money under kill -9: of each process and of all, at random times, under 64-way load."""

import os
import random
import signal
import time

import oracle

HARMLESS = {"ok": 8, "slow": 2, "declined": 1}
HARMFUL = {**HARMLESS, "reset_before": 1, "reset_half": 1, "reset_after": 1, "error_after": 1,
           "cut_head": 1, "cut_body": 1, "reset_body": 1, "hang": 0.2}


class Faultless(oracle.FaultCase):
    deaths_expected = False

    def test_a_run_without_faults_ends_with_nothing_unknown(self):
        self.vendor.fates(**HARMLESS)
        load = self.begin()
        load.start()
        time.sleep(10 if self.long else 3)
        load.stop()
        self.assertEqual(self.oracle.check(most_unknown=0), 0)
        self.assertGreater(sum(1 for c in self.vendor.calls() if c.get("moved")), 100)


class VendorFaults(oracle.FaultCase):
    deaths_expected = False

    def test_a_vendor_that_breaks_at_every_stage(self):
        self.vendor.fates(**HARMFUL)
        load = self.begin()
        for _ in range(5 if self.long else 1):
            load.new_keys()
            before = self.oracle.unanswered()
            load.start()
            time.sleep(6)
            load.stop()
            self.oracle.check(most_unknown=self.oracle.unanswered() - before)


class Kills(oracle.FaultCase):
    def kill_one(self, name, rng):
        pids = self.keybrake.pids().get(name)
        if pids:
            os.kill(rng.choice(pids), signal.SIGKILL)

    def kill(self, name, rng):
        if name == "all":
            self.keybrake.kill()
            self.keybrake.start()
        elif name == "all-twice":  # and once more while it recovers
            self.keybrake.kill()
            self.keybrake.start(wait=False)
            time.sleep(rng.uniform(0, 0.3))
            self.keybrake.kill()
            self.keybrake.start()
        else:
            self.kill_one(name, rng)

    def round(self, name, fates, rng):
        """One kill; what it cost in outcomes that nobody knows."""
        load = self.load
        before = self.oracle.unanswered()
        load.start()
        time.sleep(rng.uniform(0.02, 1.5))
        self.kill(name, rng)
        time.sleep(rng.uniform(0.2, 0.8))
        load.stop()
        most = 0 if name in ("gate", "reader", "control") else self.oracle.unanswered() - before
        if fates is HARMLESS:
            most = min(most, load.clients)  # those in flight
        return self.oracle.check(most_unknown=most, all_keys=False)

    def test_kills(self):
        rng = random.Random(self.seed)
        names = ("gate", "reader", "vault", "judge", "scribe", "control", "all", "all-twice")
        rounds = 200 if self.long else 20
        load = self.begin()
        tally = {name: [0, 0] for name in names}
        for i in range(rounds):
            name = names[i % len(names)]
            fates = HARMFUL if i // len(names) % 2 else HARMLESS
            if name in ("gate", "reader", "control"):
                fates = HARMLESS
            self.vendor.fates(**fates)
            load.new_keys()
            with self.subTest(round=i, kill=name, seed=self.seed):
                tally[name][0] += 1
                tally[name][1] += self.round(name, fates, rng)
        left, seconds = self.oracle.wait_resolved()
        self.oracle.check()
        self.tell(f"all that was charged was found and posted {seconds:.0f} s after the last round; "
                  f"{left} outcomes stay unknown, of charges that were never made")
        self.tell(f"{rounds} kills, {len(load.sent)} requests, "
                  f"{sum(1 for c in self.vendor.calls() if c.get('moved'))} charges; kills and "
                  "unknown outcomes: " + ", ".join(f"{n} {a}/{b}" for n, (a, b) in tally.items()))
