# SPDX-License-Identifier: Apache-2.0
"""E2B, with the e2b package's Sandbox class."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ..duration import Duration
from .common import Request, Spawned, refuse_given
from .common import spawn as _spawn

EVERYWHERE = "0.0.0.0/0"


def spawn(Sandbox: Any, *, lifetime: Duration, create: Optional[Mapping[str, Any]] = None,
          **options: Any) -> Spawned[Any]:
    """`create` goes to Sandbox.create(); options are key or keys, ttl, client, broker."""
    given = dict(create or {})
    refuse_given(given, ["timeout"], "the sandbox's lifetime says it")

    def make(request: Request) -> Any:
        network = dict(given.get("network") or {})
        allowed = [request.broker.host, *network.get("allow_out", [])]
        return Sandbox.create(**{
            **given, "timeout": request.lifetime_s,
            "envs": {**given.get("envs", {}), **request.env},
            "metadata": {**given.get("metadata", {}), "keybrake_key": request.label},
            "network": {**network, "allow_out": allowed, "deny_out": [EVERYWHERE]}})

    def kill(sandbox: Any) -> None:
        sandbox.kill()

    def extend(sandbox: Any, lifetime_s: int) -> None:
        sandbox.set_timeout(lifetime_s)

    return _spawn(make, kill, lifetime=lifetime, extend=extend, **options)
