# SPDX-License-Identifier: Apache-2.0
"""What can go wrong.  Everything here is a KeybrakeError; what the server refuses is an ApiError of
the kind that its status says, with the problem's `code` (docs/api.md) to tell cases apart."""

from __future__ import annotations

from typing import Dict, Optional, Type


class KeybrakeError(Exception):
    """Anything that this package raises on its own account."""


class ConnectionFailed(KeybrakeError):
    """The server could not be reached, or went away; whether it acted is not known."""


class TimedOut(ConnectionFailed):
    """No (whole) answer came in time; whether the server acted is not known."""


class BadAnswer(KeybrakeError):
    """What answered does not speak keybrake's API."""


class RevokeFailed(KeybrakeError):
    """A key could not be revoked; it ends by itself at `expires_at`."""

    def __init__(self, message: str, key_id: str, expires_at: Optional[str]):
        super().__init__(message)
        self.key_id = key_id
        self.expires_at = expires_at


class ApiError(KeybrakeError):
    """The server said no."""

    def __init__(self, status: int, code: str, detail: str):
        super().__init__(f"{detail} ({status} {code})")
        self.status = status
        self.code = code
        self.detail = detail


class BadRequest(ApiError):
    """400: the call makes no sense as it stands."""


class Unauthorized(ApiError):
    """401: no operator's token, or none that is known."""


class Forbidden(ApiError):
    """403: this operator may not do that."""


class NotFound(ApiError):
    """404: there is no such thing, or it is not this operator's."""


class Conflict(ApiError):
    """409: it clashes with what is; 412: it changed meanwhile."""


class Refused(ApiError):
    """422: well said, but not to be done."""


class Unavailable(ApiError):
    """429 and 5xx: not now."""


_KINDS: Dict[int, Type[ApiError]] = {
    400: BadRequest, 401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict,
    412: Conflict, 422: Refused, 429: Unavailable,
}


def api_error(status: int, problem: Dict[str, object]) -> ApiError:
    """The exception for an answer that is not 2xx."""
    kind = _KINDS.get(status, Unavailable if status >= 500 else ApiError)
    code = problem.get("code")
    detail = problem.get("detail")
    return kind(status, code if isinstance(code, str) else f"http_{status}",
                detail if isinstance(detail, str) else "the server refused without a reason")
