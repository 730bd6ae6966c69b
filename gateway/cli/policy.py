"""`glomska policy check`: whether the policy is valid, and what its owner should know about it."""

from __future__ import annotations

import json

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.options import AsJson, Config
from gateway.cli.screen import screen
from gateway.errors import Unreachable
from gateway.policy.load import check as findings_of
from gateway.policy.load import load_policy
from gateway.policy.rules import Policy
from gateway.runtime.accepted import Accepted
from gateway.runtime.config import load_settings

app = typer.Typer(help="The privacy policy.")


@app.callback()
def _policy() -> None:
    """Look at the privacy policy."""


@app.command()
def check(as_json: AsJson = False, config: Config = None) -> None:
    """Check the policy, and tell what its owner should know.

    Exit code 3, with every fault at once, when it is not valid, or would have what the state directory's gateway has
    stored read as something else.
    """
    settings = load_settings(config)
    policy = load_policy(settings.policy)
    findings = findings_of(policy)
    try:
        Accepted(settings.state).judge(policy, settings.policy)
    except Unreachable as fault:
        findings.append(("warning", f"whether it fits what is stored cannot be told: {fault}"))
    if as_json:
        found = [{"level": level, "text": text} for level, text in findings]
        typer.echo(json.dumps({"valid": True, "findings": found}, ensure_ascii=False))
        return
    typer.echo(f"{settings.policy}: valid, schema {policy.schema}")
    _show(policy)
    for level, text in findings:
        typer.echo(f"{level}: {text}")


def _show(policy: Policy) -> None:
    table = Table("purpose", "basis", "kept", "no finer than", "quantities", box=None, pad_edge=False)
    for purpose in policy.purposes.values():
        basis = f"{purpose.basis.value.replace('_', ' ')}, {purpose.basis.article}"
        finest = f"{purpose.resolution} s" if purpose.resolution else "as measured"
        names = "all" if len(purpose.quantities) == len(policy.quantities) else ", ".join(sorted(purpose.quantities))
        table.add_row(purpose.name, Text(basis), f"{purpose.retention_months} months", finest, names or "none")
    console = screen()
    for part in ("", table, ""):
        console.print(part)
