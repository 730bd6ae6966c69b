"""The command line's reference in Markdown, written from the commands themselves so that it cannot differ from them.

python -m gateway.cli.reference > docs/cli.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer

from gateway import errors
from gateway.cli.failure import Interrupted
from gateway.cli.main import application
from gateway.control import handover
from gateway.control.enrolment_file import COLUMNS, OPTIONAL, REASONS
from gateway.errors import GlomskaError

_WIDTH = 100
_HEAD = f"""# Command line

Written by `python -m gateway.cli.reference` from the commands themselves; a test sees to it that it is current.

**Errors** go to stderr: what happened, and what to do next. With `--json` they go to stdout instead, as
`{{"error": {{"code", "message", "hint", "retryable"}}}}`. What is said about a failure names no customer and no device.

**Subjects** (`controller/customer`; the controller may be left out where there is one only) are read from stdin (`-`),
a file (`@FILE`) or asked for on a terminal, never taken from the command line, which every user of the machine can see.

**Times** are RFC 3339, a date (its midnight, UTC), `now`, or how long ago: `-90m`, `-24h`, `-7d`. Intervals contain
their beginning and not their end.

**Completion** of commands, options and purposes: `glomska --install-completion`.

**The enrolment file** is CSV in UTF-8. Its first line names the columns, in any order:
`{",".join(COLUMNS)}`, and `{OPTIONAL[0]}` if wanted: those that the customer
consents to, separated by `;` or blanks. Cells are not trimmed. An empty `valid_from` means now. A line that cannot be
taken is refused by number and reason, and all others are enrolled; when all are refused, the exit code is 5. A first
line that names other columns is an error, exit code 2, and nothing is enrolled. `hand-over` takes the same file:
`customer` is who has the device from `valid_from` on.
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD, _table("## Why a line is not enrolled", ("reason", "because"), REASONS.items())]
    own = [(reason, means) for reason, means in handover.REASONS.items() if reason not in REASONS]
    parts.append(_table("## Why a device is not handed over, besides", ("reason", "because"), own))
    parts.append(_table("## Exit codes", ("exit", "code", "again?", "meaning"), _codes()))
    command = typer.main.get_command(application())
    parts += [f"## {path}\n\n```text\n{text}\n```\n" for path, text in _helps(command, "glomska", None)]
    return "\n".join(parts)


def _codes() -> Iterator[tuple[str, str, str, str]]:
    yield "0", "", "", "Done."
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GlomskaError)}
    for kind in sorted(kinds | {Interrupted}, key=lambda kind: (kind.exit_code, kind.code)):
        meaning = "A defect of this program." if kind is GlomskaError else (kind.__doc__ or "").strip().split("\n")[0]
        if "code" in vars(kind):
            yield str(kind.exit_code), f"`{kind.code}`", "yes" if kind.retryable else "", meaning


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - typer has no public name for them
    """(path, help) of a command and of what is below it."""
    settings = {"terminal_width": _WIDTH, "max_content_width": _WIDTH, **command.context_settings}
    context = typer.Context(command, info_name=name, parent=parent, **settings)
    yield context.command_path, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    for below, child in getattr(command, "commands", {}).items():
        yield from _helps(child, below, context)


def _table(title: str, names: tuple[str, ...], rows: Any) -> str:  # noqa: ANN401 - rows of any width
    lines = [title, "", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


if __name__ == "__main__":
    sys.stdout.write(reference())
