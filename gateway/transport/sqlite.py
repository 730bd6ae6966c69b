"""The embedded store: one SQLite file, one transaction a batch, on disk when `write` returns.

Layout, `user_version` 1. A series and a field name are written once; points lie together by series, in order of time,
so that a home is read and deleted in one stretch. Measured beside one wide table with text keys: 60 % of the CPU
time, 40 % of the bytes.

    series  id | measurement, pseudonym, area
    field   id | name
    point   series, time (ns), field | value (TEXT: sealed, REAL: clear)

What is deleted is gone from the bytes of the file: freed space is overwritten (`secure_delete`), and the write-ahead
log, which still holds the old pages, is emptied by a checkpoint whose result is looked at: with a reader open it says
"busy" in a row and raises nothing.

Several processes may read while one writes. Ids are cached for as long as no other connection has committed: an
erasure may have removed a series whose next points must not land under its old id. Queries use connections of their
own, one a call, and hold a snapshot for one series at a time: a slow caller does not keep the log from being emptied.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gateway.errors import ConfigurationFault
from gateway.model.sealed import ACCEPTED, Outcome, Reason, SealedPoint, Series
from gateway.transport.store import TIMEOUT_S, Health, StoreUnreachable

SCHEMA_VERSION = 1
CACHED_SERIES = 65_536
FREE_BYTES_MIN = 64 * 2**20
CHECKPOINT_STEP_S = 0.05
_TIME_MIN, _TIME_MAX = -(2**63), 2**63 - 1
_SCHEMA = """
CREATE TABLE series(
    id INTEGER PRIMARY KEY, measurement TEXT NOT NULL, pseudonym TEXT NOT NULL, area TEXT NOT NULL,
    UNIQUE(measurement, pseudonym, area));
CREATE TABLE field(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE point(
    series INTEGER NOT NULL, time INTEGER NOT NULL, field INTEGER NOT NULL, value NOT NULL,
    PRIMARY KEY(series, time, field)) WITHOUT ROWID;
"""
_SELECT = """
SELECT series.area, point.time, field.name, point.value
FROM series JOIN point ON point.series = series.id JOIN field ON field.id = point.field
WHERE series.measurement = ? AND series.pseudonym = ? AND point.time BETWEEN ? AND ?
ORDER BY point.time, field.name, series.area
"""
FAULTS = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process",
        "see which other process writes to it; only one may for long",
    ),
    sqlite3.SQLITE_FULL: ("lies on a full disk", "free some space; nothing that was acknowledged is lost"),
    sqlite3.SQLITE_READONLY: ("cannot be written", "give the gateway's user write permission on it and its directory"),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "see that its directory exists and is the gateway user's own"),
    sqlite3.SQLITE_PERM: ("cannot be opened", "see that its directory exists and is the gateway user's own"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: input/output error", "look after the disk; see dmesg"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "set it aside with its -wal file and restore a copy, or begin a new one"),
    sqlite3.SQLITE_NOTADB: ("is no SQLite database", "set it aside, or name another file in store.url"),
}

Row = tuple[int, int, int, str | float]


class SqliteStore:
    """A file of points. Implements `Store`."""

    def __init__(self, path: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        """Create the file (mode 0600) or open it; wait up to `timeout_s` for locks.

        Raises StoreUnreachable, and ConfigurationFault for a file that a newer version or another program wrote.
        """
        self._path = path
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._series: dict[Series, int] = {}
        self._fields: dict[str, int] = {}
        self._seen_version = -1
        with self._faults():
            create(path)
            self._writer = self._connect()
        try:
            with self._faults():
                self._prepare()
        except BaseException:
            self._writer.close()
            raise

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """Durable when it returns: one transaction, fsynced. Raises StoreUnreachable."""
        if not points:
            return ACCEPTED
        with self._lock, self._faults(), self._transaction():
            rows, refused = self._rows(points)
            self._writer.executemany("INSERT OR REPLACE INTO point VALUES(?, ?, ?, ?)", rows)
        return Outcome(rejected=refused) if refused else ACCEPTED

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """See `Store`. One series at a time is in memory. Raises StoreUnreachable, VerificationFailed."""
        first, last = max(start, _TIME_MIN), min(end - 1, _TIME_MAX)
        if first > last:  # one of them may not even be an int64 then
            return
        with contextlib.ExitStack() as stack:
            with self._faults():
                reader = stack.enter_context(contextlib.closing(self._connect()))
            for pseudonym in sorted(set(pseudonyms)):
                with self._faults():
                    rows = reader.execute(_SELECT, (measurement, pseudonym, first, last)).fetchall()
                if len({(area, field) for area, _at, field, _value in rows}) == 1:  # shared, and looked at once
                    _areas, times, _fields, values = zip(*rows, strict=True)
                    yield from SealedPoint.parse_column(
                        measurement=measurement,
                        pseudonym=pseudonym,
                        area=rows[0][0],
                        field=rows[0][2],
                        times=times,
                        values=values,
                    )
                    continue
                for area, at, field, value in rows:
                    yield SealedPoint.parse(
                        measurement=measurement, pseudonym=pseudonym, area=area, time=at, field=field, value=value
                    )

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """See `Store`. A transaction a pseudonym, then the write-ahead log is emptied. Raises StoreUnreachable."""
        gone = 0
        names = sorted(set(measurements))
        for pseudonym in sorted(set(pseudonyms)):
            with self._lock, self._faults(), self._transaction():
                gone += sum(self._delete_series(name, pseudonym) for name in names)
                self._forget_ids()
        with self._faults():
            self._empty_log()
        return gone

    def prepare(self) -> str:
        """See `Store`: opening has made the file; what is out of retention goes with a turnover, not by itself."""
        return f"{self._path} is there"

    def health(self) -> Health:
        """The file can be written, and its disk has room."""
        try:
            with self._lock, self._faults(), self._transaction():
                self._touch()
            free = shutil.disk_usage(self._path.parent).free
        except StoreUnreachable as fault:
            return Health(ok=False, detail=str(fault), hint=fault.hint)
        detail = f"{self._path}, {free // 2**20} MiB free on its disk"
        if free < FREE_BYTES_MIN:
            return Health(ok=False, detail=detail, hint="free some space before it is full and reading stops")
        return Health(ok=True, detail=detail)

    def close(self) -> None:
        """Close the file; the last connection to close empties the write-ahead log."""
        with self._lock:
            self._writer.close()

    def _connect(self, *, busy_s: float | None = None) -> sqlite3.Connection:
        busy_s = self._timeout_s if busy_s is None else busy_s
        connection = sqlite3.connect(self._path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            for setting in ("synchronous = FULL", "secure_delete = ON", "temp_store = MEMORY"):
                connection.execute(f"PRAGMA {setting}").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        with self._transaction():
            if not schema_version(self._writer, self._path, newest=SCHEMA_VERSION, setting="store.url"):
                for statement in _SCHEMA.split(";"):
                    self._writer.execute(statement)
            self._touch()
        self._writer.execute("PRAGMA journal_mode = WAL")

    def _touch(self) -> None:
        """Write for the sake of writing: SQLite opens a file that it may only read, and says so at the first write."""
        self._writer.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            (version,) = self._writer.execute("PRAGMA data_version").fetchone()
            if version != self._seen_version:
                self._seen_version = version
                self._forget_ids()
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            self._forget_ids()  # some may have been given out by what is rolled back here
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def _rows(self, points: Sequence[SealedPoint]) -> tuple[list[Row], dict[int, Reason]]:
        rows: list[Row] = []
        refused: dict[int, Reason] = {}
        series_ids, field_ids = self._series, self._fields
        for index, point in enumerate(points):
            reason, begin = _refusal(point), len(rows)
            if reason is not None:
                refused[index] = reason
                continue
            try:
                series = series_ids.get(point.series) or self._series_id(point.series)
                if point.value:
                    field = field_ids.get(point.field) or self._field_id(point.field)
                    rows.append((series, point.time, field, point.value))
                for name, value in point.clear:
                    rows.append((series, point.time, field_ids.get(name) or self._field_id(name), float(value)))
            except UnicodeEncodeError:  # a lone surrogate; all of the point or nothing
                refused[index] = Reason.STORE
                del rows[begin:]
        return rows, refused

    def _series_id(self, series: Series) -> int:
        if len(self._series) >= CACHED_SERIES:
            self._series.clear()
        key = (series.measurement, series.pseudonym, series.area)
        self._writer.execute("INSERT OR IGNORE INTO series(measurement, pseudonym, area) VALUES(?, ?, ?)", key)
        select = "SELECT id FROM series WHERE measurement = ? AND pseudonym = ? AND area = ?"
        (number,) = self._writer.execute(select, key).fetchone()
        self._series[series] = number
        return int(number)

    def _field_id(self, name: str) -> int:
        self._writer.execute("INSERT OR IGNORE INTO field(name) VALUES(?)", (name,))
        (number,) = self._writer.execute("SELECT id FROM field WHERE name = ?", (name,)).fetchone()
        self._fields[name] = number
        return int(number)

    def _forget_ids(self) -> None:
        self._series.clear()
        self._fields.clear()

    def _delete_series(self, measurement: str, pseudonym: str) -> int:
        select = "SELECT id FROM series WHERE measurement = ? AND pseudonym = ?"
        numbers = self._writer.execute(select, (measurement, pseudonym)).fetchall()
        gone = sum(self._writer.execute("DELETE FROM point WHERE series = ?", number).rowcount for number in numbers)
        self._writer.executemany("DELETE FROM series WHERE id = ?", numbers)
        return gone

    def _empty_log(self) -> None:
        # Short tries instead of one long one: while a checkpoint waits for a reader, it lets nobody write.
        deadline = time.monotonic() + self._timeout_s
        with contextlib.closing(self._connect(busy_s=CHECKPOINT_STEP_S)) as connection:
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline:
                    raise StoreUnreachable(
                        f"{self._path}: points are deleted, but its write-ahead log still holds them: a reader is open",
                        hint="end the process that reads this file, then do the same again",
                    )
                time.sleep(CHECKPOINT_STEP_S)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
            what, hint = FAULTS.get(primary, ("does not work", "`glomska doctor` tells more"))
            raise StoreUnreachable(f"{self._path} {what}", hint=hint, answered=True) from error  # rolled back
        except OSError as error:
            what, hint = FAULTS[sqlite3.SQLITE_CANTOPEN]
            raise StoreUnreachable(f"{self._path} {what}: {error.strerror}", hint=hint, answered=True) from error


def create(path: Path) -> None:
    """An empty file with mode 0600, which SQLite passes on to -wal and -shm. One that exists is not touched:

    closing a file drops every lock that this process holds on it, those of SQLite's other connections included.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def schema_version(db: sqlite3.Connection, path: Path, *, newest: int, setting: str) -> int:
    """The `user_version`, 0 of an empty file. Raises ConfigurationFault where another program or a newer us made it."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version > newest or (version == 0 and tables):
        raise ConfigurationFault(
            f"{path}: this database was made by a newer version or by another program",
            hint=f"install the version that made it, or name another file in {setting}",
        )
    return int(version)


def _refusal(point: SealedPoint) -> Reason | None:
    """Why this file cannot hold the point: a time beyond int64, text that is no text, nothing in it, NaN."""
    if not _TIME_MIN <= point.time <= _TIME_MAX or not point.value.isascii():
        return Reason.STORE
    if point.clear:
        return None if all(math.isfinite(value) for _, value in point.clear) else Reason.NON_FINITE
    return None if point.value else Reason.STORE
