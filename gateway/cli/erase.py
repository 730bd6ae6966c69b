"""`glomska erase`: destroy customers' keys, and say at every step what holds and what remains.

Effective means: no key of this customer is left, in no file and no process, and nothing that was sealed for them can be
read by anyone. The rows that can no longer be read are deleted too: at once, and again after the longest request that a
worker may have had under way. A running gateway does the second; where none runs, this command waits for it. `final` is
more: every wrapping key that ever covered the key is reported destroyed, which a turnover does. Both are certified.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.erase_many import erase_many, outcome
from gateway.cli.failure import Interrupted
from gateway.cli.options import AsJson, Config
from gateway.cli.subject import Argument, find_subject, subject_text
from gateway.control.accounting import said
from gateway.control.erasure import Erased, Step
from gateway.errors import UsageFault
from gateway.keys import lease
from gateway.keystore import acts, rows, workers
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK = 0.2  # seconds between looks at how far it is

_SAID = {
    Step.FENCED: "in the ledger; keys fenced: nothing is sealed or opened for this customer from here on",
    Step.EFFECTIVE: "keys destroyed, in every file and process: what was sealed cannot be read by anyone",
    Step.PURGED_ONCE: "rows deleted from the store",
    Step.PURGED: "rows deleted again: nothing that was under way is left either",
}


def erase(
    subject: Argument = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again. Needed where stdin is not a terminal.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until rows are deleted again, also where a gateway runs.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Erase many: a CSV with the columns controller,customer."),
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Erase a customer by destroying their keys. This cannot be undone.

    The subject, controller/customer, is never an argument.

    With --csv, lines that cannot be erased are told by number and reason, and the others go on. The exit code is 8
    where somebody is damaged; where nobody was erased it is 7 if all had been before, and else 5.
    """
    if csv is not None:
        if subject is not None:
            raise UsageFault("both a subject and a file were given", hint="give one of them")
        erase_many(csv, yes=yes, as_json=as_json, config=config)
        return
    text = _confirmed(subject, yes=yes)
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if not as_json:
            typer.echo(f"✓ {_SAID[step]}")

    with opened(load_settings(config), create=False) as house:
        controller, customer = find_subject(text, house.keystore)
        try:
            erased = house.erasures.erase(controller, customer, on_step=on_step)
            step = _finished(house, erased, on_step, wait=wait)
        except KeyboardInterrupt:
            raise _interrupted(steps) from None
        typer.echo(json.dumps(outcome(erased)) if as_json else _summary(house, erased, step))


def is_running(worker: rows.Worker, now: int) -> bool:
    """Whether a registered process is an ingesting one (a reading one has no deadline) whose lease still holds."""
    boot = lease.boot_id()
    return worker.deadline > 0 and worker.boot == boot and not lease.is_over(worker, now=now, boot=boot, asked=now)


def _confirmed(subject: str | None, *, yes: bool) -> str:
    """The subject, given twice unless `yes`. Raises UsageFault."""
    if not yes and not sys.stdin.isatty():
        raise UsageFault("this cannot be undone, and there is nobody to ask", hint="give --yes to erase without asking")
    text = subject_text(subject)
    if not yes and typer.prompt("erasing cannot be undone; the subject again, to erase it", err=True) != text:
        raise UsageFault("that was another subject; nothing was erased", hint="repeat the command")
    return text


def _finished(house: House, erased: Erased, on_step: Callable[[Step], None], *, wait: bool) -> Step:
    """The step in the end: what is left is waited for unless a running gateway does it."""
    if erased.step is Step.PURGED:
        return erased.step
    with house.keystore.snapshot() as tx:
        running = any(is_running(worker, house.clock.boottime()) for worker in workers.find_all(tx))
    if not wait and (running or erased.step is Step.EFFECTIVE):
        return erased.step
    if _waited(house, erased.erasure):
        on_step(Step.PURGED)
        return Step.PURGED
    return erased.step


def _waited(house: House, erasure: bytes) -> bool:
    """Whether rows are deleted again; False where somebody has still to be accounted for, which time does not mend."""
    console = Console(stderr=True)
    columns = (TextColumn("before rows are deleted again"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        whole = house.erasures.seconds_to_purge(erasure)
        task = progress.add_task("wait", total=whole or None)
        while _step(house, erasure) is not Step.PURGED:
            left = house.erasures.seconds_to_purge(erasure)
            progress.update(task, completed=whole - left)
            if left == 0:
                _done, faults = house.erasures.carry_on()
                if erasure in faults:  # another's is told by `run` and `glomska erasures resume`
                    raise faults[erasure]
                if house.erasures.owing(erasure):
                    return False
            time.sleep(min(_TICK, left or _TICK))
    return True


def _step(house: House, erasure: bytes) -> Step:
    with house.keystore.snapshot() as tx:
        found = acts.find_erasure(tx, erasure)
    return Step.PURGED if found is None else Step(found.step)


def _summary(house: House, erased: Erased, step: Step) -> str:
    done = f"erasure {erased.erasure.hex()}: effective after {erased.effective_ms:.0f} ms"
    rows_gone = "1 row deleted" if erased.rows == 1 else f"{erased.rows} rows deleted"
    certificate = f"\ncertificate: {erased.certificate}" if erased.certificate else ""
    if step is Step.PURGED:
        return f"{done}, {rows_gone}, and looked for again{certificate}"
    if step is Step.EFFECTIVE:
        what = "the store did not answer: its rows, which nobody can read, go when `glomska run` reaches it"
        return f"{done}; {what}{certificate}"
    late = [account for account in house.erasures.owing(erased.erasure) if account.how == "lease over"]
    if late:
        return f"{done}, {rows_gone}; {said(late)} has still to go on or end before rows are deleted again{certificate}"
    return f"{done}, {rows_gone}; `glomska run` deletes once more when no late write can arrive{certificate}"


def _interrupted(steps: list[Step]) -> Interrupted:
    """What was done stands, so that is what Ctrl-C is answered with."""
    done = _SAID[steps[-1]] if steps else "whether the erasure had begun is not known here"
    hint = "`glomska run` carries on what was begun; `glomska erasures list` shows what is open"
    return Interrupted(f"interrupted; {done}", hint=hint)
