# SPDX-License-Identifier: Apache-2.0
"""The corpus of raw vendor answers (tests/corpus/answers): what a client sees of each, in whatever
pieces it comes; and that no byte of one answer ever becomes part of another."""

import collections
import re
import socket
import ssl
import threading
import unittest

import corpus
import harness
import recorder

THREADS = 6
SECONDS = 10


class Script(recorder.Recorder):
    """Says what the case of a request says."""

    def __init__(self, *args):
        super().__init__(*args)
        self.scripts = {}

    def answer(self, request):
        script = self.scripts.get(request.case)
        if script is None:
            return super().answer(request)
        return script

    def say(self, stream, script):
        if isinstance(script, bytes):
            return super().say(stream, script)
        case, size = script
        data = case.bytes("")
        plain = stream.fileno()
        for at in range(0, len(data), size):
            stream.sendall(data[at:at + size])
        if "eof" in case.wants:
            stream.settimeout(5)
            try:
                stream.unwrap()
            except (OSError, ssl.SSLError):
                pass
            return False
        if "cutoff" in case.wants:
            raw = socket.socket(fileno=socket.dup(plain))
            raw.shutdown(socket.SHUT_RDWR)
            raw.close()
            return False
        return True


class Wrong(Exception):
    """What a case asks did not happen."""


class Seen:
    """One exchange as the client sees it."""

    def __init__(self, stream, method):
        self.statuses, self.fields, self.body, self.whole = [], {}, b"", False
        with stream.makefile("rb") as file:
            try:
                self.read(file, method)
            except (OSError, ssl.SSLError, ValueError):
                pass

    def head(self, file):
        line = file.readline().decode("latin-1")
        if not line.startswith("HTTP/1.1 "):
            raise Wrong(f"no answer: {line!r}")
        self.statuses.append(int(line.split(" ")[1]))
        self.fields = {}
        while line := file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            self.fields[name.lower()] = value.strip()

    def read(self, file, method):
        self.head(file)
        while self.statuses[-1] < 200:
            self.head(file)
        if method == "HEAD" or self.statuses[-1] in (204, 304):
            self.whole = True
        elif "transfer-encoding" in self.fields:
            while (line := file.readline()) != b"0\r\n":
                if not re.fullmatch(rb"[0-9a-f]+\r\n", line):
                    return
                size = int(line, 16)
                self.body += file.read(size)
                if file.read(2) != b"\r\n":
                    return
            self.whole = file.readline() == b"\r\n"
        else:
            size = int(self.fields["content-length"])
            self.body = file.read(size)
            self.whole = len(self.body) == size


class Answers(harness.Case):
    vendors = []
    options = ["--gates", "1"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        certificates, secret = cls.place.certificates, harness.fake_secret("generic")
        cls.recorder = Script(secret, certificates / "cert.pem", certificates / "cert.key").start()
        cls.keybrake.api("PUT", "/v1/credentials/generic", {
            "vendor": "generic", "secret": secret, "allow_private": True,
            "upstream": f"https://localhost:{cls.recorder.port}",
            "ca_pem": (certificates / "ca.pem").read_text()})
        cls.key = cls.keybrake.api("POST", "/v1/keys", {
            "vendor": "generic", "label": "answers", "expires_in": "1h", "daily_usd_cap": None,
            "allowed_endpoints": ["/*"]})
        cls.cases = corpus.read("answers")
        cls.numbers = iter(range(1, 1 << 30))

    @classmethod
    def tearDownClass(cls):
        cls.recorder.stop()
        super().tearDownClass()

    def ask_for(self, number, method="GET"):
        with self.keybrake.connect() as stream:
            stream.settimeout(SECONDS)
            stream.sendall((f"{method} /{number} HTTP/1.1\r\nHost: keybrake\r\nX-Case: {number}\r\n"
                            f"Authorization: Bearer {self.key['token']}\r\n\r\n").encode())
            return Seen(stream, method)

    def check(self, case, number, size):
        wants = case.wants
        self.recorder.scripts[str(number)] = (case, size)
        seen = self.ask_for(number, wants.get("method", "GET"))
        refused = "or_502" in wants and seen.statuses == [502]
        if seen.statuses != case.statuses and not refused:
            raise Wrong(f"answered {seen.statuses} {seen.body[:200]}")
        if seen.whole == ("cut" in wants and not refused):
            raise Wrong(f"complete: {seen.whole}; body {seen.body[:200]}")
        if "body" in wants and seen.body != wants["body"].encode("latin-1"):
            raise Wrong(f"body {seen.body[:200]}")
        for name in wants.get("lacks", "").split(","):
            if name in seen.fields:
                raise Wrong(f"{name}: {seen.fields[name]} was passed on")
        # Who comes next, perhaps on the same connection, gets its own answer.
        seen = self.ask_for(f"next-{number}")
        if seen.statuses != [200] or seen.body != f"/next-{number} 0".encode():
            raise Wrong(f"the next one was answered {seen.statuses} {seen.body[:200]}")

    def run_all(self, size):
        todo, right, wrong = collections.deque(self.cases), [], []

        def work():
            while todo:
                try:
                    case = todo.popleft()
                    self.check(case, next(self.numbers), size)
                    right.append(case)
                except IndexError:
                    return
                except Exception as error:  # whatever it is, it is not what should have been
                    wrong.append(f"{case}: {error!r}")

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wrong += self.recorder.violations
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(self.cases)}:\n" + "\n".join(wrong))
        self.assertEqual(len(right), len(self.cases))

    def test_in_one_write(self):
        self.run_all(1 << 30)

    def test_in_writes_of_seven_bytes(self):
        self.run_all(7)

    def test_byte_by_byte(self):
        self.run_all(1)


if __name__ == "__main__":
    unittest.main()
