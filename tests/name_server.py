# SPDX-License-Identifier: Apache-2.0
"""A name server for tests: answers A and AAAA questions from a table, on UDP and TCP port 53.

    NameServer({"api.double.test": ["127.0.0.1"], "slow.test": "silent"}).start()

A name's value is a list of addresses, "silent" (never answers), "refused", or a function that is
asked each time.  What is not in the table does not exist.
"""

import ipaddress
import socket
import struct
import threading


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
            answer = self.answer(question)
            if answer:
                udp.sendto(answer, client)

    def serve_tcp(self, tcp):
        while True:
            client, _ = tcp.accept()
            with client:
                data = client.recv(4096)
                answer = self.answer(data[2:])
                if answer:
                    client.sendall(struct.pack(">H", len(answer)) + answer)

    def answer(self, question):
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
            return None
        addresses = [ipaddress.ip_address(a) for a in found] if isinstance(found, list) else []
        version = {1: 4, 28: 6}.get(kind)
        mine = [a for a in addresses if a.version == version]
        code = 3 if found is None else 5 if found == "refused" else 0
        head = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(mine), 0, 0)
        body = question[12 : at + 5]
        for address in mine:
            body += struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed
        return head + body
