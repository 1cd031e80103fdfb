# SPDX-License-Identifier: Apache-2.0
"""Times, and the rule that ties a key's life to its sandbox's."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Optional, Union

Duration = Union[str, int, float, timedelta]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: Duration) -> int:
    """"90s", "10m", "2h", "1d", a number of seconds, or a timedelta: as whole seconds, rounded up."""
    if isinstance(duration, str):
        found = re.fullmatch(r"([0-9]{1,9})([smhd])", duration, re.ASCII)
        if not found:
            raise ValueError(f"{duration!r} is not a time such as 90s, 10m, 2h or 1d")
        total: float = int(found[1]) * _UNITS[found[2]]
    elif isinstance(duration, timedelta):
        total = duration.total_seconds()
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool):
        total = duration
    else:
        raise TypeError("a time is a text such as '10m', a number of seconds, or a timedelta")
    if not 1 <= total < 10**9:
        raise ValueError("a time is at least 1 second, and finite")
    whole = int(total)
    return whole + (whole < total)


def ttl_for(lifetime: Duration, ttl: Optional[Duration] = None) -> int:
    """How many seconds the key of a sandbox lives that lives for `lifetime`: a fifth longer, so
    that work which began in time can end, and never more than twice as long.  `ttl` says another
    time within these bounds; one below the lifetime is no error: the key then dies first."""
    life = seconds(lifetime)
    if ttl is None:
        return (life * 6 + 4) // 5
    wanted = seconds(ttl)
    if wanted > 2 * life:
        raise ValueError(f"a key for a sandbox of {life} s may live {2 * life} s at most, "
                         f"not {wanted}")
    return wanted
