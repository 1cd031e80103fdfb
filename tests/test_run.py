# SPDX-License-Identifier: Apache-2.0
"""keybrake run: what a sandbox can and cannot do, and when it ends."""

import contextlib
import http.server
import json
import os
import pathlib
import shutil
import select
import signal
import socket
import ssl
import statistics
import subprocess
import threading
import time
import unittest

import harness

PROBE = pathlib.Path(__file__).with_name("sandbox_probe.py")
NOBODY = 65534
OUTSIDE = "203.0.113.9"


def namespaces_work():
    return subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True,
                          check=False).returncode == 0


class Case(harness.Case):
    """Starts sandboxes of its server."""

    launcher_prefix = []

    @classmethod
    def setUpClass(cls):
        if not namespaces_work():
            raise unittest.SkipTest("no namespaces can be made here")
        super().setUpClass()
        cls.work = cls.place.path / "work"
        cls.work.mkdir()
        shutil.copy(PROBE, cls.work / "probe.py")

    def command(self, command, options=(), policy=None):
        policy = policy if policy is not None else [
            "--vendor", "stripe", "--cap", "50", "--allow", "/v1/charges", "--allow", "/v1/balance"]
        return [*self.keybrake.prefix, *self.launcher_prefix, harness.BINARY, "run", "--data", str(self.keybrake.data),
                *map(str, policy), *map(str, options), "--", *map(str, command)]

    def sandbox(self, *command, options=(), policy=None, env=None, **more):
        return subprocess.run(self.command(command, options, policy), cwd=self.work, text=True,
                              capture_output=True, timeout=60, check=False,
                              env={**os.environ, **(env or {})}, **more)

    @contextlib.contextmanager
    def running(self, *command, options=(), policy=None):
        """A sandbox that has its session; the command is about to run."""
        process = subprocess.Popen(self.command(command, options, policy), cwd=self.work,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        try:
            line = process.stderr.readline()
            self.assertIn("ses_", line)
            process.session = line.split()[1].rstrip(":")
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)
            process.stdout.close()
            process.stderr.close()

    def key_of(self, status=None):
        """The newest key."""
        key = self.keybrake.api("GET", "/v1/keys?limit=1")["data"][0]
        return key if status is None else key["status"] == status and key

    def ended(self, session):
        rows = [row for row in self.audit(limit=200) if row["reason"] == "session_ended"
                and session in json.dumps(row)]
        return rows and rows[0]


def survivors(mark):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "cmdline").read_bytes() and \
                        b"keybrake" not in (entry / "cmdline").read_bytes().split(b"\0")[0]:
                    found.append(int(entry.name))
    return found


harness.Keybrake.prefix = []


class Commands(Case):
    def test_exit_status_and_streams(self):
        done = self.sandbox("sh", "-c", "read x; echo out $x; echo err >&2; exit 7", input="in\n")
        self.assertEqual((done.returncode, done.stdout), (7, "out in\n"))
        self.assertIn("err\n", done.stderr)
        self.assertIn("every TCP connection is caught", done.stderr)
        self.assertEqual(self.sandbox("sh", "-c", "kill -9 $$").returncode, 137)
        done = self.sandbox("no-such-program")
        self.assertEqual(done.returncode, 127)
        self.assertIn("cannot run 'no-such-program'", done.stderr)

    def test_a_request_by_the_vendors_own_name(self):
        done = self.sandbox("curl", "-sS", "https://api.stripe.com/v1/balance", "-u",
                            "sk_not_ours:")
        self.assertIn("real keys are not taken here", done.stdout)
        done = self.sandbox("sh", "-c", "curl -sS https://api.stripe.com/v1/balance -u"
                                        " $STRIPE_SECRET_KEY: && curl -sS -w '%{http_code}'"
                                        " http://api.stripe.com/v1/balance -u $STRIPE_SECRET_KEY:"
                                        " && curl -sS $STRIPE_API_BASE/v1/balance"
                                        " -u $STRIPE_SECRET_KEY:")
        self.assertEqual(done.stdout.count('"object": "balance"'), 3, done.stdout + done.stderr)
        self.assertIn("stripe: 3 requests passed, 0 refused; $0.00 spent, of $50.00 a day",
                      done.stderr)

    def test_the_report_names_the_flag(self):
        done = self.sandbox("sh", "-c", "curl -s https://api.stripe.com/v1/refunds -u"
                                        " $STRIPE_SECRET_KEY: -d charge=ch_1; curl -s"
                                        " https://api.stripe.com/v1/charges -u"
                                        " $STRIPE_SECRET_KEY: -d amount=5100 -d currency=usd"
                                        " -d source=tok_visa")
        self.assertIn("refused POST /v1/refunds: endpoint_not_allowed; it takes --allow"
                      " refunds.create", done.stderr)
        self.assertIn("refused POST /v1/charges: cap_exceeded; it takes a higher --cap",
                      done.stderr)
        self.assertNotIn("requests passed", self.sandbox("true", options=["--quiet"]).stderr)

    def test_a_flag_that_would_run_something_is_not_named(self):
        """It would be pasted into a shell, and the path is whatever the sandbox wrote."""
        done = self.sandbox("sh", "-c", "for path in \"x'&touch\\$IFS@gone&'\" plain; do"
                                        " curl -s -o /dev/null https://api.stripe.com/v1/$path -u"
                                        " $STRIPE_SECRET_KEY: -d a=b; done",
                            policy=["--vendor", "stripe", "--cap", "1", "--allow", "charges.list"])
        self.assertIn("; it takes --allow 'POST /v1/plain'", done.stderr)
        self.assertIn("refused POST /v1/x'&touch$IFS@gone&': endpoint_not_allowed\n", done.stderr)

    def test_a_flag_of_the_report_is_enough(self):
        done = self.sandbox("sh", "-c", "curl -s -o /dev/null -w '%{http_code}'"
                            " https://api.stripe.com/v1/charges -u $STRIPE_SECRET_KEY:",
                            policy=["--vendor", "stripe", "--cap", "1", "--allow", "charges.list"])
        self.assertNotIn("endpoint_not_allowed", done.stderr)

    def test_environment(self):
        done = self.sandbox("env", options=["--env", "MINE", "--env", "THIS=that"],
                            env={"MINE": "1", "NOT_ASKED": "2", "LD_PRELOAD": "",
                                 "AWS_SECRET_ACCESS_KEY": "FAKEFAKEFAKE"})
        seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
        self.assertEqual((seen["MINE"], seen["THIS"], seen["HOME"]), ("1", "that", "/home/agent"))
        for name in ("NOT_ASKED", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "KEYBRAKE_TOKEN"):
            self.assertNotIn(name, seen)
        self.assertTrue(seen["STRIPE_SECRET_KEY"].startswith("vk_"))
        done = self.sandbox("true", options=["--env", "X=sk_live_FAKEFAKEFAKEFAKEFAKE"])
        self.assertEqual(done.returncode, 125)
        self.assertIn("looks like a vendor's real key", done.stderr)
        self.assertNotIn("sk_live", done.stderr)

    def test_directories(self):
        shared = self.place.path / "shared"
        shared.mkdir(exist_ok=True)
        shared.chmod(0o777)
        (shared / "there").write_text("seen")
        done = self.sandbox("sh", "-c", f"cat {shared}/there; echo made >{shared}/new; ls /home;"
                            f" ls {self.place.path}", options=["--rw", shared])
        self.assertTrue(done.stdout.startswith("seenagent\n"), done.stdout + done.stderr)
        self.assertEqual((shared / "new").read_text(), "made\n")
        self.assertEqual(sorted(done.stdout.split()[1:]), ["shared", "work"])
        hooks = shared / ".git" / "hooks"
        hooks.mkdir(parents=True)
        hooks.chmod(0o777)
        done = self.sandbox("sh", "-c", f"echo x >{hooks}/post-commit; mv {hooks} {hooks}.old;"
                            f" mv {shared}/new {shared}/newer && echo moved", options=["--rw", shared])
        self.assertEqual(list(hooks.iterdir()), [], done.stderr)
        self.assertEqual(done.stdout, "moved\n")
        done = self.sandbox("sh", "-c", f"cat {shared}/there; echo x >{shared}/there",
                            options=["--ro", shared])
        self.assertEqual((done.stdout, done.returncode), ("seen", 2))
        self.assertEqual(self.sandbox("cat", shared / "there", options=[
            "--ro", shared, "--hide", shared / "there"]).stdout, "")
        for path in ("/", "/etc", "/root", self.keybrake.data, self.place.path / "data" / "run"):
            refused = self.sandbox("true", options=["--rw", path])
            self.assertEqual(refused.returncode, 125, path)

    def test_a_link_that_leads_out_leads_nowhere(self):
        link = self.work / "link"
        with contextlib.suppress(FileExistsError):
            link.symlink_to("/etc/shadow")
        done = self.sandbox("sh", "-c", "wc -c <link; ls -l /proc/1/root/ 2>&1 | tail -1")
        self.assertEqual(done.stdout.split()[0], "0")
        self.assertIn("denied", done.stdout)

    def test_usage(self):
        self.assertIn("needs --cap", self.sandbox("true", policy=["--vendor", "stripe"]).stderr)
        self.assertIn("--ttl", self.sandbox("true", options=["--ttl", "soon"]).stderr)
        self.assertIn("not known here", self.sandbox("true", policy=[
            "--vendor", "nosuch", "--cap", "1", "--allow", "*"]).stderr)
        done = subprocess.run([harness.BINARY, "run", "--data", "/nonexistent", "--", "true"],
                              cwd=self.work, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn("is `keybrake serve` running", done.stderr)

    def test_within_the_bounds_of_an_issuer(self):
        token = self.keybrake.api("POST", "/v1/tokens", {
            "name": "runner", "role": "issuer", "bounds": {"vendors": ["stripe"],
                                                           "daily_usd_cap": 60}})["token"]
        ask = ("sh", "-c", "curl -s -o /dev/null -w '%{http_code}' https://api.stripe.com/v1/balance"
                           " -u $STRIPE_SECRET_KEY:; env | grep -c KEYBRAKE_TOKEN")
        done = self.sandbox(*ask, env={"KEYBRAKE_TOKEN": token})
        self.assertEqual(done.stdout, "2000\n", done.stderr)
        self.assertIn("stripe: $0.00 spent, of $50.00 a day", done.stderr)
        self.assertNotIn("requests passed", done.stderr)  # the audit is not an issuer's to read
        done = self.sandbox(*ask, env={"KEYBRAKE_TOKEN": token}, policy=[
            "--vendor", "stripe", "--cap", "61", "--allow", "/v1/balance"])
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertIn("daily_usd_cap", done.stderr)
        done = self.sandbox(*ask, env={"KEYBRAKE_TOKEN": "kbo_wrong"})
        self.assertEqual(done.returncode, 125)

    def test_without_a_vendor_there_is_no_way_out_at_all(self):
        done = self.sandbox("curl", "-sS", "-m", "5", "https://api.stripe.com/v1/balance", "-u",
                            "vk_x:", policy=[])
        self.assertIn("not a vault key", done.stdout + done.stderr)


class Sessions(Case):
    def test_keys_work_in_their_own_sandbox_only(self):
        outside = self.issue(allowed_endpoints=["/v1/balance"])
        other = "curl -sS https://api.stripe.com/v1/balance -u %s:"
        done = self.sandbox("sh", "-c", other % outside["token"])
        self.assertIn("inside this sandbox only the vault keys that were made for it work",
                      done.stdout)
        with self.running("sh", "-c", "echo $STRIPE_SECRET_KEY; exec sleep 30") as first:
            token = first.stdout.readline().strip()
            status, headers, _ = self.keybrake.ask(token, "GET", "/stripe/v1/balance")
            self.assertEqual((status, headers["keybrake-denied"]), (403, "wrong_session"))
            done = self.sandbox("sh", "-c", other % token)
            self.assertIn("works only inside the sandbox that it was made for", done.stdout)

    def test_a_gate_that_dies_takes_no_sandbox_along(self):
        script = ("for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null -m 2 -w '%{http_code}\\n'"
                  " https://api.stripe.com/v1/balance -u $STRIPE_SECRET_KEY:; sleep 0.3; done")
        self.keybrake.deaths_expected = True
        with self.running("sh", "-c", script) as process:
            self.assertEqual(process.stdout.readline(), "200\n")
            for pid in self.keybrake.pids()["gate"]:
                os.kill(pid, signal.SIGKILL)
            lines = process.stdout.read().split()
        self.assertEqual(lines[-3:], ["200", "200", "200"], lines)

    def test_many_at_once(self):
        def one(index):
            done = self.sandbox("sh", "-c", "curl -s -o /dev/null -w '%{http_code}'"
                                " https://api.stripe.com/v1/balance -u $STRIPE_SECRET_KEY:",
                                options=["--quiet"])
            results[index] = (done.returncode, done.stdout, done.stderr[-300:])

        count = 200 if os.environ.get("KEYBRAKE_LONG") else 24
        results = [None] * count
        threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        wrong = [r for r in results if r is None or r[:2] != (0, "200")]
        self.assertEqual(wrong, [])
        control = self.keybrake.pids()["control"][0]
        self.eventually(lambda: len(os.listdir(f"/proc/{control}/fd")) < 24)
        self.assertEqual([k["status"] for k in self.keybrake.api("GET", "/v1/keys?limit=300")["data"]
                          if k["status"] == "active" and k["label"] == "sh"], [])


def wait_for_deaths(fds):
    """How long until each process behind a pidfd is gone, in ms; told of it, not looking again."""
    began = time.monotonic()
    for fd in fds:
        if not select.select([fd], [], [], 10)[0]:
            raise AssertionError("still alive after 10 s")
        os.close(fd)
    return (time.monotonic() - began) * 1000


def own_name():
    """A name for this machine that its hosts file knows, other than localhost (which inside is inside)."""
    for line in pathlib.Path("/etc/hosts").read_text().splitlines():
        fields = line.partition("#")[0].split()
        for name in fields[1:]:
            if fields[0].startswith("127.") and not name.startswith(("localhost", "ip6-")):
                return name
    return None


@unittest.skipUnless(own_name(), "/etc/hosts has no name for this machine but localhost")
class OtherHosts(Case):
    """--allow-host: a host that is no vendor's is reached, unseen; all others are not."""

    options = ["--dial-private", "yes"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        certificates = cls.place.certificates
        harness.certify(certificates, "other", f"DNS:{own_name()}")
        shutil.copy(certificates / "ca.pem", cls.work / "other.pem")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates / "other.pem", certificates / "other.key")

        class Hello(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "6")
                self.end_headers()
                self.wfile.write(b"hello\n")

            def log_message(self, *_):
                cls.seen.append(self.path)

        cls.seen = []
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
        cls.server.socket = context.wrap_socket(cls.server.socket, server_side=True)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        cls.authority = f"{own_name()}:{cls.server.server_address[1]}"

    POLICY = ["--vendor", "stripe", "--cap", "50", "--allow", "/v1/balance"]

    def ask(self, *allowed):
        policy = list(self.POLICY)
        for one in allowed:
            policy += ["--allow-host", one]
        script = (f"curl -sS --cacert other.pem https://{self.authority}/x 2>&1; echo; echo ==;"
                  f" curl -sS https://{self.authority}/y 2>&1; echo; echo ==;"
                  " curl -sS -o /dev/null -w '%{http_code}\\n' https://api.stripe.com/v1/balance -u"
                  " $STRIPE_SECRET_KEY:")
        return self.sandbox("sh", "-c", script, policy=policy)

    def test_named_it_is_reached_unseen(self):
        done = self.ask(self.authority)
        first, second, third = (one.strip() for one in done.stdout.split("=="))
        self.assertEqual(first, "hello")  # by the host's own certificate, and not one of ours
        self.assertIn("certificate", second)  # which is not trusted by itself
        self.assertEqual(third, "200")
        self.assertEqual(self.seen, ["/x"])
        rows = [row for row in self.audit(limit=50) if row["method"] == "CONNECT"]
        self.assertIn(self.authority.split(":")[0], json.dumps(rows))

    def test_a_vendors_own_host_is_never_spliced(self):
        done = self.sandbox("sh", "-c", "curl -sS https://api.stripe.com/v1/balance -u"
                            " $STRIPE_SECRET_KEY:", policy=[*self.POLICY, "--allow-host", "api.stripe.com"])
        self.assertEqual(json.loads(done.stdout)["object"], "balance", done.stderr)

    def test_not_named_it_is_refused_in_a_sentence(self):
        before = len(self.seen)
        for allowed in ((), ("other.example",), (self.authority.split(":")[0],), ("*.example.com",)):
            done = self.ask(*allowed)
            first, second, third = (one.strip() for one in done.stdout.split("=="))
            self.assertIn("certificate", first)  # it is ours that answers
            self.assertIn(f"{own_name()} cannot be reached from here", second)
            self.assertEqual(third, "200")
        self.assertEqual(len(self.seen), before)


class Promptly(Case):
    """A key is dead 100 ms after whatever held its sandbox was killed.  When, is what the judge wrote
    into the audit; since when, our own clock.  Beside it stands how long this machine takes to let
    anybody hear of a death at all, which on a busy one is most of it, and is allowed on top."""

    BOUND_MS = 100
    TIMES = 5

    def hearing_ms(self):
        """The slowest of five plain processes that are killed."""
        slowest = 0
        for _ in range(5):
            other = subprocess.Popen(["sleep", "60"])
            fd = os.pidfd_open(other.pid)
            other.kill()
            slowest = max(slowest, wait_for_deaths([fd]))
            other.wait()
        return slowest

    def revoked_at(self, key_id):
        rows = [row for row in self.audit(key=key_id) if row["reason"] == "key_revoked"]
        return rows and harness.when(rows[0]["at"]).timestamp()

    def delays(self, kill):
        took = []
        for _ in range(self.TIMES):
            with self.running("sh", "-c", "echo up; exec sleep 60") as process:
                self.assertEqual(process.stdout.readline(), "up\n")
                key = self.key_of("active")["id"]
                began = time.time()
                kill(process)
                took.append((self.eventually(lambda key=key: self.revoked_at(key)) - began) * 1000)
        return took

    def check(self, kill):
        took = self.delays(kill)
        heard = self.hearing_ms()
        print(f"# {self._testMethodName}: dead after {', '.join(f'{ms:.0f}' for ms in took)} ms; a plain"
              f" process's death is heard of after up to {heard:.0f}")
        self.assertLess(statistics.median(took), self.BOUND_MS + heard, took)

    def test_of_the_launcher(self):
        self.check(lambda process: process.kill())

    def test_of_init(self):
        def kill(process):
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            os.kill(int(children.split()[0]), signal.SIGKILL)
        self.check(kill)

    def test_of_the_command(self):
        def kill(process):
            init = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
            os.kill(int(pathlib.Path(f"/proc/{init}/task/{init}/children").read_text().split()[0]),
                    signal.SIGKILL)
        self.check(kill)


class PromptlyWithTheServer(Promptly):
    """Of the server itself only the parent is killed: no process that would serve a key outlives it."""

    deaths_expected = True
    # A sanitized process takes the kernel long to take down: its memory is mapped many times over.
    BOUND_MS = 1000 if harness.SANITIZED else 100
    test_of_the_launcher = test_of_init = test_of_the_command = None

    def test_of_the_parent(self):
        mark = f"98{os.getpid()}8"
        with self.running("sleep", mark) as process:
            self.eventually(lambda: survivors(mark))
            time.sleep(0.3)  # nobody waits for a session's rows: they are stored within 100 ms
            house = [pid for pids in self.keybrake.pids().values() for pid in pids]
            fds = [os.pidfd_open(pid) for pid in {*house, *survivors(mark)} - {self.keybrake.process.pid}]
            os.kill(self.keybrake.process.pid, signal.SIGKILL)
            took = wait_for_deaths(fds)
            heard = self.hearing_ms()
            print(f"# every process gone after {took:.0f} ms; a plain one's death is heard of after up to"
                  f" {heard:.0f}")
            self.assertLess(took, self.BOUND_MS + heard)
            self.assertEqual(process.wait(5), 125)
        self.keybrake.kill()
        self.keybrake.start()
        self.assertTrue(self.key_of("revoked"))


MEMORY = "x = bytearray(200 << 20); print('had it', flush=True)"
FORKS = ("import os, sys, time\nmade = 0\ntry:\n    while made < 200:\n        if os.fork() == 0:\n"
         "            time.sleep(20)\n        made += 1\nexcept OSError as refused:\n"
         "    print(made, refused.strerror, flush=True)\n")


def groups():
    """Those of our launchers, and what a dead one left; other tests' sandboxes have theirs."""
    def is_others(launcher):
        try:
            while launcher > 1:
                if launcher == os.getpid():
                    return False
                launcher = int(pathlib.Path(f"/proc/{launcher}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
        return True

    return [one for one in pathlib.Path("/sys/fs/cgroup").rglob("keybrake-run-*")
            if one.is_dir() and not is_others(int(one.name.rpartition("-")[2]))]


class Limits(Case):
    """Of a sandbox as a whole: by a control group where one can be made, else refused (memory) or by the
    user's own limit within its user namespace (processes)."""

    tiers = ([], ["--tier", "notify"])

    def limited(self, *options):
        """Can a group be made here?  Else the test is skipped, with keybrake's own words."""
        done = self.sandbox("true", options=["--memory", "64M", *options])
        if done.returncode == 125 and "limit" in done.stderr:
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_memory(self):
        for tier in self.tiers:
            self.limited(*tier)
            done = self.sandbox("/usr/bin/python3", "-c", MEMORY, options=["--memory", "64M", *tier])
            self.assertNotIn("had it", done.stdout)
            self.assertIn(done.returncode, (1, 137), done.stderr)
            done = self.sandbox("/usr/bin/python3", "-c", MEMORY, options=["--memory", "1G", *tier])
            self.assertEqual((done.returncode, done.stdout), (0, "had it\n"), done.stderr)
            self.eventually(lambda: not groups())

    def test_files_in_memory_count_too(self):
        self.limited()
        done = self.sandbox("sh", "-c", "head -c 200M /dev/zero >/tmp/x; stat -c %s /tmp/x",
                            options=["--memory", "64M"])
        self.assertNotEqual(done.stdout, "209715200\n")

    def test_processes(self):
        for tier in self.tiers:
            if tier:
                self.limited(*tier)  # without a group the user's other processes would count
            done = self.sandbox("/usr/bin/python3", "-c", FORKS, options=["--processes", "20", *tier])
            made = done.stdout.split()[:1]
            self.assertRegex(done.stdout, r"^\d+ Resource temporarily unavailable", done.stderr)
            self.assertLess(int(made[0]), 20)
            self.eventually(lambda: not groups())  # another's may be ending

    def test_what_a_killed_launcher_left_is_swept_up(self):
        self.limited()
        with self.running("sleep", "60", options=["--memory", "64M"]) as process:
            self.assertTrue(groups())
            process.kill()
            process.wait()
            self.eventually(lambda: not [pid for one in groups()
                                         for pid in (one / "cgroup.procs").read_text().split()])
        self.limited()
        self.eventually(lambda: not groups())

    def test_refused(self):
        for wrong in ("0", "1M", "much", "64X"):
            self.assertIn("--memory is a size", self.sandbox("true", options=["--memory", wrong]).stderr)
        if harness.AS_ROOT:
            done = subprocess.run(
                ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", harness.BINARY,
                 "run", "--memory", "64M", "--data", self.keybrake.data, "--", "true"], cwd=self.work,
                text=True, capture_output=True, check=False, timeout=30)
            self.assertEqual(done.returncode, 125)
            self.assertRegex(done.stderr, "no group can be made in '.*' to limit memory|no group of this")


class Lifecycle(Case):
    def test_kill_of_the_launcher(self):
        mark = f"sleep 98{os.getpid()}1"
        with self.running("sh", "-c", f"setsid {mark} & (nohup {mark} &) ; {mark}") as process:
            self.eventually(lambda: len(survivors(mark.split()[1])) >= 3)
            key = self.key_of("active")
            process.kill()
            self.eventually(lambda: self.key_of("revoked"))  # how soon, see Promptly
            self.assertEqual(self.key_of()["id"], key["id"])
            self.eventually(lambda: survivors(mark.split()[1]) == [] or None, 3)
            row = self.eventually(lambda: self.ended(process.session))
            self.assertEqual(row["detail"], "its launcher is gone")

    def test_kill_of_init(self):
        mark = f"98{os.getpid()}2"
        with self.running("sh", "-c", f"setsid sleep {mark} & sleep {mark}") as process:
            self.eventually(lambda: len(survivors(mark)) >= 2)
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            os.kill(int(children.split()[0]), signal.SIGKILL)
            self.assertEqual(process.wait(5), 137)
            self.assertEqual(survivors(mark), [])
            self.assertTrue(self.key_of("revoked"))
            self.assertEqual(self.ended(process.session)["detail"],
                             "the command ended with status 137")

    def test_children_left_behind(self):
        mark = f"98{os.getpid()}3"
        done = self.sandbox("sh", "-c", f"setsid sleep {mark} >/dev/null 2>&1 & echo left; exit 3")
        self.assertEqual((done.returncode, done.stdout), (3, "left\n"))
        self.assertEqual(survivors(mark), [])
        self.assertTrue(self.key_of("revoked"))

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.running("sh", "-c", "trap 'exit 9' TERM INT HUP; echo up; while :; do sleep"
                              " 0.05; done") as process:
                self.assertEqual(process.stdout.readline(), "up\n")
                process.send_signal(number)
                self.assertEqual(process.wait(5), 9, number)

    def test_the_time_is_over(self):
        began = time.monotonic()
        done = self.sandbox("sleep", "60", options=["--ttl", "1s"])
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(done.returncode, 128 + signal.SIGTERM)
        self.assertIn("the time is over", done.stderr)
        row = [r for r in self.audit(limit=50) if r["reason"] == "session_ended"][0]
        self.assertEqual(row["detail"], "its time was over")

    def test_control_dies(self):
        mark = f"98{os.getpid()}4"
        self.keybrake.deaths_expected = True
        with self.running("sleep", mark) as process:
            self.eventually(lambda: survivors(mark))
            os.kill(self.keybrake.pids()["control"][0], signal.SIGKILL)
            self.assertEqual(process.wait(5), 125)
            self.assertIn("the server has ended", process.stderr.read())
            self.assertEqual(survivors(mark), [])
        self.eventually(lambda: self.key_after_restart() == "revoked")

    def key_after_restart(self):
        try:
            return self.key_of()["status"]
        except (OSError, harness.Refusal):
            return None


class ServerDies(Case):
    deaths_expected = True

    def test_kill_of_the_server(self):
        mark = f"98{os.getpid()}5"
        with self.running("sh", "-c", f"setsid sleep {mark} & sleep {mark}") as process:
            self.eventually(lambda: len(survivors(mark)) >= 2)
            time.sleep(0.3)  # a session's rows are durable soon; nobody waits for them
            self.keybrake.kill()
            self.assertEqual(process.wait(5), 125)
            self.assertEqual(survivors(mark), [])
        self.keybrake.start()
        self.assertTrue(self.key_of("revoked"))
        row = self.eventually(lambda: [r for r in self.audit(limit=20)
                                       if r["reason"] == "key_revoked"])[0]
        self.assertIn(row["detail"], ("the server was restarted", "control was restarted"))


class Outside:
    """Something to reach: listeners on the host, and a network beside it that counts what comes."""

    def __init__(self):
        self.counts = {"host": 0, "beside": 0}
        self.sockets, self.made = [], False
        self.host_port = self.listen("host", ("0.0.0.0", 0))
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind("\0keybrake-test-outside")
        abstract.listen()
        self.sockets.append(abstract)
        self.watch("host", abstract)
        if harness.AS_ROOT and shutil.which("ip"):
            self.make_network()

    def ip(self, line):
        subprocess.run(["ip", *line.split()], check=True, capture_output=True)

    def make_network(self):
        """203.0.113.9 is an address of this machine, on a link made for it: what leaves a sandbox
        by way of the machine's own network arrives here."""
        self.ip("link add kbtest0 type veth peer name kbtest1")
        self.made = True
        self.ip(f"addr add {OUTSIDE}/24 dev kbtest0")
        self.ip("link set kbtest0 up")
        for port in (80, 443, 5432, 9999):
            self.listen("beside", (OUTSIDE, port))
        for port in (53, 443, 5000):
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            datagrams.bind((OUTSIDE, port))
            self.sockets.append(datagrams)
            threading.Thread(target=self.count_datagrams, args=(datagrams,), daemon=True).start()

    def count_datagrams(self, datagrams):
        with contextlib.suppress(OSError):
            while datagrams.recv(2048):
                self.counts["beside"] += 1

    def listen(self, name, address):
        server = socket.create_server(address)
        self.sockets.append(server)
        self.watch(name, server)
        return server.getsockname()[1]

    def watch(self, name, server):
        def count():
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()
                    self.counts[name] += 1
        threading.Thread(target=count, daemon=True).start()

    def close(self):
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes whoever waits on it
            one.close()
        if self.made:
            self.ip("link del kbtest0")


SURVIVOR = """
import http.client, json, os, pathlib, sys, time
place = pathlib.Path(sys.argv[1])
def ask(connection):
    connection.request("GET", "/v1/balance",
                       headers={"Authorization": "Bearer " + os.environ["STRIPE_SECRET_KEY"]})
    answer = connection.getresponse()
    answer.read()
    return answer.status
kept = http.client.HTTPSConnection("api.stripe.com", timeout=3)
first = ask(kept)
(place / "ready.new").write_text(str(first))
(place / "ready.new").rename(place / "ready")
while not (place / "go").exists():
    time.sleep(0.02)
said = {}
for name, connection in (("kept", kept), ("new", http.client.HTTPSConnection("198.18.0.7", timeout=3)),
                         ("plain", http.client.HTTPConnection("127.0.0.1:8787", timeout=3))):
    try:
        said[name] = ask(connection)
    except Exception as problem:
        said[name] = repr(problem)
(place / "after.new").write_text(json.dumps(said))
(place / "after.new").rename(place / "after")
"""


class Isolation(Case):
    """What the probe may find, in each tier that can be made here."""

    ANSWERED = {"keybrake"}
    REFUSED = {"ECONNREFUSED", "EPERM", "EACCES", "ENETUNREACH", "EPROTONOSUPPORT", "EAFNOSUPPORT"}

    def probe(self, *options):
        outside = Outside()
        try:
            if outside.made:
                with socket.create_connection((OUTSIDE, 80), 3):
                    self.eventually(lambda: outside.counts["beside"] == 1)  # it does count
                outside.counts["beside"] = 0
            # Descriptors of ours that nobody closed.
            leaked = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(20)]
            for fd in leaked:
                os.set_inheritable(fd, True)
            done = self.sandbox("/usr/bin/python3", "probe.py", OUTSIDE, outside.host_port,
                                self.keybrake.data, options=options, close_fds=False,
                                stdin=subprocess.DEVNULL)
            for fd in leaked:
                os.close(fd)
            self.assertEqual(done.returncode, 0, done.stderr)
            time.sleep(0.1)
            self.assertEqual(outside.counts, {"host": 0, "beside": 0})
        finally:
            outside.close()
        return json.loads(done.stdout), done

    def check_network(self, found, redirect):
        for name in ("tcp4 80", "tcp6 80", "metadata", "fastopen connect", "fastopen sendto"):
            self.assertIn(found[name]["result"], self.ANSWERED, (name, found[name]))
        for name in ("tcp4 5432", "tcp4 9999", "tcp6 5432"):
            allowed = self.ANSWERED if redirect else self.REFUSED
            self.assertIn(found[name]["result"], allowed, (name, found[name]))
        for name in ("udp 443", "udp 5000", "mptcp", "raw", "ping", "packet", "vsock", "alg",
                     "netfilter", "host loopback", "abstract socket", "route delete", "route add"):
            self.assertIn(found[name]["result"], self.REFUSED, (name, found[name]))
            self.assertLess(found[name]["ms"], 100, name)
        self.assertTrue(found["tcp 53"]["result"].startswith("198.1"), found["tcp 53"])
        self.assertTrue(found["name"]["result"].startswith("198.1"), found["name"])
        if redirect:
            self.assertEqual(found["udp 53"]["result"], found["tcp 53"]["result"])
        self.assertIn(found["steal the capture"]["result"], ("EADDRINUSE", "EACCES EADDRINUSE",
                                                             "EACCES"))
        self.assertEqual(found["facts"]["interfaces"], ["lo"])

    def check_calls(self, found):
        for name in ("unshare user", "unshare net", "clone user", "setns", "mount", "umount",
                     "pivot_root", "chroot", "ptrace init", "read init", "keyctl", "add_key", "bpf",
                     "perf", "userfaultfd", "open_by_handle", "kexec", "type into the terminal"):
            self.assertEqual(found[name]["result"], "EPERM", name)
        for name in ("io_uring", "clone3"):
            self.assertEqual(found[name]["result"], "ENOSYS", name)

    def check_files(self, found):
        self.assertIn(found["shadow"]["result"], ("0 bytes", "EACCES", "ENOENT"))
        self.assertEqual(found["homes"]["result"], ["agent"])
        for name in ("root's home", "data", "control socket", "docker socket"):
            self.assertEqual(found[name]["result"], "ENOENT", name)
        for name in ("init's environment", "init's memory", "init's files", "sysctl",
                     "core pattern", "sysrq"):
            self.assertIn(found[name]["result"], ("EACCES", "EPERM", "EROFS", "ENOENT"), name)
        for name in ("write the root", "write the system", "write here"):
            self.assertEqual(found[name]["result"], "EROFS", name)
        for name in ("write tmp", "write home"):
            self.assertEqual(found[name]["result"], 1, name)

    def check_facts(self, found, uid):
        facts = found["facts"]
        self.assertEqual(facts["capabilities"], ["0" * 16] * 5)
        self.assertEqual((facts["no_new_privs"], facts["core"]), ("1", 0))
        self.assertEqual(facts["seccomp"].split()[0], "2")
        self.assertEqual(facts["uid"], uid)
        self.assertEqual(facts["processes"], [1, 2])
        self.assertLessEqual(set(facts["descriptors"]), {0, 1, 2, 3})
        self.assertEqual(facts["cwd"], str(self.work))
        self.assertNotIn(self.secrets["stripe"], json.dumps(found))

    def check_all(self, found, redirect, uid):
        self.check_network(found, redirect)
        self.check_calls(found)
        self.check_files(found)
        self.check_facts(found, uid)

    def test_with_redirect(self):
        found, done = self.probe()
        self.assertIn("every TCP connection is caught", done.stderr)
        self.check_all(found, True, NOBODY if harness.AS_ROOT else os.getuid())

    def test_without_redirect(self):
        found, done = self.probe("--tier", "no-redirect")
        self.assertIn("ports 80 and 443", done.stderr)
        self.check_all(found, False, NOBODY if harness.AS_ROOT else os.getuid())


    def check_notify(self, found):
        """Without namespaces: every connect() is taken over, and nothing else can reach a peer."""
        for name in ("tcp4 80", "tcp4 443", "tcp4 5432", "tcp4 9999", "tcp6 80", "tcp6 5432",
                     "metadata", "fastopen connect", "host loopback"):
            if name != "tcp4 443":  # plain HTTP to a port of TLS: answered there too
                self.assertIn(found[name]["result"], self.ANSWERED, (name, found[name]))
        for name in ("fastopen sendto", "udp 443", "udp 5000", "udp 53", "mptcp", "raw", "ping",
                     "packet", "vsock", "alg", "netfilter", "abstract socket", "route delete",
                     "route add", "control socket", "docker socket"):
            self.assertIn(found[name]["result"], self.REFUSED | {"ENOENT"}, (name, found[name]))
        self.assertTrue(found["tcp 53"]["result"].startswith("198.1"), found["tcp 53"])
        self.assertTrue(found["name"]["result"].startswith("198.1"), found["name"])
        self.assertNotIn("taken", found["steal the capture"]["result"])
        self.check_calls(found)
        for name in ("shadow", "root's home", "homes", "data", "init's environment",
                     "init's memory", "init's files", "write the root", "write the system",
                     "write here", "write tmp", "sysctl", "core pattern", "sysrq"):
            self.assertIn(found[name]["result"], ("EACCES", "EPERM", "ENOENT", "EROFS"), name)
        self.assertEqual(found["write home"]["result"], 1)
        facts = found["facts"]
        self.assertEqual(facts["capabilities"][1:3], ["0" * 16] * 2)
        self.assertEqual((facts["no_new_privs"], facts["core"], facts["uid"]),
                         ("1", 0, NOBODY if harness.AS_ROOT else os.getuid()))
        self.assertLessEqual(set(facts["descriptors"]), {0, 1, 2, 3})
        self.assertNotIn(self.secrets["stripe"], json.dumps(found))

    def test_by_notify(self):
        found, done = self.probe("--tier", "notify")
        self.assertIn("no namespaces here", done.stderr)
        self.check_notify(found)

    def test_where_namespaces_are_refused(self):
        """As Docker's own filter refuses them: the next tier is taken, and said."""
        self.launcher_prefix = ["/usr/bin/python3", str(PROBE.with_name("no_namespaces.py"))]
        try:
            found, done = self.probe()
        finally:
            del self.launcher_prefix
        self.assertIn("lets us make no namespaces", done.stderr)
        self.check_notify(found)

    def test_who_outlives_a_launcher_by_notify_has_no_key(self):
        """Without namespaces a process that left its session survives kill -9 of the launcher.  Neither
        its open connection nor a new one takes the key any more."""
        place = self.place.path / "shared-with-a-survivor"
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
        (place / "survivor.py").write_text(SURVIVOR)
        script = f"setsid /usr/bin/python3 {place}/survivor.py {place} >/dev/null 2>&1 & exec sleep 60"
        with self.running("sh", "-c", script, options=["--tier", "notify", "--rw", place]) as process:
            self.eventually(lambda: (place / "ready").exists(), 10)
            self.assertEqual((place / "ready").read_text(), "200")
            process.kill()
            process.wait()
        self.eventually(lambda: self.key_of("revoked"))
        (place / "go").write_text("")
        said = self.eventually(lambda: (place / "after").exists() and (place / "after").read_text(), 10)
        for attempt, came in json.loads(said).items():
            self.assertNotEqual(came, 200, (attempt, said))

    def test_a_tree_that_was_shaped_to_be_removed(self):
        """Deep, full of links that lead out, with directories that refuse: it goes, and nothing else."""
        outside = self.place.path / "kept"
        outside.mkdir(exist_ok=True)
        (outside / "file").write_text("kept")
        outside.chmod(0o777)
        before = set(pathlib.Path("/tmp").glob("keybrake-??????"))
        done = self.sandbox("sh", "-c", f"cd $HOME; ln -s {outside} out; mkdir -p a/b; ln -s {outside}"
                            f" a/b/out; ln -s {outside}/file a/file; mkfifo pipe; mkdir closed;"
                            " touch closed/x; chmod 0 closed; i=0; while [ $i -lt 100 ]; do mkdir d; cd"
                            " d; i=$((i + 1)); done; touch end", options=["--tier", "notify"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((outside / "file").read_text(), "kept")
        left = set(pathlib.Path("/tmp").glob("keybrake-??????")) - before
        if not self.keybrake.prefix:  # root may remove what was closed
            self.assertEqual(left, set())
        for one in left:
            shutil.rmtree(one)

    def test_nothing_is_left_of_it(self):
        mark = f"98{os.getpid()}6"
        before = set(pathlib.Path("/tmp").glob("keybrake-??????"))
        done = self.sandbox("sh", "-c", f"setsid sleep {mark} & (nohup sleep {mark} &); exit 4",
                            options=["--tier", "notify"])
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(survivors(mark), [])
        self.assertEqual(set(pathlib.Path("/tmp").glob("keybrake-??????")) - before, set())
        self.assertTrue(self.key_of("revoked"))


def start_as_nobody(cls, set_up):
    """`set_up`, with a server and launchers that are an unprivileged user's."""
    cls.prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    start = harness.Keybrake.start

    def start_so(self, *more, wait=True):
        wrapper = self.place.path / "keybrake-as-nobody"
        wrapper.write_text("#!/bin/sh\nexec " + " ".join(cls.prefix) + f' {harness.BINARY} "$@"\n')
        wrapper.chmod(0o755)
        subprocess.run(["chown", "-R", str(NOBODY), str(self.data)], check=True)
        self.binary, self.prefix = str(wrapper), cls.prefix
        return start(self, *more, wait=wait)

    harness.Keybrake.start = start_so
    try:
        set_up()
    finally:
        harness.Keybrake.start = start


@unittest.skipUnless(harness.AS_ROOT, "needs root, to become somebody else")
class IsolationAsNobody(Isolation):
    """The same, server and launcher being an unprivileged user in a user namespace of its own."""

    @classmethod
    def setUpClass(cls):
        start_as_nobody(cls, super().setUpClass)


class Secrets(Case):
    def test_the_real_key_is_nowhere_inside(self):
        canary = self.secrets["stripe"]
        script = ("curl -s https://api.stripe.com/v1/balance -u $STRIPE_SECRET_KEY:; "
                  f"grep -rls '{canary[:12]}' / --exclude-dir=proc --exclude-dir=usr"
                  " --exclude-dir=lib 2>/dev/null; cat /proc/*/environ /proc/*/cmdline 2>/dev/null |"
                  " tr '\\0' '\\n' | grep -v grep")
        done = self.sandbox("sh", "-c", script.replace(canary[:12], canary[:6] + "''" + canary[6:12]))
        self.assertIn('"object": "balance"', done.stdout)
        self.assertNotIn(canary, done.stdout + done.stderr)

    def test_nothing_secret_in_the_launchers_arguments_or_log(self):
        with self.running("sh", "-c", "echo $STRIPE_SECRET_KEY; exec sleep 20") as process:
            token = process.stdout.readline().strip()
            for entry in pathlib.Path("/proc").iterdir():
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        self.assertNotIn(token.encode(), (entry / "cmdline").read_bytes())
        self.assertNotIn(token, self.keybrake.log_text())


if __name__ == "__main__":
    unittest.main()
