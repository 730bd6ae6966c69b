"""Waiting for workers: who has acknowledged a generation, and whose lease is over.

A generation that was raised reaches every worker: it drops what it cached and acknowledges, or its lease ends. Nobody
holds the control role while waiting. How long a worker of another machine is waited for counts from when this process
first asked.

    counted = letting_go.of(generation)     # how many workers there were, or None while one holds on

What a worker has sent may still land until its requests' deadline is over. That moment is kept as a boot time of this
machine, which a restart makes meaningless; workers of other machines did not restart, so it is counted anew then.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.clock import Clock
from gateway.keys import lease, process
from gateway.keystore import rows, workers
from gateway.keystore.database import KeyStore, Transaction

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

    def left_behind(self, generation: int) -> bool:
        """Whether a worker that has not acknowledged may go on, its lease over: what it had under way may land then."""
        with self._keystore.snapshot() as tx:
            return bool(behind(tx, generation))

    def requests_over(self) -> int:
        """CLOCK_BOOTTIME (ns) after which no request that is under way now can take effect. Raises Unreachable."""
        with self._keystore.snapshot() as tx:
            registered = workers.find_all(tx)
        return requests_over(registered, now=self._clock.boottime())


def behind(tx: Transaction, generation: int) -> list[rows.Worker]:
    """Workers that have not acknowledged, and have not ended for certain, by name."""
    late = [worker for worker in workers.find_all(tx) if worker.generation < generation]
    return sorted((w for w in late if not process.is_gone(w.process, w.boot)), key=lambda w: (w.name, w.worker))


def requests_over(registered: Iterable[rows.Worker], *, now: int) -> int:
    """The same for these workers, seen at boot time `now`. A restart of this machine has ended its own requests."""
    longest = max((w.deadline for w in registered if not process.has_restarted(w.process, w.boot)), default=None)
    return now if longest is None else now + longest + MARGIN
