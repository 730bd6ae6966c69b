"""What the commands say, to the letter: each transcript is typed into a shell and compared with what comes back.

`$ ` begins a line to type, which goes on while it ends with a backslash; then what it prints, stdout and stderr as on a
terminal; then its exit code in brackets unless it is 0. `…` stands for anything within a line. `#` begins a remark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.reference import reference
from tests.cli.conftest import Home

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
ROOT = Path(__file__).parents[2]


@dataclass
class Exchange:
    """A line that was typed, and what must come back."""

    typed: str
    said: str
    code: int


def exchanges(text: str) -> Iterator[Exchange]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        match = re.fullmatch(r"((?:.*\\\n)*.*\n)((?:.*\n)*)", part)
        assert match, part
        typed, said = match.groups()
        lines = [line for line in said.splitlines(keepends=True) if not line.startswith("#")]
        while lines and not lines[-1].strip():
            lines.pop()
        code = re.fullmatch(r"\[(\d+)\]\n", lines[-1]) if lines else None
        yield Exchange(typed, "".join(lines[:-1] if code else lines), int(code[1]) if code else 0)


def pattern(said: str) -> str:
    return ".*".join(re.escape(part) for part in said.split("…"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_commands_say_what_the_transcript_says(path: Path, home: Home) -> None:
    met = list(exchanges(path.read_text(encoding="utf-8")))
    assert met
    for exchange in met:
        said, code = home.shell(exchange.typed)
        said = re.sub(r" +$", "", said, flags=re.MULTILINE).rstrip("\n") + "\n" if said else said
        shown = f"$ {exchange.typed}{said}[{code}]"
        assert code == exchange.code, shown
        assert re.fullmatch(pattern(exchange.said), said), shown


def test_the_reference_is_current() -> None:
    written = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m gateway.cli.reference > docs/cli.md"
