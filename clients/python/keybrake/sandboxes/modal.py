# SPDX-License-Identifier: Apache-2.0
"""Modal, with the modal package itself: spawn(modal, app=app, image=image, ...)."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from ..duration import Duration
from .common import Request, Spawned, refuse_given
from .common import spawn as _spawn


def spawn(modal: Any, *command: str, lifetime: Duration, app: Any = None, image: Any = None,
          create: Optional[Mapping[str, Any]] = None, **options: Any) -> Spawned[Any]:
    """`create` goes to modal.Sandbox.create(); options are key or keys, ttl, client, broker."""
    given = dict(create or {})
    refuse_given(given, ["timeout"], "the sandbox's lifetime says it")
    refuse_given(given, ["block_network"], "the sandbox reaches keybrake and nothing else")

    def make(request: Request) -> Any:
        broker = request.broker
        cidrs: Sequence[str] = [broker.cidr] if broker.cidr else []
        domains: Sequence[str] = [] if broker.cidr else [broker.host]
        return modal.Sandbox.create(*command, **{
            **given, "app": app, "image": image, "timeout": request.lifetime_s,
            "secrets": [*given.get("secrets", []), modal.Secret.from_dict(request.env)],
            "tags": {**given.get("tags", {}), "keybrake_key": request.label},
            "outbound_cidr_allowlist": [*given.get("outbound_cidr_allowlist", []), *cidrs],
            "outbound_domain_allowlist": [*given.get("outbound_domain_allowlist", []), *domains]})

    def kill(sandbox: Any) -> None:
        sandbox.terminate()

    return _spawn(make, kill, lifetime=lifetime, **options)
