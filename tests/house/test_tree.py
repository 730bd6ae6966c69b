"""What lies in the repository: sizes, names, and nothing of the machine it was written on."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted(p for room in ("gateway", "firmware_sim", "benchmarks") for p in (ROOT / room).rglob("*.py"))

MODULE_LINES = 400
FUNCTION_LINES = 60
MEDIAN_FUNCTION_LINES = 15

# Written so that the pattern does not find itself.
LEAKS = re.compile(
    r"py[p]i\.org|python[h]osted\.org|registry\.np[m]js|deb\.de[b]ian\.org|archive\.ubun[t]u"
    r"|(?<![\w.~])/(?:wor[k]|roo[t]|hom[e])/\w"
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def functions() -> list[tuple[str, int]]:
    """(place, lines) of every function, docstring included."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("text", ["https://py" + "pi.org/simple", "see /hom" + "e/someone/x", "'/wor" + "k/main'"])
def test_a_leak_is_seen(text: str) -> None:
    assert LEAKS.search(text)


def test_no_registry_hosts_and_no_paths_of_a_machine() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # pictures and compressed data
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in LEAKS.finditer(text)]
    assert found == []


def test_modules_are_short() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in CODE}
    assert {path: n for path, n in lines.items() if n > MODULE_LINES} == {}


def test_functions_are_short() -> None:
    measured = functions()
    assert [place for place, lines in measured if lines > FUNCTION_LINES] == []
    assert statistics.median(lines for _, lines in measured) <= MEDIAN_FUNCTION_LINES


def test_no_module_is_named_after_nothing() -> None:
    vague = {"utils", "util", "helpers", "common", "manager", "base"}
    assert [str(path.relative_to(ROOT)) for path in CODE if vague & {path.stem, *path.parent.parts[-1:]}] == []


def test_every_module_says_what_it_decides() -> None:
    silent = [path for path in CODE if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))]
    assert [str(path.relative_to(ROOT)) for path in silent] == []
