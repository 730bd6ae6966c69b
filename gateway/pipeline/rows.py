"""The readings of one message on their way into rows, for payloads that are read with care.

One row is one event time and revision. Readings that say the same twice become one; readings of one quantity that
contradict each other at one time and revision are all `malformed`: they would share a point's name, and two plaintexts
would be sealed under one nonce.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.model.sealed import Reason

Row = dict[int, float]


@dataclass(slots=True)
class Rows:
    """What one message gave: readings by time, revision and quantity number, and what was refused, by reason.

    `refused` keeps the order in which reasons came. `untimed` holds the event times that were
    taken from the arrival.
    """

    refused: dict[Reason, int] = field(default_factory=dict)
    untimed: set[int] = field(default_factory=set)
    _values: dict[tuple[int, int, int], list[float]] = field(default_factory=dict)

    def put(self, time: int, revision: int, number: int, value: float) -> None:
        """Add a reading: event time in ns, quantity number, value in the unit of the policy."""
        self._values.setdefault((time, revision, number), []).append(value)

    def refuse(self, reason: Reason, readings: int = 1) -> None:
        """Count refused readings."""
        self.refused[reason] = self.refused.get(reason, 0) + readings

    def settle(self) -> dict[tuple[int, int], Row]:
        """Rows by (time, revision), in the order of the message; contradictions are refused."""
        rows: dict[tuple[int, int], Row] = {}
        for (time, revision, number), values in self._values.items():
            if values.count(values[0]) == len(values):
                rows.setdefault((time, revision), {})[number] = values[0]
            else:
                self.refuse(Reason.MALFORMED, len(values))
        return rows
