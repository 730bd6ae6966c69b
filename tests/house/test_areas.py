"""config/areas.csv: every Swedish postal code lies in exactly one price area, and what is known well is right."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIRST, LAST = 10000, 98499


def ranges() -> list[tuple[int, int, str, str]]:
    with (ROOT / "config/areas.csv").open(newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(int(row["from"]), int(row["to"]), row["area"], row["accuracy"]) for row in rows]


def test_every_code_lies_in_exactly_one_range() -> None:
    table = ranges()
    assert (table[0][0], table[-1][1]) == (FIRST, LAST)
    assert all(low <= high for low, high, _, _ in table)
    assert [here[1] + 1 for here in table[:-1]] == [following[0] for following in table[1:]]


def test_areas_and_accuracies_are_known_words() -> None:
    assert {area for _, _, area, _ in ranges()} == {"SE1", "SE2", "SE3", "SE4"}
    assert {accuracy for _, _, _, accuracy in ranges()} == {"inside", "border"}


@pytest.mark.parametrize(
    ("place", "code", "area"),
    [
        ("Kiruna", 98131, "SE1"),
        ("Luleå", 97234, "SE1"),
        ("Skellefteå", 93131, "SE1"),
        ("Umeå", 90325, "SE2"),
        ("Östersund", 83131, "SE2"),
        ("Sundsvall", 85230, "SE2"),
        ("Gävle", 80320, "SE3"),
        ("Stockholm", 11123, "SE3"),
        ("Visby", 62157, "SE3"),
        ("Göteborg", 41103, "SE3"),
        ("Jönköping", 55320, "SE3"),
        ("Halmstad", 30241, "SE4"),
        ("Växjö", 35230, "SE4"),
        ("Kalmar", 39230, "SE4"),
        ("Malmö", 21120, "SE4"),
    ],
)
def test_towns_lie_where_their_grid_owners_say(place: str, code: int, area: str) -> None:
    assert [a for low, high, a, _ in ranges() if low <= code <= high] == [area], place
