"""A sealed point is made in `pipeline/seal.py` and by its own `parse`, nowhere else (wall 1)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKER = Path("gateway/pipeline/seal.py")


def names_of_sealed_point(tree: ast.Module) -> set[str]:
    """`SealedPoint` and what it is imported or assigned as."""
    names = {"SealedPoint"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.name == "SealedPoint" and alias.asname}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in names:
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def constructions(source: str) -> list[int]:
    """Lines on which a SealedPoint is called, or handed to something that could call it (partial, map, convert)."""
    tree = ast.parse(source)
    names = names_of_sealed_point(tree)

    def means_it(node: ast.expr) -> bool:
        return (isinstance(node, ast.Name) and node.id in names) or (
            isinstance(node, ast.Attribute) and node.attr == "SealedPoint"
        )

    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or (isinstance(node.func, ast.Name) and node.func.id == "isinstance"):
            continue
        handed = [*node.args, *(keyword.value for keyword in node.keywords)]
        if means_it(node.func) or any(means_it(argument) for argument in handed):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "SealedPoint(series, time, field, value)",
        "sealed.SealedPoint(series, time, field, value)",
        "from gateway.model.sealed import SealedPoint as Point\nPoint(series, time, field, value)",
        "make = SealedPoint\nmake(series, time, field, value)",
        "functools.partial(SealedPoint, series)",
        "msgspec.convert(row, type=SealedPoint)",
    ],
)
def test_a_construction_is_seen(source: str) -> None:
    assert constructions(source)


@pytest.mark.parametrize(
    "source",
    [
        "def write(points: Sequence[SealedPoint]) -> SealedPoint: ...",
        "SealedPoint.parse(measurement=m, pseudonym=p, area=a, time=t, field=f, value=v)",
        "isinstance(point, SealedPoint)",
    ],
)
def test_a_mention_is_no_construction(source: str) -> None:
    assert constructions(source) == []


def test_only_the_sealing_stage_makes_sealed_points() -> None:
    found = {path.relative_to(ROOT): constructions(path.read_text()) for path in (ROOT / "gateway").rglob("*.py")}
    assert found.pop(MAKER), "pipeline/seal.py makes none: has it moved?"
    assert {path: lines for path, lines in found.items() if lines} == {}
