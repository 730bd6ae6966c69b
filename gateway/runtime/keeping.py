"""What a worker keeps of refused messages: they are sealed already, and on disk before they are acknowledged.

Beyond both its rate and its share of the dead letters, what a flood brings is not kept but counted (`unkept`) and
acknowledged: else one device could stop the acknowledging for everybody. The alarm about it names nobody.

Besides, only what never gets so far is acknowledged and is nowhere: a packet that is too long (`too_large`), that the
codec refuses, or whose topic is not of the connection's controller (`malformed`). See `transport.ingest`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from gateway.model.dead import DeadLetter
from gateway.model.ids import KeyId
from gateway.model.sealed import Reason
from gateway.pipeline.letters import Seals
from gateway.runtime.log import Log
from gateway.runtime.metrics import Metrics

_TOLD_S = 60.0  # between two alarms


class Keeps(Protocol):
    """The dead letters, as a worker needs them."""

    def add(self, letters: Sequence[DeadLetter]) -> int:
        """Durable when it returns; how many were taken. Raises Unreachable."""

    def full(self, letters: Sequence[DeadLetter]) -> set[KeyId]:
        """Keys of these letters of a flood that have had their share. Raises Unreachable."""


class Keeping:
    """The writer's: without `letters`, what is refused is only counted."""

    def __init__(self, letters: Keeps | None, sealer: Seals | None, metrics: Metrics, log: Log) -> None:
        self._letters, self._sealer = letters, sealer
        self._metrics, self._log = metrics, log
        self._unkept = 0  # sealed, and then found to have no room
        self._told = 0.0

    def add(self, letters: list[DeadLetter]) -> None:
        """Durable when it returns. Raises Unreachable."""
        if self._letters is not None:
            self._metrics.letters += self._letters.add(self._within_shares(self._letters, letters))

    def _within_shares(self, kept: Keeps, letters: list[DeadLetter]) -> list[DeadLetter]:
        flood = [letter for letter in letters if letter.reason is Reason.RATE]
        full = kept.full(flood) if flood else set[KeyId]()
        within = [one for one in letters if one.reason is not Reason.RATE or one.key_id not in full]
        self._unkept += len(letters) - len(within)
        if self._sealer is not None:
            self._metrics.unkept = self._unkept + self._sealer.unkept
            if full:
                self._sealer.spare(full)
                self._alarm()
        return within

    def _alarm(self) -> None:
        if time.monotonic() >= self._told:
            self._told = time.monotonic() + _TOLD_S
            self._log.event("flood", level="error", unkept=self._metrics.unkept)
