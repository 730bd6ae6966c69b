"""The bytes of a spool: one record a point, each with its key id and a CRC, found again behind any damage.

    segment = record*
    record  = marker ‖ u32 length of body ‖ body ‖ u32 crc
    marker  = f5 67 73 01          f5 stands in no UTF-8 text; the last byte is the version
    body    = a point as in `SealedPoint.to_bytes`; its bytes 4 to 19 are the key id
    crc     = CRC-32 (as in zlib) of length ‖ body
    void    = a record whose body is zeros: what stood there was overwritten, for its key is gone

Integers outside MessagePack are big-endian. Where bytes are no whole record they are skipped up to the next place where
one stands: what a CRC does not cover is never a reading, and what follows is not lost with it.

    >>> [type(found).__name__ for found in scan(b"torn" + void(32))]
    ['Damage', 'Record']
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.model.ids import KeyId
from gateway.model.sealed import SealedPoint

MARKER = b"\xf5gs\x01"
BODY_BYTES_MIN, BODY_BYTES_MAX = 20, 1 << 20
VOID = KeyId(bytes(16))
_HEAD = struct.Struct(">4sI")
_CRC = struct.Struct(">I")
FRAME_BYTES = _HEAD.size + _CRC.size
RECORD_BYTES_MAX = FRAME_BYTES + BODY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record at `start` of what was scanned, which ends before `end`."""

    start: int
    end: int
    key_id: KeyId
    body: bytes

    def point(self) -> SealedPoint:
        """The point in it. Raises VerificationFailed for what no version wrote."""
        return SealedPoint.from_bytes(self.body)


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes from `start` to before `end` that are no record."""

    start: int
    end: int


def encode(points: Sequence[SealedPoint]) -> bytes:
    """Records of these points, one after the other."""
    return b"".join([part for point in points for part in _framed(point.to_bytes())])


def void(length: int) -> bytes:
    """A record of `length` bytes that holds nothing."""
    return b"".join(_framed(bytes(length - FRAME_BYTES)))


def scan(data: bytes, start: int = 0, *, base: int = 0) -> Iterator[Record | Damage]:
    """All that stands in `data` from `start` on, without gaps: records, voids too, and what is damaged between them.

    Their offsets count from where `data` is at `base`.
    """
    at = start
    while at < len(data):
        body = _body_at(data, at)
        if body is None:
            begun, at = at, _next(data, at + 1)
            yield Damage(base + begun, base + at)
        else:
            end = at + FRAME_BYTES + len(body)
            yield Record(base + at, base + end, KeyId(body[4:20]), body)
            at = end


def _framed(body: bytes) -> tuple[bytes, bytes, bytes]:
    head = _HEAD.pack(MARKER, len(body))
    return head, body, _CRC.pack(zlib.crc32(body, zlib.crc32(head[4:])))


def _body_at(data: bytes, at: int) -> bytes | None:
    """The body of the record that begins at `at`, when a whole one does."""
    if not data.startswith(MARKER, at) or len(data) - at < FRAME_BYTES + BODY_BYTES_MIN:
        return None
    _marker, length = _HEAD.unpack_from(data, at)
    body_at, crc_at = at + _HEAD.size, at + _HEAD.size + length
    if not BODY_BYTES_MIN <= length <= BODY_BYTES_MAX or crc_at + _CRC.size > len(data):
        return None
    body = data[body_at:crc_at]
    whole = _CRC.unpack_from(data, crc_at)[0] == zlib.crc32(body, zlib.crc32(data[at + 4 : body_at]))
    return body if whole else None


def _next(data: bytes, at: int) -> int:
    """Where the next whole record begins, or where `data` ends."""
    found = data.find(MARKER, at)
    while found >= 0 and _body_at(data, found) is None:
        found = data.find(MARKER, found + 1)
    return found if found >= 0 else len(data)
