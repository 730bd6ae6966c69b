"""How many field names one device may bring into the store: a quota, since a store has only so many for everybody.

A device chooses which of its quantities it sends together, and a revision up to 99; each combination is a field of its
own for all customers (`model.sealed`). A fleet sends few different ones. Who brings more than INTRODUCED that
this worker has not met before is refused the rest as `rate`; combinations that are there already are everybody's.

Only a batch with a correction, or with a set of quantities that is new, is looked at row by row. Devices are told apart
by the identity of what the ring has for them, so a new generation of keys begins with a new quota.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gateway.keys.handle import Device
from gateway.model.clear import Refusals
from gateway.model.sealed import Reason
from gateway.pipeline.admit import Admitted

INTRODUCED = 64


class Names:
    """What has been met by one worker under one policy, and who brought it, by identity."""

    __slots__ = ("_brought", "_masks", "_met")

    def __init__(self) -> None:
        self._met: set[tuple[int, int]] = set()
        self._masks: set[int] = set()  # of revision 0
        self._brought: Counter[int] = Counter()  # of devices that brought one: not more than there are names

    def __call__(self, admitted: Admitted, devices: Sequence[Device | Reason], refusals: Refusals) -> Admitted:
        """The rows that may go on; all of them, nearly always."""
        if self._masks.issuperset(admitted.mask) and not any(admitted.revision):
            return admitted
        refused = {
            row
            for row, place in enumerate(zip(admitted.mask, admitted.revision, strict=True))
            if place not in self._met and not self._introduced(place, id(devices[admitted.message[row]]))
        }
        return _without(refused, admitted, refusals) if refused else admitted

    def _introduced(self, place: tuple[int, int], device: int) -> bool:
        if self._brought[device] >= INTRODUCED:
            return False
        self._brought[device] += 1
        self._met.add(place)
        if not place[1]:
            self._masks.add(place[0])
        return True


def _without(refused: set[int], admitted: Admitted, refusals: Refusals) -> Admitted:
    kept = [row for row in range(len(admitted.mask)) if row not in refused]
    remaining = {admitted.message[row] for row in kept}
    for row in sorted(refused):
        refusals.add_readings(Reason.RATE, admitted.mask[row].bit_count())
        if admitted.message[row] not in remaining:
            refusals.message.setdefault(admitted.message[row], Reason.RATE)
    return Admitted(
        [admitted.message[row] for row in kept],
        [admitted.time[row] for row in kept],
        [admitted.revision[row] for row in kept],
        [admitted.mask[row] for row in kept],
        [admitted.window[row] for row in kept],
        admitted.values[kept],
    )
