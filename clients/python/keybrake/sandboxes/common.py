# SPDX-License-Identifier: Apache-2.0
"""What all platforms share: keys before the sandbox, the sandbox with them, and on every way back
the keys first, then the sandbox."""

from __future__ import annotations

import ipaddress
import logging
import threading
import urllib.parse
from types import TracebackType
from typing import (Any, Callable, Dict, Generic, List, Mapping, Optional, Sequence, Type, TypeVar)

from ..client import Client
from ..duration import Duration, seconds, ttl_for
from ..errors import KeybrakeError
from ..vault_key import VaultKey, vault_key

log = logging.getLogger("keybrake")
S = TypeVar("S")
Policy = Mapping[str, Any]


class Broker:
    """Where the sandbox will look for keybrake."""

    def __init__(self, url: str):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise KeybrakeError(f"{url!r} is no URL of keybrake")
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.cidr: Optional[str] = None  # of an address; else it is a name
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            loopback = self.host == "localhost" or self.host.endswith(".localhost")
        else:
            self.cidr = f"{address}/{address.max_prefixlen}"
            loopback = address.is_loopback or address.is_unspecified
        if loopback:
            raise KeybrakeError(f"a sandbox elsewhere cannot reach {parts.netloc}; start the server "
                                "with --public-url and an address that it can reach")


def broker_of(keys: Sequence[VaultKey], given: Optional[str]) -> Broker:
    for key in keys:
        said = [key.policy.get("public_url"), *key.env().values()]
        for value in said:
            if given is None and isinstance(value, str) and value.startswith(("http://", "https://")):
                given = value
    if given is None:
        raise KeybrakeError("the server does not say where it is: give `broker`, its public URL")
    return Broker(given)


def env_of(keys: Sequence[VaultKey]) -> Dict[str, str]:
    env: Dict[str, str] = {}
    for key in keys:
        for name, value in key.env().items():
            if env.setdefault(name, value) != value:
                raise KeybrakeError(f"two keys of one sandbox both set {name}")
    return env


def revoke_all(keys: Sequence[VaultKey]) -> List[KeybrakeError]:
    """All of them; what failed."""
    failures: List[KeybrakeError] = []
    for key in keys:
        try:
            key.revoke()
        except KeybrakeError as error:
            failures.append(error)
    return failures


class Spawned(Generic[S]):
    """A sandbox and its keys.  A context manager: leaving it tears down."""

    def __init__(self, keys: Sequence[VaultKey], sandbox: S, kill: Callable[[S], None],
                 extend: Optional[Callable[[S, int], None]] = None):
        self.keys = list(keys)
        self.sandbox = sandbox
        self._kill = kill
        self._extend = extend
        self._lock = threading.RLock()
        self.ended = False

    def env(self, vendor: Optional[str] = None) -> Dict[str, str]:
        if vendor is None:
            return env_of(self.keys)
        for key in self.keys:
            if key.vendor == vendor:
                return key.env()
        raise ValueError(f"this sandbox has no vault key for {vendor}")

    def teardown(self) -> None:
        """The keys first: then what the sandbox still does costs nothing.  What fails is raised,
        after everything was tried; it may be called again."""
        with self._lock:
            if self.ended:
                return
            failures = revoke_all(self.keys)
            self._kill(self.sandbox)
            if failures:
                raise failures[0]
            self.ended = True

    def extend(self, lifetime: Duration) -> None:
        """From now on.  The keys first; they go back to their old end if the platform refuses."""
        if self._extend is None:
            raise KeybrakeError("this platform cannot extend a sandbox's life")
        before = [key.expires_at for key in self.keys]
        try:
            for key in self.keys:
                key.extend(lifetime)
            self._extend(self.sandbox, seconds(lifetime))
        except BaseException:
            try:
                for key, end in zip(self.keys, before):
                    key.end_at(end)
            except KeybrakeError:
                self._teardown_or_say()
            raise

    def _teardown_or_say(self) -> None:
        try:
            self.teardown()
        except Exception as error:  # the platform's own kinds too
            log.error("%s", error)

    def __enter__(self) -> "Spawned[S]":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if error is None:
            self.teardown()
        else:
            self._teardown_or_say()


class Timer:
    """For platforms without a lifetime: the sandbox is torn down when its time is up.  A daemon
    thread: the program's end does not wait for it, and ends the keys by itself."""

    def __init__(self) -> None:
        self._timer: Optional[threading.Timer] = None
        self._act: Optional[Callable[[], None]] = None

    def start(self, spawned: Spawned[Any], lifetime_s: int) -> None:
        self._act = spawned._teardown_or_say
        self.set(lifetime_s)

    def set(self, lifetime_s: int) -> None:
        self.stop()
        assert self._act is not None
        self._timer = threading.Timer(lifetime_s, self._act)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class Request:
    """What a platform's create is given."""

    def __init__(self, keys: Sequence[VaultKey], lifetime_s: int, broker: Optional[str]):
        self.keys = keys
        self.env = env_of(keys)
        self.lifetime_s = lifetime_s
        self._broker = broker

    @property
    def broker(self) -> Broker:
        return broker_of(self.keys, self._broker)

    @property
    def label(self) -> str:
        """Marks what belongs to these keys; an id, no secret."""
        return self.keys[0].id


def spawn(create: Callable[[Request], S], kill: Callable[[S], None], *,
          key: Optional[Policy] = None, keys: Optional[Sequence[Policy]] = None,
          lifetime: Duration, ttl: Optional[Duration] = None, client: Optional[Client] = None,
          broker: Optional[str] = None, remote: bool = True,
          extend: Optional[Callable[[S, int], None]] = None,
          sweep: Optional[Callable[[str], None]] = None) -> Spawned[S]:
    """`sweep` ends what a create that failed may have left behind, by its label."""
    policies = list(keys) if keys is not None else [key] if key is not None else []
    if not policies:
        raise TypeError("a sandbox's keys: give `key`, a policy, or `keys`, several")
    ttl_for(lifetime, ttl)
    issued: List[VaultKey] = []
    try:
        for policy in policies:
            issued.append(vault_key(**policy, lifetime=lifetime, ttl=ttl, client=client).open())
        request = Request(issued, seconds(lifetime), broker)
        if remote:
            request.broker  # refused before anything is created
        return Spawned(issued, create(request), kill, extend)
    except BaseException:
        for failure in revoke_all(issued):
            log.error("%s", failure)
        if issued and sweep is not None:
            try:
                sweep(issued[0].id)
            except Exception as error:  # the first one matters
                log.error("%s", error)
        raise


def refuse_given(create: Mapping[str, Any], names: Sequence[str], why: str) -> None:
    """What follows from the keys' rules is not the caller's to say."""
    for name in names:
        if name in create:
            raise TypeError(f"{name} is not to be given: {why}")
