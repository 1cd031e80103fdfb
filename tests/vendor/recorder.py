# SPDX-License-Identifier: Apache-2.0
"""An upstream that forgives nothing: it reads what keybrake sends with a parser of its own, which
takes one spelling only, and keeps the bytes of every request.

    recorder = Recorder(secret, cert, key).start()
    recorder.of("17")       the requests that said "X-Case: 17"
    recorder.violations     what no strict server would have taken

A request is answered 200 with its own target and body's length; one that is not complete when the
connection ends is kept as such.  A subclass may answer otherwise (see test_answers).
"""

import pathlib
import re
import socket
import ssl
import sys
import threading

REQUEST_LINE = re.compile(rb"([A-Z][A-Z-]{0,31}) (/[!-~]*) HTTP/1\.1")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)")
CHUNK = re.compile(rb"(?:0|[1-9a-f][0-9a-f]{0,15})\r\n")
SQUEEZE = re.compile(rb"[^a-z0-9]")
NEVER = {SQUEEZE.sub(b"", name) for name in (
         b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings", b"expect",
         b"cookie", b"forwarded", b"x-http-method-override", b"x-original-url", b"x-rewrite-url",
         b"x-host", b"x-forwarded-host", b"x-forwarded-for", b"proxy-authorization",
         b"proxy-connection", b"max-forwards", b"x-real-ip", b"proxy")}


class Violation(Exception):
    """What was read can be read in two ways, or is nobody's request."""


class Request:
    def __init__(self, method, target, fields):
        self.method, self.target, self.fields = method, target, fields
        self.body, self.complete = b"", False

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower().encode()]

    def one(self, name):
        values = self.all(name)
        return values[0] if len(values) == 1 else None

    @property
    def case(self):
        return (self.one("x-case") or b"").decode()

    def __repr__(self):
        return f"{self.method} {self.target} {self.fields} {self.body[:200]} {self.complete}"


class Connection:
    def __init__(self, recorder, stream):
        self.recorder, self.stream, self.kept = recorder, stream, b""

    def more(self):
        try:
            piece = self.stream.recv(65536)
        except (OSError, ssl.SSLError):
            piece = b""
        self.kept += piece
        return piece != b""

    def until(self, mark, most):
        while mark not in self.kept:
            if len(self.kept) > most:
                raise Violation(f"no {mark!r} in {most} bytes: {self.kept[:200]!r}")
            if not self.more():
                return None
        taken, _, self.kept = self.kept.partition(mark)
        return taken

    def exactly(self, size):
        while len(self.kept) < size and self.more():
            pass
        taken, self.kept = self.kept[:size], self.kept[size:]
        return taken

    def head(self):
        text = self.until(b"\r\n\r\n", 65536)
        if text is None:
            if self.kept:
                raise Violation(f"half a head: {self.kept[:200]!r}")
            return None
        lines = text.split(b"\r\n")
        first = REQUEST_LINE.fullmatch(lines[0])
        if first is None:
            raise Violation(f"request line {lines[0]!r}")
        fields = []
        for line in lines[1:]:
            field = FIELD.fullmatch(line)
            if field is None or field[2] != field[2].strip(b" \t"):
                raise Violation(f"field {line!r}")
            fields.append((field[1].lower(), field[2]))
        request = Request(first[1].decode(), first[2].decode(), fields)
        self.judge(request)
        return request

    def judge(self, request):
        for name in ("host", "authorization"):
            if len(request.all(name)) != 1:
                raise Violation(f"{name} is not there once: {request}")
        if request.all("via")[-1:] != [b"1.1 keybrake"]:
            raise Violation(f"Via does not end in ours: {request}")
        if self.recorder.secret.encode() not in request.one("authorization"):
            raise Violation("not with the real key")
        for name, _ in request.fields:
            if SQUEEZE.sub(b"", name) in NEVER:
                raise Violation(f"{name!r} was forwarded")
            squeezed = SQUEEZE.sub(b"", name)
            if squeezed in (b"contentlength", b"transferencoding", b"host", b"authorization") and \
                    name not in (b"content-length", b"transfer-encoding", b"host",
                                 b"authorization"):
                raise Violation(f"{name!r} can be mistaken for framing")
        lengths, codings = request.all("content-length"), request.all("transfer-encoding")
        if len(lengths) + len(codings) > 1:
            raise Violation(f"two framings: {lengths} {codings}")
        if lengths and not re.fullmatch(rb"0|[1-9][0-9]{0,15}", lengths[0]):
            raise Violation(f"length {lengths[0]!r}")
        if codings and codings[0] != b"chunked":
            raise Violation(f"coding {codings[0]!r}")

    def chunks(self, request):
        while True:
            line = self.until(b"\r\n", 100)
            if line is None:
                return False
            if not CHUNK.fullmatch(line + b"\r\n"):
                raise Violation(f"chunk size {line!r}")
            size = int(line, 16)
            piece = self.exactly(size + 2)
            request.body += piece[:size]
            if len(piece) < size + 2:
                return False
            if piece[size:] != b"\r\n":
                raise Violation(f"chunk end {piece[size:]!r} (or a trailer)")
            if size == 0:
                return True

    def body(self, request):
        if request.one("transfer-encoding"):
            return self.chunks(request)
        size = int(request.one("content-length") or 0)
        request.body = self.exactly(size)
        return len(request.body) == size

    def serve(self):
        while True:
            request = self.head()
            if request is None:
                return
            self.recorder.keep(request)
            request.complete = self.body(request)
            if not request.complete:
                return
            if not self.recorder.say(self.stream, self.recorder.answer(request)):
                return


class Recorder:
    def __init__(self, secret, cert, key):
        self.secret = secret
        self.requests, self.violations = [], []
        self.lock = threading.Lock()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]

    def keep(self, request):
        with self.lock:
            self.requests.append(request)

    def of(self, case):
        with self.lock:
            return [r for r in self.requests if r.case == case]

    def answer(self, request):
        body = b"" if request.method == "HEAD" else \
            f"{request.target} {len(request.body)}".encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def say(self, stream, answer):
        """False when the connection ends with it."""
        stream.sendall(answer)
        return True

    def connection(self, plain):
        try:
            plain.settimeout(60)
            with self.tls.wrap_socket(plain, server_side=True) as stream:
                Connection(self, stream).serve()
        except Violation as violation:
            with self.lock:
                self.violations.append(str(violation))
        except (OSError, ssl.SSLError):
            pass
        finally:
            plain.close()

    def run(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connection, args=(plain,), daemon=True).start()

    def start(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


class Bulk(Recorder):
    """Keeps nothing; /big is 4 MB."""

    BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + b"b" * 4000000

    def keep(self, request):
        pass

    def answer(self, request):
        return self.BIG if request.target == "/big" else super().answer(request)


def main():
    """recorder.py CERT KEY SECRET-FILE: prints "ready PORT", runs until its input ends."""
    cert, key, secret = sys.argv[1:]
    bulk = Bulk(pathlib.Path(secret).read_text(encoding="ascii"), cert, key).start()
    print("ready", bulk.port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
