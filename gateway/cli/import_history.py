"""`glomska import`: history from meter files, row by row through the same stages as what devices publish.

Interrupted, killed or cut off, it is repeated with the same words and goes on where it was; repeated when it is
complete, it changes nothing. What is refused is counted by reason, as in `run`: rows older than the policy keeps are
`too_old`, those of devices that nobody has enrolled for that time `unknown_device`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli.failure import Interrupted
from gateway.cli.options import AsJson, Config
from gateway.cli.screen import screen
from gateway.errors import Refused, UsageFault
from gateway.runtime.config import load_settings
from gateway.runtime.importing import Import, Imported, read_rows
from gateway.runtime.log import Log
from gateway.runtime.metrics import Metrics
from gateway.runtime.wiring import opened
from gateway.transport.history.mapping import load_mapping
from gateway.transport.history.meterfile import MeterFiles


def import_history(
    mapping: Annotated[
        Path, typer.Option("--mapping", metavar="FILE", help="What the columns mean: TOML, docs/formats/history.md.")
    ],
    csv: Annotated[
        list[Path] | None,
        typer.Option("--csv", metavar="FILE", help="A meter file (.csv, .csv.gz), or a directory of them."),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="More meter files.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Import history: meter files that a mapping describes. Repeat it after an interruption: it goes on.

    Every row is stored once or refused with a reason. Exit code 5 when every row was refused. The files stay: delete
    them yourself, they are plaintext.
    """
    if not csv:
        raise UsageFault("there is nothing to import", hint="give --csv FILE, and more files behind it")
    settings = load_settings(config)
    with opened(settings) as house, _bar() as moved:
        files = MeterFiles(load_mapping(mapping, house.policy), [*csv, *(more or ())])
        log = Log(level="warning", form=settings.log.format)
        found = mapping.stat()
        beside = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]
        try:
            books = Import(house, files, log, beside=beside).run(moved)
        except KeyboardInterrupt:
            raise Interrupted("interrupted", hint="repeat the command: it goes on where it was") from None
    if as_json:
        typer.echo(json.dumps(asdict(books)))
    else:
        _show(books)
    return Refused.exit_code if books.refused and not books.stored else 0


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Metrics, float], None]]:
    """A bar on stderr where that is a terminal; what to call after each page."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.fields[rows]:,} rows"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("import", total=1.0, rows=0)

        def moved(metrics: Metrics, share: float) -> None:
            progress.update(task, completed=share, rows=read_rows(metrics))

        yield moved


def _show(books: Imported) -> None:
    resumed = f" ({books.resumed:,} of them by an earlier call)" if books.resumed else ""
    typer.echo(f"{books.read:,} rows read{resumed}, {books.stored:,} stored, {sum(books.refused.values()):,} refused")
    if books.refused_readings:
        table = Table("refused", "rows", "readings", box=None, pad_edge=False)
        for reason, readings in books.refused_readings.items():
            table.add_row(reason, f"{books.refused.get(reason, 0):,}", f"{readings:,}")
        screen().print(table)
