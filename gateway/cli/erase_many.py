"""`glomska erase --csv FILE`: many customers at once, who share what is waited for and looked through.

    controller,customer     # the controller may be left out where the key store has one

All are fenced first, then workers are waited for once, all keys are deleted, and the key store's files are searched for
them together. A line that cannot be erased is refused by number and reason (`unknown`, `erased`, `malformed`,
`damaged`), and the others go on. Repeated with the same file, it carries on. A customer who is named twice is erased
once. The exit code is 8 where somebody is `damaged`: they are enrolled, and are not erased. Where nobody was erased it
is 7 if all had been before, as with one subject, and else 5, as of an enrolment of which every line is refused.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from gateway.cli.failure import Interrupted
from gateway.cli.subject import find_subject
from gateway.control.erasure import Erased, Step
from gateway.errors import GlomskaError, KeyDestroyed, Refused, UnknownSubject, UsageFault, VerificationFailed
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened

_COLUMNS = {"controller", "customer"}
_DAMAGED = "damaged"
_GONE = "erased"


def erase_many(file: Path, *, yes: bool, as_json: bool, config: Path | None) -> None:
    """Erase everybody in the file.

    Raises:
        typer.Exit: somebody is damaged, or nobody was erased; all is said, and the others are erased.
        UsageFault, and what an erasure raises: what was begun is carried on with.
    """
    lines = list(_lines(file))
    if not yes:
        if not sys.stdin.isatty():
            raise UsageFault("this cannot be undone, and there is nobody to ask", hint="give --yes to erase anyway")
        if typer.prompt(f"erasing {len(lines)} customers cannot be undone; their number again", err=True) != str(
            len(lines)
        ):
            raise UsageFault("that was another number; nothing was erased", hint="repeat the command")
    with opened(load_settings(config), create=False) as house:
        try:
            erased, refused = _erased(house, lines)
        except KeyboardInterrupt:
            hint = "`glomska run` carries on what was begun; repeat the command for the rest"
            raise Interrupted("interrupted; who was begun with is fenced", hint=hint) from None
    _say(erased, refused, as_json=as_json)
    if code := _code(erased, {reason for _number, reason in refused}):
        raise typer.Exit(code)


def _erased(house: House, lines: list[tuple[int, str]]) -> tuple[list[Erased], list[tuple[int, str]]]:
    console, refused = Console(stderr=True), list[tuple[int, str]]()
    begun: dict[bytes, int] = {}  # by the first line that names them
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        fencing = progress.add_task("keys fenced", total=len(lines))
        started = house.clock.boottime()
        for number, text in lines:
            try:
                begun.setdefault(house.erasures.begin(*find_subject(text, house.keystore)), number)
            except (UnknownSubject, KeyDestroyed, UsageFault, VerificationFailed) as fault:
                refused.append((number, _reason(fault)))
            progress.advance(fencing)
        deleting = progress.add_task("keys deleted", total=len(begun))
        purging = progress.add_task("gone from every file, rows deleted", total=len(begun))
        erased, faults = house.erasures.finish_all(
            begun,
            started=started,
            on_deleted=lambda: progress.advance(deleting),
            on_step=lambda _erasure, step: progress.advance(purging, int(step is Step.EFFECTIVE)),
        )
    for erasure, stood in faults.items():
        if not isinstance(stood, VerificationFailed):
            raise stood
        refused.append((begun[erasure], _reason(stood)))
    return erased, sorted(refused)


def _code(erased: list[Erased], reasons: set[str]) -> int:
    if _DAMAGED in reasons:
        return VerificationFailed.exit_code
    if erased or not reasons:
        return 0
    return KeyDestroyed.exit_code if reasons == {_GONE} else Refused.exit_code


def _say(erased: list[Erased], refused: list[tuple[int, str]], *, as_json: bool) -> None:
    if as_json:
        done = [outcome(one) for one in erased]
        lines = [{"line": number, "reason": reason} for number, reason in refused]
        typer.echo(json.dumps({"erased": done, "refused": lines}))
        return
    for number, reason in refused:
        typer.echo(f"line {number}: {reason}", err=True)
    rows = sum(one.rows or 0 for one in erased)
    typer.echo(f"{len(erased)} erased, {len(refused)} refused; {rows} rows deleted")
    if erased and erased[0].certificate is not None:
        typer.echo(f"certificates: {erased[0].certificate.parent}")


def outcome(erased: Erased) -> dict[str, object]:
    """An erasure as `--json` gives it."""
    return {
        "erasure": erased.erasure.hex(),
        "state": "final" if erased.final else "effective",
        "effective_ms": round(erased.effective_ms, 1),
        "certificate": None if erased.certificate is None else str(erased.certificate),
    }


def _reason(fault: GlomskaError) -> str:
    if isinstance(fault, KeyDestroyed):
        return _GONE
    if isinstance(fault, VerificationFailed):
        return _DAMAGED
    return "unknown" if isinstance(fault, UnknownSubject) else "malformed"


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """(line number, controller/customer). Raises UsageFault."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream, strict=True)
            named = set(table.fieldnames or ())
            if "customer" not in named or named - _COLUMNS:
                raise UsageFault("the file's first line does not name its columns", hint="write: controller,customer")
            for row in table:
                controller, customer = row.get("controller") or "", row["customer"] or ""
                yield table.line_num, f"{controller}/{customer}" if controller else customer
    except OSError as fault:
        raise UsageFault(f"the file cannot be read: {(fault.strerror or '').lower()}") from None
    except (csv.Error, UnicodeDecodeError):
        raise UsageFault("the file is not CSV in UTF-8", hint="write: controller,customer") from None
