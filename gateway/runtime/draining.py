"""A spool whose worker has gone: drained into the store by hand, or declared lost.

    drained = drain(house, "glomska-3", log, on_progress=print)     # whatever waits; the store must be reachable
    lost = drop(house, "glomska-3")                                 # nobody will ever have it: in the ledger

Who drains holds a lease like a worker, so that an erasure waits for a request that is under way, and asks which keys
are gone before each. Ended anywhere, what is left stays in the spool.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing

from gateway.keys.lease import Lease
from gateway.keys.waiting import gone, kept_since
from gateway.model.ids import KeyId
from gateway.runtime.log import Log
from gateway.runtime.spooling import Spooled, Spooling
from gateway.runtime.wiring import House
from gateway.transport.spool import Waiting
from gateway.transport.store import REQUEST_WAITS

ACT = "spool-lost"


class _Leased:
    """A lease for as long as it is drained. It caches no key, so it acknowledges each generation as it sees it."""

    def __init__(self, house: House) -> None:
        settings = house.settings
        deadline_s = REQUEST_WAITS * settings.store.timeout_s
        self._keystore = house.keystore
        self._lease = Lease(
            house.keystore,
            house.clock,
            lease_s=settings.keys.lease_s,
            deadline_s=deadline_s,
            queues=house.queues_hold,
        )
        self.generation = self._lease.register()

    def gone(self, key_ids: Collection[KeyId]) -> set[KeyId]:
        """Those of these keys that were erased. Raises LeaseOver, Unreachable."""
        self._look()
        return gone(self._keystore, key_ids)

    def kept_since(self, key_ids: Collection[KeyId]) -> dict[KeyId, int]:
        """For each of these keys, the oldest event time that is kept. Raises LeaseOver, Unreachable."""
        self._lease.require()
        return kept_since(self._keystore, key_ids)

    def _look(self) -> None:
        generation = self._lease.look()
        if generation != self.generation:
            self._lease.acknowledge(generation)
            self.generation = generation
        self._lease.renew_if_due()
        self._lease.require()

    def leave(self) -> None:
        """Nothing of ours is under way."""
        self._lease.leave()


def drain(house: House, worker: str, log: Log, on_progress: Callable[[Spooled], None]) -> Spooled:
    """All that waits in a worker's spool goes to the store, as fast as it takes it; told after each chunk.

    Raises:
        UsageFault: there is no such spool.
        SpoolHeld: its worker runs.
        LeaseOver, Unreachable: the rest stays.
    """
    spools = house.spools
    name = spools.find(worker)
    house.control.check()
    leased = _Leased(house)
    spooling = Spooling(
        house.store,
        lambda on_damage: spools.open(name, on_damage),
        log,
        gone=leased.gone,
        kept_since=leased.kept_since,
        generation=lambda: leased.generation,
        patience_s=house.settings.spool.patience_s,
        refused=house.keep_points,
    )
    try:
        spooling.open()
        with closing(spooling):
            while spooling.step() is not None:
                on_progress(spooling.counted)
    finally:
        if not spooling.given_up:  # else it runs out: the store may still carry out what was given up
            leased.leave()
    return spooling.counted


def drop(house: House, worker: str) -> Waiting:
    """What waits in a worker's spool is lost, by decision; what that was. In the ledger, before and after.

    Raises UsageFault, SpoolHeld, Unreachable, and what `house.control` raises.
    """
    spools = house.spools
    name = spools.find(worker)
    with closing(spools.open(name)) as spool:
        (waiting,) = (found for found in spools.report() if found.worker == name)
        with house.control.act(ACT, points=waiting.points, bytes=waiting.bytes):
            spool.drop()
    return waiting
