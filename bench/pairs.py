#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Issues and revokes keys as fast as it can: pairs.py PORT CONNECTIONS SECONDS, token on stdin.

One thread and raw sockets, so that the driver is as little of what is measured as may be.
"""

import json
import selectors
import socket
import sys
import time

port, connections, seconds = (int(a) for a in sys.argv[1:4])
token = sys.stdin.readline().strip()
policy = json.dumps({"label": "pair", "vendor": "stripe", "daily_usd_cap": 1,
                     "allowed_endpoints": ["/v1/balance"], "expires_in": "5m"})
common = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
issue = (f"POST /v1/keys HTTP/1.1\r\n{common}Content-Type: application/json\r\n"
         f"Content-Length: {len(policy)}\r\n\r\n{policy}").encode()


def revoke(answer):
    key = answer.partition(b'"id":"')[2].partition(b'"')[0].decode()
    return f"DELETE /v1/keys/{key} HTTP/1.1\r\n{common}\r\n".encode()


def whole(data):
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return len(body) >= length


def main():
    selector = selectors.DefaultSelector()
    state = {}
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one, selectors.EVENT_READ)
        state[one] = [b"", True]
        one.sendall(issue)
    pairs, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        for key, _ in selector.select(1):
            one = key.fileobj
            state[one][0] += one.recv(65536)
            if not whole(state[one][0]):
                continue
            answer, issued = state[one]
            if b" 20" not in answer[:13]:
                sys.exit(answer.decode(errors="replace"))
            state[one] = [b"", not issued]
            if issued:
                one.sendall(revoke(answer))
            else:
                pairs += 1
                one.sendall(issue)
    print(json.dumps({"pairs": pairs, "seconds": time.monotonic() - began}))


main()
