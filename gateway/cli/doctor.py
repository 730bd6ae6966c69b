"""`glomska doctor`: every check on its own, so that one fault hides no other; exit code of the first that fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import typer
from rich.table import Table
from rich.text import Text

from gateway.cli.checks import CHECKS
from gateway.cli.failure import as_ours
from gateway.cli.options import AsJson, Config
from gateway.cli.screen import screen
from gateway.errors import ConfigurationFault, GlomskaError
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one check."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    exit_code: int = 0


def doctor(as_json: AsJson = False, config: Config = None) -> int:
    """Check this installation, from cryptography to the broker. Changes nothing.

    Exit code 0 when all that must hold holds, else that of the first check that fails.
    """
    try:
        settings = load_settings(config)
    except ConfigurationFault as fault:
        findings = [_failed("configuration", fault)]
    else:
        with opened(settings, create=False) as house:
            findings = list(_findings(house))
    if as_json:
        checks = [{"name": f.name, "ok": f.ok, "detail": f.detail, "hint": f.hint} for f in findings]
        typer.echo(json.dumps({"checks": checks}, ensure_ascii=False))
    else:
        _show(findings)
    return next((finding.exit_code for finding in findings if not finding.ok), 0)


def _findings(house: House) -> Iterator[Finding]:
    for name, check in CHECKS.items():
        yield _found(name, check, house)


def _found(name: str, check: Callable[[House], str], house: House) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=check(house))
    except GlomskaError as fault:
        return _failed(name, fault)
    except OSError as fault:
        return _failed(name, ConfigurationFault((fault.strerror or type(fault).__name__).lower()))
    except Exception as fault:  # noqa: BLE001 - the other checks shall still be made
        return _failed(name, as_ours(fault))


def _failed(name: str, fault: GlomskaError) -> Finding:
    return Finding(name=name, ok=False, detail=str(fault), hint=fault.hint, exit_code=fault.exit_code)


def _show(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        sign = Text("✓", style="green") if finding.ok else Text("✗", style="bold red")
        detail = Text(finding.detail)
        if finding.hint:
            detail.append(f"\nnext: {finding.hint}", style="bold")
        table.add_row(sign, finding.name, detail)
    console = screen()
    console.print(table)
    failed = sum(not finding.ok for finding in findings)
    console.print(f"{failed} of {len(findings)} checks failed" if failed else "all that must hold holds")
