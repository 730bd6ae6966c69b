"""`glomska read`: one customer's readings, for a declared purpose, with an entry in the access log.

An interval without readings gives an empty table and exit code 0; a customer who was erased, exit code 7.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import render
from gateway.cli.options import AsJson, Config
from gateway.cli.subject import Argument, find_subject, subject_text
from gateway.cli.times import moment
from gateway.errors import GlomskaError, UsageFault
from gateway.model.ids import Controller, CustomerId
from gateway.policy.load import load_policy
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened

_EVERY_S = 1.0  # between looks into the store while following


def _purposes(incomplete: str) -> Iterator[tuple[str, str]]:
    """For shell completion, which must not fail."""
    try:
        declared = load_policy(load_settings().policy).purposes
    except GlomskaError:
        return
    yield from ((name, purpose.description) for name, purpose in declared.items() if name.startswith(incomplete))


def read(
    purpose: Annotated[
        str,
        typer.Option(metavar="NAME", autocompletion=_purposes, help="What for: a purpose that the policy declares."),
    ],
    subject: Argument = None,
    start: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="RFC 3339, a date (UTC), `now`, or -90m, -24h, -7d: so long ago."),
    ] = "-24h",
    end: Annotated[
        str, typer.Option("--to", metavar="TIME", help="The same; readings of that instant are left out.")
    ] = "now",
    form: Annotated[render.Format | None, typer.Option("--format", help="Default: table.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there, mode 0600, instead of to stdout.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Go on as readings arrive, until Ctrl-C or the customer is erased."),
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Read a customer's readings for a purpose. Every read is logged.

    The subject, controller/customer, is never an argument. With --follow JSON is one object a line, and a reading that
    comes more than an hour behind the newest is left to a later read.
    """
    form = form or (render.Format.JSON if as_json else render.Format.TABLE)
    render.judge(form, output)
    if follow and (end != "now" or output is not None or form is render.Format.PARQUET):
        raise UsageFault("--follow goes on, on stdout", hint="leave out --to, --output and parquet")
    with opened(load_settings(config), create=False) as house:
        first, last = _interval(start, end, house.clock.wall())
        controller, customer = find_subject(subject_text(subject), house.keystore)
        if follow:
            _follow(house, controller, customer, purpose=purpose, start=first, form=form)
            return
        table = house.access.read(controller, customer, purpose=purpose, start=first, end=last)
    render.write(table, form, output)


def _follow(
    house: House, controller: Controller, customer: CustomerId, *, purpose: str, start: int, form: render.Format
) -> None:
    """Until it is ended. A terminal that closes and SIGTERM end it as Ctrl-C does, with the lease given up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    poll_s = house.settings.keys.poll_ms / 1000
    tables = house.access.follow(
        controller, customer, purpose=purpose, start=start, poll_s=poll_s, every_s=max(poll_s, _EVERY_S)
    )
    lines = render.Lines(form)
    with contextlib.closing(tables):
        for table in tables:
            lines.write(table)


def _interval(start: str, end: str, now: int) -> tuple[int, int]:
    """--from and --to in ns. Raises UsageFault."""
    found = []
    for option, text in (("--from", start), ("--to", end)):
        try:
            found.append(moment(text, now=now))
        except ValueError:
            hint = "write 2026-01-31T12:00:00Z, 2026-01-31, now, -90m, -24h or -7d"
            raise UsageFault(f"{option}: this is no time", hint=hint) from None
    if found[0] >= found[1]:
        raise UsageFault("--from is not before --to")
    return found[0], found[1]
