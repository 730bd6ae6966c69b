"""Event times: exact to the nanosecond, strict in grammar, and refused with a reason."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.sealed import Reason
from gateway.pipeline import times
from gateway.pipeline.times import InvalidTime, event_time, from_milliseconds, from_seconds, from_text

NOON = 1_714_564_800_000_000_000  # 2024-05-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2024-05-01T12:00:00Z", NOON),
        ("2024-05-01t12:00:00z", NOON),
        ("2024-05-01T14:00:00+02:00", NOON),
        ("2024-05-01T12:00:00+00:00", NOON),
        ("2024-05-01T12:00:00-00:00", NOON),
        ("2024-04-30T12:01:00-23:59", NOON),
        ("2024-05-01T17:30:00.5+05:30", NOON + 500_000_000),
        ("2024-05-01T12:00:00.123456789Z", NOON + 123_456_789),
        ("2024-05-01T12:00:00.123456789999999999999Z", NOON + 123_456_789),
        ("2024-05-01T12:00:00." + "7" * 5000 + "Z", NOON + 777_777_777),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:30:00-01:00", 1_800_000_000_000),
        ("2262-04-11T23:47:16.854775807Z", times.NS_MAX),
        ("1985-04-12T23:20:50.52Z", 482_196_050_520_000_000),  # RFC 3339 section 5.8
        ("1996-12-19T16:39:57-08:00", 851_042_397_000_000_000),  # RFC 3339 section 5.8
        ("1937-01-01T12:00:27.87+00:20", None),  # RFC 3339 section 5.8, before 1970
    ],
)
def test_rfc_3339(text: str, ns: int | None) -> None:
    if ns is not None:
        assert from_text(text) == ns
    else:
        assert _reason(text) is Reason.TOO_OLD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-05-01",
        "2024-05-01T12:00Z",
        "2024-05-01T12:00:00",
        "2024-05-01 12:00:00Z",
        "2024-05-01T12:00:00.Z",
        "2024-05-01T12:00:00,5Z",
        "2024-05-01T12:00:00+0200",
        "2024-05-01T12:00:00+24:00",
        "2024-05-01T12:00:00+02:60",
        "2024-05-01T12:00:00Z ",
        " 2024-05-01T12:00:00Z",
        "2024-05-01T12:00:00Z\n",
        "2024-13-01T12:00:00Z",
        "2023-02-29T12:00:00Z",
        "2024-05-01T24:00:00Z",
        "2016-12-31T23:59:60Z",  # a leap second
        "0000-01-01T00:00:00Z",
        "12024-05-01T12:00:00Z",
        "20240501T120000Z",
        "２０２４-05-01T12:00:00Z",  # full-width digits
        "2024-05-01T12:00:00.١Z",  # an Arabic digit
        "\ud800",
    ],
)
def test_what_is_not_rfc_3339_is_malformed(text: str) -> None:
    assert _reason(text) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, Reason.NO_TIME),
        (True, Reason.MALFORMED),
        (1714564800250.0, Reason.MALFORMED),
        (Decimal(1714564800250), Reason.MALFORMED),
        ([], Reason.MALFORMED),
        ({}, Reason.MALFORMED),
        (-1, Reason.TOO_OLD),
        (-(10**400), Reason.TOO_OLD),
        (times.MS_MAX + 1, Reason.FUTURE),
        (10**400, Reason.FUTURE),
        ("1969-12-31T23:59:59.999999999Z", Reason.TOO_OLD),
        ("2262-04-11T23:47:16.854775808Z", Reason.FUTURE),
        ("9999-12-31T23:59:59-23:59", Reason.FUTURE),
    ],
)
def test_what_no_column_holds_is_refused_with_a_reason(written: object, reason: Reason) -> None:
    assert _reason(written) is reason


def test_milliseconds_are_exact_to_both_ends() -> None:
    assert event_time(0) == 0
    assert event_time(1_714_564_800_250) == NOON + 250_000_000
    assert from_milliseconds(times.MS_MAX) <= times.NS_MAX < (times.MS_MAX + 1) * 1_000_000


def test_seconds_are_exact_where_a_float_is_not() -> None:
    assert from_seconds(Decimal("1.276020076001e9")) == 1_276_020_076_001_000_000
    assert from_seconds(Decimal("1714564800.123456789987")) == NOON + 123_456_789
    assert from_seconds(Decimal("-0.0000000001"), NOON) == NOON - 1
    assert from_seconds(Decimal(-5), NOON) == NOON - 5_000_000_000


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        ("NaN", Reason.MALFORMED),
        ("Infinity", Reason.MALFORMED),
        ("-Infinity", Reason.MALFORMED),
        ("-1714564801", Reason.TOO_OLD),
        ("1e999999", Reason.FUTURE),
        ("-1e999999", Reason.TOO_OLD),
        ("9223372036.854775808", Reason.FUTURE),
    ],
)
def test_seconds_out_of_bounds(seconds: str, reason: Reason) -> None:
    with pytest.raises(InvalidTime) as caught:
        from_seconds(Decimal(seconds), NOON if seconds.startswith("-1714") else 0)
    assert caught.value.reason is reason


@given(
    when=st.datetimes(
        min_value=dt.datetime(1970, 1, 3), max_value=dt.datetime(2262, 4, 9),  # noqa: DTZ001 - naive is what it takes
        timezones=st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
    )
)  # fmt: skip
def test_any_moment_in_any_zone_is_read_as_the_standard_library_counts_it(when: dt.datetime) -> None:
    since = when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert from_text(when.isoformat()) == since // dt.timedelta(microseconds=1) * 1000


@given(text=st.text(max_size=40) | st.from_regex(re.compile(r"[0-9T:.Z+-]{0,40}"), fullmatch=True))
def test_any_text_is_a_time_or_invalid(text: str) -> None:
    try:
        assert 0 <= from_text(text) <= times.NS_MAX
    except InvalidTime as invalid:
        assert text == "" or text not in str(invalid)  # noqa: PT017 - both outcomes are right


def test_devices_cannot_fill_the_caches() -> None:
    before = times._tail.cache_info().currsize
    assert from_text("2024-05-01T12:00:00." + "1" * 10_000 + "Z") == NOON + 111_111_111
    assert times._tail.cache_info().currsize == before
    assert times._tail.cache_info().maxsize is not None
    assert times._second.cache_info().maxsize is not None


def _reason(written: object) -> Reason:
    with pytest.raises(InvalidTime) as caught:
        event_time(written)
    return caught.value.reason
