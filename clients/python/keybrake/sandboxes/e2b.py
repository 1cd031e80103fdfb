# SPDX-License-Identifier: Apache-2.0
"""E2B, with the e2b package's Sandbox class."""

from __future__ import annotations

import sys
from typing import Any, List, Mapping, Optional

from ..duration import Duration
from .common import Request, Spawned, refuse_given
from .common import spawn as _spawn

EVERYWHERE = "0.0.0.0/0"
# What of create()'s arguments says where E2B is and who asks, and so goes with every call.
CONNECTION = ("api_key", "access_token", "domain", "api_url", "sandbox_url", "request_timeout",
              "headers", "api_headers", "proxy", "debug", "validate_api_key")


def _hosts(network: Mapping[str, Any]) -> List[str]:
    allowed = network.get("allow_out") or []
    if not isinstance(allowed, (list, tuple)):
        raise TypeError("network['allow_out'] is a list here")
    return list(allowed)


def _query(Sandbox: Any, label: str) -> Any:
    """The package's own SandboxQuery: of the package that the class is from, or of e2b."""
    for name in (Sandbox.__module__.partition(".")[0], "e2b"):
        kind = getattr(sys.modules.get(name), "SandboxQuery", None)
        if kind is not None:
            return kind(metadata={"keybrake_key": label})
    raise TypeError(f"{Sandbox!r} comes from a package without SandboxQuery")


def spawn(Sandbox: Any, *, lifetime: Duration, create: Optional[Mapping[str, Any]] = None,
          **options: Any) -> Spawned[Any]:
    """`create` goes to Sandbox.create(); options are key or keys, ttl, client, broker."""
    given = dict(create or {})
    refuse_given(given, ["timeout"], "the sandbox's lifetime says it")
    network = dict(given.get("network") or {})
    allowed = _hosts(network)
    connection = {name: given[name] for name in CONNECTION if name in given}

    def make(request: Request) -> Any:
        return Sandbox.create(**{
            **given, "timeout": request.lifetime_s,
            "envs": {**(given.get("envs") or {}), **request.env},
            "metadata": {**(given.get("metadata") or {}), "keybrake_key": request.label},
            "network": {**network, "allow_out": [request.broker.host, *allowed],
                        "deny_out": [EVERYWHERE]}})

    def kill(sandbox: Any) -> None:
        sandbox.kill()

    def extend(sandbox: Any, lifetime_s: int) -> None:
        sandbox.set_timeout(lifetime_s)

    def sweep(label: str) -> None:
        found = Sandbox.list(query=_query(Sandbox, label), **connection)
        while found.has_next:
            for one in found.next_items():
                Sandbox.kill(one.sandbox_id, **connection)

    return _spawn(make, kill, lifetime=lifetime, extend=extend, sweep=sweep, **options)
