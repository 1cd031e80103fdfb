# SPDX-License-Identifier: Apache-2.0
"""The corpora of raw requests (tests/corpus/framing, tests/corpus/paths) against a real keybrake
with a strict recording upstream behind it: in one write, in writes of 7 bytes, and byte by byte;
over plain TCP and over TLS.

What a case must hold in every mode:

  - exactly the answers it names come, and no byte more;
  - behind a refusal the connection ends, without a reset;
  - as many requests reach the upstream as were answered 200, each with one reading, and none that
    the case does not account for.
"""

import collections
import os
import socket
import threading
import time
import unittest

import corpus
import harness
import recorder

LONG = bool(os.environ.get("KEYBRAKE_LONG"))
THREADS = 6
SECONDS = 8
BYTEWISE_MAX = 1 << 20 if LONG else 3000
SEVENS_MAX = 1 << 20 if LONG else 20000


class Wrong(Exception):
    """What a case asks did not happen."""


class Reader:
    """Answers off a connection, strictly."""

    def __init__(self, stream):
        self.stream, self.kept, self.ended, self.reset = stream, b"", False, False

    def more(self):
        if self.ended:
            return False
        try:
            piece = self.stream.recv(65536)
        except TimeoutError:
            raise Wrong(f"nothing more came for {SECONDS} s; so far {self.kept[:300]!r}") from None
        except OSError:
            self.reset, piece = True, b""
        self.ended = piece == b""
        self.kept += piece
        return not self.ended

    def status(self, head_request):
        while b"\r\n\r\n" not in self.kept:
            if not self.more():
                raise Wrong(f"the end instead of an answer (reset: {self.reset}): {self.kept[:300]!r}")
        head, _, self.kept = self.kept.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split(" ")[1])
        if not lines[0].startswith("HTTP/1.1 "):
            raise Wrong(f"answer {lines[0]}")
        size = int(fields.get("content-length", "0"))
        if status >= 200 and "content-length" not in fields:
            raise Wrong(f"an answer without a length: {head!r}")
        if head_request or status < 200:
            size = 0
        while len(self.kept) < size:
            if not self.more():
                raise Wrong(f"a cut answer (reset: {self.reset})")
        self.kept = self.kept[size:]
        return status, fields.get("connection", "") == "close"


def send(stream, data, size):
    """False when the other side has had enough."""
    try:
        for at in range(0, len(data), size):
            stream.sendall(data[at:at + size])
    except OSError:
        return False
    return True


class Run:
    """One case in one mode."""

    def __init__(self, test, case, mode, number):
        self.test, self.case, self.number = test, case, number
        self.size = {"whole": 1 << 30, "sevens": 7, "bytes": 1}[mode]
        self.mode = mode

    def auth(self, number):
        return f"Authorization: Bearer {self.test.key['token']}\\r\\nX-Case: {number}"

    def talk(self, stream):
        data = self.case.bytes(self.auth(self.number), self.test.vendor_host)
        reader, statuses = Reader(stream), list(self.case.statuses)
        send(stream, data, self.size)
        if "eof" in self.case.wants:
            socket.socket.shutdown(stream, socket.SHUT_WR)
        close, head = False, data.lstrip().startswith(b"HEAD ")
        while statuses:
            status, close = reader.status(head)
            if status != statuses[0]:
                raise Wrong(f"answered {status}, not {statuses[0]}")
            if status == 100:
                send(stream, self.case.wants["body"].encode("latin-1"), self.size)
            statuses.pop(0)
        if not close and self.case.statuses[-1] not in (200, 403, 407):
            raise Wrong("a refusal without Connection: close")
        if not close and "eof" not in self.case.wants:
            self.once_more(stream, reader)
        elif reader.kept or reader.more():
            raise Wrong(f"more than was asked for: {reader.kept[:300]!r}")
        elif reader.reset:
            raise Wrong("reset behind the answer")

    def once_more(self, stream, reader):
        """The connection is where the client thinks it is: the next request is the next."""
        send(stream, (f"GET /again HTTP/1.1\r\nHost: keybrake\r\n"
                      f"{self.auth('again').encode().decode('unicode_escape')}\r\n\r\n").encode(),
             1 << 20)
        status, _ = reader.status(False)
        if status != 200 or reader.kept:
            raise Wrong(f"out of step: the next request was answered {status} {reader.kept!r}")

    def judge(self):
        """What reached the upstream."""
        wants, expected = self.case.wants, self.case.statuses.count(200)
        seen = self.test.recorder.of(str(self.number))
        complete = [r for r in seen if r.complete]
        if len(complete) != expected or (len(seen) != expected and "aborted" not in wants):
            raise Wrong(f"{len(seen)} requests ({len(complete)} complete) reached the upstream, "
                        f"not {expected}: {seen}")
        for request in complete:
            if "body" in wants and request.body != wants["body"].encode("latin-1"):
                raise Wrong(f"body {request.body!r}")
            if "target" in wants and request.target != wants["target"]:
                raise Wrong(f"target {request.target!r}")
            for name in wants.get("lacks", "").split(","):
                if name and request.all(name):
                    raise Wrong(f"{name} was forwarded: {request}")

    def run(self):
        with self.test.keybrake.connect() as stream:
            stream.settimeout(SECONDS)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.talk(stream)


class Corpus(harness.Case):
    vendors = []
    options = ["--gates", "1"]
    folder = "framing"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        certificates = cls.place.certificates
        secret = harness.fake_secret("generic")
        cls.recorder = recorder.Recorder(secret, certificates / "cert.pem",
                                         certificates / "cert.key").start()
        cls.keybrake.api("PUT", "/v1/credentials/generic", {
            "vendor": "generic", "secret": secret, "allow_private": True,
            "upstream": f"https://localhost:{cls.recorder.port}",
            "ca_pem": (certificates / "ca.pem").read_text()})
        cls.key = cls.keybrake.api("POST", "/v1/keys", {
            "vendor": "generic", "label": "corpus", "expires_in": "1h", "daily_usd_cap": None,
            "allowed_endpoints": ["/", "/*"]})
        cls.vendor_host = f"localhost:{cls.recorder.port}"
        cls.cases = corpus.read(cls.folder)
        cls.numbers = iter(range(1, 1 << 30))

    @classmethod
    def tearDownClass(cls):
        cls.recorder.stop()
        super().tearDownClass()

    def run_all(self, mode, most=1 << 30):
        todo = collections.deque(Run(self, case, mode, next(self.numbers)) for case in self.cases
                                 if len(case.bytes("")) <= most)
        runs, right, wrong = list(todo), [], []
        self.recorder.requests.clear()

        def work():
            while todo:
                try:
                    run = todo.popleft()
                    run.run()
                    right.append(run)
                except IndexError:
                    return
                except Exception as error:  # whatever it is, it is not what should have been
                    wrong.append(f"{run.case}: {error!r}")

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.3)  # what is still on its way arrives
        for run in runs:
            try:
                run.judge()
            except Wrong as error:
                wrong.append(f"{run.case}: {error}")
        ours = {str(run.number) for run in runs} | {"again"}
        wrong += [f"nobody's request: {r}" for r in self.recorder.requests if r.case not in ours]
        aborted = any("aborted" in run.case.wants for run in runs)
        wrong += [v for v in self.recorder.violations
                  if not (aborted and v.startswith("half a head"))]
        self.recorder.violations.clear()
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(runs)}:\n" + "\n".join(wrong))
        self.assertEqual(len(right), len(runs))


class Framing(Corpus):
    def test_there_are_enough(self):
        self.assertGreaterEqual(len(self.cases), 400)
        names = [str(case) for case in self.cases]
        self.assertEqual(len(names), len(set(names)))

    def test_in_one_write(self):
        self.run_all("whole")

    def test_in_writes_of_seven_bytes(self):
        self.run_all("sevens", SEVENS_MAX)

    def test_byte_by_byte(self):
        self.run_all("bytes", BYTEWISE_MAX)


class FramingOverTls(Framing):
    scheme = "https"


class Paths(Framing):
    folder = "paths"


class PathsOverTls(Paths):
    scheme = "https"


del Corpus  # not a test of its own


if __name__ == "__main__":
    unittest.main()
