"""What `keys status` tells of each controller: e, key states, months kept and when they go, what is open or waits."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.control.expiry import held_up_by
from gateway.control.guard import goes
from gateway.keystore import lineages, turnovers
from gateway.keystore.database import KeyStore, Transaction
from gateway.model.ids import Controller, KeyEpoch
from gateway.policy.rules import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The oldest readable epoch of a class, and when (ns) it goes; None where it never does."""

    key_class: str
    epoch: KeyEpoch
    goes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One controller. Times in ns; `next_turnover` is None where none is scheduled.

    `waits_for` are workers, by id, for which expired months are not forgotten: what they bring is to be deleted yet.
    """

    controller: Controller
    e: int
    keys: dict[str, int]
    months: tuple[Month, ...]
    next_turnover: int | None
    step: str | None
    quarantined: int
    suspended: bool
    waits_for: tuple[str, ...]


def status(keystore: KeyStore, policy: Policy, *, every_h: float) -> list[Status]:
    """Every controller that has not left, by name. Opens no key. Raises Unreachable."""
    with keystore.snapshot() as tx:
        return [_status(tx, controller, policy, every_h) for controller in lineages.all_controllers(tx)]


def _status(tx: Transaction, controller: Controller, policy: Policy, every_h: float) -> Status:
    newest = turnovers.newest(tx, controller)
    begun = lineages.created(tx, controller) if newest is None else newest.started
    moved = lineages.horizons_moved(tx, controller)
    months = [
        Month(key_class=name, epoch=epoch, goes=goes(policy, name, epoch, moved[name]))
        for name, epoch in sorted(lineages.find_horizons(tx, controller).items())
    ]
    return Status(
        controller=controller,
        e=lineages.current_e(tx, controller) or 0,
        keys=lineages.count_states(tx, controller),
        months=tuple(months),
        next_turnover=begun + int(every_h * 3600 * 10**9) if every_h else None,
        step=None if newest is None or newest.finished is not None else newest.step,
        quarantined=len(turnovers.quarantined(tx, controller)),
        suspended=lineages.is_suspended(tx, controller),
        waits_for=tuple(worker.worker.hex() for worker in held_up_by(tx, controller)),
    )
