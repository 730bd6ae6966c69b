"""The command `glomska`: what there is to call, and how it begins and ends.

Every command raises; `failure` says what that means. Files that we make are for this user alone.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import report

COMMANDS = {
    "demo": "gateway.cli.demo:demo",
    "init": "gateway.cli.init:init",
    "run": "gateway.cli.run:run",
    "enrol": "gateway.cli.enrol:enrol",
    "hand-over": "gateway.cli.hand_over:hand_over",
    "read": "gateway.cli.read:read",
    "trace": "gateway.cli.trace:trace",
    "erase": "gateway.cli.erase:erase",
    "verify": "gateway.cli.verify:verify",
    "doctor": "gateway.cli.doctor:doctor",
    "import": "gateway.cli.import_history:import_history",
    "policy": "gateway.cli.policy:app",
    "dead-letters": "gateway.cli.dead_letters:app",
    "spool": "gateway.cli.spool:app",
    "keys": "gateway.cli.keys:app",
    "controller": "gateway.cli.controller:app",
    "ledger": "gateway.cli.ledger:app",
    "erasures": "gateway.cli.erasures:app",
}
"""Where each is, in the order of the help. Named and not imported: `run` holds what it has loaded for as long as it
lives, and all commands together are 7 MB more than its own."""


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"glomska {version('glomska')}")
        raise typer.Exit


def _glomska(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The configuration; else GLOMSKA_CONFIG, else ./config/gateway.toml, …"),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if config is not None:
        os.environ["GLOMSKA_CONFIG"] = str(config)  # it comes first, and what we start ourselves shall read the same


def application(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with these commands; all of them for help and completion."""
    app = typer.Typer(
        help="An MQTT gateway that can forget: readings are sealed under keys of their own customer, and erasing a "
        "customer destroys those keys.",
        epilog="Exit codes: 0 done, 1 bug, 2 usage, 3 configuration or policy, 4 unreachable, 5 refused, "
        "6 unknown subject, 7 key destroyed, 8 verification failed, 9 integrity stop, 130 interrupted.",
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_glomska)
    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _asked(argv: list[str]) -> Iterable[str]:
    """The command that is called, where that is plain; else all, among which typer finds it."""
    first = argv[2:3] if argv[:1] == ["--config"] else argv[:1]
    return first if COMMANDS.keys() & first else COMMANDS


def call(argv: list[str]) -> int:
    """One command; its exit code."""
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign must not end an erasure
    try:
        code = application(_asked(argv))(args=argv or ["--help"], prog_name="glomska", standalone_mode=False)
        sys.stdout.flush()
    except (SystemExit, BrokenPipeError):  # typer and rich leave so when whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as fault:  # noqa: BLE001 - the one place where everything ends
        return report(fault, as_json="--json" in argv)
    return code if isinstance(code, int) else 0


def main() -> None:
    """Entry point."""
    sys.exit(call(sys.argv[1:]))


if __name__ == "__main__":
    main()
