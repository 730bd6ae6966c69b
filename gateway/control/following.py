"""What is new: of tables that overlap, each reading once, as long as it comes no later than an hour behind the newest.

A store is asked again and again for the last hour before the newest event time, since readings arrive out of order. Of
each answer that is handed out which was not before: a reading, or a correction of one. What arrives later than an hour
behind the customer's newest reading is not followed, but can be read as any other.

Where a purpose sees intervals only, an interval is handed out when it is over, and once: its last reading as it changes
would be finer than the purpose may see.
"""

from __future__ import annotations

import numpy as np

from gateway.model.table import Table

SECOND = 1_000_000_000
OVERLAP = 3_600 * SECOND
_Key = tuple[int, str, str]


class News:
    """What of one customer's readings was handed out, as far back as the overlap."""

    def __init__(self, resolution: int, *, start: int) -> None:
        """`resolution` of the purpose in seconds, 0 for every reading; event times before `start` (ns) do not count."""
        self._interval = resolution * SECOND
        self._start = self._since = self._newest = start
        self._seen: dict[_Key, tuple[int, float]] = {}

    def since(self, now: int) -> int:
        """The event time to ask for from, ns: the overlap before the newest, and never less than it was.

        A device whose clock is ahead of ours does not move it, so neither does a clock that is set back.
        """
        since = min(self._newest, now) - max(OVERLAP, 2 * self._interval)
        if self._interval:  # whole intervals: half of one would have another last reading
            since = since // self._interval * self._interval
        self._since = max(self._since, since)
        return self._since

    def of(self, table: Table, now: int) -> Table:
        """The rows of `table`, read from `since` on, that were not handed out yet."""
        rows = []
        for row, (time, device, quantity, revision, value) in enumerate(_rows(table)):
            key = (time, device, quantity)
            known = self._seen.get(key)
            if self._interval and (known is not None or time + self._interval > now):
                continue
            if known != (revision, value):
                self._seen[key] = (revision, value)
                rows.append(row)
        fresh = _only(table, rows)
        if len(fresh):
            self._newest = max(self._newest, int(fresh.time[-1]))
        self._seen = {key: value for key, value in self._seen.items() if key[0] + self._interval >= self._since}
        return fresh

    def span(self, table: Table, now: int) -> tuple[int, int]:
        """For the access log: event times of what is handed out, or of what was looked at when that is nothing."""
        return (int(table.time[0]), int(table.time[-1]) + 1) if len(table) else (self._start, max(now, self._start))


def _rows(table: Table) -> zip[tuple[int, str, str, int, float]]:
    columns = (table.time.tolist(), table.device, table.quantity, table.revision.tolist(), table.value.tolist())
    return zip(*columns, strict=True)


def _only(table: Table, rows: list[int]) -> Table:
    index = np.array(rows, dtype=np.int64)
    return Table(
        time=table.time[index],
        device=[table.device[row] for row in rows],
        quantity=[table.quantity[row] for row in rows],
        unit=[table.unit[row] for row in rows],
        value=table.value[index],
        revision=table.revision[index],
        decimals=table.decimals,
    )
