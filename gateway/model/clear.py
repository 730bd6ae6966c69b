"""What may carry a person: arrivals as the broker delivered them, and the numbers in them.

Importable only where the privacy wall allows it (see pyproject, import-linter). A batch is held in columns: row i of
every column belongs together, and one row is what one message says about one event time and revision. A message may
give several rows (a list, SenML) or none.

`NaN` in a column of values means "not in this message": JSON cannot carry it, and decode refuses it where CBOR can.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gateway.model.sealed import Reason

Values = npt.NDArray[np.float64]
_PRODUCT_ERROR = 2.0**-51  # of a product of two float64, relative, with room to spare


class Arrival(Protocol):
    """A PUBLISH as it arrived. The MQTT 5 codec's own packet has this shape, so none is copied."""

    @property
    def topic(self) -> str:
        """The topic name."""

    @property
    def payload(self) -> bytes:
        """The payload as published."""

    @property
    def content_type(self) -> str | None:
        """MQTT 5 content type, when the device said one."""


@dataclass(slots=True)
class Refusals:
    """Readings and messages that were not let through: a reason, and nothing that could name anyone.

    `readings` counts refused readings; `message` holds the reason of each message of which nothing remains (the first
    reason wins), by index of arrival.
    """

    message: dict[int, Reason] = field(default_factory=dict)
    readings: dict[Reason, int] = field(default_factory=dict)

    def add(self, message: int, reason: Reason, readings: int = 1) -> None:
        """Refuse arrival `message`, of which nothing remains, with its `readings` readings."""
        self.message.setdefault(message, reason)
        self.add_readings(reason, readings)

    def add_readings(self, reason: Reason, readings: int = 1) -> None:
        """Refuse readings of a message of which others remain."""
        self.readings[reason] = self.readings.get(reason, 0) + readings


@dataclass(slots=True)
class Readings:
    """A decoded batch in columns.

    message   n indices of arrivals, ascending
    time      n event times, ns since 1970
    revision  n revisions, 0 to 2^32 - 1
    values    (n, q) float64 in the unit of the policy, column = quantity number, NaN = absent
    untimed   indices of arrivals whose readings carry no absolute time (they take the arrival time)
    many      how many readings a message held, by index of arrival, refused ones too, where it could hold several
    """

    message: list[int]
    time: list[int]
    revision: list[int]
    values: Values
    untimed: set[int] = field(default_factory=set)
    many: dict[int, int] = field(default_factory=dict)


def pack_plan(decimals: tuple[int, ...], wide: tuple[bool, ...]) -> tuple[Values, np.dtype[np.void]]:
    """(scales, packed dtype) for quantities in ascending number: int32, or int64 where `wide`, big-endian.

    Source: cryptography.md, "What is stored": fixed width, because a variable length would show whether power is 0.
    """
    dtype = np.dtype([(f"f{i}", ">i8" if w else ">i4") for i, w in enumerate(wide)])
    return np.array([10.0**d for d in decimals]), dtype


def pack(values: Values, scales: Values, dtype: np.dtype[np.void]) -> bytes:
    """(n, k) float64 to n x dtype.itemsize bytes: `rounded_to`, two's complement."""
    integers = rounded_to(values, scales).astype(np.int64)
    rows = np.empty(len(values), dtype=dtype)
    for i, name in enumerate(dtype.names or ()):
        rows[name] = integers[:, i]
    return rows.tobytes()


def rounded_to(values: Values, scales: Values) -> Values:
    """(n, k) whole numbers: value x 10^decimals, half to even, of the decimal number that was published.

    The product of two float64 can fall on the wrong side of a tie (0.575 x 100 is 57.49999999999999), so those few that
    lie within its error of one are worked out in decimal, from the shortest number that reads back as the value.
    """
    products = values * scales
    whole: Values = np.rint(products)
    ties = np.abs(np.abs(products - np.trunc(products)) - 0.5) <= np.abs(products) * _PRODUCT_ERROR
    if ties.any():
        for row, column in np.argwhere(ties).tolist():
            exact = Decimal(repr(float(values[row, column]))) * Decimal(int(scales[column]))
            whole[row, column] = int(exact.to_integral_value(ROUND_HALF_EVEN))
    return whole


def unpack(packed: bytes, scales: Values, dtype: np.dtype[np.void]) -> Values:
    """n x dtype.itemsize bytes back to (n, k) float64. Raises ValueError when the length does not fit."""
    rows = np.frombuffer(packed, dtype=dtype)
    columns = [rows[name].astype(np.float64) for name in dtype.names or ()]
    return np.stack(columns, axis=1) / scales
