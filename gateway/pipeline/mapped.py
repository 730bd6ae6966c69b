"""Mapped JSON: what foreign firmware says, where a mapping of the configuration says to look.

A mapping names a topic pattern and what it wants of the messages there, by JSON pointers (RFC 6901); all else in them
is passed over. It decides units, too: a reading comes out in the policy's unit, or is refused.

- Of several pointers of one quantity the first at which there is something counts. null is nothing: firmware writes it
  for what it does not know yet.
- A message in which there is nothing of what is wanted is `malformed`; a reading that is no number is, alone.
- A unit that the message tells must be one that the mapping knows, or the reading is refused as `unit`.
- Without a time, or with a local time that occurred twice, readings are `untimed`. Where the mapping insists on a time,
  a message without one is refused (`no_time`). A time that is there and cannot be read is `malformed`.

    >>> rows = Rows()
    >>> power = Wanted(number=3, at=(pointer("/ENERGY/Power"),))
    >>> Mapping(pattern=TopicPattern("tele/{device}/SENSOR", "home"), wanted=(power,)).read(
    ...     {"ENERGY": {"Power": 1250, "Voltage": 230}}, 1714564800250000000, rows)
    >>> rows.settle()
    {(1714564800250000000, 0): {3: 1250.0}}
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import re
from collections import abc
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.model.sealed import Reason
from gateway.pipeline.literal import is_number, to_float
from gateway.pipeline.rows import Rows
from gateway.pipeline.times import InvalidTime, from_local, from_milliseconds, from_seconds, from_text
from gateway.pipeline.topics import TopicPattern

Pointer = tuple[str, ...]
"""The reference tokens of a JSON pointer, unescaped."""

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")


class TimeFormat(enum.StrEnum):
    """How a time is written."""

    RFC3339 = "rfc3339"
    LOCAL = "local"
    UNIX_S = "unix_s"
    UNIX_MS = "unix_ms"


@dataclass(frozen=True, slots=True)
class Scale:
    """To the policy's unit: (written - zero) x factor, in binary64."""

    zero: float = 0.0
    factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One quantity: its number, where it may be, and its scale, or where its unit is told and the scale of each."""

    number: int
    at: tuple[Pointer, ...]
    scale: Scale = Scale()
    unit_at: Pointer | None = None
    units: abc.Mapping[str, Scale] = field(default_factory=dict)

    def value(self, document: object, written: object) -> float | Reason:
        """A written value in the policy's unit, or why it cannot be one."""
        number = to_float(written)
        if isinstance(number, Reason):
            return number
        scale: Scale | None = self.scale
        if self.unit_at is not None:
            told = follow(document, self.unit_at)
            scale = self.units.get(told) if isinstance(told, str) else None
        if scale is None:
            return Reason.UNIT
        scaled = (number - scale.zero) * scale.factor
        return scaled if math.isfinite(scaled) else Reason.NON_FINITE


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where a message says its time, in which formats; `zone` for local ones, `required` when there must be one."""

    at: Pointer
    formats: tuple[TimeFormat, ...]
    zone: dt.tzinfo = dt.UTC
    required: bool = True

    def time(self, document: object, now: int) -> tuple[int, bool]:
        """Event time in ns, and whether it is certain. Raises InvalidTime."""
        written = follow(document, self.at)
        if written is None and not self.required:
            return now, False
        if written is None:
            raise InvalidTime(Reason.NO_TIME)
        for known in self.formats:
            try:
                return self._read(known, written, now)
            except InvalidTime as invalid:
                if invalid.reason is not Reason.MALFORMED:
                    raise
        raise InvalidTime(Reason.MALFORMED)

    def _read(self, known: TimeFormat, written: object, now: int) -> tuple[int, bool]:
        if known is TimeFormat.RFC3339 and isinstance(written, str):
            return from_text(written), True
        if known is TimeFormat.LOCAL and isinstance(written, str):
            return from_local(written, self.zone, now)
        if known is TimeFormat.UNIX_MS and type(written) is int:
            return from_milliseconds(written), True
        if known is TimeFormat.UNIX_S and is_number(written):
            return from_seconds(Decimal(written)), True
        raise InvalidTime(Reason.MALFORMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What is wanted of the messages on one topic pattern. Without a clock, all of them are untimed."""

    pattern: TopicPattern
    wanted: tuple[Wanted, ...]
    clock: Clock | None = None

    def read(self, document: object, now: int, rows: Rows) -> None:
        """Put the readings of a parsed message that arrived at `now` (ns) into `rows`."""
        found = [(wanted, value) for wanted in self.wanted if (value := _first(document, wanted.at)) is not None]
        if not found:
            return
        try:
            time, certain = (now, False) if self.clock is None else self.clock.time(document, now)
        except InvalidTime as invalid:
            rows.refuse(invalid.reason, len(found))
            return
        for wanted, written in found:
            value = wanted.value(document, written)
            if isinstance(value, Reason):
                rows.refuse(value)
            else:
                rows.put(time, 0, wanted.number, value)
        if not certain:
            rows.untimed.add(time)


def pointer(text: str) -> Pointer:
    """A JSON pointer. Raises ValueError. Source: RFC 6901 sections 3 and 4."""
    if _POINTER.fullmatch(text) is None:
        raise ValueError("a JSON pointer begins with '/', and has '~' only as '~0' and '~1'")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


def follow(document: object, path: Pointer) -> object:
    """What is at `path` in a parsed JSON document; None for nothing, and for null."""
    for token in path:
        if isinstance(document, dict):
            document = document.get(token)
        elif isinstance(document, list) and _INDEX.fullmatch(token) and int(token) < len(document):
            document = document[int(token)]
        else:
            return None
    return document


def _first(document: object, paths: tuple[Pointer, ...]) -> object:
    return next((value for path in paths if (value := follow(document, path)) is not None), None)
