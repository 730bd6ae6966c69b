"""The dead letters: one SQLite file of sealed messages and points, on disk when `add` returns.

Layout, `user_version` 2:

    letter   id | kind, reason, arrived (ns), controller, key_id, dead, sealed      as in `model.dead`
    held     controller, key_id | bytes      what letters take together, kept by triggers; key_id x'': of a controller
    purged   mark | at (ns)      key ids and hashes that an erasure has purged: a letter of theirs is not taken any more

A letter may wait in a worker when its customer is erased, and would come after the purge; by then nobody could tell
whose it was. So the file itself remembers what was purged, as random ids and keyed hashes, for as long as a key could
still open such a letter.

One sender must not fill the file for everybody, so what a flood brings (`rate`) has a share of it: see `full`.

Bounded: the file never grows beyond `max_bytes`; what does not fit raises, and whoever wanted to add it acknowledges
nothing. What is deleted is gone from the bytes of the file, and `purge` and `scrub` empty the write-ahead log too.
Several processes may use the file at once. All methods raise LettersUnreachable.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Unreachable
from gateway.model.dead import DAY, DeadLetter, LetterKind
from gateway.model.ids import KeyId
from gateway.model.sealed import Reason
from gateway.transport.sqlite import FAULTS, create, schema_version

SCHEMA_VERSION = 2
PURGED_DAYS = 9
"""How long purged marks are kept: operations keys live 8 days at most, and a destroyed key opens nothing anyway."""
_PAGE_BYTES = 4096
_BUSY_S = 10.0
_STEP_S = 0.05
KEY_SHARE, CONTROLLER_SHARE, FLOOD_SHARE = 16, 4, 2
"""A customer's key, a controller, and all floods together may take one in so many bytes, where it is a flood's."""
_SCHEMA = """
CREATE TABLE letter(
    id BLOB PRIMARY KEY, kind TEXT NOT NULL, reason TEXT NOT NULL, arrived INTEGER NOT NULL, controller TEXT NOT NULL,
    key_id BLOB NOT NULL, dead BLOB NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX letter_arrived ON letter(arrived, id);
CREATE INDEX letter_reason ON letter(reason, kind, key_id);
CREATE INDEX letter_key ON letter(key_id);
CREATE INDEX letter_dead ON letter(dead) WHERE dead <> x'';
CREATE TABLE purged(mark BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
"""
# 256: bytes of a letter beside what is sealed, its other columns and indexes
_HELD = "CREATE TABLE held(controller TEXT, key_id BLOB, bytes INTEGER, PRIMARY KEY(controller, key_id)) WITHOUT ROWID"
_CAME = """
CREATE TRIGGER came AFTER INSERT ON letter BEGIN
    INSERT INTO held VALUES
        (new.controller, new.key_id, length(new.sealed) + 256),
        (new.controller, x'', length(new.sealed) + 256)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END
"""
_WENT = """
CREATE TRIGGER went AFTER DELETE ON letter BEGIN
    UPDATE held SET bytes = bytes - length(old.sealed) - 256
    WHERE controller = old.controller AND key_id IN (old.key_id, x'');
    DELETE FROM held WHERE controller = old.controller AND key_id IN (old.key_id, x'') AND bytes <= 0;
END
"""
_COUNTED = """
INSERT INTO held SELECT controller, key_id, sum(length(sealed) + 256) FROM letter GROUP BY 1, 2
UNION ALL SELECT controller, x'', sum(length(sealed) + 256) FROM letter GROUP BY 1
"""
_INSERT = """
INSERT OR IGNORE INTO letter SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE NOT EXISTS(SELECT 1 FROM purged WHERE mark = ?6 OR mark = ?7)
"""


class LettersUnreachable(Unreachable):
    """Dead letters cannot be kept now, so what would become one is not acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which letters: those that meet all of this. `since` and `until` are times of arrival in ns, `until` exclusive."""

    ids: tuple[bytes, ...] = ()
    reasons: tuple[Reason, ...] = ()
    kinds: tuple[LetterKind, ...] = ()
    key_ids: tuple[KeyId, ...] = ()
    controller: str | None = None
    since: int = -(2**63)
    until: int = 2**63 - 1

    def where(self) -> tuple[str, list[object]]:
        """As SQL, and its parameters."""
        parts, values = ["arrived >= ? AND arrived < ?"], [self.since, self.until]
        found: list[object] = list(values)
        lists = {"id": self.ids, "reason": self.reasons, "kind": self.kinds, "key_id": self.key_ids}
        for column, wanted in lists.items():
            if wanted:
                parts.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                found += [bytes(one) if isinstance(one, bytes) else str(one) for one in wanted]
        if self.controller is not None:
            parts.append("controller = ?")
            found.append(self.controller)
        return " AND ".join(parts), found


EVERY = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How full it is. `oldest` is a time of arrival in ns, None of nothing."""

    letters: int
    by_reason: dict[str, int]
    used_bytes: int
    max_bytes: int
    oldest: int | None


class DeadLetters:
    """A file of dead letters. Its methods may be called from any thread."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        """Create the file (mode 0600) or open it.

        Raises LettersUnreachable, and ConfigurationFault for a file that a newer version or another program wrote.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        with self._faults():
            create(path)
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            with self._faults():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def add(self, letters: Sequence[DeadLetter]) -> int:
        """Durable when it returns; how many were taken: those of purged keys and devices are not."""
        if not letters:
            return 0
        rows = [
            (
                one.letter_id,
                str(one.kind),
                str(one.reason),
                one.arrived,
                one.controller,
                one.key_id,
                one.dead,
                one.sealed,
            )
            for one in letters
        ]
        with self._transaction():
            return self._db.executemany(_INSERT, rows).rowcount

    def full(self, letters: Sequence[DeadLetter]) -> set[KeyId]:
        """Keys of these letters of a flood that have had their share, alone or with all others of their controller.

        All of them, where floods and whatever else is kept take half of the file: the rest is for what is no flood.
        """
        owners = {letter.key_id: letter.controller for letter in letters}
        if not owners:
            return set()
        with self._lock, self._faults():
            if self._used() > self._max_bytes // FLOOD_SHARE:
                return set(owners)
            return {key_id for key_id, controller in owners.items() if self._over_share(controller, key_id)}

    def _over_share(self, controller: str, key_id: KeyId) -> bool:
        rows = self._db.execute(
            "SELECT key_id, bytes FROM held WHERE controller = ? AND key_id IN (?, x'')", (controller, key_id)
        )
        return any(
            held > self._max_bytes // (KEY_SHARE if whose else CONTROLLER_SHARE) for whose, held in rows.fetchall()
        )

    def find(self, wanted: Wanted, *, after: tuple[int, bytes] = (-(2**63), b""), limit: int = 500) -> list[DeadLetter]:
        """The first `limit` letters behind (arrived, id), oldest first."""
        where, values = wanted.where()
        query = f"SELECT * FROM letter WHERE {where} AND (arrived, id) > (?, ?) ORDER BY arrived, id LIMIT ?"  # noqa: S608 - names of ours
        with self._lock, self._faults():
            rows = self._db.execute(query, (*values, *after, limit)).fetchall()
        return [_letter(row) for row in rows]

    def count(self, wanted: Wanted) -> int:
        """How many there are."""
        where, values = wanted.where()
        with self._lock, self._faults():
            return int(self._db.execute(f"SELECT count(*) FROM letter WHERE {where}", values).fetchone()[0])  # noqa: S608 - names of ours

    def drop(self, wanted: Wanted) -> int:
        """Delete; how many."""
        where, values = wanted.where()
        with self._transaction():
            return self._db.execute(f"DELETE FROM letter WHERE {where}", values).rowcount  # noqa: S608 - names of ours

    def remove(self, ids: Collection[bytes]) -> int:
        """Delete these; how many were there."""
        with self._transaction():
            return self._db.executemany("DELETE FROM letter WHERE id = ?", [(one,) for one in ids]).rowcount

    def expire(self, kind: LetterKind, *, before: int) -> int:
        """Delete those of this kind that arrived before (ns), from the log too; how many."""
        gone = self.drop(Wanted(kinds=(kind,), until=before))
        if gone:
            self.scrub()
        return gone

    def purge(self, key_ids: Collection[KeyId], dead_hashes: Collection[bytes]) -> int:
        """Delete everything of these keys and devices, from the log too, and take nothing of theirs any more; how many.

        For erasure: see `control.purge.Queue`.
        """
        now = time.time_ns()
        with self._transaction():
            gone = self._db.executemany("DELETE FROM letter WHERE key_id = ?", [(one,) for one in key_ids]).rowcount
            hashes = [(one,) for one in dead_hashes if one]
            gone += self._db.executemany("DELETE FROM letter WHERE dead = ?", hashes).rowcount
            marks = [(mark, now) for mark in (*key_ids, *dead_hashes) if mark]
            self._db.executemany("INSERT OR REPLACE INTO purged VALUES(?, ?)", marks)
            self._db.execute("DELETE FROM purged WHERE at < ?", (now - PURGED_DAYS * DAY,))
        self.scrub()
        return gone

    def keys_of(self, reason: Reason) -> set[tuple[LetterKind, KeyId]]:
        """The keys that letters with this reason are under."""
        with self._lock, self._faults():
            rows = self._db.execute("SELECT DISTINCT kind, key_id FROM letter WHERE reason = ?", (str(reason),))
            return {(LetterKind(kind), KeyId(key_id)) for kind, key_id in rows.fetchall()}

    def level(self) -> Level:
        """How full it is, and with what."""
        with self._lock, self._faults():
            reasons = self._db.execute("SELECT reason, count(*) FROM letter GROUP BY reason ORDER BY reason").fetchall()
            (oldest,) = self._db.execute("SELECT min(arrived) FROM letter").fetchone()
            used = self._used()
        return Level(
            letters=sum(number for _reason, number in reasons),
            by_reason=dict(reasons),
            used_bytes=used,
            max_bytes=self._max_bytes,
            oldest=oldest,
        )

    def _used(self) -> int:
        pages, free = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count")
        )
        return (pages - free) * _PAGE_BYTES

    def scrub(self) -> None:
        """Empty the write-ahead log, which still holds what was deleted; a reader that is open makes it busy."""
        deadline = time.monotonic() + _BUSY_S
        while True:
            with self._lock, self._faults():
                (busy, *_pages) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return
            if time.monotonic() > deadline:
                raise LettersUnreachable(
                    f"{self._path}: letters are deleted, but its write-ahead log still holds them: a reader is open",
                    hint="end the process that reads this file, then do the same again",
                )
            time.sleep(_STEP_S)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        for setting in (
            f"page_size = {_PAGE_BYTES}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = ON",
            "temp_store = MEMORY",
            f"max_page_count = {max(self._max_bytes // _PAGE_BYTES, 16)}",
        ):
            self._db.execute(f"PRAGMA {setting}").fetchall()
        with self._transaction():
            version = schema_version(self._db, self._path, newest=SCHEMA_VERSION, setting="dead_letters.path")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
            if version < SCHEMA_VERSION:
                for statement in (_HELD, _CAME, _WENT, _COUNTED):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
            what, hint = FAULTS.get(primary, ("does not work", "`glomska doctor` tells more"))
            if primary == sqlite3.SQLITE_FULL:
                what = f"is full at {self._max_bytes // 2**20} MiB, or its disk is"
                hint = "see `glomska dead-letters list`; replay or drop letters, or raise dead_letters.max_bytes"
            raise LettersUnreachable(f"{self._path} {what}", hint=hint) from error
        except OSError as error:
            what, hint = FAULTS[sqlite3.SQLITE_CANTOPEN]
            raise LettersUnreachable(f"{self._path} {what}: {error.strerror}", hint=hint) from error


def _letter(row: tuple[bytes, str, str, int, str, bytes, bytes, bytes]) -> DeadLetter:
    letter_id, kind, reason, arrived, controller, key_id, dead, sealed = row
    return DeadLetter(
        letter_id=letter_id,
        kind=LetterKind(kind),
        reason=Reason(reason),
        arrived=arrived,
        controller=controller,
        key_id=KeyId(key_id),
        dead=dead,
        sealed=sealed,
    )
