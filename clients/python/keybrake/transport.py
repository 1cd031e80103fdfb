# SPDX-License-Identifier: Apache-2.0
"""One HTTP request to a keybrake server: over TCP, TLS, or its local Unix socket."""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import json
import os
import socket
import ssl
import time
import urllib.parse
from typing import Any, Dict, Mapping, Optional, Tuple

from .errors import BadAnswer, ConnectionFailed, KeybrakeError, TimedOut

ANSWER_BYTES_MAX = 64 * 1024 * 1024
_PIECE = 64 * 1024


class _Until(io.RawIOBase):
    """What a socket receives, up to one moment: its own timeout is of each piece only."""

    def __init__(self, sock: socket.socket, deadline: float):
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self._sock.settimeout(left)
        return self._sock.recv_into(room)


class _Answer(http.client.HTTPResponse):
    """An answer whose head, too, is there by the deadline."""

    def __init__(self, sock: socket.socket, *args: Any, deadline: float, **more: Any):
        super().__init__(sock, *args, **more)
        self._socket_file = self.fp  # keeps the socket open when the connection lets go of it
        self.fp = io.BufferedReader(_Until(sock, deadline))

    def close(self) -> None:
        super().close()
        self._socket_file.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def default_socket() -> str:
    """Where the server of this user, or of the machine, has its local socket."""
    data = os.environ.get("KEYBRAKE_DATA")
    if not data:
        as_root = hasattr(os, "geteuid") and os.geteuid() == 0
        data = "/var/lib/keybrake" if as_root else os.path.expanduser("~/.local/state/keybrake")
    return os.path.join(data, "run", "control.sock")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Transport:
    """Where the server is and how one talks to it.  No proxies, no redirects, no cookies."""

    def __init__(self, url: str, token: Optional[str], ca_file: Optional[str], insecure: bool):
        self._token = token
        self._context: Optional[ssl.SSLContext] = None
        self._socket: Optional[str] = None
        self._prefix = ""
        if token is not None and not token.isprintable():
            raise KeybrakeError("the operator's token is not one line of text")
        if url.startswith("unix:"):
            self._socket = url[len("unix:"):]
            return
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query \
                or parts.fragment or parts.username is not None:
            raise KeybrakeError("the server's URL is http(s)://HOST[:PORT] or unix:/PATH")
        if parts.scheme == "http" and not insecure and not _is_loopback(parts.hostname):
            raise KeybrakeError("http:// to another machine would send the operator's token in "
                                "the clear: use https://, or say insecure=True")
        if parts.scheme == "https":
            self._context = ssl.create_default_context(cafile=ca_file)
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._prefix = parts.path.rstrip("/")

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._socket is not None:
            return _UnixConnection(self._socket, timeout)
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout,
                                               context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def where(self) -> str:
        return self._socket if self._socket is not None else f"{self._host}:{self._port}"

    def ask(self, method: str, path: str, body: Optional[Mapping[str, Any]],
            headers: Mapping[str, str], timeout: float) -> Tuple[int, Dict[str, str], bytes]:
        """Status, headers in lower case, body."""
        deadline = time.monotonic() + timeout
        connection = self._connection(timeout)
        connection.response_class = functools.partial(  # type: ignore[assignment]
            _Answer, deadline=deadline)
        sent = {"Accept": "application/json", **headers}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, self._prefix + path, body=data, headers=sent)
            answer = connection.getresponse()
            pieces = bytearray()
            while True:
                piece = answer.read1(_PIECE)
                if not piece:
                    break
                pieces += piece
                if len(pieces) > ANSWER_BYTES_MAX:
                    raise BadAnswer(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
            if answer.length:
                raise ConnectionFailed(f"{self.where()}: the answer was cut short")
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, bytes(pieces)
        except socket.timeout as error:  # TimeoutError since 3.10
            raise TimedOut(f"no whole answer from {self.where()} within {timeout:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise KeybrakeError(f"{self.where()}: {error.verify_message}; a CA of your own is "
                                "given by ca_file or KEYBRAKE_CA") from error
        except OSError as error:
            raise ConnectionFailed(f"{self.where()}: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            # BadStatusLine prints what came, which is nobody's secret but nobody's help either.
            raise ConnectionFailed(f"{self.where()}: the answer broke off "
                                   f"({type(error).__name__})") from None
        finally:
            connection.close()
