"""Decode: batches in, columns out; each kind of bad input is the refusal that it should be."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.clear import Refusals
from gateway.model.sealed import Reason
from gateway.pipeline.decode import Decoder
from tests.unit.pipeline.fuzz_decode import MAX_PAYLOAD, NOW, QUANTITIES, Message, decoded

NAMES = [quantity.name for quantity in QUANTITIES]
MS = 1_714_564_800_250
NS = MS * 1_000_000


def _refused(payload: bytes, content_type: str | None = None) -> tuple[dict[int, Reason], dict[Reason, int]]:
    readings, refusals = decoded(payload, content_type=content_type)
    assert readings.message == []
    assert readings.values.shape == (0, len(QUANTITIES))
    return refusals.message, refusals.readings


def test_a_batch_becomes_columns() -> None:
    readings, refusals = decoded(
        b'{"time":1714564800250,"temperature":21.5,"humidity":40.1,"power":1250,"energy":12345.678}',
        b'{"time":"2024-05-01T14:00:00.25+02:00","rev":3,"valve":-0.5}',
        b'[{"time":1714564800250,"battery":99},{"time":1714564800251,"battery":98}]',
        b"nothing",
        b'{"rev":99,"target_temperature":1e-3,"time":0}',
    )
    assert readings.message == [0, 1, 2, 2, 4]
    assert readings.time == [NS, NS, NS, NS + 1_000_000, 0]
    assert readings.revision == [0, 3, 0, 0, 99]
    assert readings.untimed == set()
    expected = np.full((5, 8), np.nan)
    expected[0, [0, 2, 3, 4]] = 21.5, 40.1, 1250, 12345.678
    expected[1, 6], expected[2, 7], expected[3, 7], expected[4, 1] = -0.5, 99, 98, 0.001
    np.testing.assert_array_equal(readings.values, expected)
    assert refusals.message == {3: Reason.MALFORMED}
    assert refusals.readings == {Reason.MALFORMED: 1}


def test_an_empty_batch_and_one_of_refusals_alone_have_no_rows() -> None:
    readings, refusals = decoded()
    assert (readings.message, readings.values.shape, refusals.message) == ([], (0, 8), {})
    assert _refused(b"") == ({0: Reason.MALFORMED}, {Reason.MALFORMED: 1})


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b" ",
        b"null",
        b"1",
        b'"temperature"',
        b"{}",
        b"[]",
        b"[[]]",
        b"[1]",
        b"[null]",
        b"[{}]",
        b'{"time":1714564800250}',
        b'{"time":1714564800250,"rev":1}',
        b'{"time":-1}',
        b'{"time":1714564800250,"power":1',
        b'{"time":1714564800250,"power":1}x',
        b'{"time":1714564800250,"power":1}\x00',
        b'{"time":1714564800250,"power":1}{"time":1714564800250,"power":1}',
        b'\xef\xbb\xbf{"time":1714564800250,"power":1}',
        b'{"time":1714564800250,"pow\xffer":1}',
        '{"time":1714564800250,"power":1}'.encode("utf-16"),
        '{"time":1714564800250,"power":1}'.encode("utf-32-le"),
        b"{'time':1714564800250,'power':1}",
        b'{"time":1714564800250,"power":01}',
        b'{"time":1714564800250,"power":+1}',
        b'{"time":1714564800250,"power":.5}',
        b'{"time":1714564800250,"power":0x10}',
        b'{"time":1714564800250,"power":' + b"9" * 4001 + b",}",
        b"[" * MAX_PAYLOAD,
        b"[" * (MAX_PAYLOAD // 2) + b"]" * (MAX_PAYLOAD // 2),
        b'{"a":' * (MAX_PAYLOAD // 5),
        b'{"temperature":[' * (MAX_PAYLOAD // 16),
        b"\x80\x04\x95",
        b"<senml/>",
        b'{"time":"\xed\xa0\x80","power":1}',
        b'{"time":"2024-05-01T12:00:00","power":1}',
        b'{"time":"2024-05-01T12:00:00\\u0000Z","power":1}',
        b'{"time":"\\ud800","power":1}',
        b'{"time":1714564800250.0,"power":1}',
        b'{"time":1.7145648e12,"power":1}',
        b'{"time":true,"power":1}',
        b'{"time":[1],"power":1}',
        b'{"time":1714564800250,"rev":-1,"power":1}',
        b'{"time":1714564800250,"rev":100,"power":1}',
        b'{"time":1714564800250,"rev":1.0,"power":1}',
        b'{"time":1714564800250,"rev":true,"power":1}',
        b'{"time":1714564800250,"rev":null,"power":1}',
        b'{"time":1714564800250,"rev":"1","power":1}',
        b'{"time":1714564800250,"power":null}',
        b'{"time":1714564800250,"power":true}',
        b'{"time":1714564800250,"power":"1"}',
        b'{"time":1714564800250,"power":[1]}',
        b'{"time":1714564800250,"power":{"v":1}}',
    ],
)
def test_malformed(payload: bytes) -> None:
    assert _refused(payload) == ({0: Reason.MALFORMED}, {Reason.MALFORMED: 1})


def test_nesting_beyond_the_stack_is_malformed() -> None:
    for opening in (b"[", b'{"a":', b'[{"n":"power","v":'):
        refusals = Refusals()
        Decoder(QUANTITIES, 10_000_000)([Message(opening * 200_000)], NOW, refusals)
        assert refusals.message == {0: Reason.MALFORMED}


@pytest.mark.parametrize(
    "value",
    [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e309", b"9" * 400, b"1e99999999999999999999", b"-1" + b"0" * 309],
)
def test_non_finite(value: bytes) -> None:
    payload = b'{"time":1714564800250,"power":' + value + b"%s}"
    assert _refused(payload % b"") == ({0: Reason.NON_FINITE}, {Reason.NON_FINITE: 1})
    readings, refusals = decoded(payload % b',"valve":0')
    assert (refusals.message, refusals.readings) == ({}, {Reason.NON_FINITE: 1})
    assert np.flatnonzero(~np.isnan(readings.values[0])).tolist() == [6]


def test_a_revision_that_is_none_refuses_each_reading() -> None:
    payload = b'{"time":1714564800250,"rev":-1,"power":1,"valve":2}'
    assert _refused(payload) == ({0: Reason.MALFORMED}, {Reason.MALFORMED: 2})


def test_time_that_is_missing_refuses_each_reading() -> None:
    assert _refused(b'{"power":1,"valve":2}') == ({0: Reason.NO_TIME}, {Reason.NO_TIME: 2})
    assert _refused(b'{"time":null,"power":1}') == ({0: Reason.NO_TIME}, {Reason.NO_TIME: 1})


def test_time_that_no_column_holds() -> None:
    assert _refused(b'{"time":-1,"power":1}')[0] == {0: Reason.TOO_OLD}
    assert _refused(b'{"time":"1969-12-31T23:59:59Z","power":1}')[0] == {0: Reason.TOO_OLD}
    assert _refused(b'{"time":9223372036855,"power":1}')[0] == {0: Reason.FUTURE}
    assert _refused(b'{"time":' + b"9" * 300 + b',"power":1}')[0] == {0: Reason.FUTURE}
    assert _refused(b'{"time":"9999-12-31T23:59:59Z","power":1}')[0] == {0: Reason.FUTURE}


def test_the_size_limit_is_in_bytes_and_inclusive() -> None:
    payload = b'{"time":1714564800250,"power":1}'.ljust(MAX_PAYLOAD)
    readings, _ = decoded(payload)
    assert readings.message == [0]
    assert _refused(payload + b" ") == ({0: Reason.TOO_LARGE}, {Reason.TOO_LARGE: 1})
    assert _refused(b"\x00" * 10_000_000)[0] == {0: Reason.TOO_LARGE}


def test_refusal_is_per_reading() -> None:
    readings, refusals = decoded(b'{"time":1714564800250,"power":1,"mood":2,"valve":null,"battery":NaN,"humidity":"x"}')
    assert np.flatnonzero(~np.isnan(readings.values[0])).tolist() == [3]
    assert refusals.message == {}
    assert refusals.readings == {Reason.UNKNOWN_QUANTITY: 1, Reason.MALFORMED: 2, Reason.NON_FINITE: 1}


def test_a_message_of_which_nothing_remains_is_refused_for_its_first_reason() -> None:
    message, readings = _refused(b'{"time":1714564800250,"mood":2,"valve":null,"battery":NaN}')
    assert message == {0: Reason.UNKNOWN_QUANTITY}
    assert readings == {Reason.UNKNOWN_QUANTITY: 1, Reason.MALFORMED: 1, Reason.NON_FINITE: 1}


def test_objects_of_a_list_stand_alone() -> None:
    readings, refusals = decoded(
        b'[{"time":1714564800250,"power":1},7,{"power":2},{},{"time":1714564800252,"rev":1,"power":3},{"time":"x","valve":1}]'
    )
    assert readings.time == [NS, NS + 2_000_000]
    assert readings.revision == [0, 1]
    assert refusals.readings == {Reason.MALFORMED: 3, Reason.NO_TIME: 1}


def test_objects_of_one_time_and_revision_are_one_row() -> None:
    readings, refusals = decoded(
        b'[{"time":1714564800250,"power":1},{"time":"2024-05-01T12:00:00.250Z","valve":2},{"time":1714564800250,"power":1.0}]'
    )
    assert (readings.message, refusals.readings) == ([0], {})
    assert readings.values[0, [3, 6]].tolist() == [1, 2]


def test_readings_that_contradict_each_other_are_all_refused() -> None:
    objects = b'[{"time":1714564800250,"power":1},{"time":1714564800250,"power":2},{"time":1714564800250,"power":1}%s]'
    assert _refused(objects % b"") == ({0: Reason.MALFORMED}, {Reason.MALFORMED: 3})
    readings, refusals = decoded(objects % b',{"time":1714564800250,"rev":1,"power":2}')
    assert (readings.revision, refusals.message, refusals.readings) == ([1], {}, {Reason.MALFORMED: 3})


def test_of_a_name_said_twice_the_last_value_counts_on_both_ways() -> None:
    payload = b'{"time":1,"power":1,"time":1714564800250,"power":2}'
    for readings, _ in (decoded(payload), decoded(b"[" + payload + b"]"), decoded(payload.replace(b"1,", b"null,"))):
        assert (readings.time, readings.values[0, 3]) == ([NS], 2)


@pytest.mark.parametrize(
    ("content_type", "payload", "is_taken"),
    [
        (None, b' \r\n\t{"time":1714564800250,"power":1} ', True),
        ("application/json", b'{"time":1714564800250,"power":1}', True),
        ("Application/JSON; charset=utf-8", b'{"time":1714564800250,"power":1}', True),
        ("text/plain", b'{"time":1714564800250,"power":1}', True),
        ("", b'{"time":1714564800250,"power":1}', True),
        ("application/json", b'[{"n":"power","v":1}]', True),
        ("application/octet-stream", b'[{"bver":10,"bn":"power","v":1}]', True),
        ("application/senml+json", b'[{"n":"power","v":1}]', True),
        (" APPLICATION/SenML+json ; x=y", b'[{"v":1,"n":"power"}]', True),
        ("application/senml+json", b'{"time":1714564800250,"power":1}', False),
        ("application/senml+json", b'[{"time":1714564800250,"power":1}]', False),
        (" APPLICATION/SenML+json ; x=y", b'{"time":1714564800250,"power":1}', False),
        (None, b'{"n":"power","v":1}', False),
        (None, b'[{"v":1},{"n":"power","v":1}]', False),
        (None, b"\xa2dtime\x00epower\x01", True),
        ("application/cbor", b"\xa2dtime\x00epower\x01", True),
        ("Application/CBOR;q=1", b"\x81\xa2dtime\x00epower\x01", True),
        ("application/octet-stream", b"\xbfdtime\x00epower\x01\xff", True),
        ("application/json", b"\xa2dtime\x00epower\x01", False),
        ("application/senml+json", b"\x81\xa2\x00epower\x02\x01", False),
        ("application/senml+cbor", b"\xa2dtime\x00epower\x01", False),
        ("application/senml+cbor", b"\x81\xa2dtime\x00epower\x01", False),
        (None, b"\x81\xa2\x00epower\x02\x01", True),
        (None, b"\x9f\xa2anepoweravA\x01\xff", False),
        (None, b"\x81\xa2anepowerav\x01", True),
        ("application/cbor", b"\x81\xa2\x00epower\x02\x01", True),
        ("application/senml+cbor", b"\x81\xa2\x02\x01\x00epower", True),
        ("application/cbor", b'{"time":1714564800250,"power":1}', False),
        ("application/senml+cbor", b'[{"n":"power","v":1}]', False),
        ("application/senml+xml", b'{"time":1714564800250,"power":1}', True),
    ],
)
def test_the_format_is_what_the_content_type_or_the_payload_says(
    content_type: str | None, payload: bytes, is_taken: bool
) -> None:
    readings, _ = decoded(payload, content_type=content_type)
    assert readings.message == ([0] if is_taken else [])


def test_objects_without_a_reading_leave_no_row_among_others() -> None:
    good, empty = b'{"time":1714564800250,"power":%d}', b'{"time":1714564800250}'
    readings, refusals = decoded(empty, good % 1, empty, empty, good % 2, empty)
    assert readings.message == [1, 4]
    assert readings.values[:, 3].tolist() == [1, 2]
    assert len(readings.time) == len(readings.revision) == 2
    assert refusals.message == dict.fromkeys((0, 2, 3, 5), Reason.MALFORMED)


def test_columns_are_quantity_numbers_also_with_gaps_and_awkward_names() -> None:
    gapped = [
        dataclasses.replace(QUANTITIES[0], name="class", number=5),
        dataclasses.replace(QUANTITIES[1], name="quantity_0", number=2),
    ]
    readings = Decoder(gapped, 100)(
        [Message(b'{"time":0,"class":1}'), Message(b'[{"time":0,"quantity_0":2}]')], NOW, Refusals()
    )
    assert readings.values.shape == (2, 6)
    assert [np.flatnonzero(~np.isnan(row)).tolist() for row in readings.values] == [[5], [2]]


def test_a_refusal_holds_nothing_of_the_payload() -> None:
    payload = b'{"time":"sentinel-7f3a","sentinel-7f3a":"sentinel-7f3a","power":"sentinel-7f3a"'
    for end in (b"", b"}", b',"n":"sentinel-7f3a"}'):
        for content_type in (None, "application/senml+json"):
            _, refusals = decoded(payload + end, b"[" + payload + end + b"]", content_type=content_type)
            assert "sentinel" not in repr(refusals)
            assert len(refusals.message) == 2


_value = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
_object = st.fixed_dictionaries(
    {"time": st.integers(0, 9_223_372_036_854)},
    optional={"rev": st.integers(0, 99), **dict.fromkeys(NAMES, _value)},
)


@given(st.lists(_object, max_size=5))
def test_what_was_published_is_what_is_read_on_the_fast_path_and_with_care(objects: list[dict[str, Any]]) -> None:
    payloads = [json.dumps(item).encode() for item in objects]
    fast, refused = decoded(*payloads)
    careful, refused_with_care = decoded(*[b"[" + payload + b"]" for payload in payloads])
    assert refused == refused_with_care
    assert (fast.message, fast.time, fast.revision) == (careful.message, careful.time, careful.revision)
    np.testing.assert_array_equal(fast.values, careful.values)
    kept = [(i, item) for i, item in enumerate(objects) if item.keys() - {"time", "rev"}]
    assert fast.message == [i for i, _ in kept]
    expected = [[float(item.get(name, "nan")) for name in NAMES] for _, item in kept]
    np.testing.assert_array_equal(fast.values, np.array(expected).reshape(-1, len(NAMES)))
