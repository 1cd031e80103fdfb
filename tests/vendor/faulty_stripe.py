#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Stripe double that breaks at every stage: faulty_stripe.py CERT KEY SECRET-FILE LOG.

Prints "ready PORT"; each line on its standard input is a JSON object of weights, {"ok": 8,
"reset-after": 1, ...}, by which the fate of each POST below /v1/charges is drawn, and is answered
"ok".  Runs until its standard input ends.

    ok             as Stripe answers
    slow           so, 50 to 300 ms late
    declined       402; nothing moved
    reset-before   the request is read and the connection reset; nothing moved
    reset-half     reset in the middle of the request's head; nothing moved
    reset-after    the charge is made, the connection reset without a byte of an answer
    error-after    the charge is made, the answer is 500
    cut-head       the charge is made, the answer ends within its head
    cut-body       the charge is made, the answer ends within its body
    reset-body     the same, by a reset
    hang           the charge is made, nothing is said for 3 s, then a reset
"""

import json
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import stripe_double  # noqa: E402

FATES = ("ok", "slow", "declined", "reset-before", "reset-half", "reset-after", "error-after",
         "cut-head", "cut-body", "reset-body", "hang")


class Faulty(stripe_double.Stripe):
    fate = "ok"

    def parse_request(self):
        good = super().parse_request()
        self.fate = "ok"
        if good and self.command == "POST" and self.path.startswith("/v1/charges"):
            self.fate = self.server.draw()
        if self.fate == "reset-half":
            self.reset_now()
            return False
        return good

    def read_body(self):
        body = super().read_body()
        if self.fate == "reset-before":
            self.reset_now()
            raise OSError("reset")
        return body

    def perform(self, path, form):
        if self.fate == "declined":
            raise stripe_double.error(402, "card_error", "Your card was declined.", "card_declined")
        return super().perform(path, form)

    def answer(self, status, body=None, headers=(), **more):
        fate = self.fate
        if fate == "slow":
            time.sleep(random.uniform(0.05, 0.3))
        elif fate in ("reset-after", "hang"):
            time.sleep(3 if fate == "hang" else 0)
            self.reset_now()
            return
        elif fate == "error-after":
            status, body = 500, self.error_body(500)
        elif fate in ("cut-head", "cut-body", "reset-body"):
            data = json.dumps(body).encode()
            head = (f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n").encode()
            whole = head + data
            end = len(head) // 2 if fate == "cut-head" else len(head) + len(data) // 2
            self.wfile.write(whole[:end])
            self.wfile.flush()
            self.close_connection = True
            if fate == "reset-body":
                self.reset_now()
            return
        super().answer(status, body, headers, **more)


class Fates:
    def __init__(self):
        self.lock = threading.Lock()
        self.names, self.weights = ["ok"], [1]

    def set(self, weights):
        unknown = set(weights) - set(FATES)
        if unknown:
            raise ValueError(f"no such fate: {unknown}")
        with self.lock:
            self.names, self.weights = list(weights), list(weights.values())

    def draw(self):
        with self.lock:
            return random.choices(self.names, self.weights)[0]


def main():
    cert, key, secret_file, log = sys.argv[1:5]
    secret = pathlib.Path(secret_file).read_text(encoding="ascii").strip()
    double = stripe_double.make(secret, cert, key, log)
    double.RequestHandlerClass = Faulty
    fates = Fates()
    double.draw = fates.draw
    double.start()
    print("ready", double.port, flush=True)
    for line in sys.stdin:
        fates.set(json.loads(line))
        print("ok", flush=True)


if __name__ == "__main__":
    main()
