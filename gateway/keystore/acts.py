"""What the control role writes: its fencing token, the ledger sequences it knows, erasures, and the access log."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from gateway.errors import Refused
from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.keystore.schema import accesses, acts, erasures, secrets, state
from gateway.model.ids import Controller, Incarnation

_GROUP = 500  # bound parameters a statement


def take_role(tx: Transaction, ledger: bytes) -> int:
    """The control role for this transaction; its fencing token.

    Raises:
        Refused: this key store belongs to another ledger.
    """
    owner = tx.scalars(sa.select(state.c.ledger)).one()
    if owner is not None and owner != ledger:
        message = "this key store's acts are in another ledger than the one configured"
        raise Refused(message, hint="set ledger.path to the ledger that belongs to this key store")
    tx.execute(state.update().values(ledger=ledger, token=state.c.token + 1))
    return int(tx.scalars(sa.select(state.c.token)).one())


def known_ledger(tx: Transaction) -> bytes | None:
    """Id of the ledger that this key store's acts are in, or None before the first act."""
    found: bytes | None = tx.scalars(sa.select(state.c.ledger)).one()
    return found


def record_intent(tx: Transaction, *, seq: int, act: str, now: int) -> None:
    """This key store has taken part in the act with this ledger sequence.

    What the newest one before it had to say is in the ledger by now, and goes from here.
    """
    tx.execute(acts.update().where(acts.c.seq == newest_known(tx)).values(outcome=None))
    tx.execute(acts.insert().values(seq=seq, act=act, at=now))


def note_outcome(tx: Transaction, seq: int, outcome: Mapping[str, object]) -> None:
    """What the ledger is to say of the act, should this process end before it does."""
    tx.execute(acts.update().where(acts.c.seq == seq).values(outcome=json.dumps(outcome)))


def find_all(tx: Transaction, sequences: Collection[int]) -> dict[int, tuple[str, dict[str, Any]]]:
    """Of those of these acts that reached the key store: name, and what was noted that the ledger is to say of it.

    Nothing of one that an earlier version began, or that others have followed.
    """
    ordered, found = sorted(sequences), dict[int, tuple[str, dict[str, Any]]]()
    for at in range(0, len(ordered), _GROUP):
        query = sa.select(acts.c.seq, acts.c.act, acts.c.outcome).where(acts.c.seq.in_(ordered[at : at + _GROUP]))
        found |= {row.seq: (row.act, json.loads(row.outcome or "{}")) for row in tx.execute(query)}
    return found


def find_outcome(tx: Transaction, seq: int) -> dict[str, Any]:
    """What was noted of one act: see `find_all`."""
    return find_all(tx, [seq]).get(seq, ("", {}))[1]


def find_act(tx: Transaction, seq: int) -> str | None:
    """Name of the act with this ledger sequence, or None when it did not reach the key store."""
    found: str | None = tx.scalars(sa.select(acts.c.act).where(acts.c.seq == seq)).one_or_none()
    return found


def unknown(tx: Transaction, sequences: Collection[int]) -> set[int]:
    """Those of these acts that did not reach the key store."""
    found: set[int] = set()
    ordered = sorted(sequences)
    for at in range(0, len(ordered), _GROUP):
        found.update(tx.scalars(sa.select(acts.c.seq).where(acts.c.seq.in_(ordered[at : at + _GROUP]))))
    return {*sequences} - found


def newest_known(tx: Transaction) -> int:
    """The highest ledger sequence that the key store knows; -1 for none."""
    found = tx.scalars(sa.select(sa.func.max(acts.c.seq))).one()
    return -1 if found is None else int(found)


def add_erasure(tx: Transaction, erasure: rows.Erasure) -> None:
    """A new erasure."""
    tx.execute(erasures.insert(), rows.values([erasure]))


def update_erasure(tx: Transaction, erasure: bytes, **changes: object) -> None:
    """Note progress."""
    tx.execute(erasures.update().where(erasures.c.erasure == erasure).values(**changes))


def find_erasure(tx: Transaction, erasure: bytes) -> rows.Erasure | None:
    """One erasure."""
    return rows.one(rows.Erasure, tx.execute(erasures.select().where(erasures.c.erasure == erasure)).one_or_none())


def erasure_of(tx: Transaction, incarnation: Incarnation) -> rows.Erasure | None:
    """The first erasure of an incarnation, if it was ever begun; a later one ends a legal hold."""
    query = erasures.select().where(erasures.c.incarnation == incarnation).order_by(erasures.c.seq).limit(1)
    return rows.one(rows.Erasure, tx.execute(query).one_or_none())


def open_erasures(tx: Transaction, *, done: str) -> list[rows.Erasure]:
    """Erasures whose step is not `done`, oldest first."""
    query = erasures.select().where(erasures.c.step != done).order_by(erasures.c.seq)
    return rows.many(rows.Erasure, tx.execute(query))


def erased_since(tx: Transaction, generation: int) -> dict[int, Incarnation]:
    """By each later generation that an erasure raised, and so nothing else did: whom it began on.

    One without evidence was brought back by a recovery, and raised none here.
    """
    raised = (erasures.c.generation > generation, erasures.c.evidence.is_not(None))
    query = sa.select(erasures.c.generation, erasures.c.incarnation).where(*raised)
    return {row.generation: Incarnation(row.incarnation) for row in tx.execute(query)}


def all_erasures(tx: Transaction) -> list[rows.Erasure]:
    """Every erasure, oldest first."""
    return rows.many(rows.Erasure, tx.execute(erasures.select().order_by(erasures.c.seq)))


def uncertified(tx: Transaction) -> list[rows.Erasure]:
    """Effective erasures whose first certificate is not known to be written."""
    lacks = (erasures.c.effective.is_not(None), erasures.c.evidence.is_not(None), erasures.c.certified.is_(None))
    return rows.many(rows.Erasure, tx.execute(erasures.select().where(*lacks).order_by(erasures.c.seq)))


def not_final(tx: Transaction, controller: Controller, *, purged: str) -> list[rows.Erasure]:
    """A controller's erasures that are purged and certified, and not final with a certificate of that."""
    of = (erasures.c.controller == controller, erasures.c.step == purged, erasures.c.certified.is_not(None))
    query = erasures.select().where(*of, erasures.c.certified_final.is_(None)).order_by(erasures.c.seq)
    return rows.many(rows.Erasure, tx.execute(query))


def add_evidence(tx: Transaction, erasure: bytes, **more: object) -> None:
    """What a step has found, for the certificates; members of a name that is there already are put together."""
    found = tx.scalars(sa.select(erasures.c.evidence).where(erasures.c.erasure == erasure)).one_or_none()
    if found is None:
        return  # of an earlier version
    known = json.loads(found)
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(known.get(name), dict)
        known[name] = known[name] | value if both else value
    tx.execute(erasures.update().where(erasures.c.erasure == erasure).values(evidence=json.dumps(known)))


def without_purge_key(tx: Transaction, controller: Controller) -> list[rows.Erasure]:
    """A controller's erasures whose purge key is not there, and with it nothing that they were still to delete."""
    bare = (erasures.c.purge_key.is_not(None), erasures.c.purge_key.not_in(sa.select(secrets.c.key_id)))
    query = erasures.select().where(erasures.c.controller == controller, *bare)
    return rows.many(rows.Erasure, tx.execute(query.order_by(erasures.c.seq)))


def access_head(tx: Transaction) -> bytes:
    """Hash of the newest access log entry; 32 zero bytes before the first."""
    found: bytes = tx.scalars(sa.select(state.c.access_head)).one()
    return found


def add_access(  # noqa: PLR0913 - the columns of an entry
    tx: Transaction,
    *,
    at: int,
    purpose: str,
    controller: Controller,
    incarnation: Incarnation,
    starts: int,
    ends: int,
    readings: int,
    entry_hash: bytes,
) -> None:
    """One entry of the access log, which the ledger anchors by its head."""
    tx.execute(
        accesses.insert().values(
            at=at,
            purpose=purpose,
            controller=controller,
            incarnation=incarnation,
            starts=starts,
            ends=ends,
            readings=readings,
            hash=entry_hash,
        )
    )
    tx.execute(state.update().values(access_head=entry_hash))
