"""Rekey: a new version of a customer's keys, where the present one is suspected to be known to others.

The new version is valid from an event time that no worker can have sealed yet: now, the future window, and the longest
lease, after which every worker has either learned of it or lost its lease. So each event time has exactly one version,
and a redelivery seals as it did before. The version before becomes `compromised`: it opens what was sealed, and seals
what belongs to times before the new one. Records of class `identity` are sealed anew in the same transaction.

A class whose key was given up as lost gets one that is valid at once, and for all event times.

It does not protect what was sealed before: who has the old key and a copy of the store reads that. Erasure does.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.control import customer as customers
from gateway.control.role import Control
from gateway.control.suspension import require_active
from gateway.errors import Refused
from gateway.keys import lease
from gateway.keys.custodian import Custodian
from gateway.keys.lifecycle import KeyState, move
from gateway.keys.lineage import IDENTITY, Lineage
from gateway.keys.subject import open_subject
from gateway.keystore import rows, subjects, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, CustomerId, Incarnation

REKEY = "rekey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeyed:
    """The event time (ns) from which the new versions are valid, and the classes that have one."""

    valid_from: int
    classes: tuple[str, ...]


def rekey(  # noqa: PLR0913
    control: Control, custodian: Custodian, controller: Controller, customer: CustomerId, *, window_s: int, lease_s: int
) -> Rekeyed:
    """A new version of each of a customer's keys, valid from after the future window and the longest lease (s).

    Raises:
        UnknownSubject, KeyDestroyed: there is nobody to rekey, or nobody any more.
        Refused: the customer is suspended, or a rekey is not over yet.
        VerificationFailed: a record or key does not open; nothing was changed.
    """
    with control.keystore.snapshot() as tx:
        lineage = customers.open_lineage(tx, custodian, controller)
        incarnation = customers.find_incarnation(tx, lineage, customer)
    with control.act(REKEY, incarnation=incarnation.hex()) as act:
        lineage.hold(act.tx)
        require_active(act.tx, incarnation)
        now = control.clock.wall()
        longest = max([lease_s * lease.SECOND, *(worker.lease for worker in workers.find_all(act.tx))])
        ahead = window_s * lease.SECOND + int(longest * lease.EXTRA)
        valid_from = (now + ahead) // lease.SECOND * lease.SECOND + lease.SECOND
        classes = _new_versions(act.tx, lineage, incarnation, now=now, valid_from=valid_from)
        workers.raise_generation(act.tx)
        act.outcome["classes"] = classes
        act.outcome["valid_from"] = str(valid_from)
    return Rekeyed(valid_from=valid_from, classes=tuple(classes))


def _new_versions(
    tx: Transaction, lineage: Lineage, incarnation: Incarnation, *, now: int, valid_from: int
) -> list[str]:
    key_rows = customers.living_keys(tx, incarnation)
    if any(key.state == KeyState.PRE_ACTIVATION and key.valid_from > now for key in key_rows):
        message = (
            "the last rekey of this customer is not over yet: its keys are valid from a time that is still to come"
        )
        raise Refused(message, hint="repeat it in some minutes")
    subject = open_subject(lineage, incarnation, key_rows)
    newest = {key.key_class: key for key in key_rows}
    left = {key.key_class: key for key in key_rows if key.state != KeyState.DESTROYED}
    for name, key in newest.items():
        state, since = (KeyState.PRE_ACTIVATION, valid_from) if name in left else (KeyState.ACTIVE, 0)
        if name == IDENTITY:
            state, since = KeyState.ACTIVE, now
        row, fresh = lineage.mint_version(incarnation, name, version=key.version + 1, valid_from=since, state=state)
        if name == IDENTITY:
            for record in subjects.all_records(tx, incarnation):
                subjects.reseal_record(tx, subject.resealed(record, fresh))
        if name in left:
            _retire(tx, left[name], now=now)
        subjects.add_keys(tx, [row], now=now)
    return sorted(newest)


def _retire(tx: Transaction, key: rows.Key, *, now: int) -> None:
    state = KeyState(key.state)
    if state is KeyState.COMPROMISED:  # its successor was lost when the key store was set back
        return
    if state is KeyState.PRE_ACTIVATION:  # its time had come, and no pass has noted it yet
        subjects.move_key(tx, key.key_id, state=(state := move(state, KeyState.ACTIVE)), now=key.valid_from)
    subjects.move_key(tx, key.key_id, state=move(state, KeyState.COMPROMISED), now=now)
