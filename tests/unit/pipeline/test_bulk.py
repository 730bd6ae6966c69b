"""A batch at once is read as message by message, and no payload shifts another's place."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline.bulk import Bulk

NUMBERS = {"temperature": 0, "power": 3, "class": 4}
LIMIT = 200
MANY = Bulk(NUMBERS, LIMIT)
NOW = 1_760_000_000_000
GOOD = b'{"time":1760000000000,"power":5}'

_number = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
_objects = st.fixed_dictionaries(
    {"time": st.integers(2**32, 9_223_372_036_854), "power": _number},
    optional={"rev": st.integers(0, 99), "temperature": _number, "class": _number},
)


@given(st.lists(_objects, min_size=1, max_size=20))
def test_columns_hold_what_each_message_says(objects: list[dict[str, Any]]) -> None:
    read = MANY([json.dumps(item).encode() for item in objects])
    assert read is not None
    assert read.message == list(range(len(objects)))
    assert read.time == [item["time"] * 1_000_000 for item in objects]
    assert read.revision == [item.get("rev", 0) for item in objects]
    expected = np.full((len(objects), 5), np.nan)
    for row, item in enumerate(objects):
        for name, number in NUMBERS.items():
            expected[row, number] = item.get(name, np.nan)
    np.testing.assert_array_equal(read.values, expected)


@pytest.mark.parametrize("count", [1, 15, 16, 65_535, 65_536])
def test_batches_of_any_size(count: int) -> None:
    read = MANY([GOOD] * count)
    assert read is not None
    assert read.time == [NOW * 1_000_000] * count
    assert (read.values[:, 3] == 5).all()


# Pieces that could complete each other across payloads, if braces were not counted.
_piece = st.sampled_from(
    [
        GOOD,
        b"{",
        b"}",
        b'{"time":1760000000000',
        b'"power":5}',
        b"power",
        b'"',
        b",",
        b":",
        b"5",
        b" ",
        b"\n",
        b"\r",
        b"",
    ]
)
_payload = st.just(GOOD) | st.lists(_piece, max_size=4).map(b"".join)


@given(st.lists(_payload, min_size=1, max_size=6))
def test_a_batch_is_taken_only_when_each_payload_is_taken_alone(payloads: list[bytes]) -> None:
    if MANY(payloads) is not None:
        assert all(MANY([payload]) is not None for payload in payloads)


@pytest.mark.parametrize(
    "payloads",
    [
        [b'{"time":1760000000000', b'"power":5}', GOOD + b"\n" + GOOD],
        [b'{"time":1760000000000,"power":5', b"}", GOOD + GOOD],
        [GOOD + b"\n", b""],
        [b"", GOOD + b"\n"],
        [GOOD + b"\n" + GOOD],
        [GOOD, b""],
        [b" "],
    ],
)
def test_payloads_that_lean_on_each_other_are_not_taken(payloads: list[bytes]) -> None:
    assert MANY(payloads) is None
    assert MANY([*payloads, GOOD]) is None


@pytest.mark.parametrize(
    "other",
    [
        b'{"time":"2026-01-01T00:00:00Z","power":5}',
        b'{"time":"12345678","power":5}',  # in MessagePack as long as the number
        b'{"time":1000,"power":5}',
        b'{"time":1760000000000}',
        b'{"time":1760000000000,"power":5,"wind":1}',
        b'{"time":1760000000000,"power":null}',
        b'{"time":1760000000000,"power":5,"rev":100}',
        b'[{"time":1760000000000,"power":5}]',
        b'{"time":1760000000000,"power":5' + b" " * LIMIT + b"}",
        b"\xff",
    ],
)
def test_what_is_not_of_the_kind_leaves_the_batch_to_others(other: bytes) -> None:
    assert MANY([GOOD, other, GOOD]) is None
    assert MANY([GOOD, GOOD]) is not None
