"""Attack 28: a string in a point adds a tag, a field or a point to what is written.

A parser of its own, written after the grammar and sharing nothing with the renderer, must find in the lines exactly the
points that were given, or the point must have been refused. Then the nastiest go to a real server, which must hold just
as many series, fields and points as were accepted, with every string as it was sent.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.servers import InfluxDB1
from gateway.model.ids import KeyId, Pseudonym
from gateway.model.sealed import SealedPoint, Series
from gateway.transport.influx1 import Influx1Store
from gateway.transport.lineprotocol import render
from gateway.transport.store import write_all

NASTY = [
    "", " ", ",", "=", '"', "\\", "'", "#", "\n", "\r", "\t", "\0", "\x7f", "\x85", "\u2028", "\ufeff", "\ud800",
    "a,b", "a=b", "a b", 'a"b', "a\\b", "a\nb", "a\0b", "#a", "a\\", "a\\\\", "a\\,", "a\\=", "a\\ ", 'a\\"', "\\a",
    "\\,b=c", "\\ s_1=1", '",s_2="x', '" 1\nevil,series=x s_1="y', 'x" 1\n', "x\nevil value=1 1", "x value=1 1\n#",
    "SE3,evil=1", "SE3 evil=1", "SE3 evil=1 1\nevil evil=2", "\\\n", "\n\\", "time", "_field", "s_1=1,evil", "s_1\\",
    "Malmö södra", "日本", "e\u0301", "\U0001f525", "a" * 70_000, "a" * 64_900, "å" * 32_450,
    "$1", "1i", "true", "..", "/*", "--", ";",
]  # fmt: skip
NUMBERS = [0.0, 21.5, -1e300, 5e-324]
hostile = (
    st.sampled_from([text for text in NASTY if len(text) < 100])
    | st.text(max_size=12)
    | st.text(alphabet=',= "\\\n\r\0#ab', max_size=8)
)
known = st.sampled_from(["telemetry", "s_1d", "abcdefghijklmnopqrstuvwxyz", "SE3"])


@st.composite
def points(draw: st.DrawFn) -> SealedPoint:
    """Hostile and harmless strings in every position that a string can be in."""
    text = hostile | known
    series = Series(draw(text), Pseudonym(draw(text)), draw(text), KeyId(b""))
    names = draw(st.lists(text, max_size=2, unique=True))
    clear = tuple((name, draw(st.sampled_from([*NUMBERS, float("inf"), float("nan")]))) for name in names)
    return SealedPoint(series, draw(st.integers(-(2**64), 2**64)), draw(text), draw(text), clear)


Parsed = tuple[str, dict[str, str], dict[str, str | float], int]


def parse(lines: bytes) -> list[Parsed]:
    """Line protocol by its grammar. A newline ends a point wherever it stands, as with the strictest of readers."""
    return [parse_line(line) for line in lines.decode().split("\n") if line and not line.startswith("#")]


def parse_line(line: str) -> Parsed:
    key, rest = split(line, " ", parts=2)
    fields, time = split(rest, " ", quotes=True)
    measurement, *tags = split(key, ",")
    return (
        unescape(measurement),
        {unescape(name): unescape(value) for name, value in (split(tag, "=") for tag in tags)},
        dict(field(*split(item, "=", parts=2)) for item in split(fields, ",", quotes=True)),
        int(time),
    )


def split(text: str, separator: str, *, parts: int = 0, quotes: bool = False) -> list[str]:
    """Text between separators that are neither escaped nor, where quotes count, quoted; at most `parts` of it."""
    found, quoted, at = [""], False, 0
    while at < len(text):
        character = text[at]
        if character == "\\" and at + 1 < len(text):
            found[-1] += text[at : at + 2]
            at += 2
            continue
        if quotes and character == '"':
            quoted = not quoted
        if character == separator and not quoted and len(found) != parts:
            found.append("")
        else:
            found[-1] += character
        at += 1
    assert not quoted
    return found


def unescape(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def field(name: str, value: str) -> tuple[str, str | float]:
    if value.startswith('"'):
        assert value.endswith('"')
        return unescape(name), re.sub(r'\\(["\\])', r"\1", value[1:-1])
    assert re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", value)
    return unescape(name), float(value)


def meant(point: SealedPoint) -> Parsed:
    """What a point says, in the parser's words."""
    tags = {"series": str(point.series.pseudonym), "area": point.series.area}
    fields: dict[str, str | float] = dict(point.clear)
    if point.value:
        fields[point.field] = point.value
    return point.series.measurement, {name: value for name, value in tags.items() if value}, fields, point.time


def nasty_points() -> Iterator[SealedPoint]:
    """Every nasty string in every position, one position at a time, and beside another such point's harmless rest."""
    times = itertools.count(1_790_000_000_000_000_000)
    for text in NASTY:
        for measurement, pseudonym, area, name, value, clear in (
            (text, "p", "SE3", "s_1", "v", ()),
            ("m", text, "SE3", "s_1", "v", ()),
            ("m", "p", text, "s_1", "v", ()),
            ("m", "p", "SE3", text, "v", ()),
            ("m", "p", "SE3", "s_1", text, (("battery", 1.0),)),
            ("m", "p", "SE3", "s_1", "v", ((text, 1.0),)),
            (text, text, text, text, text, ()),
        ):
            yield SealedPoint(
                Series(measurement, Pseudonym(pseudonym), area, KeyId(b"")), next(times), name, value, clear
            )


@settings(max_examples=600, deadline=None)
@given(st.lists(points(), max_size=6))
@example([*nasty_points()])
@example([SealedPoint(Series("m", Pseudonym("p"), "SE3", KeyId(b"")), 1, "s_1", "\ud800", ())])  # nothing else in it
def test_strings_add_no_tag_field_or_point(batch: list[SealedPoint]) -> None:
    lines, refused = render(batch)
    assert parse(lines) == [meant(p) for i, p in enumerate(batch) if i not in refused]


def test_what_is_harmless_is_never_refused() -> None:
    series = Series("telemetry", Pseudonym("p"), "Malmö, södra = 4", KeyId(b""))
    batch = [SealedPoint(series, 1, "s_1d_r2", 'quoted "v\\"', (("battery", 80.5),))]
    lines, refused = render(batch)
    assert not refused
    assert parse(lines) == [meant(batch[0])]


@pytest.fixture(scope="module")
def influxdb() -> Iterator[InfluxDB1]:
    with InfluxDB1() as server:
        yield server


def held(server: InfluxDB1, database: str) -> list[Parsed]:
    """All that the server holds, asked without the gateway's own reader."""
    answer: Any = json.loads(server.query("SELECT * FROM /.*/ GROUP BY *", database))
    return [
        (
            series["name"],
            {name: value for name, value in series["tags"].items() if value},
            {n: v if isinstance(v, str) else float(v) for n, v in named(series["columns"], row) if v is not None},
            row[0],
        )
        for series in answer["results"][0].get("series", [])
        for row in series["values"]
    ]


def named(columns: list[str], row: list[Any]) -> Iterator[tuple[str, Any]]:
    return zip(columns[1:], row[1:], strict=True)  # the first column is the time


def in_order(found: list[Parsed]) -> list[str]:
    return sorted(json.dumps(p, sort_keys=True) for p in found)


def test_a_real_server_holds_what_was_accepted_and_nothing_else(influxdb: InfluxDB1) -> None:
    store = Influx1Store(influxdb.http_url, database="nasty")
    batch = list(nasty_points())
    refused = write_all(store, batch).rejected
    accepted = [meant(p) for i, p in enumerate(batch) if i not in refused]
    assert len(accepted) > len(NASTY)
    found = held(influxdb, "nasty")
    assert in_order(found) == in_order(accepted)
    series: Any = json.loads(influxdb.query("SHOW SERIES", "nasty"))
    assert len(series["results"][0]["series"][0]["values"]) == len({(p[0], json.dumps(p[1])) for p in accepted})
    store.close()


_fuzzed = (f"fuzz{n}" for n in itertools.count())


@settings(max_examples=40, deadline=None)
@given(st.lists(points(), min_size=1, max_size=40))
def test_a_real_server_holds_what_was_accepted_of_anything(influxdb: InfluxDB1, batch: list[SealedPoint]) -> None:
    distinct = [
        SealedPoint(p.series, 1_790_000_000_000_000_000 + i, p.field, p.value, p.clear) for i, p in enumerate(batch)
    ]
    database = next(_fuzzed)
    store = Influx1Store(influxdb.http_url, database=database)
    influxdb.create_database(database)
    refused = write_all(store, distinct).rejected
    accepted = [meant(p) for i, p in enumerate(distinct) if i not in refused]
    assert in_order(held(influxdb, database)) == in_order(accepted)
    store.close()
