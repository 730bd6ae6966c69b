"""Every exception and every dependency carries its reason where it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "pyproject.toml").read_text().splitlines()
LISTS = {
    "dependencies": "[project]",
    "bench": "[project.optional-dependencies]",
    "dev": "[project.optional-dependencies]",
    "ignore": "[tool.ruff.lint]",
    '"tests/**"': "[tool.ruff.lint.per-file-ignores]",
    '"tests/faults/**"': "[tool.ruff.lint.per-file-ignores]",
    '"benchmarks/**"': "[tool.ruff.lint.per-file-ignores]",
    '"firmware_sim/**"': "[tool.ruff.lint.per-file-ignores]",
    '"{gateway/cli,firmware_sim}/**"': "[tool.ruff.lint.per-file-ignores]",
}


def entries(name: str, section: str) -> list[str]:
    """The lines of one list in pyproject.toml."""
    start = LINES.index(f"{name} = [", LINES.index(section)) + 1
    return LINES[start : LINES.index("]", start)]


@pytest.mark.parametrize(("name", "section"), LISTS.items())
def test_every_entry_has_its_reason(name: str, section: str) -> None:
    listed = entries(name, section)
    assert listed
    assert [line for line in listed if not re.fullmatch(r'    "[^"]+", *# \S.*', line)] == []


def test_no_list_of_exceptions_was_forgotten() -> None:
    start = LINES.index("[tool.ruff.lint.per-file-ignores]") + 1
    section = LINES[start : LINES.index("[tool.ruff.lint.pydocstyle]")]
    assert {line.removesuffix(" = [") for line in section if line.endswith("= [")} == {
        name for name, where in LISTS.items() if where == "[tool.ruff.lint.per-file-ignores]"
    }


def test_every_dependency_is_pinned_for_the_tests() -> None:
    def plain(requirement: str) -> str:
        return re.split(r"[=><~!\[ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")

    pinned = {plain(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    wanted = {plain(line.strip().strip('"')) for name in ("dependencies", "bench", "dev") for line in _quoted(name)}
    assert wanted - {"glomska"} <= pinned


def _quoted(name: str) -> list[str]:
    return [line.split('"')[1] for line in entries(name, LISTS[name])]
