"""Mapped JSON: pointers, units, times; what a mapping does not name is passed over, and what it names is judged."""

from __future__ import annotations

import json
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.clear import Readings, Refusals
from gateway.model.ids import Controller
from gateway.model.sealed import Reason
from gateway.pipeline.decode import Decoder
from gateway.pipeline.mapped import Clock, Mapping, Scale, TimeFormat, Wanted, follow, pointer
from gateway.pipeline.rows import Row, Rows
from gateway.pipeline.times import InvalidTime
from gateway.pipeline.topics import TopicPattern
from tests.unit.pipeline.fuzz_decode import MAX_PAYLOAD, NOW, QUANTITIES, Message

HOME = TopicPattern("tele/{device}/SENSOR", Controller("home"))
TOPIC = "tele/plug-1/SENSOR"
POWER = Wanted(number=3, at=(pointer("/ENERGY/Power"),))
VALVE = Wanted(number=6, at=(pointer("/valve"), pointer("/position")))
CLOCK = Clock(at=pointer("/Time"), formats=(TimeFormat.RFC3339, TimeFormat.UNIX_MS))
STOCKHOLM = ZoneInfo("Europe/Stockholm")


def read(document: object, *wanted: Wanted, clock: Clock | None = None) -> tuple[dict[tuple[int, int], Row], Rows]:
    rows = Rows()
    Mapping(pattern=HOME, wanted=wanted or (POWER, VALVE), clock=clock).read(document, NOW, rows)
    return rows.settle(), rows


def decode(*payloads: bytes, clock: Clock | None = CLOCK, topic: str = TOPIC) -> tuple[Readings, Refusals]:
    refusals = Refusals()
    decoder = Decoder(QUANTITIES, MAX_PAYLOAD, [Mapping(pattern=HOME, wanted=(POWER, VALVE), clock=clock)])
    return decoder([Message(payload, topic=topic) for payload in payloads], NOW, refusals), refusals


# RFC 6901 section 5: its document, and what each pointer gives.
RFC_DOCUMENT = json.loads(r"""{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5,
 "k\"l": 6, " ": 7, "m~n": 8}""")
RFC_POINTERS = {
    "": RFC_DOCUMENT, "/foo": ["bar", "baz"], "/foo/0": "bar", "/": 0, "/a~1b": 1, "/c%d": 2, "/e^f": 3, "/g|h": 4,
    "/i\\j": 5, '/k"l': 6, "/ ": 7, "/m~0n": 8,
}  # fmt: skip


@pytest.mark.parametrize("text", RFC_POINTERS)
def test_the_rfcs_own_pointers(text: str) -> None:
    assert follow(RFC_DOCUMENT, pointer(text)) == RFC_POINTERS[text]


@pytest.mark.parametrize("text", ["foo", "/a~", "/a~2", "a/b", "~0", "#/foo"])
def test_what_is_no_pointer(text: str) -> None:
    with pytest.raises(ValueError, match="a JSON pointer begins with '/'"):
        pointer(text)


def test_escapes_are_undone_in_the_order_of_the_rfc() -> None:
    assert pointer("/~01") == ("~1",)


@pytest.mark.parametrize(
    "text", ["/foo/2", "/foo/-", "/foo/00", "/foo/-1", "/foo/1.0", "/foo/٠", "/foo/bar", "/none", "//x"]
)
def test_a_pointer_to_nothing(text: str) -> None:
    assert follow(RFC_DOCUMENT, pointer(text)) is None


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_every_place_of_a_document_has_its_pointer(document: object) -> None:
    def walk(value: object, text: str) -> None:
        assert follow(document, pointer(text)) == value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in items:
            walk(inner, f"{text}/{str(key).replace('~', '~0').replace('/', '~1')}")

    walk(document, "")


def test_what_is_not_named_is_passed_over() -> None:
    rows, told = read({"ENERGY": {"Power": 5, "Voltage": "x"}, "Wifi": [1], "Time": None})
    assert (rows, told.refused) == ({(NOW, 0): {3: 5.0}}, {})


def test_the_first_pointer_with_something_counts_and_null_is_nothing() -> None:
    assert read({"valve": 1, "position": 2})[0] == {(NOW, 0): {6: 1.0}}
    assert read({"valve": None, "position": 2})[0] == {(NOW, 0): {6: 2.0}}
    assert read({"valve": "shut", "position": 2})[1].refused == {Reason.MALFORMED: 1}


@pytest.mark.parametrize("document", [{}, [], [1], None, 7, "x", True, {"ENERGY": 5}, {"ENERGY": {"Power": None}}])
def test_a_message_with_nothing_of_it_has_no_rows_and_is_malformed(document: object) -> None:
    assert read(document)[0] == {}
    _, refusals = decode(json.dumps(document).encode())
    assert (refusals.message, refusals.readings) == ({0: Reason.MALFORMED}, {Reason.MALFORMED: 1})


@pytest.mark.parametrize(
    ("written", "reason"),
    [("true", Reason.MALFORMED), ('"5"', Reason.MALFORMED), ("[5]", Reason.MALFORMED), ("{}", Reason.MALFORMED)]
    + [(text, Reason.NON_FINITE) for text in ("NaN", "-Infinity", "1e999", "9" * 400)],
)
def test_refusal_is_per_reading(written: str, reason: Reason) -> None:
    readings, refusals = decode(b'{"Time":0,"ENERGY":{"Power":%s},"valve":7}' % written.encode())
    assert (refusals.message, refusals.readings) == ({}, {reason: 1})
    assert readings.values[0, 6] == 7
    _, refusals = decode(b'{"Time":0,"ENERGY":{"Power":%s}}' % written.encode())
    assert (refusals.message, refusals.readings) == ({0: reason}, {reason: 1})


@pytest.mark.parametrize("payload", [b"", b"x", b"{", b"\xa1avalve\x01", b"[" * 4000, b'{"valve":1}x', b"\xff"])
def test_what_is_no_json_is_malformed(payload: bytes) -> None:
    assert decode(payload)[1].message == {0: Reason.MALFORMED}


def test_a_mapped_topic_is_read_by_its_mapping_alone_and_others_are_not() -> None:
    flat = b'{"time":1714564800250,"power":1250}'
    assert decode(flat)[1].message == {0: Reason.MALFORMED}
    for topic in ("tele/plug-1/STATE", "tele/plug-1/x/SENSOR", "tele/a+b/SENSOR", "glomska/nordhem/tele/readings"):
        assert decode(flat, topic=topic)[0].message == [0]


def test_a_fault_of_the_time_refuses_every_reading() -> None:
    both = b'{"Time":%s,"ENERGY":{"Power":1},"valve":2}'
    for written, reason in (
        (b'"x"', Reason.MALFORMED), (b"true", Reason.MALFORMED), (b"1.5", Reason.MALFORMED), (b"[]", Reason.MALFORMED),
        (b"null", Reason.NO_TIME), (b"-1", Reason.TOO_OLD), (b"9999999999999999", Reason.FUTURE),
    ):  # fmt: skip
        assert decode(both % written)[1].readings == {reason: 2}


def test_a_time_that_may_be_missing_is_the_arrivals() -> None:
    lenient = Clock(at=pointer("/Time"), formats=(TimeFormat.RFC3339,), required=False)
    readings, refusals = decode(b'{"valve":1}', b'{"Time":null,"valve":1}', b'{"Time":"x","valve":1}', clock=lenient)
    assert (readings.time, readings.untimed) == ([NOW, NOW + 1], {0, 1})
    assert refusals.message == {2: Reason.MALFORMED}


def test_a_mapping_without_a_clock_is_untimed_and_messages_of_a_batch_do_not_take_the_same_time() -> None:
    readings, _ = decode(b'{"valve":1}', b'{"valve":2,"Time":5}', clock=None)
    assert (readings.time, readings.untimed) == ([NOW, NOW + 1], {0, 1})


@pytest.mark.parametrize(
    ("formats", "written", "time"),
    [
        ([TimeFormat.RFC3339], "2024-05-01T14:00:00.25+02:00", 1_714_564_800_250_000_000),
        ([TimeFormat.UNIX_MS], 1714564800250, 1_714_564_800_250_000_000),
        ([TimeFormat.UNIX_S], 1714564800, 1_714_564_800_000_000_000),
        ([TimeFormat.UNIX_S], Decimal("1714564800.25"), 1_714_564_800_250_000_000),
        ([TimeFormat.LOCAL], "2024-05-01T14:00:00.25", 1_714_564_800_250_000_000),
        ([TimeFormat.LOCAL, TimeFormat.RFC3339], "2024-05-01T12:00:00.25Z", 1_714_564_800_250_000_000),
        ([TimeFormat.RFC3339, TimeFormat.LOCAL], "2024-05-01T14:00:00.25", 1_714_564_800_250_000_000),
        ([TimeFormat.RFC3339, TimeFormat.LOCAL, TimeFormat.UNIX_S], 1714564800, 1_714_564_800_000_000_000),
    ],
)
def test_time_formats(formats: list[TimeFormat], written: object, time: int) -> None:
    clock = Clock(at=pointer("/t"), formats=tuple(formats), zone=STOCKHOLM)
    assert clock.time({"t": written}, NOW) == (time, True)


@pytest.mark.parametrize(
    ("known", "written"),
    [
        (TimeFormat.RFC3339, "2024-05-01T14:00:00"),
        (TimeFormat.RFC3339, 1714564800250),
        (TimeFormat.LOCAL, "2024-05-01T14:00:00Z"),
        (TimeFormat.LOCAL, "2024-05-01 14:00:00"),
        (TimeFormat.LOCAL, 5),
        (TimeFormat.UNIX_MS, Decimal("1.5")),
        (TimeFormat.UNIX_MS, True),
        (TimeFormat.UNIX_S, True),
        (TimeFormat.UNIX_S, "1714564800"),
        (TimeFormat.UNIX_S, Decimal("NaN")),
    ],
)
def test_a_format_takes_nothing_else(known: TimeFormat, written: object) -> None:
    with pytest.raises(InvalidTime) as raised:
        Clock(at=pointer("/t"), formats=(known,), zone=STOCKHOLM).time({"t": written}, NOW)
    assert raised.value.reason is Reason.MALFORMED


def test_a_fixed_scale_converts() -> None:
    watt_hours = Wanted(number=4, at=(("e",),), scale=Scale(factor=0.001))
    assert watt_hours.value({}, 12345678) == pytest.approx(12345.678, rel=1e-15)
    assert Wanted(number=4, at=(("e",),), scale=Scale(zero=273.15)).value({}, Decimal("293.15")) == 20.0
    assert Wanted(number=4, at=(("e",),), scale=Scale(factor=1e300)).value({}, 10**300) is Reason.NON_FINITE


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ({"u": "C"}, 50.0), ({"u": "F"}, 10.0), ({"u": "K"}, Reason.UNIT), ({"u": None}, Reason.UNIT),
        ({}, Reason.UNIT), ({"u": 1}, Reason.UNIT), ({"u": ["C"]}, Reason.UNIT),
    ],
)  # fmt: skip
def test_a_unit_that_the_message_tells(document: object, value: float | Reason) -> None:
    units = {"C": Scale(), "F": Scale(zero=32, factor=5 / 9)}
    wanted = Wanted(number=0, at=(("t",),), unit_at=("u",), units=units)
    assert wanted.value(document, 50) == value
