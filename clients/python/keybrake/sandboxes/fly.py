# SPDX-License-Identifier: Apache-2.0
"""Fly Machines, over their REST API.  A machine has no lifetime of its own: a timer here ends it,
and the key's TTL ends the key whatever becomes of us."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, Mapping, Optional

from ..duration import Duration, seconds
from ..errors import KeybrakeError
from .common import Request, Spawned, Timer, refuse_given
from .common import spawn as _spawn

API = "https://api.machines.dev"
Machine = Dict[str, Any]


class FlyError(KeybrakeError):
    """Fly said no, or nothing."""

    def __init__(self, what: str, status: Optional[int], text: str):
        super().__init__(f"Fly: {what}: {status or ''} {text[:200]}")
        self.status = status


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class _Api:
    def __init__(self, app: str, token: str, url: Optional[str], timeout: float):
        root = (url or os.environ.get("FLY_API_HOSTNAME") or API).rstrip("/")
        self._base = f"{root}/v1/apps/{urllib.parse.quote(app, safe='')}"
        self._token = token
        self._timeout = timeout
        self._opener = urllib.request.build_opener(_NoRedirects)

    def call(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._base + path, data, {
            "Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method)
        try:
            with self._opener.open(asked, timeout=self._timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                if method == "DELETE" and error.code == 404:
                    return None
                raise FlyError(f"{method} {path}", error.code,
                               error.read().decode(errors="replace")) from None
        except OSError as error:
            raise FlyError(f"{method} {path}", None, str(error)) from error
        return json.loads(text) if text else None

    def destroy(self, machine_id: str) -> None:
        self.call("DELETE", f"/machines/{urllib.parse.quote(machine_id, safe='')}?force=true")


def _only_to(port: int, key_id: str) -> Dict[str, Any]:
    """Allows by port only: give keybrake one that nothing else has."""
    return {"name": "keybrake-" + "".join(c if c.isalnum() else "-" for c in key_id).lower(),
            "selector": {"metadata": {"keybrake_key": key_id}},
            "rules": [{"action": "allow", "direction": "egress",
                       "ports": [{"protocol": "tcp", "port": port}]}]}


def spawn(*, app: str, token: str, config: Mapping[str, Any], lifetime: Duration,
          api_url: Optional[str] = None, name: Optional[str] = None, region: Optional[str] = None,
          network_policy: bool = False, timeout: float = 30.0,
          **options: Any) -> Spawned[Machine]:
    """`config` is the machine's; options are key or keys, ttl, client, broker."""
    refuse_given(config, ["auto_destroy", "restart"], "a machine that ends is gone")
    api = _Api(app, token, api_url, timeout)
    timer = Timer()

    def create(request: Request) -> Machine:
        if network_policy:
            api.call("POST", "/network_policies", _only_to(request.broker.port, request.label))
        made: Machine = api.call("POST", "/machines", {
            **({"name": name} if name else {}), **({"region": region} if region else {}),
            "config": {**config, "env": {**config.get("env", {}), **request.env},
                       "metadata": {**config.get("metadata", {}), "keybrake_key": request.label},
                       "auto_destroy": True, "restart": {"policy": "no"}}})
        return made

    def kill(machine: Machine) -> None:
        timer.stop()
        api.destroy(machine["id"])

    def sweep(label: str) -> None:
        left = api.call("GET", f"/machines?metadata.keybrake_key={urllib.parse.quote(label)}")
        for machine in left or []:
            if machine.get("config", {}).get("metadata", {}).get("keybrake_key") == label:
                api.destroy(machine["id"])

    spawned = _spawn(create, kill, lifetime=lifetime, sweep=sweep,
                     extend=lambda machine, s: timer.set(s), **options)
    timer.start(spawned, seconds(lifetime))
    return spawned
