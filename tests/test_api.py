# SPDX-License-Identifier: Apache-2.0
"""The control API as a contract: names, spellings, refusals, roles."""

import json
import socket

import harness
from harness import Refusal


class Api(harness.Case):
    def refused(self, status, *call, **more):
        with self.assertRaises(Refusal) as caught:
            self.keybrake.api(*call, **more)
        self.assertEqual(caught.exception.status, status, caught.exception)
        problem = caught.exception.problem
        self.assertTrue(problem["title"] and problem["detail"] and problem["code"], problem)
        self.assertEqual(problem["status"], status)
        return problem

    def policy(self, **change):
        body = {"label": "a", "vendor": "stripe", "daily_usd_cap": 5,
                "allowed_endpoints": ["/v1/balance"]}
        body.update(change)
        return {k: v for k, v in body.items() if v != "leave out"}

    # -- keys

    def test_issue_and_show(self):
        key = self.keybrake.api("POST", "/v1/keys", self.policy(daily_usd_cap="12.345678901",
                                                                run_id="run-1", tenant="acme"))
        self.assertEqual(key["vendor"], "stripe")
        shown = self.keybrake.api("GET", f"/v1/keys/{key['id']}")
        self.assertEqual(shown["daily_usd_cap"], "12.345678901")
        self.assertEqual((shown["status"], shown["spent_usd"], shown["held_usd"]),
                         ("active", "0.00", "0.00"))
        self.assertEqual((shown["run_id"], shown["tenant"]), ("run-1", "acme"))
        self.assertNotIn("token", shown)
        self.assertNotIn(key["token"], json.dumps(shown))

    def test_money_in_is_exact_or_refused(self):
        for good, echoed in ((50, "50.00"), ("0.5", "0.50"), ("0.000000001", "0.000000001"),
                             (12.34, "12.34"), (0.1, "0.10"), (None, None)):
            key = self.keybrake.api("POST", "/v1/keys", self.policy(daily_usd_cap=good))
            shown = self.keybrake.api("GET", f"/v1/keys/{key['id']}")
            self.assertEqual(shown["daily_usd_cap"], echoed)
        for bad in (-1, "1e3", "", "abc", 0.1234567, "0.0000000001", True, [], "99999999999999"):
            self.refused(400, "POST", "/v1/keys", self.policy(daily_usd_cap=bad))

    def test_what_must_be_said(self):
        for name in ("allowed_endpoints", "daily_usd_cap", "vendor"):
            problem = self.refused(400, "POST", "/v1/keys", self.policy(**{name: "leave out"}))
            self.assertIn(name, problem["detail"])
        self.refused(400, "POST", "/v1/keys", self.policy(unknown_field=1))
        self.refused(400, "POST", "/v1/keys", self.policy(allowed_endpoints=[]))
        self.refused(400, "POST", "/v1/keys", self.policy(expires_in="1 week"))
        self.refused(400, "POST", "/v1/keys", self.policy(expires_in="30d"))
        self.refused(400, "POST", "/v1/keys", b"{not json")
        self.refused(400, "POST", "/v1/keys", b'{"vendor":"stripe","vendor":"x"}')
        problem = self.refused(400, "POST", "/v1/keys",
                               self.policy(allowed_endpoints=["charges.creat"]))
        self.assertIn("charges.create", problem["detail"])

    def test_the_other_published_spelling(self):
        body = {"agent_run_label": "a", "vendor": "stripe", "daily_usd_cap": 5,
                "allowed_endpoints": ["/v1/balance"]}
        key = self.keybrake.api("POST", "/vault/keys", body)
        self.assertTrue(key["vault_key"].startswith("vk_"))
        self.assertTrue(key["key_id"].startswith("key_"))
        self.assertEqual(self.keybrake.ask(key["vault_key"], "GET", "/stripe/v1/balance")[0], 200)
        self.keybrake.api("DELETE", f"/vault/keys/{key['key_id']}")
        self.assertEqual(self.keybrake.ask(key["vault_key"], "GET", "/stripe/v1/balance")[0], 401)

    def test_repeated_issue(self):
        again = {"Idempotency-Key": "abc"}
        one = self.keybrake.api("POST", "/v1/keys", self.policy(), headers=again)
        two = self.keybrake.api("POST", "/v1/keys", self.policy(), headers=again)
        self.assertEqual(one["id"], two["id"])
        self.assertNotEqual(one["token"], two["token"])
        self.assertEqual(self.keybrake.ask(one["token"], "GET", "/stripe/v1/balance")[0], 401)
        self.assertEqual(self.keybrake.ask(two["token"], "GET", "/stripe/v1/balance")[0], 200)
        self.refused(422, "POST", "/v1/keys", self.policy(daily_usd_cap=6), headers=again)

    def test_patch(self):
        key = self.keybrake.api("POST", "/v1/keys", self.policy())
        status, headers, _ = self.keybrake.api_raw("GET", f"/v1/keys/{key['id']}")
        changed = self.keybrake.api("PATCH", f"/v1/keys/{key['id']}", {"daily_usd_cap": 9},
                                    headers={"If-Match": headers["etag"]})
        self.assertEqual(changed["daily_usd_cap"], "9.00")
        self.refused(412, "PATCH", f"/v1/keys/{key['id']}", {"daily_usd_cap": 10},
                     headers={"If-Match": headers["etag"]})
        self.refused(400, "PATCH", f"/v1/keys/{key['id']}", {"vendor": "github"})
        self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        self.refused(409, "PATCH", f"/v1/keys/{key['id']}", {"daily_usd_cap": 1})

    def test_lists_have_pages_newest_first(self):
        made = [self.keybrake.api("POST", "/v1/keys", self.policy(label=f"page/{i}"))["id"]
                for i in range(5)]
        found, cursor = [], ""
        while cursor is not None:
            page = self.keybrake.api("GET", "/v1/keys?label=page/&limit=2" +
                                     (f"&cursor={cursor}" if cursor else ""))
            self.assertLessEqual(len(page["data"]), 2)
            found += [k["id"] for k in page["data"]]
            cursor = page["next_cursor"]
        self.assertEqual(found, made[::-1])
        self.refused(400, "GET", "/v1/keys?limit=5000")
        self.refused(400, "GET", "/v1/keys?unknown=1")

    def test_unknown_things(self):
        self.refused(404, "GET", "/v1/keys/key_0000000000000000")
        self.refused(404, "GET", "/v1/nothing")
        self.refused(404, "GET", "/v1/credentials/nothing")
        status, headers, _ = self.keybrake.api_raw("PUT", "/v1/keys")
        self.assertEqual(status, 405)
        self.assertIn("POST", headers["allow"])

    # -- who may

    def test_roles(self):
        viewer = self.keybrake.api("POST", "/v1/tokens", {"name": "v", "role": "viewer"})
        issuer = self.keybrake.api("POST", "/v1/tokens", {"name": "i", "role": "issuer", "bounds": {
            "daily_usd_cap": 10, "allowed_endpoints": ["/v1/balance"]}})
        self.refused(401, "GET", "/v1/keys", token="kbo_" + "A" * 38)
        self.refused(401, "GET", "/v1/keys", token="nonsense")
        self.assertIn("data", self.keybrake.api("GET", "/v1/keys", token=viewer["token"]))
        self.refused(403, "POST", "/v1/keys", self.policy(), token=viewer["token"])
        self.keybrake.api("POST", "/v1/keys", self.policy(), token=issuer["token"])
        self.refused(403, "POST", "/v1/keys", self.policy(daily_usd_cap=11), token=issuer["token"])
        self.refused(403, "POST", "/v1/keys", self.policy(daily_usd_cap=None), token=issuer["token"])
        self.refused(403, "POST", "/v1/keys", self.policy(allowed_endpoints=["/v1/*"]),
                     token=issuer["token"])
        self.refused(403, "PUT", "/v1/credentials/x", {"vendor": "stripe", "secret": "sk_test_FAKE" + "x" * 40},
                     token=issuer["token"])
        self.refused(403, "POST", "/v1/tokens", {"name": "x", "role": "admin"}, token=issuer["token"])
        self.keybrake.api("DELETE", f"/v1/tokens/{viewer['id']}")
        self.refused(401, "GET", "/v1/keys", token=viewer["token"])

    def test_a_vault_key_sees_itself_only(self):
        key, other = self.issue(), self.issue()
        self.assertIn("daily_usd_cap", self.keybrake.api("GET", "/v1/self", token=key["token"]))
        self.refused(404, "DELETE", f"/v1/keys/{other['id']}", token=key["token"])
        with self.assertRaises(Refusal) as caught:
            self.keybrake.api("GET", "/v1/keys", token=key["token"])
        self.assertIn(caught.exception.status, (401, 403, 404))

    def test_foreign_pages_cannot_reach_it(self):
        for host in ("evil.example", "evil.example:80"):
            with socket.create_connection(("127.0.0.1", self.keybrake.control_port)) as connection:
                connection.sendall(f"GET /v1/keys HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer "
                                   f"{self.keybrake.token}\r\n\r\n".encode())
                self.assertNotIn(b" 200 ", connection.recv(4096).split(b"\r\n")[0])
        _, headers, _ = self.keybrake.api_raw("GET", "/v1/keys", headers={"Origin": "http://evil"})
        self.assertNotIn("access-control-allow-origin", headers)

    # -- credentials

    def test_credentials_never_come_back(self):
        shown = self.keybrake.api("GET", "/v1/credentials/stripe")
        self.assertNotIn(self.secrets["stripe"], json.dumps(shown))
        self.assertEqual((shown["vendor"], shown["version"], shown["livemode"]), ("stripe", 1, False))

    def test_credential_refusals(self):
        for body in ({"vendor": "stripe"}, {"vendor": "nothing", "secret": "x" * 40},
                     {"vendor": "stripe", "secret": "sk_test_short"},
                     {"vendor": "stripe", "secret": "wrong_prefix_" + "x" * 30},
                     {"vendor": "stripe", "secret": "sk_test_" + "x" * 30, "unknown": 1},
                     {"vendor": "generic", "secret": "x" * 30},
                     {"vendor": "stripe", "secret": "sk_test_" + "x" * 30,
                      "upstream": "https://user@host"}):
            with self.assertRaises(Refusal) as caught:
                self.keybrake.api("PUT", "/v1/credentials/other", body)
            self.assertIn(caught.exception.status, (400, 422), body)
            self.assertNotIn("xxxxxxxx", json.dumps(caught.exception.problem))

    def test_rotation_under_live_keys(self):
        key = self.issue()
        self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)
        double, fresh = self.doubles["stripe"], harness.fake_secret("stripe")
        old = double.secret
        try:
            double.secret = self.secrets["stripe"] = fresh
            put = self.keybrake.api("PUT", "/v1/credentials/stripe",
                                    self.credential("stripe", double.port))
            self.assertGreater(put["version"], 1)
            self.assertEqual(self.ask(key, "GET", "/stripe/v1/balance")[0], 200)
        finally:
            double.secret = self.secrets["stripe"] = old
            self.keybrake.api("PUT", "/v1/credentials/stripe",
                              self.credential("stripe", double.port))
        live = {"vendor": "stripe", "secret": "sk_live_FAKE" + "x" * 30}
        self.refused(409, "PUT", "/v1/credentials/stripe", live)
        self.refused(409, "DELETE", "/v1/credentials/stripe")

    def test_a_generic_vendor(self):
        port = self.doubles["stripe"].port
        body = {"vendor": "generic", "upstream": f"https://localhost:{port}", "allow_private": True,
                "secret": self.secrets["stripe"],
                "ca_pem": (self.place.certificates / "ca.pem").read_text()}
        self.keybrake.api("PUT", "/v1/credentials/generic", body)
        key = self.issue(vendor="generic", allowed_endpoints=["/v1/double/*", "POST /v1/customers"],
                         params={"flat_price_usd": "0.25"}, daily_usd_cap="0.60")
        self.assertEqual(self.ask(key, "GET", "/v1/double/echo")[0], 200)
        self.assertEqual(self.ask(key, "POST", "/v1/customers", "a=1")[0], 200)
        self.assertEqual(self.spent(key)[0], "0.50")
        self.assertEqual(self.ask(key, "POST", "/v1/customers", "a=1")[0], 429)

    def test_private_addresses_are_refused(self):
        self.keybrake.api("PUT", "/v1/credentials/private", {
            "vendor": "stripe", "secret": "sk_test_FAKE" + "y" * 30,
            "upstream": f"https://localhost:{self.doubles['stripe'].port}"})
        key = self.issue(credential="private")
        status, headers, _ = self.ask(key, "GET", "/stripe/v1/balance")
        self.assertEqual((status, headers["keybrake-denied"]), (502, "upstream_unreachable"))

    # -- the rest

    def test_explain(self):
        key = self.issue(allowed_endpoints=["POST /v1/charges"], daily_usd_cap=5)

        def explain(method, path, body=""):
            return self.keybrake.api("POST", "/v1/explain", {
                "key": key["id"], "method": method, "path": path, "body": body,
                "headers": {"Content-Type": "application/x-www-form-urlencoded"}})

        before = len(self.doubles["stripe"].calls)
        yes = explain("POST", "/v1/charges", "amount=100&currency=usd")
        self.assertEqual((yes["verdict"], yes["operation"]), ("allowed", "charges.create"))
        self.assertEqual(yes["rule"], "POST /v1/charges")
        no = explain("POST", "/v1/charges", "amount=501&currency=usd")
        self.assertEqual((no["verdict"], no["reason"]), ("denied", "cap_exceeded"))
        self.assertEqual(explain("GET", "/v1/balance")["reason"], "endpoint_not_allowed")
        self.assertEqual(len(self.doubles["stripe"].calls), before)
        self.assertEqual(self.spent(key)[:2], ("0.00", "0.00"))

    def test_vendors_prices_rates(self):
        known = [v["vendor"] for v in self.keybrake.api("GET", "/v1/vendors")["data"]]
        for vendor in ("stripe", "twilio", "resend", "openai", "anthropic", "github", "generic"):
            self.assertIn(vendor, known)
        stripe = self.keybrake.api("GET", "/v1/vendors/stripe")
        operations = {o["name"]: o["class"] for o in stripe["operations"]}
        self.assertEqual(operations["payment_intents.create"], "money_in")
        self.assertEqual(operations["payouts.create"], "money_out")
        self.assertIn("data", self.keybrake.api("GET", "/v1/prices"))
        self.assertIn("eur", json.dumps(self.keybrake.api("GET", "/v1/fx")))

    def test_health_and_metrics(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.keybrake.api_raw("GET", path)[0], 200)
        key = self.issue()
        self.ask(key, "GET", "/stripe/v1/balance")
        self.charge(key, 100)
        self.ask(key, "GET", "/github/x")
        _, headers, body = self.keybrake.api_raw("GET", "/metrics")
        self.assertTrue(headers["content-type"].startswith("text/plain"))
        text = body.decode()
        for name in ("keybrake_requests_total", "keybrake_added_latency_seconds_bucket",
                     "keybrake_upstream_latency_seconds_bucket", "keybrake_connections",
                     "keybrake_commit_latency_seconds", "keybrake_spend_usd_total"):
            self.assertIn(name, text)


class Audit(harness.Case):
    def test_query_export_and_spend(self):
        key = self.issue(label="audited/1", run_id="run-9", tenant="acme")
        self.ask(key, "GET", "/stripe/v1/balance", headers={"X-Agent-Run-Id": "mine"})
        self.charge(key, 250)
        self.ask(key, "GET", "/github/x")
        rows = self.eventually(
            lambda: (r := self.audit(run="run-9")) and len(
                [x for x in r if x["event"] == "request"]) >= 3 and r)
        balance = [r for r in rows if r.get("operation") == "balance.retrieve"][0]
        self.assertEqual((balance["label"], balance["tenant"], balance["client_run_id"]),
                         ("audited/1", "acme", "mine"))
        self.assertEqual((balance["verdict"], balance["status"], balance["path"]),
                         ("allowed", 200, "/v1/balance"))
        charge = [r for r in rows if r.get("operation") == "charges.create"][0]
        self.assertEqual((charge["amount_minor"], charge["currency"]), (250, "usd"))
        self.assertEqual([r["verdict"] for r in self.audit(key=key["id"], verdict="denied")],
                         ["denied"])
        status, headers, body = self.keybrake.api_raw("GET", f"/v1/audit?key={key['id']}&format=csv")
        self.assertEqual(status, 200)
        self.assertIn(b"balance.retrieve", body)
        status, _, body = self.keybrake.api_raw("GET", f"/v1/audit?key={key['id']}&format=jsonl")
        self.assertGreaterEqual(len([json.loads(l) for l in body.splitlines()]), 3)
        for by, value in (("key", key["id"]), ("label", "audited/1"), ("run", "run-9"),
                          ("tenant", "acme"), ("vendor", "stripe"), ("class", "money_in")):
            groups = self.keybrake.api("GET", f"/v1/spend?group_by={by}")["data"]
            mine = [g for g in groups if g[by] == value]
            self.assertEqual(mine[0]["spent_usd"], "2.50", (by, groups))

    def test_verify_finds_what_was_changed(self):
        key = self.issue()
        for _ in range(5):
            self.ask(key, "GET", "/stripe/v1/balance")
        self.keybrake.stop()
        try:
            good = self.keybrake.run("audit", "verify")
            head = self.keybrake.run("audit", "head").stdout.split()[0]
            self.assertEqual(self.keybrake.run("audit", "verify", "--head", head).returncode, 0)
            database = next((self.keybrake.data / "db").glob("*.db"))
            import sqlite3
            with sqlite3.connect(database) as db:
                [(first, rows)] = db.execute(
                    "SELECT first, rows FROM audit ORDER BY first DESC LIMIT 1").fetchall()
                self.assertIn(b"balance.retrieve", rows)
                db.execute("UPDATE audit SET rows = ? WHERE first = ?", (
                    rows.replace(b"balance.retrieve", b"balance.retrievE", 1), first))
            bad = self.keybrake.run("audit", "verify", check=False)
            self.assertEqual(bad.returncode, 1)
            self.assertIn("changed", bad.stdout + bad.stderr)
            self.assertEqual(good.returncode, 0)
            with sqlite3.connect(database) as db:
                db.execute("DELETE FROM audit WHERE first = ?", (first,))
            cut = self.keybrake.run("audit", "verify", "--head", head, check=False)
            self.assertEqual(cut.returncode, 1)
        finally:
            self.keybrake.kill()
