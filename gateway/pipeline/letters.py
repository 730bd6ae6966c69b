"""Refused messages to dead letters: packed with their reason and sealed while they are at hand.

Which key a letter is under, the sealer knows (`keys.letters`), which is handed in. Pure but for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gateway.keys.handle import Device
from gateway.model.clear import Arrival
from gateway.model.dead import DeadLetter
from gateway.model.ids import KeyId
from gateway.model.letter import Letter
from gateway.model.sealed import Reason


class Seals(Protocol):
    """See `keys.letters.LetterSealer`."""

    @property
    def unkept(self) -> int:
        """What was not sealed for want of room."""

    def spare(self, key_ids: Collection[KeyId]) -> None:
        """For a while, seal nothing of a flood under these keys."""

    def seal(
        self, topic: str, device: Device | Reason, reason: Reason, arrived: int, plaintext: bytes
    ) -> DeadLetter | None:
        """One letter; None where it is not kept."""


def letters_of(
    arrivals: Sequence[Arrival],
    devices: Sequence[Device | Reason],
    refused: Mapping[int, Reason],
    now: int,
    sealer: Seals,
) -> list[DeadLetter]:
    """The letters of a batch that arrived at `now` (ns): of all refused messages but those of the erased.

    That of arrival i arrived at now + i ns, as for `decode`. Raises what the sealer raises: then none is kept.
    """
    letters = []
    for index, reason in refused.items():
        if reason is Reason.ERASED:
            continue
        arrival, arrived = arrivals[index], now + index
        packed = Letter(reason, arrived, arrival.topic, arrival.payload, arrival.content_type).encode()
        letter = sealer.seal(arrival.topic, devices[index], reason, arrived, packed)
        if letter is not None:
            letters.append(letter)
    return letters


def arrival_of(kept: DeadLetter, plaintext: bytes) -> Letter:
    """A letter opened again, to go through the stages once more. Raises VerificationFailed."""
    return Letter.of(kept, plaintext)
