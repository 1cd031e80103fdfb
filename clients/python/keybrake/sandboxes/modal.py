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
    refuse_given(given, ["app", "image"], "spawn itself takes it")
    refuse_given(given, ["block_network", "cidr_allowlist", "_experimental_outbound_policy"],
                 "the sandbox reaches keybrake, and what outbound_cidr_allowlist and "
                 "outbound_domain_allowlist name besides")
    client = {name: given[name] for name in ("client",) if name in given}

    def make(request: Request) -> Any:
        broker = request.broker
        cidrs: Sequence[str] = [broker.cidr] if broker.cidr else []
        domains: Sequence[str] = [] if broker.cidr else [broker.host]
        return modal.Sandbox.create(*command, **{
            **given, "app": app, "image": image, "timeout": request.lifetime_s,
            "secrets": [*(given.get("secrets") or []), modal.Secret.from_dict(request.env)],
            "tags": {**(given.get("tags") or {}), "keybrake_key": request.label},
            "outbound_cidr_allowlist": [*(given.get("outbound_cidr_allowlist") or []), *cidrs],
            "outbound_domain_allowlist": [*(given.get("outbound_domain_allowlist") or []),
                                          *domains]})

    def kill(sandbox: Any) -> None:
        sandbox.terminate()

    def sweep(label: str) -> None:
        where = {"app_id": app.app_id} if app is not None else {}
        for one in modal.Sandbox.list(tags={"keybrake_key": label}, **where, **client):
            one.terminate()

    return _spawn(make, kill, lifetime=lifetime, sweep=sweep, **options)
