# SPDX-License-Identifier: Apache-2.0
"""Certificates as they should be, and in each way that they should not be; made by openssl.

    chain = Authority(place, "root").issue("leaf", "DNS:api.double.test")

gives files: .pem (the leaf, then what `send` names) and .key.
"""

import subprocess

CONFIG = """
[ca]
default_ca = it
[it]
database = {place}/{name}.index
serial = {place}/{name}.serial
new_certs_dir = {place}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = optional
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
"""
CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
LEAF = "basicConstraints=CA:FALSE\n"
SERVER = "extendedKeyUsage=serverAuth\n"
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"openssl {args}: {done.stderr}")


def rsa(bits):
    return ("-newkey", f"rsa:{bits}")


class Issued:
    """A certificate that somebody issued, which may issue others, even where it should not."""

    def __init__(self, place, name):
        self.place, self.name = place, name
        self.pem, self.key = place / f"{name}.pem", place / f"{name}.key"
        (place / f"{name}.index").write_text("")
        (place / f"{name}.serial").write_text("1000\n")
        (place / f"{name}.cnf").write_text(CONFIG.format(place=place, name=name))

    def text(self):
        return self.pem.read_text()

    def issue(self, name, extensions, *, key=EC, digest="sha256", begin="20250101000000Z",
              end="20350101000000Z", subject=None, send=()):
        """`send`: what the server sends behind its own certificate."""
        new = Issued(self.place, name)
        request = self.place / f"{name}.csr"
        openssl("req", *key, "-nodes", "-keyout", new.key, "-out", request, "-config",
                new.place / f"{name}.cnf", "-subj", subject or f"/CN={name}")
        (self.place / f"{name}.ext").write_text(extensions)
        openssl("ca", "-batch", "-notext", "-config", self.place / f"{self.name}.cnf", "-cert",
                self.pem, "-keyfile", self.key, "-in", request, "-out", new.pem, "-md", digest,
                "-startdate", begin, "-enddate", end, "-extfile", self.place / f"{name}.ext")
        new.pem.write_text(new.text() + "".join(s.text() for s in send))
        return new

    def server(self, name, names, more="", **options):
        return self.issue(name, f"{LEAF}{SERVER}subjectAltName={names}\n{more}", **options)


def root(place, name, key=EC, extensions=CA, begin=None, end=None):
    new = Issued(place, name)
    request = place / f"{name}.csr"
    openssl("req", *key, "-nodes", "-keyout", new.key, "-out", request, "-config",
            place / f"{name}.cnf", "-subj", f"/CN={name}")
    (place / f"{name}.ext").write_text(extensions)
    openssl("ca", "-batch", "-notext", "-selfsign", "-config", place / f"{name}.cnf", "-keyfile",
            new.key, "-in", request, "-out", new.pem, "-startdate", begin or "20250101000000Z",
            "-enddate", end or "20350101000000Z", "-extfile", place / f"{name}.ext")
    return new
