"""Every row of a key store, copied into an empty one: from PostgreSQL into a file for a backup, and back again.

The tables are the same in both, so that a backup of either is a key store in one SQLite file.
"""

from __future__ import annotations

import sqlalchemy as sa

from gateway.errors import UsageFault
from gateway.keystore.database import KeyStore, Transaction
from gateway.keystore.schema import acts, controllers, metadata, state

_PAGE = 5_000


def copy_rows(source: KeyStore, target: KeyStore) -> None:
    """All of one consistent state of `source`, in one transaction of `target`. Raises UsageFault, Unreachable."""
    with source.snapshot() as old, target.act() as new:
        _require_empty(new)
        new.execute(state.delete())
        for table in metadata.sorted_tables:
            found = old.execution_options(stream_results=True, max_row_buffer=_PAGE).execute(table.select())
            for page in found.mappings().partitions(_PAGE):
                new.execute(table.insert(), [dict(row) for row in page])
            if new.dialect.name == "postgresql" and table.autoincrement_column is not None:
                _count_on(new, table.autoincrement_column)


def _count_on(tx: Transaction, column: sa.Column[int]) -> None:
    """PostgreSQL counts by itself, and has not seen these rows."""
    newest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
    counter = sa.func.pg_get_serial_sequence(column.table.name, column.name)
    tx.execute(sa.select(sa.func.setval(counter, newest, sa.false())))


def _require_empty(tx: Transaction) -> None:
    for table in (controllers, acts):
        if tx.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).one_or_none() is not None:
            hint = "name an empty database in keys.url, or drop the one that is there, if it is dead"
            raise UsageFault("there is a key store already in the database of keys.url", hint=hint)
