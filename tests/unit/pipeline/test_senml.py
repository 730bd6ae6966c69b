"""SenML: the RFC's own examples, then what its rules refuse, then the policy's quantities in it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from gateway.model.sealed import Reason
from gateway.pipeline import cbor, senml
from gateway.pipeline.senml import InvalidPack, Measurement, resolve
from tests.unit.pipeline.fuzz_decode import NOW, QUANTITIES, decoded

VECTORS = Path(__file__).parents[2] / "vectors" / "senml"
EXAMPLES = json.loads((VECTORS / "rfc8428.json").read_text(), parse_float=Decimal)
CBOR = bytes.fromhex("".join(line[5:53] for line in (VECTORS / "rfc8428-cbor.txt").read_text().splitlines()))
LABELS = {name: label for label, name in senml._LABELS.items()}


def _ns(seconds: Decimal | int) -> int:
    return int(Decimal(seconds) * 1_000_000_000)


def _as_record(measurement: Measurement | Reason) -> dict[str, object]:
    assert isinstance(measurement, Measurement)
    unit = {} if measurement.unit is None else {"u": measurement.unit}
    return {"n": measurement.name, **unit, "t": measurement.time, measurement.label: measurement.value}


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["section"] for example in EXAMPLES])
def test_the_rfcs_examples_resolve(example: dict[str, Any]) -> None:
    expected = [{**record, "t": _ns(record["t"])} for record in example["resolved"]]
    assert [_as_record(found) for found in resolve(example["pack"], _ns(example["now"]))] == expected


def _resolved(payload: bytes, now: int) -> list[dict[str, object]]:
    pack = senml.named(cbor.parse(payload))
    assert isinstance(pack, list)
    return [_as_record(found) for found in resolve(pack, now)]


def test_the_rfcs_own_cbor_resolves_to_the_rfcs_records() -> None:
    (second,) = [example for example in EXAMPLES if example["section"] == "5.1.2, second"]
    assert _resolved(CBOR, 0) == [{**record, "t": _ns(record["t"])} for record in second["resolved"]]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["section"] for example in EXAMPLES])
@pytest.mark.parametrize("fractions", [True, False], ids=["tag 4", "float"])
def test_the_rfcs_examples_resolve_in_cbor_as_they_do_in_json(example: dict[str, Any], fractions: bool) -> None:
    def written(value: object) -> object:
        return float(value) if isinstance(value, Decimal) and not fractions else value

    pack = [{LABELS[label]: written(value) for label, value in record.items()} for record in example["pack"]]
    payload = cbor2.dumps(pack)
    expected = [{**record, "t": _ns(record["t"])} for record in example["resolved"]]
    assert _resolved(payload, _ns(example["now"])) == expected


def test_labels_of_cbor_are_table_4_and_others_are_passed_over() -> None:
    record = {-2: "a/", 0: "power", 2: 7, 99: "x", None: 1, 0.5: 3, "link": "b", b"n": 1}
    assert senml.named([record, 5]) == [{"bn": "a/", "n": "power", "v": 7, "link": "b"}, 5]
    assert _resolved(cbor2.dumps([record]), NOW) == [{"n": "a/power", "t": NOW, "v": 7}]


def test_a_label_of_text_that_must_be_understood_refuses_a_pack_in_cbor_too() -> None:
    _, refusals = decoded(cbor2.dumps([{0: "power", 2: 7}, {0: "valve", 2: 1, "must_": 1}]))
    assert refusals.message == {0: Reason.MALFORMED}


def test_data_is_bytes_in_cbor() -> None:
    assert _resolved(cbor2.dumps([{0: "nfc", 8: b"hi"}]), NOW) == [{"n": "nfc", "t": NOW, "vd": b"hi"}]


def test_all_examples_are_there() -> None:
    assert len(EXAMPLES) == 10
    assert sum(len(example["resolved"]) for example in EXAMPLES) == 42


def test_a_base_field_holds_until_it_is_said_anew() -> None:
    pack = [
        {"bn": "a/", "bu": "Cel", "bv": 20, "n": "x", "v": 1},
        {"bu": "W", "n": "y"},
        {"bn": "b/", "n": "z", "v": 2, "u": "V"},
    ]
    found = [(m.name, m.unit, m.value) for m in resolve(pack, 0) if isinstance(m, Measurement)]
    assert found == [("a/x", "Cel", 21), ("a/y", "W", 20), ("b/z", "V", 22)]


def test_base_value_is_added_exactly() -> None:
    (found,) = resolve([{"bn": "a", "bv": Decimal("0.1"), "v": Decimal("0.2")}], 0)
    assert isinstance(found, Measurement)
    assert found.value == Decimal("0.3")


@pytest.mark.parametrize("record", [{"bn": "a/"}, {"n": "a", "s": 5}, {"bs": 3, "n": "a"}, {"bn": "a", "link": "b"}])
def test_records_without_a_value_of_their_own(record: dict[str, object]) -> None:
    assert resolve([record], 0) == []


@pytest.mark.parametrize(
    "pack",
    [
        [{"bver": 11, "n": "a", "v": 1}],
        [{"bver": 0, "n": "a", "v": 1}],
        [{"bver": "10", "n": "a", "v": 1}],
        [{"bver": True, "n": "a", "v": 1}],
        [{"bver": Decimal("10.0"), "n": "a", "v": 1}],
        [{"n": "a", "v": 1}, {"bver": 5, "n": "b", "v": 1}],
        [{"bver": 5, "n": "a", "v": 1}, {"bver": 6, "n": "b", "v": 1}],
        [{"n": "a", "v": 1}, {"n": "b", "v": 1, "must_": 1}],
        [{"n": "a", "v": 1, "_": None}],
        [{"bn": 1, "n": "a", "v": 1}],
        [{"bn": None, "n": "a", "v": 1}],
        [{"bt": "0", "n": "a", "v": 1}],
        [{"bt": True, "n": "a", "v": 1}],
        [{"bu": 1, "n": "a", "v": 1}],
        [{"bv": "1", "n": "a", "v": 1}],
        [{"bs": [], "n": "a", "v": 1}],
    ],
)
def test_packs_of_which_nothing_may_be_used(pack: list[object]) -> None:
    with pytest.raises(InvalidPack):
        resolve(pack, 0)


@pytest.mark.parametrize(
    "record",
    [
        None,
        1,
        [],
        "a",
        {"n": "a"},
        {"n": "a", "t": 0, "u": "W"},
        {"v": 1},
        {"n": "", "v": 1},
        {"n": "-a", "v": 1},
        {"n": "a b", "v": 1},
        {"n": "å", "v": 1},
        {"n": "a\n", "v": 1},
        {"n": 1, "v": 1},
        {"n": "a", "v": None},
        {"n": "a", "v": "1"},
        {"n": "a", "v": True},
        {"n": "a", "vb": 1},
        {"n": "a", "vs": 1},
        {"n": "a", "v": 1, "vs": "1"},
        {"n": "a", "v": 1, "t": "0"},
        {"n": "a", "v": 1, "t": Decimal("NaN")},
        {"n": "a", "v": 1, "u": None},
        {"n": "a", "v": 1, "s": "x"},
        {"n": "a", "v": 1, "ut": False},
    ],
)
def test_a_faulty_record_is_refused_alone(record: object) -> None:
    first, middle, last = resolve([{"n": "x", "v": 1}, record, {"n": "y", "v": 2}], 0)
    assert middle is Reason.MALFORMED
    assert isinstance(first, Measurement)
    assert isinstance(last, Measurement)


@pytest.mark.parametrize(
    ("record", "time", "untimed"),
    [
        ({}, NOW, True),
        ({"t": -5}, NOW - 5_000_000_000, True),
        ({"t": Decimal("-0.25")}, NOW - 250_000_000, True),
        ({"t": 2**28 - 1}, NOW + (2**28 - 1) * 10**9, True),
        ({"t": 2**28}, 2**28 * 10**9, False),
        ({"bt": 2**28 - 1, "t": 1}, 2**28 * 10**9, False),
        ({"bt": Decimal("1.276020076001e9"), "t": -5}, 1_276_020_071_001_000_000, False),
    ],
)
def test_times_below_two_to_the_28th_count_from_now(record: dict[str, object], time: int, untimed: bool) -> None:
    (found,) = resolve([{"n": "a", "v": 1, **record}], NOW)
    assert isinstance(found, Measurement)
    assert (found.time, found.untimed) == (time, untimed)


@pytest.mark.parametrize(
    ("t", "reason"), [(-(10**11), Reason.TOO_OLD), (10**11, Reason.FUTURE), (10**400, Reason.FUTURE)]
)
def test_times_that_no_column_holds(t: int, reason: Reason) -> None:
    assert resolve([{"n": "a", "v": 1, "t": t}], NOW) == [reason]


def test_quantities_are_the_last_part_of_the_name() -> None:
    readings, refusals = decoded(
        b'[{"bn":"urn:dev:ow:10e2073a01080063:","bt":1.276020076001e9,"n":"temperature","u":"Cel","v":21.5},'
        b'{"n":"x/humidity","u":"%RH","v":40.1},{"n":"power","u":"W","v":1250,"t":-5},{"n":"energy","u":"kWh","v":12345.678}]'
    )
    assert refusals.message == {}
    assert refusals.readings == {}
    assert readings.time == [1_276_020_076_001_000_000, 1_276_020_071_001_000_000]
    assert readings.message == readings.revision == [0, 0]
    assert readings.untimed == set()
    expected = np.full((2, len(QUANTITIES)), np.nan)
    expected[0, [0, 2, 4]], expected[1, 3] = (21.5, 40.1, 12345.678), 1250
    np.testing.assert_array_equal(readings.values, expected)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ('{"n":"mood","v":1}', Reason.UNKNOWN_QUANTITY),
        ('{"n":"temperature/","v":1}', Reason.UNKNOWN_QUANTITY),
        ('{"n":"temperature.x","v":1}', Reason.UNKNOWN_QUANTITY),
        ('{"n":"temperature","u":"K","v":1}', Reason.UNIT),
        ('{"n":"temperature","u":"cel","v":1}', Reason.UNIT),
        ('{"n":"temperature","u":"","v":1}', Reason.UNIT),
        ('{"n":"energy","u":"Wh","v":1}', Reason.UNIT),
        ('{"n":"temperature","vs":"warm"}', Reason.MALFORMED),
        ('{"n":"temperature","vb":true}', Reason.MALFORMED),
        ('{"n":"temperature","vd":"aGkgCg"}', Reason.MALFORMED),
        ('{"n":"temperature","v":NaN}', Reason.NON_FINITE),
        ('{"n":"temperature","v":-Infinity}', Reason.NON_FINITE),
        ('{"n":"temperature","v":1e999}', Reason.NON_FINITE),
        ('{"n":"temperature","bv":1e308,"v":1e308}', Reason.NON_FINITE),
        ('{"n":"temperature","v":1,"t":1e10}', Reason.FUTURE),
        ('{"n":"temperature"}', Reason.MALFORMED),
    ],
)
def test_refusal_is_per_reading(record: str, reason: Reason) -> None:
    _, alone = decoded(f"[{record}]".encode())
    assert (alone.message, alone.readings) == ({0: reason}, {reason: 1})
    readings, among = decoded(f'[{{"n":"power","v":7}},{record}]'.encode())
    assert (among.message, among.readings) == ({}, {reason: 1})
    assert readings.values[0, 3] == 7
    assert readings.untimed == {0}


def test_no_unit_is_the_policys_unit() -> None:
    readings, refusals = decoded(b'[{"n":"temperature","v":21.5,"t":1714564800}]')
    assert refusals.readings == {}
    assert readings.values[0, 0] == 21.5


@pytest.mark.parametrize(
    "payload",
    [b"[]", b"{}", b'{"n":"power","v":7}', b"7", b'[{"bn":"a/"}]', b'[{"n":"power","s":7}]', b'[{"v":1,"x_":1}]'],
)
def test_packs_that_give_nothing_are_malformed(payload: bytes) -> None:
    readings, refusals = decoded(payload, content_type="application/senml+json")
    assert readings.message == []
    assert refusals.message == {0: Reason.MALFORMED}


def test_untimed_messages_of_one_batch_do_not_take_the_same_time() -> None:
    readings, _ = decoded(*[b'[{"n":"power","v":%d}]' % power for power in range(3)])
    assert readings.time == [NOW, NOW + 1, NOW + 2]
    assert readings.untimed == {0, 1, 2}


def test_readings_that_contradict_each_other_are_all_refused() -> None:
    readings, refusals = decoded(
        b'[{"bn":"a/","bt":1714564800,"n":"power","v":7},{"n":"valve","v":9},{"bn":"b/","n":"power","v":8},{"n":"valve","v":9}]'
    )
    assert refusals.readings == {Reason.MALFORMED: 2}
    assert refusals.message == {}
    assert np.flatnonzero(~np.isnan(readings.values[0])).tolist() == [6]
