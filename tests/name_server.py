# SPDX-License-Identifier: Apache-2.0
"""A name server for tests: answers A and AAAA questions from a table, on UDP and TCP port 53.

    NameServer({"api.double.test": ["127.0.0.1"], "slow.test": "silent"}).start()

A name's value is a list of addresses, a Reply, "silent" (never answers), "refused", "failed", or a
function that gives one of these each time.  What is not in the table does not exist.
"""

import ipaddress
import socket
import struct
import threading
import time


class Reply:
    """More than addresses: over UDP and TCP, late, by other names, or not as it should be."""

    def __init__(self, addresses=(), cname=None, after=0, cut=False, first=(), make=None, ttl=0):
        self.addresses, self.cname, self.after, self.ttl = addresses, cname, after, ttl
        self.cut = cut  # over UDP: truncated, and empty
        self.first = first  # functions of the question: replies that are sent before the right one
        self.make = make  # function of the question: the reply instead


class NameServer:
    def __init__(self, names, address="127.0.0.1"):
        self.names, self.address = names, address
        self.asked = []

    def start(self):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((self.address, 53))
        tcp = socket.create_server((self.address, 53))
        threading.Thread(target=self.serve_udp, args=(udp,), daemon=True).start()
        threading.Thread(target=self.serve_tcp, args=(tcp,), daemon=True).start()
        return self

    def serve_udp(self, udp):
        while True:
            question, client = udp.recvfrom(4096)
            threading.Thread(target=self.reply_udp, args=(udp, question, client),
                             daemon=True).start()

    def reply_udp(self, udp, question, client):
        for answer in self.answers(question, tcp=False):
            udp.sendto(answer, client)

    def serve_tcp(self, tcp):
        while True:
            client, _ = tcp.accept()
            with client:
                data = client.recv(4096)
                for answer in self.answers(data[2:], tcp=True):
                    client.sendall(struct.pack(">H", len(answer)) + answer)

    def answers(self, question, tcp):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        (kind,) = struct.unpack(">H", question[at + 1 : at + 3])
        name = ".".join(labels).lower()
        self.asked.append((name, kind))
        found = self.names.get(name)
        if callable(found):
            found = found()
        if found == "silent":
            return []
        reply = Reply(found) if isinstance(found, list) else found
        if not isinstance(reply, Reply):
            code = 3 if found is None else 5 if found == "refused" else 2
            return [question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 0, 0, 0)
                    + question[12 : at + 5]]
        time.sleep(reply.after)
        if reply.make:
            return [reply.make(question)]
        return [f(question) for f in reply.first] + [self.right(question, at, kind, reply, tcp)]

    @staticmethod
    def right(question, at, kind, reply, tcp):
        addresses = [ipaddress.ip_address(a) for a in reply.addresses]
        version = {1: 4, 28: 6}.get(kind)
        mine = [a for a in addresses if a.version == version]
        cut = reply.cut and not tcp
        records = []
        if reply.cname and not cut:
            name = b"".join(bytes([len(l)]) + l.encode() for l in reply.cname.split(".")) + b"\0"
            records.append(struct.pack(">HHHIH", 0xC00C, 5, 1, reply.ttl, len(name)) + name)
        for address in [] if cut else mine:
            records.append(struct.pack(">HHHIH", 0xC00C, kind, 1, reply.ttl, len(address.packed))
                           + address.packed)
        flags = 0x8180 | (0x0200 if cut else 0)
        return (question[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
                + question[12 : at + 5] + b"".join(records))
