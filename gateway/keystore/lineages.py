"""Controllers, their wrapped KEKs and secrets, and their horizons."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from gateway.keystore import rows
from gateway.keystore.database import Transaction
from gateway.keystore.schema import controllers, horizons, keks, secrets
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
    """Every controller, by name."""
    return [Controller(name) for name in tx.scalars(sa.select(controllers.c.controller).order_by("controller"))]


def current_kek(tx: Transaction, controller: Controller) -> tuple[int, bytes] | None:
    """(e, KEK_e wrapped by the custodian's W_e), or None for an unknown controller."""
    found = tx.execute(
        sa.select(keks.c.e, keks.c.wrapped)
        .join(controllers, controllers.c.controller == keks.c.controller)
        .where(keks.c.controller == controller, keks.c.e == controllers.c.current_e)
    ).one_or_none()
    return None if found is None else (found.e, found.wrapped)


def add_secret(tx: Transaction, secret: rows.Secret) -> None:
    """A route, fence, purge or operations key."""
    tx.execute(secrets.insert(), rows.values([secret]))


def find_secrets(tx: Transaction, controller: Controller, kind: str) -> list[rows.Secret]:
    """The wrapped keys of one kind, oldest version first."""
    query = secrets.select().where(secrets.c.controller == controller, secrets.c.kind == kind)
    return rows.many(rows.Secret, tx.execute(query.order_by(secrets.c.version)))


def find_secret(tx: Transaction, key_id: KeyId) -> rows.Secret | None:
    """One wrapped key by its id."""
    return rows.one(rows.Secret, tx.execute(secrets.select().where(secrets.c.key_id == key_id)).one_or_none())


def delete_secret(tx: Transaction, key_id: KeyId) -> None:
    """Forget a purge or operations key."""
    tx.execute(secrets.delete().where(secrets.c.key_id == key_id))


def find_horizons(tx: Transaction, controller: Controller) -> dict[str, KeyEpoch]:
    """Key class to its oldest epoch that is still readable."""
    query = sa.select(horizons.c.key_class, horizons.c.epoch).where(horizons.c.controller == controller)
    return {row.key_class: KeyEpoch(row.epoch) for row in tx.execute(query)}
