"""Rows, records, captures and values open where they stand, and nowhere else."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.crypto import envelope
from gateway.crypto.envelope import RecordPlace, RowKind, RowPlace
from gateway.errors import VerificationFailed
from gateway.model.ids import Controller, Incarnation, KeyId, RecordId

KEY, OTHER, SECRET = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
ONE, TWO = Controller("one"), Controller("two")
ROW = RowPlace(
    controller=ONE,
    kind=RowKind.CSK,
    key_id=KeyId(b"k" * 16),
    version=1,
    incarnation=Incarnation(b"i" * 16),
    key_class="telemetry",
    base=670,
)
RECORD = RecordPlace(
    controller=ONE,
    incarnation=Incarnation(b"i" * 16),
    key_class="identity",
    version=1,
    epoch=0,
    kind="device",
    record_id=RecordId(b"r" * 16),
)
DOES_NOT_OPEN = "a sealed row or record does not open where it stands"
UNKNOWN_FORMAT = "a sealed row or record has a format that this version does not know"


@dataclass(frozen=True)
class Envelope:
    """A sealed thing, and how to open it with a key and a controller."""

    sealed: bytes
    open: Callable[[bytes, bytes, Controller], bytes]


ENVELOPES = {
    "KEK row": Envelope(
        envelope.wrap_kek(KEY, SECRET, controller=ONE, e=1),
        lambda key, sealed, who: envelope.unwrap_kek(key, sealed, controller=who, e=1),
    ),
    "row": Envelope(
        envelope.wrap(KEY, SECRET, ROW),
        lambda key, sealed, who: envelope.unwrap(key, sealed, dataclasses.replace(ROW, controller=who)),
    ),
    "record": Envelope(
        envelope.seal_record(KEY, SECRET, RECORD),
        lambda key, sealed, who: envelope.open_record(key, sealed, dataclasses.replace(RECORD, controller=who)),
    ),
    "capture": Envelope(
        envelope.seal_capture(KEY, SECRET, controller=ONE, erasure=b"e" * 16),
        lambda key, sealed, who: envelope.open_capture(key, sealed, controller=who, erasure=b"e" * 16),
    ),
}
each = pytest.mark.parametrize("name", ENVELOPES)


@each
def test_it_opens_where_it_stands(name: str) -> None:
    it = ENVELOPES[name]
    assert it.open(KEY, it.sealed, ONE) == SECRET
    assert len(it.sealed) == 1 + 12 + 32 + 16
    assert SECRET not in it.sealed


@each
def test_not_under_another_key_or_controller(name: str) -> None:
    it = ENVELOPES[name]
    with pytest.raises(VerificationFailed, match=DOES_NOT_OPEN):
        it.open(OTHER, it.sealed, ONE)
    with pytest.raises(VerificationFailed, match=DOES_NOT_OPEN):
        it.open(KEY, it.sealed, TWO)


@each
def test_not_with_any_bit_changed_or_byte_missing(name: str) -> None:
    it = ENVELOPES[name]
    changed = [bytes(b ^ (i == at) << at % 8 for i, b in enumerate(it.sealed)) for at in range(len(it.sealed))]
    shortened = [it.sealed[:length] for length in range(len(it.sealed))]
    for other in (*changed, *shortened, it.sealed + b"\0"):
        with pytest.raises(VerificationFailed) as caught:
            it.open(KEY, other, ONE)
        assert str(caught.value) == (DOES_NOT_OPEN if other[:1] == b"\x01" else UNKNOWN_FORMAT)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"kind": RowKind.ROUTE},
        {"key_id": KeyId(b"K" * 16)},
        {"incarnation": Incarnation(b"I" * 16)},
        {"key_class": "billing"},
        {"version": 2},
        {"base": 671},
    ],
    ids=str,
)
def test_a_row_does_not_open_elsewhere(elsewhere: dict[str, object]) -> None:
    place = dataclasses.replace(ROW, **elsewhere)  # type: ignore[arg-type]
    with pytest.raises(VerificationFailed, match=DOES_NOT_OPEN):
        envelope.unwrap(KEY, envelope.wrap(KEY, SECRET, ROW), place)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"incarnation": Incarnation(b"I" * 16)},
        {"key_class": "billing"},
        {"version": 2},
        {"epoch": 1},
        {"kind": "choice"},
        {"record_id": RecordId(b"R" * 16)},
    ],
    ids=str,
)
def test_a_record_does_not_open_elsewhere(elsewhere: dict[str, object]) -> None:
    place = dataclasses.replace(RECORD, **elsewhere)  # type: ignore[arg-type]
    with pytest.raises(VerificationFailed, match=DOES_NOT_OPEN):
        envelope.open_record(KEY, envelope.seal_record(KEY, SECRET, RECORD), place)


def test_a_kek_and_a_capture_do_not_open_elsewhere() -> None:
    with pytest.raises(VerificationFailed, match=DOES_NOT_OPEN):
        envelope.unwrap_kek(KEY, ENVELOPES["KEK row"].sealed, controller=ONE, e=2)
    with pytest.raises(VerificationFailed, match=DOES_NOT_OPEN):
        envelope.open_capture(KEY, ENVELOPES["capture"].sealed, controller=ONE, erasure=b"E" * 16)


def test_random_nonces_differ() -> None:
    assert len({envelope.wrap(KEY, SECRET, ROW)[1:13] for _ in range(64)}) == 64


@given(
    st.integers(16, 120).flatmap(lambda n: st.lists(st.binary(min_size=n, max_size=n), max_size=6)), st.integers(1, 255)
)
@settings(deadline=None)
def test_values_are_read_as_they_were_written(sealed: list[bytes], schema: int) -> None:
    values = envelope.encode_values(sealed, schema=schema)
    assert [envelope.decode_value(value) for value in values] == [(1, schema, part) for part in sealed]
    assert all(set(value) <= set(string.ascii_letters + string.digits + "-_") for value in values)


@given(st.integers(16, 60).flatmap(lambda n: st.lists(st.binary(min_size=n, max_size=n), min_size=1, max_size=4)))
@settings(deadline=None)
def test_together_or_alone_values_are_the_same(sealed: list[bytes]) -> None:
    assert envelope.encode_values(sealed) == [envelope.encode_values([part])[0] for part in sealed]


GOOD = envelope.encode_values([bytes(range(230, 256))])[0]


@pytest.mark.parametrize(
    "value",
    [
        GOOD[:10] + "!" + GOOD[10:],
        GOOD[:10] + "\n" + GOOD[10:],
        GOOD + "=",
        GOOD + "==",
        GOOD[:-1] + "ä",
        GOOD[:-1] + "\ud800",
        GOOD.replace("-", "+"),
        GOOD.replace("_", "/"),
        GOOD[:5],
        " " + GOOD,
    ],
)
def test_what_is_not_base64url_is_told(value: str) -> None:
    assert value != GOOD, "the case must change something"
    with pytest.raises(VerificationFailed, match="a stored value is not base64url"):
        envelope.decode_value(value)


@pytest.mark.parametrize("value", ["", "AQ", envelope.encode_values([bytes(15)])[0], "Ag" + GOOD[2:], "AA" + GOOD[2:]])
def test_a_format_that_is_not_ours_is_told(value: str) -> None:
    with pytest.raises(VerificationFailed, match="a stored value has a format that this version does not know"):
        envelope.decode_value(value)


def one_by_one(values: list[str]) -> tuple[set[int], list[bytes]] | None:
    try:
        decoded = [envelope.decode_value(value) for value in values]
    except VerificationFailed:
        return None
    return {schema for _format, schema, _sealed in decoded}, [sealed for _format, _schema, sealed in decoded]


@st.composite
def stored_values(draw: st.DrawFn) -> list[str]:
    """Values as they are written, of one length or several; sometimes with a letter changed, or one too many."""
    sizes = draw(st.lists(st.integers(14, 22), min_size=1, max_size=2))
    values = [
        envelope.encode_values([draw(st.binary(min_size=size, max_size=size))], schema=draw(st.integers(1, 2)))[0]
        for size in sizes
        for _ in range(3)
    ]
    if draw(st.booleans()):
        at = draw(st.integers(0, len(values) - 1))
        place = draw(st.integers(0, len(values[at]) - 1))
        values[at] = (
            values[at][:place] + draw(st.sampled_from("A_-+/=\n é")) + values[at][place + draw(st.integers(0, 1)) :]
        )
    return values


@given(stored_values())
@settings(deadline=None)
def test_many_values_are_read_as_each_of_them(values: list[str]) -> None:
    try:
        together = envelope.decode_values(values)
    except VerificationFailed:
        assert one_by_one(values) is None
    else:
        assert together == one_by_one(values)


def test_no_values_are_no_values() -> None:
    assert envelope.decode_values([]) == (set(), [])


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_opens_or_is_refused(text: str) -> None:
    try:
        assert envelope.decode_value(text)[0] == 1
    except VerificationFailed as refused:
        assert str(refused) in {  # noqa: PT017 - one of two words for it, and never the text
            "a stored value is not base64url",
            "a stored value has a format that this version does not know",
        }
