"""Which readings of a batch may go on: a known device, a time in its window, a value that can be, someone who needs it.

Judges whole columns where it can and rows where it must. Refusal is per reading; a message is refused only when nothing
of it remains, with the first reason met. Reasons: `range`, `future`, `no_purpose`, `too_old`, and whatever the device's
look-up gives (`topic`, `unknown_device`, `erased`, `suspended`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.keys.handle import Device, Window
from gateway.model.clear import Readings, Refusals, Values
from gateway.model.sealed import Reason
from gateway.policy.rules import Policy

_SECOND = 1_000_000_000


@dataclass(slots=True)
class Admitted:
    """Rows that go on, in columns of one length n.

    message   index of arrival          time      event time, ns            revision  0 to 2^32 - 1
    mask      sum of 2^number over the quantities that remain, never 0
    window    whose row this is         values    (n, q) float64, column = quantity number; only those of `mask` count
    """

    message: list[int]
    time: list[int]
    revision: list[int]
    mask: list[int]
    window: list[Window]
    values: Values


class Admission:
    """The policy's limits as columns: compiled once, applied to each batch."""

    __slots__ = ("_class_masks", "_future", "_highest", "_lowest", "_weights")

    def __init__(self, policy: Policy) -> None:
        width = policy.quantities[-1].number + 1
        self._lowest = np.full(width, -np.inf)
        self._highest = np.full(width, np.inf)
        for quantity in policy.quantities:
            self._lowest[quantity.number] = quantity.minimum
            self._highest[quantity.number] = quantity.maximum
        self._weights = np.left_shift(np.uint64(1), np.arange(width, dtype=np.uint64))
        self._future = policy.future_window_s * _SECOND
        self._class_masks = tuple(
            policy.mask(q.name for q in policy.quantities if q.key_class == kept.name)
            for kept in policy.classes_of_readings
        )

    def __call__(
        self, readings: Readings, devices: Sequence[Device | Reason], now: int, refusals: Refusals
    ) -> Admitted:
        """Args: `devices` by index of arrival; `now` in ns, against which the future is measured."""
        masks, lost = self._in_range(readings, refusals)
        whole = None if lost else self._whole(readings, devices, masks, now)
        return whole or self._row_by_row(readings, devices, now, refusals, masks, lost)

    def _whole(
        self, readings: Readings, devices: Sequence[Device | Reason], masks: list[int], now: int
    ) -> Admitted | None:
        """The batch as it is when every row of it goes on, whole and in the window that its device used last.

        Nearly every batch: what is different in one row is looked at row by row.
        """
        if {device.__class__ for device in devices} != {Device} or max(readings.time, default=now) > now + self._future:
            return None
        windows = [devices[index].newest for index in readings.message]  # type: ignore[union-attr]  # just looked
        for window, at, held in zip(windows, readings.time, masks, strict=True):
            if held & window.barred or not window.starts <= at < window.ends:
                return None
        return Admitted(readings.message, readings.time, readings.revision, masks, windows, readings.values)

    def _row_by_row(  # noqa: PLR0913, PLR0917 - two columns more than __call__
        self,
        readings: Readings,
        devices: Sequence[Device | Reason],
        now: int,
        refusals: Refusals,
        masks: list[int],
        lost: dict[int, Reason],
    ) -> Admitted:
        admitted = Admitted([], [], [], [], [], readings.values)
        message, time, revision, mask, window = (  # every look-up in this loop counts
            admitted.message.append, admitted.time.append, admitted.revision.append, admitted.mask.append,
            admitted.window.append,
        )  # fmt: skip
        rows: list[int] = []
        latest = now + self._future
        for row, (index, at, rev, held) in enumerate(
            zip(readings.message, readings.time, readings.revision, masks, strict=True)
        ):
            if not held:
                continue
            found = self._window(devices[index], at, latest)
            if found.__class__ is Window:
                allowed = held & found.permitted
                if None in found.series:
                    allowed = self._unexpired(allowed, found, index, refusals, lost)
                if allowed != held:
                    if unwanted := held & ~found.permitted:
                        refusals.add_readings(Reason.NO_PURPOSE, unwanted.bit_count())
                        lost.setdefault(index, Reason.NO_PURPOSE)
                    if not allowed:
                        continue
                message(index)
                time(at)
                revision(rev)
                mask(allowed)
                window(found)
                rows.append(row)
            else:
                refusals.add_readings(found, held.bit_count())  # type: ignore[arg-type]
                lost.setdefault(index, found)  # type: ignore[arg-type]
        if len(rows) != len(masks):
            admitted.values = readings.values[rows]
        if lost:
            _refuse_messages(lost, admitted.message, refusals)
        return admitted

    def _in_range(self, readings: Readings, refusals: Refusals) -> tuple[list[int], dict[int, Reason]]:
        """Mask of each row, and the messages that lost something already."""
        values = readings.values
        outside = (values < self._lowest) | (values > self._highest)  # NaN, an absent reading, is neither
        present = ~np.isnan(values)
        lost: dict[int, Reason] = {}
        if outside.any():
            present &= ~outside
            refusals.add_readings(Reason.RANGE, int(outside.sum()))
            lost = {readings.message[row]: Reason.RANGE for row in np.flatnonzero(outside.any(axis=1)).tolist()}
        masks: list[int] = (present @ self._weights).tolist()
        return masks, lost

    @staticmethod
    def _window(device: Device | Reason, at: int, latest: int) -> Window | Reason:
        if device.__class__ is not Device:
            return device  # type: ignore[return-value]
        if at > latest:
            return Reason.FUTURE
        window = device.newest
        return window if window.starts <= at < window.ends else device.at(at)

    def _unexpired(self, mask: int, window: Window, index: int, refusals: Refusals, lost: dict[int, Reason]) -> int:
        """`mask` less the classes whose horizon has passed this epoch."""
        gone = sum(bits for bits, series in zip(self._class_masks, window.series, strict=True) if series is None)
        if mask & gone:
            refusals.add_readings(Reason.TOO_OLD, (mask & gone).bit_count())
            lost.setdefault(index, Reason.TOO_OLD)
        return mask & ~gone


def _refuse_messages(lost: dict[int, Reason], remaining: list[int], refusals: Refusals) -> None:
    """Messages of which nothing remains: their readings are counted already."""
    going_on = set(remaining)
    for index, reason in lost.items():
        if index not in going_on:
            refusals.message.setdefault(index, reason)
