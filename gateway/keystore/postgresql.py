"""The key store in a PostgreSQL database of its own: for gateways on many machines.

One lock makes acts follow one another as BEGIN IMMEDIATE does in SQLite: the whole database's, taken exclusively by an
act and shared by what a worker says of its own row. So a lease is renewed either before a generation is raised, and the
eraser sees it, or after, and is refused; and no transaction ever waits for two locks, so none has to be repeated.
Source: docs/adr/0026-one-lock-for-acts.md.

A snapshot is REPEATABLE READ on the primary. What is deleted stays in dead tuples, in the write-ahead log and on
standbys, and no scan from here could prove that it is gone: `residue` says so, and only a turnover ends it, by
destroying the key that all of it is wrapped under.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import sqlalchemy as sa
from psycopg import conninfo
from sqlalchemy.engine import Connection

from gateway.errors import ConfigurationFault, GlomskaError, IntegrityStop, Unreachable

_LOCK = 0x676C_6F6D_736B_6100  # "glomska": pg_advisory_xact_lock has one key a database
_VERSION = "glomska_schema"
CHANNEL = "glomska"  # that raised generations are told on
_WAITS_MS = 10_000
_LOST_MS = 10_000  # a peer that has not answered for so long is gone
_IDLE_MS = 60_000  # an act whose process was cut off must not hold up the others for longer
_SESSION = {
    "lock_timeout": _WAITS_MS,
    "idle_in_transaction_session_timeout": _IDLE_MS,
    "tcp_user_timeout": _LOST_MS,
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
}
_CONNECT: dict[str, Any] = {
    "application_name": "glomska",
    "connect_timeout": 5,
    "target_session_attrs": "read-write",  # of several hosts, the primary
    "tcp_user_timeout": _LOST_MS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
}
_DURABLE = ("on", "remote_apply")
_UNDER_WAY = ("25006", "40001", "40P01", "55P03", "57P01", "57P02", "57P03")  # SQLSTATE: later it may work


class Postgresql:
    """`postgresql://USER@HOST:PORT/DATABASE`; the password comes from a file of its own."""

    residue: ClassVar[str] = "dead tuples, write-ahead log, standbys and backups of PostgreSQL"
    reads: ClassVar[dict[str, Any]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    writes: ClassVar[dict[str, Any]] = {}  # READ COMMITTED: each statement sees what the act before has committed

    def __init__(self, url: str, password: bytes | None) -> None:
        """`url` is libpq's own: several hosts and all its parameters are understood. Raises ConfigurationFault."""
        self._connect = _connector(url, None if password is None else password.decode())
        self.engine = sa.create_engine("postgresql+psycopg://", creator=self._connect, pool_pre_ping=True)
        self._heard: psycopg.Connection[Any] | None = None
        self.path: Path | None = None

    def take_turn(self, tx: Connection, *, alone: bool) -> None:
        """Wait for the act that is under way, and unless `alone` for nobody else."""
        lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
        tx.execute(sa.select(lock(_LOCK)))

    def version(self, tx: Connection) -> int:
        """Of the schema; 0 for none."""
        if not sa.inspect(tx).has_table(_VERSION):
            return 0
        return int(tx.exec_driver_sql(f"SELECT version FROM {_VERSION}").scalar_one())  # noqa: S608 - a name of ours

    def set_version(self, tx: Connection, version: int) -> None:
        """Part of the transaction."""
        tx.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {_VERSION} (version BIGINT NOT NULL)")
        tx.exec_driver_sql(f"DELETE FROM {_VERSION}")  # noqa: S608
        tx.exec_driver_sql(f"INSERT INTO {_VERSION} VALUES ({version})")  # noqa: S608

    def wrapped(self, fault: sa.exc.SQLAlchemyError) -> GlomskaError:
        """What a fault of the database means. Only the first line is told: others may show a row."""
        cause = getattr(fault, "orig", None) or fault
        told = f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
        state = getattr(cause, "sqlstate", None)
        if "authentication failed" in told:  # libpq gives no code for it; in another language it is `Unreachable`
            message = f"the key store refuses this user: {told}"
            return ConfigurationFault(message, hint="correct keys.password_file, or the user in keys.url")
        if state == "42501":  # insufficient_privilege
            message = f"the key store's user may not do what is needed: {told}"
            return ConfigurationFault(message, hint="make the user of keys.url the owner of its database")
        away = isinstance(fault, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError)
        if away or state in _UNDER_WAY:
            message = f"the key store does not answer: {told}"
            return Unreachable(
                message, hint="see that PostgreSQL runs, and that keys.url and keys.password_file fit it"
            )
        message = f"the key store is damaged or not a key store: {type(cause).__name__}"
        return IntegrityStop(message, hint="restore it from a backup, then look for the cause")

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Until a generation rises, or the time is up; a server that is away is waited out, and heard again later."""
        try:
            if self._heard is None:
                self._heard = self._connect()
                self._heard.autocommit = True
                self._heard.execute(f"LISTEN {CHANNEL}")
            return any(True for _ in self._heard.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error:
            self._deaf()
            stop.wait(seconds)
            return False

    def _deaf(self) -> None:
        if self._heard is not None:
            self._heard.close()
            self._heard = None

    def written(self) -> str:
        """The end of the write-ahead log: everything committed is before it."""
        with self.engine.connect() as connection:
            return str(connection.exec_driver_sql("SELECT pg_current_wal_insert_lsn()").scalar_one())

    def behind(self, names: Sequence[str], written: str) -> list[str]:
        """Standbys are known by their `application_name`. Source: PostgreSQL 15, 28.2.4 pg_stat_replication."""
        with self.engine.connect() as connection:
            if not connection.exec_driver_sql(_MAY_LOOK).scalar_one():
                message = "keys.standbys: the key store's user may not see how far standbys are"
                raise ConfigurationFault(message, hint="GRANT pg_read_all_stats to the user of keys.url")
            found = {str(name): bool(there) for name, there in connection.exec_driver_sql(_REPLAYED, (written,))}
        away = [name for name in names if name not in found]
        if away:
            message = f"standby not connected: {', '.join(away)}; the older wrapping key is kept"
            raise Unreachable(message, hint="bring it back, or take it out of keys.standbys")
        return [name for name in names if not found[name]]

    def weaknesses(self) -> list[str]:
        """Settings of the server under which what was committed can be lost."""
        with self.engine.connect() as connection:
            found = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in _NEEDED}
        return [f"{name} = {found[name]}" for name, wanted in _NEEDED.items() if found[name] not in wanted]

    def scrub(self, traces: Sequence[bytes]) -> int:  # noqa: ARG002 - there are no files to look for them in
        """Nothing can be proven here; see `residue`."""
        return 0

    def close(self) -> None:
        """Let go of all connections."""
        self._deaf()
        self.engine.dispose()


_MAY_LOOK = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
_REPLAYED = (
    "SELECT application_name, bool_or(coalesce(replay_lsn >= %s::pg_lsn, false)) "
    "FROM pg_stat_replication WHERE state = 'streaming' GROUP BY application_name"
)
_NEEDED = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": _DURABLE}


def _connector(url: str, password: str | None) -> Callable[[], psycopg.Connection[Any]]:
    try:
        conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as fault:
        message = f"keys.url: {str(fault).strip()}"
        raise ConfigurationFault(message) from None

    def connect() -> psycopg.Connection[Any]:
        connection = psycopg.connect(url, password=password, **_CONNECT)
        if connection.execute("SHOW synchronous_commit").fetchone() not in [(name,) for name in _DURABLE]:
            connection.execute("SET synchronous_commit = on")
        connection.commit()
        return connection

    return connect
