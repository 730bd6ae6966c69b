"""What a worker needs of where its deliveries come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.transport.ingest import Counters, Delivery


class Receives(Protocol):
    """Where deliveries come from, as the worker needs it: a session at a broker, or history. See `ingest.Session`."""

    @property
    def counters(self) -> Counters:
        """What was counted since the start."""

    def connect(self) -> None:
        """Begin. Raises Unreachable."""

    def receive(self, timeout_s: float) -> Delivery | None:
        """The next messages; None after `timeout_s` s or once stopped."""

    def acknowledge(self, generation: int, packet_ids: Sequence[int]) -> None:
        """These are settled."""

    def keep_alive(self) -> None:
        """To be called while nobody receives."""

    def refresh(self) -> None:
        """Look at once whether certificates were replaced."""

    def stop(self) -> None:
        """End `receive` for good."""

    def close(self) -> None:
        """Let go."""
