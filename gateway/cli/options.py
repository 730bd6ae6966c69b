"""Options that several commands take, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The configuration. Also before the command, or GLOMSKA_CONFIG."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on stdout: the result, or the error.")]
