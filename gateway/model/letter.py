"""A message that became a dead letter, as it is under the seal.

    letter = u8(1) LP(reason) u64(arrived) u8(1 | 0) [LP(content type)] LP(topic) payload

`arrived` is wall time in ns; LP is u16 length, then UTF-8. Importable only where the privacy wall allows it.

    >>> letter = Letter(Reason.RANGE, 5, "glomska/c/d/readings", b"{}", None)
    >>> Letter.decode(letter.encode()) == letter
    True
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from gateway.errors import VerificationFailed
from gateway.model.dead import DeadLetter
from gateway.model.sealed import Reason

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Letter:
    """An arrival (`model.clear.Arrival`), when it came, and why it was refused."""

    reason: Reason
    arrived: int
    topic: str = field(repr=False)
    payload: bytes = field(repr=False)
    content_type: str | None = field(repr=False)

    def encode(self) -> bytes:
        """Bytes to seal."""
        kind = b"\0" if self.content_type is None else b"\1" + _lp(self.content_type)
        head = struct.pack(">B", _FORMAT) + _lp(self.reason) + struct.pack(">Q", self.arrived)
        return head + kind + _lp(self.topic) + self.payload

    @classmethod
    def of(cls, kept: DeadLetter, plain: bytes) -> Letter:
        """What was under the seal of `kept`. Raises VerificationFailed also where what stands beside it was changed."""
        letter = cls.decode(plain)
        if (letter.reason, letter.arrived) != (kept.reason, kept.arrived):
            message = "what stands beside a dead letter is not what was sealed with it"
            raise VerificationFailed(message)
        return letter

    @classmethod
    def decode(cls, plain: bytes) -> Letter:
        """The letter of `encode`. Raises VerificationFailed for what no version wrote."""
        if plain[:1] != bytes([_FORMAT]):
            message = "a dead letter has a format that this version does not know"
            raise VerificationFailed(message, hint="use the newer version that wrote it")
        reason, at = _text(plain, 1)
        arrived, has_type = struct.unpack_from(">QB", plain, at)
        content_type, at = _text(plain, at + 9) if has_type else (None, at + 9)
        topic, at = _text(plain, at)
        return cls(Reason(reason), arrived, topic, plain[at:], content_type)


def _lp(text: str) -> bytes:
    raw = text.encode(errors="surrogatepass")
    return struct.pack(">H", len(raw)) + raw


def _text(plain: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">H", plain, at)
    return plain[at + 2 : at + 2 + size].decode(errors="surrogatepass"), at + 2 + size
