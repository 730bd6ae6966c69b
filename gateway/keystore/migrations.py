"""Numbered migrations: migration n brings a key store of version n - 1 to n. Only older ones need them.

A new key store is made from `schema` as it is now; one of every past version is opened in the tests, and must come out
with the same tables. A key store of a newer version than this program knows is refused, never guessed at.

A migration is written in SQL that SQLite and PostgreSQL share, or with SQLAlchemy's `Table.create`; it is never changed
once released. With a new one come the change in `schema`, and a key store of the new version in `tests/vectors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.errors import IntegrityStop
from gateway.keystore import schema


def _turnover(connection: Connection) -> None:
    """Passes, what custodians reported, what did not open; suspensions and departures of controllers."""
    for table in (
        schema.turnovers,
        schema.captures,
        schema.wrappings,
        schema.quarantine,
        schema.suspensions,
        schema.departures,
    ):
        table.create(connection)
    for text in (
        "CREATE INDEX keys_by_e ON keys (controller, e) WHERE wrapped IS NOT NULL",
        "CREATE INDEX keys_coming ON keys (valid_from) WHERE state = 'pre-activation'",
        "CREATE INDEX routes_by_e ON routes (controller, e)",
        "CREATE INDEX secrets_by_e ON secrets (controller, e)",
    ):
        connection.exec_driver_sql(text)


def _proof(connection: Connection) -> None:
    """Accounts and holds of erasures, and what their certificates say; which process a worker is."""
    schema.accounts.create(connection)
    schema.holds.create(connection)
    for text in (
        "ALTER TABLE workers ADD COLUMN name TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE workers ADD COLUMN process TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE fences ADD COLUMN refused BIGINT",
        "ALTER TABLE erasures RENAME TO erasures_2",  # which allowed one erasure an incarnation
    ):
        connection.exec_driver_sql(text)
    former = sa.Table("erasures_2", sa.MetaData(), autoload_with=connection)
    now = sa.Table("erasures", sa.MetaData(), *(_column(c) for c in former.columns), *_of_certificates())
    now.create(connection)
    sa.Index("ix_erasures_incarnation", now.c.incarnation).create(connection)
    names = [column.name for column in former.columns]
    connection.execute(sa.insert(now).from_select(names, sa.select(*former.columns)))
    former.drop(connection)


def _column(column: sa.Column[Any]) -> sa.Column[Any]:
    return sa.Column(column.name, column.type, primary_key=column.primary_key, nullable=column.nullable)


def _of_certificates() -> list[sa.Column[Any]]:
    return [
        sa.Column("final", sa.BigInteger),
        sa.Column("evidence", sa.Text),
        sa.Column("certified", sa.Text),
        sa.Column("certified_final", sa.Text),
    ]


def _outcome(connection: Connection) -> None:
    """What an act whose outcome is not in the ledger yet is to say there."""
    connection.exec_driver_sql("ALTER TABLE acts ADD COLUMN outcome TEXT")


def _queues(connection: Connection) -> None:
    """Machines that have queues, also while no worker runs there; until now, those of workers with a client id."""
    schema.queues.create(connection)
    found = connection.exec_driver_sql("SELECT process FROM workers WHERE name <> '' AND process <> ''")
    machines = {process.partition(" ")[0] for (process,) in found}
    if machines:
        connection.execute(sa.insert(schema.queues), [{"machine": machine} for machine in sorted(machines)])


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = MappingProxyType(
    {2: _turnover, 3: _proof, 4: _outcome, 5: _queues}
)
"""By the version that it leads to."""


def newest() -> int:
    """The version that `schema` describes."""
    return max(MIGRATIONS, default=1)


def migrate(connection: Connection, version: int, *, found: set[str]) -> int:
    """Bring the schema to the newest version, within the caller's transaction; that version.

    Args:
        connection: inside a transaction that nobody else writes beside.
        version: of the key store; 0 for none yet.
        found: names of the tables that are there.

    Raises:
        IntegrityStop: it is of a newer version, or no key store.
    """
    if version > newest():
        message = f"the key store has schema version {version}, this program knows {newest()}"
        raise IntegrityStop(message, hint="use the newer program that wrote it")
    if (found and not version) or (version and schema.state.name not in found):
        message = "the key store's database holds another program's tables"
        raise IntegrityStop(message, hint="name another one in keys.url")
    if version == 0:
        schema.metadata.create_all(connection)
        connection.execute(sa.insert(schema.state).values(one=1, generation=1, token=0, access_head=bytes(32)))
    for number in range(version + 1, newest() + 1) if version else ():
        MIGRATIONS[number](connection)
    return newest()
