"""SenML: packs resolved as RFC 8428 says, and the measurements of the policy's quantities in them.

`resolve` knows the RFC and no policy: base fields carry over, names are joined, times become absolute. `read` knows the
policy: the quantity is the resolved name after its last `/` or `:`. Whatever device the name says, the topic decides.

- What makes the rest of a pack unreadable refuses the pack: a version above 10 or two versions, a base field of the
  wrong type, a field that must be understood (its label ends in `_`) and is not.
- A fault in one record refuses that record: a regular field of the wrong type, a name outside the RFC's alphabet, no or
  more than one value, text, truth or data where a quantity is a number.
- A record of base fields alone, or with a sum and no value, has no reading. Unknown labels are passed over (4.4).
- Times below 2^28 s count from the arrival: such a record is `untimed`, and never refused for that.
- CBOR says labels as integers (section 6, table 4): `named` gives them their names, and all else is the same.
- A record without unit is in the policy's unit: section 4.5.2 leaves it to the application. Any other unit than the
  policy's is refused, also one that could be converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model.sealed import Reason
from gateway.pipeline.literal import EXACT, is_number, to_float
from gateway.pipeline.rows import Rows
from gateway.pipeline.times import InvalidTime, from_seconds
from gateway.policy.rules import Quantity

VERSION = 10
ABSOLUTE = 2**28  # seconds; a smaller time is relative to now: RFC 8428 section 4.5.3
_LABELS: Mapping[int, str] = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
_SIGNS = frozenset({"bn", "n", "bver", -2, 0, -1})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_data(value: object) -> bool:
    return type(value) is str or type(value) is bytes  # base64url in JSON, bytes in CBOR


def _is_truth(value: object) -> bool:
    return type(value) is bool


def _is_version(value: object) -> bool:
    return type(value) is int and 1 <= value <= VERSION


_Test = Callable[[object], bool]
_BASE: Mapping[str, _Test] = {
    "bn": _is_text, "bt": is_number, "bu": _is_text, "bv": is_number, "bs": is_number, "bver": _is_version,
}  # fmt: skip
_VALUES: Mapping[str, _Test] = {"v": is_number, "vs": _is_text, "vb": _is_truth, "vd": _is_data}
_REGULAR: Mapping[str, _Test] = {
    "n": _is_text, "u": _is_text, "s": is_number, "t": is_number, "ut": is_number, **_VALUES,
}  # fmt: skip


class InvalidPack(ValueError):
    """A pack of which nothing may be used."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A resolved record: full name, unit if one was said, event time in ns since 1970, and the value with its label.

    `value` is an int or Decimal for label `v`, text for `vs`, a bool for `vb`, text or bytes for `vd`.
    """

    name: str
    unit: str | None
    time: int
    untimed: bool
    label: str
    value: object


def is_pack(document: object) -> bool:
    """Whether an array is SenML rather than a list of flat objects: its first object has `bn`, `n` or `bver`."""
    return (
        isinstance(document, list)
        and bool(document)
        and isinstance(document[0], dict)
        and not _SIGNS.isdisjoint(document[0])
    )


def named(pack: object) -> object:
    """A pack from CBOR with its labels as JSON names them.

    Other numbers are left out: section 6 says that table 4 is complete, and that extensions have labels of text.
    """
    if not isinstance(pack, list):
        return pack
    return [_named(record) if isinstance(record, dict) else record for record in pack]


def resolve(pack: Sequence[object], now: int) -> list[Measurement | Reason]:
    """The measurements of a pack at arrival time `now` (ns), or for a record that holds none the reason.

    Raises InvalidPack. Source: RFC 8428 sections 4.1 to 4.6; order is left as it came.
    """
    base: dict[str, Any] = {"bver": VERSION}
    found: list[Measurement | Reason] = []
    for index, record in enumerate(pack):
        if not isinstance(record, dict):
            found.append(Reason.MALFORMED)
            continue
        _take_over(base, record, first=index == 0)
        measurement = _measure(base, record, now)
        if measurement is not None:
            found.append(measurement)
    return found


def read(document: object, quantities: Mapping[str, Quantity], now: int, rows: Rows) -> None:
    """Put the readings of a parsed SenML payload into `rows`; `quantities` by name."""
    try:
        found = resolve(document, now) if isinstance(document, list) else [Reason.MALFORMED]
    except InvalidPack:
        found = [Reason.MALFORMED]
    for measurement in found:
        if isinstance(measurement, Reason):
            rows.refuse(measurement)
        else:
            _put(measurement, quantities, rows)


def _named(record: Mapping[object, object]) -> dict[str, object]:
    found = {}
    for label, value in record.items():
        name = _LABELS.get(label) if type(label) is int else label
        if isinstance(name, str):
            found[name] = value
    return found


def _put(measurement: Measurement, quantities: Mapping[str, Quantity], rows: Rows) -> None:
    name = measurement.name
    quantity = quantities.get(name[max(name.rfind("/"), name.rfind(":")) + 1 :])
    if quantity is None:
        rows.refuse(Reason.UNKNOWN_QUANTITY)
        return
    if measurement.unit is not None and measurement.unit != quantity.unit:
        rows.refuse(Reason.UNIT)
        return
    value = to_float(measurement.value)
    if isinstance(value, Reason):
        rows.refuse(value)
        return
    rows.put(measurement.time, 0, quantity.number, value)
    if measurement.untimed:
        rows.untimed.add(measurement.time)


def _take_over(base: dict[str, Any], record: Mapping[str, Any], *, first: bool) -> None:
    """Put the base fields that `record` says anew into `base`. Raises InvalidPack."""
    for label, value in record.items():
        if label.endswith("_"):  # the RFC defines no such label: one we should have to understand, and do not
            raise InvalidPack
        if label in _BASE:
            if not _BASE[label](value) or (label == "bver" and not first and value != base["bver"]):
                raise InvalidPack
            base[label] = value


def _measure(base: Mapping[str, Any], record: Mapping[str, Any], now: int) -> Measurement | Reason | None:
    """The measurement of one record, the reason why it has none, or None when it is not meant to have one."""
    regular = {label: value for label, value in record.items() if label in _REGULAR}
    labels = [label for label in regular if label in _VALUES]
    if not regular or (not labels and ("s" in regular or "bs" in base)):
        return None
    if not labels and "bv" in base:  # section 4.5.4: a missing value is zero, and the base value is added to it
        regular["v"], labels = 0, ["v"]
    if len(labels) != 1 or not all(_REGULAR[label](value) for label, value in regular.items()):
        return Reason.MALFORMED
    name, (label,) = base.get("bn", "") + regular.get("n", ""), labels
    if _NAME.fullmatch(name) is None:
        return Reason.MALFORMED
    value = EXACT.add(base["bv"], regular["v"]) if label == "v" and "bv" in base else regular[label]
    seconds = EXACT.add(base.get("bt", 0), regular.get("t", 0))
    untimed = seconds.is_finite() and seconds < ABSOLUTE
    try:
        time = from_seconds(seconds, now if untimed else 0)
    except InvalidTime as invalid:
        return invalid.reason
    return Measurement(name, regular.get("u", base.get("bu")), time, untimed, label, value)
