"""Meter files and their mappings: what a row becomes, what cannot be read, and every fault of a mapping at once."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.errors import UsageFault
from gateway.model.clear import Readings, Refusals
from gateway.pipeline.decode import Decoder
from gateway.policy.load import load_policy
from gateway.runtime.config import resource
from gateway.transport.history.mapping import MappingFault, load_mapping
from gateway.transport.history.meterfile import MeterFiles
from gateway.transport.history.playback import PIECE, Page, Playback
from gateway.transport.history.translate import Row
from tests.world import ns

POLICY = load_policy(resource("policy.toml"))
POWER, ENERGY = POLICY.by_name["power"].number, POLICY.by_name["energy"].number
SECRET = "kanariefågel-7"
MAPPING = """\
[[csv]]
files = '(?P<device>.+)\\.csv(\\.gz)?'
controller = "demo"
time = { column = "start", zone = "UTC", offset_s = 3600 }
[csv.quantity.energy]
column = "value"
unit = "kWh"
sum = true
[csv.quantity.power]
column = "value"
unit = "W"
factor = 1000
"""

Rows = Callable[..., list[Row]]


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """The rows of a file with these lines, under a mapping."""

    def read(*lines: str, mapping: str = MAPPING, name: str = "meter-1.csv", header: str = "start,value") -> list[Row]:
        path = tmp_path / name
        text = "".join(f"{line}\n" for line in (header, *lines)).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        (tmp_path / "mapping.toml").write_text(mapping)
        files = MeterFiles(load_mapping(tmp_path / "mapping.toml", POLICY), [path])
        return [row for page in files.pages(None) for row in page.rows]

    return read


def decoded(rows: list[Row]) -> tuple[Readings, dict[str, int]]:
    """What decode makes of rows, and its refusals of messages by reason."""
    refusals = Refusals()
    readings = Decoder(POLICY.quantities, 1 << 20)(rows, ns("2030-01-01T00:00:00+00:00"), refusals)
    reasons = [str(reason) for reason in refusals.message.values()]
    return readings, {reason: reasons.count(reason) for reason in reasons}


@pytest.mark.parametrize("name", ["meter-1.csv", "meter-1.csv.gz"])
def test_a_row_is_a_message_at_the_end_of_its_hour(rows: Rows, name: str) -> None:
    found = rows("2024-05-01 00:00:00,0.25", "2024-05-01T01:00:00+00:00,1.5", "2024-05-01T04:00:00+02:00,2", name=name)
    readings, refused = decoded(found)
    assert {row.topic for row in found} == {"demo/meter-1"}
    assert readings.time == [ns(f"2024-05-01T0{hour}:00:00+00:00") for hour in (1, 2, 3)]
    assert readings.values[:, ENERGY].tolist() == [0.25, 1.75, 3.75]
    assert readings.values[:, POWER].tolist() == [250.0, 1500.0, 2000.0]
    assert refused == {}


def test_a_row_that_comes_twice_counts_once(rows: Rows) -> None:
    readings, refused = decoded(
        rows("2024-05-01,0.25", "2024-05-01T01:00,1", "2024-05-01T01:00,1", "2024-05-01T02:00,2")
    )
    assert readings.values[:, ENERGY].tolist() == [0.25, 1.25, 1.25, 3.25]
    assert readings.time[1] == readings.time[2]
    assert refused == {}


def test_a_sum_is_not_made_of_a_row_from_before_or_with_a_second_value(rows: Rows) -> None:
    found = rows("2024-05-01T01:00,1", "2024-05-01T01:00,2", "2024-05-01,4", "2024-05-01T02:00,8")
    refusals = Refusals()
    readings = Decoder(POLICY.quantities, 1 << 20)(found, 0, refusals)
    energy = readings.values[:, ENERGY]
    assert energy[~np.isnan(energy)].tolist() == [1.0, 9.0]
    assert {str(reason): count for reason, count in refusals.readings.items()} == {"malformed": 2}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2024-05-01,", "malformed"),
        ("2024-05-01,x", "malformed"),
        ("2024-05-01,1,2", "malformed"),
        ("2024-05-01", "malformed"),
        (",1", "no_time"),
        ("yesterday,1", "malformed"),
        ("2024-02-30,1", "malformed"),
        ("9999-12-31T23:59:59,1", "malformed"),
        ("2300-01-01,1", "future"),
        ("1969-12-31,1", "too_old"),
        ("2024-05-01,nan", "non_finite"),
        ("2024-05-01,1e999", "non_finite"),
        ('2024-05-01,"1', "malformed"),
        ("\udce5,1", "malformed"),
        ("2024-05-01,\0", "malformed"),
    ],
)
def test_what_cannot_be_read_is_refused_for_what_it_is(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    path = tmp_path / "meter-1.csv"
    path.write_bytes(f"start,value\n2024-04-01,1\n{line}\n".encode(errors="surrogateescape"))
    files = MeterFiles(load_mapping(tmp_path / "mapping.toml", POLICY), [path])
    readings, refused = decoded([row for page in files.pages(None) for row in page.rows])
    assert readings.time == [ns("2024-04-01T01:00:00+00:00")]
    assert refused == {reason: 1}


@pytest.mark.parametrize(
    ("time", "text", "expected"),
    [
        ("format = 'unix_s'", "1714521600.25", "2024-05-01T00:00:00.250+00:00"),
        ("format = 'unix_ms'", "1714521600001", "2024-05-01T00:00:00.001+00:00"),
        ("format = '%d.%m.%Y %H:%M', zone = 'Europe/Stockholm'", "01.05.2024 02:00", "2024-05-01T00:00:00+00:00"),
        ("format = '%Y-%m-%d %H:%M %z'", "2024-05-01 02:00 +0200", "2024-05-01T00:00:00+00:00"),
        ("zone = 'Europe/Stockholm'", "2024-01-01T00:00:00", "2023-12-31T23:00:00+00:00"),
        ("zone = 'Europe/Stockholm'", "2024-05-01T00:00:00.000001Z", "2024-05-01T00:00:00.000001+00:00"),
    ],
)
def test_times_in_all_forms(rows: Rows, time: str, text: str, expected: str) -> None:
    mapping = MAPPING.replace('zone = "UTC", offset_s = 3600', time)
    readings, refused = decoded(rows(f"{text},1", mapping=mapping))
    whole, _, fraction = expected.partition("+")[0].partition(".")
    assert readings.time == [ns(f"{whole}+00:00") + int(fraction.ljust(9, "0"))]
    assert refused == {}


AUTUMN = [f"2024-10-27T{hour}:00" for hour in ("01", "02", "02", "03")]


def test_an_hour_that_happens_twice_is_refused_unless_order_tells(rows: Rows) -> None:
    zone = MAPPING.replace('"UTC", offset_s = 3600', '"Europe/Stockholm"')
    lines = [f"{time},1" for time in AUTUMN]
    _, refused = decoded(rows(*lines, mapping=zone))
    assert refused == {"malformed": 2}
    readings, refused = decoded(rows(*lines, mapping=zone.replace(" }", ', ambiguous = "order" }')))
    assert refused == {}
    assert readings.time == [ns(f"2024-10-2{day}:00:00+00:00") for day in ("6T23", "7T00", "7T01", "7T02")]


@pytest.mark.parametrize("ambiguous", ["refuse", "order"])
def test_an_hour_that_is_left_out_is_refused(rows: Rows, ambiguous: str) -> None:
    zone = MAPPING.replace('"UTC", offset_s = 3600', f'"Europe/Stockholm", ambiguous = "{ambiguous}"')
    readings, refused = decoded(rows("2024-03-31T01:59,1", "2024-03-31T02:30,1", "2024-03-31T03:00,1", mapping=zone))
    assert refused == {"malformed": 1}
    assert [time // 10**9 for time in readings.time] == [1711846740, 1711846800]


def test_columns_name_controller_and_device_and_a_comma_stands_for_the_point(rows: Rows) -> None:
    mapping = """\
[[csv]]
files = '.*'
controller_column = "firm"
device_column = "meter"
delimiter = ";"
decimal = ","
encoding = "latin-1"
time = { column = "när", zone = "UTC" }
[csv.quantity.energy]
column = "värde"
unit = "kWh"
factor = 0.001
"""
    (row,) = rows(
        "a;b;2024-05-01;1250,5", header="firm;meter;n\xe4r;v\xe4rde", mapping=mapping.replace("ä", "\u00c3\u00a4")
    )
    assert (row.topic, json.loads(row.payload)) == ("a/b", {"time": 1714521600000, "energy": 1.2505})


def test_every_fault_of_a_mapping_is_told_at_once_and_nobody_named(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(
        f"""\
[[csv]]
files = '{SECRET}('
controller = "a/b"
delimiter = "--"
time = {{ column = "t", format = "fast", zone = "Mars/Base" }}
[csv.quantity.warmth]
column = "x"
unit = "Cel"
[csv.quantity.power]
column = "x"
unit = "kW"
[csv.quantity.energy]
colunm = "x"
unit = "kWh"
[[csv]]
files = '{SECRET}'
time = {{ column = "t", ambiguous = "both" }}
quantity = {{}}
[[influxdb]]
measurement = "m"
device_tag = "d"
controller = "a"
controller_tag = "b"
where = {{ room = 3 }}
quantity = {{}}
[tables]
"""
    )
    with pytest.raises(MappingFault) as caught:
        load_mapping(tmp_path / "mapping.toml", POLICY)
    told = str(caught.value)
    assert SECRET not in told
    for key in (
        "tables",
        "csv[0].files",
        "csv[0].controller",
        "csv[0].delimiter",
        "csv[0].time.format",
        "csv[0].time.zone",
        "csv[0].quantity.warmth",
        "csv[0].quantity.power.unit",
        "csv[0].quantity.energy.colunm",
        "csv[0].quantity.energy.column",
        "csv[1].files",
        "csv[1].controller",
        "csv[1].time.ambiguous",
        "csv[1].time.zone",
        "csv[1].quantity",
        "influxdb[0].controller",
        "influxdb[0].where.room",
        "influxdb[0].quantity",
    ):
        assert f": {key}: found " in told, f"{key} is not in\n{told}"
    assert told.startswith("18 faults found:")


def test_a_key_that_is_missing_or_misspelt_hides_no_fault_of_another(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(
        """\
[[csv]]
flies = '.*'
controller = "a/b"
time = { colunm = "t", zone = "Mars/Base" }
[csv.quantity.power]
colunm = "x"
unit = "kW"
"""
    )
    with pytest.raises(MappingFault) as caught:
        load_mapping(tmp_path / "mapping.toml", POLICY)
    head, *lines = str(caught.value).splitlines()
    assert sorted(line.split(": ")[1] for line in lines) == [
        "csv[0].controller",
        "csv[0].files",
        "csv[0].flies",
        "csv[0].quantity.power.column",
        "csv[0].quantity.power.colunm",
        "csv[0].quantity.power.unit",
        "csv[0].time.column",
        "csv[0].time.colunm",
        "csv[0].time.zone",
    ]
    assert head == "9 faults found:"


@pytest.mark.parametrize("text", ["", "csv = 3\n", "[csv]\nfiles = 'a'\n"])
def test_a_mapping_without_a_list_of_tables_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "mapping.toml").write_text(text)
    with pytest.raises(MappingFault, match=r"\[\[csv\]\]"):
        load_mapping(tmp_path / "mapping.toml", POLICY)


def test_every_fault_of_every_file_is_told_at_once_and_no_name(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    (tmp_path / f"{SECRET}.csv").write_text("start,start,wert\n")
    (tmp_path / f"{SECRET}.csv.gz").write_bytes(b"start,value\n")
    (tmp_path / f"{SECRET}.txt").write_text("start,value\n")
    names = [f"{SECRET}.csv", f"{SECRET}.csv.gz", f"{SECRET}.txt", f"{SECRET}-2.csv"]
    with pytest.raises(UsageFault) as caught:
        MeterFiles(load_mapping(mapping, POLICY), [tmp_path / name for name in names])
    assert str(caught.value).splitlines() == [
        "file 1: its first line has no column value",
        "  file 1: its first line has twice the column start",
        "  file 2: it cannot be read: its compression is broken, or ends too early",
        "  file 3: the mapping has no [[csv]] whose `files` fits its name",
        "  file 4: it cannot be read: no such file or directory",
    ]


def test_a_file_that_ends_in_the_middle_gives_its_rows_and_then_a_fault(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    packed = gzip.compress(b"start,value\n" + b"".join(b"2024-05-01,%d\n" % n for n in range(30_000)))
    (tmp_path / "meter-1.csv.gz").write_bytes(packed[:-100])
    files = MeterFiles(load_mapping(mapping, POLICY), [tmp_path / "meter-1.csv.gz"])
    pages = files.pages(None)
    assert len(next(pages).rows) == 10_000
    with pytest.raises(UsageFault, match="file 1: it cannot be read to its end"):
        list(pages)


@pytest.mark.parametrize("skip", [0, 1, 9_999, 10_000, 12_345, 24_999, 25_000])
def test_going_on_gives_what_would_have_followed(tmp_path: Path, skip: int) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    for name, count in (("a.csv", 12_000), ("b.csv", 13_000)):
        lines = (f"{1.7e9 + 60 * n:.0f},{n % 7}\n" for n in range(count))
        (tmp_path / name).write_text("start,value\n" + "".join(lines))
    mapping.write_text(MAPPING.replace('zone = "UTC"', 'format = "unix_s"'))

    def given(position: list[int] | None) -> list[Row]:
        files = MeterFiles(load_mapping(mapping, POLICY), [tmp_path])
        return [row for page in files.pages(position) for row in page.rows]

    assert given([skip]) == given(None)[skip:]


def test_the_next_page_is_given_when_the_one_before_is_settled() -> None:
    pages = [
        Page([Row("demo/a", b"{}")] * (PIECE + 1), [1], 0.5),
        Page([], [2], 0.7),
        Page([Row("demo/b", b"{}")], [3], 1.0),
    ]
    said: list[Any] = []
    playback = Playback(iter(pages), on_settled=lambda page: said.append(page.after), on_end=lambda: said.append("end"))
    first, second = playback.receive(1), playback.receive(1)
    assert first is not None
    assert second is not None
    assert [len(first.arrivals), len(second.arrivals)] == [PIECE, 1]
    assert playback.receive(0.01) is None
    playback.acknowledge(1, first.tokens)
    assert (playback.receive(0.01), said) == (None, [])
    playback.acknowledge(1, second.tokens)
    assert said == [[1]]
    third = playback.receive(1)
    assert third is not None
    assert ([arrival.topic for arrival in third.arrivals], said) == (["demo/b"], [[1], [2]])
    playback.acknowledge(1, third.tokens)
    assert (playback.ended, playback.receive(1), playback.ended) == (False, None, True)
    assert said == [[1], [2], [3], "end"]


def test_stopping_ends_a_wait() -> None:
    playback = Playback(iter([Page([Row("demo/a", b"{}")], [1], 1.0)]), on_settled=print, on_end=lambda: None)
    playback.receive(1)
    threading.Timer(0.05, playback.stop).start()
    assert playback.receive(3600) is None
    assert not playback.ended
