# SPDX-License-Identifier: Apache-2.0
"""Hours and days of the ledger, on the real program with a clock that is moved on (tests/clock): polls,
the vendor's memory of idempotency keys, deadlines, and midnight under load."""

import datetime
import mmap
import shutil
import struct
import time
import unittest

import harness
import oracle
from test_faults import HARMLESS
from test_objects import FORM, Objects

PROGRAM = harness.ROOT / "out" / "release" / "tests" / "clock" / "keybrake"
WHY_NOT = None if PROGRAM.exists() else "the program with another clock is not built (make impostors)"
MINUTE, HOUR, DAY = 60, 3600, 86400


class Clock:
    """What the processes of one keybrake add to the time."""

    def __init__(self, place):
        where = place.path / "program"
        where.mkdir()
        where.chmod(0o755)
        self.program = where / "keybrake"
        shutil.copy(PROGRAM, self.program)
        (where / "clock").write_bytes(bytes(16))
        with open(where / "clock", "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 16)
        self.ahead = 0

    def move(self, seconds):
        self.ahead += seconds
        self.map[:16] = struct.pack("=qq", int(self.ahead * 1000), int(self.ahead * 1000))

    def now(self):
        return time.time() + self.ahead


class ClockCase:
    """Mixed into a Case: its keybrake has a clock."""

    @classmethod
    def make_keybrake(cls, place):
        keybrake = super().make_keybrake(place)
        cls.clock = Clock(place)
        keybrake.binary = cls.clock.program
        return keybrake

    def move(self, seconds):
        self.clock.move(seconds)
        for double in self.doubles.values():
            double.clock_offset = self.clock.ahead
        time.sleep(0.1)  # each process looks at least every 20 ms


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Hours(ClockCase, Objects):
    vendors = ["stripe", "twilio"]

    def gets(self, number):
        return len([c for c in self.double.calls if c["method"] == "GET" and number in c["path"]])

    def states(self, key):
        """Of its open holds; what is held is of the day that admitted it, and so not in today's."""
        return [h["state"] for h in self.keybrake.api("GET", "/v1/holds")["data"]
                if h["key"] == key["id"]]

    def test_what_is_held_is_looked_at_after_5_minutes_an_hour_and_every_6(self):
        key = self.issue(expires_in="23h")
        number = self.intent(key)
        looks = 0
        for wait in (5 * MINUTE, HOUR, 6 * HOUR, 6 * HOUR):
            self.move(wait - 10)
            time.sleep(0.5)
            self.assertEqual(self.gets(number), looks, f"before {wait} s")
            self.move(20)
            looks += 1
            self.eventually(lambda: self.gets(number) == looks)
            time.sleep(0.1)  # its answer is dealt with
        self.double.objects[number]["status"] = "canceled"
        self.move(6 * HOUR + 1)
        self.eventually(lambda: self.money(key) == (0, 0))

    def test_a_key_is_remembered_for_23_hours(self):
        """The vendor remembers for 24; in its last hour a repeat is a request like any other."""
        run = {"run_id": self.id(), "expires_in": "24h"}
        first = self.issue(**run)

        def charge(key):
            return self.post(key, "/v1/charges", {"Idempotency-Key": "once"}, amount=1000,
                             currency="usd", source="tok_visa")

        status, made, _ = charge(first)
        self.assertEqual((status, self.money(first)), (200, (10, 0)))
        for wait in (HOUR, 21 * HOUR, 58 * MINUTE):
            self.move(wait)
            status, body, head = charge(first)
            self.assertEqual((status, body["id"], head["idempotent-replayed"]),
                             (200, made["id"], "true"))
            self.assertEqual(self.money(first)[1], 0)
        second = self.issue(**run)
        self.assertEqual(charge(second)[1]["id"], made["id"])
        self.assertEqual(self.money(second), (0, 0))
        self.move(3 * MINUTE)
        charge(second)  # the vendor may forget it any moment, so it counts, whatever it says
        self.assertEqual(self.money(second), (10, 0))
        self.move(HOUR)
        status, body, head = charge(second)
        self.assertEqual((status, "idempotent-replayed" in head, self.money(second)),
                         (200, False, (10, 0)))  # made anew, and paid for an hour before
        self.assertNotEqual(body["id"], made["id"])

    def test_unknown_for_a_day_is_posted_as_presumed(self):
        key = self.issue(expires_in="24h")
        self.double.forbidden = ("/v1/events",)
        self.double.lose_answers = 2
        self.post(key, "/v1/payment_intents", amount=4000, currency="usd", confirm="true",
                  payment_method="pm_card_visa")
        self.assertEqual(self.money(key), (0, 40))
        self.move(23 * HOUR + 59 * MINUTE)
        time.sleep(1.5)
        self.assertEqual(self.states(key), ["unknown"])
        self.move(2 * MINUTE)
        self.eventually(lambda: self.states(key) == [])
        rows = self.eventually(lambda: [r for r in self.audit(key=key["id"])
                                        if r["event"] == "presumed"])
        self.assertEqual(rows[0]["settled_usd"], "40.00")

    def test_a_message_without_a_price_is_posted_at_its_estimate_after_a_day(self):
        key = self.issue(vendor="twilio", allowed_endpoints=["messages.*"], expires_in="24h")
        account = harness.others.Twilio.ACCOUNT
        status, _, text = self.keybrake.ask(
            None, "POST", f"/twilio/2010-04-01/Accounts/{account}/Messages.json",
            "To=%2B14155550100&From=%2B14155550101&Body=hello",
            {**FORM, "Authorization": harness.basic(account, key["token"])})
        self.assertEqual(status, 201, text)
        spent, held = self.money(key)
        self.assertEqual(spent, 0)
        self.assertGreater(held, 0)
        self.move(23 * HOUR + 50 * MINUTE)
        time.sleep(0.5)
        self.assertEqual(self.states(key), ["held"])
        self.move(11 * MINUTE)
        self.eventually(lambda: [r for r in self.audit(key=key["id"])
                                 if r["reason"] == "estimated_after_its_time"])

    def test_eight_tries_to_cancel(self):
        self.double.fail_cancels = 1000
        key = self.issue(params={"on_key_end": "cancel_open"})
        number = self.intent(key)
        before = len(self.double.calls)
        self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")

        def cancels():
            return len([c for c in self.double.calls[before:]
                        if c["path"].endswith(number + "/cancel")])
        self.eventually(cancels)
        for _ in range(40):
            self.move(HOUR)
            time.sleep(0.05)
        self.eventually(lambda: cancels() == 8)
        looks = self.gets(number)
        self.move(7 * HOUR)
        self.eventually(lambda: self.gets(number) > looks)  # polled as any other
        self.assertEqual(cancels(), 8)
        self.double.fail_cancels = 0


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Midnight(ClockCase, oracle.FaultCase):
    """64 clients over midnight: each charge counts on one day, and each day has its cap."""

    deaths_expected = False

    def test_each_charge_is_of_one_day(self):
        self.vendor.fates(**HARMLESS)
        for night in range(5 if self.long else 1):
            now = datetime.datetime.fromtimestamp(self.clock.now(), datetime.timezone.utc)
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            midnight += datetime.timedelta(days=1)
            self.move((midnight - now).total_seconds() - 3.5)
            load = self.begin() if night == 0 else self.load
            with self.subTest(night=night, seed=self.seed):
                load.new_keys(200000, 400000)  # more than the evening spends
                keys = list(load.keys)
                load.start()
                time.sleep(max(0.0, midnight.timestamp() - self.clock.now()) + 1.5)
                load.stop()
                self.check(keys, midnight)
        self.tell(f"{len(load.sent)} requests, "
                  f"{sum(1 for c in self.vendor.calls() if c.get('moved'))} charges")

    def check(self, keys, midnight):
        self.oracle.wait_quiet()
        days = [int(midnight.timestamp()) // DAY - 1, int(midnight.timestamp()) // DAY]
        holds, windows, numbers, _ = self.oracle.rows()
        by_day = {(owner, day): (done, held) for level, owner, day, done, held in windows
                  if level == 0}
        moved = {}
        for call in self.vendor.calls():
            if call.get("moved"):
                moved[call["form"]["description"]] = call["moved"]
        both = 0
        for key in keys:
            number = numbers[key.id]
            sums = {day: sum(h[5] for h in holds if h[1] == number and h[2] == day)
                    for day in days}
            charged = sum(moved.get(s.name, 0) for s in self.load.sent if s.key is key)
            self.assertEqual(sum(sums.values()), charged * oracle.CENT, key.id)
            self.assertEqual({h[2] for h in holds if h[1] == number} - set(days), set())
            for day in days:
                done, held = by_day.get((key.id, day), (0, 0))
                self.assertEqual((done, held), (sums[day], 0), (key.id, day))
                self.assertLessEqual(done, key.cap * oracle.CENT)
            both += all(sums.values())
            # It lives no longer than a day, so that midnight does not double what it may spend.
            self.assertLessEqual(charged, key.cap)
        self.assertGreater(both, 0, "nothing was charged on both days")
