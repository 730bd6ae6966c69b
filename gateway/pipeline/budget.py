"""How many messages a device, a controller and all strangers together may send: leaky buckets, counted by the batch.

    budget = Budget(Limits(device_rate=50, device_burst=100_000))
    over = budget.over(devices, now)        # indices of arrivals that are `rate`; nearly always none

A bucket holds `burst` messages and drains `rate` a second, once every WINDOW_S. What is over is not counted against it,
so that who floods is let through at the rate and no more. `burst` is what a device may send at once that was offline.
A list of readings is known for one once it is read, so it is charged afterwards, and what is over then is owed: in the
long run a device brings as many readings as it may send messages.

What is over is no loss: it is kept as a dead letter, as long as who sends it has not had their share of those.

Strangers are all devices that nobody enrolled, and topics that name none: they share one bucket a worker, because who
may publish can invent as many as they like. So nothing here grows with them, nor with anything but devices that sent in
the last window.

Counting is done in C, and the fullest bucket is looked for only when enough has come since the last look that one could
have run over. Devices are counted by their marks: a bucket is a device's own, by whichever of its topics it sends, and
outlives acts on keys, since nobody is forgiven because somebody else was erased. No handle is kept here.

Pure: `now` is handed in, in ns of a clock that does not jump.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from operator import attrgetter

from gateway.keys.handle import Device
from gateway.model.clear import Arrival
from gateway.model.ids import Controller
from gateway.model.sealed import Reason

WINDOW_S = 10
REFUSED_WEIGHS, REFUSED_BYTES = 10, 256
"""A message that is refused weighs as much as so many, and one more for so many bytes: it is to be kept until somebody
looks, and a device that sends nothing but what cannot be stored is a flood long before one that sends readings. Not so
what comes of a suspended or erased customer: a device cannot know, and what is suspended is to be there on resume."""
FEW = 16
"""A message of up to so many readings counts as one, and one more for each reading beyond."""
_WINDOW = WINDOW_S * 1_000_000_000
_FAR = 2**62
_mark_of = attrgetter("mark")
_NONE: frozenset[int] = frozenset()
_STRANGERS = (Reason.UNKNOWN_DEVICE, Reason.TOPIC)
_NO_FAULT = frozenset({Reason.RATE, Reason.SUSPENDED, Reason.ERASED})  # they weigh no more than what is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Messages a second, and at once. A rate of 0: no limit."""

    device_rate: float = 0
    device_burst: int = 1
    controller_rate: float = 0
    controller_burst: int = 1
    stranger_rate: float = 0
    stranger_burst: int = 1


class _Bucket:
    """Levels of many buckets of one size, by key."""

    __slots__ = ("_burst", "_due", "_quota", "levels")

    def __init__(self, rate: float, burst: int) -> None:
        self.levels: Counter[object] = Counter()
        self._burst = burst
        self._quota = max(int(rate * WINDOW_S), 1) if rate else 0  # messages a window
        self._due = burst if rate else _FAR  # messages until one could be over

    def turn(self) -> None:
        """A window is over."""
        if self._quota:
            self.levels = Counter({key: n - self._quota for key, n in self.levels.items() if n > self._quota})
            self._look()

    def over(self, keys: Sequence[object]) -> set[int] | frozenset[int]:
        """Count these; indices of those that found their bucket full."""
        if not self._quota:
            return _NONE
        self.levels.update(keys)
        self._due -= len(keys)
        if self._due >= 0:
            return _NONE
        self._look()
        return self._of_full(keys) if self._due < 0 else _NONE

    def charge(self, key: object, weight: int) -> None:
        """So much more, of what was counted before."""
        if self._quota:
            level = self.levels[key]
            self.levels[key] = max(level, min(level + weight, self._burst))
            self._due -= weight

    def owe(self, key: object, weight: int) -> None:
        """The same, and what is beyond the burst has to drain, too."""
        if self._quota:
            self.levels[key] += weight
            self._due -= weight

    def _look(self) -> None:
        if self._quota:
            self._due = self._burst - max(self.levels.values(), default=0)

    def _of_full(self, keys: Sequence[object]) -> set[int]:
        came = Counter(keys)
        left = {key: self._burst - self.levels[key] + n for key, n in came.items() if self.levels[key] > self._burst}
        found = set()
        for index, key in enumerate(keys):
            if key in left:
                if left[key] < 1:
                    found.add(index)
                left[key] -= 1
        for key in left:
            self.levels[key] = max(self._burst, self.levels[key] - came[key])
        return found


class Budget:
    """The buckets of one worker."""

    def __init__(self, limits: Limits) -> None:
        self._devices = _Bucket(limits.device_rate, limits.device_burst)
        self._controllers = _Bucket(limits.controller_rate, limits.controller_burst)
        self._strangers = _Bucket(limits.stranger_rate, limits.stranger_burst)
        self._by_controller = limits.controller_rate > 0
        self._window = 0

    def over(self, devices: Sequence[Device | Reason], now: int) -> Collection[int]:
        """Of arrivals from these devices, at `now`, those that are over."""
        if (window := now // _WINDOW) != self._window:
            self._turn(window)
        known: Sequence[int] = range(len(devices))
        if set(map(type, devices)) == {Device}:
            found: AbstractSet[int] = self._devices.over(list(map(_mark_of, devices)))
        else:
            known = [index for index, device in enumerate(devices) if device.__class__ is Device]
            strangers = [index for index, device in enumerate(devices) if device in _STRANGERS]
            ours = self._devices.over([_mark_of(devices[index]) for index in known])
            theirs = self._strangers.over([_STRANGERS] * len(strangers))
            found = {known[at] for at in ours} | {strangers[at] for at in theirs}
        if self._by_controller:
            names: list[Controller] = [devices[index].controller for index in known]  # type: ignore[union-attr]
            found = found | {known[at] for at in self._controllers.over(names)}
        return found

    def charge(
        self, arrivals: Sequence[Arrival], devices: Sequence[Device | Reason], refused: Mapping[int, Reason]
    ) -> None:
        """These were refused: whatever a sender is to blame for weighs more than what was counted."""
        for index, reason in refused.items():
            if reason in _NO_FAULT:
                continue
            device, weight = devices[index], len(arrivals[index].payload) // REFUSED_BYTES
            if isinstance(device, Device):
                self._devices.charge(device.mark, REFUSED_WEIGHS + weight)
                self._controllers.charge(device.controller, REFUSED_WEIGHS + weight)
            elif device in _STRANGERS:
                self._strangers.charge(_STRANGERS, weight)  # every message of theirs is refused

    def charge_lists(self, devices: Sequence[Device | Reason], many: Mapping[int, int]) -> None:
        """These messages held so many readings, by index."""
        for index, readings in many.items():
            device = devices[index]
            if readings > FEW and isinstance(device, Device):
                self._devices.owe(device.mark, readings - FEW)
                self._controllers.owe(device.controller, readings - FEW)

    def _turn(self, window: int) -> None:
        """Windows that passed while nothing came are given, too."""
        for bucket in (self._devices, self._controllers, self._strangers):
            for _ in range(window - self._window):
                if not bucket.levels:
                    break
                bucket.turn()
        self._window = window
