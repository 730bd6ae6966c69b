"""The versioned byte layouts: wrapped rows, KEK rows, records, and the value of a sealed point.

    KEK row = u8(1) nonce AES-256-GCM-SIV(W_e, nonce, KEK_e, aad = LP(controller) LP("kek") u32(e))
            | u8(2) nonce AES-256-GCM(W_e, nonce, KEK_e, the same aad)                  by a PKCS#11 token
            | u8(3) LP(KEK row) LP(KEK row)                                             by two custodians
    row     = u8(1) nonce AES-256-GCM-SIV(KEK_e, nonce, secret,
                aad = u8(1) LP(controller) LP(kind) key-id incarnation LP(class) u32(version) u32(base))
    record  = u8(1) nonce AES-256-GCM-SIV(K("record", kind, n), nonce, plaintext,
                aad = u8(1) LP(controller) incarnation LP(class) u32(version) u32(n) LP(kind) record-id)
    capture = u8(1) nonce AES-256-GCM-SIV(purge key, nonce, plaintext, aad = u8(1) LP(controller) LP("capture") erasure)
    letter  = u8(1) nonce AES-256-GCM-SIV(Expand(O_day, "glomska/1|letter", 32), nonce, plaintext,
                aad = u8(1) LP(controller) LP("dead-letter") u32(day) letter-id)
    value   = base64url, unpadded, of u8(format) u8(schema) sealed
    aad of sealed = u8(format) u8(schema) LP(controller) LP(domain) LP(P) u32(n) u32(version)
                    LP(measurement) LP(field) u64(event time) u32(revision)

Formats are for ever: a new one gets a new first byte, and the old one still opens.
"""

from __future__ import annotations

import binascii
import contextlib
import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.crypto import aead
from gateway.crypto.derive import Label, expand, lp, u8, u32
from gateway.errors import VerificationFailed
from gateway.model.ids import NO_INCARNATION, Controller, Incarnation, KeyEpoch, KeyId, Pseudonym, RecordId

FORMAT = 1
TOKEN = 2  # of a KEK row that a token has sealed
JOINED = 3  # of KEK rows by several custodians
SCHEMA = 1  # of the shipped policy
LP_BYTES = 2  # of a length in front
HEADER_BYTES = 2  # format and schema, in front of a sealed value
_FORMAT = u8(FORMAT)


class RowKind(enum.StrEnum):
    """What a wrapped row holds."""

    CSK = "csk"
    ROUTE = "route"
    FENCE = "fence"
    PURGE = "purge"
    OPERATIONS = "operations"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlace:
    """Where a wrapped row stands; it opens nowhere else.

    `version` is the key's version for a csk, else e, month or day since 1970 (purge: 0). Other than csk: incarnation
    zero, class empty, base 0.
    """

    controller: Controller
    kind: RowKind
    key_id: KeyId
    version: int
    incarnation: Incarnation = NO_INCARNATION
    key_class: str = ""
    base: int = 0

    def aad(self) -> bytes:
        """Associated data of a wrapped row."""
        head = u8(FORMAT) + lp(self.controller.encode()) + lp(self.kind.value.encode())
        tail = lp(self.key_class.encode()) + u32(self.version) + u32(self.base)
        return head + self.key_id + self.incarnation + tail


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPlace:
    """Where a record stands. `epoch` is 0 in class identity, elsewhere the month the record is about."""

    controller: Controller
    incarnation: Incarnation
    key_class: str
    version: int
    epoch: int
    kind: str
    record_id: RecordId

    def aad(self) -> bytes:
        """Associated data of a record."""
        head = u8(FORMAT) + lp(self.controller.encode()) + self.incarnation + lp(self.key_class.encode())
        return head + u32(self.version) + u32(self.epoch) + lp(self.kind.encode()) + self.record_id


def wrap_kek(wrapping_key: bytes, kek: bytes, *, controller: Controller, e: int) -> bytes:
    """KEK_e under W_e, as the file custodian does it."""
    return u8(FORMAT) + aead.seal(wrapping_key, kek, kek_aad(controller, e))


def unwrap_kek(wrapping_key: bytes, wrapped: bytes, *, controller: Controller, e: int) -> bytes:
    """Of a joined row, the part that opens. Raises VerificationFailed when W, controller or e are not its own."""
    *others, last = kek_rows(wrapped, FORMAT) or [wrapped]
    for row in others:
        with contextlib.suppress(VerificationFailed):
            return aead.unseal(wrapping_key, _body(row), kek_aad(controller, e))
    return aead.unseal(wrapping_key, _body(last), kek_aad(controller, e))


def kek_aad(controller: Controller, e: int) -> bytes:
    """Associated data of a KEK row, whoever seals it."""
    return lp(controller.encode()) + lp(b"kek") + u32(e)


def token_kek(sealed: bytes) -> bytes:
    """KEK row of what a token has sealed: nonce, ciphertext, tag."""
    return u8(TOKEN) + sealed


def kek_rows(wrapped: bytes, version: int) -> list[bytes]:
    """The KEK rows of one version in this one: itself, or those of the joined ones."""
    rows, rest = [], wrapped[1:] if is_joined(wrapped) else lp(wrapped)
    while rest:
        end = LP_BYTES + int.from_bytes(rest[:LP_BYTES])
        rows.append(rest[LP_BYTES:end])
        rest = rest[end:]
    return [row for row in rows if row[:1] == u8(version)]


def joined_kek(wrapped: Sequence[bytes]) -> bytes:
    """KEK row of several custodians' KEK rows."""
    return u8(JOINED) + b"".join(map(lp, wrapped))


def is_joined(wrapped: bytes) -> bool:
    """Whether a KEK row is of several custodians."""
    return wrapped[:1] == u8(JOINED)


def wrap(kek: bytes, secret: bytes, place: RowPlace) -> bytes:
    """A secret under the KEK, bound to its place."""
    return u8(FORMAT) + aead.seal(kek, secret, place.aad())


def unwrap(kek: bytes, wrapped: bytes, place: RowPlace) -> bytes:
    """Raises VerificationFailed when the row was moved, changed, or wrapped under another KEK."""
    return aead.unseal(kek, _body(wrapped), place.aad())


class Wrapping:
    """`wrap` and `unwrap` under one KEK, for many rows. `aad` is that of a `RowPlace`, or of `CskPlaces`."""

    __slots__ = ("_box",)

    def __init__(self, kek: bytes) -> None:
        self._box = aead.Box(kek)

    def wrap(self, nonce: bytes, secret: bytes, aad: bytes) -> bytes:
        """As `wrap`, with a nonce of `aead.random_nonces`."""
        return _FORMAT + self._box.seal(nonce, secret, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """As `unwrap`. Raises VerificationFailed."""
        try:
            return self._box.unseal(_body(wrapped), aad)
        except (aead.InvalidTag, ValueError) as fault:
            message = "a wrapped row does not open where it stands"
            raise VerificationFailed(message) from fault


class CskPlaces:
    """`RowPlace.aad()` of many csk rows of one controller, whose common parts are put together once."""

    __slots__ = ("_classes", "_head", "_tail")

    def __init__(self, controller: Controller) -> None:
        self._head = u8(FORMAT) + lp(controller.encode()) + lp(RowKind.CSK.value.encode())
        self._classes: dict[str, bytes] = {}
        self._tail = struct.Struct(">II").pack

    def aad(self, key_id: KeyId, incarnation: Incarnation, key_class: str, version: int, base: int) -> bytes:
        """Associated data of one row."""
        named = self._classes.get(key_class) or self._classes.setdefault(key_class, lp(key_class.encode()))
        return self._head + key_id + incarnation + named + self._tail(version, base)


class RecordPlaces:
    """`RecordPlace.aad()` of many records of one controller, whose common parts are put together once."""

    __slots__ = ("_head", "_middles")

    def __init__(self, controller: Controller) -> None:
        self._head = _FORMAT + lp(controller.encode())
        self._middles: dict[tuple[str, int, int, str], bytes] = {}

    def aad(  # noqa: PLR0913, PLR0917 - the parts of a place
        self, incarnation: Incarnation, key_class: str, version: int, epoch: int, kind: str, record_id: RecordId
    ) -> bytes:
        """Associated data of one record."""
        place = (key_class, version, epoch, kind)
        middle = self._middles.get(place)
        if middle is None:
            middle = lp(key_class.encode()) + u32(version) + u32(epoch) + lp(kind.encode())
            self._middles[place] = middle
        return self._head + incarnation + middle + record_id


def seal_record(key: bytes, plaintext: bytes, place: RecordPlace) -> bytes:
    """A record under K("record", kind, n), bound to its place."""
    return u8(FORMAT) + aead.seal(key, plaintext, place.aad())


def open_record(key: bytes, record: bytes, place: RecordPlace | bytes) -> bytes:
    """Raises VerificationFailed when the record was moved, changed, or belongs to another key.

    `place` may be the associated data that `RecordPlaces` has put together.
    """
    return aead.unseal(key, _body(record), place if isinstance(place, bytes) else place.aad())


def seal_capture(purge_key: bytes, plaintext: bytes, *, controller: Controller, erasure: bytes) -> bytes:
    """What an erasure still has to delete, under its purge key and bound to that erasure (16 bytes)."""
    return u8(FORMAT) + aead.seal(purge_key, plaintext, _capture_aad(controller, erasure))


def open_capture(purge_key: bytes, capture: bytes, *, controller: Controller, erasure: bytes) -> bytes:
    """Raises VerificationFailed when it was changed, or belongs to another erasure."""
    return aead.unseal(purge_key, _body(capture), _capture_aad(controller, erasure))


def seal_letter(operations_key: bytes, plaintext: bytes, *, controller: Controller, day: int, letter: bytes) -> bytes:
    """A dead letter that belongs to nobody known, under the day's operations key and bound to its id (16 bytes)."""
    key = expand(operations_key, Label.LETTER.value)
    return u8(FORMAT) + aead.seal(key, plaintext, _letter_aad(controller, day, letter))


def open_letter(operations_key: bytes, sealed: bytes, *, controller: Controller, day: int, letter: bytes) -> bytes:
    """Raises VerificationFailed when it was changed or moved, or belongs to another day."""
    key = expand(operations_key, Label.LETTER.value)
    return aead.unseal(key, _body(sealed), _letter_aad(controller, day, letter))


class SeriesPlace:
    """What the places of all series of one controller, month and class have in common, put together once."""

    __slots__ = ("_head", "_tail", "schema")

    def __init__(  # noqa: PLR0913 - the fixed part of the formula
        self,
        *,
        controller: Controller,
        domain: str,
        epoch: KeyEpoch | int,
        version: int,
        measurement: str,
        schema: int = SCHEMA,
    ) -> None:
        self._head = u8(FORMAT) + u8(schema) + lp(controller.encode()) + lp(domain.encode())
        self._tail = u32(epoch) + u32(version) + lp(measurement.encode())
        self.schema = schema

    def aad(self, name: Pseudonym) -> bytes:
        """Of a point's associated data what is the same for a whole series; LP(field) and the nonce follow it."""
        told = name.encode()
        return self._head + len(told).to_bytes(LP_BYTES) + told + self._tail  # `lp`, which a reading may pay for


def encode_values(sealed: list[bytes], *, schema: int = SCHEMA) -> list[str]:
    """Values of n sealed parts of one length: base64url without padding, encoded in one go because it is 3 x faster."""
    if not sealed:
        return []
    header = u8(FORMAT) + u8(schema)
    size = HEADER_BYTES + len(sealed[0])
    filler = bytes(-size % 3)
    joined = (filler + header).join(sealed)
    text = binascii.b2a_base64(header + joined + filler, newline=False).translate(_URL_SAFE).decode()
    width = (size + len(filler)) // 3 * 4
    used = (size * 8 + 5) // 6
    return [text[i : i + used] for i in range(0, len(text), width)]


def decode_value(value: str) -> tuple[int, int, bytes]:
    """(format, schema, sealed) of a stored value, exactly as `encode_values` wrote it. Raises VerificationFailed."""
    try:
        padded = value.encode("ascii").translate(_PLAIN) + b"=" * (-len(value) % 4)
        raw = binascii.a2b_base64(padded, strict_mode=True)
    except (binascii.Error, ValueError):
        message = "a stored value is not base64url"
        raise VerificationFailed(message) from None
    if len(raw) < HEADER_BYTES + aead.TAG_BYTES or raw[0] != FORMAT:
        message = "a stored value has a format that this version does not know"
        raise VerificationFailed(message, hint="it was written by a newer version, or not by a gateway at all")
    return raw[0], raw[1], raw[HEADER_BYTES:]


def decode_values(values: Sequence[str]) -> tuple[set[int], list[bytes]]:
    """(schemas that occur, sealed parts) of n stored values, those of one length in one go.

    Raises VerificationFailed, as `decode_value`.
    """
    width = len(values[0]) if values else 0
    whole = -(-width // 4) * 4
    joined = ("A" * (whole - width)).join(values) + "A" * (whole - width)
    if width % 4 == 1 or set(map(len, values)) != {width}:
        decoded = [decode_value(value) for value in values]
        return {schema for _format, schema, _sealed in decoded}, [sealed for _format, _schema, sealed in decoded]
    size, stride, count = width * 3 // 4, whole * 3 // 4, len(values)
    try:
        raw = binascii.a2b_base64(joined.encode("ascii").translate(_PLAIN), strict_mode=True)
    except (binascii.Error, ValueError):
        message = "a stored value is not base64url"
        raise VerificationFailed(message) from None
    if size < HEADER_BYTES + aead.TAG_BYTES or raw[::stride] != bytes([FORMAT]) * count:
        message = "a stored value has a format that this version does not know"
        raise VerificationFailed(message, hint="it was written by a newer version, or not by a gateway at all")
    return set(raw[1::stride]), [raw[at : at + size - HEADER_BYTES] for at in range(HEADER_BYTES, len(raw), stride)]


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLAIN = bytes.maketrans(b"-_+/=", b"+/!!!")  # what base64url does not have is made into what base64 does not have


def _capture_aad(controller: Controller, erasure: bytes) -> bytes:
    return u8(FORMAT) + lp(controller.encode()) + lp(b"capture") + erasure


def _letter_aad(controller: Controller, day: int, letter: bytes) -> bytes:
    return u8(FORMAT) + lp(controller.encode()) + lp(b"dead-letter") + u32(day) + letter


def _body(versioned: bytes) -> bytes:
    if versioned[:1] != _FORMAT:
        message = "a sealed row or record has a format that this version does not know"
        raise VerificationFailed(message, hint="it was damaged, or written by a newer version")
    return versioned[1:]
