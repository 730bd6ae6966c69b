"""AES-256-GCM-SIV (RFC 8452), and who may choose a nonce.

Two disciplines, and no third:

- readings: the nonce is the event time and revision. Deterministic on purpose, so that a redelivered message overwrites
  itself; should a nonce repeat with other plaintext, GCM-SIV reveals only whether two plaintexts are equal.
- rows and records: a random 96-bit nonce, stored in front of the ciphertext.
"""

from __future__ import annotations

import secrets
import struct
from collections import deque
from collections.abc import Sequence

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from gateway.errors import VerificationFailed

__all__ = [
    "Box",
    "Cipher",
    "InvalidTag",
    "cipher",
    "leave_room",
    "random_nonces",
    "reading_nonce",
    "reading_nonces",
    "seal",
    "take_room",
    "unseal",
]

NONCE_BYTES = 12
TAG_BYTES = 16

reading_nonce = struct.Struct(">QI").pack
"""(event time in ns, revision) -> 12 bytes. Raises struct.error outside u64 and u32."""


_NONCES = np.dtype([("time", ">u8"), ("revision", ">u4")])


def reading_nonces(times: Sequence[int], revision: int) -> list[bytes]:
    """`reading_nonce` of many times. Raises OverflowError outside u64 and u32."""
    rows = np.empty(len(times), _NONCES)
    rows["time"] = times
    rows["revision"] = revision
    nonces: list[bytes] = rows.view(f"V{NONCE_BYTES}").tolist()
    return nonces


AT_HAND = 1024
"""So many ciphers of series are kept made. One is 2.7 kB of OpenSSL's, and saves 2 us a reading: worth it for who sends
much, and not for the last of 100,000 devices, of which 270 MB would be held."""
_room = deque(range(AT_HAND))  # taking and giving back are one step each, so no lock

Cipher = AESGCMSIV


def cipher(key: bytes) -> Cipher:
    """For many uses under one key."""
    return AESGCMSIV(key)


def take_room() -> bool:
    """Whether one more cipher may be kept made; then `leave_room` at its end."""
    try:
        _room.pop()
    except IndexError:
        return False
    return True


def leave_room() -> None:
    """For another."""
    _room.append(0)


class Box:
    """`seal` and `unseal` under one key, many times: its cipher is made once, and so are the nonces of a page."""

    __slots__ = ("_decrypt", "_encrypt")

    def __init__(self, key: bytes) -> None:
        made = AESGCMSIV(key)
        self._encrypt, self._decrypt = made.encrypt, made.decrypt

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """As `seal`, with a nonce of `random_nonces`, each used once."""
        return nonce + self._encrypt(nonce, plaintext, aad)

    def unseal(self, sealed: bytes, aad: bytes) -> bytes:
        """As `unseal`, but raises InvalidTag, or ValueError for what is too short."""
        return self._decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)


def random_nonces(count: int) -> list[bytes]:
    """Random 96-bit nonces, asked of the system in one go."""
    drawn = secrets.token_bytes(NONCE_BYTES * count)
    return [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]


def seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Random nonce, then ciphertext and tag."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCMSIV(key).encrypt(nonce, plaintext, aad)


def unseal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext of `seal`. Raises VerificationFailed when key, place or bytes are not those it was sealed with."""
    try:
        return AESGCMSIV(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    except (InvalidTag, ValueError) as fault:
        message = "a sealed row or record does not open where it stands"
        raise VerificationFailed(message) from fault
