"""The last step of an erasure: what can no longer be read is deleted, twice, and what it was is forgotten.

The first purge follows the end of the keys. The second waits until the longest request that a worker may have had under
way is over, since a store may take it after the first. Then purge key, capture and the workers that never let go are
deleted in one transaction, and the key store's files are scanned for what is left of them.

    step = purging.run(erasure)             # as far as it can be done now
    purging.seconds_left(found)             # until the second purge
"""

from __future__ import annotations

import contextlib
import enum
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from gateway.control import accounting
from gateway.control import customer as customers
from gateway.control.letting_go import requests_over
from gateway.control.role import Control
from gateway.errors import KeyDestroyed, Silent, Unreachable
from gateway.keys import lease
from gateway.keys.capture import Capture, trace
from gateway.keys.custodian import Custodian
from gateway.keystore import accounts, acts, lineages, rows, workers
from gateway.keystore.database import KeyStore, Transaction
from gateway.model.ids import Controller, DeviceId, KeyId
from gateway.model.sealed import SealedPoint

PURGE = "purge"
_LAST = 2**63 - 1
_REST_S = 60.0  # for which a broker that kept one erasure waiting keeps no other waiting


class Step(enum.StrEnum):
    """How far an erasure has come."""

    FENCED = "fenced"
    DELETED = "deleted"  # committed, not yet proven
    EFFECTIVE = "effective"
    PURGED_ONCE = "purged_once"
    CLEARED = "cleared"  # purged again; capture and purge key deleted, not yet proven
    PURGED = "purged"


class Eraser(Protocol):
    """A store of the inventory, as erasure needs it."""

    def delete(self, measurements: Sequence[str], pseudonyms: Sequence[str]) -> int:
        """Remove all rows of these series; how many. Raises Unreachable."""

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """What is still there of them. Raises Unreachable."""


class Retained(Protocol):
    """The broker, as erasure needs it."""

    def clear(self, controller: Controller, devices: Sequence[DeviceId]) -> int:
        """Remove what is retained on these devices' topics; how many topics. Raises Unreachable."""


class Queue(Protocol):
    """What keeps sealed points or messages until they can go on: a spool, dead letters."""

    def purge(self, key_ids: Collection[KeyId], dead_hashes: Collection[bytes]) -> int:
        """Delete what is under these keys, or of these devices by their hash `dead`; how many. Raises Unreachable."""


class Purging:
    """Step 5 over one key store, its ledger, and an inventory of stores and queues. Several processes may at once."""

    def __init__(
        self,
        control: Control,
        custodian: Custodian,
        inventory: Mapping[str, Eraser],
        queues: Mapping[str, Queue] = MappingProxyType({}),
        retained: Retained | None = None,
    ) -> None:
        self._control = control
        self._retained = retained
        self._clock = control.clock
        self._custodian = custodian
        self._inventory = inventory
        self._queues = queues
        self._broker_rests_until = 0

    def run(self, erasure: bytes, on_step: Callable[[Step], None] = lambda _step: None) -> Step:
        """As far as it can be done now. Raises Unreachable: the rest stays open."""
        if find(self._control, erasure).step == Step.EFFECTIVE:
            self._first(erasure)
            on_step(Step.PURGED_ONCE)
        found = find(self._control, erasure)
        if found.step == Step.PURGED_ONCE and not self.owing(found) and self._requests_are_over(erasure):
            self._second(erasure)
        if find(self._control, erasure).step == Step.CLEARED:
            self._control.keystore.scrub(())
            note(self._control, erasure, was=Step.CLEARED, step=Step.PURGED)
            on_step(Step.PURGED)
        return Step(find(self._control, erasure).step)

    def owing(self, found: rows.Erasure) -> list[rows.Account]:
        """Who is not accounted for, after our own share was done. Raises Unreachable, but for the broker's."""
        late, settled = accounting.look_again(self._control, found.erasure, found.generation)
        if settled:
            self._put_off(found)
        parties = {account.party for account in late}
        capture = self.capture(found.erasure) if parties & {accounting.BROKER, accounting.ours()} else None
        if capture is not None and accounting.ours() in parties:
            self._purge_queues(found.erasure, capture)
        if capture is not None and accounting.BROKER in parties:
            with contextlib.suppress(Unreachable):
                self._ask_broker(found, capture)
        with self._control.keystore.snapshot() as tx:
            return accounting.owing(tx, found.erasure)

    def seconds_left(self, found: rows.Erasure) -> float:
        """How long until the second purge may be done; 0 when it may, or is, or `run` must say anew."""
        if found.purge_due is None or found.step in (Step.CLEARED, Step.PURGED) or found.purge_boot != lease.boot_id():
            return 0.0
        return max(0.0, (found.purge_due - self._clock.boottime()) / lease.SECOND)

    def capture(self, erasure: bytes) -> Capture | None:
        """What is to be deleted; None when another process has deleted it and forgotten what it was."""
        return capture_of(self._control.keystore, self._custodian, erasure)

    def _first(self, erasure: bytes) -> None:
        gone = self._delete(erasure)
        with self._control.step() as tx:
            found = acts.find_erasure(tx, erasure)
            if found is not None and found.step in (Step.EFFECTIVE, Step.PURGED_ONCE):  # of two at once, each its own
                acts.update_erasure(tx, erasure, step=Step.PURGED_ONCE, rows_first=gone + (found.rows_first or 0))

    def _second(self, erasure: bytes) -> None:
        gone = self._delete(erasure)
        seen = self._seen(erasure)
        traces: list[bytes] = []
        with self._control.act(PURGE, erasure=erasure.hex()) as act:
            act.outcome["rows"] = gone
            found = acts.find_erasure(act.tx, erasure)
            if found is None or found.purge_key is None or found.capture is None:
                return  # another process came first
            secret = lineages.find_secret(act.tx, found.purge_key)
            traces = [trace(found.capture), *([trace(secret.wrapped)] if secret else [])]
            lineages.delete_secret(act.tx, found.purge_key)
            workers.forget(act.tx, before=found.generation)
            stores = {name: {"accepted": "deleted twice", "rows_seen_after": count} for name, count in seen.items()}
            acts.add_evidence(act.tx, erasure, stores=stores, purge_e=secret.e if secret else 0)
            acts.update_erasure(act.tx, erasure, step=Step.CLEARED, rows_second=gone, capture=None, purge_key=None)
        self._control.keystore.scrub(traces)

    def _delete(self, erasure: bytes) -> int:
        capture = self.capture(erasure)
        if capture is None:
            return 0
        self._purge_queues(erasure, capture)  # before the stores: a queue may still fill one
        return sum(store.delete(capture.measurements, capture.pseudonyms) for store in self._inventory.values())

    def _purge_queues(self, erasure: bytes, capture: Capture) -> None:
        """Those of this machine; others' are purged by who runs there."""
        key_ids = [KeyId(bytes.fromhex(one)) for one in capture.key_ids]
        dead = [bytes.fromhex(one) for one in capture.dead]
        for queue in self._queues.values():
            queue.purge(key_ids, dead)
        self._settle(erasure, accounting.ours())

    def _ask_broker(self, found: rows.Erasure, capture: Capture) -> None:
        """Unless it has just let another erasure wait in vain: all that are open would, one after the other."""
        if self._clock.boottime() < self._broker_rests_until:
            return
        try:
            self._clear_broker(found, capture)
        except Silent:
            self._broker_rests_until = self._clock.boottime() + int(_REST_S * lease.SECOND)
            raise

    def _clear_broker(self, found: rows.Erasure, capture: Capture) -> None:
        if self._retained is not None:
            self._retained.clear(found.controller, [DeviceId(device) for device in capture.devices])
        self._settle(found.erasure, accounting.BROKER)

    def _settle(self, erasure: bytes, party: str) -> None:
        with self._control.keystore.snapshot() as tx:
            due = any(account.party == party for account in accounting.owing(tx, erasure))
        if due:
            with self._control.step() as tx:
                accounts.settle(tx, erasure, party, how="purged", now=self._clock.wall())

    def _requests_are_over(self, erasure: bytes) -> bool:
        """Whether nothing lands any more. Where this machine was restarted meanwhile, that is counted anew."""
        found = find(self._control, erasure)
        if found.step == Step.PURGED_ONCE and found.purge_boot != lease.boot_id():
            self._put_off(found)
            found = find(self._control, erasure)
        return self.seconds_left(found) == 0

    def _put_off(self, found: rows.Erasure) -> None:
        """What workers have under way, as far as we know, may land for as long again."""
        with self._control.step() as tx:
            due = requests_over(workers.find_all(tx), now=self._clock.boottime())
            acts.update_erasure(tx, found.erasure, purge_due=due, purge_boot=lease.boot_id())

    def _seen(self, erasure: bytes) -> dict[str, int]:
        """Rows that a query finds in each store, after they were deleted. Raises Unreachable."""
        capture = self.capture(erasure)
        if capture is None:
            return {}
        return {
            kind_of(name): sum(
                1
                for measurement in capture.measurements
                for _point in store.query(measurement, capture.pseudonyms, 0, _LAST)
            )
            for name, store in self._inventory.items()
        }


def capture_of(keystore: KeyStore, custodian: Custodian, erasure: bytes) -> Capture | None:
    """See `Purging.capture`."""
    with keystore.snapshot() as tx:
        found = acts.find_erasure(tx, erasure)
        if found is None or found.purge_key is None or found.capture is None:
            return None
        lineage = customers.open_lineage(tx, custodian, found.controller)
        return Capture.decode(lineage.open_capture(tx, found.purge_key, found.capture, erasure=erasure))


def give_up_captures(tx: Transaction, custodian: Custodian, controller: Controller, *, now: int) -> int:
    """Erasures whose purge key was given up as lost go on without what it opened; how many.

    What waits in queues under their keys still goes. Which rows and topics were theirs nobody can tell any more: those
    stay, unreadable, and the certificate says so.
    """
    bare = acts.without_purge_key(tx, controller)
    lineage = customers.open_lineage(tx, custodian, controller) if bare else None
    for found in bare:
        known = tuple(str(key["key_id"]) for key in json.loads(found.evidence or "{}").get("keys", ()))
        left = Capture(devices=(), measurements=(), pseudonyms=(), key_ids=known, dead=(), traces=())
        if lineage is not None:
            fresh = lineage.add_purge_key(tx, now=now)
            sealed = lineage.seal_capture(tx, fresh, left.encode(), erasure=found.erasure)
            acts.update_erasure(tx, found.erasure, purge_key=fresh, capture=sealed)
            acts.add_evidence(tx, found.erasure, capture="lost")
            if any(account.party == accounting.BROKER for account in accounting.owing(tx, found.erasure)):
                accounts.settle(tx, found.erasure, accounting.BROKER, how="lost", now=now)
    return len(bare)


def kind_of(store: str) -> str:
    """What a certificate calls a store: what it is, and not where."""
    return store.partition(":")[0]


def find(control: Control, erasure: bytes) -> rows.Erasure:
    """One erasure as the key store has it now. Raises KeyDestroyed when there is none."""
    with control.keystore.snapshot() as tx:
        found = acts.find_erasure(tx, erasure)
    if found is None:
        message = "there is no such erasure"
        raise KeyDestroyed(message)
    return found


def note(
    control: Control,
    erasure: bytes,
    *,
    was: Step,
    evidence: Mapping[str, object] = MappingProxyType({}),
    **changes: object,
) -> None:
    """Record progress, and what it has found, unless another process has come further."""
    with control.step() as tx:
        found = acts.find_erasure(tx, erasure)
        if found is not None and found.step == was:
            acts.add_evidence(tx, erasure, **evidence)
            acts.update_erasure(tx, erasure, **changes)
