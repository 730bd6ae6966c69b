"""Passes of a turnover, and their pages: what is still under an older e, some rows at a time, and what is written back.

A page is taken and written back in one act. Rows that stand in quarantine are left out of pages and counted apart. Of
keys and routes only the columns that a pass needs are read, as plain tuples: a million of them goes by.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.keystore.schema import captures, departures, fences, keys, quarantine, records, routes, secrets, turnovers
from gateway.model.ids import Controller, Incarnation, KeyId

_SET_ASIDE = sa.select(quarantine.c.item)


def _raw(*columns: sa.Column[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    """Columns that come from the driver untouched."""
    return tuple(sa.type_coerce(column, sa.types.NullType()).label(column.name) for column in columns)


_KEY = _raw(
    keys.c.key_id, keys.c.incarnation, keys.c.key_class, keys.c.version, keys.c.base, keys.c.e, keys.c.wrapped,
    keys.c.commitment, keys.c.state,
)  # fmt: skip
_RECORD = _raw(records.c.record_id, records.c.incarnation, records.c.kind, records.c.sealed)
_GROUP = 500  # bound parameters a statement


def begin(tx: Transaction, turnover: rows.Turnover) -> None:
    """A new pass."""
    tx.execute(turnovers.insert(), rows.values([turnover]))


def update(tx: Transaction, turnover: rows.Turnover, **changes: object) -> None:
    """Note progress."""
    place = (turnovers.c.controller == turnover.controller, turnovers.c.e == turnover.e)
    tx.execute(turnovers.update().where(*place).values(**changes))


def count(tx: Transaction, turnover: rows.Turnover, **more: int) -> None:
    """Add to what a pass has done so far."""
    place = (turnovers.c.controller == turnover.controller, turnovers.c.e == turnover.e)
    tx.execute(turnovers.update().where(*place).values({n: turnovers.c[n] + by for n, by in more.items()}))


def newest(tx: Transaction, controller: Controller) -> rows.Turnover | None:
    """A controller's newest pass, finished or not."""
    query = turnovers.select().where(turnovers.c.controller == controller).order_by(turnovers.c.e.desc()).limit(1)
    return rows.one(rows.Turnover, tx.execute(query).one_or_none())


def find(tx: Transaction, controller: Controller, e: int) -> rows.Turnover:
    """One pass, which is known to exist."""
    query = turnovers.select().where(turnovers.c.controller == controller, turnovers.c.e == e)
    return rows.many(rows.Turnover, tx.execute(query))[0]


def unfinished(tx: Transaction, controller: Controller) -> rows.Turnover | None:
    """The pass that is under way."""
    found = newest(tx, controller)
    return None if found is None or found.finished is not None else found


def of_intent(tx: Transaction, seq: int) -> rows.Turnover | None:
    """The pass that this intent in the ledger announced."""
    return rows.one(rows.Turnover, tx.execute(turnovers.select().where(turnovers.c.seq == seq)).one_or_none())


def at_step(tx: Transaction, step: str) -> list[rows.Turnover]:
    """Passes that have come to a step and no further, oldest first; not of controllers that have left."""
    left = sa.select(departures.c.controller)
    there = (turnovers.c.step == step, turnovers.c.controller.not_in(left))
    return rows.many(rows.Turnover, tx.execute(turnovers.select().where(*there).order_by(turnovers.c.started)))


def with_captures(tx: Transaction, *, but: Collection[str]) -> list[rows.Turnover]:
    """Passes at none of these steps that have still captures, oldest first; not of controllers that have left."""
    left = sa.select(departures.c.controller)
    kept = turnovers.c.purge_key.in_(sa.select(secrets.c.key_id))  # and was not given up as lost
    has = (kept, turnovers.c.step.not_in(but), turnovers.c.controller.not_in(left))
    return rows.many(rows.Turnover, tx.execute(turnovers.select().where(*has).order_by(turnovers.c.e)))


def raised_since(tx: Transaction, generation: int) -> set[int]:
    """Later generations that a pass is known to have raised, and so nothing else did: of each the last."""
    return set(tx.scalars(sa.select(turnovers.c.generation).where(turnovers.c.generation > generation)))


def page_of_keys(tx: Transaction, controller: Controller, *, e: int, limit: int) -> Sequence[Any]:
    """Keys under an older e: (key_id, incarnation, class, version, base, e, wrapped, commitment, state, place)."""
    query = sa.select(*_KEY, _place(tx, keys.c.key_id).label("place"))
    query = query.where(*_older_keys(controller, e), keys.c.key_id.not_in(_SET_ASIDE))
    return tx.execute(query.limit(limit).with_for_update()).all()


def page_of_routes(tx: Transaction, controller: Controller, *, e: int, limit: int) -> Sequence[Any]:
    """Routes hashed under an older R: (route_id, kind, incarnation, place)."""
    columns = _raw(routes.c.route_id, routes.c.kind, routes.c.incarnation)
    query = sa.select(*columns, _place(tx, routes.c.route_id).label("place"))
    query = query.where(routes.c.controller == controller, routes.c.e < e, routes.c.route_id.not_in(_SET_ASIDE))
    return tx.execute(query.limit(limit).with_for_update()).all()


def page_of_secrets(tx: Transaction, controller: Controller, *, e: int, limit: int) -> Sequence[Any]:
    """Fence, purge and operations keys under an older e, each with its place. Route secrets are replaced instead."""
    query = sa.select(secrets, _place(tx, secrets.c.key_id).label("place"))
    query = query.where(*_older_secrets(controller, e), secrets.c.key_id.not_in(_SET_ASIDE))
    return tx.execute(query.limit(limit).with_for_update()).all()


def identities(tx: Transaction, wanted: Sequence[Incarnation]) -> tuple[dict[Incarnation, Any], list[Any]]:
    """Newest identity keys by incarnation, and records that say what routes hash.

    A key has the columns of `page_of_keys` but for the place; a record is (record_id, incarnation, kind, sealed).
    """
    named: dict[Incarnation, Any] = {}
    found: list[Any] = []
    for at in range(0, len(wanted), _GROUP):
        part = wanted[at : at + _GROUP]
        query = sa.select(*_KEY).where(keys.c.incarnation.in_(part), keys.c.key_class == "identity")
        named |= {row[1]: row for row in tx.execute(query.where(keys.c.wrapped.is_not(None)).order_by(keys.c.version))}
        of = (records.c.incarnation.in_(part), records.c.kind.in_(["customer", "device"]))
        found += tx.execute(sa.select(*_RECORD).where(*of)).all()
    return named, found


def rewrap_keys(tx: Transaction, changed: Sequence[Mapping[str, object]]) -> None:
    """Keys under the new KEK, unless they were destroyed meanwhile: of (a place), to, row."""
    _for_each(tx, keys.c.key_id, changed, {"e": "to", "wrapped": "row"}, keys.c.wrapped.is_not(None))


def ratchet_keys(tx: Transaction, changed: Sequence[Mapping[str, object]]) -> None:
    """The same at a new base epoch: of, to, row, at, commit."""
    columns = {"e": "to", "wrapped": "row", "base": "at", "commitment": "commit"}
    _for_each(tx, keys.c.key_id, changed, columns, keys.c.wrapped.is_not(None))


def rehash_routes(tx: Transaction, changed: Sequence[Mapping[str, object]]) -> None:
    """Routes under the new R: of (a place), to, mark."""
    _for_each(tx, routes.c.route_id, changed, {"e": "to", "hash": "mark"})


def rewrap_secrets(tx: Transaction, changed: Sequence[Mapping[str, object]]) -> None:
    """Secrets under the new KEK: of (a place), to, row."""
    _for_each(tx, secrets.c.key_id, changed, {"e": "to", "wrapped": "row"})


def left_behind(tx: Transaction, controller: Controller, *, e: int) -> dict[str, int]:
    """How many rows are still under an older e, by table; what stands in quarantine is among them."""
    behind = {
        "keys": sa.select(sa.func.count()).select_from(keys).where(*_older_keys(controller, e)),
        "routes": sa.select(sa.func.count())
        .select_from(routes)
        .where(routes.c.controller == controller, routes.c.e < e),
        "secrets": sa.select(sa.func.count()).select_from(secrets).where(*_older_secrets(controller, e)),
    }
    return {name: int(tx.scalars(query).one()) for name, query in behind.items()}


def set_aside(tx: Transaction, controller: Controller, items: Collection[bytes], *, kind: str, now: int) -> None:
    """Put rows that do not open into quarantine."""
    if items:
        made = [{"item": item, "controller": controller, "kind": kind, "found": now} for item in items]
        tx.execute(quarantine.insert(), made)


def quarantined(tx: Transaction, controller: Controller) -> dict[bytes, str]:
    """Id to kind of what is in quarantine."""
    query = sa.select(quarantine.c.item, quarantine.c.kind).where(quarantine.c.controller == controller)
    return {row.item: row.kind for row in tx.execute(query)}


def release(tx: Transaction, controller: Controller) -> None:
    """Nothing is in quarantine any more."""
    tx.execute(quarantine.delete().where(quarantine.c.controller == controller))


def drop(tx: Transaction, items: Mapping[bytes, str]) -> None:
    """Delete rows that were given up as lost, apart from keys: a key's row stays, without its material."""
    for item, kind in items.items():
        if kind == "route":
            tx.execute(routes.delete().where(routes.c.route_id == item))
        elif kind != "csk":
            tx.execute(secrets.delete().where(secrets.c.key_id == item))


def expiring(
    tx: Transaction, controller: Controller, horizons: Mapping[str, int], *, after: Incarnation | None, limit: int
) -> list[Incarnation]:
    """Incarnations that have a key at a base before its class's horizon, in order, from behind `after` on."""
    behind = sa.or_(*(sa.and_(keys.c.key_class == name, keys.c.base < at) for name, at in horizons.items()))
    query = sa.select(keys.c.incarnation).distinct().where(keys.c.controller == controller, behind)
    query = query.where(keys.c.wrapped.is_not(None), keys.c.key_id.not_in(_SET_ASIDE))
    if after is not None:
        query = query.where(keys.c.incarnation > after)
    return [Incarnation(found) for found in tx.scalars(query.order_by(keys.c.incarnation).limit(limit))]


def add_capture(tx: Transaction, turnover: rows.Turnover, capture: bytes, sealed: bytes) -> None:
    """Series of this pass that are to be deleted from the stores."""
    place = {"controller": turnover.controller, "e": turnover.e}
    tx.execute(captures.insert().values(capture=capture, sealed=sealed, **place))


def capture_ids(tx: Transaction, turnover: rows.Turnover) -> list[bytes]:
    """All captures of a pass."""
    query = sa.select(captures.c.capture).where(captures.c.controller == turnover.controller)
    return list(tx.scalars(query.where(captures.c.e == turnover.e).order_by(captures.c.capture)))


def find_capture(tx: Transaction, capture: bytes) -> bytes | None:
    """One capture, sealed; None when another process has finished with it."""
    found: bytes | None = tx.scalars(sa.select(captures.c.sealed).where(captures.c.capture == capture)).one_or_none()
    return found


def drop_captures(tx: Transaction, turnover: rows.Turnover) -> None:
    """Forget what was to be deleted."""
    tx.execute(captures.delete().where(captures.c.controller == turnover.controller, captures.c.e == turnover.e))


def drop_fences(tx: Transaction, controller: Controller, *, now: int, month: int) -> int:
    """Delete fences whose time is over, and the secrets of months that have none left; how many fences."""
    gone = tx.execute(fences.delete().where(fences.c.controller == controller, fences.c.expires <= now)).rowcount
    used = sa.select(fences.c.month).where(fences.c.controller == controller)
    of_fences = (secrets.c.controller == controller, secrets.c.kind == "fence")
    tx.execute(secrets.delete().where(*of_fences, secrets.c.version < month, secrets.c.version.not_in(used)))
    return int(gone)


def find_fences(tx: Transaction, controller: Controller) -> list[rows.Fence]:
    """Every fence of a controller."""
    return rows.many(rows.Fence, tx.execute(fences.select().where(fences.c.controller == controller)))


def coming_of_age(tx: Transaction, now: int) -> dict[KeyId, int]:
    """Keys in pre-activation whose time has come, with the event time (ns) from which they are valid."""
    query = sa.select(keys.c.key_id, keys.c.valid_from)
    found = tx.execute(query.where(keys.c.state == "pre-activation", keys.c.valid_from <= now))
    return {KeyId(row.key_id): row.valid_from for row in found}


def _place(tx: Transaction, key: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """What a row is found by when it is written back in the same act.

    SQLite has its row id at hand, where a random id would be looked up in an index that no memory holds.
    """
    found = sa.literal_column(f"{key.table.name}.rowid") if tx.dialect.name == "sqlite" else key
    return sa.type_coerce(found, sa.types.NullType())


def _for_each(
    tx: Transaction,
    key: sa.Column[Any],
    changed: Sequence[Mapping[str, object]],
    columns: Mapping[str, str],
    *still: sa.ColumnElement[bool],
) -> None:
    """Write columns of many rows, each at its place, handed to the driver as they are.

    Looking at each took a fifth of a page.
    """
    if not changed:
        return
    statement = sa.update(key.table).where(_place(tx, key) == sa.bindparam("of"), *still)
    compiled = statement.values({c: sa.bindparam(name) for c, name in columns.items()}).compile(dialect=tx.dialect)
    if compiled.positional:
        in_order = operator.itemgetter(*(compiled.positiontup or ()))
        tx.exec_driver_sql(str(compiled), [in_order(row) for row in changed])
    else:
        tx.exec_driver_sql(str(compiled), [dict(row) for row in changed])


def _older_keys(controller: Controller, e: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (keys.c.controller == controller, keys.c.e < e, keys.c.wrapped.is_not(None))


def _older_secrets(controller: Controller, e: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (secrets.c.controller == controller, secrets.c.e < e, secrets.c.kind != "route")
