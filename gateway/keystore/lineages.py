"""Controllers, their wrapped KEKs and secrets, and their horizons."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.keystore.schema import controllers, departures, horizons, keks, keys, secrets, suspensions, wrappings
from gateway.model.ids import Controller, KeyEpoch, KeyId


def add_controller(
    tx: Transaction, controller: Controller, *, wrapped_kek: bytes, classes: Mapping[str, KeyEpoch], now: int
) -> None:
    """A new lineage at e = 1, with the horizon of each of its key classes."""
    tx.execute(controllers.insert().values(controller=controller, current_e=1, created=now))
    tx.execute(keks.insert().values(controller=controller, e=1, wrapped=wrapped_kek, created=now))
    starts = [{"controller": controller, "key_class": k, "epoch": n, "moved": now} for k, n in classes.items()]
    tx.execute(horizons.insert(), starts)


def all_controllers(tx: Transaction) -> list[Controller]:
    """Every controller that has not left, by name."""
    left = sa.select(departures.c.controller)
    query = sa.select(controllers.c.controller).where(controllers.c.controller.not_in(left)).order_by("controller")
    return [Controller(name) for name in tx.scalars(query)]


def first_controller(tx: Transaction) -> Controller | None:
    """The controller that was there first: whose gateway it is. None where nobody is enrolled."""
    left = sa.select(departures.c.controller)
    query = sa.select(controllers.c.controller).where(controllers.c.controller.not_in(left))
    name = tx.scalars(query.order_by(controllers.c.created, controllers.c.controller).limit(1)).one_or_none()
    return None if name is None else Controller(name)


def created(tx: Transaction, controller: Controller) -> int:
    """When (ns) a controller's lineage was made; 0 for an unknown one."""
    found = tx.scalars(sa.select(controllers.c.created).where(controllers.c.controller == controller)).one_or_none()
    return int(found or 0)


def every_controller(tx: Transaction) -> list[Controller]:
    """Every controller, those that have left too, by name."""
    return [Controller(name) for name in tx.scalars(sa.select(controllers.c.controller).order_by("controller"))]


def current_e(tx: Transaction, controller: Controller) -> int | None:
    """The e that everything new is wrapped under, or None for an unknown controller."""
    found: int | None = tx.scalars(
        sa.select(controllers.c.current_e).where(controllers.c.controller == controller)
    ).one_or_none()
    return found


def pin_e(tx: Transaction, controller: Controller) -> int | None:
    """`current_e`, which cannot move before this transaction ends: the row is locked, shared.

    Every transaction that writes wrapped material or computes route hashes to write does this first: else it could
    write under an e that a turnover has just left, and the row would be lost with W_e. On SQLite, where an act excludes
    all others, reading it is enough.
    """
    query = sa.select(controllers.c.current_e).where(controllers.c.controller == controller)
    found: int | None = tx.scalars(query.with_for_update(read=True)).one_or_none()
    return found


def move_e(tx: Transaction, controller: Controller, *, e: int, wrapped_kek: bytes, now: int) -> None:
    """From here on everything new is wrapped under KEK_e. Waits for transactions that hold the older e."""
    tx.execute(controllers.update().where(controllers.c.controller == controller).values(current_e=e))
    tx.execute(keks.insert().values(controller=controller, e=e, wrapped=wrapped_kek, created=now))


def find_keks(tx: Transaction, controller: Controller) -> dict[int, bytes]:
    """KEKs that are not left behind yet, each wrapped by its W: one, and two while a turnover is under way."""
    query = sa.select(keks.c.e, keks.c.wrapped).where(keks.c.controller == controller)
    return {row.e: row.wrapped for row in tx.execute(query)}


def newest_keks(tx: Transaction) -> list[tuple[Controller, int, bytes]]:
    """Of every controller that has not left: its newest e, and the KEK of it, wrapped by its W."""
    newest = sa.and_(keks.c.controller == controllers.c.controller, keks.c.e == controllers.c.current_e)
    query = sa.select(keks.c.controller, keks.c.e, keks.c.wrapped).join(controllers, newest)
    left = sa.select(departures.c.controller)
    found = tx.execute(query.where(keks.c.controller.not_in(left)).order_by(keks.c.controller))
    return [(Controller(row.controller), row.e, row.wrapped) for row in found]


def leave_keks(tx: Transaction, controller: Controller, *, before: int) -> None:
    """Forget KEKs and route secrets older than e: nothing is under them any more."""
    tx.execute(keks.delete().where(keks.c.controller == controller, keks.c.e < before))
    of_routes = (secrets.c.controller == controller, secrets.c.kind == "route")
    tx.execute(secrets.delete().where(*of_routes, secrets.c.version < before))


def oldest_e(tx: Transaction, controller: Controller) -> int:
    """The lowest e whose W has not been reported destroyed; W of every e from here to the current one may exist."""
    newest = tx.scalars(sa.select(sa.func.max(wrappings.c.e)).where(wrappings.c.controller == controller)).one()
    return 1 if newest is None else int(newest) + 1


def add_wrapping(tx: Transaction, wrapping: rows.Wrapping) -> None:
    """What the custodian reported of W_e; a second report of the same changes nothing."""
    known = tx.execute(
        wrappings.select().where(wrappings.c.controller == wrapping.controller, wrappings.c.e == wrapping.e)
    ).one_or_none()
    if known is None:
        tx.execute(wrappings.insert(), rows.values([wrapping]))


def find_wrappings(tx: Transaction, controller: Controller) -> dict[int, rows.Wrapping]:
    """Reports of destroyed W's by e."""
    query = wrappings.select().where(wrappings.c.controller == controller)
    return {found.e: found for found in rows.many(rows.Wrapping, tx.execute(query))}


def has_left(tx: Transaction, controller: Controller) -> bool:
    """Whether this controller's lineage is destroyed, or on its way out."""
    return bool(tx.execute(departures.select().where(departures.c.controller == controller)).one_or_none())


def is_suspended(tx: Transaction, controller: Controller) -> bool:
    """Whether this controller, or everything, is suspended."""
    return bool(tx.execute(suspensions.select().where(suspensions.c.scope.in_(["", controller]))).first())


def add_secret(tx: Transaction, secret: rows.Secret) -> None:
    """A route, fence, purge or operations key."""
    tx.execute(secrets.insert(), rows.values([secret]))


def find_secrets(tx: Transaction, controller: Controller, kind: str) -> list[rows.Secret]:
    """The wrapped keys of one kind, oldest version first."""
    query = secrets.select().where(secrets.c.controller == controller, secrets.c.kind == kind)
    return rows.many(rows.Secret, tx.execute(query.order_by(secrets.c.version, secrets.c.created, secrets.c.key_id)))


def secrets_of(tx: Transaction, kind: str) -> list[rows.Secret]:
    """The wrapped keys of one kind of all controllers, oldest version first."""
    return rows.many(rows.Secret, tx.execute(secrets.select().where(secrets.c.kind == kind).order_by("version")))


def find_secret(tx: Transaction, key_id: KeyId) -> rows.Secret | None:
    """One wrapped key by its id."""
    return rows.one(rows.Secret, tx.execute(secrets.select().where(secrets.c.key_id == key_id)).one_or_none())


def delete_secret(tx: Transaction, key_id: KeyId) -> None:
    """Forget a purge or operations key, or a fence secret that another row takes the place of."""
    tx.execute(secrets.delete().where(secrets.c.key_id == key_id))


def find_horizons(tx: Transaction, controller: Controller) -> dict[str, KeyEpoch]:
    """Key class to its oldest epoch that is still readable."""
    query = sa.select(horizons.c.key_class, horizons.c.epoch).where(horizons.c.controller == controller)
    return {row.key_class: KeyEpoch(row.epoch) for row in tx.execute(query)}


def horizons_moved(tx: Transaction, controller: Controller) -> dict[str, int | None]:
    """Key class to the wall time (ns) of its horizon's last move; None before the first."""
    created = sa.select(controllers.c.created).where(controllers.c.controller == controller).scalar_subquery()
    query = sa.select(horizons.c.key_class, horizons.c.moved, created.label("created"))
    found = tx.execute(query.where(horizons.c.controller == controller))
    return {row.key_class: None if row.moved == row.created else row.moved for row in found}


def move_horizon(tx: Transaction, controller: Controller, key_class: str, *, epoch: KeyEpoch, now: int) -> None:
    """Epochs before `epoch` are `too_old` from here on, and about to be unreadable for ever."""
    place = (horizons.c.controller == controller, horizons.c.key_class == key_class)
    tx.execute(horizons.update().where(*place).values(epoch=epoch, moved=now))


def suspend(tx: Transaction, scope: str, *, now: int) -> bool:
    """Suspend a controller, or with the empty name everything; False where it was already."""
    if tx.execute(suspensions.select().where(suspensions.c.scope == scope)).first():
        return False
    tx.execute(suspensions.insert().values(scope=scope, since=now))
    return True


def resume(tx: Transaction, scope: str) -> bool:
    """Take a suspension back; False where there was none."""
    return bool(tx.execute(suspensions.delete().where(suspensions.c.scope == scope)).rowcount)


def count_states(tx: Transaction, controller: Controller) -> dict[str, int]:
    """Key state to the number of a controller's keys in it."""
    query = sa.select(keys.c.state, sa.func.count().label("n")).where(keys.c.controller == controller)
    return {row.state: int(row.n) for row in tx.execute(query.group_by(keys.c.state).order_by(keys.c.state))}
