"""The command `glomska`: what there is to call, and how it begins and ends.

Every command raises; `failure` says what that means. Files that we make are for this user alone.
"""

from __future__ import annotations

import io
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.controller import app as controller_app
from gateway.cli.dead_letters import app as dead_letters_app
from gateway.cli.demo import demo
from gateway.cli.doctor import doctor
from gateway.cli.enrol import enrol
from gateway.cli.erase import erase
from gateway.cli.erasures import app as erasures_app
from gateway.cli.failure import report
from gateway.cli.hand_over import hand_over
from gateway.cli.import_history import import_history
from gateway.cli.init import init
from gateway.cli.keys import app as keys_app
from gateway.cli.ledger import app as ledger_app
from gateway.cli.policy import app as policy_app
from gateway.cli.read import read
from gateway.cli.run import run
from gateway.cli.spool import app as spool_app
from gateway.cli.trace import trace
from gateway.cli.verify import verify

app = typer.Typer(
    help="An MQTT gateway that can forget: readings are sealed under keys of their own customer, and erasing a "
    "customer destroys those keys.",
    epilog="Exit codes: 0 done, 1 bug, 2 usage, 3 configuration or policy, 4 unreachable, 5 refused, "
    "6 unknown subject, 7 key destroyed, 8 verification failed, 9 integrity stop, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"glomska {version('glomska')}")
        raise typer.Exit


@app.callback()
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


for _command in (demo, init, run, enrol, hand_over, read, trace, erase, verify, doctor):
    app.command()(_command)
app.command("import")(import_history)
app.add_typer(policy_app, name="policy")
app.add_typer(dead_letters_app, name="dead-letters")
app.add_typer(spool_app, name="spool")
app.add_typer(keys_app, name="keys")
app.add_typer(controller_app, name="controller")
app.add_typer(ledger_app, name="ledger")
app.add_typer(erasures_app, name="erasures")


def call(argv: list[str]) -> int:
    """One command; its exit code."""
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign must not end an erasure
    try:
        code = app(args=argv or ["--help"], prog_name="glomska", standalone_mode=False)
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
