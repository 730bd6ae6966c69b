"""Files of lines, each a customer and a device: opened, watched while they are taken, and what was refused of them.

Lines that cannot be taken are refused by number and reason, never by what they say.
"""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.cli.screen import screen
from gateway.control.enrolment_file import COLUMNS
from gateway.errors import UsageFault

_NUMBERS_SHOWN = 8

Source = Annotated[
    str | None, typer.Option("--csv", metavar="FILE", help="The file; `-` is stdin. Without: asks for one device.")
]
NewIncarnation = Annotated[
    bool, typer.Option("--new-incarnation", help="Let customers who were erased begin anew, unrelated to before.")
]


@contextlib.contextmanager
def opened_lines(source: str | None) -> Iterator[BinaryIO]:
    """The bytes to read. Raises UsageFault."""
    if source is None:
        yield _asked()
    elif source == "-":
        yield sys.stdin.buffer
    else:
        try:
            stream = Path(source).open("rb")  # noqa: SIM115 - closed below; only opening it is the user's fault
        except OSError as fault:
            reason = (fault.strerror or "unknown reason").lower()
            raise UsageFault(f"the file cannot be read: {reason}", hint="name a CSV file, or - for stdin") from None
        with stream:
            yield stream


def _asked() -> BinaryIO:
    """One device, asked for on the terminal."""
    if not sys.stdin.isatty():
        raise UsageFault("there is no file of devices", hint="give --csv FILE, or --csv - to read stdin")
    asked = {"valid_from": "valid from (a date or time; empty: now)", "postal_code": "postal code"}
    cells = [
        typer.prompt(asked.get(name, name), default="" if name == "valid_from" else None, show_default=False, err=True)
        for name in COLUMNS
    ]
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, cells])
    return io.BytesIO(text.getvalue().encode())


@contextlib.contextmanager
def progress(stream: BinaryIO) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal; what to call after each group of lines."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.fields[lines]} lines"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("lines", total=_size(stream), lines=0)
        lines = 0

        def moved(more: int) -> None:
            nonlocal lines
            lines += more
            bar.update(task, completed=stream.tell() if _size(stream) else None, lines=lines)

        yield moved


def _size(stream: BinaryIO) -> int | None:
    """Bytes of a file; None for a pipe, which has no end that could be known."""
    if not stream.seekable():
        return None
    here = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(here)
    return size or None


def show_refused(refused: list[tuple[int, str]], reasons: Mapping[str, str]) -> None:
    """Which lines were refused, by reason."""
    if not refused:
        return
    table = Table("refused", "lines", "because", box=None, pad_edge=False)
    for reason, means in reasons.items():
        lines = [line for line, why in refused if why == reason]
        if lines:
            more = f" … {len(lines)} in all" if len(lines) > _NUMBERS_SHOWN else ""
            table.add_row(reason, ", ".join(map(str, lines[:_NUMBERS_SHOWN])) + more, means)
    screen().print(table)
