"""A bound on how long something may take."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator


class Overdue(Exception):
    """It had its share of the time."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise Overdue in here when it has taken so long. For the main thread; what was begun is ended as by an error.

    One within another: the outer one's bound holds again afterwards.
    """

    def end(_number: int, _frame: object) -> None:
        raise Overdue

    begun, before = time.monotonic(), signal.signal(signal.SIGALRM, end)
    outer, _every = signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        left = max(outer - (time.monotonic() - begun), 0.001) if outer else 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left)
