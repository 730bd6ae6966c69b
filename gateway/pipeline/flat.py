"""Flat JSON and CBOR with care: an object, or a list of objects each with its own time and revision, per reading.

Comes into play when the fast path of decode does not take a payload; for what both take, both give the same. A fault of
`time` or `rev` refuses every reading of its object, and no other object. An object without any reading is `malformed`.

    >>> rows = Rows()
    >>> read({"time": 1714564800250, "power": 1250, "valve": None, "mood": 3}, {"power": 3, "valve": 6}, rows)
    >>> rows.settle(), {reason.value: n for reason, n in rows.refused.items()}
    ({(1714564800250000000, 0): {3: 1250.0}}, {'malformed': 1, 'unknown_quantity': 1})
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model.sealed import REVISION_TAKEN, Reason
from gateway.pipeline.literal import to_float
from gateway.pipeline.rows import Rows
from gateway.pipeline.times import InvalidTime, event_time

_OF_THE_OBJECT = frozenset({"time", "rev"})


def read(document: object, numbers: Mapping[str, int], rows: Rows) -> None:
    """Put the readings of a parsed payload into `rows`; `numbers` maps a quantity's name to its number."""
    for item in document if isinstance(document, list) else [document]:
        if isinstance(item, dict):
            _read_object(item, numbers, rows)
        else:
            rows.refuse(Reason.MALFORMED)


def _read_object(item: dict[str, object], numbers: Mapping[str, int], rows: Rows) -> None:
    values = {name: value for name, value in item.items() if name not in _OF_THE_OBJECT}
    if not values:
        rows.refuse(Reason.MALFORMED)
        return
    revision = item.get("rev", 0)
    if type(revision) is not int or not 0 <= revision <= REVISION_TAKEN:
        rows.refuse(Reason.MALFORMED, len(values))
        return
    try:
        time = event_time(item.get("time"))
    except InvalidTime as invalid:
        rows.refuse(invalid.reason, len(values))
        return
    for name, written in values.items():
        if name not in numbers:
            rows.refuse(Reason.UNKNOWN_QUANTITY)
            continue
        value = to_float(written)
        if isinstance(value, Reason):
            rows.refuse(value)
        else:
            rows.put(time, revision, numbers[name], value)
