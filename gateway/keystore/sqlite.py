"""The key store in one SQLite file: for one machine, and the only one that can prove what its files no longer hold.

An act is BEGIN IMMEDIATE, which one process holds at a time. `secure_delete` overwrites what is deleted, but in the
main file only once the write-ahead log has been checkpointed, so `scrub` does that and then looks.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from gateway.errors import ConfigurationFault, GlomskaError, IntegrityStop, NotThere, Unreachable
from gateway.keystore.traces import contains

_BUSY_MS = 10_000
_LOG_PAGES = 32_768  # 128 MB in the log: a turnover changes the same pages again and again, each is brought in once
_CHECKPOINT_TRIES = 200
_CHECKPOINT_PAUSE = 0.025  # seconds
_HOLDING = threading.Lock()
_HELD: dict[tuple[int, int], tuple[int, int]] = {}  # by device and inode: descriptor, and how many use it


class Sqlite:
    """`sqlite:///keys.db`, relative to the state directory; four slashes for an absolute path."""

    residue: ClassVar[str] = ""
    reads: ClassVar[dict[str, Any]] = {"glomska_begin": "BEGIN"}
    writes: ClassVar[dict[str, Any]] = {"glomska_begin": "BEGIN IMMEDIATE"}

    def __init__(self, path: Path, *, create: bool) -> None:
        """Raises NotThere, Unreachable."""
        if not create and not path.exists():
            message = f"there is no key store at {path}"
            raise NotThere(message, hint="name the right state directory: `state`, or GLOMSKA_STATE")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held: tuple[int, int] | None = _hold(path)
        except OSError as fault:
            message = f"the key store cannot be opened for writing: {fault.strerror}"
            raise Unreachable(message, hint="check owner, mode and free space of the state directory") from None
        self.path: Path | None = path
        self._log = path.with_name(path.name + "-wal")
        self.engine = _engine(path)

    def take_turn(self, tx: Connection, *, alone: bool) -> None:
        """BEGIN IMMEDIATE has."""

    def version(self, tx: Connection) -> int:
        """Of the schema; 0 for none."""
        return int(tx.exec_driver_sql("PRAGMA user_version").scalar_one())

    def set_version(self, tx: Connection, version: int) -> None:
        """Part of the transaction."""
        tx.exec_driver_sql(f"PRAGMA user_version={version}")

    def wrapped(self, fault: sa.exc.SQLAlchemyError) -> GlomskaError:
        """What a fault of the database means."""
        cause = getattr(fault, "orig", None) or fault
        if isinstance(fault, sa.exc.OperationalError):  # locked, full, read-only
            # Only SQLite's own words: those of the driver may quote what stands in a column.
            said = f": {cause}" if hasattr(cause, "sqlite_errorcode") else ""
            message = f"the key store does not answer: {type(cause).__name__}{said}"
            return Unreachable(message, hint="check free space and that no other program holds the key store")
        message = f"the key store is damaged or not a key store: {type(cause).__name__}"
        return IntegrityStop(message, hint="restore it from a backup, then look for the cause")

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Nobody tells: it has to be looked for."""
        stop.wait(seconds)
        return False

    def written(self) -> str:
        """All of it."""
        return ""

    def behind(self, names: Sequence[str], _written: str) -> list[str]:
        """A file has no standbys. Raises ConfigurationFault where some are named."""
        if names:
            raise ConfigurationFault("keys.standbys: a key store in a file has none", hint="leave keys.standbys out")
        return []

    def weaknesses(self) -> list[str]:
        """None: what erasure relies on is set by us, a connection at a time."""
        return []

    def scrub(self, traces: Sequence[bytes]) -> int:
        """Push deleted rows out of the write-ahead log and prove that none of `traces` is left in the files.

        With a reader open, `wal_checkpoint(TRUNCATE)` answers busy = 1 without raising: its row is checked and it is
        tried again. Source: https://sqlite.org/pragma.html#pragma_wal_checkpoint; docs/threat-model.md, attack 7.
        """
        for _ in range(_CHECKPOINT_TRIES):
            with self.engine.connect() as connection:
                busy, _log, _done = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            if busy == 0:
                break
            time.sleep(_CHECKPOINT_PAUSE)
        else:
            message = "a reader keeps the key store's log open, so a destroyed key may still be in it"
            raise Unreachable(message, hint="end long readers of the key store (backups, shells), then repeat")
        held = None if self._held is None else _HELD[self._held][0]
        if (held is not None and contains(held, traces)) or self._in_log(traces):
            message = "bytes of a destroyed key are still in the key store's files"
            raise IntegrityStop(message, hint="keep the files and report this; the erasure is not effective")
        return len(traces)

    def copy_to(self, file: Path) -> None:
        """One consistent state, without what was deleted."""
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        raw = self.engine.raw_connection()
        try:
            raw.driver_connection.execute("VACUUM INTO ?", (str(file),))  # type: ignore[union-attr]  # it is connected
        finally:
            raw.close()

    def close(self) -> None:
        """Let go of all connections, and then of the file."""
        self.engine.dispose()
        if self._held is not None:
            _let_go(self._held)
            self._held = None

    def _in_log(self, traces: Sequence[bytes]) -> bool:
        """The log has no locks to lose."""
        try:
            descriptor = os.open(self._log, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return contains(descriptor, traces)
        finally:
            os.close(descriptor)


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
            f"wal_autocheckpoint={_LOG_PAGES}",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(str(connection.get_execution_options().get("glomska_begin", "BEGIN")))

    return engine


def _hold(file: Path) -> tuple[int, int]:
    """Keep a descriptor of a database's file open, and make the file where it is missing; its device and inode.

    Closing any descriptor of a file drops all locks that the process has on it, SQLite's too; see "Record locks" in
    fcntl(2). Another process would then take itself for the only one and delete the log from under us: what is
    committed after that, nobody else ever sees. So this descriptor is closed after the last connection.
    """
    with _HOLDING:
        if file.exists() and (place := _place(file)) in _HELD:
            _HELD[place] = (_HELD[place][0], _HELD[place][1] + 1)
            return place
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        place = _place(file)
        _HELD[place] = (descriptor, 1)
        return place


def _let_go(place: tuple[int, int]) -> None:
    with _HOLDING:
        descriptor, users = _HELD[place]
        if users > 1:
            _HELD[place] = (descriptor, users - 1)
        else:
            del _HELD[place]
            os.close(descriptor)


def _place(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino
