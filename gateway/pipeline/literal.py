"""JSON as it was written, for payloads that the fast path of decode does not take.

An integer stays an int and every other number a Decimal, so that 1.276020076001e9 seconds keep their millisecond, and
NaN, Infinity and 1e999 arrive here, to be refused as `non_finite` for the one reading that has them. Of a name that an
object holds twice the last value counts, as in the fast path.
"""

from __future__ import annotations

import json
import math
from decimal import Context, Decimal
from typing import TypeGuard

from gateway.model.sealed import Reason

EXACT = Context(prec=60, traps=[])  # no traps: an exponent beyond all bounds becomes Infinity, or 0, and is no error
_DECODER = json.JSONDecoder(parse_float=EXACT.create_decimal, parse_constant=Decimal)  # json.loads makes one a call


def parse(payload: bytes) -> object:
    """The JSON value of `payload`: strict UTF-8, no byte order mark, nothing behind it.

    Raises ValueError (also as UnicodeDecodeError or JSONDecodeError, and for an integer of more than 4,300 digits), and
    RecursionError for nesting deeper than the interpreter's stack.
    """
    value: object = _DECODER.decode(payload.decode())
    return value


def is_number(value: object) -> TypeGuard[int | Decimal]:
    """Whether `value` was written as a number. NaN and Infinity were; true and false were not."""
    return type(value) is int or type(value) is Decimal


def to_float(value: object) -> float | Reason:
    """A reading's value, or why it cannot be one. null is a fault of the device and not an absent reading."""
    if not is_number(value):
        return Reason.MALFORMED
    try:
        number = float(value)
    except OverflowError:  # an integer beyond any double
        return Reason.NON_FINITE
    return number if math.isfinite(number) else Reason.NON_FINITE
