"""Meter files: CSV, plain or gzip, as providers export them; all of them opened and judged before a row is read.

Every line after the first is a row, in order, file by file; quotes may enclose a cell but no line end. A position is
the number of rows before it: going on means reading from the beginning again, since a file may be packed and sums run
through it, and giving out what follows.

Files are named by their place in the call, never by name: a file may be called after a customer.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

from gateway.errors import UsageFault
from gateway.transport.history.mapping import CsvKind, HistoryMapping
from gateway.transport.history.playback import Page, Position
from gateway.transport.history.translate import CsvRows, Row

PAGE_ROWS = 10_000
SUFFIXES = (".csv", ".csv.gz")
_UNREADABLE = (OSError, EOFError, zlib.error)
_SPOILT = Row("", b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    number: int
    path: Path = field(repr=False)
    size: int
    kind: CsvKind
    device: str = field(repr=False)


class MeterFiles:
    """Files of a mapping's kinds, in the order given; of a directory, all CSV files in it by name."""

    kind = "csv"

    def __init__(self, mapping: HistoryMapping, paths: Sequence[Path]) -> None:
        """Raises UsageFault with every fault of every file."""
        self._faults: list[str] = []
        self._rows = {id(kind): CsvRows(kind) for kind in mapping.csv}
        self._files: list[_File] = []
        for number, path in enumerate(_expanded(paths), start=1):
            self._judge(number, path, mapping)
        if not (self._files or self._faults):
            self._faults.append("there is no CSV file")
        if self._faults:
            hint = "name files that the mapping describes; docs/formats/history.md says how they must look"
            raise UsageFault("\n  ".join(self._faults), hint=hint)

    @property
    def identity(self) -> list[object]:
        """What tells these files from others, and from what they were before; nothing of their names or contents."""
        found = [file.path.stat() for file in self._files]
        return [[stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns] for stat in found]

    def pages(self, position: Position | None) -> Iterator[Page]:
        """Everything after `position`. Raises UsageFault when a file ends in the middle."""
        skip = position[0] if position else 0
        whole = sum(file.size for file in self._files) or 1
        seen = before = 0
        for file in self._files:
            with _opened(file.path, file.kind) as (raw, text):
                for rows in _batched(self._of(file, text), PAGE_ROWS):
                    seen += len(rows)
                    if seen > skip:
                        kept = rows[max(0, len(rows) - (seen - skip)) :]
                        yield Page(kept, [seen], (before + min(raw.tell(), file.size)) / whole)
            before += file.size

    def _judge(self, number: int, path: Path, mapping: HistoryMapping) -> None:
        found = mapping.kind_of(path.name)
        if found is None:
            self._faults.append(f"file {number}: the mapping has no [[csv]] whose `files` fits its name")
            return
        kind, match = found
        device = "" if kind.device_column else match["device"] or ""
        try:
            with _opened(path, kind) as (_, text):
                header = _cells(text.readline(), kind)
            size = path.stat().st_size
        except _UNREADABLE as fault:
            self._faults.append(f"file {number}: it cannot be read: {_reason(fault)}")
            return
        missing = sorted(kind.columns - set(header))
        if missing:
            self._faults.append(f"file {number}: its first line has no column {', '.join(missing)}")
        twice = sorted(name for name in kind.columns if header.count(name) > 1)
        if twice:
            self._faults.append(f"file {number}: its first line has twice the column {', '.join(twice)}")
        self._files.append(_File(number=number, path=path, size=size, kind=kind, device=device))

    def _of(self, file: _File, text: TextIO) -> Iterator[Row]:
        """The rows of one file; a line that is none gives a row that is refused as malformed."""
        kind, make = file.kind, self._rows[id(file.kind)].row
        try:
            header = _cells(text.readline(), kind)
            at, width = {name: place for place, name in enumerate(header)}, len(header)
            for line in text:
                cells = _cells(line, kind)
                if len(cells) == width:
                    yield make(cells, at, file.device)
                elif line.strip():
                    yield _SPOILT
        except _UNREADABLE as fault:
            raise UsageFault(
                f"file {file.number}: it cannot be read to its end: {_reason(fault)}",
                hint="bring it here again, whole, and repeat: what was imported stays, and is not counted twice",
            ) from None


@contextlib.contextmanager
def _opened(path: Path, kind: CsvKind) -> Iterator[tuple[BinaryIO, TextIO]]:
    """Its bytes and its characters; what is none becomes U+FFFD, which is in no number and no identifier."""
    with path.open("rb") as raw, gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw as stream:
        encoding = "utf-8-sig" if kind.encoding == "utf-8" else kind.encoding
        with io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="") as text:
            yield raw, text


def _cells(line: str, kind: CsvKind) -> list[str]:
    """The cells of one line, none when its quotes do not match: a stray one spoils its own line only."""
    try:
        return next(csv.reader([line], delimiter=kind.delimiter, strict=True), [])
    except csv.Error:
        return []


def _expanded(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(inside for inside in path.iterdir() if inside.name.endswith(SUFFIXES))
        else:
            yield path


def _batched(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while batch := list(islice(rows, size)):
        yield batch


def _reason(fault: Exception) -> str:
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror.lower()
    return "its compression is broken, or ends too early"
