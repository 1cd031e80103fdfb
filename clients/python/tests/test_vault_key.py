# SPDX-License-Identifier: Apache-2.0
import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

import keybrake
from double import Double, problem

POLICY = {"vendor": "stripe", "daily_usd_cap": 50, "allowed_endpoints": ["/v1/charges"],
          "lifetime": "10m"}
HERE = pathlib.Path(__file__).resolve().parent

# A shell starts what runs in its background with Ctrl-C ignored; these tests are about Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup ignores this one

# A program that holds a key; %s is what it does with it.
PROGRAM = """
import asyncio, os, signal, subprocess, sys, threading, time
import keybrake
client = keybrake.Client(sys.argv[1], "kbo_x", timeout=1)
policy = dict(vendor="stripe", daily_usd_cap=50, allowed_endpoints=["/v1/charges"],
              lifetime="10m", client=client)
def ready():
    print("ready", flush=True)
%s
"""
WAITS = PROGRAM % """
with keybrake.vault_key(**policy) as key:
    ready()
    time.sleep(20)
"""


class Blocks(unittest.TestCase):
    def block(self, server, **more):
        return keybrake.vault_key(**{**POLICY, **more},
                                  client=keybrake.Client(server.url, "kbo_x", timeout=0.3))

    def test_issue_use_revoke(self):
        with Double() as server:
            with self.block(server, label="run/1") as key:
                self.assertEqual(key.env("stripe")["STRIPE_API_KEY"], key.token)
                self.assertEqual(server.revoked(), [])
            self.assertEqual(server.revoked(), [key.id])
            self.assertTrue(key.revoked)
            key.revoke()
            self.assertEqual(server.revoked(), [key.id], "twice")
        self.assertEqual(server.calls[0]["body"]["expires_in"], "720s")
        self.assertNotIn("lifetime", server.calls[0]["body"])

    def test_nothing_happens_before_the_block(self):
        with Double() as server:
            self.block(server)
            with self.assertRaises(ValueError):
                self.block(server, ttl="30m")
        self.assertEqual(server.calls, [])

    def test_an_exception_goes_through(self):
        with Double() as server:
            with self.assertRaises(ZeroDivisionError):
                with self.block(server):
                    1 / 0
            self.assertEqual(len(server.revoked()), 1)

    def test_a_key_that_is_gone_already(self):
        with Double() as server:
            with self.block(server) as key:
                server.answers = [problem(404, "not_found")]
            self.assertTrue(key.revoked)

    def test_a_revoke_that_fails_is_said(self):
        with Double() as server:
            with self.assertRaises(keybrake.RevokeFailed) as caught:
                with self.block(server) as key:
                    server.answers = ["reset"] * 3
            self.assertEqual((caught.exception.key_id, caught.exception.expires_at),
                             (key.id, key.expires_at))
            self.assertFalse(key.revoked)
            key.revoke()

    def test_a_revoke_that_fails_hides_no_exception(self):
        with Double() as server, self.assertLogs("keybrake", "ERROR") as logged:
            with self.assertRaises(ZeroDivisionError):
                with self.block(server) as key:
                    server.answers = ["reset"] * 3
                    1 / 0
            key.revoke()
        self.assertIn(key.id, logged.output[0])
        self.assertNotIn("vk_", logged.output[0])

    def test_a_refused_issue_leaves_nothing(self):
        before = signal.getsignal(signal.SIGTERM)
        with Double([problem(400, "bad_request")]) as server:
            with self.assertRaises(keybrake.BadRequest):
                with self.block(server):
                    self.fail("it went on")
        self.assertEqual(server.revoked(), [])
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def test_a_block_is_entered_once(self):
        with Double() as server:
            block = self.block(server)
            with block:
                with self.assertRaises(keybrake.KeybrakeError):
                    with block:
                        pass
            self.assertEqual(server.issues, 1)

    def test_signals_are_as_before(self):
        ours = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        before = [signal.getsignal(n) for n in ours]
        with Double() as server:
            with self.block(server), self.block(server):
                self.assertNotEqual([signal.getsignal(n) for n in ours], before)
            self.assertEqual([signal.getsignal(n) for n in ours], before)

    def test_handlers_of_the_program_stay(self):
        seen = []
        before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
        try:
            with Double() as server, self.block(server):
                os.kill(os.getpid(), signal.SIGTERM)
            self.assertEqual(seen, [1])
        finally:
            signal.signal(signal.SIGTERM, before)

    def test_ctrl_c_while_it_is_issued(self):
        class Slow(Double):
            def usual(self, method, path):
                if method == "POST":
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.1)
                return super().usual(method, path)

        with Slow() as server:
            with self.assertRaises(KeyboardInterrupt):
                with self.block(server):
                    self.fail("it went on")
            self.assertEqual(len(server.revoked()), 1)

    def test_ctrl_c_while_it_is_revoked(self):
        class Slow(Double):
            def usual(self, method, path):
                if method == "DELETE":
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.1)
                return super().usual(method, path)

        with Slow() as server:
            with self.assertRaises(KeyboardInterrupt):
                with self.block(server) as key:
                    pass
            self.assertTrue(key.revoked)

    def test_extend(self):
        with Double() as server:
            with self.block(server) as key:
                server.answers = [(200, {"id": key.id, "status": "active", "spent_usd": "0.00",
                                         "held_usd": "0.00", "expires_at": "later"})]
                key.extend("1h")
                self.assertEqual(key.expires_at, "later")
                with self.assertRaises(ValueError):
                    key.extend("1h", ttl="3h")
        self.assertEqual(server.calls[1]["body"], {"expires_in": "4320s"})

    def test_in_another_thread(self):
        with Double() as server:
            def work():
                with self.block(server):
                    pass

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            self.assertEqual(len(server.revoked()), 1)


class AsyncBlocks(unittest.TestCase):
    block = Blocks.block

    def test_issue_use_revoke(self):
        async def use(server):
            async with self.block(server) as key:
                self.assertEqual(server.revoked(), [])
            return key

        before = signal.getsignal(signal.SIGTERM)
        with Double() as server:
            key = asyncio.run(use(server))
            self.assertEqual(server.revoked(), [key.id])
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def test_cancelled_inside(self):
        async def use(server):
            async def hold():
                async with self.block(server):
                    started.set()
                    await asyncio.sleep(20)

            started = asyncio.Event()
            task = asyncio.create_task(hold())
            await started.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        with Double() as server:
            asyncio.run(use(server))
            self.assertEqual(len(server.revoked()), 1)

    def test_cancelled_while_it_is_issued_or_revoked(self):
        class Slow(Double):
            def usual(self, method, path):
                time.sleep(0.15)
                return super().usual(method, path)

        async def use(server, seconds):
            async def hold():
                async with self.block(server):
                    pass

            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(hold(), seconds)
            await asyncio.sleep(0.5)

        for seconds in (0.05, 0.22):
            with Slow() as server:
                asyncio.run(use(server, seconds))
                self.assertEqual((server.issues, len(server.revoked())), (1, 1), seconds)


class WaysOut(unittest.TestCase):
    """Whole programs, and how they end."""

    def start(self, server, code):
        return subprocess.Popen([sys.executable, "-c", code, server.url], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, start_new_session=True,
                                env={**os.environ, "PYTHONPATH": str(HERE.parent)})

    def end(self, program):
        said = program.communicate(timeout=20)
        return program.returncode, said

    def test_signals(self):
        for number, code in ((signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143),
                             (signal.SIGHUP, 129)):
            with self.subTest(number), Double() as server:
                program = self.start(server, WAITS)
                program.stdout.readline()
                program.send_signal(number)
                status, said = self.end(program)
                self.assertEqual(status, code, said)
                self.assertEqual(server.revoked(), ["key_0000000000000001"])

    def test_a_signal_in_asyncio(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number), Double() as server:
                program = self.start(server, PROGRAM % """
async def main():
    async with keybrake.vault_key(**policy):
        ready()
        await asyncio.sleep(20)
asyncio.run(main())
""")
                program.stdout.readline()
                program.send_signal(number)
                self.end(program)
                self.assertEqual(server.revoked(), ["key_0000000000000001"])

    def test_nohup_stays_nohup(self):
        with Double() as server:
            program = self.start(server, "import signal\n"
                                 "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + WAITS)
            program.stdout.readline()
            program.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            self.assertIsNone(program.poll())
            program.terminate()
            self.end(program)
            self.assertEqual(len(server.revoked()), 1)

    def test_sys_exit_and_a_crash(self):
        for what in ("sys.exit(3)", "1 / 0"):
            with self.subTest(what), Double() as server:
                program = self.start(server, PROGRAM % f"""
with keybrake.vault_key(**policy) as key:
    {what}
""")
                self.end(program)
                self.assertEqual(len(server.revoked()), 1)

    def test_a_daemon_thread_and_a_key_without_a_block(self):
        with Double() as server:
            program = self.start(server, PROGRAM % """
key = keybrake.vault_key(**policy).open()
def hold():
    with keybrake.vault_key(**policy):
        ready()
        time.sleep(20)
threading.Thread(target=hold, daemon=True).start()
time.sleep(1)
""")
            self.end(program)
            self.assertEqual(sorted(server.revoked()),
                             ["key_0000000000000001", "key_0000000000000002"])

    def test_a_signal_that_the_program_turns_into_an_exit(self):
        with Double() as server:
            program = self.start(server, PROGRAM % """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
def work():
    keybrake.vault_key(**policy).open()
    ready()
    time.sleep(0.5)
threading.Thread(target=work).start()
time.sleep(20)
""")
            program.stdout.readline()
            program.terminate()
            self.assertEqual(self.end(program)[0], 143)
            self.assertEqual(server.revoked(), ["key_0000000000000001"])

    def test_a_signal_ends_a_key_without_a_block(self):
        with Double() as server:
            program = self.start(server, PROGRAM % """
key = keybrake.vault_key(**policy).open()
ready()
time.sleep(20)
""")
            program.stdout.readline()
            program.terminate()
            self.assertEqual(self.end(program)[0], 143)
            self.assertEqual(server.revoked(), ["key_0000000000000001"])

    def test_a_fork_ends_nothing(self):
        with Double() as server:
            program = self.start(server, PROGRAM % """
with keybrake.vault_key(**policy) as key:
    if os.fork() == 0:
        sys.exit(0)
    os.wait()
    print(key.revoked, flush=True)
    ready()
    time.sleep(0.2)
""")
            program.stdout.readline()
            self.assertEqual(program.stdout.readline(), "ready\n")
            self.assertEqual(server.revoked(), [])
            self.end(program)
            self.assertEqual(len(server.revoked()), 1)


if __name__ == "__main__":
    unittest.main()
