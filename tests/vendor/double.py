# SPDX-License-Identifier: Apache-2.0
"""What all vendor doubles share: a strict HTTPS server that knows one real key.

A double answers as its vendor does, accepts nothing but the real key, and appends every call that
it accepted to a log (one JSON object a line, fsynced before the answer leaves), so that a test can
compare what reached the vendor with what keybrake says.

Below /v1/double/ every vendor has a few paths of its own, for faults and bulk:

    echo                 the request as it came, headers and body, as JSON
    bytes/N              N bytes
    chunks/N/SIZE        N chunks of SIZE bytes
    events/N/MS          an SSE stream of N events, one every MS milliseconds
    slow/MS              answers after MS milliseconds
    status/CODE          that status
    cut/N                Content-Length N + 10, then N bytes, then the end
    reset                reads the request, then resets the connection
    hang                 reads the request, then says nothing
    redirect             302 to another path of this vendor
    redirect-away        302 to another host, with the credential in the Location
    cookie               Set-Cookie and Alt-Svc
    gzip                 a gzip body although identity was asked for
    coded/HOW            the credential and more in a body coded so: gzip, deflate, twice, trailing,
                         cut, bad, two (headers), x-gzip, br, zstd, unknown
    page/CODING          what the test laid down as `page`, said to be coded so
    split/N              echoes the Authorization header, cut into chunks of N bytes
    raw/HEX              these very bytes as the answer
"""

import base64
import gzip
import json
import os
import socket
import ssl
import struct
import threading
import time
import urllib.parse
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CallLog:
    """Append-only, durable before the call is answered."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.calls = []
        self.file = open(path, "a", encoding="utf-8") if path else None

    def add(self, entry):
        with self.lock:
            self.calls.append(entry)
            if self.file:
                self.file.write(json.dumps(entry, sort_keys=True) + "\n")
                self.file.flush()
                os.fsync(self.file.fileno())


def parse_form(text):
    """Form fields in order, as a list of pairs."""
    return urllib.parse.parse_qsl(text, keep_blank_values=True)


class Refused(Exception):
    """An answer that ends the handling: status, body, extra headers."""

    def __init__(self, status, body, headers=()):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "double"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    # -- reading

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                piece = self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return b"".join(pieces)
                pieces.append(piece)
        length = int(self.headers.get("Content-Length", "0"))
        return self.rfile.read(length) if length else b""

    def presented(self):
        """The credential of this request in each way that it may come."""
        found = []
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in ("bearer", "token"):
            found.append(rest.strip())
        elif scheme.lower() == "basic":
            user, _, password = base64.b64decode(rest).decode("latin-1").partition(":")
            found += [user, password]
        for name in ("x-api-key", "api-key"):
            if self.headers.get(name):
                found.append(self.headers[name])
        return found

    # -- answering

    def answer(self, status, body=None, headers=(), raw=None, content_type="application/json"):
        data = raw if raw is not None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def begin_chunks(self, content_type="application/octet-stream"):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def reset_now(self):
        """Past TLS, without a goodbye: what a broken network does."""
        self.close_connection = True
        raw = socket.socket(fileno=self.connection.detach())
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()

    # -- the paths of all doubles

    def double_path(self, what, body):
        parts = what.split("/")
        name, args = parts[0], parts[1:]
        if name == "echo":
            self.answer(200, {"method": self.command, "path": self.path,
                              "headers": [[k, v] for k, v in self.headers.items()],
                              "body": body.decode("latin-1")})
        elif name == "bytes":
            left = int(args[0])
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(left))
            self.end_headers()
            block = bytes(range(256)) * 256
            while left > 0:
                self.wfile.write(block[: min(left, len(block))])
                left -= min(left, len(block))
        elif name == "chunks":
            self.begin_chunks()
            for _ in range(int(args[0])):
                self.chunk(b"x" * int(args[1]))
            self.chunk(b"")
        elif name == "events":
            self.begin_chunks("text/event-stream")
            for i in range(int(args[0])):
                self.chunk(b"data: {\"n\": %d, \"t\": %.6f}\n\n" % (i, time.time()))
                time.sleep(int(args[1]) / 1000)
            self.chunk(b"")
        elif name == "slow":
            time.sleep(int(args[0]) / 1000)
            self.answer(200, {"slow": int(args[0])})
        elif name == "status":
            self.answer(int(args[0]), self.error_body(int(args[0])))
        elif name == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(int(args[0]) + 10))
            self.end_headers()
            self.wfile.write(b"y" * int(args[0]))
            self.wfile.flush()
            self.close_connection = True
        elif name == "reset":
            self.reset_now()
        elif name == "hang":
            time.sleep(30)
            self.close_connection = True
        elif name == "redirect":
            self.answer(302, {}, [("Location", f"https://{self.headers['Host']}/v1/elsewhere?a=1")])
        elif name == "redirect-away":
            self.answer(302, {}, [("Location", "https://evil.example/?k=" + self.presented()[-1])])
        elif name == "cookie":
            self.answer(200, {}, [("Set-Cookie", "a=b"), ("Alt-Svc", 'h3=":443"')])
        elif name == "gzip":
            self.answer(200, headers=[("Content-Encoding", "gzip")],
                        raw=gzip.compress(json.dumps({"key": self.presented()}).encode()))
        elif name == "page":
            self.answer(200, headers=[("Content-Encoding", args[0])], raw=self.server.page)
        elif name == "coded":
            self.coded(args[0])
        elif name == "split":
            self.begin_chunks("text/plain")
            text = self.headers.get("Authorization", "").encode()
            for i in range(0, len(text), int(args[0])):
                self.chunk(text[i : i + int(args[0])])
            self.chunk(b"")
        elif name == "raw":
            self.wfile.write(bytes.fromhex(args[0]))
            self.wfile.flush()
            self.close_connection = True
        else:
            self.answer(404, self.error_body(404))

    def coded(self, how):
        """Some of these say what they are, some do not, and some are not what they say."""
        text = json.dumps({"key": self.presented(), "filler": "x" * 5000}).encode()
        zipped = gzip.compress(text)
        names, body = {
            "gzip": (["gzip"], zipped), "x-gzip": (["X-GZip"], zipped),
            "deflate": (["deflate"], zlib.compress(text)),
            "twice": (["gzip, gzip"], gzip.compress(zipped)),
            "two": (["gzip", "gzip"], gzip.compress(zipped)),
            "trailing": (["gzip"], zipped + text), "members": (["gzip"], zipped + zipped),
            "cut": (["gzip"], zipped[:-20]), "bad": (["gzip"], zipped[:40] + b"?" * 40),
            "liar": (["gzip"], text), "br": (["br"], text), "zstd": (["zstd"], text),
            "unknown": (["rot13"], text), "identity": (["identity"], text)}[how]
        self.answer(200, headers=[("Content-Encoding", name) for name in names], raw=body)

    def error_body(self, status):
        return {"error": {"type": "api_error", "message": f"double says {status}"}}

    def unauthorised(self):
        self.answer(401, self.error_body(401))

    def serve(self, path, query, body):
        """A subclass answers here."""
        raise NotImplementedError

    def handle_any(self):
        body = self.read_body()
        path, _, query = self.path.partition("?")
        if self.server.secret not in self.presented():
            self.unauthorised()
            return
        self.server.arrived.append(f"{self.command} {self.path}")
        entry = {"at": time.time(), "method": self.command, "path": self.path,
                 "body": body.decode("latin-1"), "headers": [[k, v] for k, v in self.headers.items()]}
        # The log must not become a second place where the real key lies about.
        for pair in entry["headers"]:
            if pair[0].lower() in ("authorization", "x-api-key", "api-key"):
                pair[1] = "(the real key)"
        if "/double/" in path:
            self.server.log.add(entry)
            self.double_path(path.partition("/double/")[2], body)
            return
        self.entry = entry
        try:
            self.serve(path, query, body)
        except Refused as refused:
            self.answer(refused.status, refused.body, refused.headers)

    def accepted(self, **facts):
        """Logs the call; to be said before the answer."""
        self.entry.update(facts)
        self.server.log.add(self.entry)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any


class Double(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, handler, secret, cert, key, log_path=None, port=0, **state):
        super().__init__(("127.0.0.1", port), handler)
        self.secret = secret
        self.log = CallLog(log_path)
        self.lock = threading.Lock()
        self.arrived = []  # every request with the real key, accepted or not
        self.__dict__.update(state)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.tls.load_cert_chain(cert, key)

    @property
    def port(self):
        return self.server_address[1]

    @property
    def calls(self):
        with self.log.lock:
            return list(self.log.calls)

    def finish_request(self, request, client_address):
        # The handshake belongs to the connection's own thread, not to the accepting one.
        try:
            request.settimeout(60)
            wrapped = self.tls.wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError):
            return
        try:
            self.RequestHandlerClass(wrapped, client_address, self)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            try:
                wrapped.unwrap() if wrapped.fileno() >= 0 else None
            except (OSError, ssl.SSLError, ValueError):
                pass
            wrapped.close()

    def handle_error(self, request, client_address):
        pass

    def start(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self.shutdown()
        self.server_close()
