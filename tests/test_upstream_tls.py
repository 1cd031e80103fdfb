# SPDX-License-Identifier: Apache-2.0
"""A vendor that cannot show who it is gets not one byte of a request.

Each case is a TLS server of its own with something wrong; it records whatever reaches it, in the
clear and on the wire.  The good ones beside them show that the set-up itself is sound.
"""

import pathlib
import socket
import ssl
import tempfile
import threading

import inside

NAME = "api.double.test"
DEEP = "deep.api.double.test"


class Outside(inside.Outside):
    inner = "test_upstream_tls.Inside"
    hosts = f"127.0.0.1 localhost {NAME} {DEEP}\n"


class Recorder:
    """A server with that certificate.  What came: `wire` as it was sent, `clear` decrypted."""

    def __init__(self, certificate=None, plain=False, port=0, address="127.0.0.1", **settings):
        self.reached = []  # by which of our addresses
        self.context = None if plain else self.make_context(certificate, **settings)
        self.wire, self.clear, self.done = b"", b"", threading.Event()
        self.listener = socket.create_server((address, port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def make_context(certificate, lowest=ssl.TLSVersion.TLSv1_2, highest=None, ciphers=None,
                     wants_client=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # What is weak must be refused by the other side, not by this one.
        context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
        context.minimum_version = lowest
        if highest is not None:
            context.maximum_version = highest
        if certificate is not None:
            context.load_cert_chain(certificate.pem, certificate.key)
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            self.reached.append(connection.getsockname()[0])
            try:
                self.talk(connection)
            except (OSError, ssl.SSLError):
                pass
            finally:
                connection.close()
                self.done.set()

    def talk(self, connection):
        if self.context is None:
            self.wire += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)

        def until(step):
            while True:
                try:
                    found = step()
                except ssl.SSLWantReadError:
                    found = None
                finally:
                    if outgoing.pending:
                        connection.sendall(outgoing.read())
                if found is not None:
                    return found
                data = connection.recv(65536)
                if not data:
                    raise OSError("the other side ended it")
                self.wire += data
                incoming.write(data)

        until(lambda: tls.do_handshake() or True)
        while b"\r\n\r\n" not in self.clear:
            self.clear += until(lambda: tls.read(65536))
        tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        connection.sendall(outgoing.read())

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # its thread waits in accept()
        self.listener.close()


if inside.IS:
    import harness
    from certificates import CA, LEAF, SERVER, rsa, root

    GOOD = f"DNS:{NAME}"

    def nul_in_name():
        """subjectAltName of "api.double.test\\0.evil.test", as no configuration file can say it."""
        text = f"{NAME}\0.evil.test".encode()
        name = bytes([0x82, len(text)]) + text
        return "subjectAltName=DER:" + ":".join(f"{b:02x}" for b in bytes([0x30, len(name)]) + name)

    class Inside(harness.Case):
        vendors = []

        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.pki = pathlib.Path(tempfile.mkdtemp(dir=cls.place.path))
            cls.root = root(cls.pki, "root")
            cls.middle = cls.root.issue("middle", CA)
            cls.number = 0

        def ask_vendor(self, server, host=NAME, ca=None, trust=True):
            """Status, headers and body of one request to that server."""
            type(self).number += 1
            name = f"case{self.number}"
            self.secret = harness.fake_secret("stripe")
            body = {"vendor": "stripe", "upstream": f"https://{host}:{server.port}",
                    "allow_private": True, "secret": self.secret}
            if trust:
                body["ca_pem"] = (ca or self.root).text()
            self.keybrake.api("PUT", f"/v1/credentials/{name}", body)
            key = self.issue(credential=name, allowed_endpoints=["/v1/balance"])
            return self.ask(key, "GET", "/stripe/v1/balance")

        def accepted(self, certificate, host=NAME, **settings):
            server = Recorder(certificate, **settings)
            status, _, body = self.ask_vendor(server, host)
            server.stop()
            self.assertEqual((status, body), (200, b"{}"), certificate.name)
            self.assertIn(f"Authorization: Bearer {self.secret}".encode(), server.clear)

        def refused(self, what, certificate, host=NAME, ca=None, trust=True, **settings):
            with self.subTest(what):
                server = Recorder(certificate, **settings)
                status, headers, body = self.ask_vendor(server, host, ca, trust)
                self.assertTrue(server.done.wait(5), "nobody came")
                server.stop()
                self.assertEqual((status, headers.get("keybrake-denied")),
                                 (502, "upstream_unreachable"), body)
                self.assertEqual(server.clear, b"")
                self.assertNotIn(self.secret.encode(), server.wire + body)

        def test_good_ones(self):
            self.accepted(self.root.server("good", GOOD))
            self.accepted(self.root.server("good-rsa", GOOD, key=rsa(2048)))
            self.accepted(self.root.server("good-wildcard", "DNS:*.double.test"))
            self.accepted(self.root.server("good-ip", "IP:127.0.0.1"), host="127.0.0.1")
            self.accepted(self.root.server("good-12", GOOD), highest=ssl.TLSVersion.TLSv1_2)
            self.accepted(self.root.server("good-13", GOOD), lowest=ssl.TLSVersion.TLSv1_3)
            self.accepted(self.middle.server("good-chain", GOOD, send=[self.middle]))
            limited = self.root.issue("limited", CA + "nameConstraints=critical,permitted;"
                                                      "DNS:double.test\n")
            self.accepted(limited.server("good-limited", GOOD, send=[limited]))

        def test_when(self):
            self.refused("expired", self.root.server("expired", GOOD, end="20260101000000Z"))
            self.refused("not yet valid", self.root.server("early", GOOD, begin="20340101000000Z"))
            old = self.root.issue("old", CA, end="20260101000000Z")
            self.refused("an expired issuer", old.server("of-old", GOOD, send=[old]))
            ancient = root(self.pki, "ancient", end="20260101000000Z")
            self.refused("an expired root", ancient.server("of-ancient", GOOD), ca=ancient)

        def test_whose(self):
            for what, names in (("another name", "DNS:www.double.test"),
                                ("a part of the name", "DNS:double.test"),
                                ("a longer name", f"DNS:{NAME}.evil.test"),
                                ("a wildcard for all", "DNS:*"),
                                ("a wildcard for a top domain", "DNS:*.test"),
                                ("a wildcard within a label", "DNS:a*.double.test"),
                                ("a wildcard in the middle", "DNS:api.*.test"),
                                ("an address for a name", "IP:127.0.0.1"),
                                ("a mailbox", f"email:x@{NAME}"),
                                ("a URI", f"URI:https://{NAME}/")):
                name = "whose-" + what.replace(" ", "-")
                self.refused(what, self.root.server(name, names))
            self.refused("a wildcard too deep", self.root.server("deep", "DNS:*.double.test"), DEEP)
            self.refused("another address", self.root.server("ip2", "IP:127.0.0.2"), "127.0.0.1")
            self.refused("an address as a name", self.root.server("ip3", "DNS:127.0.0.1"),
                         "127.0.0.1")
            self.refused("the name in the CN only",
                         self.root.issue("cn", LEAF + SERVER, subject=f"/CN={NAME}"))
            self.refused("the name in the CN, another beside it",
                         self.root.server("cn2", "DNS:www.double.test", subject=f"/CN={NAME}"))
            self.refused("a NUL in the name", self.root.issue(
                "nul", LEAF + SERVER + nul_in_name() + "\n"))

        def test_by_whom(self):
            other = root(self.pki, "other")
            self.refused("an unknown CA", other.server("unknown", GOOD))
            self.refused("an unknown CA that is sent along",
                         other.server("unknown2", GOOD, send=[other]))
            self.refused("not a system's CA", self.root.server("system", GOOD), trust=False)
            self.refused("self-signed", root(
                self.pki, "self", extensions=f"{LEAF}{SERVER}subjectAltName={GOOD}\n"))
            self.refused("a missing link", self.middle.server("gap", GOOD))
            leaf = self.root.server("leaf", GOOD)
            self.refused("a leaf as issuer", leaf.server("of-leaf", GOOD, send=[leaf]))
            bare = self.root.issue("bare", "keyUsage=critical,keyCertSign\n")
            self.refused("an issuer that does not say CA", bare.server("of-bare", GOOD, send=[bare]))
            mute = self.root.issue("mute", "basicConstraints=critical,CA:TRUE\n"
                                           "keyUsage=critical,digitalSignature\n")
            self.refused("an issuer that may not sign certificates",
                         mute.server("of-mute", GOOD, send=[mute]))
            short = self.root.issue("short", "basicConstraints=critical,CA:TRUE,pathlen:0\n"
                                             "keyUsage=critical,keyCertSign\n")
            below = short.issue("below", CA)
            self.refused("a chain too long", below.server("of-below", GOOD, send=[below, short]))
            for what, constraint in (("permitted elsewhere", "permitted;DNS:other.test"),
                                     ("excluded", "excluded;DNS:double.test")):
                name = "constraint-" + what.split()[0]
                limited = self.root.issue(name, CA + f"nameConstraints=critical,{constraint}\n")
                self.refused("a name " + what, limited.server("of-" + name, GOOD, send=[limited]))

        def test_what_for(self):
            for what, more in (("for clients", "extendedKeyUsage=clientAuth\n"),
                               ("for mail", "extendedKeyUsage=emailProtection\n"),
                               ("for code", "extendedKeyUsage=codeSigning\n"),
                               ("what nobody knows",
                                SERVER + "1.2.3.4.5=critical,ASN1:NULL\n")):
                self.refused(what, self.root.issue(
                    "for-" + what.split()[-1], f"{LEAF}subjectAltName={GOOD}\n{more}"))
            narrow = self.root.issue("narrow", CA + "extendedKeyUsage=clientAuth\n")
            self.refused("an issuer for clients", narrow.server("of-narrow", GOOD, send=[narrow]))

        def test_how_strong(self):
            self.refused("RSA of 1024 bits", self.root.server("rsa1024", GOOD, key=rsa(1024)))
            small = self.root.issue("small", CA, key=rsa(1024))
            self.refused("an issuer of 1024 bits", small.server("of-small", GOOD, send=[small]))
            self.refused("SHA-1", self.root.server("sha1", GOOD, digest="sha1"))
            weak = self.root.issue("weak", CA, digest="sha1")
            self.refused("an issuer by SHA-1", weak.server("of-weak", GOOD, send=[weak]))
            self.refused("a curve of 160 bits", self.root.server(
                "curve", GOOD, key=("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp160r1")),
                ciphers="ALL:@SECLEVEL=0")

        def test_which_protocol(self):
            good = self.root.server("protocols", GOOD)
            old, newer = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            of_12 = {"highest": ssl.TLSVersion.TLSv1_2}
            self.refused("TLS 1.0", good, lowest=old, highest=old)
            self.refused("TLS 1.1", good, lowest=newer, highest=newer)
            rsa_key = self.root.server("protocols-rsa", GOOD, key=rsa(2048))
            self.refused("CBC", good, ciphers="ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", **of_12)
            self.refused("CBC with SHA-256", good,
                         ciphers="ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0", **of_12)
            self.refused("no forward secrecy", rsa_key, ciphers="AES128-GCM-SHA256:@SECLEVEL=0",
                         **of_12)
            self.refused("finite fields", rsa_key, ciphers="DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0",
                         **of_12)
            self.refused("no encryption", good, ciphers="ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0", **of_12)
            self.refused("no certificate at all", None, ciphers="ADH:AECDH:@SECLEVEL=0", **of_12)
            self.refused("no TLS at all", None, plain=True)

        def test_a_client_certificate_is_wanted(self):
            """The vendor is who it should be, so it may have the request; it takes none of it."""
            server = Recorder(self.root.server("wants", GOOD), wants_client=True,
                              highest=ssl.TLSVersion.TLSv1_2)
            status, headers, _ = self.ask_vendor(server)
            self.assertEqual((status, headers["keybrake-denied"]), (502, "upstream_unreachable"))
            self.assertEqual(server.clear, b"")

        def test_one_that_was_good_before(self):
            """A pooled connection, or a session to resume, does not stand for another server."""
            server = Recorder(self.root.server("before", GOOD))
            self.assertEqual(self.ask_vendor(server)[0], 200)
            port = server.port
            server.stop()
            other = root(self.pki, "later")
            impostor = Recorder(other.server("later-leaf", GOOD), port=port)
            key = self.issue(credential=f"case{self.number}", allowed_endpoints=["/v1/balance"])
            status, _, _ = self.ask(key, "GET", "/stripe/v1/balance")
            self.assertEqual((status, impostor.clear), (502, b""))
            impostor.stop()
