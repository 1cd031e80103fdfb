# SPDX-License-Identifier: Apache-2.0
"""The operator's side of keybrake's API (docs/api.md), call by call."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import time
import urllib.parse
import uuid
from decimal import Decimal
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from .duration import Duration, seconds, ttl_for
from .errors import ApiError, BadAnswer, ConnectionFailed, NotFound, api_error
from .transport import Transport, default_socket

log = logging.getLogger("keybrake")
Usd = Union[int, str, Decimal, float]
Json = Dict[str, Any]

TIMEOUT_S = 3.0
_ATTEMPTS = 3
_RETRIED = (429, 500, 502, 503, 504)


def _usd(amount: Any) -> Any:
    return str(amount) if isinstance(amount, Decimal) else amount


def _optional_decimal(value: object) -> Optional[Decimal]:
    return Decimal(value) if isinstance(value, str) else None


@dataclasses.dataclass(frozen=True)
class Key:
    """A vault key as the server shows it.  `raw` is the whole answer, policy included."""

    id: str
    status: str
    vendor: Optional[str]
    label: Optional[str]
    expires_at: Optional[str]
    spent_usd: Decimal
    held_usd: Decimal
    remaining_usd: Optional[Decimal]  # None: no cap
    raw: Json = dataclasses.field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> "Key":
        try:
            return cls(id=raw["id"], status=raw["status"], vendor=raw.get("vendor"),
                       label=raw.get("label"), expires_at=raw.get("expires_at"),
                       spent_usd=Decimal(raw["spent_usd"]), held_usd=Decimal(raw["held_usd"]),
                       remaining_usd=_optional_decimal(raw.get("remaining_usd")), raw=raw)
        except (KeyError, TypeError, ArithmeticError) as error:
            raise BadAnswer("the answer is no vault key") from error


class IssuedKey:
    """A vault key fresh from the server, with the token that is shown this once."""

    def __init__(self, raw: Json):
        try:
            self.id: str = raw["id"]
            self.token: str = raw["token"]
            self.vendor: str = raw["vendor"]
            self.expires_at: str = raw["expires_at"]
            self._env: Dict[str, str] = dict(raw["env"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadAnswer("the answer is no issued key") from error
        self.policy: Json = {k: v for k, v in raw.items() if k not in ("token", "env")}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.vendor} until {self.expires_at}>"

    def env(self, vendor: Optional[str] = None) -> Dict[str, str]:
        """The variables that the vendor's SDKs read; a copy.  `vendor` only makes sure."""
        if vendor is not None and vendor != self.vendor:
            raise ValueError(f"this vault key is for {self.vendor}, not for {vendor}")
        return dict(self._env)


class Client:
    """A keybrake server.

    url       "https://HOST:PORT", "http://127.0.0.1:8788" or "unix:/PATH/control.sock"; else
              KEYBRAKE_URL, else the local socket of KEYBRAKE_DATA or of the default place
    token     an operator's; else KEYBRAKE_TOKEN; the local socket needs none
    timeout   seconds for one attempt, from connecting to the answer's last byte
    ca_file   a CA to trust instead of the system's; else KEYBRAKE_CA
    """

    def __init__(self, url: Optional[str] = None, token: Optional[str] = None, *,
                 timeout: float = TIMEOUT_S, ca_file: Optional[str] = None,
                 insecure: bool = False):
        url = url or os.environ.get("KEYBRAKE_URL") or "unix:" + default_socket()
        if token is None and not url.startswith("unix:"):
            token = os.environ.get("KEYBRAKE_TOKEN")
        self._transport = Transport(url, token, ca_file or os.environ.get("KEYBRAKE_CA"), insecure)
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<keybrake.Client {self._transport.where()}>"

    # -- vault keys

    def issue(self, *, vendor: str, daily_usd_cap: Optional[Usd],
              allowed_endpoints: Sequence[str], expires_in: Optional[Duration] = None,
              idempotency_key: Optional[str] = None, **policy: Any) -> IssuedKey:
        """A new vault key.  The other members of a policy (label, run_id, tenant, credential,
        total_usd_cap, limits, params, mode, ...) go in by the names of docs/api.md.

        Sent with an idempotency key, and so repeated without harm if no answer comes."""
        return IssuedKey(self.issue_raw(
            vendor=vendor, daily_usd_cap=daily_usd_cap, allowed_endpoints=allowed_endpoints,
            expires_in=expires_in, idempotency_key=idempotency_key, **policy))

    def issue_raw(self, *, vendor: str, daily_usd_cap: Optional[Usd],
                  allowed_endpoints: Sequence[str], expires_in: Optional[Duration] = None,
                  idempotency_key: Optional[str] = None, **policy: Any) -> Json:
        """The server's answer as it is; it has the token in it."""
        body: Json = {"vendor": vendor, "daily_usd_cap": _usd(daily_usd_cap),
                      "allowed_endpoints": list(allowed_endpoints)}
        if expires_in is not None:
            body["expires_in"] = f"{seconds(expires_in)}s"
        body.update((name, _usd(value)) for name, value in policy.items())
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        raw = self._json("POST", "/v1/keys", body, headers, repeat=True)
        for text in raw.get("warnings") or ():
            log.warning("%s", text)
        return raw

    def show(self, key_id: str) -> Key:
        return Key.of(self._json("GET", _key_path(key_id), repeat=True))

    def list(self, **filters: Optional[str]) -> Iterator[Key]:
        """Newest first.  Filters: label (a prefix), vendor, tenant, status, run_id."""
        for raw in self._pages("/v1/keys", filters, None):
            yield Key.of(raw)

    def revoke(self, key_id: str) -> Json:
        """Ends a key; when this returns no further byte of it reaches the vendor.  Repeating it
        is no error, so it is repeated if no answer comes."""
        return self._json("DELETE", _key_path(key_id), repeat=True)

    def pause(self, key_id: str) -> Key:
        return Key.of(self._json("POST", _key_path(key_id) + "/pause"))

    def resume(self, key_id: str) -> Key:
        return Key.of(self._json("POST", _key_path(key_id) + "/resume"))

    def change(self, key_id: str, *, if_version: Optional[int] = None, **members: Any) -> Key:
        """A merge patch of caps, endpoints, limits, params, mode, expires_in or expires_at."""
        headers = {} if if_version is None else {"If-Match": f'"{if_version}"'}
        body = {name: _usd(value) for name, value in members.items()}
        return Key.of(self._json("PATCH", _key_path(key_id), body, headers))

    def extend(self, key_id: str, lifetime: Duration, ttl: Optional[Duration] = None) -> Key:
        """From now on as if the key had been issued for a sandbox of that lifetime."""
        return self.change(key_id, expires_in=f"{ttl_for(lifetime, ttl)}s")

    def explain(self, key_id: str, method: str, path: str, **request: Any) -> Json:
        """What would happen to a request: headers, body, host, source as in docs/api.md."""
        body = {"key": key_id, "method": method, "path": path, **request}
        return self._json("POST", "/v1/explain", body, repeat=True)

    # -- what happened

    def audit(self, *, limit: Optional[int] = None, **filters: Optional[str]) -> Iterator[Json]:
        """Rows, newest first; all that there are, or `limit`.  Filters: key, label (a prefix),
        run, tenant, vendor, verdict, event, since, until."""
        return self._pages("/v1/audit", filters, limit)

    def spend(self, by: str = "key", **filters: Optional[str]) -> List[Json]:
        """Sums grouped by key, label, run, tenant, vendor, day or class."""
        return list(self._pages("/v1/spend", {"group_by": by, **filters}, None))

    # -- the wire

    def _pages(self, path: str, filters: Mapping[str, Optional[str]],
               limit: Optional[int]) -> Iterator[Json]:
        query = {name: value for name, value in filters.items() if value is not None}
        left = limit
        while left is None or left > 0:
            query["limit"] = str(1000 if left is None else min(left, 1000))
            page = self._json("GET", f"{path}?{urllib.parse.urlencode(query)}", repeat=True)
            data = page.get("data")
            if not isinstance(data, list):
                raise BadAnswer("the answer is no list")
            for row in data[:left]:
                yield row
            left = None if left is None else left - len(data)
            cursor = page.get("next_cursor")
            if cursor is None:
                return
            query["cursor"] = str(cursor)

    def _json(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None,
              headers: Optional[Mapping[str, str]] = None, repeat: bool = False) -> Json:
        """`repeat`: the call may be sent again although the server may have acted on it."""
        for attempt in range(1, _ATTEMPTS + 1):
            last = not repeat or attempt == _ATTEMPTS
            pause = 0.1 * 3 ** (attempt - 1) * random.uniform(0.7, 1.3)
            try:
                status, sent, data = self._transport.ask(method, path, body, headers or {},
                                                         self._timeout)
            except ConnectionFailed:
                if last:
                    raise
            else:
                if status < 300:
                    return _object(data)
                error = _refusal(status, data)
                if last or status not in _RETRIED or error.code == "limit_reached":
                    raise error
                pause = max(pause, min(_number(sent.get("retry-after")), 2.0))
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


def _key_path(key_id: str) -> str:
    if not key_id:
        raise NotFound(404, "not_found", "there is no key without an id")
    return "/v1/keys/" + urllib.parse.quote(key_id, safe="")


def _object(data: bytes) -> Json:
    try:
        parsed = json.loads(data)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise BadAnswer("the answer is no JSON object")
    return parsed


def _refusal(status: int, data: bytes) -> ApiError:
    try:
        return api_error(status, _object(data))
    except BadAnswer:
        return api_error(status, {})


def _number(text: Optional[str]) -> float:
    return float(text) if text is not None and text.isdigit() else 0.0
