# SPDX-License-Identifier: Apache-2.0
"""What somebody meets who has just come: typing errors, help, and what the commands say back."""

import json
import os
import subprocess
import time

import harness


class Words(harness.Case):
    """Of the command line alone."""
    vendors = []

    def said(self, *args, code, data=False, env=None):
        done = self.keybrake.run(*args, check=False, data=data, env=env)
        self.assertEqual(done.returncode, code, (args, done.stdout, done.stderr))
        return done.stdout if code == 0 else done.stderr

    def test_the_version_in_every_spelling(self):
        words = [self.said(word, code=0) for word in ("version", "--version", "-V")]
        self.assertEqual(len(set(words)), 1)
        self.assertRegex(words[0], r"^keybrake \d")

    def test_help_where_one_looks_for_it(self):
        for args in (["-h"], ["--help"], ["help"], ["key", "--help"], ["key", "help"],
                     ["key", "issue", "-h"], ["key", "issue", "--help"]):
            self.assertIn("key", self.said(*args, code=0))
        self.assertIn("keybrake run [options] -- COMMAND...", self.said("run", "--help", code=0))
        self.assertIn("keybrake key show ID [options]", self.said("key", "show", "-h", code=0))

    def test_a_word_that_is_none(self):
        self.assertIn("there is no command 'kye'", self.said("kye", code=2))
        text = self.said("key", "isue", code=2)
        self.assertIn("there is no command 'key isue'", text)
        self.assertIn("Try: keybrake key", text)

    def test_what_is_missing_is_named(self):
        text = self.said("env", "key_x", code=2)
        self.assertIn("env needs --token-stdin: read the vault key", text)
        self.assertNotIn("null", text)
        self.assertIn("needs -- COMMAND...", self.said("run", "--vendor", "stripe", code=2))

    def test_an_option_of_the_commands_own(self):
        text = self.said("run", "python3", "agent.py", "--verbose", code=2)
        self.assertIn("write -- before the command", text)

    def test_a_token_does_not_travel_in_the_clear(self):
        for url in ("http://broker.example.com:8788", "http://10.0.0.1:8788", "broker.example.com",
                    "http://127.0.0.1.example.com", "http://localhost.example.com:1"):
            text = self.said("key", "list", code=1,
                             env={"KEYBRAKE_URL": url, "KEYBRAKE_TOKEN": "kbo_FAKE"})
            self.assertIn("in the clear", text, url)
        for url in (f"http://127.0.0.1:{self.keybrake.control_port}/",
                    f"http://localhost:{self.keybrake.control_port}"):
            self.said("key", "list", code=0,
                      env={"KEYBRAKE_URL": url, "KEYBRAKE_TOKEN": self.keybrake.token})

    def test_limits_are_numbers(self):
        for command in (["audit"], ["key", "list"]):
            for bad in ("0", "-1", "x", ""):
                self.assertIn("--limit", self.said(*command, "--limit", bad, code=2, data=True))

    def test_init_says_in_order(self):
        place = self.place.path / "ordered"
        done = subprocess.run([harness.BINARY, "init", "--data", str(place)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        self.assertLess(done.stdout.index("KEYBRAKE_TOKEN="), done.stdout.index("The line above"))


class Keys(harness.Case):
    vendors = ["stripe"]

    def issue_by_cli(self, *more, check=True):
        return self.keybrake.run("key", "issue", "--vendor", "stripe", "--cap", "5", "--allow",
                                 "charges.create", *more, check=check)

    def live(self, **query):
        return {k["id"] for k in self.keybrake.api(
            "GET", "/v1/keys?status=active" + "".join(f"&{n}={v}" for n, v in query.items()))["data"]}

    def test_a_file_that_is_there_costs_no_key(self):
        before = len(self.keybrake.api("GET", "/v1/keys?limit=1000")["data"])
        path = self.place.path / "key.id"
        key = json.loads(self.issue_by_cli("--id-file", path, "--json").stdout)
        self.assertEqual(path.read_text().strip(), key["id"])
        again = self.issue_by_cli("--id-file", path, check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("nothing was issued", again.stderr)
        self.assertEqual(path.read_text().strip(), key["id"])
        refused = self.issue_by_cli("--id-file", self.place.path / "other.id", "--ttl", "nonsense",
                                    check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertFalse((self.place.path / "other.id").exists())
        self.assertEqual(len(self.keybrake.api("GET", "/v1/keys?limit=1000")["data"]), before + 1)

    def test_options_for_every_parameter(self):
        key = json.loads(self.issue_by_cli("--own-objects-only", "yes", "--client-secret", "redact",
                                           "--json").stdout)
        self.assertIs(key["params"]["own_objects_only"], True)
        self.assertEqual(key["params"]["client_secret"], "redact")
        bad = self.issue_by_cli("--own-objects-only", "maybe", check=False)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("own_objects_only", bad.stderr)

    def test_revoke_several(self):
        ids = [json.loads(self.issue_by_cli("--label", f"many/{n}", "--json").stdout)["id"]
               for n in range(3)]
        other = json.loads(self.issue_by_cli("--label", "other", "--run-id", "r1", "--json").stdout)["id"]
        text = self.keybrake.run("key", "revoke", ids[0], ids[1]).stdout
        self.assertIn(ids[0], text)
        self.assertIn(ids[1], text)
        self.assertEqual(self.live(label="many/"), {ids[2]})
        self.keybrake.run("key", "pause", ids[2])
        gone = json.loads(self.keybrake.run("key", "revoke", "--label", "many/", "--json").stdout)
        self.assertEqual([k["id"] for k in gone], [ids[2]])
        self.assertIn(other, self.live())
        self.assertEqual(self.keybrake.run("key", "revoke", "--run", "r2").stdout, "nothing\n")
        self.keybrake.run("key", "revoke", "--run", "r1")
        self.assertNotIn(other, self.live())
        for args in ([], ["--all", "--run", "r1"], [other, "--all"], [other, "--run", "r1"]):
            self.assertEqual(self.keybrake.run("key", "revoke", *args, check=False).returncode, 2)
        one = json.loads(self.keybrake.run("key", "revoke", other, "--json").stdout)
        self.assertEqual(one["status"], "revoked")
        self.issue_by_cli()
        self.keybrake.run("key", "revoke", "--all")
        self.assertEqual(self.live(), set())
        bad = self.keybrake.run("key", "revoke", "key_0000000000000000", check=False)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("key_0000000000000000: there is no such key", bad.stderr)

    def test_some_of_a_list(self):
        for _ in range(3):
            self.issue_by_cli()
        rows = json.loads(self.keybrake.run("key", "list", "--limit", "2", "--json").stdout)
        self.assertEqual(len(rows), 2)


class Audit(harness.Case):
    vendors = ["stripe"]

    def follow(self, *args):
        return subprocess.Popen([harness.BINARY, "audit", "--follow", *args, "--data",
                                 str(self.keybrake.data)], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=dict(os.environ))

    def end(self, process):
        process.kill()
        process.communicate()

    def test_each_row_once_and_in_order(self):
        first = self.issue(label="followed", daily_usd_cap=5, allowed_endpoints=["charges.create"])
        process = self.follow("--json", "--label", "followed", "--limit", "1")
        self.addCleanup(self.end, process)
        row = json.loads(process.stdout.readline())
        self.assertEqual(row["key"], first["id"])
        seen = [row["sequence"]]
        for n in range(5):
            self.issue(label="another")
            key = self.issue(label=f"followed/{n}")
            row = json.loads(process.stdout.readline())
            self.assertEqual(row["key"], key["id"])
            seen.append(row["sequence"])
        self.assertEqual(seen, sorted(set(seen)))

    def test_one_that_begins_with_nothing(self):
        process = self.follow("--label", "nobody-yet")
        self.addCleanup(self.end, process)
        time.sleep(0.7)
        self.issue(label="nobody-yet")
        self.assertIn("LABEL", process.stdout.readline())
        self.assertIn("key_issued", process.stdout.readline())

    def test_it_ends_with_the_server_and_says_so(self):
        for args in (["--csv"], ["--until", "2h"]):
            self.assertEqual(self.keybrake.run("audit", "--follow", *args, check=False).returncode, 2)
        process = self.follow()
        process.stdout.readline()
        self.keybrake.stop()
        try:
            _, said = process.communicate(timeout=10)
        finally:
            self.keybrake.start()
        self.assertEqual(process.returncode, 1)
        self.assertIn("no server answers", said)

    def test_who_did_what_to_which(self):
        self.keybrake.run("tenant", "put", "acme", "--cap", "5")
        line = [l for l in self.keybrake.run("audit", "--limit", "5").stdout.splitlines()
                if "tenant_put" in l][0]
        self.assertIn(" acme ", line)
        self.assertIn("uid ", line)

    def test_a_refused_export_is_a_sentence(self):
        for form in ("--json", "--csv"):
            done = self.keybrake.run("audit", form, "--verdict", "bad", check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("verdict is one of", done.stderr)

    def test_spend_has_titles(self):
        self.issue()
        text = self.keybrake.run("spend", "--by", "vendor").stdout
        if text != "nothing\n":
            self.assertIn("VENDOR", text)
            self.assertIn("DENIED", text)


class Answers(harness.Case):
    """Of the API, to whom mistypes."""
    vendors = ["stripe"]

    def refused(self, method, path, body=None):
        status, headers, text = self.keybrake.api_raw(method, path, body)
        self.assertEqual(headers["content-type"], "application/problem+json", text)
        return status, json.loads(text)

    def test_another_method(self):
        for method, path in (("PUT", "/v1/keys"), ("DELETE", "/v1/audit"), ("OPTIONS", "/healthz")):
            status, problem = self.refused(method, path)
            self.assertEqual((status, problem["code"]), (405, "method_not_allowed"))
            self.assertIn("GET", problem["detail"])

    def test_a_cursor_that_is_none(self):
        for path in ("keys", "tenants", "holds", "stops", "tokens", "credentials", "prices"):
            status, problem = self.refused("GET", f"/v1/{path}?cursor=zz")
            self.assertEqual(status, 400, path)
            self.assertIn("cursor", problem["detail"])

    def test_a_stop_that_stops_nothing_is_none(self):
        status, problem = self.refused("POST", "/v1/stops", {"kind": "vendor", "value": "strpe"})
        self.assertEqual(status, 400)
        self.assertIn("'strpe' is not known here; there are: ", problem["detail"])
        self.assertIn("stripe", problem["detail"])
        self.assertEqual(self.keybrake.api("GET", "/v1/stops")["data"], [])
        key = self.issue(label="stopped/1", tenant="acme")
        for kind, value, live in (("tenant", "acme", 1), ("tenant", "acm", 0),
                                  ("label_prefix", "stopped/", 1), ("label_prefix", "stoped", 0)):
            stop = self.keybrake.api("POST", "/v1/stops", {"kind": kind, "value": value})
            self.assertEqual(stop["live_keys"], live, (kind, value))
            self.keybrake.api("DELETE", f"/v1/stops/{stop['id']}")
        self.keybrake.api("DELETE", f"/v1/keys/{key['id']}")
        stop = self.keybrake.api("POST", "/v1/stops", {"kind": "tenant", "value": "acme"})
        self.assertEqual(stop["live_keys"], 0)
        self.keybrake.api("DELETE", f"/v1/stops/{stop['id']}")

    def test_paths_that_fit_nothing(self):
        key = self.issue(allowed_endpoints=["/v1/payment_intent", "/v1/charges", "POST /v1/refund",
                                            "/v1/payment_intents/*"])
        self.assertEqual(key["warnings"], [
            "'/v1/payment_intent' fits no operation of stripe that is known here; the nearest path "
            "is '/v1/payment_intents'",
            "'POST /v1/refund' fits no operation of stripe that is known here; the nearest path is "
            "'/v1/refunds'"])
        changed = self.keybrake.api("PATCH", f"/v1/keys/{key['id']}",
                                    {"allowed_endpoints": ["/v1/charges", "charges.*"]})
        self.assertEqual(changed["warnings"], [])
        self.assertNotIn("warnings", self.keybrake.api("GET", f"/v1/keys/{key['id']}"))
        done = self.keybrake.run("key", "issue", "--vendor", "stripe", "--cap", "5", "--allow",
                                 "/v1/charge", "--json")
        self.assertIn("keybrake: note: '/v1/charge' fits no operation", done.stderr)
        json.loads(done.stdout)

    def test_many_paths_that_fit_nothing(self):
        entries = [f"/v1/{n:03d}{'x' * 50}/{'y' * 30}" for n in range(256)]
        began = time.monotonic()
        key = self.issue(allowed_endpoints=entries)
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual(len(key["warnings"]), 8)

    def test_an_endpoint_that_there_is_not(self):
        key = self.issue(allowed_endpoints=["/v1/*"])
        _, _, body = self.ask(key, "POST", "/stripe/v1/chrges", "amount=1&currency=usd", {
            "Content-Type": "application/x-www-form-urlencoded"})
        self.assertIn("POST /v1/chrges is not in allowed_endpoints of this vault key; it is no "
                      "operation of stripe that is known here", body.decode())

    def test_explained_line_by_line(self):
        key = self.issue(daily_usd_cap=5)
        text = self.keybrake.run("explain", "GET", "/v1/balance", "--key", key["id"]).stdout
        self.assertIn(f"\n  - level=key owner={key['id']} window=daily cap_usd=5.00 ", text)
        self.assertNotIn("{", text)

    def test_credentials_with_several_fields(self):
        done = self.keybrake.run("credential", "put", "twilio", "--vendor", "twilio", check=False,
                                 stdin="FAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKE\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("account_sid is missing", done.stderr)
        self.assertIn("a JSON object of them on standard input", done.stderr)

    def test_files_that_are_not_there(self):
        for args in (["fx", "put", "/nowhere"], ["reconcile", "--vendor-log", "/nowhere"]):
            done = self.keybrake.run(*args, check=False)
            self.assertEqual((done.returncode, done.stderr),
                             (1, "keybrake: /nowhere cannot be opened: No such file or directory\n"))

    def test_how_long_and_which_letters(self):
        for body, said in (({"expires_in": "48h"}, "24 h at most"),
                           ({"tenant": "a b"}, "letters, digits and _ - . @ :"),
                           ({"label": "a\tb"}, "anything but control characters"),
                           ({"vendor": "strpe"}, "there are: ")):
            status, problem = self.refused("POST", "/v1/keys", {
                "vendor": "stripe", "daily_usd_cap": 1, "allowed_endpoints": ["/v1/charges"], **body})
            self.assertEqual(status, 400)
            self.assertIn(said, problem["detail"])
        for path, body in (("/v1/credentials/x", {"vendor": "strpe", "secret": "sk_test_FAKEFAKEFAKE1"}),
                           ("/v1/prices", {"vendor": "strpe", "name": "n", "price_usd": "1"})):
            status, problem = self.refused("PUT", path, body)
            self.assertIn("'strpe' is not known here; there are: ", problem["detail"])

    def test_a_vendor_that_cannot_be_asked_is_said_why(self):
        self.keybrake.api("PUT", "/v1/credentials/nowhere", {
            "vendor": "stripe", "secret": "sk_test_FAKEFAKEFAKE0000", "allow_private": True,
            "upstream": f"https://127.0.0.1:{harness.free_port()}"})
        done = self.keybrake.run("credential", "test", "nowhere", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "the vendor could not be asked: .*(connect|refused)")
        self.assertIn("NEEDED FOR", done.stdout)
        self.keybrake.run("credential", "rm", "nowhere")


class Directories(harness.Case):
    """Where `init` makes itself at home."""
    vendors = []

    def init(self, place, code):
        done = subprocess.run([harness.BINARY, "init", "--data", str(place)], text=True,
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def test_an_empty_one_is_taken_over(self):
        """adduser makes a home directory, and gives it to the new user."""
        place = self.place.path / "home"
        place.mkdir(mode=0o755)
        if harness.AS_ROOT:
            os.chown(place, 12345, 12345)
        self.init(place, 0)
        about = place.stat()
        self.assertEqual((about.st_mode & 0o777, about.st_uid), (0o700, os.geteuid()))
        self.assertIn("is there already", self.init(place, 1))

    def test_one_with_something_in_it_is_not(self):
        for name, make in (("file", lambda p: (p / "x").write_text("")),
                           ("hidden", lambda p: (p / ".x").write_text("")),
                           ("directory", lambda p: (p / "x").mkdir())):
            place = self.place.path / name
            place.mkdir(mode=0o755)
            make(place)
            self.assertIn("or an empty one taken", self.init(place, 1))
            self.assertEqual(place.stat().st_mode & 0o777, 0o755)
            self.assertEqual(len(list(place.iterdir())), 1)

    def test_neither_a_link_nor_a_file(self):
        target = self.place.path / "target"
        target.mkdir()
        link = self.place.path / "link"
        link.symlink_to(target)
        self.init(link, 1)
        self.assertEqual(list(target.iterdir()), [])
        file = self.place.path / "a-file"
        file.write_text("")
        self.init(file, 1)
