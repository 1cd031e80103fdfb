#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one vendor double as a program: serve.py VENDOR CERT KEY SECRET-FILE LOG [PORT].

Prints "ready PORT" and runs until its standard input ends.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import other_doubles as others  # noqa: E402
import stripe_double  # noqa: E402


def main():
    vendor, cert, key, secret_file, log = sys.argv[1:6]
    port = int(sys.argv[6]) if len(sys.argv) > 6 else 0
    secret = pathlib.Path(secret_file).read_text(encoding="ascii").strip()
    if vendor == "stripe":
        double = stripe_double.make(secret, cert, key, log, port)
    else:
        double = others.make(vendor, secret, cert, key, log, port)
    double.start()
    print("ready", double.port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
