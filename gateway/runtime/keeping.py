"""What a worker keeps of refused messages: they are sealed already, and on disk before they are acknowledged.

Beyond both its rate and its share of the dead letters, what a flood brings is not kept but counted (`unkept`) and
acknowledged: else one device could stop the acknowledging for everybody. So is what comes of a suspended customer
beyond its share. The alarm about it names nobody.

Besides, only what never gets so far is acknowledged and is nowhere: a packet that is too long (`too_large`), that the
codec refuses, or whose topic is not of the connection's controller (`malformed`). See `transport.ingest`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from gateway.model.dead import DeadLetter
from gateway.model.ids import KeyId
from gateway.model.sealed import Reason
from gateway.pipeline.letters import Seals
from gateway.runtime.log import Log
from gateway.runtime.metrics import Metrics

_TOLD_S = 60.0  # between two alarms
_ALARMS = {Reason.RATE: "flood", Reason.SUSPENDED: "suspended for long"}


class Keeps(Protocol):
    """The dead letters, as a worker needs them."""

    def add(self, letters: Sequence[DeadLetter]) -> int:
        """Durable when it returns; how many were taken. Raises Unreachable."""

    def full(self, letters: Sequence[DeadLetter]) -> set[tuple[Reason, KeyId]]:
        """Reasons and keys of these letters that have had their share. Raises Unreachable."""


class Keeping:
    """The writer's: without `letters`, what is refused is only counted."""

    def __init__(self, letters: Keeps | None, sealer: Seals | None, metrics: Metrics, log: Log) -> None:
        self._letters, self._sealer = letters, sealer
        self._metrics, self._log = metrics, log
        self._unkept = Counter[Reason]()  # sealed, and then found to have no room
        self._told: dict[Reason, float] = {}

    def add(self, letters: list[DeadLetter]) -> None:
        """Durable when it returns. Raises Unreachable."""
        if self._letters is not None:
            self._metrics.letters += self._letters.add(self._within_shares(self._letters, letters))

    def _within_shares(self, kept: Keeps, letters: list[DeadLetter]) -> list[DeadLetter]:
        full = kept.full(letters)
        within = [one for one in letters if (one.reason, one.key_id) not in full]
        self._unkept.update(one.reason for one in letters if (one.reason, one.key_id) in full)
        if self._sealer is not None:
            unkept = self._unkept + self._sealer.unkept
            self._metrics.unkept = unkept.total()
            if full:
                self._sealer.spare(full)
                for reason in {reason for reason, _key_id in full}:
                    self._alarm(reason, unkept[reason])
        return within

    def _alarm(self, reason: Reason, unkept: int) -> None:
        if time.monotonic() >= self._told.get(reason, 0.0):
            self._told[reason] = time.monotonic() + _TOLD_S
            self._log.event(_ALARMS[reason], level="error", unkept=unkept)
