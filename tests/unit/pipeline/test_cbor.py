"""CBOR: the shapes of JSON and nothing more; what a hostile payload could want of the library it does not get."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

import cbor2
import numpy as np
import pytest

from gateway.model.clear import Refusals
from gateway.model.sealed import Reason
from gateway.pipeline import cbor
from gateway.pipeline.decode import Decoder
from tests.unit.pipeline.fuzz_decode import NOW, QUANTITIES, Message, decoded

MS = 1_714_564_800_250
TIME: dict[object, object] = {"time": MS}


def _head(major: int, argument: int) -> bytes:
    return bytes([major << 5 | 27]) + struct.pack(">Q", argument)


def _reason(payload: bytes) -> tuple[dict[int, Reason], dict[Reason, int]]:
    readings, refusals = decoded(payload)
    assert readings.message == []
    return refusals.message, refusals.readings


def test_the_flat_object_is_what_it_is_in_json() -> None:
    item = {**TIME, "rev": 3, "temperature": 21.5, "humidity": 40.1, "power": 1250, "energy": 12345.678}
    readings, refusals = decoded(
        cbor2.dumps(item),
        cbor2.dumps([item, {"time": "2024-05-01T14:00:00.5+02:00", "valve": 7}]),
        cbor2.dumps(item, indefinite_containers=True),
        cbor2.dumps({**item, "humidity": Decimal("40.1"), "temperature": Decimal("21.50")}),
    )
    assert (refusals.message, refusals.readings) == ({}, {})
    assert readings.message == [0, 1, 1, 2, 3]
    assert readings.revision == [3, 3, 0, 3, 3]
    assert readings.time == [MS * 10**6, MS * 10**6, 1_714_564_800_500_000_000, MS * 10**6, MS * 10**6]
    rows = readings.values[[0, 1, 3, 4]]
    np.testing.assert_array_equal(rows[:, [0, 2, 3, 4]], [[21.5, 40.1, 1250, 12345.678]] * 4)


@pytest.mark.parametrize("number", [0.0, 21.5, 40.1, -0.1, 1e-300, 1.7976931348623157e308, 12345.678, 1276020076.001])
def test_a_float_is_the_shortest_decimal_that_is_the_same_double(number: float) -> None:
    found = cbor.parse(cbor2.dumps([number]))
    assert found == [Decimal(repr(number))]
    assert float(Decimal(repr(number))) == number


@pytest.mark.parametrize(
    ("payload", "value"), [("f94d60", 21.5), ("fa41ac0000", 21.5), ("f90001", 2**-24), ("3863", -100)]
)
def test_numbers_of_every_width(payload: str, value: float) -> None:
    readings, _ = decoded(b"\xa2dtime" + cbor2.dumps(MS) + b"epower" + bytes.fromhex(payload))
    assert readings.values[0, 3] == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, Decimal("1e400")])
def test_what_is_not_finite_refuses_its_reading_alone(value: float) -> None:
    readings, refusals = decoded(cbor2.dumps({**TIME, "power": value, "valve": 3}))
    assert refusals.readings == {Reason.NON_FINITE: 1}
    assert readings.values[0, 6] == 3


@pytest.mark.parametrize(
    "value",
    [None, True, "1", b"1", [1], {"v": 1}, cbor2.undefined, cbor2.CBORSimpleValue(99)],
    ids=["null", "true", "text", "bytes", "array", "map", "undefined", "simple"],
)
def test_what_is_no_number_refuses_its_reading_alone(value: object) -> None:
    readings, refusals = decoded(cbor2.dumps({**TIME, "power": value, "valve": 3}))
    assert refusals.readings == {Reason.MALFORMED: 1}
    assert readings.values[0, 6] == 3


KEYS: list[object] = [1, -1, 0.5, None, True, b"power", cbor2.undefined, "mood"]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_names_no_quantity_is_an_unknown_one(key: object) -> None:
    item = {**TIME, key: 1, "valve": 3}
    _, refusals = decoded(cbor2.dumps(item))
    assert refusals.readings == {Reason.UNKNOWN_QUANTITY: 1}


def test_no_time_is_refused() -> None:
    assert _reason(cbor2.dumps({"power": 1, "valve": 2})) == ({0: Reason.NO_TIME}, {Reason.NO_TIME: 2})
    assert _reason(cbor2.dumps({"time": None, "power": 1}))[0] == {0: Reason.NO_TIME}
    assert _reason(cbor2.dumps({"time": 1.5, "power": 1}))[0] == {0: Reason.MALFORMED}


@pytest.mark.parametrize(
    "payload",
    [
        b"\xa0",
        b"\x80",
        b"\x81\x80",
        b"\xa1dtime\x00",
        b"\xa2dtime\x00epower",
        b"\xa2dtime\x00epower\x01\x00",
        b"\xa2dtime\x00epower\x01" * 2,
        b"\xbfdtime\x00epower\x01",
        b"\xa2dtime\x00epow\xffr\x01",
        b"\xa2dtime\x00epower\xf8\x00",
        b"\xa2dtime\x00epower\x1c",
        b"\xa2dtime\x00epower\xff",
        _head(4, 2**64 - 1),
        _head(5, 2**64 - 1),
        _head(4, 2**32) + b"\x00" * 100,
        b"\x81" + _head(3, 2**63),
        b"\x81" + _head(2, 2**40),
        b"\x81" * 4096,
        b"\x9f" * 4096,
        b"\xa1\x00" * 2048,
        b"\x81" * 4 + b"\x80",
    ],
)
def test_malformed(payload: bytes) -> None:
    assert _reason(payload)[0] == {0: Reason.MALFORMED}


def _tag(number: int) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(number, 0))[:-1]


@pytest.mark.parametrize(
    "content", ["00", "f93c00", "40", "6161", "80", "820000", "a0", "4101", "82216161", "8100", "d81d00"]
)
def test_no_tag_but_4_is_interpreted(content: str) -> None:
    taken = []
    for number in [*range(1100), 21065, 43000, 43001, 55799, 65535, 2**32, 2**64 - 1]:
        try:
            taken.append((number, cbor.parse(b"\x81" + _tag(number) + bytes.fromhex(content))))
        except ValueError:
            continue
    assert taken == ([(4, [Decimal(0)])] if content == "820000" else [])


def test_a_new_tag_of_the_library_would_be_noticed() -> None:
    known = set()
    for number in range(70_000):
        for content in (b"\x80", b"\x61a", b"\x00", b"\x82\x01\x02"):
            try:
                found = cbor2.loads(_tag(number) + content)
            except cbor2.CBORDecodeError:
                known.add(number)
            else:
                known |= set() if isinstance(found, cbor2.CBORTag) else {number}
    assert known == cbor._TAGS.keys()


@pytest.mark.parametrize(
    ("pair", "value"), [((-2, 27315), "273.15"), ((2, 5), "5e2"), ((2**63, 1), "Infinity"), ((-(2**63), 1), "0")]
)
def test_decimal_fractions(pair: tuple[int, int], value: str) -> None:
    assert cbor.parse(cbor2.dumps([cbor2.CBORTag(4, pair)])) == [Decimal(value)]


def _one_hash(count: int) -> list[tuple[int, int]]:
    """Pairs with one hash: an object with them as keys takes quadratic time. Source: CPython, Objects/tupleobject.c."""
    p1, p2, p5, size = 11400714785074694791, 14029467366897019727, 2870177450012600261, 2**64
    found: list[tuple[int, int]] = []
    first = 0
    while len(found) < count:
        first += 1
        lane = (p5 + first * p2) % size
        lane = (lane << 31 | lane >> 33) * p1 % size
        second = (0x1234567890ABCDEF - lane) * pow(p2, -1, size) % size
        second -= size if second >= size // 2 else 0
        if abs(second) < 2**61 - 1:
            found.append((first, second))
    return found


def test_keys_that_share_one_hash_come_only_in_payloads_too_small_to_matter() -> None:
    pairs = _one_hash(1_000)
    assert len({hash(pair) for pair in pairs}) == 1
    payload = b"\xb9" + len(pairs).to_bytes(2, "big") + b"".join(cbor2.dumps(pair) + b"\x00" for pair in pairs)
    assert len(payload) < cbor._FRACTION_BYTES
    padded = b"\x82" + payload + cbor2.dumps("x" * cbor._FRACTION_BYTES)
    for too_much in (padded, b"\x81" + cbor2.dumps({cbor2.CBORTag(4, (0, 7)): 1})):
        with pytest.raises(ValueError, match="not cbor"):
            cbor.parse(too_much)


def test_large_payloads_are_lists_of_maps_still() -> None:
    items = [{"time": MS + i, "power": float(i)} for i in range(2_000)]
    payload = cbor2.dumps(items)
    assert len(payload) > 2 * cbor._FRACTION_BYTES
    refusals = Refusals()
    readings = Decoder(QUANTITIES, 10**6)([Message(payload)], NOW, refusals)
    assert refusals.readings == {}
    assert readings.values[:, 3].tolist() == [float(i) for i in range(2_000)]


@pytest.mark.parametrize("first", range(256))
def test_the_first_byte_tells_cbor_from_text(first: int) -> None:
    assert cbor.begins(bytes([first, 0])) == (0x80 <= first <= 0xBF)


def test_an_empty_payload_does_not_begin_as_cbor() -> None:
    assert not cbor.begins(b"")
