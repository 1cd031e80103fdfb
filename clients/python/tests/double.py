# SPDX-License-Identifier: Apache-2.0
"""A server that answers as it is told and remembers what it was asked."""

import http.server
import json
import os
import socket
import socketserver
import tempfile
import threading
import time

TOKEN = "vk_" + "A" * 38


def issued(vendor="stripe", number=1, **more):
    return {"id": f"key_{number:016d}", "token": TOKEN, "status": "active", "vendor": vendor,
            "label": "run/1", "expires_at": "2026-11-23T12:12:00.000Z", "spent_usd": "0.00",
            "held_usd": "0.00", "remaining_usd": "50.00",
            "env": {"STRIPE_API_KEY": TOKEN, "STRIPE_API_BASE": "http://127.0.0.1:1/stripe"}, **more}


def problem(status, code, detail="no"):
    return status, {"type": f"urn:keybrake:{code}", "title": "x", "status": status,
                    "detail": detail, "code": code}


def revoked(number=1):
    return 200, {"id": f"key_{number:016d}", "status": "revoked", "open_objects": []}


class _Tcp(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


class _Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *args):
        pass

    def answer(self):
        double = self.server.double
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        double.calls.append({"method": self.command, "path": self.path,
                             "headers": {k.lower(): v for k, v in self.headers.items()},
                             "body": json.loads(body) if body else None})
        said = double.answers.pop(0) if double.answers else double.usual(self.command, self.path)
        if said == "silence":
            time.sleep(1.0)
            self.close_connection = True
            return
        if said == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            try:
                for _ in range(20):
                    self.wfile.write(b" ")
                    time.sleep(0.1)
            except OSError:
                self.close_connection = True
            return
        if said == "drip head":
            try:
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.1)
            except OSError:
                self.close_connection = True
            return
        if said == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}")
            self.close_connection = True
            return
        if said == "reset":
            self.close_connection = True
            return
        if isinstance(said, bytes):
            self.wfile.write(said)
            self.close_connection = True
            return
        status, value, *headers = said
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers[0] if headers else {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PATCH = answer


class Double:
    """with Double([answer, ...]) as server: ... server.url, server.calls.  An answer is (status,
    value[, headers]), raw bytes, or "silence", "cut", "reset", "drip"; when they are used up,
    issue and revoke are answered as they should be."""

    def __init__(self, answers=(), unix=False):
        self.answers = list(answers)
        self.calls = []
        self.issues = 0
        if unix:
            self.directory = tempfile.TemporaryDirectory()
            path = os.path.join(self.directory.name, "control.sock")
            self.server = _Unix(path, Handler)
            self.url = "unix:" + path
        else:
            self.server = _Tcp(("127.0.0.1", 0), Handler)
            self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.server.double = self

    def usual(self, method, path):
        if method == "POST" and path.endswith("/v1/keys"):
            self.issues += 1
            return 201, issued(number=self.issues)
        if method == "DELETE":
            return 200, {"id": path.rpartition("/")[2], "status": "revoked", "open_objects": []}
        return problem(404, "not_found")

    def revoked(self):
        return [c["path"].rpartition("/")[2] for c in self.calls if c["method"] == "DELETE"]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *ignored):
        self.server.shutdown()
        self.server.server_close()


def dead_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
