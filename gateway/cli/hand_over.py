"""`glomska hand-over`: devices that change hands, from a CSV file with the columns of `enrol`, or one by asking for it.

Each line names the device's new customer and the event time from which it is theirs. Doing it again changes nothing.
"""

from __future__ import annotations

import json

import typer

from gateway.cli.lines import NewIncarnation, Source, opened_lines, progress, show_refused
from gateway.cli.options import AsJson, Config
from gateway.cli.times import moment
from gateway.control import handover
from gateway.control.enrolment_file import EnrolmentFile
from gateway.errors import Refused
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened


def hand_over(
    source: Source = None,
    new_incarnation: NewIncarnation = False,
    as_json: AsJson = False,
    config: Config = None,
) -> int:
    """Hand devices over to other customers, from an event time on.

    Takes the enrolment file: `customer` is the new owner, enrolled when new; `valid_from` is when the device became
    theirs. Readings of before stay the former owner's, also late ones. Refused lines are listed, and all others are
    done. Exit code 5 when every line was refused.
    """
    with opened(load_settings(config)) as house, opened_lines(source) as stream:
        file = EnrolmentFile(stream, house.areas, now=house.clock.wall(), moment=moment)
        with progress(stream) as moved:
            result = handover.hand_over(
                house.control, house.custodian, house.policy, file, new_incarnation=new_incarnation, progress=moved
            )
    refused = sorted(result.refused + file.refused)
    if as_json:
        listed = [{"line": line, "reason": reason} for line, reason in refused]
        typer.echo(json.dumps({"handed_over": result.handed_over, "already": result.already, "refused": listed}))
    else:
        typer.echo(f"{result.handed_over} handed over, {result.already} already, {len(refused)} refused")
        show_refused(refused, handover.REASONS)
    nothing = not (result.handed_over or result.already)
    return Refused.exit_code if refused and nothing else 0
