"""Event times: what a device wrote, in ns since 1970, exactly, or the reason why not.

Four spellings: RFC 3339 text, integer Unix milliseconds (flat objects), seconds as a decimal number (SenML), and local
time without an offset (mappings, which know the zone). Nothing here knows what time it is: whether an event time is too
old, or too far ahead, is for admit. Only those are refused that no column can hold: before 1970 (`too_old`), and after
2262-04-11 (`future`), when ns no longer fit an int64.

RFC 3339 is read strictly, with any offset and any number of fractional digits, cut after the ninth. Second 60 is
`malformed`: Unix time has no leap second, so a reading in it would lie on top of one in the next second.

    >>> from_text("2024-05-01T14:00:00.25+02:00") == from_milliseconds(1714564800250)
    True
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache

from gateway.model.sealed import Reason
from gateway.pipeline.literal import EXACT

NS_MAX = 2**63 - 1
MS_MAX = NS_MAX // 1_000_000
_SECOND = 1_000_000_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND_TEXT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})")
_SECOND_LENGTH = len("2024-05-01T14:00:00")
_TAIL_TEXT = re.compile(r"(?:\.([0-9]+))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))")
_TAIL_CACHED = len(".123456789+02:00")  # a longer one is read, but not kept: devices must not decide our memory


class InvalidTime(ValueError):
    """A time that cannot be an event time; `reason` says why, and what the device wrote is not kept."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def event_time(written: object) -> int:
    """The `time` of a flat object (RFC 3339 text or integer ms; None is `no_time`). Raises InvalidTime."""
    if type(written) is str:
        return from_text(written)
    if type(written) is int:  # not bool, which is an int to isinstance
        return from_milliseconds(written)
    raise InvalidTime(Reason.NO_TIME if written is None else Reason.MALFORMED)


def from_text(text: str) -> int:
    """ns since 1970 of RFC 3339 `text`. Raises InvalidTime. Source: RFC 3339 section 5.6, `date-time`."""
    tail = text[_SECOND_LENGTH:]
    beyond = _tail(tail) if len(tail) <= _TAIL_CACHED else _tail.__wrapped__(tail)
    time = _second(text[:_SECOND_LENGTH]) + beyond
    return time if 0 <= time <= NS_MAX else _bounded(time)


def from_milliseconds(milliseconds: int) -> int:
    """ns since 1970 of Unix milliseconds. Raises InvalidTime."""
    return _bounded(milliseconds * 1_000_000)


def from_seconds(seconds: Decimal, start: int = 0) -> int:
    """`start` (ns) plus decimal seconds, cut to whole ns. Raises InvalidTime; NaN and Infinity are `malformed`."""
    if not seconds.is_finite():
        raise InvalidTime(Reason.MALFORMED)
    if abs(seconds) > NS_MAX:  # before it becomes an integer of a million digits
        raise InvalidTime(Reason.FUTURE if seconds > 0 else Reason.TOO_OLD)
    return _bounded(start + int(EXACT.multiply(seconds, _SECOND).to_integral_value(ROUND_FLOOR)))


def from_local(text: str, zone: dt.tzinfo, near: int) -> tuple[int, bool]:
    """ns of RFC 3339 `text` that lacks its offset, in `zone`, and whether there is only one such time.

    In the hour that clocks run through twice there are two: the one nearer to `near` (ns, the arrival) is taken. A time
    that clocks skipped is `malformed`: taken for another one, it could lie on top of a reading. Raises InvalidTime.
    """
    wall = from_text(text + "Z")
    local = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=wall // _SECOND)  # noqa: DTZ001 - it has no zone yet
    found = []
    for fold in (0, 1):
        offset = local.replace(tzinfo=zone, fold=fold).utcoffset() or dt.timedelta()
        at = (local - offset).replace(tzinfo=dt.UTC)
        if at.astimezone(zone).replace(tzinfo=None) == local:
            found.append(wall - round(offset.total_seconds()) * _SECOND)
    if not found:
        raise InvalidTime(Reason.MALFORMED)
    return _bounded(min(found, key=lambda time: abs(time - near))), found[0] == found[-1]


def _bounded(time: int) -> int:
    if 0 <= time <= NS_MAX:
        return time
    raise InvalidTime(Reason.FUTURE if time > 0 else Reason.TOO_OLD)


@lru_cache(maxsize=16_384)
def _second(text: str) -> int:
    """ns of a date and time without fraction, as if it were UTC. Cached: a fleet's messages share their seconds."""
    match = _SECOND_TEXT.fullmatch(text)
    if match is None:
        raise InvalidTime(Reason.MALFORMED)
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        since = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC) - _EPOCH
    except ValueError:
        raise InvalidTime(Reason.MALFORMED) from None
    return (since.days * 86_400 + since.seconds) * _SECOND


@lru_cache(maxsize=16_384)
def _tail(text: str) -> int:
    """ns to add for fraction and offset: ".25+02:00" is 250 ms less two hours."""
    match = _TAIL_TEXT.fullmatch(text)
    if match is None:
        raise InvalidTime(Reason.MALFORMED)
    fraction, sign, hours, minutes = match.groups()
    nanoseconds = int((fraction or "0")[:9].ljust(9, "0"))
    if sign is None:
        return nanoseconds
    offset = (int(hours) * 60 + int(minutes)) * 60 * _SECOND
    return nanoseconds - offset if sign == "+" else nanoseconds + offset
