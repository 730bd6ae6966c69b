r"""Points to InfluxDB line protocol: the one function that writes it, and the escaping that keeps it one point a line.

    telemetry,area=SE3,series=abcdefghijklmnopqrstuvwxyz s_1d="AQH…",battery=80.0 1700000000000000000

A string, whoever chose it, never adds a tag, a field or a point. What line protocol can carry is escaped; what it can
not is refused, and its point with it. Why so strict, seen on InfluxDB 1.6: a backslash before the end of a tag value
swallows the separator; a newline cannot be escaped in a tag; a measurement `a=b` or `#a` is taken and is then lost; a
field key after a tab or NUL changes its name. Times are ns, floats are written as floats (a field has one type for
ever), an empty tag is left out, as InfluxDB wants it.

Source: InfluxDB 1.x line protocol reference, and `tests/attacks/test_28_line_protocol_injection.py` against the server.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from gateway.errors import VerificationFailed
from gateway.model.sealed import Reason, SealedPoint, Series, parse_clear_field, parse_sealed_field

HEAD_BYTES_MAX, NAME_BYTES_MAX = 65_000, 255  # InfluxDB's MaxKeyLength is 65,535 for both and what joins them
TIME_MAX = 2**63 - 2  # InfluxDB keeps the two outermost values of int64 to itself, at either end
_TOGETHER = 2000
_NONE: dict[int, Reason] = {}
_MEASUREMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_TAG_ESCAPES = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})


class Unwritable(ValueError):
    """Line protocol cannot carry this point; `reason` says as what it is refused."""

    reason = Reason.STORE


class NonFinite(Unwritable):
    """A clear value is NaN or infinite."""

    reason = Reason.NON_FINITE


def render(points: Sequence[SealedPoint]) -> tuple[bytes, dict[int, Reason]]:
    """(line protocol with ns times, refused points by index). Lines are in the order of the points.

    Two thousand at a time: they stay in the processor's caches while they are looked at, and one that is odd makes few
    others slow.
    """
    bodies: list[bytes] = []
    refused: dict[int, Reason] = {}
    for at in range(0, len(points), _TOGETHER):
        part = points[at : at + _TOGETHER]
        alike = _alike(part)
        body, wrong = (alike.encode(), _NONE) if alike is not None else _one_by_one(part)
        if body:
            bodies.append(body)
        for index, reason in wrong.items():
            refused[at + index] = reason
    return b"\n".join(bodies), refused


def _alike(points: Sequence[SealedPoint]) -> str | None:
    """The lines of points that all have one sealed field, nothing beside it, and nothing to be escaped or refused.

    Nearly every batch. One format for all: half of what it takes line by line. None for any other. Heads of series are
    put together for each line: to keep a million of them would take 170 MB and save nothing.
    """
    fields, values, times = {p.field for p in points}, [p.value for p in points], [p.time for p in points]
    if len(fields) != 1 or any([p.clear for p in points]) or not all(values):  # noqa: C419 - a list is faster
        return None
    if not _is_base64url("".join(values)) or min(times) < -TIME_MAX or max(times) > TIME_MAX:
        return None
    series = [p.series for p in points]
    names, areas, classes = [s.pseudonym for s in series], [s.area for s in series], {s.measurement for s in series}
    if len(classes) != 1 or not _are_plain(names):
        return None
    try:
        before, name = {area: _before(*classes, area) for area in set(areas)}, sealed_name(*fields)
    except Unwritable:
        return None
    head, each = ("%s", 4) if len(before) > 1 else (before[areas[0]].replace("%", "%%"), 3)
    parts: list[str | int] = [""] * (each * len(points))
    parts[each - 3 :: each], parts[each - 2 :: each], parts[each - 1 :: each] = names, values, times
    if len(before) > 1:
        parts[::each] = map(before.__getitem__, areas)
    return (f'{head}%s {name}="%s" %d\n' * len(points))[:-1] % tuple(parts)


def _are_plain(names: Sequence[str]) -> bool:
    """Whether these pseudonyms can stand as tags as they are. Ours are letters and digits."""
    joined = "".join(names)
    lengths = set(map(len, names))
    return min(lengths) > 0 and max(lengths) <= NAME_BYTES_MAX and _is_base64url(joined) and "=" not in joined


def _is_base64url(text: str) -> bool:
    """Whether `text` is that, or as harmless: from `-` to `z` without a backslash, so no quote and no control."""
    if not text.isascii():
        return False
    octets = np.frombuffer(text.encode(), np.uint8)
    return bool(octets.min() >= ord("-") and octets.max() <= ord("z")) and "\\" not in text


def _one_by_one(points: Sequence[SealedPoint]) -> tuple[bytes, dict[int, Reason]]:
    lines: list[str] = []
    refused: dict[int, Reason] = {}
    field: str | None = None
    name = ""
    for index, point in enumerate(points):
        time, value = point.time, point.value
        try:
            if value and not point.clear and -TIME_MAX <= time <= TIME_MAX:  # nearly every point
                if point.field is not field:
                    name = sealed_name(point.field)
                    field = point.field
                lines.append(f'{_head(point.series)} {name}="{escape_string(value)}" {time}')
            else:
                lines.append(_line(point))
        except Unwritable as unwritable:
            refused[index] = unwritable.reason
    return "\n".join(lines).encode(), refused


@lru_cache(maxsize=4096)
def sealed_name(field: str) -> str:
    """Key of a field that holds a string. Raises Unwritable: it is our own word, so nothing in it is ever escaped."""
    try:
        parse_sealed_field(field)
    except VerificationFailed:
        raise Unwritable from None
    return field


@lru_cache(maxsize=4096)
def clear_name(field: str) -> str:
    """Key of a field that holds a number, never the name of one that holds a string. Raises Unwritable."""
    try:
        parse_clear_field(field)
    except VerificationFailed:
        raise Unwritable from None
    if field == "time" or field.startswith("s_") or len(field) > NAME_BYTES_MAX:  # InfluxDB drops the first
        raise Unwritable
    return field


def escape_tag(value: str) -> str:
    """A tag value, not empty. Raises Unwritable for backslashes and whatever does not print (newline, NUL, …)."""
    if not value or "\\" in value or not value.isprintable():
        raise Unwritable
    return value.translate(_TAG_ESCAPES)


def escape_string(value: str) -> str:
    """A string field's value, without its quotes. Raises Unwritable for whatever does not print (newline, NUL, …)."""
    if not value.isprintable():
        raise Unwritable
    if '"' in value or "\\" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"')
    return value


@lru_cache(maxsize=4096)
def _head(series: Series) -> str:
    """Measurement and tags. Raises Unwritable."""
    head = _before(series.measurement, series.area) + escape_tag(series.pseudonym)
    if len(head.encode()) > HEAD_BYTES_MAX:
        raise Unwritable
    return head


@lru_cache(maxsize=4096)
def _before(measurement: str, area: str) -> str:
    """What stands before a pseudonym. Raises Unwritable."""
    if _MEASUREMENT.fullmatch(measurement) is None:
        raise Unwritable
    return f"{measurement},area={escape_tag(area)},series=" if area else f"{measurement},series="


def _line(point: SealedPoint) -> str:
    fields = [f"{clear_name(name)}={_number(value)}" for name, value in point.clear]
    if point.value:
        fields.insert(0, f'{sealed_name(point.field)}="{escape_string(point.value)}"')
    if not fields or not -TIME_MAX <= point.time <= TIME_MAX:
        raise Unwritable
    return f"{_head(point.series)} {','.join(fields)} {point.time}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise NonFinite
    return repr(float(value))  # numpy's own repr names its type
