"""A line to a broker that is not there: what a test puts on it arrives, and what is acknowledged is written down.

It stands where `transport.ingest.Session` stands, so that a test can decide when what arrives; the real one, and real
brokers, are in tests/integration.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import cast

import mqtt5

from gateway.transport.ingest import Counters, Delivery
from tests.world import Message

PATIENCE = 120.0


def delivery(tokens: Sequence[int], messages: Sequence[Message], *, generation: int = 1) -> Delivery:
    """Messages with their tokens, as one read brings them."""
    return Delivery(
        generation=generation,
        arrivals=cast("list[mqtt5.PublishPacket]", list(messages)),
        packet_ids=list(tokens),
        oversized=[],
        malformed=[],
        tokens=list(tokens),
    )


class Line:
    """A session that a test feeds."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.coming: queue.Queue[Delivery] = queue.Queue()
        self.acknowledged: list[tuple[int, list[int]]] = []
        self.kept_alive = 0
        self.closed = False
        self._news = threading.Condition()
        self._stopped = threading.Event()

    @property
    def settled(self) -> list[int]:
        """All tokens that were acknowledged, in order."""
        return [token for _generation, tokens in self.acknowledged for token in tokens]

    def wait(self, count: int) -> list[int]:
        """The tokens, once there are so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.settled) >= count, PATIENCE), "not acknowledged"
            return self.settled

    def connect(self) -> None:
        """At once."""

    def receive(self, timeout_s: float) -> Delivery | None:
        """What was put on the line."""
        if self._stopped.is_set():
            return None
        try:
            return self.coming.get(timeout=min(timeout_s, 0.01))
        except queue.Empty:
            return None

    def acknowledge(self, generation: int, packet_ids: Sequence[int]) -> None:
        """Written down."""
        assert not self.closed
        with self._news:
            self.acknowledged.append((generation, list(packet_ids)))
            self._news.notify_all()

    def keep_alive(self) -> None:
        """Counted."""
        self.kept_alive += 1

    def stop(self) -> None:
        """Nothing is received any more."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing may be acknowledged any more."""
        self.closed = True
