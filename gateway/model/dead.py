"""Dead letters: what could not be stored, sealed all the same, with the reason why.

Nothing here can carry a person: a reason, a time of arrival, ids of keys, a keyed hash, and ciphertext.

    message        under the `record` key of the customer whose device sent it
    unattributed   under the day's operations key of `controller`, where no customer's key was to be had; `dead` is the
                   keyed hash of the device that the topic named, empty where it named none
    point          a sealed point that the store refused for good, as it is: `SealedPoint.to_bytes`
"""

from __future__ import annotations

import enum
from typing import Self

import msgspec

from gateway.model.ids import KeyId, new_id
from gateway.model.sealed import Reason, SealedPoint

DAY = 86_400 * 1_000_000_000


class LetterKind(enum.StrEnum):
    """What a dead letter holds, and under whose key."""

    MESSAGE = "message"
    UNATTRIBUTED = "unattributed"
    POINT = "point"


class DeadLetter(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One dead letter. `letter_id` and `key_id` are 16 bytes, `dead` 32 or none; `arrived` is wall time in ns.

    `controller` is the one whose keys it is under; empty for a point, whose key tells it.
    """

    letter_id: bytes
    kind: LetterKind
    reason: Reason
    arrived: int
    controller: str
    key_id: KeyId
    dead: bytes = b""
    sealed: bytes

    @classmethod
    def of_point(cls, point: SealedPoint, reason: Reason, *, arrived: int) -> Self:
        """A point that the store will never take."""
        return cls(
            letter_id=new_id(),
            kind=LetterKind.POINT,
            reason=reason,
            arrived=arrived,
            controller="",
            key_id=point.series.key_id,
            sealed=point.to_bytes(),
        )


def day_of(time: int) -> int:
    """The UTC day, counted from 1970, of a time in ns."""
    return time // DAY
