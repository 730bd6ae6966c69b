"""How a command fails: the one place where an error becomes an exit code and a message.

On a terminal two lines on stderr; with `--json` one object on stdout. What is shown of an error that is not ours is its
type and place alone: its text may quote what it failed on, and a traceback may quote more. `GLOMSKA_DEBUG=1` adds the
way there, as places in the code, never as values.

    glomska: no such customer is enrolled
    next: check controller and customer; a customer exists once `glomska enrol` has run
"""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from types import TracebackType

import typer

from gateway.errors import GlomskaError, UsageFault

INTERRUPTED = 130
_PACKAGE = Path(__file__).resolve().parents[1]


class Interrupted(GlomskaError):
    """Ctrl-C, or the end of input where an answer was asked for."""

    code, exit_code, http_status, retryable = "interrupted", INTERRUPTED, 503, True
    hint = "nothing is left half done: repeat the command"


def report(fault: BaseException, *, as_json: bool) -> int:
    """Say what went wrong; the exit code."""
    error = as_ours(fault)
    if as_json:
        body = {"code": error.code, "message": str(error), "hint": error.hint, "retryable": error.retryable}
        typer.echo(json.dumps({"error": body}, ensure_ascii=False))
    else:
        typer.echo(f"glomska: {error}\nnext: {error.hint}", err=True)
    if error.code == GlomskaError.code and os.environ.get("GLOMSKA_DEBUG"):
        for place in _places(fault.__traceback__):
            typer.echo(f"  {place}", err=True)
    return error.exit_code


def as_ours(fault: BaseException) -> GlomskaError:
    """Any exception as one of our errors."""
    if isinstance(fault, GlomskaError):
        return fault
    if isinstance(fault, KeyboardInterrupt | typer.Abort):
        return Interrupted("interrupted")
    words = getattr(fault, "format_message", None)  # typer's usage errors, whose class moved between its versions
    if callable(words):
        return UsageFault(_without_arguments(str(words())), hint=_help_of(fault))
    where = (_places(fault.__traceback__) or ["an unknown place"])[-1]
    hint = f"{GlomskaError.hint}; GLOMSKA_DEBUG=1 shows the way there"
    return GlomskaError(f"internal error: {type(fault).__name__} at {where}", hint=hint)


def _without_arguments(message: str) -> str:
    """A usage error in our style. A stray argument may be somebody's identifier, and is not repeated."""
    if message.startswith("Got unexpected extra argument"):
        return "there are more arguments than this command takes"
    message = message.replace("Value error, ", "").rstrip(".")  # where typer quotes what it validates with
    return message[:1].lower() + message[1:]


def _help_of(fault: BaseException) -> str:
    path = getattr(getattr(fault, "ctx", None), "command_path", None) or "glomska"
    return f"see `{path} --help`"


def _places(trace: TracebackType | None) -> list[str]:
    """`gateway/room/module.py:LINE` for each of our frames, the innermost last."""
    places = []
    for frame in traceback.extract_tb(trace):
        file = Path(frame.filename).resolve()
        if file.is_relative_to(_PACKAGE):
            places.append(f"gateway/{file.relative_to(_PACKAGE)}:{frame.lineno}")
    return places
