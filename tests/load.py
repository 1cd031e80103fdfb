#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Misbehaving clients: load.py MODE PORT CONNECTIONS SECONDS [TOKEN].

    idle      connects, and says nothing
    flood     connects and goes, as fast as it can
    heads     sends 30 KB of a head that never ends
    headers   sends a head a byte at a time, one a second
    bodies    sends a body so
    readers   asks for much and reads nothing
    small     small requests one behind the other, as fast as they are answered
    one       asks once on each connection, and says which statuses came

Those that reach the vendor (bodies, readers) come 200 a second, as slowhttptest does it; the others
as fast as they can.  Prints one line: how many connections were made, how many answers of which status came.
"""

import collections
import resource
import selectors
import socket
import sys
import time


class Client:
    def __init__(self, load):
        self.load, self.heard = load, b""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", load.port))
        self.connected, self.due = False, 0.0
        load.selector.register(self.socket, selectors.EVENT_WRITE | selectors.EVENT_READ, self)

    def close(self):
        self.load.selector.unregister(self.socket)
        self.socket.close()
        self.load.live -= 1

    def watch(self, events):
        self.load.selector.modify(self.socket, events, self)

    def send(self, data):
        try:
            self.socket.send(data)
        except OSError:
            self.close()

    def begin(self):
        self.connected = True
        self.load.connected += 1
        mode, head = self.load.mode, self.load.head
        self.watch(selectors.EVENT_READ)
        if mode == "flood":
            self.close()
        elif mode == "heads":
            self.send(b"GET / HTTP/1.1\r\nHost: k\r\nX-A: " + b"a" * 30000)
        elif mode == "headers":
            self.send(b"GET / HTTP/1.1\r\nHost: k\r\n")
        elif mode == "bodies":
            self.send(head("POST", "/slow") + b"Content-Length: 100000\r\n\r\n")
        elif mode == "readers":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.watch(selectors.EVENT_WRITE)
            self.send(head("GET", "/big") + b"\r\n")
            self.due = float("inf")
            self.load.selector.unregister(self.socket)
        elif mode in ("small", "one"):
            self.send(head("GET", "/small") + b"\r\n")

    def hear(self):
        try:
            piece = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.load.ended += 1
            self.close()
            return
        self.heard += piece
        while b"\r\n\r\n" in self.heard:
            head, _, rest = self.heard.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            if len(rest) < size:
                return
            self.heard = rest[size:]
            self.load.statuses[head.split(b" ")[1].decode()] += 1
            if self.load.mode == "small":
                self.send(self.load.head("GET", "/small") + b"\r\n")

    def tick(self):
        if self.load.mode == "headers":
            self.send(b"X")
        elif self.load.mode == "bodies":
            self.send(b"x")


class Load:
    def __init__(self, mode, port, count, seconds, token=""):
        self.mode, self.port, self.token = mode, int(port), token
        self.count, self.end = int(count), time.monotonic() + float(seconds)
        self.selector = selectors.DefaultSelector()
        self.live = self.connected = self.ended = 0
        self.statuses = collections.Counter()

    def head(self, method, path):
        return (f"{method} {path} HTTP/1.1\r\nHost: k\r\n"
                f"Authorization: Bearer {self.token}\r\n").encode()

    def run(self):
        clients, ticked, began = [], 0.0, time.monotonic()
        ramp = 200 if self.mode in ("bodies", "readers") else 1 << 20
        while time.monotonic() < self.end:
            for _ in range(100):
                if len(clients) > (time.monotonic() - began) * ramp:
                    break
                if self.live < self.count and (self.mode == "flood" or len(clients) < self.count):
                    self.live += 1
                    client = Client(self)
                    if self.mode != "flood":
                        clients.append(client)
            for key, events in self.selector.select(0.01):
                client = key.data
                if not client.connected and events & selectors.EVENT_WRITE:
                    client.begin()
                elif events & selectors.EVENT_READ:
                    client.hear()
            if time.monotonic() - ticked > 1 and self.mode in ("headers", "bodies"):
                ticked = time.monotonic()
                for client in clients:
                    if client.connected and client.socket.fileno() >= 0:
                        client.tick()
        print(f"connected={self.connected} ended={self.ended} "
              + " ".join(f"{s}={n}" for s, n in sorted(self.statuses.items())))


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Load(*sys.argv[1:]).run()


if __name__ == "__main__":
    main()
