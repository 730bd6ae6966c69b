"""docs/performance.md is what the rig writes of docs/performance.json, and says of each target what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ingest
from benchmarks.page import page
from benchmarks.rig import Row

DOCS = Path(__file__).parents[2] / "docs"


def _rows(found: Any) -> list[Row]:  # noqa: ANN401 - JSON
    return [ingest.median([Row(**row) for row in rounds]) for rounds in found["rounds"].values()]


def test_the_page_is_written_of_its_figures() -> None:
    found = json.loads((DOCS / "performance.json").read_text())
    assert (DOCS / "performance.md").read_text() == page(found, _rows(found)), "python -m benchmarks.report"


@pytest.mark.parametrize(("cost", "judged"), [(5.99, "| ≤ 6 | 5.99 | met |"), (6.01, "| ≤ 6 | 6.01 | missed |")])
def test_a_target_is_met_or_missed_by_its_figure(cost: float, judged: str) -> None:
    found = json.loads((DOCS / "performance.json").read_text())
    found["rounds"]["glomska"] = [{**row, "cpu_us_per_message": cost} for row in found["rounds"]["glomska"]]
    assert f"CPU a message into InfluxDB, µs {judged}" in page(found, _rows(found))


def test_what_was_not_measured_is_not_judged() -> None:
    found = json.loads((DOCS / "performance.json").read_text())
    found["rounds"].pop("node-red", None)
    assert "times Node-RED | ≥ 8 | – | not measured |" in page(found, _rows(found))
