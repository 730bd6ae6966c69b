"""Rows of a source to messages: a topic `controller/device` and a flat JSON object, as a device would have sent it.

Nothing is refused here. What cannot be read is written so that decode refuses it for what it is: a missing cell as an
empty payload, a time that is none as text that is none, a number that is none as null.

Times without a zone are local. Where clocks go back, an hour happens twice: such a time is refused, or, with `ambiguous
= "order"`, is the first that comes after the device's row before. A time in the hour that is left out is refused.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec

from gateway.transport.history.mapping import CsvKind, InfluxKind, TimeColumn

TOPIC = "{controller}/{device}"
"""The pattern of topics here; it never meets a broker's."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)
_MS_NS = 1_000_000
_NOT_READ = '"?"'
Cell = int | float | str | bool | None


class Row(msgspec.Struct, frozen=True, gc=False):
    """One message. Has the shape of an arrival."""

    topic: str
    payload: bytes
    content_type: None = None


class CsvRows:
    """Makes messages of the rows of one file kind. One for all files, since sums and order go on from file to file."""

    def __init__(self, kind: CsvKind) -> None:
        self._kind = kind
        self._time = time_reader(kind.time)
        self._latest: dict[str, dt.datetime] = {}
        self._totals: dict[tuple[str, str], tuple[dt.datetime, float, float]] = {}

    def row(self, cells: Sequence[str], at: Mapping[str, int], device: str) -> Row:
        """Args: `at` is the place of each column; `device` is what the file's name says, used without a column."""
        kind = self._kind
        controller = cells[at[kind.controller_column]] if kind.controller_column else kind.controller
        topic = f"{controller}/{cells[at[kind.device_column]] if kind.device_column else device}"
        time, token = self._when(cells[at[kind.time.column]], topic)
        parts = []
        for name, quantity in kind.quantities.items():
            text = cells[at[quantity.column]].strip()
            if not text:
                continue
            value = _number(text.replace(",", ".") if kind.decimal == "," else text, quantity.factor)
            if quantity.sum and value is not None:
                value = self._total(topic, name, time, value)
            parts.append(f',"{name}":{_written(value)}')
        return Row(topic, f'{{"time":{token}{"".join(parts)}}}'.encode())

    def _when(self, text: str, topic: str) -> tuple[dt.datetime | None, str]:
        """The time of a row and how it is written."""
        if not text.strip():
            return None, "null"
        try:
            time = self._time(text.strip(), self._latest.get(topic))
        except (ValueError, OverflowError):
            return None, _NOT_READ
        self._latest[topic] = time
        return time, _stamp(time)

    def _total(self, topic: str, name: str, time: dt.datetime | None, value: float) -> float | None:
        """The sum so far. A row that comes twice counts once; one from before, or with another value, is not read."""
        if time is None:
            return None
        last, total, newest = self._totals.get((topic, name), (None, 0.0, 0.0))
        if last is not None and time <= last:
            return total if (time, value) == (last, newest) else None
        self._totals[topic, name] = (time, total + value, value)
        return total + value


def influx_row(kind: InfluxKind, tags: Mapping[str, str], time: int, values: Mapping[str, Cell]) -> Row:
    """One row of a measurement; `time` in ns, `values` by field."""
    controller = tags.get(kind.controller_tag, "") if kind.controller_tag else kind.controller
    topic = f"{controller}/{tags.get(kind.device_tag, '')}"
    parts = []
    for name, quantity in kind.quantities.items():
        cell = values.get(quantity.column)
        if cell is not None:
            number = None if isinstance(cell, str | bool) else cell * quantity.factor
            parts.append(f',"{name}":{_written(number)}')
    return Row(topic, f'{{"time":{_nanoseconds(time)}{"".join(parts)}}}'.encode())


def time_reader(column: TimeColumn) -> Callable[[str, dt.datetime | None], dt.datetime]:
    """Reads a time, given the device's time before; raises ValueError or OverflowError for what is none."""
    zone = ZoneInfo(column.zone) if column.zone not in {None, "UTC"} else None
    offset = dt.timedelta(seconds=column.offset_s)
    parse = _parser(column.format)

    def read(text: str, before: dt.datetime | None) -> dt.datetime:
        time = parse(text)
        if time.tzinfo is not None:
            return time.astimezone(dt.UTC) + offset
        if zone is None:
            return time.replace(tzinfo=dt.UTC) + offset
        first = time.replace(tzinfo=zone)
        second = first.replace(fold=1)
        ahead, behind = first.utcoffset() or dt.timedelta(), second.utcoffset() or dt.timedelta()
        if ahead < behind:  # PEP 495: clocks were put forward over it
            raise ValueError
        if ahead > behind and column.ambiguous == "refuse":
            raise ValueError
        found = first.astimezone(dt.UTC) + offset
        if ahead > behind and before is not None and found <= before:
            found = second.astimezone(dt.UTC) + offset
        return found

    return read


def _parser(form: str) -> Callable[[str], dt.datetime]:
    if form == "iso":
        return dt.datetime.fromisoformat
    if form == "unix_s":
        return lambda text: _EPOCH + dt.timedelta(seconds=float(text))
    if form == "unix_ms":
        return lambda text: _EPOCH + dt.timedelta(milliseconds=int(text))
    return lambda text: dt.datetime.strptime(text, form)  # noqa: DTZ007 - the zone comes from the mapping


def _stamp(time: dt.datetime) -> str:
    """Milliseconds where they are exact, else text with microseconds."""
    milliseconds, rest = divmod(time - _EPOCH, _MS)
    return f'"{time.isoformat()}"' if rest else str(milliseconds)


def _nanoseconds(time: int) -> str:
    if time % _MS_NS == 0:
        return str(time // _MS_NS)
    second = _EPOCH + dt.timedelta(seconds=time // 10**9)
    return f'"{second:%Y-%m-%dT%H:%M:%S}.{time % 10**9:09}Z"'


def _number(text: str, factor: float) -> float | None:
    try:
        return float(text) * factor
    except ValueError:
        return None


def _written(value: float | None) -> str:
    """A JSON number; NaN and infinity as decode knows them, null for what is no number."""
    if value is None:
        return "null"
    return repr(value) if math.isfinite(value) else json.dumps(value)
