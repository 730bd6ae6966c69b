"""The files of one spool: numbered segments, and the cursor that says how far they are drained.

    NNNNNNNNNNNN.seg     records, see `record`; a segment is never appended to by two lives of a spool
    cursor               u8(2) ‖ u64 segment ‖ u64 offset ‖ u32 mark ‖ u32 CRC-32 of these; what lies before is drained
    lock                 held (flock) by the one process that appends and drains

A cursor that is damaged or older than it was makes points be stored again, which changes nothing. It is never newer:
it is written after the store has accepted what lies before it. One that may be whole and cannot be read is no reason to
begin anew: numbers would begin anew with it, and lie before it when it can be read again.

The mark is a CRC-32 of what stands just before the cursor. Where something else stands there now (bytes vanished, and
what was to come moved to before the cursor; or a void) nobody knows where it was: it is at the start of its segment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gateway.disk import sync_directory
from gateway.model.ids import KeyId
from gateway.transport.spool.record import RECORD_BYTES_MAX, VOID, Damage, Record, scan, void

VERSION = 2
WINDOW_BYTES = 4 << 20  # what of a segment is in memory at once
_BLOCK = 4096  # what a bad place on a disk takes with it, and what a mark covers
_NAME = re.compile(r"([0-9]{12})\.seg")
_CURSOR, _MARKED = struct.Struct(">BQQ"), struct.Struct(">BQQI")
_CRC = struct.Struct(">I")


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """Everything before `offset` of `segment`, and every segment before it, is drained."""

    segment: int = 0
    offset: int = 0

    def encode(self, mark: int = 0) -> bytes:
        """The content of its file."""
        body = _MARKED.pack(VERSION, self.segment, self.offset, mark)
        return body + _CRC.pack(zlib.crc32(body))


def path_of(directory: Path, number: int) -> Path:
    """Where a segment is."""
    return directory / f"{number:012}.seg"


def sizes(directory: Path) -> dict[int, int]:
    """Bytes of each segment, by number, oldest first. Raises OSError."""
    found: dict[int, int] = {}
    for entry in os.scandir(directory):
        match = _NAME.fullmatch(entry.name)
        if match is not None:
            with contextlib.suppress(FileNotFoundError):  # drained this very moment
                found[int(match[1])] = entry.stat().st_size
    return dict(sorted(found.items()))


def read_cursor(directory: Path) -> Cursor | None:
    """How far the spool is drained; None when it is not there, or damaged: then from the beginning. Raises OSError."""
    try:
        with (directory / "cursor").open("rb") as file:
            data = file.read(_MARKED.size + _CRC.size + 1)  # of one that damage made larger, enough to see that
    except FileNotFoundError:
        return None
    body, crc = data[: -_CRC.size], data[-_CRC.size :]
    if len(data) < _CURSOR.size or crc != _CRC.pack(zlib.crc32(body)):
        return None
    match body[0], len(body):
        case 1, _CURSOR.size:  # without a mark: believed
            return Cursor(*_CURSOR.unpack_from(body)[1:])
        case 2, _MARKED.size:
            _version, number, offset, mark = _MARKED.unpack_from(body)
            return Cursor(number, offset if _mark(directory, Cursor(number, offset)) in {mark, None} else 0)
    return None


def write_cursor(directory: Path, cursor: Cursor, *, anew: bool = False) -> None:
    """Say how far it is drained; `anew` durably, whatever stood there. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if anew else 0)
    file = os.open(directory / "cursor", flags, 0o600)
    try:
        os.pwrite(file, cursor.encode(_mark(directory, cursor) or 0), 0)
        if anew:
            os.fsync(file)
    finally:
        os.close(file)
    if anew:
        sync_directory(directory)


def _mark(directory: Path, cursor: Cursor) -> int | None:
    """A CRC of the last bytes before it; None when its segment has gone, as a drained one does. Raises OSError."""
    try:
        return zlib.crc32(read(directory, cursor.segment, max(0, cursor.offset - _BLOCK), cursor.offset))
    except FileNotFoundError:
        return None


def read(directory: Path, number: int, start: int, end: int | None = None) -> bytes:
    """Bytes of a segment; zeros for what its disk does not give any more. Raises OSError."""
    file = os.open(path_of(directory, number), os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        end = size if end is None else min(end, size)
        try:
            return _all(file, start, end)
        except OSError as fault:
            if fault.errno != errno.EIO:
                raise
            edges = [start, *range(start - start % _BLOCK + _BLOCK, end, _BLOCK), end]
            return b"".join(_some(file, at, until) for at, until in pairwise(edges))
    finally:
        os.close(file)


def records(directory: Path, number: int, start: int, end: int | None = None) -> Iterator[Record | Damage]:
    """All that stands in a segment from `start` on, as `scan` gives it; offsets are the file's. Raises OSError.

    Read in windows, so that a file takes no more memory for a size that damage gave it. In all but the last, damage at
    the end may be a record that goes on in the next one: that begins where such a record may.
    """
    at, begun = start, start  # what lies between is damage, and may go on
    last = False
    while not last:
        data = read(directory, number, at, at + WINDOW_BYTES if end is None else min(at + WINDOW_BYTES, end))
        last, over = len(data) < WINDOW_BYTES, at + len(data)
        for found in scan(data, base=at):
            if isinstance(found, Record):
                if begun < found.start:
                    yield Damage(begun, found.start)
                yield found
                at = begun = found.end
            elif found.end < over or last:
                at = found.end
            else:
                at = max(found.start, over - RECORD_BYTES_MAX + 1)
    if begun < at:
        yield Damage(begun, at)


def _all(file: int, start: int, end: int) -> bytes:
    parts: list[bytes] = []
    while start < end and (part := os.pread(file, end - start, start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _some(file: int, start: int, end: int) -> bytes:
    try:
        return _all(file, start, end)
    except OSError:
        return bytes(end - start)


def overwrite(directory: Path, number: int, gone: Callable[[Collection[KeyId]], Collection[KeyId]]) -> int:
    """Put voids where points of keys stand that `gone` names; how many. Safe beside whoever appends or drains.

    Nothing moves, so every offset stays what it was; torn, it leaves damage where nothing was to be read any more.
    Raises OSError.
    """
    try:
        waiting = [
            found for found in records(directory, number, 0) if isinstance(found, Record) and found.key_id != VOID
        ]
        dead = set(gone({record.key_id for record in waiting})) if waiting else set()
        doomed = [record for record in waiting if record.key_id in dead]
        if doomed:
            _write_voids(path_of(directory, number), doomed)
    except FileNotFoundError:  # drained meanwhile
        return 0
    return len(doomed)


def _write_voids(path: Path, doomed: list[Record]) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        for record in doomed:
            os.pwrite(file, void(record.end - record.start), record.start)
        os.fdatasync(file)
    finally:
        os.close(file)


def torn_tail(directory: Path, number: int, start: int) -> int:
    """How many bytes at its end, from `start` on, are no record. Raises OSError."""
    last = None
    for last in records(directory, number, start):  # noqa: B007 - the last one is wanted
        pass
    return last.end - last.start if isinstance(last, Damage) else 0
