"""What the key store holds about customers: incarnations, keys, routes, records, fences. All bytes, all opaque here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from gateway.errors import IntegrityStop
from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.keystore.schema import fences, horizons, incarnations, keys, records, routes, suspensions, transitions
from gateway.keystore.workers import raise_generation
from gateway.model.ids import Controller, Incarnation, KeyEpoch, KeyId, RouteId

T = TypeVar("T")
_GROUP = 500  # bound parameters a statement
_STREAMED = 5_000  # rows in memory, of very many


def add_incarnation(tx: Transaction, incarnation: Incarnation, *, controller: Controller, now: int) -> None:
    """A new life of a customer."""
    tx.execute(incarnations.insert().values(incarnation=incarnation, controller=controller, created=now))


def add_keys(tx: Transaction, minted: Sequence[rows.Key], *, now: int) -> None:
    """New keys. A key id that ever existed cannot be added again: destroyed rows stay. Raises IntegrityStop."""
    try:
        tx.execute(keys.insert(), rows.values(minted))
    except sa.exc.IntegrityError:
        message = "a key id or key version exists already, so this key was not added"
        raise IntegrityStop(message, hint="destroyed keys are never brought back under their id") from None
    tx.execute(transitions.insert(), [{"key_id": k.key_id, "state": k.state, "at": now} for k in minted])


def find_keys(tx: Transaction, wanted: Collection[Incarnation]) -> list[rows.Key]:
    """All keys of these incarnations, by class and version."""
    found: list[rows.Key] = []
    for part in _groups(wanted):
        query = keys.select().where(keys.c.incarnation.in_(part))
        found += rows.many(rows.Key, tx.execute(query.order_by(keys.c.key_class, keys.c.version)))
    return found


def find_keys_by_id(tx: Transaction, wanted: Collection[KeyId]) -> dict[KeyId, rows.Key]:
    """Keys by their ids; absent ids are absent."""
    found: list[rows.Key] = []
    for part in _groups(wanted):
        found += rows.many(rows.Key, tx.execute(keys.select().where(keys.c.key_id.in_(part))))
    return {row.key_id: row for row in found}


def key_states(tx: Transaction, wanted: Collection[KeyId]) -> dict[KeyId, str]:
    """State by key id; absent ids are absent."""
    found: dict[KeyId, str] = {}
    for part in _groups(wanted):
        query = sa.select(keys.c.key_id, keys.c.state).where(keys.c.key_id.in_(part))
        found |= {KeyId(row.key_id): row.state for row in tx.execute(query)}
    return found


def ends_of_retention(tx: Transaction, wanted: Collection[KeyId], *, but: str) -> dict[KeyId, KeyEpoch]:
    """The oldest month that is kept, by key id; none of keys that are absent, or in the state `but`."""
    found: dict[KeyId, KeyEpoch] = {}
    same = sa.and_(horizons.c.controller == keys.c.controller, horizons.c.key_class == keys.c.key_class)
    for part in _groups(wanted):
        query = sa.select(keys.c.key_id, horizons.c.epoch).join(horizons, same)
        rows_found = tx.execute(query.where(keys.c.key_id.in_(part), keys.c.state != but))
        found |= {KeyId(row.key_id): KeyEpoch(row.epoch) for row in rows_found}
    return found


def find_resting(tx: Transaction, wanted: Collection[KeyId]) -> set[KeyId]:
    """Those of these keys that seal nothing whatever their own state.

    Of suspended controllers, of customers who have a suspended key, and compromised ones that no later one follows.
    """
    other, same = keys.alias(), keys.c.incarnation
    theirs = sa.exists().where(other.c.incarnation == same, other.c.state == "suspended")
    later = (other.c.key_class == keys.c.key_class, other.c.version > keys.c.version, other.c.wrapped.is_not(None))
    ended = sa.and_(keys.c.state == "compromised", ~sa.exists().where(other.c.incarnation == same, *later))
    whole = sa.exists().where(suspensions.c.scope.in_(["", keys.c.controller]))
    found: set[KeyId] = set()
    for part in _groups(wanted):
        query = sa.select(keys.c.key_id).where(keys.c.key_id.in_(part), sa.or_(theirs, ended, whole))
        found |= {KeyId(key_id) for (key_id,) in tx.execute(query)}
    return found


def move_key(tx: Transaction, key_id: KeyId, *, state: str, now: int) -> None:
    """Record a transition that `keys.lifecycle` has allowed."""
    tx.execute(keys.update().where(keys.c.key_id == key_id).values(state=state))
    tx.execute(transitions.insert().values(key_id=key_id, state=state, at=now))


def transitions_of(tx: Transaction, key_id: KeyId) -> list[tuple[str, int]]:
    """A key's states and when (ns) it came into each, oldest first."""
    query = sa.select(transitions.c.state, transitions.c.at).where(transitions.c.key_id == key_id)
    return [(row.state, row.at) for row in tx.execute(query.order_by(transitions.c.id))]


def destroy_key(tx: Transaction, key_id: KeyId) -> None:
    """Delete a key's material. The row stays, so that its id is never used again."""
    tx.execute(keys.update().where(keys.c.key_id == key_id).values(wrapped=None, commitment=None))


def lose_keys(tx: Transaction, lost: Collection[KeyId], *, now: int) -> list[Incarnation]:
    """Keys that do not open any more are given up: destroyed without an erasure. Customers who are gone with them.

    Who loses the identity key loses all: without it neither the devices nor the name can be told.
    """
    found = [row for part in _groups(lost) for row in tx.execute(keys.select().where(keys.c.key_id.in_(part)))]
    gone = {KeyId(row.key_id) for row in found}
    for row in found:
        if row.key_class == "identity":
            delete_identity(tx, row.incarnation)
            gone |= {key.key_id for key in find_keys(tx, [row.incarnation]) if key.wrapped is not None}
        under = (records.c.incarnation == row.incarnation, records.c.key_class == row.key_class)
        tx.execute(records.delete().where(*under, records.c.version == row.version))
    for key_id in gone:
        destroy_key(tx, key_id)
        for state in ("erasing", "destroyed"):
            move_key(tx, key_id, state=state, now=now)
    for row in found:
        _succeed(tx, row)
    return sorted({Incarnation(row.incarnation) for row in found if row.key_class == "identity"})


def _succeed(tx: Transaction, lost: sa.Row[Any]) -> None:
    """What was measured while a lost version was valid is the next one's, so that each event time has one."""
    of = (keys.c.incarnation == lost.incarnation, keys.c.key_class == lost.key_class, keys.c.version > lost.version)
    following = sa.select(sa.func.min(keys.c.version)).where(*of, keys.c.wrapped.is_not(None))
    first = tx.scalars(following).one()
    since = sa.case((keys.c.valid_from > lost.valid_from, lost.valid_from), else_=keys.c.valid_from)
    tx.execute(keys.update().where(*of, keys.c.version == first).values(valid_from=since))


def delete_identity(tx: Transaction, incarnation: Incarnation, *, keep: Collection[str] = ()) -> None:
    """Delete a customer's routes and records, but for records of classes that a law keeps."""
    tx.execute(routes.delete().where(routes.c.incarnation == incarnation))
    tx.execute(records.delete().where(records.c.incarnation == incarnation, records.c.key_class.not_in(keep)))


def add_routes(tx: Transaction, new: Sequence[rows.Route]) -> None:
    """Routes to an incarnation."""
    if new:
        tx.execute(routes.insert(), rows.values(new))


def find_routes(tx: Transaction, hashes: Collection[bytes]) -> list[rows.Route]:
    """Routes by hash, oldest validity first."""
    found: list[rows.Route] = []
    for part in _groups(hashes):
        found += rows.many(
            rows.Route, tx.execute(routes.select().where(routes.c.hash.in_(part)).order_by(routes.c.valid_from))
        )
    return found


def find_routes_by_id(tx: Transaction, wanted: Collection[RouteId]) -> list[rows.Route]:
    """Those of these routes that are there."""
    found: list[rows.Route] = []
    for part in _groups(wanted):
        found += rows.many(rows.Route, tx.execute(routes.select().where(routes.c.route_id.in_(part))))
    return found


def routes_of(tx: Transaction, incarnation: Incarnation) -> list[rows.Route]:
    """All routes of one incarnation."""
    return rows.many(rows.Route, tx.execute(routes.select().where(routes.c.incarnation == incarnation)))


def end_route(tx: Transaction, ended: rows.Route) -> None:
    """From `valid_to` on the device is another's; workers must learn of it at once, so the generation rises."""
    tx.execute(routes.update().where(routes.c.route_id == ended.route_id).values(valid_to=ended.valid_to))
    raise_generation(tx)


def add_records(tx: Transaction, new: Sequence[rows.Record]) -> None:
    """Sealed documents."""
    if new:
        tx.execute(records.insert(), rows.values(new))


def find_records(tx: Transaction, wanted: Collection[Incarnation], kind: str) -> list[rows.Record]:
    """Records of one kind."""
    found: list[rows.Record] = []
    for part in _groups(wanted):
        query = records.select().where(records.c.incarnation.in_(part), records.c.kind == kind)
        found += rows.many(rows.Record, tx.execute(query))
    return found


def all_records(tx: Transaction, incarnation: Incarnation) -> list[rows.Record]:
    """Records of class `identity`, of every kind."""
    query = records.select().where(records.c.incarnation == incarnation, records.c.key_class == "identity")
    return rows.many(rows.Record, tx.execute(query))


def reseal_record(tx: Transaction, record: rows.Record) -> None:
    """The same record under another version of its key."""
    changed = {"version": record.version, "sealed": record.sealed}
    tx.execute(records.update().where(records.c.record_id == record.record_id).values(changed))


def add_fences(tx: Transaction, new: Sequence[rows.Fence]) -> None:
    """Fences of one erasure."""
    if new:
        tx.execute(fences.insert(), rows.values(new))


def find_fences(tx: Transaction, hashes: Collection[bytes]) -> list[rows.Fence]:
    """Fences by hash, oldest first."""
    found: list[rows.Fence] = []
    for part in _groups(hashes):
        query = fences.select().where(fences.c.hash.in_(part)).order_by(fences.c.starts)
        found += rows.many(rows.Fence, tx.execute(query))
    return found


def bound_fence(tx: Transaction, fence_id: bytes, *, ends: int) -> None:
    """End an open device fence at an event time: the device has a new owner from then on."""
    tx.execute(fences.update().where(fences.c.fence_id == fence_id, fences.c.ends.is_(None)).values(ends=ends))


def count_hashes(tx: Transaction, kind: str) -> int:
    """How many `all_hashes` gives."""
    counts = (sa.select(sa.func.count()).where(table.c.kind == kind) for table in (routes, fences))
    return sum(int(tx.scalars(count).one()) for count in counts)


def all_hashes(tx: Transaction, kind: str) -> Iterator[bytes]:
    """Of every route and every fence of customers, or of devices, of all controllers: one that has both gives two."""
    for table in (routes, fences):
        query = sa.select(table.c.hash).where(table.c.kind == kind)
        yield from tx.scalars(query, execution_options={"yield_per": _STREAMED})


def all_fences(tx: Transaction) -> list[rows.Fence]:
    """Every fence, of every controller."""
    return rows.many(rows.Fence, tx.execute(fences.select()))


def has_fence(tx: Transaction, fence_id: bytes) -> bool:
    """Whether it is there."""
    return bool(tx.execute(sa.select(fences.c.fence_id).where(fences.c.fence_id == fence_id)).first())


def date_fence(tx: Transaction, fence_id: bytes, *, expires: int) -> None:
    """A turnover may let this fence go from a time (ns) on."""
    tx.execute(fences.update().where(fences.c.fence_id == fence_id).values(expires=expires))


def touch_fences(tx: Transaction, touched: Collection[bytes], *, now: int) -> None:
    """Messages come that these fences refuse."""
    for part in _groups(touched):
        tx.execute(fences.update().where(fences.c.fence_id.in_(part)).values(refused=now))


def _groups(items: Collection[T]) -> list[list[T]]:
    ordered = list(items)
    return [ordered[i : i + _GROUP] for i in range(0, len(ordered), _GROUP)]
