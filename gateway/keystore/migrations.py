"""Numbered migrations: migration n brings version n - 1 to n. A key store of every past version is opened in the tests.

A key store of a newer version than this program knows is refused, never guessed at.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from gateway.errors import IntegrityStop
from gateway.keystore import schema


def _first(connection: Connection) -> None:
    schema.metadata.create_all(connection)
    connection.execute(schema.state.insert().values(one=1, generation=1, token=0, access_head=bytes(32)))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first,)


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version, in one transaction. Raises IntegrityStop for a newer one."""
    with engine.connect() as raw:
        connection = raw.execution_options(glomska_immediate=True)
        with connection.begin():
            version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
            if version > len(MIGRATIONS):
                message = f"the key store has schema version {version}, this program knows {len(MIGRATIONS)}"
                raise IntegrityStop(message, hint="use the newer program that wrote it")
            found = set(sa.inspect(connection).get_table_names())
            if (found and not version) or (version and schema.state.name not in found):
                message = "the key store's file holds another program's tables"
                raise IntegrityStop(message, hint="name another file in keys.url")
            for step in MIGRATIONS[version:]:
                step(connection)
            connection.exec_driver_sql(f"PRAGMA user_version={len(MIGRATIONS)}")
