"""`glomska keys`: turn them over, see how they stand, suspend and resume them, give a customer new ones."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli.backup import backup, restore
from gateway.cli.options import AsJson, Config
from gateway.cli.recover import recover
from gateway.cli.screen import screen
from gateway.cli.subject import Argument, find_subject, subject_text
from gateway.cli.times import moment
from gateway.control import expiry
from gateway.control.backup import newest
from gateway.control.pages import Step
from gateway.control.rekey import rekey as begin_rekey
from gateway.control.status import Status
from gateway.control.status import status as statuses
from gateway.control.suspension import Suspended, Suspensions
from gateway.control.turnover import NICE, Turned
from gateway.errors import GlomskaError, UnknownSubject, UsageFault
from gateway.keystore import lineages
from gateway.model.ids import Controller, CustomerId, KeyEpoch, epoch_of, epoch_start, parse_controller
from gateway.runtime.config import load_settings
from gateway.runtime.duties import each_of
from gateway.runtime.memory import calm_collector
from gateway.runtime.wiring import House, opened

app = typer.Typer(help="The keys: turnover, status, suspension, rekey, backup, recovery.", no_args_is_help=True)
app.command()(recover)
app.command()(backup)
app.command()(restore)

Of = Annotated[str | None, typer.Option("--controller", metavar="NAME", help="This controller alone.")]
_SAID = {
    Step.BEGUN: "workers let go",
    Step.RELEASED: "expired series are gathered",
    Step.CAPTURED: "expired rows are deleted",
    Step.PURGED_ONCE: "no late write may arrive",
    Step.REWRAPPING: "keys rewrapped",
    Step.REWRAPPED: "workers let go",
    Step.ALONE: "backup",
    Step.BACKED_UP: "older keys are destroyed",
    Step.DONE: "done",
}


@app.command()
def turnover(
    controller: Of = None,
    horizon: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Let every month before this date go at once, as far as the policy lets it, whatever the clock "
            "guard says. Asks again.",
        ),
    ] = None,
    release_lost: Annotated[
        bool, typer.Option("--release-lost", help="Give up for ever what does not open and stopped the last pass.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again. Needed where stdin is not a terminal.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Turn every key over: expired months go, all else is rewrapped, older wrapping keys are destroyed.

    Afterwards no older copy of the key store opens. `run` does it daily by itself; ingest goes on meanwhile.
    """
    until = _until(horizon, yes=yes)
    if release_lost:
        _confirm("what does not open is given up for ever", "release", yes=yes)
    os.nice(NICE)
    calm_collector()  # a million rows go by and die by reference count: looking at them took a fifth
    with opened(load_settings(config), create=False) as house:
        turned: list[Turned] = []
        names = list(_controllers(house, controller))

        def turn(name: Controller) -> None:
            if release_lost:
                house.turnovers.release_lost(name)
            with _progress(name) as moved, _of(name if len(names) > 1 else None):
                turned.append(house.turnovers.run(name, until=until, on_progress=moved))
                if not as_json:
                    typer.echo(_summary(turned[-1]))

        each_of(*(partial(turn, name) for name in names))()
    if as_json:
        typer.echo(json.dumps(_sum(turned)))


@contextmanager
def _of(name: Controller | None) -> Iterator[None]:
    """A fault says whose pass it ended, where others' go on."""
    try:
        yield
    except GlomskaError as fault:
        if name is not None:
            fault.args = (f"{name}: {fault}",)
        raise


@app.command()
def status(as_json: AsJson = False, config: Config = None) -> None:
    """How keys stand: wrapping key, states, which months are kept and when the oldest goes. Opens no key."""
    settings = load_settings(config)
    with opened(settings, create=False) as house:
        found = statuses(house.keystore, house.policy, every_h=settings.keys.turnover_h)
        backed_up = newest(settings.state / "backups")
    if as_json:
        typer.echo(json.dumps({"controllers": [_told(one, backed_up) for one in found]}, ensure_ascii=False))
    else:
        _show(found)


@app.command()
def suspend(
    subject: Argument = None,
    controller: Of = None,
    everything: Annotated[bool, typer.Option("--everything", help="Every controller and customer.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Let the keys of a customer, a controller or everything rest: nothing is sealed or read until they are resumed.

    Messages that arrive meanwhile are kept as dead letters. The subject, controller/customer, is never an argument.
    """
    _turn("suspended", subject, controller, everything=everything, as_json=as_json, config=config)


@app.command()
def resume(
    subject: Argument = None,
    controller: Of = None,
    everything: Annotated[bool, typer.Option("--everything", help="What was suspended with it.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Take a suspension back. What was suspended twice is resumed twice."""
    _turn("resumed", subject, controller, everything=everything, as_json=as_json, config=config)


@app.command()
def rekey(subject: Argument = None, as_json: AsJson = False, config: Config = None) -> None:
    """Give a customer new keys, where the present ones may be known to others.

    They are valid from some minutes on. What was sealed before is not protected by it: `glomska erase` does that. The
    subject, controller/customer, is never an argument.
    """
    text = subject_text(subject)
    settings = load_settings(config)
    with opened(settings, create=False) as house:
        controller, customer = find_subject(text, house.keystore)
        window_s, lease_s = house.policy.future_window_s, settings.keys.lease_s
        done = begin_rekey(house.control, house.custodian, controller, customer, window_s=window_s, lease_s=lease_s)
    valid_from = _time(done.valid_from)
    if as_json:
        typer.echo(json.dumps({"valid_from": valid_from, "classes": list(done.classes)}))
        return
    typer.echo(f"new keys of {', '.join(done.classes)}, valid for what is measured from {valid_from} on")
    typer.echo("what was sealed before stays readable to whoever has the old keys; only an erasure ends that")


@app.command("declare-lost")
def declare_lost(
    worker: Annotated[str, typer.Argument(metavar="WORKER", help="As `glomska keys status` names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Declare that a worker will never go on with what it held of months that have expired.

    It stands in the ledger. `run` then deletes their rows for the second time and forgets what they were.
    """
    if not yes:
        typer.confirm("this is your word in the ledger: is it gone for good?", abort=True, err=True)
    with opened(load_settings(config), create=False) as house:
        expiry.declare_lost(house.control, worker)
    typer.echo("noted: `glomska run` or the next `glomska keys turnover` deletes again what expired")


def _until(horizon: str | None, *, yes: bool) -> KeyEpoch | None:
    """Raises UsageFault."""
    if horizon is None:
        return None
    try:
        until = epoch_of(moment(horizon))
    except ValueError:
        raise UsageFault("--horizon is not a date", hint="write it as 2026-03-01") from None
    first = _time(epoch_start(until))[:10]
    _confirm(f"everything measured before {first} that the policy does not keep will be unreadable", first, yes=yes)
    return until


def _confirm(what: str, word: str, *, yes: bool) -> None:
    """Raises UsageFault."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageFault(f"{what}, and there is nobody to ask", hint="give --yes to do it without asking")
    if typer.prompt(f"{what}; write {word} to go on", err=True) != word:
        raise UsageFault("nothing was done", hint="repeat the command")


def _controllers(house: House, name: str | None) -> list[Controller]:
    """Raises UnknownSubject."""
    with house.keystore.snapshot() as tx:
        known = lineages.all_controllers(tx)
    if name is None:
        if not known:
            raise UnknownSubject("nobody is enrolled in this key store")
        return known
    return [parse_controller(name)]


@contextmanager
def _progress(controller: Controller) -> Iterator[Callable[[Step, int, int], None]]:
    """A bar on stderr where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(controller, total=None, said="begins")

        def moved(step: Step, done: int, total: int) -> None:
            bar.update(task, completed=done, total=max(total, 1), said=_SAID[step])

        yield moved


def _sum(turned: list[Turned]) -> dict[str, object]:
    each = [
        {
            "controller": one.controller,
            "kek": one.e,
            "rewrapped": one.rewrapped,
            "ratcheted": one.ratcheted,
            "expired_rows": one.expired,
            "finalised": one.finalised,
            "seconds": round(one.seconds, 3),
            "held_back": one.held_back,
        }
        for one in turned
    ]
    return {
        "kek": max(one.e for one in turned),
        "rewrapped": sum(one.rewrapped for one in turned),
        "ratcheted": sum(one.ratcheted for one in turned),
        "finalised": sum(one.finalised for one in turned),
        "seconds": round(sum(one.seconds for one in turned), 3),
        "controllers": each,
    }


def _summary(turned: Turned) -> str:
    said = (
        f"{turned.controller}: everything is under wrapping key {turned.e}, older ones are destroyed; "
        f"{turned.rewrapped} keys rewrapped, {turned.ratcheted} of them past an expired month, "
        f"{turned.expired} expired rows deleted, in {turned.seconds:.1f} s"
    )
    held = f"\n{turned.controller}: no month went, because {turned.held_back}; `--horizon DATE` overrules"
    return said + (held if turned.held_back else "")


def _told(one: Status, backed_up: int | None) -> dict[str, object]:
    ratcheting = [month for month in one.months if month.goes is not None]
    return {
        "controller": one.controller,
        "kek": one.e,
        "keys": one.keys,
        "oldest_epoch": min((month.epoch for month in ratcheting), default=None),
        "next_turnover": None if one.next_turnover is None else _time(one.next_turnover),
        "last_backup": None if backed_up is None else _time(backed_up),
        "months": [
            {"class": m.key_class, "oldest": _time(epoch_start(m.epoch))[:7], "goes": _time(m.goes)}
            for m in ratcheting
            if m.goes is not None
        ],
        "under_way": one.step,
        "quarantined": one.quarantined,
        "suspended": one.suspended,
        "waits_for": list(one.waits_for),
    }


def _show(found: list[Status]) -> None:
    console = screen()
    for one in found:
        states = ", ".join(f"{n} {state}" for state, n in one.keys.items()) or "no keys"
        console.print(f"{one.controller}: wrapping key {one.e}; {states}" + ("; SUSPENDED" if one.suspended else ""))
        if one.step:
            console.print(f"  a turnover is under way: {_SAID[Step(one.step)]}")
        elif one.next_turnover is not None:
            console.print(f"  next turnover by `run`: {_time(one.next_turnover)}")
        if one.quarantined:
            console.print(f"  {one.quarantined} rows do not open and stop the turnover; see `keys turnover --help`")
        for worker in one.waits_for:
            console.print(
                f"  expired rows are deleted again when worker {worker} has gone on or ended; if it never will:"
            )
            console.print(f"    glomska keys declare-lost {worker}")
        table = Table("  class", "oldest month", "goes", box=None, pad_edge=False)
        for month in one.months:
            if month.goes is not None:
                table.add_row(f"  {month.key_class}", _time(epoch_start(month.epoch))[:7], _time(month.goes)[:10])
        console.print(table)
    if not found:
        console.print("nobody is enrolled")


def _turn(
    done: str, subject: str | None, controller: str | None, *, everything: bool, as_json: bool, config: Config
) -> None:
    if sum((subject is not None, controller is not None, everything)) > 1:
        raise UsageFault("that is more than one", hint="a subject, --controller NAME or --everything")
    text = subject_text(subject) if controller is None and not everything else None
    with opened(load_settings(config), create=False) as house:
        name: Controller | None = None
        customer: CustomerId | None = None
        if text is not None:
            name, customer = find_subject(text, house.keystore)
        elif controller is not None:
            name = parse_controller(controller)
        acts = Suspensions(house.control, house.custodian)
        result = (acts.suspend if done == "suspended" else acts.resume)(name, customer)
    if as_json:
        typer.echo(json.dumps({done: result.changed, "in_force": result.in_force}))
    else:
        typer.echo(_said(done, result))


def _said(done: str, result: Suspended) -> str:
    if not result.changed:
        return f"nothing changed: it was {done} already" if done == "suspended" else "nothing was suspended"
    late = "" if result.in_force else "; a worker has not heard of it yet, and its lease ends within a minute"
    return done + late


def _time(ns: int) -> str:
    return dt.datetime.fromtimestamp(ns // 10**9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
