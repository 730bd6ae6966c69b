"""Readings as people and programs want them: table, CSV, JSON, Parquet; all with the same columns in the same order.

    time,device,quantity,unit,value,revision
    2026-01-31T12:00:00Z,meter-1,energy,kWh,12345.678,0

Times are RFC 3339 in UTC with as many digits (0, 3, 6, 9) as they need, values have the digits that the policy
declares; in Parquet they are timestamps in ns and doubles. A file is made for this user alone, whole or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import enum
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from rich import box
from rich.table import Table as Picture
from rich.text import Text

from gateway.cli.screen import screen
from gateway.errors import Unreachable, UsageFault
from gateway.model.table import Table

COLUMNS = ("time", "device", "quantity", "unit", "value", "revision")
_UNITS: tuple[tuple[Literal["s", "ms", "us", "ns"], int], ...] = (
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
)


class Format(enum.StrEnum):
    """How readings are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def judge(form: Format, output: Path | None) -> None:
    """Raises UsageFault when this cannot be written there."""
    if form is Format.PARQUET and output is None and sys.stdout.isatty():
        raise UsageFault("parquet is not for a terminal", hint="give --output FILE")


def write(table: Table, form: Format, output: Path | None) -> None:
    """Write all readings to the file, or to stdout. Raises UsageFault, Unreachable."""
    with _sink(output) as stream:
        if form is Format.PARQUET:
            _write_parquet(table, stream)
            return
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        match form:
            case Format.CSV:
                _write_csv(table, text)
            case Format.JSON:
                _write_json(table, text)
            case _:
                _write_table(table, text)
        text.flush()
        text.detach()


def spelled_times(table: Table) -> list[str]:
    """RFC 3339, UTC."""
    spelled = np.empty(len(table), dtype="U30")
    left = np.ones(len(table), dtype=bool)
    for unit, size in _UNITS:
        now = left & (table.time % size == 0)
        spelled[now] = np.datetime_as_string(table.time[now].astype("datetime64[ns]"), unit=unit)
        left &= ~now
    return [text + "Z" for text in spelled.tolist()]


def spelled_values(table: Table) -> list[str]:
    """With the declared number of digits."""
    digits = table.decimals
    return [f"{value:.{digits[name]}f}" for value, name in zip(table.value.tolist(), table.quantity, strict=True)]


class Lines:
    """Readings as they come, on stdout: CSV with its head once, one JSON object a line, or aligned text."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._widths = [len(name) for name in COLUMNS]
        if form is Format.CSV:
            sys.stdout.write(",".join(COLUMNS) + "\n")

    def write(self, table: Table) -> None:
        """All rows, and out with them. Raises BrokenPipeError when nobody reads on."""
        text = io.StringIO()
        if self._form is Format.CSV:
            csv.writer(text, lineterminator="\n").writerows(_rows(table))
        for row in () if self._form is Format.CSV else _rows(table):
            text.write(self._aligned(row) if self._form is Format.TABLE else _json_of(row, table))
            text.write("\n")
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()

    def _aligned(self, row: tuple[str, str, str, str, str, int]) -> str:
        cells = [*row[:5], str(row[5])]
        self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, cells, strict=True)]
        numbers = {4, 5}
        padded = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, self._widths, strict=True))
        ]
        return "   ".join(padded)


def _rows(table: Table) -> Iterator[tuple[str, str, str, str, str, int]]:
    columns = (spelled_times(table), table.device, table.quantity, table.unit, spelled_values(table))
    return zip(*columns, table.revision.tolist(), strict=True)


def _write_csv(table: Table, text: io.TextIOBase) -> None:
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(_rows(table))


def _write_json(table: Table, text: io.TextIOBase) -> None:
    """A list of objects, one a line; a quantity without decimals is an integer."""
    between = "["
    for row in _rows(table):
        text.write(between + "\n" + _json_of(row, table))
        between = ","
    text.write("[]\n" if between == "[" else "\n]\n")


def _json_of(row: tuple[str, str, str, str, str, int], table: Table) -> str:
    time, device, quantity, unit, value, revision = row
    number = float(value) if table.decimals[quantity] else int(value)
    cells = dict(zip(COLUMNS, (time, device, quantity, unit, number, revision), strict=True))
    return json.dumps(cells, ensure_ascii=False)


def _write_table(table: Table, text: io.TextIOWrapper) -> None:
    console = screen(text)
    picture = Picture(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in COLUMNS:
        picture.add_column(name, justify="right" if name in {"value", "revision"} else "left", overflow="fold")
    for time, device, quantity, unit, value, revision in _rows(table):
        picture.add_row(time, Text(device), quantity, unit, value, str(revision))
    console.print(picture)
    console.print("1 reading" if len(table) == 1 else f"{len(table)} readings", style="dim")


def _write_parquet(table: Table, stream: BinaryIO) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    text, instant = pa.string(), pa.timestamp("ns", tz="UTC")
    kinds: tuple[Any, ...] = (instant, text, text, text, pa.float64(), pa.int64())
    columns: tuple[Any, ...] = (table.time, table.device, table.quantity, table.unit, table.value, table.revision)
    arrays: list[Any] = [pa.array(column, type=kind) for column, kind in zip(columns, kinds, strict=True)]
    parquet.write_table(pa.Table.from_arrays(arrays, names=list(COLUMNS)), stream)


@contextlib.contextmanager
def _sink(output: Path | None) -> Iterator[BinaryIO]:
    """Where bytes go. Raises UsageFault when the file cannot be made, Unreachable when it cannot be written."""
    if output is None:
        yield sys.stdout.buffer
        return
    whole = not output.exists() or output.is_file()  # else a pipe or a device, which must not be replaced
    path = output.with_name(f".{output.name}.part") if whole else output
    try:
        stream = path.open("wb")
    except OSError as fault:
        raise UsageFault(f"the output cannot be opened: {_reason(fault)}", hint="name another --output FILE") from None
    try:
        with stream:
            if whole:
                os.fchmod(stream.fileno(), 0o600)
            yield stream
        if whole:
            path.replace(output)
    except OSError as fault:
        raise Unreachable(f"the output cannot be written: {_reason(fault)}", hint="free some space there") from None
    finally:
        if whole:
            path.unlink(missing_ok=True)


def _reason(fault: OSError) -> str:
    return (fault.strerror or "unknown reason").lower()
