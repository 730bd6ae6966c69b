"""`glomska keys recover`: a key store that was set back is told what was done since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import AsJson, Config
from gateway.control.adoption import adopt
from gateway.control.recovery import Recovered
from gateway.runtime.config import load_settings
from gateway.runtime.duties import each_of
from gateway.runtime.wiring import opened


def recover(
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", metavar="DIRECTORY", help="A copy of the ledger that goes further than the one here."),
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Replay into a restored key store what the ledger knows and it does not. Until then nothing is served from it."""
    settings = load_settings(config)
    with opened(settings, create=False) as house:
        if ledger is not None:
            adopt(settings.state / settings.ledger.path, ledger)
        found = house.forgetting.recovery.run()
        typer.echo(json.dumps(_outcome(found)) if as_json else _said(found))  # whatever stands in the way of the rest
        each_of(house.erasures.resume, house.forgetting.controllers.resume)()


def _outcome(found: Recovered) -> dict[str, object]:
    missing = {"incarnations": found.missing, "routes": found.routes, "replaced_keys_of": found.replaced}
    return {
        "replayed": dict(found.replayed),
        "erased": found.erased,
        "fences": found.fences,
        "mended": found.mended,
        "missing": missing,
        "unfenced": found.unfenced,
        "unknown": dict(found.untold),
    }


def _said(found: Recovered) -> str:
    acts = sum(found.replayed.values())
    lines = [f"{acts} acts replayed, {found.erased} erased again, {found.fences} fences brought back"]
    if found.mended:
        lines.append(f"{found.mended} fence secrets that did not open are brought back from the fence file")
    if found.unfenced:
        lines.append(f"{len(found.unfenced)} erasures have lost fences, and whom they stopped can be enrolled again:")
        lines += [f"  erasure {name}" for name in found.unfenced]
        lines.append("  the fence file lacks them; if there is a copy of fences.jsonl, put it in its place and repeat")
    if found.missing:
        lines.append(f"{len(found.missing)} customers were enrolled since: their keys are lost, with what was sealed")
        lines += [f"  incarnation {name}" for name in found.missing]
    if found.routes:
        lines.append(f"{found.routes} devices have lost their owner: enrol them again, or hand them over")
    if found.replaced:
        lines.append(f"{len(found.replaced)} customers had their keys replaced since: `glomska keys rekey` again")
    if found.untold:
        acts_under_way = ", ".join(found.untold)
        lines.append(
            f"under way when the key store was lost, and nobody knows with whom: {acts_under_way}; do it again"
        )
    return "\n".join(lines)
