# SPDX-License-Identifier: Apache-2.0
"""Reads tests/corpus: raw requests with what must come of them.

    == a name -> 400 | why: RFC 9112 6.3
    POST /c HTTP/1.1
    Host: keybrake
    {auth}
    Content-Length: {v}

    hello\\
    .
    v: +5
    v: 5, 5 -> 501

A case begins with "==".  Behind "->" stand the statuses of all answers on the connection, in order;
then, optionally:
    body=TEXT     (with \\s for spaces) the one request that reached the upstream had this body
    target=TEXT   and this target
    lacks=NAME    and no such header; several with commas
    method=NAME   the request's method, where the case is an answer
    eof           the client ends its side after the last byte
    cutoff, cut/502   of answers: see answers.cases
    aborted       a request may have begun upstream, and must not have been completed
A request is the lines up to ".", each with CR LF behind it; none behind a line that ends in "\\".
Escapes: \\r \\n \\t \\0 \\\\ \\xHH, \\s for a space at a line's end; {TEXT*N} is TEXT N times.
{auth} is the vault key in an Authorization header, and the header that says which case it is;
{vendor} the host and port of the vendor.
Each "v:" line behind the "." makes a case of its own, with that text for {v}, in the verdict too; it may have a "->" of
its own.  "#" begins a comment between cases.
"""

import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent / "corpus"
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "s": b" ", "\\": b"\\"}


class Case:
    def __init__(self, file, line, name, verdict, text):
        self.file, self.line, self.name, self.text = file, line, name, text
        words, _, self.why = verdict.partition(" | ")
        self.statuses, self.wants = [], {}
        for word in words.split():
            key, equals, value = word.partition("=")
            if word.isdigit():
                self.statuses.append(int(word))
            elif word == "cut/502":
                self.wants["cut"] = self.wants["or_502"] = True
            elif key in ("body", "target", "lacks", "method") and equals:
                self.wants[key] = unescape(value).decode("latin-1")
            elif key in ("eof", "aborted", "cutoff") and not equals:
                self.wants[key] = True
            else:
                raise ValueError(f"{file}:{line}: what is '{word}'?")
        if not self.statuses:
            raise ValueError(f"{file}:{line}: no status")

    def bytes(self, auth, vendor=""):
        return unescape(self.text.replace("{auth}", auth).replace("{vendor}", vendor))

    def __str__(self):
        return f"{self.file}:{self.line} {self.name}"


def unescape(text):
    text = re.sub(r"\{([^{}]*)\*(\d+)\}", lambda m: m[1] * int(m[2]), text)
    out, at = bytearray(), 0
    for part in re.finditer(r"\\(x[0-9a-fA-F]{2}|.)", text):
        out += text[at:part.start()].encode("latin-1")
        what = part[1]
        out += bytes([int(what[1:], 16)]) if what[0] == "x" and len(what) == 3 else ESCAPES[what]
        at = part.end()
    return bytes(out + text[at:].encode("latin-1"))


def lines_of(lines):
    """The request's text: CR LF behind each line but those that end in a backslash."""
    text = ""
    for line in lines:
        ends = re.search(r"(\\*)$", line)[1]
        text += line[:-1] if len(ends) % 2 == 1 else line + "\\r\\n"
    return text


def read_file(path):
    cases, lines, at = [], path.read_text(encoding="utf-8").split("\n"), 0
    while at < len(lines):
        line, first = lines[at], at + 1
        at += 1
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith("== ") or " -> " not in line:
            raise ValueError(f"{path.name}:{at}: neither a case nor a comment: {line}")
        name, _, verdict = line[3:].partition(" -> ")
        end = lines.index(".", at)
        text = lines_of(lines[at:end])
        at, values = end + 1, []
        while at < len(lines) and lines[at].startswith("v:"):
            values.append((at + 1, lines[at][3:]))
            at += 1
        if ("{v}" in text) != bool(values):
            raise ValueError(f"{path.name}:{first}: {{v}} and no values, or the other way round")
        for number, value in values:
            value, _, own = value.partition(" -> ")
            cases.append(Case(path.name, number, f"{name} [{value[:60]}]",
                              (own or verdict).replace("{v}", value), text.replace("{v}", value)))
        if not values:
            cases.append(Case(path.name, first, name, verdict, text))
    return cases


def read(folder):
    return [case for path in sorted((HERE / folder).glob("*.cases")) for case in read_file(path)]
