"""`glomska enrol`: customers and devices from a CSV file, or one device by asking for it.

Lines that cannot be taken are refused by number and reason, never by what they say; the others are enrolled. Doing it
again changes nothing: what is enrolled is `already`.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.cli.options import AsJson, Config
from gateway.cli.screen import screen
from gateway.cli.times import moment
from gateway.control import enrolment
from gateway.control.enrolment_file import COLUMNS, REASONS, EnrolmentFile
from gateway.errors import Refused, UsageFault
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened

_NUMBERS_SHOWN = 8


def enrol(
    source: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="The file; `-` is stdin. Without: asks for one device.")
    ] = None,
    new_incarnation: Annotated[
        bool, typer.Option("--new-incarnation", help="Let customers who were erased begin anew, unrelated to before.")
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Enrol customers and their devices: this alone creates keys.

    Refused lines are listed, and all others are enrolled. Exit code 5 when every line was refused.
    """
    with opened(load_settings(config)) as house, _opened(source) as stream:
        file = EnrolmentFile(stream, house.areas, now=house.clock.wall(), moment=moment)
        with _progress(stream) as moved:
            result = enrolment.enrol(
                house.control, house.custodian, house.policy, file, new_incarnation=new_incarnation, progress=moved
            )
    result.refused = sorted(result.refused + file.refused)
    if as_json:
        refused = [{"line": line, "reason": reason} for line, reason in result.refused]
        typer.echo(json.dumps({"enrolled": result.enrolled, "already": result.already, "refused": refused}))
    else:
        _show(result)
    nothing = not (result.enrolled or result.already)
    return Refused.exit_code if result.refused and nothing else 0


@contextlib.contextmanager
def _opened(source: str | None) -> Iterator[BinaryIO]:
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
        raise UsageFault("there is no file to enrol from", hint="give --csv FILE, or --csv - to read stdin")
    asked = {"valid_from": "valid from (a date or time; empty: now)", "postal_code": "postal code"}
    cells = [
        typer.prompt(asked.get(name, name), default="" if name == "valid_from" else None, show_default=False, err=True)
        for name in COLUMNS
    ]
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, cells])
    return io.BytesIO(text.getvalue().encode())


@contextlib.contextmanager
def _progress(stream: BinaryIO) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal; what to call after each group of lines."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.fields[lines]} lines"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("enrol", total=_size(stream), lines=0)
        lines = 0

        def moved(more: int) -> None:
            nonlocal lines
            lines += more
            progress.update(task, completed=stream.tell() if _size(stream) else None, lines=lines)

        yield moved


def _size(stream: BinaryIO) -> int | None:
    """Bytes of a file; None for a pipe, which has no end that could be known."""
    if not stream.seekable():
        return None
    here = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(here)
    return size or None


def _show(result: enrolment.Result) -> None:
    typer.echo(f"{result.enrolled} enrolled, {result.already} already there, {len(result.refused)} refused")
    if not result.refused:
        return
    table = Table("refused", "lines", "because", box=None, pad_edge=False)
    for reason, means in REASONS.items():
        lines = [line for line, why in result.refused if why == reason]
        if lines:
            more = f" … {len(lines)} in all" if len(lines) > _NUMBERS_SHOWN else ""
            table.add_row(reason, ", ".join(map(str, lines[:_NUMBERS_SHOWN])) + more, means)
    screen().print(table)
