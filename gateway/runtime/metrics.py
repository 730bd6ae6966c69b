"""What the gateway counts: numbers by reason, never by anyone. One writer a field, read by anyone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.model.sealed import Reason


@dataclass(slots=True)
class Metrics:
    """Counted since start, in messages unless said otherwise.

    A message is `stored` when at least one of its points was accepted, and `refused` when nothing of it remained;
    `refused_readings` counts single readings, of stored messages too. `redelivered` are those that the broker marked as
    sent before, whatever became of them. `points` and `batches` count what the store accepted; `letters` what was
    refused and is kept in the dead letters: all but what was of erased customers, and what never came whole. `unkept`
    was beyond a rate and beyond the share of the dead letters of whoever sent it.
    """

    stored: int = 0
    refused: dict[Reason, int] = field(default_factory=dict)
    refused_readings: dict[Reason, int] = field(default_factory=dict)
    untimed: int = 0
    redelivered: int = 0
    points: int = 0
    batches: int = 0
    letters: int = 0
    unkept: int = 0
    waiting: int = 0
    devices: int = 0

    def refuse(self, reason: Reason, messages: int = 1) -> None:
        """Count refused messages."""
        if messages:
            self.refused[reason] = self.refused.get(reason, 0) + messages

    def refuse_readings(self, counted: dict[Reason, int]) -> None:
        """Count refused readings."""
        for reason, readings in counted.items():
            self.refused_readings[reason] = self.refused_readings.get(reason, 0) + readings

    def books(self) -> dict[str, Any]:
        """The books as `run` prints them at the end; reasons in alphabetical order."""
        refused = {str(reason): self.refused[reason] for reason in sorted(self.refused)}
        return {
            "stored": self.stored,
            "refused": refused,
            "untimed": self.untimed,
            "redelivered": self.redelivered,
        }
