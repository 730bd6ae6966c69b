"""`glomska spool`: what waits for the store, and what to do with it when its worker has gone.

A running worker drains its own spool. One is left behind when workers are fewer than they were, or under a client id
that is used no more.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli.options import AsJson, Config
from gateway.cli.screen import screen
from gateway.control.accounting import ours
from gateway.errors import UsageFault
from gateway.runtime.config import load_settings
from gateway.runtime.draining import drain as drain_spool
from gateway.runtime.draining import drop as drop_spool
from gateway.runtime.log import Log
from gateway.runtime.spooling import Spooled
from gateway.runtime.wiring import House, opened
from gateway.transport.spool import Waiting

app = typer.Typer(help="Readings that wait on disk for the store.")
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]…", help="Client ids of the workers whose spools are meant.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Client id of the worker whose spool is meant.")]


@app.callback()
def _spool() -> None:
    """Readings that wait on disk for the store."""


@app.command()
def status(as_json: AsJson = False, config: Config = None) -> None:
    """Show every spool of this machine: what waits, and whether its worker runs."""
    with opened(load_settings(config), create=False) as house:
        found = _looked_at(house)
        limit = house.settings.spool.max_bytes
    if as_json:
        told = {"spools": [asdict(one) for one in found], "max_bytes": limit, "party": ours()}
        typer.echo(json.dumps(told, ensure_ascii=False))
    elif not found:
        typer.echo("there is no spool: no worker has begun here")
    else:
        _show(found, limit)
        typer.echo(f"where an erasure waits for them it says: {ours()}")


@app.command()
def drain(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="All spools whose workers do not run.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Bring what waits into the store, of workers that do not run.

    The store must be reachable. Ended anywhere, the rest stays in the spool.
    """
    if bool(names) == every:
        raise UsageFault("name the spools to drain, or give --all", hint="`glomska spool status` lists them")
    with opened(load_settings(config), create=False) as house:
        waiting = {one.worker: one for one in _looked_at(house)}
        chosen = [name for name, one in waiting.items() if not one.held] if every else list(dict.fromkeys(names or ()))
        done = [_drained(house, name, waiting[name].points if name in waiting else 0) for name in chosen]
    if as_json:
        books = [{"worker": name, **one.books()} for name, one in zip(chosen, done, strict=True)]
        typer.echo(json.dumps({"drained": books}, ensure_ascii=False))
        return
    for name, one in zip(chosen, done, strict=True):
        others = {"refused": one.refused.total(), "erased": one.erased, "damaged": one.damaged}
        more = "".join(f", {number} {what}" for what, number in others.items() if number)
        typer.echo(f"{name}: {one.drained} points drained{more}")
    if not chosen:
        typer.echo("every spool has a worker that drains it")


@app.command()
def drop(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again. Needed where stdin is not a terminal.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Declare lost what waits in a spool. It was acknowledged to its devices and cannot be had again.

    The ledger says how much that was.
    """
    if not yes and not sys.stdin.isatty():
        raise UsageFault("this cannot be undone, and there is nobody to ask", hint="give --yes to drop without asking")
    if not yes and typer.prompt("dropping cannot be undone; the name again, to drop it", err=True) != name:
        raise UsageFault("that was another name; nothing was dropped", hint="repeat the command")
    with opened(load_settings(config), create=False) as house:
        lost = drop_spool(house, name)
    if as_json:
        typer.echo(json.dumps({"worker": name, "points": lost.points, "bytes": lost.bytes}, ensure_ascii=False))
    else:
        typer.echo(f"{name}: {lost.points} points declared lost")


def _looked_at(house: House) -> list[Waiting]:
    console = Console(stderr=True)
    columns = (TextColumn("looking through the spools"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("look", total=house.spools.size())
        return house.spools.report(lambda size: progress.advance(task, size))


def _drained(house: House, name: str, points: int) -> Spooled:
    console = Console(stderr=True)
    columns = (TextColumn("draining"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    log = Log(level="warning", form=house.settings.log.format)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("drain", total=points)

        def moved(counted: Spooled) -> None:
            progress.update(task, completed=counted.drained + counted.erased + counted.refused.total())

        return drain_spool(house, name, log, moved)


def _show(found: list[Waiting], limit: int) -> None:
    table = Table("worker", "runs", "waiting", "bytes", "full", "damaged", box=None, pad_edge=False)
    for one in found:
        full = f"{100 * one.bytes / limit:.0f} %" if limit else "–"
        runs = "yes" if one.held else "no"
        table.add_row(one.worker, runs, f"{one.points} points", str(one.bytes), full, str(one.damaged))
    screen().print(table)
