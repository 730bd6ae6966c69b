"""A worker's dated permission to use cached keys, and its acknowledgement of generations.

The lease is a duration on CLOCK_BOOTTIME counted from *before* its renewal was sent, and ends too when wall time says
so. The eraser counts it by the same clock from the same moment where the worker runs under the same boot; for another
machine it counts from *after* its commit, plus 10 %. Either way no worker can believe in a lease that the eraser thinks
is over.

    lease.register()                      # holds no key yet
    generation = lease.look()             # has it moved? drop what is cached, then:
    lease.acknowledge(generation)
    lease.renew_if_due()                  # refused while a generation is not acknowledged
    lease.holds()                         # before each use of a key, and after sealing, before sending
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.clock import Clock
from gateway.errors import IntegrityStop, LeaseOver
from gateway.keys import process
from gateway.keys.process import boot_id, own
from gateway.keystore import rows, workers
from gateway.keystore.database import KeyStore
from gateway.model.ids import new_id

__all__ = ["EXTRA", "SECOND", "Lease", "boot_id", "is_over"]

SECOND = 1_000_000_000
RECOVER = (
    "on the machine that has the ledger, `glomska keys recover` tells the key store what was done since; nothing is "
    "served from it before"
)
EXTRA = 1.1  # what the eraser adds to a lease of another machine, for clocks that run apart


class Lease:
    """One worker's registration in the key store."""

    def __init__(  # noqa: PLR0913 - what a registration says
        self,
        keystore: KeyStore,
        clock: Clock,
        *,
        lease_s: float,
        deadline_s: float,
        name: str = "",
        queues: Callable[[], bool] | None = None,
    ) -> None:
        """`queues` says whether anything waits in this machine's; whoever fills or empties none has none to tell."""
        self._queues = queues
        self._keystore = keystore
        self._clock = clock
        self._length = int(lease_s * SECOND)
        self._deadline = int(deadline_s * SECOND)
        self._worker = new_id()
        self._name = name
        self._renewed = 0
        self._until_boot = 0
        self._until_wall = 0
        self._newest = 0  # generation that was seen

    def register(self) -> int:
        """Begin; the generation to start from. Raises Unreachable."""
        before, wall = self._clock.boottime(), self._clock.wall()
        with self._keystore.attend() as tx:
            generation = workers.generation(tx)
            workers.register(tx, self._row(generation, before))
            if self._queues is not None:
                workers.keep_queues(tx, process.machine())
        self._newest = generation
        self._granted(before, wall)
        return generation

    def look(self) -> int:
        """The key store's generation now.

        Raises:
            IntegrityStop: it was a higher one already; the lease has ended, for nothing is to be used or sent any more.
            Unreachable.
        """
        with self._keystore.snapshot() as tx:
            generation = workers.generation(tx)
        if generation < self._newest:
            self._until_boot = 0
            message = "the key store was set back under this worker: in it the erased may have their keys again"
            raise IntegrityStop(message, hint=RECOVER)
        self._newest = generation
        return generation

    def acknowledge(self, generation: int) -> None:
        """Every key cached before `generation` is dropped, and what is in flight for them will be refused.

        A worker that was away for so long that an erasure has forgotten it begins again.
        """
        before = self._clock.boottime()
        with self._keystore.attend() as tx:
            if not workers.acknowledge(tx, self._worker, generation=generation):
                workers.register(tx, self._row(generation, before))

    def renew_if_due(self) -> None:
        """Renew when a third of the lease has gone, or all by wall time. Refused, it runs out. Raises Unreachable."""
        before, wall = self._clock.boottime(), self._clock.wall()
        if self.holds() and before - self._renewed < self._length // 3:
            return
        with self._keystore.attend() as tx:
            renewed = workers.renew(tx, self._worker, renewed=before)
        if renewed:
            self._granted(before, wall)

    def holds(self) -> bool:
        """Whether keys may be used now."""
        return self._clock.boottime() < self._until_boot and self._clock.wall() < self._until_wall

    def require(self) -> None:
        """Raises LeaseOver."""
        if not self.holds():
            message = "this worker's lease on keys has ended"
            raise LeaseOver(message)

    def leave(self) -> None:
        """Drained: no key is held, nothing is in flight. Raises Unreachable.

        Where something waits in this machine's queues still, every erasure goes on asking for them.
        """
        self._until_boot = 0
        with self._keystore.attend() as tx:
            workers.leave(tx, self._worker)
            if self._queues is not None:
                workers.drop_queues(
                    tx, process.machine()
                )  # first: another that leaves meanwhile puts back what this removed
                if self._queues():
                    workers.keep_queues(tx, process.machine())

    def _row(self, generation: int, renewed: int) -> rows.Worker:
        return rows.Worker(
            worker=self._worker,
            boot=boot_id(),
            generation=generation,
            lease=self._length,
            deadline=self._deadline,
            renewed=renewed,
            name=self._name,
            process=own(),
        )

    def _granted(self, before: int, wall: int) -> None:
        self._renewed = before
        self._until_boot = before + self._length
        self._until_wall = wall + self._length


def is_over(worker: rows.Worker, *, now: int, boot: str, asked: int) -> bool:
    """Whether a worker that has not acknowledged can no longer use a key.

    Args:
        worker: as the key store has it.
        now: CLOCK_BOOTTIME of the eraser, ns.
        boot: the eraser's boot id.
        asked: CLOCK_BOOTTIME after the commit that raised the generation, ns.
    """
    if worker.boot == boot:  # one clock, and the moment from which the worker itself counts
        return now >= worker.renewed + worker.lease
    return now >= asked + int(worker.lease * EXTRA)
