"""`glomska import`: history from meter files or InfluxDB, row by row through the same stages as what devices publish.

Interrupted, killed or cut off, it is repeated with the same words and goes on where it was; repeated when it is
complete, it changes nothing. What is refused is counted by reason, as in `run`: rows older than the policy keeps are
`too_old`, those of devices that nobody has enrolled for that time `unknown_device`.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
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
from gateway.runtime.importing import History, Import, Imported, purge_source, read_rows
from gateway.runtime.log import Log
from gateway.runtime.metrics import Metrics
from gateway.runtime.secret import read_secret
from gateway.runtime.wiring import House, opened
from gateway.transport.history.influx import InfluxHistory
from gateway.transport.history.mapping import load_mapping
from gateway.transport.history.meterfile import MeterFiles
from gateway.transport.store import Login

_SOURCES = "give --csv FILE and more files behind it, or --influxdb URL"


def import_history(
    mapping: Annotated[
        Path, typer.Option("--mapping", metavar="FILE", help="What the columns mean: TOML, docs/formats/history.md.")
    ],
    csv: Annotated[
        list[Path] | None,
        typer.Option("--csv", metavar="FILE", help="A meter file (.csv, .csv.gz), or a directory of them."),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="More meter files.")] = None,
    influxdb: Annotated[
        str | None,
        typer.Option("--influxdb", metavar="URL", help="A plaintext InfluxDB: influxdb1+http://HOST:PORT/DATABASE, …"),
    ] = None,
    username: Annotated[str | None, typer.Option("--username", help="Login at that InfluxDB.")] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="Its password alone, mode 0600.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="A token alone, mode 0600, instead of a login.")
    ] = None,
    purge: Annotated[
        bool, typer.Option("--purge-source", help="Delete what was read from that InfluxDB, once all of it is stored.")
    ] = False,
    purge_refused: Annotated[
        bool, typer.Option("--purge-refused", help="Delete it also where readings were refused: they are then gone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Import history: meter files or a plaintext InfluxDB, as a mapping describes. Repeated, it goes on.

    Every row is stored once or refused with a reason. Exit code 5 when every row was refused. Files stay: delete them
    yourself, they are plaintext.
    """
    _judge(csv=bool(csv or more), influxdb=influxdb is not None, purge=purge, yes=yes)
    settings = load_settings(config)
    with opened(settings, create=False) as house, _bar() as bar:
        meaning = load_mapping(mapping, house.policy)
        if influxdb is None:
            books = _imported(house, MeterFiles(meaning, [*(csv or ()), *(more or ())]), mapping, bar)
            purged = None
        else:
            if influxdb.partition("?")[0].rstrip("/") == settings.store.url.partition("?")[0].rstrip("/"):
                raise UsageFault("the source is the gateway's own store", hint="name another database")
            login = _login(username, password_file, token_file)
            source = InfluxHistory(meaning, influxdb, login=login, timeout_s=settings.store.timeout_s)
            with contextlib.closing(source):
                source.judge()
                books = _imported(house, source, mapping, bar)
                bar.stop()
                purged = _purged(house, source, books, refused_too=purge_refused, yes=yes) if purge else None
    if as_json:
        typer.echo(json.dumps(asdict(books) | ({} if purged is None else {"purged": purged})))
    else:
        _show(books, purged)
    return Refused.exit_code if books.refused and not books.stored else 0


def _judge(*, csv: bool, influxdb: bool, purge: bool, yes: bool) -> None:
    """Raises UsageFault for words that do not go together."""
    if csv == influxdb:
        raise UsageFault("one source is imported from" if csv else "there is nothing to import", hint=_SOURCES)
    if purge and csv:
        raise UsageFault(
            "meter files are not deleted by this command",
            hint="delete them yourself when all is stored, with their copies: `shred -u` where the medium overwrites",
        )
    if purge and not (yes or sys.stdin.isatty()):
        raise UsageFault("nobody can be asked whether to delete", hint="give --yes to delete without being asked")


def _login(username: str | None, password_file: Path | None, token_file: Path | None) -> Login | None:
    """Raises UsageFault, ConfigurationFault."""
    if token_file is not None:
        return Login(token=read_secret(token_file))
    if username is None and password_file is None:
        return None
    if username is None or password_file is None:
        raise UsageFault("a login has two parts", hint="give --username and --password-file, or --token-file alone")
    return Login(username=username, password=read_secret(password_file))


def _imported(house: House, history: History, mapping: Path, bar: _Bar) -> Imported:
    """Raises Interrupted, besides what the import raises."""
    log = Log(level="warning", form=house.settings.log.format)
    found = mapping.stat()
    beside = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]
    try:
        return Import(house, history, log, beside=beside).run(bar.moved)
    except KeyboardInterrupt:
        raise Interrupted("interrupted", hint="repeat the command: it goes on where it was") from None


def _purged(house: House, source: InfluxHistory, books: Imported, *, refused_too: bool, yes: bool) -> int:
    """How many values were deleted from the source. Raises Refused when something was not stored."""
    refused = sum(books.refused_readings.values()) or sum(books.refused.values())
    if refused and not refused_too:
        raise Refused(
            f"{books.stored} rows are stored, {refused} readings were refused: nothing was deleted from the source",
            hint="see which without --purge-source; then mend that, or give --purge-refused to delete them as well",
        )
    if not yes and not typer.confirm(f"Delete {source.values:,} values from the source for good?", err=True):
        raise Refused("nothing was deleted from the source", hint="everything is imported; repeat to be asked again")
    return purge_source(house, source)


class _Bar:
    """A bar on stderr where that is a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("import", total=1.0, rows=0)

    def moved(self, metrics: Metrics, share: float) -> None:
        """To be called after each page."""
        self._progress.update(self._task, completed=share, rows=read_rows(metrics))

    def stop(self) -> None:
        """Make room for a question."""
        self._progress.stop()


@contextlib.contextmanager
def _bar() -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.fields[rows]:,} rows"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bar(progress)


def _show(books: Imported, purged: int | None) -> None:
    resumed = f" ({books.resumed:,} of them by an earlier call)" if books.resumed else ""
    typer.echo(f"{books.read:,} rows read{resumed}, {books.stored:,} stored, {sum(books.refused.values()):,} refused")
    if books.refused_readings:
        table = Table("refused", "rows", "readings", box=None, pad_edge=False)
        for reason, readings in books.refused_readings.items():
            table.add_row(reason, f"{books.refused.get(reason, 0):,}", f"{readings:,}")
        screen().print(table)
    if purged is not None:
        typer.echo(f"{purged:,} values deleted from the source, which has none of them left")
