"""`glomska enrol`: customers and devices from a CSV file, or one device by asking for it.

Lines that cannot be taken are refused by number and reason, never by what they say; the others are enrolled. Doing it
again changes nothing: what is enrolled is `already`.
"""

from __future__ import annotations

import json

import typer

from gateway.cli.lines import NewIncarnation, Source, opened_lines, progress, show_refused
from gateway.cli.options import AsJson, Config
from gateway.cli.times import moment
from gateway.control import enrolment
from gateway.control.enrolment_file import REASONS, EnrolmentFile
from gateway.errors import Refused
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened


def enrol(
    source: Source = None,
    new_incarnation: NewIncarnation = False,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Enrol customers and their devices: this alone creates keys.

    Refused lines are listed, and all others are enrolled. Exit code 5 when every line was refused.
    """
    with opened(load_settings(config)) as house, opened_lines(source) as stream:
        file = EnrolmentFile(stream, house.areas, now=house.clock.wall(), moment=moment)
        with progress(stream) as moved:
            result = enrolment.enrol(
                house.control, house.custodian, house.policy, file, new_incarnation=new_incarnation, progress=moved
            )
    refused = sorted(result.refused + file.refused)
    if as_json:
        listed = [{"line": line, "reason": reason} for line, reason in refused]
        typer.echo(json.dumps({"enrolled": result.enrolled, "already": result.already, "refused": listed}))
    else:
        typer.echo(f"{result.enrolled} enrolled, {result.already} already there, {len(refused)} refused")
        show_refused(refused, REASONS)
    nothing = not (result.enrolled or result.already)
    return Refused.exit_code if refused and nothing else 0
