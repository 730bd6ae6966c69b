"""History as a session: the worker receives pages of rows from it and acknowledges them, as from a broker.

A page is what is remembered as done, whole: the next one is asked for when every row of it was stored, or refused and
counted, and `on_settled` is called in between. So after a crash at most one page is done again, and what was counted up
to it is exact. Sealing is deterministic and a point that is written again changes nothing: once in effect.

When pages end, `on_end` is called; `ended` then tells that from an import that was stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.transport.history.translate import Row
from gateway.transport.ingest import Counters, Delivery

PIECE = 1000  # rows that go through the stages together: as long as that, an erasure waits for the ring
Position = list[int]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, where to go on after them, and how much of everything is done then, 0 to 1."""

    rows: Sequence[Row] = field(repr=False)
    after: Position
    share: float


class Playback:
    """One import's session. Threads: one calls `receive`, one `acknowledge`; `stop` is for any."""

    def __init__(
        self, pages: Iterator[Page], *, on_settled: Callable[[Page], None], on_end: Callable[[], None]
    ) -> None:
        self.counters = Counters()
        self.ended = False
        self._pages = pages
        self._on_settled, self._on_end = on_settled, on_end
        self._page: Page | None = None
        self._given = self._open = 0  # rows of the page that were given out; deliveries not acknowledged
        self._stopped = False
        self._moved = threading.Condition()

    def connect(self) -> None:
        """Nothing: sources are opened when pages are asked for."""

    def receive(self, timeout_s: float) -> Delivery | None:
        """The next rows; None after `timeout_s` s, once stopped, and at the end. Raises what the source raises."""
        with self._moved:
            if not self._moved.wait_for(lambda: self._stopped or self._left or not self._open, timeout_s):
                return None
            done = not self._left
        if self._stopped:
            return None
        if done:  # nothing is under way, so nobody else looks at the page now
            self._page, self._given = self._next_page(), 0
        with self._moved:
            if self._page is None:
                return None
            rows: list[Any] = list(self._page.rows[self._given : self._given + PIECE])  # Delivery names a packet's type
            self._given += len(rows)
            self._open += 1
        return Delivery(generation=1, arrivals=rows, packet_ids=[0] * len(rows), oversized=[], malformed=[], tokens=[1])

    def acknowledge(self, generation: int, packet_ids: Sequence[int]) -> None:  # noqa: ARG002 - one source, one generation
        """One token for each delivery."""
        with self._moved:
            self._open -= len(packet_ids)
            if self._page is not None and not self._open and not self._left:
                self._on_settled(self._page)
            self._moved.notify_all()

    def keep_alive(self) -> None:
        """Nothing: nobody waits at the other end."""

    def refresh(self) -> None:
        """Nothing: there are no certificates."""

    def stop(self) -> None:
        """End `receive` for good."""
        with self._moved:
            self._stopped = True
            self._moved.notify_all()

    def close(self) -> None:
        """Stop."""
        self.stop()

    @property
    def _left(self) -> bool:
        """Whether the page has rows that were not given out."""
        return self._page is not None and self._given < len(self._page.rows)

    def _next_page(self) -> Page | None:
        """The next page that has rows; those without are done as they are."""
        for page in self._pages:
            if page.rows:
                return page
            self._on_settled(page)
        self.ended = True
        self._on_end()
        return None
