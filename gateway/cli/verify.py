"""`glomska verify`: a certificate or a ledger, offline, with the public key alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from gateway.cli.options import AsJson
from gateway.control.verification import Verdict, read_public
from gateway.control.verification import verify as verified


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A certificate (JWS), or a ledger (ledger.jsonl).")],
    key: Annotated[
        Path, typer.Option("--key", metavar="PUB", help="PEM file, as `glomska ledger public-key` prints it.")
    ],
    ledger: Annotated[
        Path | None, typer.Option("--ledger", metavar="FILE", help="The certificate must stand in this ledger too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a certificate of an erasure or an exit, or a whole ledger. Needs no configuration, state or network.

    Exit code 8 when it was changed or forged.
    """
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} lines"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("lines")
        verdict = verified(file, read_public(key), ledger=ledger, progress=_seen(progress, task))
    if as_json:
        typer.echo(json.dumps({"valid": True, "kind": verdict.kind, "claims": verdict.claims}, ensure_ascii=False))
    else:
        typer.echo(_said(verdict))


def _seen(progress: Progress, task: object) -> Callable[[int], None]:
    def seen(lines: int) -> None:
        if lines % 1000 == 0:
            progress.update(task, completed=lines)  # type: ignore[arg-type]  # an id of rich's

    return seen


def _said(verdict: Verdict) -> str:
    claims = verdict.claims
    if verdict.kind == "ledger":
        unsigned = claims["lines"] - claims["signed_lines"]
        tail = f", the last {unsigned} not signed yet" if unsigned else ""
        return f"✓ ledger {claims['ledger']}: {claims['lines']} lines, chain and signatures hold{tail}"
    whose = f"erasure {claims['erasure']} is {verdict.kind}" if "erasure" in claims else "the controller has left"
    lines = [f"✓ certificate: {whose} since {claims[verdict.kind]}"]
    lines += [f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in claims.items()]
    return "\n".join(lines)
