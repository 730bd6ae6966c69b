"""How long a server keeps points by itself, beside how long the policy lets them be readable.

A server that keeps them for less loses readings; one that keeps them for longer keeps clear values and pseudonyms that
nobody may use any more. So both are faults, and 0 hours, which is for ever, is one of the second kind.

    >>> mismatch(0, 762), mismatch(24 * 30, 762), mismatch(24 * 762, 762)
    ('keeps points for ever, and the policy 762 days', 'keeps points 30 days, and the policy 762 days', '')
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from gateway.model.sealed import Reason, SealedPoint

_HOUR_NS = 3_600_000_000_000


def mismatch(hours: int, keep_days: int) -> str:
    """What is wrong, in words; empty when nothing is, and when `keep_days` is 0: then it is not judged."""
    if not keep_days or hours == keep_days * 24:
        return ""
    return f"keeps points {kept(hours)}, and the policy {keep_days} days"


def kept(hours: int) -> str:
    """In words; 0 is for ever."""
    if not hours:
        return "for ever"
    return f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hours"


def older_than(points: Sequence[SealedPoint], hours: int | None) -> dict[int, Reason]:
    """Which points a server that keeps so many hours has no place for any more, by index. 0 and None: none."""
    if not hours:
        return {}
    oldest = time.time_ns() - hours * _HOUR_NS
    return {index: Reason.TOO_OLD for index, point in enumerate(points) if point.time < oldest}
