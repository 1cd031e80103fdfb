#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The published story, told by running it: demo.py KEYBRAKE.

A double of Stripe answers in Stripe's place, over TLS, and accepts nothing but the real key (which
is an obvious fake).  Everything lives in a temporary directory and is gone at the end.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
KEYBRAKE = str(pathlib.Path(sys.argv[1]).resolve())
REAL_KEY = "sk_test_FAKEFAKEFAKE" + os.urandom(12).hex()
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


def certificates(place):
    """A CA, and a certificate for the double on localhost."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", place / "ca.key", "-out", place / "ca.pem",
            "-subj", "/CN=demo CA", "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", *curve, "-keyout", place / "tls.key", "-out", place / "tls.csr",
            "-subj", "/CN=localhost")
    (place / "ext").write_text("subjectAltName=DNS:localhost")
    openssl("x509", "-req", "-in", place / "tls.csr", "-CA", place / "ca.pem", "-CAkey",
            place / "ca.key", "-CAcreateserial", "-out", place / "tls.pem", "-extfile",
            place / "ext")


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Demo:
    def __init__(self, place):
        self.place = place
        self.running = []
        self.data = place / "data"

    def keybrake(self, *args, stdin=None, shown=True):
        if shown:
            print(f"  $ keybrake {' '.join(args)}", flush=True)
        done = subprocess.run([KEYBRAKE, *args, "--data", str(self.data)], input=stdin, text=True,
                              capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"keybrake {args[0]}: {done.stderr}")
        return done.stdout

    def start(self, args, **more):
        process = subprocess.Popen(args, text=True, stdout=subprocess.PIPE, **more)
        self.running.append(process)
        line = process.stdout.readline()
        if "ready" not in line:
            sys.exit(f"{args[0]} did not start; its log is above")
        return line.strip()

    def start_double(self):
        certificates(self.place)
        secret = self.place / "real-key"
        secret.touch(0o600)
        secret.write_text(REAL_KEY)
        ready = self.start(["/usr/bin/python3", str(HERE.parent / "tests/vendor/serve.py"), "stripe",
                            str(self.place / "tls.pem"), str(self.place / "tls.key"), str(secret),
                            str(self.place / "calls")], stdin=subprocess.PIPE)
        return ready.split()[1]

    def start_server(self):
        self.door, self.control = free_port(), free_port()
        args = [KEYBRAKE, "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.door}",
                "--control", f"127.0.0.1:{self.control}"]
        if os.getuid() == 0:
            args += ["--user", "nobody"]
        log = open(self.place / "log", "w", encoding="utf-8")
        print("  $ keybrake serve &")
        try:
            print("  " + self.start(args, stderr=log))
        except SystemExit:
            print((self.place / "log").read_text())
            raise

    def issue(self, token):
        policy = {"label": "agent-7", "vendor": "stripe", "daily_usd_cap": 50,
                  "allowed_endpoints": ["/v1/payment_intents", "/v1/payment_intents/*"],
                  "expires_in": "30m"}
        print("  POST /v1/keys", json.dumps(policy))
        import urllib.request
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.control}/v1/keys", json.dumps(policy).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        with urllib.request.urlopen(asked) as answer:
            key = json.load(answer)
        print(f"  201 {key['id']}  vault key {key['token'][:10]}...  until {key['expires_at']}")
        return key

    def agent(self, key):
        # The sandbox's whole environment.
        subprocess.run(["/usr/bin/python3", str(HERE / "agent.py")], check=True,
                       env={**key["env"], "PATH": "/usr/bin:/bin"})

    def run(self):
        say("1. The operator stores the vendor's real key, once.")
        token = self.keybrake("init").strip().partition("=")[2]
        port = self.start_double()
        self.start_server()
        self.keybrake("credential", "put", "stripe", "--vendor", "stripe", "--upstream",
                      f"https://localhost:{port}", "--ca", str(self.place / "ca.pem"),
                      "--allow-private", stdin=REAL_KEY)
        print(f"  (the real key, {REAL_KEY[:16]}..., came by standard input)")

        say("2. A sandbox gets a vault key: Stripe, two endpoints, $50 a day, 30 minutes.")
        key = self.issue(token)

        say("3. The agent works with Stripe's own SDK.  It never sees the real key.")
        self.agent(key)

        say("4. The operator looks, and ends the key.")
        print(self.keybrake("key", "list"), end="")
        self.keybrake("key", "revoke", key["id"])
        self.agent(key)

        say("5. Everything is written down, and chained.")
        time.sleep(0.2)
        print(self.keybrake("audit", "--key", key["id"]), end="")
        print(self.keybrake("audit", "verify"), end="")

        say("6. What reached the vendor, by the vendor's own log:")
        calls = [json.loads(line) for line in (self.place / "calls").read_text().splitlines()]
        for call in calls:
            print(f"  {call['method']} {call['path']} {call['body']} -> {call.get('status')}")
        held = sum(call.get("opened", 0) + call.get("moved", 0) for call in calls)
        print(f"  ${held / 100:.2f} in all, of a cap of $50.00")
        files = [p for p in self.data.rglob("*") if p.is_file()]
        found = [p.name for p in files if REAL_KEY.encode() in p.read_bytes()]
        print(f"  the real key in keybrake's {len(files)} files: {found or 'nowhere'}")

        self.thief()

    def thief(self):
        """keybrake run, and in it code that wants the real key."""
        say("7. The same in a sandbox: an agent that tries to steal the key, step by step.")
        work = self.place / "work"
        work.mkdir()
        (work / "thief.py").write_text((HERE / "thief.py").read_text())
        done = subprocess.run([KEYBRAKE, "run", "--data", str(self.data), "--vendor", "stripe",
                               "--cap", "50", "--allow", "/v1/payment_intents", "--",
                               "/usr/bin/python3", "thief.py", str(self.data)],
                              cwd=work, check=False)
        if done.returncode == 125:
            print("  (this machine lets us make no sandbox: keybrake doctor says why)")

    def stop(self):
        for process in reversed(self.running):
            process.terminate()
        for process in reversed(self.running):
            process.wait(40)


def main():
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keybrake-demo-") as place:
        pathlib.Path(place).chmod(0o755)
        demo = Demo(pathlib.Path(place))
        try:
            demo.run()
        finally:
            demo.stop()
    say(f"That was keybrake, in {time.monotonic() - began:.0f} seconds.")


if __name__ == "__main__":
    main()
