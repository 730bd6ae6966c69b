"""What people look at: as wide as their terminal, and never cut or folded where there is none."""

from __future__ import annotations

from typing import IO

from rich.console import Console

_WIDE = 1000  # characters of a line where no terminal says how many there are


def screen(file: IO[str] | None = None) -> Console:
    """A console on `file`, else on stdout."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console
