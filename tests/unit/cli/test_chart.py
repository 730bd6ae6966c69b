"""Charts: where the curve is high the value is high; what was not measured is not drawn; every size gives a chart."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.cli.chart import day_chart, sparkline
from gateway.model.table import Table

HOUR = 3_600_000_000_000
NOW = 500_000 * HOUR


def table(**columns: list[float]) -> Table:
    """One reading an hour of each quantity, the last one now."""
    rows = sorted(
        (NOW - (len(values) - 1 - i) * HOUR, name, value)
        for name, values in columns.items()
        for i, value in enumerate(values)
    )
    return Table(
        time=np.array([time for time, *_ in rows], dtype=np.int64),
        device=["d"] * len(rows),
        quantity=[name for _, name, _ in rows],
        unit=["u"] * len(rows),
        value=np.array([value for *_, value in rows], dtype=np.float64),
        revision=np.zeros(len(rows), dtype=np.int64),
        decimals={},
    )


def area(chart: str, column: int) -> int:
    """How many cells of a column are filled."""
    return sum(line[column] in "█▌▐▙▟▛▜▀▄▖▗▘▝▞▚" for line in chart.split("\n") if len(line) > column)


def test_a_peak_stands_where_and_as_high_as_it_is() -> None:
    chart = day_chart(table(power=[100.0] * 12 + [3000.0] + [100.0] * 12), width=80, height=20, colour=False)
    heights = [area(chart, column) for column in range(8, 79)]
    assert heights.index(max(heights)) in range(33, 39), "the middle of the day is the middle of the chart"
    assert max(heights) > 5 * heights[5]
    assert "power, W" in chart
    assert "3,000" in chart


def test_an_area_stands_on_zero_and_a_line_fills_its_frame() -> None:
    chart = day_chart(table(power=[500.0] * 25, temperature=[20.0, 22.0] * 12), width=80, height=20, colour=False)
    power, temperature = chart.split("indoor temperature")
    assert "     0┤" in power
    assert "    20┤" in temperature
    assert "    22┤" in temperature
    assert "     0┤" not in temperature


@pytest.mark.parametrize(
    ("columns", "drawn", "missing"),
    [
        ({"power": [1.0, 2.0]}, ["power"], ["temperature"]),
        ({"temperature": [20.0, 21.0]}, ["indoor temperature"], ["power"]),
        ({"power": [1.0], "outdoor_temperature": [-3.0]}, ["power", "outdoor temperature"], ["indoor"]),
        ({"temperature": [20.0], "outdoor_temperature": [-3.0]}, ["indoor temperature"], ["outdoor"]),
        ({"battery": [99.0]}, [], ["power", "temperature"]),
    ],
)
def test_only_what_was_measured_is_drawn(columns: dict[str, list[float]], drawn: list[str], missing: list[str]) -> None:
    chart = day_chart(table(**columns), width=80, height=20, colour=False)
    assert bool(chart) == bool(drawn)
    assert all(title in chart for title in drawn)
    assert not any(title in chart for title in missing)


def test_only_the_last_day_is_drawn() -> None:
    chart = day_chart(table(power=[90_000.0] * 5 + [100.0] * 25), width=80, height=20, colour=False)
    assert "90,000" not in chart
    assert "100" in chart


@pytest.mark.parametrize("value", [0.0, -5.0, 1e6, 1e-3])
def test_a_constant_has_a_chart(value: float) -> None:
    readings = table(power=[value] * 25, temperature=[value] * 25)
    assert day_chart(readings, width=80, height=20, colour=False).count("┤") >= 4


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (40, 12), (1, 1)])
def test_it_is_as_large_as_asked_or_as_small_as_can_be(width: int, height: int) -> None:
    readings = table(power=[100.0, 300.0] * 12, temperature=[20.0, 21.0] * 12)
    lines = day_chart(readings, width=width, height=height, colour=False).split("\n")
    assert len(lines) == max(height, 12)
    assert max(map(len, lines)) <= max(width, 40)


def test_colour_only_where_asked() -> None:
    readings = table(power=[100.0, 300.0])
    assert "\x1b[" not in day_chart(readings, width=80, height=12, colour=False)
    assert "\x1b[38" in day_chart(readings, width=80, height=12, colour=True)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], "    "),
        ([0.0], "    "),
        ([1.0, 2.0], "  ▄█"),
        ([9.0, 9.0, 1.0, 2.0, 4.0, 8.0], "▁▂▄█"),
    ],
)
def test_a_sparkline_shows_the_newest_on_the_right(values: list[float], drawn: str) -> None:
    assert sparkline(values, 4) == drawn
