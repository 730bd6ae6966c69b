"""`glomska ledger`: the public key that others verify with, its rotation, and lines that nobody here wrote."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gateway.cli.options import AsJson, Config
from gateway.control.rotation import public_keys, rotate
from gateway.control.verification import pem
from gateway.errors import UsageFault
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened

app = typer.Typer(help="The ledger's public key, its rotation, and forged lines.", no_args_is_help=True)


@app.command("public-key")
def public_key(
    every: Annotated[bool, typer.Option("--all", help="Also those that were in use before, oldest first.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Print the key that certificates and ledger are verified with, as PEM. It is not secret: publish it."""
    with opened(load_settings(config), create=False) as house:
        keys = public_keys(house.control.ledger)
    if not keys:
        raise UsageFault("this ledger is not signed yet", hint="it is from the next act on, such as an enrolment")
    shown = [pem(key) for key in (keys if every else keys[-1:])]
    typer.echo(json.dumps({"keys": shown}) if as_json else "".join(shown), nl=as_json)


@app.command("rotate-key")
def rotate_key(
    lost: Annotated[
        bool, typer.Option("--lost", help="The key is lost: begin a new one that nobody vouches for.")
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Sign with a new key from here on. The old one signs for the new, and is overwritten.

    Keep the old public key: certificates that were signed with it are verified with it.
    """
    with opened(load_settings(config), create=False) as house:
        public = rotate(house.control, house.signing_key, lost=lost)
    typer.echo(json.dumps({"keys": [pem(public)]}) if as_json else pem(public), nl=as_json)


@app.command("disown")
def disown(as_json: AsJson = False, config: Config = None) -> None:
    """Close as abandoned what the ledger announces, nobody signed, and the key store never heard of.

    Such a line (an erasure, a turnover, an exit) stops everything, as whoever can write to the file may have added it.
    Nothing of it is done. Keep a copy of the file first, to find out who did.
    """
    with opened(load_settings(config), create=False) as house:
        closed = house.unagreed.disown()
    if as_json:
        typer.echo(json.dumps({"disowned": closed}))
        return
    typer.echo(f"disowned: {', '.join(closed)}" if closed else "every act that the ledger announces was begun here")
