"""`glomska controller`: the organisations that decide why data is processed. Their names may be arguments."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from gateway.cli.options import AsJson, Config
from gateway.control import accounting
from gateway.control.controllers import Gone, said_of
from gateway.control.suspension import Suspensions
from gateway.errors import UsageFault
from gateway.model.ids import parse_controller
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened

app = typer.Typer(help="Controllers: added, suspended, and gone with all that is theirs.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As it stands in topics and enrolment files.")]


@app.command()
def add(name: Name, as_json: AsJson = False, config: Config = None) -> None:
    """Begin a controller's own lineage of keys. Enrolment does so too, with the first customer of a new one."""
    controller = parse_controller(name)
    with opened(load_settings(config)) as house:
        house.forgetting.controllers.add(controller)
    typer.echo(json.dumps({"added": controller}) if as_json else "added")


@app.command()
def suspend(name: Name, as_json: AsJson = False, config: Config = None) -> None:
    """Let all keys of a controller rest: nothing of it is sealed or read until it is resumed."""
    with opened(load_settings(config), create=False) as house:
        done = Suspensions(house.control, house.custodian).suspend(parse_controller(name))
    said = "suspended" if done.changed else "nothing changed: it was suspended already"
    typer.echo(json.dumps({"suspended": done.changed, "in_force": done.in_force}) if as_json else said)


@app.command()
def resume(name: Name, as_json: AsJson = False, config: Config = None) -> None:
    """Take the suspension of a controller back."""
    with opened(load_settings(config), create=False) as house:
        done = Suspensions(house.control, house.custodian).resume(parse_controller(name))
    said = "resumed" if done.changed else "nothing was suspended"
    typer.echo(json.dumps({"resumed": done.changed, "in_force": done.in_force}) if as_json else said)


@app.command(name="exit")
def leave(
    name: Name,
    ends_holds: Annotated[
        bool,
        typer.Option("--ends-holds", help="Also end legal holds of erased customers before their date."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again. Needed where stdin is not a terminal.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Destroy a controller's lineage: everything of all its customers is unreadable for ever. Cannot be undone.

    Refused while a law still keeps keys of customers who were erased, unless --ends-holds is given.
    """
    controller = parse_controller(name)
    if not yes and not sys.stdin.isatty():
        raise UsageFault("this cannot be undone, and there is nobody to ask", hint="give --yes")
    with opened(load_settings(config), create=False) as house:
        exits = house.forgetting.controllers
        held = exits.ending_holds(controller, allowed=ends_holds)
        if not yes:
            _confirm(name, held)
        gone = exits.exit(controller, ends_holds=ends_holds)
    if as_json:
        typer.echo(json.dumps(_told(gone)))
        return
    typer.echo(f"gone: {gone.keys} keys and all {gone.wrappings} wrapping keys destroyed; it is in the ledger")
    if gone.holds:
        typer.echo(f"legal holds ended with it, keys: {said_of(gone.holds)}")
    if gone.residue:
        typer.echo(f"except: {gone.residue}")
    if gone.certificate is None:
        typer.echo(f"the certificate waits until these are accounted for: {', '.join(gone.owing)}")
        typer.echo("`glomska run` writes it then; `glomska controller declare-lost` says that one never comes back")
    else:
        typer.echo(f"certificate: {gone.certificate}")
    typer.echo("its rows in the store cannot be read by anyone; drop them there when it suits you")


@app.command("declare-lost")
def declare_lost(
    name: Name,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="As `glomska controller exit` names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Declare that a worker or a machine's queues will never come back with what they hold of one that left.

    It stands in the ledger and in the certificate.
    """
    if not yes:
        typer.confirm("this is your word in a signed certificate: are they gone for good?", abort=True, err=True)
    with opened(load_settings(config), create=False) as house:
        accounting.declare_lost_of_exit(house.control, parse_controller(name), party)
        house.forgetting.controllers.resume()
    typer.echo("noted")


def _confirm(name: str, held: Mapping[str, int]) -> None:
    """Raises UsageFault."""
    kept = f", and what laws keep of erased customers ends now ({said_of(held)})" if held else ""
    if typer.prompt(f"all its customers' data will be unreadable for ever{kept}; the name again", err=True) != name:
        raise UsageFault("that was another name; nothing was done", hint="repeat the command")


def _told(gone: Gone) -> dict[str, object]:
    return {
        "exited": gone.controller,
        "keys": gone.keys,
        "holds_ended": gone.holds,
        "wrapping_keys": gone.wrappings,
        "attested": gone.attested,
        "residue": gone.residue,
        "certificate": None if gone.certificate is None else str(gone.certificate),
        "owing": list(gone.owing),
    }
