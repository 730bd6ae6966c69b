"""Controllers: one is added, and one leaves. It loses its whole lineage, and with it everything of its customers.

    add    a lineage at e = 1, before anybody is enrolled
    exit   1. intent; one transaction: the controller is marked as leaving, generation + 1
           2. every worker has acknowledged: its keys are in no process
           3. one transaction: wrapped keys, KEKs, secrets, routes, records and fences deleted
           4. every W of the controller destroyed at the custodian, reports recorded; outcome

After step 4 no copy of the key store, of whatever age, opens anything of it. Nothing crosses controllers: each has a
lineage of its own, and a key or a hash of one is of no use for another. Rows in the stores stay, unreadable, until they
are dropped there: the names under which they stand can no longer be computed by anyone. Repeating converges.
"""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass

from gateway.control import customer as customers
from gateway.control.letting_go import LettingGo
from gateway.control.purge import Step
from gateway.control.role import EXIT, Control
from gateway.errors import Refused
from gateway.keys.custodian import Custodian, Destruction
from gateway.keys.lineage import Lineage
from gateway.keystore import acts, departures, lineages, rows, turnovers, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller
from gateway.policy.rules import Policy, horizon_epoch

_PAUSE_S = 0.01


class Leaving(enum.StrEnum):
    """How far a controller's exit has come."""

    MARKED = "marked"
    DELETED = "deleted"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What came of an exit. `residue` is what may still hold a wrapping key, in the custodian's words."""

    controller: Controller
    keys: int
    wrappings: int
    attested: bool
    residue: str


class Controllers:
    """Over one key store, its ledger and custodian."""

    def __init__(self, control: Control, custodian: Custodian, policy: Policy) -> None:
        self._control = control
        self._keystore = control.keystore
        self._custodian = custodian
        self._policy = policy
        self._letting_go = LettingGo(control.keystore, control.clock)

    def add(self, controller: Controller) -> None:
        """A new lineage. Raises Refused for one that is there, KeyDestroyed for one that has left."""
        with self._keystore.snapshot() as tx:
            if Lineage.load(tx, self._custodian, controller) is not None:
                message = "this controller is there already"
                raise Refused(message, hint="`glomska keys status` shows it")
        with self._control.act("controller", controller=controller) as act:
            now = self._control.clock.wall()
            classes = {name: horizon_epoch(self._policy, name, now) for name in self._policy.key_classes}
            Lineage.create(act.tx, self._custodian, controller, classes=classes, now=now)

    def exit(self, controller: Controller) -> Gone:
        """All four steps, from wherever they stand.

        Raises:
            UnknownSubject: there is no such controller.
            Refused: a turnover of it is under way.
            CustodianFault, Unreachable: what was done so far stands; repeat.
        """
        with self._keystore.snapshot() as tx:
            found = departures.find(tx, controller)
        if found is None:
            self._mark(controller)
        while True:
            with self._keystore.snapshot() as tx:
                found = departures.find(tx, controller)
            if found is None or found.step == Leaving.GONE:
                break
            if found.step == Leaving.MARKED and self._letting_go.of(found.generation) is None:
                time.sleep(_PAUSE_S)
            elif found.step == Leaving.MARKED:
                self._delete(controller)
            else:
                self._destroy(controller)
        return self._conclude(controller)

    def _mark(self, controller: Controller) -> None:
        with self._keystore.snapshot() as tx:
            customers.open_lineage(tx, self._custodian, controller)
            _require_still(tx, controller)
        with self._control.begin(EXIT, controller=controller) as act:
            _require_still(act.tx, controller)
            row = rows.Departure(
                controller=controller,
                seq=act.seq,
                step=Leaving.MARKED,
                generation=workers.raise_generation(act.tx),
                requested=self._control.clock.wall(),
                effective=None,
                keys=sum(lineages.count_states(act.tx, controller).values()),
            )
            departures.begin(act.tx, row)

    def _delete(self, controller: Controller) -> None:
        with self._control.step() as tx:
            now = self._control.clock.wall()
            departures.delete_all(tx, controller, now=now)
            departures.update(tx, controller, step=Leaving.DELETED, effective=now)

    def _destroy(self, controller: Controller) -> None:
        with self._keystore.snapshot() as tx:
            alive = range(lineages.oldest_e(tx, controller), (lineages.current_e(tx, controller) or 0) + 1)
        reports: dict[int, Destruction] = {e: self._custodian.destroy(controller, e) for e in alive}
        now = self._control.clock.wall()
        with self._control.step() as tx:
            for e, report in reports.items():
                wrapping = rows.Wrapping(
                    controller=controller,
                    e=e,
                    custodian=report.kind,
                    attested=int(report.attested),
                    residue=report.residue,
                    destroyed=now,
                )
                lineages.add_wrapping(tx, wrapping)
            departures.update(tx, controller, step=Leaving.GONE)

    def _conclude(self, controller: Controller) -> Gone:
        with self._keystore.snapshot() as tx:
            found = departures.find(tx, controller)
            reports = lineages.find_wrappings(tx, controller)
        newest = reports[max(reports)]
        gone = Gone(
            controller=controller,
            keys=found.keys if found else 0,
            wrappings=len(reports),
            attested=bool(newest.attested),
            residue=newest.residue,
        )
        if found is not None:
            self._control.conclude(
                EXIT,
                found.seq,
                keys=gone.keys,
                wrappings=gone.wrappings,
                custodian=newest.custodian,
                residue=gone.residue,
            )
        return gone


def _require_still(tx: Transaction, controller: Controller) -> None:
    """What is under way needs the lineage to end. Raises Refused."""
    if turnovers.unfinished(tx, controller) is not None:
        message = "a turnover of this controller is under way"
        raise Refused(message, hint="`glomska keys turnover --controller NAME` finishes it; then repeat")
    if any(found.controller == controller for found in acts.open_erasures(tx, done=Step.PURGED)):
        message = "erasures of this controller's customers are under way"
        raise Refused(message, hint="`glomska erasures resume` finishes them; then repeat")
