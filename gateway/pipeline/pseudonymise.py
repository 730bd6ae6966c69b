"""Rows to series: from here on nobody is named.

A row of one device gives a row for each key class it has readings of, under that class's key and pseudonym. The keyed
hash itself is taken once a device, epoch and class, when its window is opened (`keys.handle.Device.at`).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.keys.handle import SeriesKey
from gateway.model.clear import Values
from gateway.pipeline.admit import Admitted
from gateway.policy.rules import Policy


@dataclass(slots=True)
class Nameless:
    """Rows of one key class, in columns of one length n; see `admit.Admitted` for what they hold."""

    message: list[int]
    time: list[int]
    revision: list[int]
    mask: list[int]
    series: list[SeriesKey]
    values: Values


class Pseudonymiser:
    """The policy's key classes: compiled once, applied to each batch."""

    __slots__ = ("_class_masks",)

    def __init__(self, policy: Policy) -> None:
        self._class_masks = tuple(
            policy.mask(q.name for q in policy.quantities if q.key_class == kept.name)
            for kept in policy.classes_of_readings
        )

    def __call__(self, admitted: Admitted) -> list[Nameless]:
        """One entry a key class that has readings in this batch."""
        if len(self._class_masks) == 1:  # every row has readings of the only class
            series = [window.series[0] for window in admitted.window]
            columns = (admitted.message, admitted.time, admitted.revision, admitted.mask)
            return [Nameless(*columns, series, admitted.values)]  # type: ignore[arg-type]  # None was refused by admit
        return [self._of_class(admitted, number, bits) for number, bits in enumerate(self._class_masks)]

    @staticmethod
    def _of_class(admitted: Admitted, number: int, bits: int) -> Nameless:
        rows = [row for row, mask in enumerate(admitted.mask) if mask & bits]
        return Nameless(
            [admitted.message[row] for row in rows],
            [admitted.time[row] for row in rows],
            [admitted.revision[row] for row in rows],
            [admitted.mask[row] & bits for row in rows],
            [admitted.window[row].series[number] for row in rows],  # type: ignore[misc]  # as above
            admitted.values[rows],
        )
