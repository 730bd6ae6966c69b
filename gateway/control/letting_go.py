"""Waiting for workers: who has acknowledged a generation, and whose lease is over.

A generation that was raised reaches every worker: it drops what it cached and acknowledges, or its lease ends. Nobody
holds the control role while waiting. How long a worker is waited for counts from when this process first asked.

    counted = letting_go.of(generation)     # how many workers there were, or None while one holds on
"""

from __future__ import annotations

from gateway.clock import Clock
from gateway.keys import lease
from gateway.keystore import workers
from gateway.keystore.database import KeyStore

MARGIN = lease.SECOND  # between the last request's deadline and a second purge


class LettingGo:
    """What one process has asked workers to let go of."""

    def __init__(self, keystore: KeyStore, clock: Clock) -> None:
        self._keystore = keystore
        self._clock = clock
        self._asked: dict[int, int] = {}

    def of(self, generation: int) -> int | None:
        """The number of workers, once none uses a key of before `generation`; else None. Raises Unreachable."""
        asked = self._asked.setdefault(generation, self._clock.boottime())
        with self._keystore.snapshot() as tx:
            registered = workers.find_all(tx)
        now, boot = self._clock.boottime(), lease.boot_id()
        behind = [worker for worker in registered if worker.generation < generation]
        if not all(lease.is_over(worker, now=now, boot=boot, asked=asked) for worker in behind):
            return None
        self._asked.pop(generation, None)
        return len(registered)

    def requests_over(self) -> int:
        """CLOCK_BOOTTIME (ns) after which no request that is under way now can take effect. Raises Unreachable."""
        with self._keystore.snapshot() as tx:
            longest = max((worker.deadline for worker in workers.find_all(tx)), default=None)
        now = self._clock.boottime()
        return now if longest is None else now + longest + MARGIN
