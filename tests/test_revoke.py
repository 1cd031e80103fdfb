# SPDX-License-Identifier: Apache-2.0
"""A revoked key is dead when DELETE has answered, whatever else is going on."""

import os
import signal
import threading
import time

import harness


class Revoke(harness.Case):
    deaths_expected = True  # a frozen gate is killed

    def test_live_streams_are_cut(self):
        key = self.issue()
        with self.keybrake.connect() as connection:
            connection.sendall(f"GET /stripe/v1/double/events/1000/20 HTTP/1.1\r\nHost: k\r\n"
                               f"Authorization: Bearer {key['token']}\r\n\r\n".encode())
            self.assertIn(b" 200 ", connection.recv(65536))
            self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
            connection.settimeout(2)
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass

    def test_a_frozen_gate_does_not_help(self):
        key = self.issue()
        other = self.issue()
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)
        gates = self.keybrake.pids()["gate"]
        for pid in gates:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        self.assertLess(time.monotonic() - began, 2)
        before = len(self.doubles["stripe"].calls)
        for pid in gates:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.eventually(lambda: self.ask_or_none(other) == 200)
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 401)
        self.assertEqual(len(self.doubles["stripe"].calls), before + 1)

    def ask_or_none(self, key):
        try:
            return self.ask(key, "GET", "/stripe/v1/balance")[0]
        except OSError:
            return None

    def test_nothing_reaches_the_vendor_after_the_answer_under_load(self):
        noise = self.issue()
        stop = threading.Event()

        def load():
            while not stop.is_set():
                self.ask(noise, "GET", "/stripe/v1/balance")

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        times = []
        try:
            for round_ in range(20):
                key = self.issue(label=f"victim-{round_}")
                running = threading.Event()

                def hammer(key=key, running=running):
                    while not running.is_set():
                        try:
                            self.ask(key, "POST", f"/stripe/v1/customers?round={round_}")
                        except OSError:
                            pass

                hammers = [threading.Thread(target=hammer) for _ in range(4)]
                for thread in hammers:
                    thread.start()
                time.sleep(0.05)
                began = time.monotonic()
                self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
                times.append(time.monotonic() - began)
                answered = time.time()
                time.sleep(0.05)
                running.set()
                for thread in hammers:
                    thread.join()
                # The double logs when it has read the whole request: give that a moment.
                late = [c for c in self.doubles["stripe"].calls
                        if f"round={round_}" in c["path"] and c["at"] > answered + 0.05]
                self.assertEqual(late, [])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        times.sort()
        self.assertLess(times[-2], 0.5, times)

    def test_revoke_by_the_token_itself_and_again(self):
        key = self.issue()
        self.keybrake.api("DELETE", "/v1/keys/self", token=key["token"])
        again = self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        self.assertEqual(again["status"], "revoked")

    def test_stops(self):
        key, other = self.issue(label="team-a/1"), self.issue(label="team-b/1")
        stop = self.keybrake.api("POST", "/v1/stops", {"kind": "label_prefix", "value": "team-a/",
                                                       "reason": "a test"})
        status, headers, _ = self.ask(key, "GET", "/stripe/v1/balance")
        self.assertEqual((status, headers["keybrake-denied"]), (403, "stopped"))
        self.assertEqual(self.ask(other, "GET", "/stripe/v1/balance")[0], 200)
        self.keybrake.api("DELETE", f"/v1/stops/{stop['id']}")
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)
