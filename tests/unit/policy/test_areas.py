"""Postal codes to price areas: the shipped table, its bounds, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigurationFault
from gateway.policy.areas import HEADER, UnknownPostalCode, load_areas, parse_areas

SHIPPED = load_areas(Path(__file__).parents[3] / "config" / "areas.csv")
SMALL = parse_areas(["# remark", HEADER, "10000,19999,SE3,inside", "", "97000,97999,SE1,border"], "areas.csv")


@pytest.mark.parametrize(
    ("postal_code", "area"),
    [("111 22", "SE3"), ("21119", "SE4"), ("852 30", "SE2"), ("97100", "SE1"), (" 111 22 ", "SE3")],
)
def test_well_known_places_lie_where_they_lie(postal_code: str, area: str) -> None:
    assert SHIPPED.area(postal_code) == area  # Stockholm, Malmö, Sundsvall, Luleå


@pytest.mark.parametrize(
    ("postal_code", "area"), [("10000", "SE3"), ("19999", "SE3"), ("97000", "SE1"), ("97999", "SE1")]
)
def test_bounds_are_inclusive(postal_code: str, area: str) -> None:
    assert SMALL.area(postal_code) == area


@pytest.mark.parametrize(
    ("postal_code", "told"),
    [
        ("", "the postal code is empty"),
        ("  ", "the postal code is empty"),
        ("09999", "the postal code lies in no price area"),
        ("20000", "the postal code lies in no price area"),
        ("98000", "the postal code lies in no price area"),
        ("1234", "not a postal code"),
        ("SE-111 22", "not a postal code"),
        ("11 122", "not a postal code"),
        ("11122\n22", "not a postal code"),
        ("١١١٢٢", "not a postal code"),
    ],
)
def test_what_maps_to_nothing_is_refused_without_repeating_it(postal_code: str, told: str) -> None:
    with pytest.raises(UnknownPostalCode) as refused:
        SMALL.area(postal_code)
    assert str(refused.value) == told
    assert refused.value.code == "unknown_postal_code"


@settings(deadline=None)
@given(st.integers(0, 99_999))
def test_look_up_agrees_with_a_walk_through_the_table(code: int) -> None:
    rows = zip(SHIPPED.first, SHIPPED.last, SHIPPED.names, strict=True)
    expected = [name for first, last, name in rows if first <= code <= last]
    try:
        found = [SHIPPED.area(f"{code:05}")]
    except UnknownPostalCode:
        found = []
    assert found == expected


def test_every_fault_of_a_table_is_reported_with_its_line() -> None:
    lines = [HEADER, "10000,19999,SE5,inside", "20000,10000,SE3,inside", "30000,40000,SE3,inside", "40000,50000,SE4,x"]
    with pytest.raises(ConfigurationFault) as raised:
        parse_areas(lines, "areas.csv")
    head, *told = str(raised.value).split("\n  ")
    assert head == "3 faults found:"
    assert [line[:52] for line in told] == [
        'areas.csv: line 2: found "10000,19999,SE5,inside"; a',
        'areas.csv: line 3: found "20000,10000,SE3,inside"; a',
        'areas.csv: line 5: found "40000,50000,SE4,x"; allowe',
    ]


@pytest.mark.parametrize("lines", [[], ["# only a remark"], ["10000,19999,SE3,inside"], [HEADER]])
def test_a_table_needs_its_header_and_a_range(lines: list[str]) -> None:
    with pytest.raises(ConfigurationFault, match=r"areas\.csv: line"):
        parse_areas(lines, "areas.csv")


def test_a_missing_or_undecodable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match=r"areas\.csv: cannot be read: no such file"):
        load_areas(tmp_path / "areas.csv")
    (tmp_path / "areas.csv").write_bytes(b"\xff")
    with pytest.raises(ConfigurationFault, match=r"areas\.csv: byte 0 is not utf-8"):
        load_areas(tmp_path / "areas.csv")
