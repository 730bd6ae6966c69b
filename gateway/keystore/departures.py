"""Controllers that leave: how far each has come, and the deletion of all that was theirs."""

from __future__ import annotations

import sqlalchemy as sa

from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.keystore.schema import (
    captures,
    departures,
    fences,
    incarnations,
    keks,
    keys,
    quarantine,
    records,
    routes,
    secrets,
    suspensions,
    transitions,
)
from gateway.model.ids import Controller, KeyId


def find(tx: Transaction, controller: Controller) -> rows.Departure | None:
    """A controller's exit, if it was ever begun."""
    query = departures.select().where(departures.c.controller == controller)
    return rows.one(rows.Departure, tx.execute(query).one_or_none())


def account_of(seq: int) -> bytes:
    """What accounts of an exit stand under: its intent's sequence, where an erasure has its random id."""
    return seq.to_bytes(16, "big")


def of_account(tx: Transaction, account: bytes) -> rows.Departure | None:
    """The exit that has these accounts; None where they are an erasure's."""
    seq = int.from_bytes(account, "big")
    if seq >> 63:
        return None
    return rows.one(rows.Departure, tx.execute(departures.select().where(departures.c.seq == seq)).one_or_none())


def key_ids(tx: Transaction, controller: Controller) -> list[KeyId]:
    """Every key under which something of a controller's may wait: its customers', and those of dead letters."""
    found = list(tx.scalars(sa.select(keys.c.key_id).where(keys.c.controller == controller)))
    of_letters = (secrets.c.controller == controller, secrets.c.kind == "operations")
    return [*found, *tx.scalars(sa.select(secrets.c.key_id).where(*of_letters))]


def under_way(tx: Transaction, *, done: str) -> list[rows.Departure]:
    """Exits whose step is not `done`, oldest first."""
    query = departures.select().where(departures.c.step != done).order_by(departures.c.seq)
    return rows.many(rows.Departure, tx.execute(query))


def begin(tx: Transaction, departure: rows.Departure) -> None:
    """From here on the lineage is opened by nobody."""
    tx.execute(departures.insert(), rows.values([departure]))


def update(tx: Transaction, controller: Controller, **changes: object) -> None:
    """Note progress."""
    tx.execute(departures.update().where(departures.c.controller == controller).values(**changes))


def delete_all(tx: Transaction, controller: Controller, *, now: int) -> None:
    """Everything of a controller that opens or leads to anything. Rows of keys stay, without their material."""
    whose = sa.select(incarnations.c.incarnation).where(incarnations.c.controller == controller)
    living = (keys.c.controller == controller, keys.c.wrapped.is_not(None))
    for state in ("erasing", "destroyed"):
        moved = sa.select(keys.c.key_id, sa.literal(state), sa.literal(now, sa.BigInteger)).where(*living)
        tx.execute(transitions.insert().from_select(["key_id", "state", "at"], moved))
    tx.execute(keys.update().where(*living).values(wrapped=None, commitment=None, state="destroyed"))
    tx.execute(records.delete().where(records.c.incarnation.in_(whose)))
    for table in (routes, secrets, keks, fences, captures, quarantine):
        tx.execute(table.delete().where(table.c.controller == controller))
    tx.execute(suspensions.delete().where(suspensions.c.scope == controller))
