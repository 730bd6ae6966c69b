"""Series whose epoch has left retention: captured while their names can be computed, then deleted from the stores.

Once a horizon has moved and every worker knows, nothing is sealed into the epochs before it. Their pseudonyms are
gathered, some customers at a time, and sealed under a purge key; only then may the ratchet pass over them, after which
nobody can compute them. Rows are deleted from every store at once, and again when the longest request that a worker may
have had under way is over. Then captures and purge key go.

A worker that is stopped with its request at hand may go on when the pass is over, and what it had sealed lands then.
The pass does not wait for it: captures and purge key are kept, and rows are deleted for the second time once it has let
go or has ended, or an erasure that asked for it has accounted for it (`control.accounting`). Of one on another machine
that never returns, only an operator can tell: `declare_lost`.

What a customer with a damaged key had in those epochs is not found; it stays in the store, unreadable.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from gateway.control import customer as customers
from gateway.control.accounting import DECLARE
from gateway.control.letting_go import LettingGo, behind
from gateway.control.pages import Step
from gateway.control.purge import Eraser
from gateway.control.role import Control
from gateway.errors import Unreachable, UsageFault, VerificationFailed
from gateway.keys import lease
from gateway.keys.capture import Capture, expired_series
from gateway.keys.custodian import Custodian
from gateway.keystore import lineages, rows, subjects, turnovers, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, Incarnation, KeyEpoch, new_id

_CUSTOMERS = 250  # a page
_NAMED = "`glomska keys status` names those that are waited for"
_WAIT_HERE = (Step.BEGUN, Step.RELEASED, Step.CAPTURED, Step.PURGED_ONCE)


class Expiry:
    """Step 2 of a turnover."""

    def __init__(
        self, control: Control, custodian: Custodian, inventory: Mapping[str, Eraser], letting_go: LettingGo
    ) -> None:
        self._control = control
        self._keystore = control.keystore
        self._clock = control.clock
        self._custodian = custodian
        self._inventory = inventory
        self._letting_go = letting_go

    def moved(self, found: rows.Turnover) -> dict[str, KeyEpoch]:
        """The horizons that moved in this pass, which is what its time was noted for."""
        controller = found.controller
        with self._control.keystore.snapshot() as tx:
            stored, moved_at = lineages.find_horizons(tx, controller), lineages.horizons_moved(tx, controller)
        return {name: stored[name] for name in stored if moved_at[name] == found.started}

    def capture_page(self, found: rows.Turnover, moved: Mapping[str, KeyEpoch]) -> bool:
        """Some customers' expiring series; False when there are no more."""
        with self._control.step() as tx:
            now = turnovers.find(tx, found.controller, found.e)
            if now.step != found.step:
                return True  # another process has come further: look again
            page = turnovers.expiring(tx, found.controller, moved, after=now.cursor, limit=_CUSTOMERS)
            if not page:
                return False
            lineage = customers.open_lineage(tx, self._custodian, found.controller)
            purge_key = now.purge_key or lineage.add_purge_key(tx, now=self._clock.wall())
            key_rows: dict[Incarnation, list[rows.Key]] = {}
            for row in subjects.find_keys(tx, page):
                key_rows.setdefault(row.incarnation, []).append(row)
            names: list[str] = []
            for incarnation, found_rows in key_rows.items():
                names += expired_series(tx, lineage, incarnation, found_rows, moved)
            capture = Capture(
                devices=(), measurements=tuple(moved), pseudonyms=tuple(names), key_ids=(), dead=(), traces=()
            )
            name = new_id()
            turnovers.add_capture(tx, found, name, lineage.seal_capture(tx, purge_key, capture.encode(), erasure=name))
            turnovers.update(tx, found, cursor=page[-1], purge_key=purge_key)
            return True

    def purge_once(self, found: rows.Turnover) -> bool:
        """Delete from every store what was captured, and note when it may be done again.

        False where the pass has not to wait for that: nothing is captured, or a worker is behind.
        """
        with self._keystore.snapshot() as tx:
            captured = turnovers.capture_ids(tx, found)
        if not captured:
            return False
        gone = self._delete(found)
        due = None if self._letting_go.left_behind(found.generation) else self._letting_go.requests_over()
        with self._control.step() as tx:
            if turnovers.find(tx, found.controller, found.e).step == found.step:
                turnovers.count(tx, found, expired=gone)
                turnovers.update(tx, found, purge_due=due, purge_boot=lease.boot_id())
        return due is not None

    def requests_are_over(self, found: rows.Turnover) -> bool:
        """Whether the second purge may be done. Where this machine was restarted meanwhile, that is counted anew."""
        due = found.purge_due
        if due is None or found.purge_boot != lease.boot_id():
            due = self._letting_go.requests_over()
            with self._control.step() as tx:
                if turnovers.find(tx, found.controller, found.e).step == found.step:
                    turnovers.update(tx, found, purge_due=due, purge_boot=lease.boot_id())
        return self._clock.boottime() >= due

    def purge_again(self, found: rows.Turnover) -> None:
        """The second purge; then what was to be deleted is forgotten."""
        gone = self._delete(found)
        with self._control.step() as tx:
            now = turnovers.find(tx, found.controller, found.e)
            if now.step == found.step and now.purge_key is not None:
                turnovers.count(tx, found, expired=gone)
                turnovers.drop_captures(tx, found)
                lineages.delete_secret(tx, now.purge_key)
                turnovers.update(tx, found, purge_key=None)

    def waiting(self, tx: Transaction) -> list[rows.Turnover]:
        """Passes that went on without their second purge."""
        return _waiting(tx)

    def catch_up(self, controller: Controller) -> None:
        """The second purge of those of a controller, as far as it can be done now."""
        with self._keystore.snapshot() as tx:
            waiting = [found for found in self.waiting(tx) if found.controller == controller]
        with contextlib.suppress(Unreachable, VerificationFailed):  # a store; a key, which the next pass sets aside
            for found in waiting:
                if not self._letting_go.left_behind(found.generation) and self.requests_are_over(found):
                    self.purge_again(found)

    def _delete(self, found: rows.Turnover) -> int:
        return sum(
            store.delete(capture.measurements, capture.pseudonyms)
            for capture in self._captured(found)
            for store in self._inventory.values()
        )

    def _captured(self, found: rows.Turnover) -> Iterator[Capture]:
        with self._keystore.snapshot() as tx:
            names = turnovers.capture_ids(tx, found)
        for name in names:
            with self._keystore.snapshot() as tx:
                sealed = turnovers.find_capture(tx, name)
                purge_key = turnovers.find(tx, found.controller, found.e).purge_key
                if sealed is None or purge_key is None:
                    return  # another process has finished with it
                lineage = customers.open_lineage(tx, self._custodian, found.controller)
                plain = lineage.open_capture(tx, purge_key, sealed, erasure=name)
            yield Capture.decode(plain)


def held_up_by(tx: Transaction, controller: Controller) -> list[rows.Worker]:
    """Workers for which a controller's expired months are not forgotten yet: they may bring something of them."""
    late = (
        worker for found in _waiting(tx) if found.controller == controller for worker in behind(tx, found.generation)
    )
    return list({worker.worker: worker for worker in late}.values())


def declare_lost(control: Control, worker: str) -> None:
    """An operator's word that a worker will never go on, so that no expired month waits for it.

    Erasures that wait for it too ask for a word of their own, which their certificates say.

    Raises:
        UsageFault: nothing that expired waits for a worker of that id.
    """
    with control.keystore.snapshot() as tx:
        newest = _waits_for(tx, worker)
    with control.act(DECLARE, party=worker) as act:
        if not workers.lose(act.tx, bytes.fromhex(worker), before=newest):
            raise UsageFault("this worker has just gone on: nothing waits for it", hint=_NAMED)


def _waits_for(tx: Transaction, worker: str) -> int:
    """The newest generation that is waited for. Raises UsageFault."""
    late = [
        found.generation for found in _waiting(tx) for one in behind(tx, found.generation) if one.worker.hex() == worker
    ]
    if not late:
        raise UsageFault("nothing that expired waits for a worker of that id", hint=_NAMED)
    return max(late)


def _waiting(tx: Transaction) -> list[rows.Turnover]:
    return turnovers.with_captures(tx, but=_WAIT_HERE)
