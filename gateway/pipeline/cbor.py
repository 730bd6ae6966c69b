"""CBOR as it was written, in the shapes that `literal` gives for JSON: ints stay ints, other numbers become Decimals.

A floating-point number becomes the shortest decimal that is the same double, so a time or value in CBOR is exactly the
one that JSON would have carried. NaN and infinities stay, to be refused as `non_finite` for the one reading that has
them; `undefined`, byte strings and simple values stay what they are, and are no numbers.

Read by cbor2, narrowed to what readings need, because a payload is not to choose what runs here or for how long:

- Tag 4 (decimal fraction, RFC 8428 section 6) is the only tag. All others are refused, although the library knows some:
  regular expressions, e-mails, shared and circular values, integers of any size.
- Nesting ends at a list of maps; tag 4 and its pair go deeper, but only in payloads of at most 16 KiB. Keys that are
  themselves arrays need that depth, and 14,000 of them with one hash keep the interpreter busy for a second.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

from cbor2 import CBORDecodeError, CBORDecoder

from gateway.pipeline.literal import EXACT

_LIST_OF_MAPS, _WITH_FRACTIONS = 2, 4
_FRACTION_BYTES = 16_384
_BUILT_IN = (
    0, 1, 2, 3, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799,
)  # fmt: skip


def begins(payload: bytes) -> bool:
    """Whether the first byte is that of a CBOR array or map. No UTF-8 text begins with it."""
    return payload[:1] >= b"\x80" and payload[:1] <= b"\xbf"


def parse(payload: bytes) -> object:
    """The one CBOR item of `payload`, with nothing behind it. Raises ValueError. Source: RFC 8949."""
    source = io.BytesIO(payload)
    depth = _WITH_FRACTIONS if len(payload) <= _FRACTION_BYTES else _LIST_OF_MAPS
    try:
        item = CBORDecoder(source, max_depth=depth, semantic_decoders=_TAGS, tag_hook=_refuse).decode()
    except (CBORDecodeError, TypeError):  # TypeError: a key that cannot be one
        raise ValueError("not cbor, or more of it than readings need") from None
    if source.tell() != len(payload):
        raise ValueError("something stands behind the cbor item")
    return _as_written(item)


def _as_written(item: object) -> object:
    """Floats to Decimals, all the way down; the depth is bounded above."""
    if type(item) is float:
        return Decimal(repr(item))
    if type(item) is dict:
        return {key: _as_written(value) for key, value in item.items()}
    if type(item) is list:
        return [_as_written(value) for value in item]
    return item


def _fraction(pair: Any, immutable: bool) -> Decimal:  # noqa: ANN401, FBT001 - the library's signature
    """Tag 4: [exponent, mantissa]. Not as a key: many can share one hash. Source: RFC 8949 section 3.4.4."""
    exponent, mantissa = pair
    if immutable or type(exponent) is not int or type(mantissa) is not int:
        raise ValueError
    return EXACT.create_decimal(f"{mantissa}e{exponent}")


def _refuse(*_: object) -> NoReturn:
    raise ValueError


_TAGS: dict[int, Callable[[Any, bool], Any]] = {**dict.fromkeys(_BUILT_IN, _refuse), 4: _fraction}
