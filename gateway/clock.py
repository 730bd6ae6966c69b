"""The time of this machine, injected so that tests can move it.

Event time is the device's and is never taken from here; wall time decides only windows, deadlines and what is logged.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Wall time and the time since boot."""

    def wall(self) -> int:
        """UTC nanoseconds since 1970."""

    def boottime(self) -> int:
        """Nanoseconds since boot, suspend included; never set back."""


class SystemClock:
    """The machine's clocks. Source: clock_gettime(2), CLOCK_REALTIME and CLOCK_BOOTTIME."""

    def wall(self) -> int:
        """UTC nanoseconds since 1970."""
        return time.time_ns()

    def boottime(self) -> int:
        """Nanoseconds since boot; CLOCK_BOOTTIME counts while the machine sleeps, so a lease ends in its sleep too."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass
class FixedClock:
    """A clock that moves when told: for tests and for `--keep-times` replays."""

    wall_ns: int
    boottime_ns: int = 0

    def wall(self) -> int:
        """UTC nanoseconds since 1970."""
        return self.wall_ns

    def boottime(self) -> int:
        """Nanoseconds since an arbitrary start."""
        return self.boottime_ns

    def advance(self, nanoseconds: int) -> None:
        """Move both clocks forward."""
        self.wall_ns += nanoseconds
        self.boottime_ns += nanoseconds
