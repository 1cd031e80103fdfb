# SPDX-License-Identifier: Apache-2.0
"""Load, and an oracle that says whether money came through it unharmed.

The vendor is a program of its own, never killed, that writes each charge to a log, fsynced, before
it answers.  `Load` is 64 clients with 8 vault keys whose caps are too small for what they ask.
`Oracle.check()` compares the vendor's log, what clients were told, and what keybrake says: by its
API, and by the rows of its database.  It resolves nothing itself.

    U   what the vendor's log says a key has spent
    L   what keybrake posted for it        (spent_usd)
    P   what keybrake holds for it         (held_usd)
"""

import http.client
import json
import os
import pathlib
import random
import sqlite3
import subprocess
import sys
import threading
import time

import harness

CENT = 10_000_000  # nano-dollars
FORM = "application/x-www-form-urlencoded"
HOLD_STATES = {"open": 0, "unknown": 1, "held": 2, "posted": 3, "voided": 4}
REVOKE_GRACE = 2.0  # the double stamps a request after it has read it, and threads wait their turn


class Vendor:
    """tests/vendor/faulty_stripe.py as a process."""

    def __init__(self, place):
        self.secret = harness.fake_secret("stripe")
        self.log = place.path / "vendor.log"
        self.log.touch()
        secret_file = place.path / "vendor.secret"
        secret_file.write_text(self.secret)
        program = harness.ROOT / "tests" / "vendor" / "faulty_stripe.py"
        self.process = subprocess.Popen(
            [sys.executable, str(program), place.certificates / "cert.pem",
             place.certificates / "cert.key", secret_file, self.log],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.read_to, self.entries = 0, []

    def fates(self, **weights):
        self.process.stdin.write(json.dumps({k.replace("_", "-"): v for k, v in weights.items()})
                                 + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"

    def calls(self):
        with open(self.log, encoding="utf-8") as file:
            file.seek(self.read_to)
            for line in file:
                if not line.endswith("\n"):
                    break
                self.read_to += len(line.encode())
                entry = json.loads(line)
                entry["form"] = dict(p.partition("=")[::2] for p in entry["body"].split("&"))
                self.entries.append(entry)
        return self.entries

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class Sent:
    """One logical request, with all its attempts."""

    def __init__(self, key, name, amount, client_key):
        self.key, self.name, self.amount, self.client_key = key, name, amount, client_key
        self.answers = []  # (status, denied) or None for an answer that never came


class Key:
    def __init__(self, issued, cap_cents):
        self.id, self.token, self.cap = issued["id"], issued["token"], cap_cents
        self.revoked_at = None  # when DELETE had answered
        self.revoking = False


class Load:
    """Clients that go on whatever happens."""

    def __init__(self, case, vendor, seed, clients=64, keys=8):
        self.case, self.vendor, self.keybrake = case, vendor, case.keybrake
        self.rng = random.Random(seed)
        self.clients, self.key_count = clients, keys
        self.keys, self.all_keys, self.sent = [], [], []
        self.new = []  # keys of this round
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = []
        self.number = 0

    def issue(self, cap_cents):
        issued = self.keybrake.api("POST", "/v1/keys", {
            "label": f"load{len(self.all_keys)}", "vendor": "stripe",
            "daily_usd_cap": f"{cap_cents // 100}.{cap_cents % 100:02}",
            "allowed_endpoints": ["/v1/*"], "expires_in": "2h"})
        key = Key(issued, cap_cents)
        with self.lock:
            self.all_keys.append(key)
            self.new.append(key)
            self.keys.append(key)
        return key

    def new_keys(self, low=500, high=5000):
        """Eight others; about half of what is asked must be refused in the end."""
        before = list(self.keys)
        for _ in range(self.key_count):
            self.issue(self.rng.randint(low, high))
        with self.lock:
            self.keys = [k for k in self.keys if k not in before]

    # -- the clients

    def one(self, rng):
        with self.lock:
            self.number += 1
            number = self.number
            key = rng.choice(self.keys)
        amount = rng.choice([1, 50, 99, 100, 101, 333, key.cap])
        client_key = f"ck-{number}" if rng.random() < 0.5 else None
        sent = Sent(key, f"n{number}", amount, client_key)
        with self.lock:
            self.sent.append(sent)
        return sent

    def attempt(self, connection, sent):
        headers = {"Authorization": f"Bearer {sent.key.token}", "Content-Type": FORM}
        if sent.client_key:
            headers["Idempotency-Key"] = sent.client_key
        body = f"amount={sent.amount}&currency=usd&source=tok_visa&description={sent.name}"
        sent.answers.append(None)
        connection.request("POST", "/stripe/v1/charges", body, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status == 200:
            json.loads(data)  # a 200 that is cut is none
        sent.answers[-1] = (answer.status, answer.getheader("Keybrake-Denied"))
        return answer.status

    def client(self, seed):
        rng = random.Random(seed)
        connection = self.keybrake.door()
        connection.timeout = 40
        while not self.stopping.is_set():
            sent = self.one(rng)
            for _ in range(rng.choice([1, 1, 2, 4]) if sent.client_key else 1):
                try:
                    status = self.attempt(connection, sent)
                except (OSError, http.client.HTTPException, ValueError):
                    connection.close()
                    time.sleep(rng.uniform(0.01, 0.1))
                    status = 599
                if status < 500 or self.stopping.is_set():
                    break
            if status == 429:
                time.sleep(rng.uniform(0, 0.1))
        connection.close()

    def revoker(self, seed):
        """Issues keys, uses them, revokes some; remembers only what was answered."""
        rng = random.Random(seed)
        while not self.stopping.is_set():
            try:
                key = self.issue(rng.randint(50, 300))
            except (OSError, http.client.HTTPException, harness.Refusal, ValueError):
                time.sleep(0.05)
                continue
            time.sleep(rng.uniform(0.05, 0.4))
            with self.lock:
                if key in self.keys:
                    self.keys.remove(key)
            if rng.random() < 0.7:
                self.revoke(key)

    def revoke(self, key):
        key.revoking = True
        try:
            self.keybrake.api("DELETE", f"/v1/keys/{key.id}")
            key.revoked_at = time.time()
        except (OSError, http.client.HTTPException, harness.Refusal, ValueError):
            pass

    def start(self):
        self.stopping.clear()
        seeds = [self.rng.random() for _ in range(self.clients + 1)]
        self.threads = [threading.Thread(target=self.client, args=(s,)) for s in seeds[1:]]
        self.threads.append(threading.Thread(target=self.revoker, args=(seeds[0],)))
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        self.threads = []


def cents(text):
    whole, _, part = text.partition(".")
    assert int((part + "0" * 9)[2:9] or 0) == 0, f"{text} is not whole cents"
    return int(whole) * 100 + int((part + "00")[:2])


class Oracle:
    def __init__(self, case, vendor, load):
        self.case, self.vendor, self.load, self.keybrake = case, vendor, load, case.keybrake
        self.problems = []
        self.unknown_before = set()
        self.audit_read, self.intents = 0, set()

    def say(self, condition, text):
        if not condition:
            self.problems.append(text)

    def wait_quiet(self, seconds=30):
        """Ready, nothing under way any more."""
        end = time.monotonic() + seconds
        while True:
            try:
                status, _, _ = self.keybrake.api_raw("GET", "/readyz")
                if status == 200 and not [h for h in self.holds() if h["state"] == "open"]:
                    return
            except (OSError, http.client.HTTPException, harness.Refusal):
                pass
            assert time.monotonic() < end, "not ready and quiet in time"
            time.sleep(0.05)

    def listed(self, path):
        found, cursor = [], ""
        while True:
            page = self.keybrake.api("GET", f"{path}limit=1000{cursor}")
            found += page["data"]
            if not page.get("next_cursor"):
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def holds(self):
        return self.listed("/v1/holds?")

    # -- what each criterion says

    def held_now(self, key, holds):
        """What the key shows, and what its holds held at the same moment: holds are looked up at
        the vendor all the time, so that one may have moved between two questions."""
        for _ in range(50):
            shown = self.keybrake.api("GET", f"/v1/keys/{key.id}")
            held = sum(cents(h["held_usd"]) for h in holds if h["key"] == key.id)
            if cents(shown["held_usd"]) == held:
                break
            holds = self.holds()
        return shown, held

    def check_keys(self, keys):
        moved = {}
        for call in self.vendor.calls():
            if call.get("moved"):
                moved.setdefault(call["form"].get("description"), []).append(call)
        of_key = {}
        for sent in self.load.sent:
            for call in moved.get(sent.name, []):
                of_key[sent.key] = of_key.get(sent.key, 0) + call["moved"]
        holds = self.holds()
        for key in keys:
            shown, held = self.held_now(key, holds)
            u = of_key.get(key, 0)
            l, p = cents(shown["spent_usd"]), cents(shown["held_usd"])
            name = f"{key.id} (cap {key.cap}): vendor {u}, posted {l}, held {p}"
            self.say(u <= key.cap, f"cap: {name}")
            self.say(l + p <= key.cap, f"cap in the ledger: {name}")
            self.say(l + p >= u, f"lost spend: {name}")
            self.say(l <= u, f"posted what was never charged: {name}")
            self.say(p == held, f"held differs from its holds: {name}")
            if not p:
                self.say(l == u, f"not to the cent: {name}")
            if key.revoked_at:
                self.say(shown["status"] == "revoked", f"revoke undone: {name}")
        return moved

    def check_once(self, moved):
        for sent in self.load.sent:
            made = moved.get(sent.name, [])
            name = f"{sent.name} of {sent.key.id}: {len(made)} charges, told {sent.answers}"
            self.say(len(made) <= 1, f"twice: {name}")
            if any(a and a[0] == 200 for a in sent.answers):
                self.say(len(made) == 1, f"a 200 without a charge: {name}")
            denied = [a for a in sent.answers if a and a[1] and a[1] not in
                      ("outcome_unknown", "upstream_timeout", "revoked_key", "in_flight")]
            if len(denied) == len(sent.answers):
                self.say(not made, f"denied, and charged: {name}")
        names = {sent.name: sent for sent in self.load.sent}
        times = {}
        for call in self.vendor.calls():
            if call["method"] != "POST":
                continue
            sent = names.get(call["form"].get("description"))
            if sent is None:
                self.say(False, f"a charge that nobody asked for: {call}")
                continue
            times[sent] = times.get(sent, 0) + 1
            if sent.key.revoked_at:
                late = call["at"] - sent.key.revoked_at
                self.say(late < REVOKE_GRACE, f"sent {late:.1f} s after its key was revoked: {call}")
        for sent, count in times.items():
            # A repeat of ours: one on a fresh connection, where the vendor honours the key.
            self.say(count <= 2 * len(sent.answers),
                     f"{sent.name} came {count} times for {len(sent.answers)} attempts")

    def rows(self):
        """The database, read as it stands; never written."""
        path = self.keybrake.data / "db" / "keybrake.db"
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            db.execute("BEGIN")
            holds = db.execute("SELECT hold, key, day, state, held, posted, idempotency"
                               " FROM holds").fetchall()
            windows = db.execute("SELECT level, owner, day, posted, held FROM windows").fetchall()
            keys = dict(db.execute("SELECT id, key FROM keys").fetchall())
            spend = dict(db.execute("SELECT key, sum(posted) FROM spend GROUP BY key").fetchall())
        finally:
            db.close()
        return holds, windows, keys, spend

    def check_rows(self):
        """I1, I2 and the sums, over the rows."""
        holds, windows, keys, spend = self.rows()
        caps = {keys[k.id]: k.cap * CENT for k in self.load.all_keys}
        ours = {k.id for k in self.load.all_keys}
        held, posted = {}, {}
        for hold, key, _, state, amount, done, _ in holds:
            self.say(state < 3 or amount == 0, f"hold {hold} is over and holds {amount}")
            self.say(state != HOLD_STATES["voided"] or done == 0, f"hold {hold} is voided and posted")
            held[key] = held.get(key, 0) + amount
            posted[key] = posted.get(key, 0) + done
        for level, owner, day, done, amount in windows:
            if owner not in ours or level != 0:
                continue
            key = keys[owner]
            self.say(done + amount <= caps[key], f"I1: {owner} day {day}: {done} + {amount}")
            if day == -1:
                self.say(amount == held.get(key, 0), f"window of {owner} holds {amount}, "
                         f"its holds {held.get(key, 0)}")
                self.say(done == posted.get(key, 0), f"window of {owner} posted {done}, its holds "
                         f"{posted.get(key, 0)}")
                self.say(done == spend.get(key, 0), f"window of {owner} posted {done}, its audit "
                         f"rows {spend.get(key, 0)}")

    def read_audit(self):
        """Keeps the request ids of all that was allowed, from where it stopped the last time."""
        cursor, newest = "", self.audit_read
        while True:
            page = self.keybrake.api("GET", f"/v1/audit?limit=1000{cursor}")
            for row in page["data"]:
                if row["sequence"] <= self.audit_read:
                    break
                newest = max(newest, row["sequence"])
                if row["event"] == "request" and row["verdict"] == "allowed":
                    self.intents.add(row["request_id"])
            else:
                if page.get("next_cursor"):
                    cursor = f"&cursor={page['next_cursor']}"
                    continue
            break
        self.audit_read = newest

    def check_intents(self):
        """Whatever reached the vendor has its intent row."""
        self.read_audit()
        for call in self.vendor.calls():
            key = call.get("idempotency_key") or ""
            tail = key.rpartition(".")[2]
            if tail.startswith("req_") or (tail and not tail.startswith("ck-")):
                self.say(tail in self.intents, f"no intent row for {key}")

    def check_chain(self):
        done = self.keybrake.run("audit", "verify", check=False)
        self.say(done.returncode == 0, f"audit verify: {done.stdout}{done.stderr}")

    def check_unknown(self, most=None):
        """How many more have an unknown outcome now; never more than requests without an answer."""
        unknown = {h["id"] for h in self.holds() if h["state"] == "unknown"}
        more = len(unknown - self.unknown_before)
        self.unknown_before = unknown
        if most is not None:
            self.say(more <= most, f"{more} more UNKNOWN, where at most {most} may be")
        return more

    def unanswered(self):
        """Requests whose last attempt had no answer, or one that says nothing."""
        return sum(1 for s in self.load.sent
                   if any(a is None or a[0] >= 500 or a[1] == "revoked_key" for a in s.answers))

    def wait_resolved(self, seconds=75):
        """Until keybrake has found out by itself all that the vendor can be asked about: every
        charge that was made is posted.  What was never made stays UNKNOWN: not to find it is no
        proof.  How many still are, and how long it took."""
        began = time.monotonic()
        moved = {}
        names = {sent.name: sent.key for sent in self.load.sent}
        for call in self.vendor.calls():
            if call.get("moved"):
                key = names[call["form"]["description"]].id
                moved[key] = moved.get(key, 0) + call["moved"]
        while True:
            missing = {}
            for key in {h["key"] for h in self.holds() if h["state"] == "unknown"}:
                spent = cents(self.keybrake.api("GET", f"/v1/keys/{key}")["spent_usd"])
                if spent != moved.get(key, 0):
                    missing[key] = (spent, moved.get(key, 0))
            took = time.monotonic() - began
            if not missing or took > seconds:
                self.case.assertEqual(missing, {}, "posted and charged, by key, a minute later")
                return sum(1 for h in self.holds() if h["state"] == "unknown"), took
            time.sleep(1)

    def check(self, most_unknown=None, all_keys=True):
        """`all_keys`: also those of earlier rounds, one by one; their rows are always looked at."""
        self.wait_quiet()
        self.check_once(self.check_keys(self.load.all_keys if all_keys else self.load.new))
        self.load.new = []
        self.check_rows()
        self.check_intents()
        self.check_chain()
        more = self.check_unknown(most_unknown)
        problems, self.problems = self.problems, []
        self.case.assertEqual(problems[:20], [], f"{len(problems)} problems")
        return more


class FaultCase(harness.Case):
    """A keybrake, the faulty vendor, and load."""

    vendors = []
    deaths_expected = True
    seed = int(os.environ.get("KEYBRAKE_SEED", "0")) or random.randrange(1, 1 << 30)
    long = bool(os.environ.get("KEYBRAKE_LONG"))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.vendor = Vendor(cls.place)
        cls.put_credential(cls.keybrake)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.vendor.stop()

    @classmethod
    def put_credential(cls, keybrake):
        keybrake.api("PUT", "/v1/credentials/stripe", {
            "vendor": "stripe", "secret": cls.vendor.secret, "allow_private": True,
            "upstream": f"https://localhost:{cls.vendor.port}",
            "ca_pem": (cls.place.certificates / "ca.pem").read_text()})

    def begin(self, **load):
        self.load = Load(self, self.vendor, self.seed, **load)
        self.addCleanup(self.load.stop)
        self.oracle = Oracle(self, self.vendor, self.load)
        self.load.new_keys()
        return self.load

    def tell(self, text):
        print(f"      {self.id().rpartition('.')[2]}: {text}  (KEYBRAKE_SEED={self.seed})",
              flush=True)
