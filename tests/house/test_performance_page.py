"""docs/performance.md is what the rig writes of docs/performance.json, and says of each target what was measured."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ingest, scale
from benchmarks.bounds import Overdue, within
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


def test_sizes_that_were_left_out_and_parts_measured_apart_are_said() -> None:
    found = json.loads((DOCS / "performance.json").read_text())
    found["scale"]["left_out"] = [{"kind": "customers", "size": 1_000_000, "why": "it had its 300 s"}]
    found["apart"] = {"scale": {"day": "2026-01-31", "load_before": 0.5, "seconds": 600}}
    told = page(found, _rows(found))
    assert "Left out: 1,000,000 customers enrolled: it had its 300 s." in told
    assert "Measured apart, on 2026-01-31, in 10 minutes; the load average before was 0.5" in told


def test_memory_of_a_further_device_is_of_the_two_largest_sizes() -> None:
    found = json.loads((DOCS / "performance.json").read_text())
    found["scale"]["devices"] = [
        {**found["scale"]["devices"][0], "size": size, "memory_mb": memory}
        for size, memory in ((1_000, 90.0), (30_000, 200.0), (1_000_000, 200.0 + 970_000 / 1024))
    ]
    assert "| memory a further active device, kB | ≤ 1.2 | 1.00 | met |" in page(found, _rows(found))


def test_what_happens_once_a_device_is_said_by_what_the_scale_found() -> None:
    found = json.loads((DOCS / "performance.json").read_text())
    found["messages"] = 400_000
    found["scale"]["devices"] = [{**found["scale"]["devices"][0], "size": 1_000, "first_us": 100.0}]
    assert "0.25 of the µs a message above" in page(found, _rows(found))
    found["scale"]["devices"] = []
    assert "of the µs a message above" not in page(found, _rows(found))


def test_a_kind_that_was_not_measured_again_stays_as_it_is_kept() -> None:
    kept: scale.Found = {"left_out": [{"kind": "devices"}, {"kind": "history"}], "devices": [{"size": 1}]}
    kept |= {"customers": [{"size": 2}], "history": []}
    found: scale.Found = {"left_out": [], "devices": [{"size": 3}], "customers": [], "history": []}
    assert scale.beside(kept, found) == {
        "left_out": [{"kind": "history"}],
        "devices": [{"size": 3}],
        "customers": [{"size": 2}],
        "history": [],
    }


def test_a_bound_ends_what_is_within_and_leaves_the_outer_one() -> None:
    with pytest.raises(Overdue), within(60):  # noqa: PT012 - what is waited for is in here
        with pytest.raises(Overdue), within(0.001):
            time.sleep(60)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
        raise Overdue
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
