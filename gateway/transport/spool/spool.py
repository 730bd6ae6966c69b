"""One spool: appended to by one thread and drained by another, of the one process that holds its lock.

    append     at the end, fsynced before it returns; what fails is cut off again, and the next begins a new file
    oldest     the next points behind the cursor; asked again, the same, until they are `settled`
    settled    the cursor moves behind them; files that are drained go (compaction), and so does what was cut

Every step may be the last one of its process: what was appended and acknowledged is found again, what was drained and
not yet settled is stored once more, which changes nothing. Damage is skipped, counted, and told to `on_damage`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import ClassVar, Self

from gateway.disk import sync_directory
from gateway.errors import Refused, Unreachable, VerificationFailed
from gateway.model.ids import KeyId
from gateway.model.sealed import SealedPoint
from gateway.transport.spool import segment
from gateway.transport.spool.record import VOID, Damage, Record, encode
from gateway.transport.spool.segment import Cursor

SEGMENT_BYTES = 4 << 20  # what compaction gives back at once
_SEGMENTS = 8  # a small spool is made of so many
_HOLD_TRIES, _HOLD_PAUSE = 5, 0.05  # seconds
_CURSOR_HINT = (
    "see that its directory under `state` belongs to this user; where the disk lost the file `cursor` in it, remove "
    "that: what waits is stored once more, which changes nothing"
)


class SpoolUnable(Unreachable):
    """The spool takes nothing now: full, or its disk does not do what it is asked."""

    code: ClassVar[str] = "spool_unable"
    hint = "free space under `state`, or raise spool.max_bytes; until then nothing is acknowledged"


class SpoolHeld(Refused):
    """Another process has this spool."""

    code: ClassVar[str] = "spool_held"
    hint = "its worker is running and drains it by itself; stop that worker first to do it by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Points that come next, oldest first, and where the cursor is when they are settled."""

    points: list[SealedPoint]
    after: Cursor


class Spool:
    """See the module."""

    def __init__(self, directory: Path, held: int, *, max_bytes: int, on_damage: Callable[[int], None]) -> None:
        """Use `open`."""
        self._directory, self._held, self._on_damage = directory, held, on_damage
        self._max_bytes = max_bytes
        self._segment_bytes = max(1, min(SEGMENT_BYTES, max_bytes // _SEGMENTS))
        self._lock = threading.Lock()
        self._cursor = Cursor()
        self._sizes = segment.sizes(directory)
        self._active: tuple[int, int] | None = None  # number and file of the segment that is appended to
        self._ahead: tuple[Cursor, Iterator[Record | Damage]] | None = None
        self.damaged = 0
        """Places that were skipped or cut."""
        self.behind: SpoolUnable | None = None
        """Why the cursor on disk is older than it is: after a restart, what lies between is stored once more."""

    @classmethod
    def open(cls, directory: Path, *, max_bytes: int, on_damage: Callable[[int], None] = lambda _bytes: None) -> Self:
        """The spool in `directory`, which is made; `on_damage` is told the bytes of each place that is skipped.

        Raises SpoolHeld, SpoolUnable.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            sync_directory(directory.parent)
            held = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                _hold(held)
                spool = cls(directory, held, max_bytes=max_bytes, on_damage=on_damage)
                spool._tidy_up()
            except BaseException:
                os.close(held)
                raise
        except BlockingIOError:
            message = "another process has this spool"
            raise SpoolHeld(message) from None
        except OSError as fault:
            raise _unable("opened", fault) from None
        return spool

    @property
    def size(self) -> int:
        """On disk; what is drained and not yet given back counts."""
        return sum(list(self._sizes.values()))  # a copy, made at once: another thread may add one

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        with self._lock:
            return self._next() is None

    def append(self, points: Sequence[SealedPoint]) -> None:
        """Durable when it returns. Raises SpoolUnable: none of it may be acknowledged."""
        data = encode(points)
        with self._lock:
            if self.size + len(data) > self._max_bytes:
                message = f"the spool is full: {self.size} of {self._max_bytes} bytes"
                raise SpoolUnable(message)
            try:
                self._write(data)
            except OSError as fault:
                self._cut()
                raise _unable("written", fault) from None

    def oldest(self, most: int) -> Chunk | None:
        """At most `most` points; fewer, or none, where damage is passed over. None when nothing waits.

        Raises SpoolUnable.
        """
        with self._lock:
            place = self._next()
            if place is None:
                return None
            number, end = place
        start = Cursor(number, self._cursor.offset if number == self._cursor.segment else 0)
        try:
            if self._ahead is not None and self._ahead[0] == start:
                chunk = self._gathered(*self._ahead, most)
                if chunk is not None:
                    return chunk
            anew = segment.records(self._directory, number, start.offset, end)
            return self._gathered(start, anew, most) or self._vanished(start, end)
        except OSError as fault:
            self._ahead = None  # an iterator that has raised has ended
            raise _unable("read", fault) from None

    def settled(self, chunk: Chunk) -> None:
        """The store has these, or nobody wants them any more."""
        with self._lock:
            self._cursor = chunk.after
            try:
                segment.write_cursor(self._directory, self._cursor)
            except OSError as fault:  # a full disk has room again when drained files go: they do all the same
                self.behind = _unable("marked as drained", fault)
            else:
                self.behind = None
            self._compact()

    def purge(self, gone: Callable[[Collection[KeyId]], Collection[KeyId]]) -> int:
        """Overwrite points of the keys that `gone` names, of those it is asked for; how many. By whoever drains.

        Raises SpoolUnable, and what `gone` raises.
        """
        self._ahead = None  # it was read before
        try:
            return sum(segment.overwrite(self._directory, number, gone) for number in list(self._sizes))
        except OSError as fault:
            raise _unable("overwritten", fault) from None

    def drop(self) -> None:
        """Everything in it is lost, by decision. Raises SpoolUnable."""
        with self._lock:
            last = max(self._sizes, default=self._cursor.segment)
            self._cursor = Cursor(last, self._sizes.get(last, 0))
            try:
                segment.write_cursor(self._directory, self._cursor)
                self._compact()
                sync_directory(self._directory)
            except OSError as fault:
                raise _unable("dropped", fault) from None

    def close(self) -> None:
        """Let go; what waits stays."""
        with self._lock:
            if self._active is not None:
                os.close(self._active[1])
                self._active = None
            os.close(self._held)

    def _next(self) -> tuple[int, int] | None:
        """The first segment with something behind the cursor, and its end."""
        for number, size in self._sizes.items():
            behind = self._cursor.offset if number == self._cursor.segment else 0
            if number >= self._cursor.segment and size > behind:
                return number, size
        return None

    def _gathered(self, start: Cursor, ahead: Iterator[Record | Damage], most: int) -> Chunk | None:
        """The next points of what is read from `start` on. None when it has ended. Raises OSError."""
        at = start.offset
        points: list[SealedPoint] = []
        for found in ahead:
            at = found.end
            if isinstance(found, Damage):
                self._skip(found)
            elif found.key_id != VOID:
                self._take(found, points)
            if len(points) >= most:
                break
        if at == start.offset:
            return None
        after = Cursor(start.segment, at)
        self._ahead = (after, ahead)
        return Chunk(points=points, after=after)

    def _vanished(self, start: Cursor, end: int) -> Chunk:
        """The file is shorter than what was appended to it."""
        self._skip(Damage(start.offset, end))
        return Chunk(points=[], after=Cursor(start.segment, end))

    def _take(self, record: Record, points: list[SealedPoint]) -> None:
        try:
            points.append(record.point())
        except VerificationFailed:
            self._skip(record)

    def _skip(self, found: Record | Damage) -> None:
        self.damaged += 1
        self._on_damage(found.end - found.start)

    def _write(self, data: bytes) -> None:
        number, file = self._active = self._active or self._begun()
        size, written = self._sizes[number], 0
        while written < len(data):
            written += os.pwrite(file, data[written:], size + written)
        os.fdatasync(file)
        self._sizes[number] = size + len(data)
        if self._sizes[number] >= self._segment_bytes:
            self._active = None
            os.close(file)

    def _begun(self) -> tuple[int, int]:
        """A new segment, behind all that ever were."""
        for number in count(1 + max((self._cursor.segment, *self._sizes))):
            path = segment.path_of(self._directory, number)
            with contextlib.suppress(FileExistsError):  # of an attempt that failed
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    sync_directory(self._directory)
                except OSError:
                    os.close(file)
                    raise
                self._sizes[number] = 0
                return number, file
        raise AssertionError

    def _cut(self) -> None:
        """An append failed: nothing of it stays, and its file, whose pages nobody can trust, is not written again."""
        if self._active is None:
            return
        (number, file), self._active = self._active, None
        with contextlib.suppress(OSError):
            os.ftruncate(file, self._sizes[number])
        with contextlib.suppress(OSError):
            os.close(file)
        if not self._sizes[number]:
            del self._sizes[number]
            with contextlib.suppress(OSError):  # then it stays, and its number is passed over
                segment.path_of(self._directory, number).unlink(missing_ok=True)

    def _compact(self) -> None:
        """Drained files go."""
        for number, size in list(self._sizes.items()):
            if size and (number, size) > (self._cursor.segment, self._cursor.offset):
                break
            if self._active is not None and self._active[0] == number:
                os.close(self._active[1])
                self._active = None
            del self._sizes[number]
            with contextlib.suppress(OSError):  # then it goes when the spool is opened again
                segment.path_of(self._directory, number).unlink(missing_ok=True)

    def _known(self) -> Cursor:
        try:
            cursor = segment.read_cursor(self._directory)
        except OSError as fault:
            raise _unable("opened: its cursor cannot be read", fault, hint=_CURSOR_HINT) from None
        if cursor is None:
            cursor = Cursor()
            segment.write_cursor(self._directory, cursor, anew=True)
        return cursor

    def _tidy_up(self) -> None:
        """At the start: what a former life drained goes, and what it left torn at the end is cut.

        A cursor that nobody can believe is written anew before anything is appended. Raises OSError, SpoolUnable.
        """
        self._cursor = self._known()
        self._compact()
        last = max(self._sizes, default=None)
        if last is None:
            return
        start = self._cursor.offset if last == self._cursor.segment else 0
        torn = segment.torn_tail(self._directory, last, start)
        if torn:
            self._sizes[last] -= torn
            with segment.path_of(self._directory, last).open("r+b") as file:
                file.truncate(self._sizes[last])
                os.fsync(file.fileno())
            self._skip(Damage(0, torn))


def _hold(file: int) -> None:
    """Lock it; tried several times, since whoever asks whether it is held has it for a moment. Raises OSError."""
    for left in reversed(range(_HOLD_TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_HOLD_PAUSE)
        else:
            return


def _unable(done: str, fault: OSError, *, hint: str | None = None) -> SpoolUnable:
    return SpoolUnable(f"the spool cannot be {done}: {(fault.strerror or 'unknown reason').lower()}", hint=hint)
