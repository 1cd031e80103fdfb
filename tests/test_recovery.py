# SPDX-License-Identifier: Apache-2.0
"""How long the server is away: ready with a long history in the ledger."""

import os
import pathlib
import subprocess
import time
import unittest

import harness

# Built by `make out/BUILD/bench/fill`; ./check does.
FILL = pathlib.Path(harness.BINARY).parent / "bench" / "fill"


@unittest.skipUnless(FILL.exists(), f"{FILL} was not built")
class Recovery(unittest.TestCase):
    def ready_after(self, rows, kill_in_between=0):
        place = harness.Place()
        keybrake = harness.Keybrake(place).init()
        keybrake.deaths_expected = True
        try:
            subprocess.run([FILL, keybrake.data, str(rows)], check=True)
            if harness.AS_ROOT:  # as init leaves it: of the user that the scribe runs as
                owner = (keybrake.data / "db").stat()
                for name in os.listdir(keybrake.data / "db"):
                    os.chown(keybrake.data / "db" / name, owner.st_uid, owner.st_gid)
            for i in range(kill_in_between):  # recovery may be struck down at any point
                keybrake.start(wait=False)
                time.sleep(0.01 + 0.05 * i)
                keybrake.kill()
            began = time.monotonic()
            keybrake.start()
            first = time.monotonic() - began
            held = len(keybrake.api("GET", "/v1/holds?limit=1000")["data"])
            self.assertEqual(held, 1000)
            # And after a crash with all of it in memory.
            keybrake.kill()
            began = time.monotonic()
            keybrake.start()
            again = time.monotonic() - began
            print(f"      {rows:,} ledger rows ({rows // 10:,} open holds, {rows // 2:,} "
                  f"idempotency records): ready after {first:.2f} s, after a kill {again:.2f} s",
                  flush=True)
            return max(first, again)
        finally:
            keybrake.kill()
            place.remove()

    @unittest.skipIf(harness.SANITIZED, "times are of the release build")
    def test_100_000_rows_in_two_seconds(self):
        self.assertLess(self.ready_after(100_000, kill_in_between=5), 2)

    @unittest.skipUnless(os.environ.get("KEYBRAKE_LONG"), "long: a million rows")
    @unittest.skipIf(harness.SANITIZED, "times are of the release build")
    def test_1_000_000_rows_in_five_seconds(self):
        self.assertLess(self.ready_after(1_000_000), 5)
