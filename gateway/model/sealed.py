"""What may leave: sealed points, how a batch of them settled, and why something was refused.

A point is named by series, event time, and field; writing it again changes nothing. Nothing in this module can carry a
person: a pseudonym, an area, ciphertext, and the numbers that the policy declares `clear`.

Field grammar: `field = ("s_" mask | quantity) ["_r" revision]`; mask is lower-case hex of the sum of 2^number over the
sealed quantities, without leading zeros; revision is decimal, from 1 (revision 0 is not written).

    >>> sealed_field(0b11101, 0), sealed_field(0b11101, 2), parse_sealed_field("s_1d_r2")
    ('s_1d', 's_1d_r2', (29, 2))
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Literal, Self

import msgspec

from gateway.errors import VerificationFailed
from gateway.model.ids import KeyId, Pseudonym

_SEALED_FIELD = re.compile(r"s_([1-9a-f][0-9a-f]{0,15})(?:_r([1-9][0-9]{0,9}))?")
_CLEAR_FIELD = re.compile(r"([a-z][a-z0-9_]*?)(?:_r([1-9][0-9]{0,9}))?")
REVISION_MAX = 2**32 - 1
"""What the formats can hold."""
REVISION_TAKEN = 99
"""What is let in: each revision is a field of its own in the store, for all customers, and a store has only so many."""


class Reason(enum.StrEnum):
    """Why a reading was refused: a closed list."""

    MALFORMED = "malformed"
    TOPIC = "topic"
    TOO_LARGE = "too_large"
    UNKNOWN_DEVICE = "unknown_device"
    ERASED = "erased"
    SUSPENDED = "suspended"
    UNKNOWN_QUANTITY = "unknown_quantity"
    UNIT = "unit"
    NON_FINITE = "non_finite"
    RANGE = "range"
    NO_TIME = "no_time"
    TOO_OLD = "too_old"
    FUTURE = "future"
    RATE = "rate"
    NO_PURPOSE = "no_purpose"
    STORE = "store"


class Series(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What one device looks like in the store, for one key epoch and key class.

    `measurement` is the key class, `area` was pinned at enrolment; `key_id` is 16 bytes, for the spool and for erasure.
    """

    measurement: str
    pseudonym: Pseudonym
    area: str
    key_id: KeyId


class SealedPoint(msgspec.Struct, frozen=True, gc=False):
    """One point: `field` = `value` (sealed, base64url; empty when all is clear) and the `clear` fields beside it.

    `time` is the event time in ns since 1970. Constructed by `pipeline.seal` and by `parse`, nowhere else.
    """

    series: Series
    time: int
    field: str
    value: str
    clear: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(  # noqa: PLR0913 - the six parts of a stored point
        cls, *, measurement: str, pseudonym: str, area: str, time: int, field: str, value: str | float
    ) -> Self:
        """A point as a store gives it back: one field. Raises VerificationFailed for a field that is not ours."""
        series = Series(measurement, Pseudonym(pseudonym), area, KeyId(b""))
        if isinstance(value, str):
            parse_sealed_field(field)
            return cls(series, time, field, value)
        parse_clear_field(field)
        return cls(series, time, "", "", ((field, float(value)),))

    @classmethod
    def parse_column(  # noqa: PLR0913 - the parts of stored points, those that they share once
        cls,
        *,
        measurement: str,
        pseudonym: str,
        area: str,
        field: str,
        times: Sequence[int],
        values: Sequence[str | float],
    ) -> list[Self]:
        """n points of one series and one field, as `parse` gives each. Raises VerificationFailed."""
        if not values:
            return []
        series = Series(measurement, Pseudonym(pseudonym), area, KeyId(b""))
        if isinstance(values[0], str):
            parse_sealed_field(field)
            return [cls(series, time, field, str(value)) for time, value in zip(times, values, strict=True)]
        parse_clear_field(field)
        return [cls(series, time, "", "", ((field, float(value)),)) for time, value in zip(times, values, strict=True)]

    def to_bytes(self) -> bytes:
        """As MessagePack, for queues that keep points as they are; the key id is in bytes 4 to 19.

        [1, key id, measurement, pseudonym, area, time, field, value, [[name, float64] …]]
        """
        series = self.series
        return _pack(
            (
                _PACKED,
                series.key_id,
                series.measurement,
                series.pseudonym,
                series.area,
                self.time,
                self.field,
                self.value,
                self.clear,
            )
        )

    @classmethod
    def from_bytes(cls, packed: bytes) -> Self:
        """The point of `to_bytes`. Raises VerificationFailed."""
        try:
            _format, key_id, measurement, pseudonym, area, time, field, value, clear = _unpack(packed)
        except ValueError:
            message = "a kept point has a format that this version does not know"
            raise VerificationFailed(message, hint="use the newer version that wrote it") from None
        if value:
            parse_sealed_field(field)
        for name, _value in clear:
            parse_clear_field(name)
        return cls(Series(measurement, Pseudonym(pseudonym), area, KeyId(key_id)), time, field, value, clear)


_PACKED = 1
_Packed = tuple[Literal[1], bytes, str, str, str, int, str, str, tuple[tuple[str, float], ...]]
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Packed).decode


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How a batch settled, by index of point.

    `rejected` with a reason, `kept` (not written, not to be acknowledged), and all others accepted. `why`: what the
    store said of those that it rejected, in our words, with a next step.
    """

    rejected: Mapping[int, Reason] = {}
    kept: Collection[int] = ()
    why: str = ""


ACCEPTED = Outcome()


def sealed_field(mask: int, revision: int) -> str:
    """Name of the field that holds the sealed quantities of `mask`."""
    return f"s_{mask:x}_r{revision}" if revision else f"s_{mask:x}"


def clear_field(quantity: str, revision: int) -> str:
    """Name of the field of one clear quantity."""
    return f"{quantity}_r{revision}" if revision else quantity


@lru_cache(maxsize=4096)
def parse_sealed_field(field: str) -> tuple[int, int]:
    """(mask, revision) of a sealed field's name. Raises VerificationFailed."""
    match = _SEALED_FIELD.fullmatch(field)
    if match is None:
        message = "a stored point has a field name that this gateway never writes"
        raise VerificationFailed(message)
    return int(match[1], 16), int(match[2] or 0)


@lru_cache(maxsize=4096)
def parse_clear_field(field: str) -> tuple[str, int]:
    """(quantity, revision) of a clear field's name. Raises VerificationFailed."""
    match = _CLEAR_FIELD.fullmatch(field)
    if match is None:
        message = "a stored point has a field name that this gateway never writes"
        raise VerificationFailed(message)
    return match[1], int(match[2] or 0)
