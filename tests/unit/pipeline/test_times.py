"""Event times: exact to the nanosecond, strict in grammar, and refused with a reason."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.model.sealed import Reason
from gateway.pipeline import times
from gateway.pipeline.times import InvalidTime, event_time, from_local, from_milliseconds, from_seconds, from_text

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
        assert str(invalid) == invalid.reason.value  # noqa: PT017 - both outcomes are right


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


STOCKHOLM, LORD_HOWE = ZoneInfo("Europe/Stockholm"), ZoneInfo("Australia/Lord_Howe")
HOUR = 3_600_000_000_000


@pytest.mark.parametrize(
    ("local", "zone", "absolute"),
    [
        ("2024-05-01T14:00:00", STOCKHOLM, "2024-05-01T12:00:00Z"),
        ("2024-01-15T14:00:00.123456789", STOCKHOLM, "2024-01-15T13:00:00.123456789Z"),
        ("2025-03-30T01:59:59.9", STOCKHOLM, "2025-03-30T00:59:59.9Z"),
        ("2025-03-30T03:00:00", STOCKHOLM, "2025-03-30T01:00:00Z"),
        ("2025-10-26T01:59:59", STOCKHOLM, "2025-10-25T23:59:59Z"),
        ("2025-10-26T03:00:00", STOCKHOLM, "2025-10-26T02:00:00Z"),
        ("2025-10-05T02:30:00", LORD_HOWE, "2025-10-04T15:30:00Z"),
        ("2025-10-26T02:30:00", ZoneInfo("Etc/GMT-1"), "2025-10-26T01:30:00Z"),
        ("2025-10-26T02:30:00", dt.UTC, "2025-10-26T02:30:00Z"),
        ("1900-01-01T01:00:00", ZoneInfo("UTC"), None),
    ],
)
def test_local_time_is_that_of_its_zone(local: str, zone: dt.tzinfo, absolute: str | None) -> None:
    if absolute is None:
        with pytest.raises(InvalidTime, match="too_old"):
            from_local(local, zone, NOON)
    else:
        assert from_local(local, zone, NOON) == (from_text(absolute), True)


@pytest.mark.parametrize(
    ("local", "zone"),
    [
        ("2025-03-30T02:00:00", STOCKHOLM),
        ("2025-03-30T02:30:00", STOCKHOLM),
        ("2025-03-30T02:59:59.999999999", STOCKHOLM),
        ("2025-10-05T02:15:00", LORD_HOWE),
    ],
)
def test_a_local_time_that_clocks_skip_is_malformed(local: str, zone: dt.tzinfo) -> None:
    with pytest.raises(InvalidTime, match="malformed"):
        from_local(local, zone, NOON)


@pytest.mark.parametrize("late", [-HOUR // 3, 0, 1, HOUR // 3])
@pytest.mark.parametrize("written", ["02:00:00", "02:30:00", "02:59:59"])
def test_of_a_local_time_that_comes_twice_the_one_nearer_to_the_arrival_is_taken(written: str, late: int) -> None:
    first, second = (from_text(f"2025-10-26T{written}+0{hours}:00") for hours in (2, 1))
    assert second - first == HOUR
    for time in (first, second):
        assert from_local(f"2025-10-26T{written}", STOCKHOLM, time + late) == (time, False)


@pytest.mark.parametrize(
    "text", ["", "2025-10-26", "2025-10-26T02:30", "2025-10-26T02:30:00Z", "2025-10-26T02:30:00+01:00"]
)
def test_local_time_is_rfc_3339_without_its_offset(text: str) -> None:
    with pytest.raises(InvalidTime, match="malformed"):
        from_local(text, STOCKHOLM, NOON)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0001-01-01T00:00:00", "too_old"),
        ("1970-01-01T00:33:28", "too_old"),
        ("9999-12-31T23:59:59", "future"),
        ("2262-04-12T00:00:00", "future"),
    ],
)
def test_local_times_that_no_column_holds(text: str, reason: str) -> None:
    with pytest.raises(InvalidTime, match=reason):
        from_local(text, STOCKHOLM, NOON)


@given(
    st.integers(0, times.NS_MAX // 10**9 - 86_400),
    st.sampled_from([STOCKHOLM, LORD_HOWE, ZoneInfo("America/St_Johns")]),
)
def test_every_second_comes_back_from_the_local_time_that_it_was(second: int, zone: ZoneInfo) -> None:
    local = dt.datetime.fromtimestamp(second, zone).replace(tzinfo=None).isoformat()
    assume(local >= "1970")
    assert from_local(local, zone, second * 10**9)[0] == second * 10**9
