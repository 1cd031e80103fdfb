# SPDX-License-Identifier: Apache-2.0
"""Our request parser against h11's: what we accept, h11 accepts too, and reads the same.

The other way round is no rule: we refuse more.
"""

import json
import pathlib
import random
import re
import subprocess
import unittest

try:
    import h11
except ImportError:
    h11 = None

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARSER = ROOT / "out/release/src/http/head_test"
CASES = 20000

SEEDS = [
    b"GET /v1/x?expand[]=y HTTP/1.1\r\nHost: api.a.com:8787\r\nAuthorization: Bearer k\r\n\r\n",
    b"POST /v1/charges HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: 1\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: [::1]:1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n",
    b"GET http://a.com/x HTTP/1.1\r\nHost: a.com\r\nAccept: */*\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Tab:\ta\tb \t\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
    b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
]
PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\x7f", b"\x80", b"\xff", b",", b";", b"_",
    b"Content-Length: 5\r\n", b"Content-Length: 05\r\n", b"Content-Length: +5\r\n",
    b"Content_Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n",
    b"transfer-encoding : chunked\r\n", b"Host: b\r\n", b" folded\r\n", b"HTTP/1.0", b"HTTP/1.1",
    b"HTTP/2.0", b"chunked", b"identity", b"0", b"5", b"ff", b"0x5", b"\r\n\r\n", b"0\r\n\r\n",
    b"Connection: Host\r\n", b"Authorization: b\r\n", b"%2e", b"#", b"\\", b'"', b"{", b"|",
]

FRAMING_TRAILER = re.compile(
    rb"\n0+(;[^\r]*)?\r\n([^\r]+\r\n)*(transfer-encoding|content-length|host):", re.I)


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3, 5])):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(6)
        if what == 0:
            data[at:at] = rng.choice(PIECES)
        elif what == 1:
            data[at:at + rng.randrange(4)] = b""
        elif what == 2:
            data[at:at + 1] = bytes([rng.randrange(256)])
        elif what == 3:
            data[at:at + rng.randrange(8)] = rng.choice(PIECES)
        elif what == 4:  # a whole line more, at the start of some line
            starts = [i + 2 for i in range(len(data) - 1) if data[i:i + 2] == b"\r\n"]
            if starts:
                at = rng.choice(starts)
                data[at:at] = rng.choice(PIECES)
        else:
            other = rng.choice(SEEDS)
            data[at:] = other[rng.randrange(len(other)):]
    return bytes(data)


def ours(requests):
    fed = b"".join(b"%d\n%s" % (len(r), r) for r in requests)
    done = subprocess.run([PARSER, "print"], input=fed, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def theirs(data):
    """Method, target, fields, content and how the body ended; None when h11 refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    head, content, end = None, b"", "more"
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                end = "end"
                break
            else:
                break
    except h11.RemoteProtocolError:
        if head is None:
            return None
        end = "bad"
    if head is None:
        return None
    return head, content, end


@unittest.skipIf(h11 is None, "python3-h11 is not installed")
@unittest.skipUnless(PARSER.exists(), "the parser's test program is not built: make test")
class Differential(unittest.TestCase):
    def compare(self, request, our):
        their = theirs(request)
        self.assertIsNotNone(their, f"we accept, h11 does not: {request!r}")
        head, content, end = their
        text = lambda name: bytes.fromhex(our[name])
        self.assertEqual(text("method"), bytes(head.method), request)
        self.assertEqual(text("target"), bytes(head.target), request)
        fields = [(text(f"n{i}"), text(f"v{i}")) for i in range(our["fields"])]
        normal = [(n, b"chunked" if n == b"transfer-encoding" else v) for n, v in fields]
        self.assertEqual(normal, [(bytes(n), bytes(v)) for n, v in head.headers], request)
        if our["body"] == "end" and end == "bad" and FRAMING_TRAILER.search(request):
            end = "end"  # h11 reads trailers as fields; we drop them all
        if our["body"] != "bad":  # there too we refuse more
            self.assertEqual((text("content"), our["body"]), (content, end), request)

    def test_what_we_accept_h11_reads_the_same(self):
        rng = random.Random(20261123)
        requests = list(SEEDS) + [mutate(rng, rng.choice(SEEDS)) for _ in range(CASES)]
        answers = ours(requests)
        self.assertEqual(len(answers), len(requests))
        accepted = 0
        for request, our in zip(requests, answers):
            if our["status"] == 0:
                accepted += 1
                self.compare(request, our)
        # Enough on both sides that the comparison means something.
        self.assertGreater(accepted, CASES // 10)
        self.assertLess(accepted, CASES * 9 // 10)


if __name__ == "__main__":
    unittest.main()
