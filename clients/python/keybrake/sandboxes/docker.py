# SPDX-License-Identifier: Apache-2.0
"""Docker, and podman's Docker API, with a client of the docker package.

    socket="/run/keybrake/door.sock"   the strict form: no network at all, keybrake's Unix socket
                                       (serve --listen unix:PATH) mounted at /run/keybrake.sock
    network="NAME"                     a network that reaches keybrake and nothing else

(`keybrake attach` is the third way: it issues, and revokes, by itself.)

A container has no lifetime: a timer ends it.  The keys die with it, by the engine's "die" event.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

from ..duration import Duration, seconds
from ..errors import KeybrakeError
from .common import Request, Spawned, Timer, log, refuse_given, revoke_all
from .common import spawn as _spawn

SOCKET_INSIDE = "/run/keybrake.sock"


def _env(given: Union[None, Mapping[str, str], List[str]], env: Mapping[str, str]) -> Dict[str, str]:
    if isinstance(given, list):
        given = dict(line.split("=", 1) for line in given)
    return {**(given or {}), **env}


def _volumes(given: Any, socket: str) -> Any:
    if isinstance(given, list):
        return [*given, f"{socket}:{SOCKET_INSIDE}"]
    return {**(given or {}), socket: {"bind": SOCKET_INSIDE, "mode": "rw"}}


def _check_way(socket: Optional[str], network: Optional[str]) -> None:
    if sum(way is not None for way in (socket, network)) != 1:
        raise TypeError("how the container reaches keybrake: one of socket, network")
    if network in ("host", "bridge", "default"):
        raise KeybrakeError(f"the network {network!r} reaches more than keybrake")


def spawn(docker: Any, *, image: str, lifetime: Duration, command: Any = None,
          create: Optional[Mapping[str, Any]] = None, socket: Optional[str] = None,
          network: Optional[str] = None,
          **options: Any) -> Spawned[Any]:
    """`create` goes to containers.create(); options are key or keys, ttl, client, broker."""
    _check_way(socket, network)
    given = dict(create or {})
    refuse_given(given, ["network", "network_mode"], "socket or network says it")
    timer = Timer()
    watched: List[Any] = []

    def make(request: Request) -> Any:
        env = _env(given.get("environment"), request.env)
        more: Dict[str, Any] = {"network": network} if network else {"network_mode": "none"}
        if socket is not None:
            env["KEYBRAKE_SOCKET"] = SOCKET_INSIDE
            more["volumes"] = _volumes(given.get("volumes"), socket)
        container = docker.containers.create(image, command, **{
            **given, "environment": env,
            "labels": {**given.get("labels", {}), "keybrake_key": request.label}, **more})
        # Before it runs, so that no death goes unseen.
        watched.append(docker.events(decode=True, filters={
            "type": "container", "container": container.id, "event": "die"}))
        container.start()
        return container

    def remove(container: Any) -> None:
        try:
            container.remove(force=True, v=True)
        except Exception as error:
            if getattr(getattr(error, "response", None), "status_code", None) not in (404, 409):
                raise

    def kill(container: Any) -> None:
        timer.stop()
        remove(container)

    def sweep(label: str) -> None:
        for container in docker.containers.list(all=True, sparse=True,
                                                filters={"label": f"keybrake_key={label}"}):
            remove(container)

    spawned = _spawn(make, kill, lifetime=lifetime, remote=network is not None, sweep=sweep,
                     extend=lambda container, s: timer.set(s), **options)

    def event() -> None:
        for _ in watched[0]:
            return

    # The event is the first to come; the wait is for engines whose events begin late.
    words = [event, lambda: spawned.sandbox.wait(timeout=None)]
    left = threading.Semaphore(len(words) - 1)

    def watch(word: Callable[[], Any]) -> None:
        try:
            word()
        except Exception as error:  # the engine is gone: its containers may be too
            log.warning("the engine does not say when the container ends: %s", error)
            if left.acquire(blocking=False):
                return
        timer.stop()
        for failure in revoke_all(spawned.keys):
            log.error("%s", failure)

    for word in words:
        threading.Thread(target=watch, args=(word,), name="keybrake-docker", daemon=True).start()
    timer.start(spawned, seconds(lifetime))
    return spawned
