"""Times as people write them: RFC 3339, a date (its midnight, UTC), or how long ago.

>>> moment("1970-01-02"), moment("1970-01-01T00:00:01.5Z"), moment("-90m", now=7_200_000_000_000)
(86400000000000, 1500000000, 1800000000000)
"""

from __future__ import annotations

import re

from gateway.pipeline.times import InvalidTime, from_text

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AGO = re.compile(r"-([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def moment(text: str, *, now: int | None = None) -> int:
    """ns since 1970. `now` allows `now`, and `-1d` and the like. Raises ValueError."""
    if now is not None:
        ago = _AGO.fullmatch(text)
        if ago:
            return max(0, now - int(ago[1]) * _SECONDS[ago[2]] * 1_000_000_000)
        if text == "now":
            return now
    try:
        return from_text(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    except InvalidTime as fault:
        raise ValueError(fault.reason.value) from None
