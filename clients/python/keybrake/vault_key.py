# SPDX-License-Identifier: Apache-2.0
"""A vault key for as long as a `with` block lasts."""

from __future__ import annotations

import asyncio
import logging
import os
from types import TracebackType
from typing import Any, Optional, Sequence, Type

from . import ways_out
from .client import Client, IssuedKey, Json, Key, Usd
from .duration import Duration, ttl_for
from .errors import KeybrakeError, NotFound, RevokeFailed

log = logging.getLogger("keybrake")


class VaultKey(IssuedKey):
    """An issued key that knows how to end itself."""

    def __init__(self, client: Client, raw: Json):
        super().__init__(raw)
        self._client = client
        self._pid = os.getpid()
        self.revoked = False
        self._number = ways_out.register(self._revoke_at_exit)

    def revoke(self) -> None:
        """Ends the key, once.  RevokeFailed if the server cannot be asked: then it ends by its
        TTL.  In a fork of the process that issued it, nothing happens."""
        if self.revoked or os.getpid() != self._pid:
            return
        try:
            self._client.revoke(self.id)
        except NotFound:
            pass  # ended, and forgotten
        except KeybrakeError as error:
            raise RevokeFailed(f"{self.id} could not be revoked and ends at {self.expires_at}: "
                               f"{error}", self.id, self.expires_at) from error
        self.revoked = True
        ways_out.forget(self._number)

    def _revoke_at_exit(self) -> None:
        self._revoke_or_say()

    def _revoke_or_say(self) -> None:
        try:
            self.revoke()
        except RevokeFailed as error:
            log.error("%s", error)

    def show(self) -> Key:
        return self._client.show(self.id)

    def extend(self, lifetime: Duration, ttl: Optional[Duration] = None) -> None:
        """From now on as if issued for a sandbox of that lifetime; ApiError if that is not
        granted (an issuer may only narrow)."""
        changed = self._client.extend(self.id, lifetime, ttl)
        if changed.expires_at is not None:
            self.expires_at = changed.expires_at

    def end_at(self, expires_at: str) -> None:
        """Moves its end to a time of the API's, such as expires_at once was."""
        self._client.change(self.id, expires_at=expires_at)
        self.expires_at = expires_at

    def end(self, while_failing: bool) -> None:
        """Revokes on a way out; while an exception travels, a failure is logged, not raised."""
        if while_failing:
            self._revoke_or_say()
        else:
            self.revoke()


class VaultKeyContext:
    """What vault_key() gives: the key is issued where the block begins."""

    def __init__(self, client: Client, ttl: int, policy: Json):
        self._client = client
        self._ttl = ttl
        self._policy = policy
        self._key: Optional[VaultKey] = None

    def open(self) -> VaultKey:
        """Issues without a block: whoever calls this revokes, or lets the process's end do so."""
        with ways_out.undisturbed():
            issued = self._client.issue_raw(expires_in=self._ttl, **self._policy)
            return VaultKey(self._client, issued)

    def __enter__(self) -> VaultKey:
        if self._key is not None:
            raise KeybrakeError("a vault key's block can be entered once")
        try:
            with ways_out.undisturbed():
                self._key = self.open()
        except BaseException:
            if self._key is not None:
                self._key.end(while_failing=True)
            raise
        return self._key

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        assert self._key is not None
        with ways_out.undisturbed():
            self._key.end(while_failing=error is not None)

    async def __aenter__(self) -> VaultKey:
        ways_out.watch()
        issuing = asyncio.get_running_loop().run_in_executor(None, self.open)
        try:
            self._key = await asyncio.shield(issuing)
        except asyncio.CancelledError:
            # It is on its way all the same; once it is there it goes.
            issuing.add_done_callback(_end_unwanted)
            raise
        return self._key

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        assert self._key is not None
        key = self._key
        failing = error is not None
        ending = asyncio.get_running_loop().run_in_executor(None, lambda: key.end(failing))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait([ending])
            raise
        finally:
            ways_out.unwatch()


def _end_unwanted(issuing: "asyncio.Future[VaultKey]") -> None:
    if not issuing.cancelled() and issuing.exception() is None:
        issuing.result().end(while_failing=True)


def vault_key(*, vendor: str, daily_usd_cap: Optional[Usd], allowed_endpoints: Sequence[str],
              lifetime: Duration, ttl: Optional[Duration] = None, client: Optional[Client] = None,
              **policy: Any) -> VaultKeyContext:
    """A vault key for a sandbox that lives for `lifetime`:

        with keybrake.vault_key(vendor="stripe", daily_usd_cap=50, lifetime="10m",
                                allowed_endpoints=["/v1/payment_intents"]) as key:
            subprocess.run(agent, env=key.env("stripe"))

    It lives a fifth longer than the sandbox (`ttl` says otherwise, at most twice) and is revoked
    on every way out of the block, exceptions and signals included.  `async with` works too.
    """
    body = {"vendor": vendor, "daily_usd_cap": daily_usd_cap,
            "allowed_endpoints": allowed_endpoints, **policy}
    return VaultKeyContext(client or Client(), ttl_for(lifetime, ttl), body)
