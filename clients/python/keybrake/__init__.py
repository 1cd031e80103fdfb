# SPDX-License-Identifier: Apache-2.0
"""keybrake: vault keys for sandboxes.

    with keybrake.vault_key(vendor="stripe", daily_usd_cap=50, lifetime="10m",
                            allowed_endpoints=["/v1/payment_intents"]) as key:
        subprocess.run(agent, env=key.env("stripe"))
"""

from .client import Client, IssuedKey, Key
from .duration import ttl_for
from .errors import (ApiError, BadAnswer, BadRequest, Conflict, ConnectionFailed, Forbidden,
                     KeybrakeError, NotFound, Refused, RevokeFailed, TimedOut, Unauthorized,
                     Unavailable)
from .vault_key import VaultKey, VaultKeyContext, vault_key

__version__ = "0.1.0"
__all__ = [
    "ApiError", "BadAnswer", "BadRequest", "Client", "Conflict", "ConnectionFailed", "Forbidden",
    "IssuedKey", "Key", "KeybrakeError", "NotFound", "Refused", "RevokeFailed", "TimedOut",
    "Unauthorized", "Unavailable", "VaultKey", "VaultKeyContext", "ttl_for", "vault_key",
]
