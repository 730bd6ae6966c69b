"""Suspension: keys that seal and open nothing but dead letters until an operator resumes them.

A customer is suspended by the states of their keys; a controller, or everything, by one row that every look-up sees, so
that it takes no longer for a million keys than for one. All of it is in the ledger. Workers learn of it with the next
generation: `in_force` says whether each has, or has lost its lease.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from gateway.control import customer as customers
from gateway.control.letting_go import LettingGo
from gateway.control.role import Control
from gateway.errors import Refused
from gateway.keys.custodian import Custodian
from gateway.keys.lifecycle import KeyState, move
from gateway.keystore import lineages, subjects, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, CustomerId, Incarnation

SUSPEND, RESUME = "suspend", "resume"
_PATIENCE_S = 1.0
_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """What was done. `changed` is false where it held already."""

    changed: bool
    in_force: bool


class Suspensions:
    """Suspend and resume, over one key store and its ledger."""

    def __init__(self, control: Control, custodian: Custodian) -> None:
        self._control = control
        self._custodian = custodian
        self._letting_go = LettingGo(control.keystore, control.clock)

    def suspend(self, controller: Controller | None, customer: CustomerId | None = None) -> Suspended:
        """A customer, a controller, or with neither everything. Raises UnknownSubject, KeyDestroyed."""
        return self._turn(SUSPEND, controller, customer)

    def resume(self, controller: Controller | None, customer: CustomerId | None = None) -> Suspended:
        """The same, taken back. What is suspended twice, as a customer and with everything, is resumed twice."""
        return self._turn(RESUME, controller, customer)

    def _turn(self, act: str, controller: Controller | None, customer: CustomerId | None) -> Suspended:
        if controller is not None and customer is not None:
            changed = self._customer(act, controller, customer)
        else:
            changed = self._scope(act, controller)
        return Suspended(changed=changed, in_force=self._in_force())

    def _scope(self, name: str, controller: Controller | None) -> bool:
        if controller is not None:
            with self._control.keystore.snapshot() as tx:
                customers.open_lineage(tx, self._custodian, controller)
        with self._control.act(name, scope=controller or "everything") as act:
            now = self._control.clock.wall()
            if name == SUSPEND:
                changed = lineages.suspend(act.tx, controller or "", now=now)
            else:
                changed = lineages.resume(act.tx, controller or "")
            workers.raise_generation(act.tx)
        return changed

    def _customer(self, name: str, controller: Controller, customer: CustomerId) -> bool:
        with self._control.keystore.snapshot() as tx:
            lineage = customers.open_lineage(tx, self._custodian, controller)
            incarnation = customers.find_incarnation(tx, lineage, customer)
        with self._control.act(name, incarnation=incarnation.hex()) as act:
            moved = self._move(act.tx, name, incarnation)
            workers.raise_generation(act.tx)
        return bool(moved)

    def _move(self, tx: Transaction, name: str, incarnation: Incarnation) -> int:
        was, to = (KeyState.ACTIVE, KeyState.SUSPENDED) if name == SUSPEND else (KeyState.SUSPENDED, KeyState.ACTIVE)
        found = [key for key in customers.living_keys(tx, incarnation) if key.state == was]
        for key in found:
            subjects.move_key(tx, key.key_id, state=move(was, to), now=self._control.clock.wall())
        return len(found)

    def _in_force(self) -> bool:
        """Whether every worker has let go, waited for a second at most."""
        with self._control.keystore.snapshot() as tx:
            generation = workers.generation(tx)
        deadline = time.monotonic() + _PATIENCE_S
        while self._letting_go.of(generation) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_S)
        return True


def require_active(tx: Transaction, incarnation: Incarnation) -> None:
    """Raises Refused for a customer who is suspended, KeyDestroyed for one who is erased."""
    if any(key.state == KeyState.SUSPENDED for key in customers.living_keys(tx, incarnation)):
        message = "this customer is suspended"
        raise Refused(message, hint="`glomska keys resume` first")
