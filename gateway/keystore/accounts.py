"""Who may still hold something of an erased customer, and what a law keeps: accounts and holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.keystore.schema import accounts, holds
from gateway.model.ids import Controller, KeyId


def open_accounts(tx: Transaction, new: Sequence[rows.Account]) -> None:
    """All who are asked by an erasure."""
    if new:
        tx.execute(accounts.insert(), rows.values(new))


def of_erasure(tx: Transaction, erasure: bytes) -> list[rows.Account]:
    """Accounts of one erasure, in a stable order."""
    query = accounts.select().where(accounts.c.erasure == erasure).order_by(accounts.c.kind, accounts.c.party)
    return rows.many(rows.Account, tx.execute(query))


def owed_by(tx: Transaction, party: str) -> list[bytes]:
    """Erasures and exits that wait for one party."""
    query = sa.select(accounts.c.erasure).where(accounts.c.party == party, accounts.c.how == "waiting")
    return list(tx.scalars(query.order_by(accounts.c.erasure)))


def settle(tx: Transaction, erasure: bytes, party: str, *, how: str, now: int) -> bool:
    """Note how one is accounted for; False when there is no such account."""
    place = (accounts.c.erasure == erasure, accounts.c.party == party)
    return bool(tx.execute(accounts.update().where(*place).values(how=how, at=now)).rowcount)


def add_holds(tx: Transaction, new: Sequence[rows.Hold]) -> None:
    """Keys that stay."""
    if new:
        tx.execute(holds.insert(), rows.values(new))


def holds_of(tx: Transaction, erasure: bytes) -> list[rows.Hold]:
    """What a law keeps of an erased customer, also what it kept."""
    return rows.many(
        rows.Hold, tx.execute(holds.select().where(holds.c.erasure == erasure).order_by(holds.c.key_class))
    )


def holds_due(tx: Transaction, controller: Controller, *, now: int) -> list[rows.Hold]:
    """Holds whose date has come and that nobody has ended."""
    due = (holds.c.controller == controller, holds.c.until <= now, holds.c.released.is_(None))
    return rows.many(rows.Hold, tx.execute(holds.select().where(*due).order_by(holds.c.until)))


def open_holds(tx: Transaction, controller: Controller) -> dict[str, int]:
    """How many keys laws still keep of a controller's erased customers, by class."""
    still = (holds.c.controller == controller, holds.c.released.is_(None))
    query = sa.select(holds.c.key_class, sa.func.count().label("n")).where(*still).group_by(holds.c.key_class)
    return {row.key_class: int(row.n) for row in tx.execute(query.order_by(holds.c.key_class))}


def ended_holds(tx: Transaction, by: bytes) -> list[rows.Hold]:
    """Holds that one erasure or exit has ended, in a stable order."""
    query = holds.select().where(holds.c.released == by).order_by(holds.c.key_class, holds.c.law, holds.c.until)
    return rows.many(rows.Hold, tx.execute(query))


def drop_holds(tx: Transaction, lost: Collection[KeyId]) -> None:
    """Keys that were given up as lost are kept by no law."""
    for key_id in lost:
        tx.execute(holds.delete().where(holds.c.key_id == key_id))


def release_all(tx: Transaction, controller: Controller, *, account: bytes) -> None:
    """This exit ends every hold that nothing has ended before."""
    still = (holds.c.controller == controller, holds.c.released.is_(None))
    tx.execute(holds.update().where(*still).values(released=account))


def release(tx: Transaction, key_id: KeyId, *, erasure: bytes) -> None:
    """This erasure ends the hold."""
    tx.execute(holds.update().where(holds.c.key_id == key_id).values(released=erasure))
