"""Opened readings, gathered column by column and put in order once: what `access` makes a table of.

    columns = Columns()
    columns.add(place, mask, quantity, values)
    table = columns.table(policy, owned, resolution)

What is here was opened already, for a purpose and for one customer; nothing here opens anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gateway.model.ids import DeviceId
from gateway.model.table import Table
from gateway.policy.rules import Policy, Quantity

_SECOND = 1_000_000_000
Integers = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class Columns:
    """Opened values, gathered column by column and put in order once."""

    def __init__(self) -> None:
        self._places: list[Integers] = []
        self._values: list[Values] = []

    def add(self, place: Integers, mask: int, quantity: Quantity, value: Values) -> None:
        """n values of one quantity, from fields of one mask; `place` is (3, n): index of device, time, revision."""
        fixed = np.empty((2, len(value)), dtype=np.int64)
        fixed[0], fixed[1] = mask - 2**63, quantity.number  # 64 bits without a sign, in their order
        self._places.append(np.concatenate((place, fixed)))
        self._values.append(value)

    def table(self, policy: Policy, owned: Mapping[DeviceId, Sequence[tuple[int, int]]], resolution: int) -> Table:
        """In order of time, device, quantity; the highest revision, then the larger mask, of what is there twice.

        Only what was measured while the device was theirs: what was stored before a hand-over may be of after it.
        """
        names = {q.number: q for q in policy.quantities}
        if not self._values:
            return Table(np.empty(0, np.int64), [], [], [], np.empty(0), np.empty(0, np.int64), {})
        device, time, revision, mask, number = np.concatenate(self._places, axis=1)
        value = np.concatenate(self._values)
        spelled = np.zeros(max(names) + 1, dtype=np.int64)
        spelled[sorted(names, key=lambda n: names[n].name)] = range(len(names))
        devices = list(owned)
        theirs = _owned(device, time, list(owned.values()))
        device, time, revision, mask, number = (c[theirs] for c in (device, time, revision, mask, number))
        value = value[theirs]
        rows = _last_of((mask, revision), (time, device, number))
        if resolution:  # the last reading of each interval, dated to its start
            start = time // (resolution * _SECOND) * (resolution * _SECOND)
            rows = rows[_last_of((time[rows],), (start[rows], device[rows], number[rows]))]
            time = start
        rows = rows[np.lexsort((spelled[number[rows]], device[rows], time[rows]))]
        return Table(
            time=time[rows],
            device=_named(devices, device[rows]),
            quantity=_named([names[n].name if n in names else "" for n in range(max(names) + 1)], number[rows]),
            unit=_named([names[n].unit if n in names else "" for n in range(max(names) + 1)], number[rows]),
            value=value[rows],
            revision=revision[rows],
            decimals={q.name: q.decimals for q in policy.quantities},
        )


def _named(names: Sequence[str], rows: Integers) -> list[str]:
    """The name of each row, by its index; a list of one string for each name there is."""
    return list(np.array(names, dtype=object)[rows])


def _owned(device: Integers, time: Integers, owned: Sequence[Sequence[tuple[int, int]]]) -> Integers | slice:
    """Rows whose event time lies within an interval in which their device was the customer's."""
    first, last = int(time.min()), int(time.max())
    if all(any(starts <= first and last < ends for starts, ends in spans) for spans in owned):
        return slice(None)  # nothing changed hands, as nearly always
    theirs = np.zeros(len(time), dtype=bool)
    for index, spans in enumerate(owned):
        for starts, ends in spans:
            theirs |= (device == index) & (time >= starts) & (time < ends)
    return np.flatnonzero(theirs)


def _last_of(rising: tuple[Integers, ...], same: tuple[Integers, ...]) -> Integers:
    """Rows to keep: of those that agree in all of `same`, the highest in `rising` (least significant first)."""
    order = np.lexsort((*rising, *same))
    differs = np.zeros(len(order), dtype=bool)
    for column in same:
        differs[:-1] |= np.diff(column[order]) != 0
    differs[-1:] = True
    return order[differs]
