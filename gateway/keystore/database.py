"""The database behind the key store: transactions, migrations, and proof that what was deleted is gone from its files.

Two kinds of access and no third: `snapshot` reads one consistent state, `act` is one transaction that either happens
whole or not at all, serialised with every other act (SQLite: BEGIN IMMEDIATE).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection as Transaction
from sqlalchemy.engine import Engine

from gateway.errors import ConfigurationFault, IntegrityStop, Unreachable
from gateway.keystore import migrations

__all__ = ["KeyStore", "Transaction"]

_BUSY_MS = 10_000
_CHECKPOINT_TRIES = 200
_CHECKPOINT_PAUSE = 0.025  # seconds
_SCANNED = 1 << 20  # bytes of a file looked at together


class KeyStore:
    """An open key store. One an application; its methods may be called from any thread."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self.path = path

    @classmethod
    def open(cls, url: str, *, state: Path, create: bool = True) -> KeyStore:
        """Open, and bring the schema up to date.

        Args:
            url: `sqlite:///keys.db`, relative to `state`; four slashes for an absolute path.
            state: the state directory; created with mode 0700 when absent.
            create: whether a key store that is not there is made.

        Raises:
            ConfigurationFault: another scheme, or nothing there.
            Unreachable: the file cannot be opened or written.
            IntegrityStop: the file is not a key store, or of a newer version.
        """
        scheme, _, rest = url.partition(":///")
        if scheme != "sqlite" or not rest:
            message = "keys.url: only sqlite:///FILE is known"
            raise ConfigurationFault(message)
        path = state / rest
        if not create and not path.exists():
            message = f"there is no key store at {path}"
            raise ConfigurationFault(message, hint="name the right state directory: `state`, or GLOMSKA_STATE")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as fault:
            message = f"the key store cannot be opened for writing: {fault.strerror}"
            raise Unreachable(message, hint="check owner, mode and free space of the state directory") from None
        store = cls(_engine(path), path)
        with store.act() as tx:
            version = int(tx.exec_driver_sql("PRAGMA user_version").scalar_one())
            newest = migrations.migrate(tx, version, found=set(sa.inspect(tx).get_table_names()))
            tx.exec_driver_sql(f"PRAGMA user_version={newest}")
        return store

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """One consistent state to read from."""
        with _foreign_errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def act(self) -> Iterator[Transaction]:
        """One transaction that may write; commits when the block ends, rolls back when it raises."""
        with _foreign_errors(), self._engine.connect() as raw:
            connection = raw.execution_options(glomska_immediate=True)
            with connection.begin():
                yield connection

    def scrub(self, traces: Sequence[bytes]) -> None:
        """Push deleted rows out of the write-ahead log and prove that none of `traces` is left in the files.

        With a reader open, `wal_checkpoint(TRUNCATE)` answers busy = 1 without raising: its row is checked and it is
        tried again. Source: https://sqlite.org/pragma.html#pragma_wal_checkpoint; docs/threat-model.md, attack 7.

        Raises:
            Unreachable: a reader held the log for too long; call again.
            IntegrityStop: a trace is still in a file.
        """
        for _ in range(_CHECKPOINT_TRIES):
            with _foreign_errors(), self._engine.connect() as connection:
                busy, _log, _done = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            if busy == 0:
                break
            time.sleep(_CHECKPOINT_PAUSE)
        else:
            message = "a reader keeps the key store's log open, so a destroyed key may still be in it"
            raise Unreachable(message, hint="end long readers of the key store (backups, shells), then repeat")
        for file in (self.path, self.path.with_name(self.path.name + "-wal")):
            if file.exists() and _contains(file, traces):
                message = "bytes of a destroyed key are still in the key store's files"
                raise IntegrityStop(message, hint="keep the files and report this; the erasure is not effective")

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()


def _engine(path: Path) -> Engine:
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_MS / 1000})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # we say BEGIN ourselves
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for pragma in (
            f"busy_timeout={_BUSY_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Transaction) -> None:
        immediate = connection.get_execution_options().get("glomska_immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextlib.contextmanager
def _foreign_errors() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as fault:  # locked, full, read-only, unreachable
        message = f"the key store does not answer: {type(fault.orig).__name__}: {fault.orig}"
        raise Unreachable(message, hint="check free space and that no other program holds the key store") from None
    except sa.exc.DatabaseError as fault:
        if isinstance(fault, sa.exc.IntegrityError):
            raise
        message = f"the key store is damaged or not a key store: {type(fault.orig).__name__}"
        raise IntegrityStop(message, hint="restore it from a backup, then look for the cause") from None


def _contains(file: Path, traces: Sequence[bytes]) -> bool:
    """Whether one of `traces` stands in the file; read once, however many there are."""
    overlap = max(map(len, traces), default=0)
    window = b""
    with file.open("rb") as stream:
        while chunk := stream.read(_SCANNED):
            window = window[max(0, len(window) - overlap) :] + chunk
            if any(trace in window for trace in traces):
                return True
    return False
