"""`glomska keys backup`, `glomska keys restore`: the key store on another medium, and on a new machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import AsJson, Config
from gateway.control import backup as backups
from gateway.control.certificate import rfc3339
from gateway.keystore.database import KeyStore
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened


def backup(
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Default: a file in `state/backups`.")] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=365, help="Its key is destroyed after so many days.")
    ] = backups.KEEP_DAYS,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Back the key store up, and open the backup again. The next turnover ends it: back up after each one.

    Copy the ledger's directory and the configuration beside it, and never the custodian's keys.
    """
    with opened(load_settings(config), create=False) as house:
        file = house.forgetting.backups.take(to, days=days)
    typer.echo(json.dumps({"backup": str(file), "days": days}) if as_json else f"{file}, for {days} days at most")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `glomska keys backup` wrote.")],
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Put a backup back where there is no key store. Then `glomska keys recover` tells it what was done since."""
    settings = load_settings(config)
    in_file = settings.keys.url.startswith("sqlite:")
    path = settings.state / settings.keys.url.partition(":///")[2]

    def checked(fresh: Path) -> KeyStore:
        return KeyStore.open(f"sqlite:////{str(fresh).lstrip('/')}", state=settings.state)

    with opened(settings, create=not in_file) as house:
        if in_file:
            header = backups.restore(house.custodian, file, path, checked)
        else:
            header = backups.restore_rows(house.custodian, file, house.keystore, settings.state, checked)
    if as_json:
        typer.echo(json.dumps({"made": rfc3339(header.made), "seq": header.seq}))
        return
    typer.echo(f"the key store of {rfc3339(header.made)} is back; next: put the ledger back, `glomska keys recover`")
