# SPDX-License-Identifier: Apache-2.0
import os
import time
import unittest
from datetime import timedelta
from decimal import Decimal
from unittest import mock

import double
import keybrake
from double import Double, issued, problem
from keybrake.duration import seconds, ttl_for

POLICY = {"vendor": "stripe", "daily_usd_cap": 50, "allowed_endpoints": ["/v1/charges"]}


class Durations(unittest.TestCase):
    def test_what_is_a_time(self):
        for given, expected in (("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), (600, 600),
                                (1.2, 2), (timedelta(minutes=3), 180)):
            self.assertEqual(seconds(given), expected, given)

    def test_what_is_none(self):
        for given in ("", "10", "m", "1.5h", "-1s", "10 m", "10M", "0s", "\u0663s", "9" * 10 + "s", 0,
                      -5, 0.5, float("nan"), float("inf"), timedelta(0)):
            with self.assertRaises(ValueError, msg=repr(given)):
                seconds(given)
        for given in (None, True, [], b"10m"):
            with self.assertRaises(TypeError, msg=repr(given)):
                seconds(given)

    def test_the_key_outlives_its_sandbox_by_a_fifth(self):
        for lifetime, expected in (("10m", 720), ("1s", 2), ("2s", 3), ("5s", 6), ("24h", 103680)):
            self.assertEqual(ttl_for(lifetime), expected)
            self.assertLessEqual(ttl_for(lifetime), 2 * seconds(lifetime))

    def test_a_ttl_of_ones_own(self):
        self.assertEqual(ttl_for("10m", "20m"), 1200)
        self.assertEqual(ttl_for("10m", "1m"), 60)
        with self.assertRaises(ValueError):
            ttl_for("10m", 1201)


class Calls(unittest.TestCase):
    def client(self, server, **more):
        return keybrake.Client(server.url, "kbo_x", **{"timeout": 0.3, **more})

    def test_issue_says_what_was_asked(self):
        with Double() as server:
            key = self.client(server).issue(**POLICY, expires_in="12m", label="run/1",
                                            total_usd_cap=Decimal("0.0079"), params={"models": []})
        call = server.calls[0]
        self.assertEqual((call["method"], call["path"]), ("POST", "/v1/keys"))
        self.assertEqual(call["body"], {**POLICY, "expires_in": "720s", "label": "run/1",
                                        "total_usd_cap": "0.0079", "params": {"models": []}})
        self.assertEqual(call["headers"]["authorization"], "Bearer kbo_x")
        self.assertRegex(call["headers"]["idempotency-key"], r"^[0-9a-f-]{36}$")
        self.assertEqual((key.id, key.token, key.vendor),
                         ("key_0000000000000001", double.TOKEN, "stripe"))
        self.assertNotIn("vk_", repr(key) + repr(vars(key)["policy"]))

    def test_no_cap_is_said_as_null(self):
        with Double() as server:
            self.client(server).issue(**{**POLICY, "daily_usd_cap": None})
        self.assertIn("daily_usd_cap", server.calls[0]["body"])
        self.assertIsNone(server.calls[0]["body"]["daily_usd_cap"])

    def test_the_cap_must_be_said(self):
        with Double() as server, self.assertRaises(TypeError):
            self.client(server).issue(vendor="stripe", allowed_endpoints=["/v1/charges"])

    def test_over_the_local_socket_without_a_token(self):
        with Double(unix=True) as server, \
                mock.patch.dict(os.environ, {"KEYBRAKE_TOKEN": "kbo_y"}):
            keybrake.Client(server.url).issue(**POLICY)
        self.assertNotIn("authorization", server.calls[0]["headers"])

    def test_where_the_environment_says(self):
        with Double() as server, \
                mock.patch.dict(os.environ, {"KEYBRAKE_URL": server.url + "/behind/",
                                             "KEYBRAKE_TOKEN": "kbo_y"}):
            keybrake.Client().issue(**POLICY)
        self.assertEqual(server.calls[0]["headers"]["authorization"], "Bearer kbo_y")
        self.assertEqual(server.calls[0]["path"], "/behind/v1/keys")

    def test_the_default_is_the_local_socket(self):
        with mock.patch.dict(os.environ, {"KEYBRAKE_DATA": "/no/such"}):
            os.environ.pop("KEYBRAKE_URL", None)
            with self.assertRaisesRegex(keybrake.ConnectionFailed, "/no/such/run/control.sock"):
                list(keybrake.Client().list())

    def test_a_token_never_goes_out_in_the_clear(self):
        for url in ("http://broker.example.com", "http://192.0.2.1:8788", "http://[2001:db8::1]"):
            with self.assertRaisesRegex(keybrake.KeybrakeError, "in the clear"):
                keybrake.Client(url, "kbo_x")
            keybrake.Client(url, "kbo_x", insecure=True)
        for url in ("http://localhost:1", "http://127.9.9.9", "http://[::1]:8788",
                    "https://broker.example.com"):
            keybrake.Client(url, "kbo_x")

    def test_urls_that_are_none(self):
        for url in ("ftp://h", "h:80", "https://", "https://u:p@h", "https://h/?q", "https://h/#f"):
            with self.assertRaises(keybrake.KeybrakeError, msg=url):
                keybrake.Client(url, "kbo_x")
        with self.assertRaises(keybrake.KeybrakeError) as caught:
            keybrake.Client("https://h", "kbo_x\r\nX: y")
        self.assertNotIn("kbo_x", str(caught.exception))

    def test_refusals_have_types_and_codes(self):
        for status, code, kind in ((400, "bad_request", keybrake.BadRequest),
                                   (401, "unknown_token", keybrake.Unauthorized),
                                   (403, "out_of_bounds", keybrake.Forbidden),
                                   (404, "not_found", keybrake.NotFound),
                                   (409, "already_issued", keybrake.Conflict),
                                   (412, "changed", keybrake.Conflict),
                                   (422, "idempotency_mismatch", keybrake.Refused),
                                   (503, "limit_reached", keybrake.Unavailable)):
            with Double([problem(status, code, "says why")]) as server:
                with self.assertRaises(kind) as caught:
                    self.client(server).issue(**POLICY)
            self.assertEqual((caught.exception.status, caught.exception.code,
                              caught.exception.detail), (status, code, "says why"))
            self.assertEqual(len(server.calls), 1, "asked again")

    def test_what_is_no_problem_document(self):
        for said in ((404, b"<html>"), (418, {"code": 5, "detail": []}), (500, b"\xff")):
            with Double([said] * 3) as server, self.assertRaises(keybrake.ApiError) as caught:
                self.client(server).revoke("key_1")
            self.assertEqual(caught.exception.code, f"http_{said[0]}")

    def test_what_is_no_answer_of_ours(self):
        for said in ((200, b"hello"), (200, b""), (200, [1]), (200, {"id": 1}), (200, b"\xff")):
            with Double([said]) as server, self.assertRaises(keybrake.BadAnswer):
                self.client(server).issue(**POLICY)
        with Double([b"SSH-2.0-x\r\n"] * 3) as server, \
                self.assertRaises(keybrake.ConnectionFailed):
            self.client(server).issue(**POLICY)

    def test_issue_is_repeated_with_the_same_idempotency_key(self):
        for fault in ("silence", "cut", "reset", "drip", problem(503, "ledger_unavailable"),
                      problem(500, "internal"), (502, b"bad gateway")):
            with Double([fault, fault]) as server:
                self.client(server).issue(**POLICY)
            self.assertEqual(len(server.calls), 3, fault)
            keys = {c["headers"]["idempotency-key"] for c in server.calls}
            self.assertEqual(len(keys), 1)

    def test_it_is_repeated_three_times_at_most(self):
        with Double(["silence"] * 9) as server, self.assertRaises(keybrake.TimedOut):
            self.client(server).issue(**POLICY)
        self.assertEqual(len(server.calls), 3)
        with Double(["reset"] * 9) as server, self.assertRaises(keybrake.ConnectionFailed):
            self.client(server).revoke("key_1")
        self.assertEqual(len(server.calls), 3)

    def test_what_is_not_safe_is_not_repeated(self):
        for call in (lambda c: c.pause("key_1"), lambda c: c.resume("key_1"),
                     lambda c: c.change("key_1", daily_usd_cap=1)):
            with Double(["reset"] * 3) as server, self.assertRaises(keybrake.ConnectionFailed):
                call(self.client(server))
            self.assertEqual(len(server.calls), 1)

    def test_retry_after_is_heeded(self):
        with Double([(*problem(503, "ledger_unavailable"), {"Retry-After": "1"})]) as server, \
                mock.patch("time.sleep") as slept:
            self.client(server).revoke("key_1")
        self.assertEqual(slept.call_args.args, (1.0,))

    def test_the_time_is_for_the_whole_answer(self):
        for fault in ("drip", "drip head"):
            began = time.monotonic()
            with Double([fault]) as server, self.assertRaises(keybrake.TimedOut):
                self.client(server, timeout=0.5).pause("key_1")
            self.assertLess(time.monotonic() - began, 1.5, fault)

    def test_what_the_server_has_to_say_about_a_policy(self):
        with Double([(201, issued(warnings=["'/v1/charge' fits no operation"]))]) as server, \
                self.assertLogs("keybrake", "WARNING") as caught:
            self.client(server).issue(**POLICY)
        self.assertIn("'/v1/charge' fits no operation", caught.output[0])

    def test_nobody_there(self):
        with self.assertRaises(keybrake.ConnectionFailed):
            keybrake.Client(f"http://127.0.0.1:{double.dead_port()}", "kbo_x").show("key_1")

    def test_no_proxy_gets_the_token(self):
        with Double() as server, mock.patch.dict(os.environ, {
                "http_proxy": f"http://127.0.0.1:{double.dead_port()}"}):
            self.client(server).issue(**POLICY)

    def test_redirects_are_not_followed(self):
        with Double() as other, Double([(307, b"", {"Location": other.url})]) as server:
            with self.assertRaises(keybrake.ApiError):
                self.client(server).pause("key_1")
            self.assertEqual(other.calls, [])

    def test_show_change_pause(self):
        raw = issued()
        del raw["token"], raw["env"]
        with Double([(200, raw), (200, {**raw, "status": "paused", "remaining_usd": None}),
                     (200, raw)]) as server:
            client = self.client(server)
            shown = client.show("key_1/../x")
            self.assertEqual((shown.status, shown.remaining_usd, shown.spent_usd),
                             ("active", Decimal("50.00"), Decimal(0)))
            self.assertIsNone(client.pause("key_1").remaining_usd)
            client.change("key_1", if_version=3, daily_usd_cap=Decimal("1.5"))
        self.assertEqual(server.calls[0]["path"], "/v1/keys/key_1%2F..%2Fx")
        self.assertEqual(server.calls[1]["path"], "/v1/keys/key_1/pause")
        self.assertEqual(server.calls[2]["headers"]["if-match"], '"3"')
        self.assertEqual(server.calls[2]["body"], {"daily_usd_cap": "1.5"})

    def test_an_empty_id_is_no_list(self):
        with Double() as server:
            for call in (keybrake.Client.revoke, keybrake.Client.show):
                with self.assertRaises(keybrake.NotFound):
                    call(self.client(server), "")
        self.assertEqual(server.calls, [])

    def test_extend_keeps_the_rule(self):
        raw = issued()
        with Double([(200, raw)]) as server:
            self.client(server).extend("key_1", "10m")
        self.assertEqual(server.calls[0]["body"], {"expires_in": "720s"})

    def test_lists_go_on_to_the_end(self):
        row = {k: v for k, v in issued().items() if k not in ("token", "env")}
        with Double([(200, {"data": [row, row], "next_cursor": "a b"}),
                     (200, {"data": [row], "next_cursor": None})]) as server:
            self.assertEqual(len(list(self.client(server).list(label="run/", vendor=None))), 3)
        self.assertEqual([c["path"] for c in server.calls],
                         ["/v1/keys?label=run%2F&limit=1000",
                          "/v1/keys?label=run%2F&limit=1000&cursor=a+b"])

    def test_a_short_page_is_not_the_end(self):
        rows = [{"sequence": n} for n in range(3)]
        with Double([(200, {"data": [], "next_cursor": "x"}),
                     (200, {"data": rows, "next_cursor": "y"})]) as server:
            self.assertEqual(list(self.client(server).audit(key="key_1", limit=2)), rows[:2])
        self.assertEqual(len(server.calls), 2)

    def test_spend_and_explain(self):
        with Double([(200, {"data": [{"key": "k"}], "next_cursor": None}),
                     (200, {"verdict": "denied"})]) as server:
            client = self.client(server)
            self.assertEqual(client.spend("key", since="2026-11-01"), [{"key": "k"}])
            self.assertEqual(client.explain("key_1", "POST", "/v1/payouts", body="a=1"),
                             {"verdict": "denied"})
        self.assertEqual(server.calls[0]["path"],
                         "/v1/spend?group_by=key&since=2026-11-01&limit=1000")
        self.assertEqual(server.calls[1]["body"], {"key": "key_1", "method": "POST",
                                                   "path": "/v1/payouts", "body": "a=1"})

    def test_the_variables_are_of_one_vendor(self):
        key = keybrake.IssuedKey(issued())
        self.assertEqual(key.env("stripe")["STRIPE_API_KEY"], double.TOKEN)
        key.env()["STRIPE_API_KEY"] = "changed"
        self.assertEqual(key.env()["STRIPE_API_KEY"], double.TOKEN)
        with self.assertRaises(ValueError):
            key.env("twilio")


if __name__ == "__main__":
    unittest.main()
