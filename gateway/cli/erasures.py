"""`glomska erasures`: what was erased, how far it is, who is waited for, and an operator's word on who is lost."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.cli.options import AsJson, Config
from gateway.cli.screen import screen
from gateway.control import accounting
from gateway.control.certificate import lost, requested, rfc3339
from gateway.errors import UsageFault
from gateway.keystore import accounts, acts, rows
from gateway.keystore.database import Transaction
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened

app = typer.Typer(help="What was erased, how far it is, and its certificates.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ERASURE", help="Its id, or how it begins: see `glomska erasures list`.")]


@app.command("list")
def list_(
    still_open: Annotated[bool, typer.Option("--open", help="Only those that are not final.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List erasures, oldest first."""
    with opened(load_settings(config), create=False) as house, house.keystore.snapshot() as tx:
        found = [_summary(house, row) for row in acts.all_erasures(tx) if row.final is None or not still_open]
    if as_json:
        typer.echo(json.dumps({"erasures": found}))
        return
    table = Table("erasure", "controller", "requested", "state", box=None, pad_edge=False)
    for one in found:
        table.add_row(one["erasure"], one["controller"], one["requested"], one["state"])
    screen().print(table if found else "nobody was erased")


@app.command()
def show(erasure: Id, as_json: AsJson = False, config: Config = None) -> None:
    """Show one: its steps, who is accounted for and how, what it waits for, where its certificates are."""
    with opened(load_settings(config), create=False) as house, house.keystore.snapshot() as tx:
        row = _find(tx, erasure)
        detail = _summary(house, row) | {
            "step": row.step,
            "rows_deleted": [row.rows_first, row.rows_second],
            "parties": accounting.claims(tx, row.erasure),
            "held": [
                {"class": hold.key_class, "until": rfc3339(hold.until), "law": hold.law}
                for hold in accounts.holds_of(tx, row.erasure)
            ],
            "certificates_gone": [str(place) for place in lost(house.settings.state / "certificates", row)],
            "waits_for": [] if row.final else house.forgetting.finality.missing(tx, row),
        }
    if as_json:
        typer.echo(json.dumps(detail))
        return
    for name, value in detail.items():
        typer.echo(f"{name.replace('_', ' ')}: {_told(value)}")


def _told(value: Any) -> str:  # noqa: ANN401 - of a JSON object
    """A value as a person reads it: what is listed stands one below the other."""
    if isinstance(value, list):
        return "".join(f"\n  {_told(one)}" for one in value if one is not None) or "none"
    if isinstance(value, dict):
        return ": ".join(map(str, value.values()))
    return "not yet" if value is None else str(value)


@app.command()
def resume(as_json: AsJson = False, config: Config = None) -> None:
    """Carry on with whatever is open, as a running gateway does once a second."""
    with opened(load_settings(config), create=False) as house:
        done = house.erasures.resume()
        final = house.forgetting.finalise()
        with house.keystore.snapshot() as tx:
            left = [row for row in acts.all_erasures(tx) if row.final is None]
            waits = {row.erasure.hex(): house.forgetting.finality.missing(tx, row) for row in left}
    if as_json:
        known = {"purged": [one.hex() for one in done], "final": [one.hex() for one in final], "open": waits}
        typer.echo(json.dumps(known))
        return
    typer.echo(f"{len(done)} purged now, {len(final)} final now, {len(left)} not final")
    for erasure, missing in waits.items():
        typer.echo(f"{erasure} waits for {'; '.join(missing) or 'its certificate'}")


@app.command("declare-lost")
def declare_lost(
    erasure: Id,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="As `glomska erasures show` names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Declare that a worker, a machine's queues or the broker will never come back with what they hold.

    It stands in the ledger and in the certificate.
    """
    if not yes:
        typer.confirm("this is your word in a signed certificate: are they gone for good?", abort=True, err=True)
    with opened(load_settings(config), create=False) as house:
        with house.keystore.snapshot() as tx:
            row = _find(tx, erasure)
        accounting.declare_lost(house.control, row.erasure, party)
    typer.echo("noted: `glomska erasures resume` carries on")


def _find(tx: Transaction, start: str) -> rows.Erasure:
    found = [row for row in acts.all_erasures(tx) if row.erasure.hex().startswith(start.lower())]
    if len(found) != 1:
        what = "more than one erasure begins so" if found else "there is no such erasure"
        raise UsageFault(what, hint="`glomska erasures list` shows them")
    return found[0]


def _summary(house: House, row: rows.Erasure) -> dict[str, Any]:
    state = "final" if row.final else "effective" if row.effective else "begun"
    place = house.erasures.certificate(row)
    return {
        "erasure": row.erasure.hex(),
        "controller": row.controller,
        "requested": requested(row),
        "state": state,
        "effective": None if row.effective is None else rfc3339(row.effective),
        "final": None if row.final is None else rfc3339(row.final),
        "certificate": None if place is None else str(place),
    }
