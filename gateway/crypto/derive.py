"""Every key derivation and keyed hash, and the registry of their labels: nothing is derived under another label.

HKDF is HKDF-SHA-256, RFC 5869; every output is one block (32 bytes) or less, so Expand is a single HMAC.
Integers are big-endian; `lp(x)` is u16 length then the bytes. Identifiers enter as their UTF-8 bytes, unchanged.
"""

from __future__ import annotations

import base64
import enum
import hmac
import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import sha256

from gateway.crypto.secret import Secret
from gateway.model.ids import Controller, DeviceId, KeyEpoch, KeyId, Pseudonym

KEY_BYTES = 32
PSEUDONYM_BYTES = 16  # 128 bits: two homes must never merge (10^10 series: 1.5e-19)
STORE_DOMAIN = "store"

_PREFIX = b"glomska/1"
_CHARACTERS, _CHARACTERS_APART = 26, 32  # of a pseudonym, and of one that is filled up to whole groups of base32
_TO_WHOLE = bytes(4)


class Use(enum.StrEnum):
    """What a subkey is for."""

    PSEUDONYM = "pseudonym"
    SEAL = "seal"
    RECORD = "record"


class Label(bytes, enum.Enum):
    """Labels of the plain expansions."""

    RATCHET = _PREFIX + b"|ratchet"
    ROUTE = _PREFIX + b"|route"
    FENCE = _PREFIX + b"|fence"
    DEAD = _PREFIX + b"|dead"
    LETTER = _PREFIX + b"|letter"
    COMMIT = _PREFIX + b"|commit"


_BLOCK = 64  # octets of SHA-256's block, to which HMAC pads a key. Source: RFC 2104
_INNER, _OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))
_INNER_REST = bytes(_BLOCK - KEY_BYTES).translate(_INNER) + Label.RATCHET.value + b"\x01"
_OUTER_REST = bytes(_BLOCK - KEY_BYTES).translate(_OUTER)


class Kind(enum.StrEnum):
    """Whose identifier a route or fence hashes."""

    CUSTOMER = "customer"
    DEVICE = "device"


def u8(n: int) -> bytes:
    """One byte."""
    return struct.pack(">B", n)


def u32(n: int) -> bytes:
    """Four bytes, big-endian."""
    return struct.pack(">I", n)


def lp(x: bytes) -> bytes:
    """Length-prefixed: u16 length, then the bytes. Raises struct.error above 65,535 bytes."""
    return struct.pack(">H", len(x)) + x


def extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract, RFC 5869 section 2.2: 32 bytes."""
    return hmac.digest(salt, ikm, "sha256")


def expand(prk: bytes, info: bytes, length: int = KEY_BYTES) -> bytes:
    """HKDF-Expand, RFC 5869 section 2.3, for at most one block (32 bytes)."""
    if not 1 <= length <= sha256().digest_size:
        message = "expand gives 1 to 32 bytes"
        raise ValueError(message)
    return hmac.digest(prk, info + b"\x01", "sha256")[:length]


def ratchet(csk: bytes, steps: int = 1) -> bytes:
    """A customer secret key `steps` epochs on: one-way, so the earlier epochs cannot be derived back.

    `expand`, with HMAC written out: two dozen months lie between the horizon and now, and the library's takes twice as
    long for a key that is used once.
    """
    for _ in range(steps):
        inner = sha256(csk.translate(_INNER) + _INNER_REST).digest()
        csk = sha256(csk.translate(_OUTER) + _OUTER_REST + inner).digest()
    return csk


def subkey(  # noqa: PLR0913 - the six inputs of the formula
    csk: bytes, *, use: Use, controller: Controller, version: int, domain: str, epoch: KeyEpoch | int
) -> bytes:
    """K(use, domain, n): 32 bytes from the CSK *at epoch n*."""
    return expand(extract(_salt(controller, version), csk), _info(use, domain, epoch))


@lru_cache(maxsize=256)
def _salt(controller: Controller, version: int) -> bytes:
    return sha256(lp(controller.encode()) + u32(version)).digest()


@lru_cache(maxsize=1024)
def _info(use: Use, domain: str, epoch: int) -> bytes:
    return _PREFIX + lp(use.value.encode()) + lp(domain.encode()) + u32(epoch)


class RecordKeys:
    """K("record", kind, n) of many customers of one controller: what is common to all is put together once."""

    __slots__ = ("_controller", "_infos", "_salts")

    def __init__(self, controller: Controller) -> None:
        self._controller = lp(controller.encode())
        self._salts: dict[int, bytes] = {}
        self._infos: dict[tuple[str, int], bytes] = {}

    def of(self, csk: bytes, *, version: int, kind: str, epoch: int) -> bytes:
        """32 bytes from the CSK *at epoch n*; see `subkey`."""
        salt = self._salts.get(version)
        if salt is None:
            salt = self._salts[version] = sha256(self._controller + u32(version)).digest()
        info = self._infos.get((kind, epoch))
        if info is None:
            info = _PREFIX + lp(Use.RECORD.value.encode()) + lp(kind.encode()) + u32(epoch) + b"\x01"
            self._infos[kind, epoch] = info
        return hmac.digest(hmac.digest(salt, csk, "sha256"), info, "sha256")


def pseudonym(key: bytes, device: DeviceId) -> Pseudonym:
    """P: 26 characters of base32, lower case, unpadded, from K("pseudonym", domain, n)."""
    tag = hmac.digest(key, lp(device.encode()), "sha256")[:PSEUDONYM_BYTES]
    return Pseudonym(base64.b32encode(tag).decode().rstrip("=").lower())


def pseudonyms(key: bytes, devices: Iterable[DeviceId]) -> list[Pseudonym]:
    """`pseudonym` of many devices under one key, whose base32 is made together: that takes half the time of one."""
    tags = [hmac.digest(key, lp(device.encode()), "sha256")[:PSEUDONYM_BYTES] for device in devices]
    text = base64.b32encode(b"".join(tag + _TO_WHOLE for tag in tags)).decode().lower()
    return [Pseudonym(text[at : at + _CHARACTERS]) for at in range(0, len(text), _CHARACTERS_APART)]


def series_key(key: bytes, name: Pseudonym) -> bytes:
    """K_P: 32 bytes from K("seal", domain, n), for one series."""
    return expand(key, lp(name.encode()))


def route_hash(route_secret: bytes, *, controller: Controller, kind: Kind, name: str) -> bytes:
    """32 bytes, for look-up of a customer or device under R_e. Raises nothing: names were parsed at the rim."""
    return _keyed_hash(route_secret, Label.ROUTE, controller, kind, name)


def route_hasher(route_secret: bytes, *, controller: Controller) -> Callable[[Kind, str], bytes]:
    """`route_hash` of many names under one R: what is common to all is derived once."""
    return _hasher(route_secret, Label.ROUTE, controller)


def fence_hasher(fence_secret: bytes, *, controller: Controller) -> Callable[[Kind, str], bytes]:
    """`fence_hash` of many names under one F, likewise."""
    return _hasher(fence_secret, Label.FENCE, controller)


def fence_hash(fence_secret: bytes, *, controller: Controller, kind: Kind, name: str) -> bytes:
    """32 bytes, for the fence of an erased customer or device under F_m."""
    return _keyed_hash(fence_secret, Label.FENCE, controller, kind, name)


def dead_hash(operations_key: bytes, *, controller: Controller, device: DeviceId) -> bytes:
    """32 bytes, for a device's dead letters of one day under O_day."""
    return _keyed_hash(operations_key, Label.DEAD, controller, Kind.DEVICE, device)


def commitment(csk: bytes, *, key_id: KeyId, version: int, base: int) -> bytes:
    """32 bytes that commit to a CSK at its base epoch without revealing it."""
    return expand(csk, Label.COMMIT.value + key_id + u32(version) + u32(base))


def _hasher(secret: bytes, label: Label, controller: Controller) -> Callable[[Kind, str], bytes]:
    key, head = Secret(expand(secret, label.value)), lp(controller.encode())
    heads = {kind: head + lp(kind.value.encode()) for kind in Kind}
    return lambda kind, name: hmac.digest(key, heads[kind] + lp(name.encode()), "sha256")


def _keyed_hash(secret: bytes, label: Label, controller: Controller, kind: Kind, name: str) -> bytes:
    message = lp(controller.encode()) + lp(kind.value.encode()) + lp(name.encode())
    return hmac.digest(expand(secret, label.value), message, "sha256")
