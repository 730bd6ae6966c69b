"""Handles seal and open, say nothing of what they hold, and know exactly one window for each event time."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.crypto import derive
from gateway.errors import KeyDestroyed, VerificationFailed
from gateway.keys.custodian import FileCustodian
from gateway.keys.handle import Common, Device, SeriesKey, Span, SubjectKey, Window, encode_values
from gateway.keys.lineage import Lineage
from gateway.model.ids import (
    Controller,
    DeviceId,
    Incarnation,
    KeyEpoch,
    KeyId,
    RecordId,
    epoch_of,
    epoch_start,
)
from gateway.model.sealed import REVISION_MAX, Reason

CSK = bytes(range(0x60, 0x80))
PLAIN = b"packed readings"
FOREVER = 2**63 - 1
U64, U32 = st.integers(0, 2**64 - 1), st.integers(0, REVISION_MAX)
DEVICE = DeviceId("device")


def subject_key(
    csk: bytes = CSK, *, base: int = 600, version: int = 1, key_class: str = "telemetry", valid_from: int = 0
) -> SubjectKey:
    return SubjectKey(
        csk,
        controller=Controller("controller"),
        incarnation=Incarnation(b"i" * 16),
        key_class=key_class,
        version=version,
        base=base,
        key_id=KeyId(bytes([version]) * 16),
        valid_from=valid_from,
    )


def series_key(schema: int = 1) -> SeriesKey:
    return subject_key().series(DEVICE, KeyEpoch(600), area="SE3", schema=schema)


@given(time=U64, revision=U32, field=st.text(min_size=1, max_size=40), plain=st.binary(max_size=60))
@settings(deadline=None)
def test_what_is_sealed_opens_and_is_sealed_the_same_again(time: int, revision: int, field: str, plain: bytes) -> None:
    key = series_key()
    sealed = key.seal(field, time, revision, plain)
    (value,) = encode_values([sealed])
    assert key.open(field, time, revision, value) == plain
    assert series_key().seal(field, time, revision, plain) == sealed


@given(
    here=st.tuples(st.text(max_size=9), U64, U32),
    there=st.tuples(st.text(max_size=9), U64, U32),
)
@settings(deadline=None)
def test_a_value_opens_only_at_its_field_time_and_revision(
    here: tuple[str, int, int], there: tuple[str, int, int]
) -> None:
    assume(here != there)
    (value,) = encode_values([series_key().seal(*here, PLAIN)])
    with pytest.raises(VerificationFailed) as caught:
        series_key().open(*there, value)
    assert str(caught.value) == "a stored reading does not open: it was changed, or moved from where it was written"


def test_a_value_of_another_schema_is_told_before_it_could_be_misread() -> None:
    sealed = series_key(schema=1).seal("s_1", 5, 0, PLAIN)
    (value,) = encode_values([sealed], schema=1)
    with pytest.raises(VerificationFailed, match="a stored reading has schema 1, where the policy says 2"):
        series_key(schema=2).open("s_1", 5, 0, value)
    (relabelled,) = encode_values([sealed], schema=2)
    with pytest.raises(VerificationFailed, match="a stored reading does not open"):
        series_key(schema=2).open("s_1", 5, 0, relabelled)


@given(
    base=st.integers(0, 1000), steps=st.lists(st.integers(0, 40), min_size=1, max_size=6), csk=st.binary(min_size=32)
)
@settings(deadline=None)
def test_epochs_asked_in_any_order_give_what_a_key_of_that_base_gives(base: int, steps: list[int], csk: bytes) -> None:
    key = subject_key(csk[:32], base=base)
    for step in steps:
        there = subject_key(derive.ratchet(csk[:32], step), base=base + step)
        epoch = KeyEpoch(base + step)
        assert key.pseudonym(DEVICE, epoch) == there.pseudonym(DEVICE, epoch)


@pytest.mark.parametrize("epoch", [0, 598, 599])
def test_epochs_before_the_base_are_gone(epoch: int) -> None:
    key = subject_key(base=600)
    key.pseudonym(DEVICE, KeyEpoch(640))
    for ask in (
        lambda: key.pseudonym(DEVICE, KeyEpoch(epoch)),
        lambda: key.series(DEVICE, KeyEpoch(epoch), area=""),
        lambda: key.seal_record(b"", kind="invoice", record_id=RecordId(bytes(16)), epoch=KeyEpoch(epoch)),
    ):
        with pytest.raises(KeyDestroyed) as caught:
            ask()
        assert str(caught.value) == "this key has moved past that month; what was sealed then cannot be read by anyone"
        assert caught.value.hint == "ask for a time within retention"


def test_records_open_under_their_kind_and_month_alone() -> None:
    key, record_id = subject_key(key_class="billing"), RecordId(b"r" * 16)
    sealed = key.seal_record(b"312.4", kind="invoice", record_id=record_id, epoch=KeyEpoch(612))
    assert key.open_record(sealed, kind="invoice", record_id=record_id, epoch=KeyEpoch(612)) == b"312.4"
    with pytest.raises(VerificationFailed):
        key.open_record(sealed, kind="invoice", record_id=record_id, epoch=KeyEpoch(613))
    with pytest.raises(VerificationFailed):
        key.open_record(sealed, kind="contact", record_id=record_id, epoch=KeyEpoch(612))


def device(*spans: Span) -> Device:
    return Device(DEVICE, spans, Common())


def capabilities() -> list[object]:
    span = Span(starts=0, ends=FOREVER, keys=(subject_key(base=0),), permitted=1)
    known = device(span)
    window = known.at(epoch_start(600))
    assert isinstance(window, Window)
    return [
        subject_key(),
        series_key(),
        known,
        window,
        span,
        Lineage(Controller("controller"), FileCustodian(Path("kek"))),
    ]


@pytest.mark.parametrize("thing", capabilities(), ids=lambda thing: type(thing).__name__)
def test_a_capability_is_not_written_down(thing: object) -> None:
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        if isinstance(thing, Span) and write is copy.copy:
            continue  # a span may be copied within the process: it holds the same handles, not their bytes
        with pytest.raises(TypeError, match="is a capability of this process and is not written down"):
            write(thing)
    shown = repr(thing)
    assert CSK.hex() not in shown
    assert repr(CSK)[2:-1] not in shown
    assert str(DEVICE) not in shown.replace("Device>", "")


@pytest.mark.parametrize(
    ("time", "revision", "plain"), [(-1, 0, b""), (2**64, 0, b""), (0, 2**32, b""), (0, 0, "text"), (0, 0, None)]
)
def test_the_traceback_of_a_failing_seal_shows_no_key(time: int, revision: int, plain: object) -> None:
    key = subject_key()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        key.series(DEVICE, KeyEpoch(600), area="").seal("s_1", time, revision, plain)  # type: ignore[arg-type]
    told = "".join(traceback.format_exception(caught.value))
    for form in (CSK.hex(), repr(CSK)[2:-1], CSK.decode()):
        assert form not in told


# Windows

HOUR = 3600 * 10**9
MONTHS = [epoch_start(n) for n in range(608, 613)]  # few, so that edges of several kinds fall into one
NEAR_EDGES = st.builds(
    lambda edge, off: edge + off, st.sampled_from(MONTHS), st.integers(-2, 2) | st.integers(-HOUR, HOUR)
)
TIMES = NEAR_EDGES | st.integers(MONTHS[0], MONTHS[-1])


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Spans that do not overlap, some with keys of up to three versions, some refused, some gaps."""
    edges = sorted(set(draw(st.lists(TIMES, min_size=2, max_size=7))))
    found = []
    for number, (starts, ends) in enumerate(pairwise(edges)):
        kind = draw(st.sampled_from(["keys", "refused", "gap"]))
        if kind == "refused":
            found.append(Span(starts=starts, ends=ends, reason=Reason.ERASED))
        elif kind == "keys":
            valid_from = [0, *sorted(set(draw(st.lists(TIMES, max_size=2))))]
            versions = tuple(
                subject_key(bytes([number, v]) * 16, base=draw(st.sampled_from([0, 610])), version=v + 1, valid_from=at)
                for v, at in enumerate(valid_from)
            )
            found.append(Span(starts=starts, ends=ends, keys=versions, permitted=number + 1))
    return found


def expected(given_spans: Sequence[Span], time: int) -> object:
    """What must hold at `time`, said plainly: its span, and the newest version that is valid by then."""
    owners = [span for span in given_spans if span.starts <= time < span.ends]
    assert len(owners) <= 1
    if not owners:
        return Reason.UNKNOWN_DEVICE
    (span,) = owners
    if span.reason:
        return span.reason
    key = max((key for key in span.keys if key.valid_from <= time), key=lambda key: key.valid_from)
    epoch = epoch_of(time)
    return Reason.TOO_OLD if epoch < key.base else (span.permitted, key.version, key.pseudonym(DEVICE, epoch))


@given(spans(), st.lists(TIMES, min_size=1, max_size=12))
@settings(deadline=None)
def test_each_event_time_has_one_owner_version_and_pseudonym(given_spans: list[Span], times: list[int]) -> None:
    """In any order of asking, with windows kept between: the answer is that of the plain rule."""
    known = device(*given_spans)
    for time in times:
        found = known.at(time)
        if isinstance(found, Window):
            (series,) = found.series
            assert series is not None
            assert found.starts <= time < found.ends
            assert epoch_of(found.starts) == epoch_of(found.ends - 1) == epoch_of(time)
            assert known.newest is found
            versions = {key.key_id: key.version for span in given_spans for key in span.keys}
            told: object = (found.permitted, versions[series.series.key_id], series.series.pseudonym)
            for edge in (found.starts, found.ends - 1):
                assert expected(given_spans, edge) == told
        else:
            told = found
        assert told == expected(given_spans, time)


@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("month", ["2024-03-01", "2024-10-27", "2025-01-01", "2028-02-29", "1970-01-02", "2262-04-01"])
def test_epochs_change_at_midnight_utc_of_the_first(month: str, offset: int) -> None:
    day = dt.datetime.fromisoformat(month).replace(tzinfo=dt.UTC)
    time = round((day - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds()) * 10**9 + offset
    before = day if offset >= 0 else day - dt.timedelta(days=1)
    assert epoch_of(time) == 12 * (before.year - 1970) + before.month - 1
    assert epoch_start(epoch_of(time)) <= time < epoch_start(epoch_of(time) + 1)


@pytest.mark.parametrize("order", [(-1, 0), (0, -1), (-1, 1, 0)])
def test_a_key_version_begins_in_the_middle_of_a_month(order: tuple[int, ...]) -> None:
    rekeyed = epoch_start(600) + 14 * 24 * HOUR
    keys = (subject_key(b"o" * 32), subject_key(b"n" * 32, version=2, valid_from=rekeyed))
    known = device(Span(starts=0, ends=FOREVER, keys=keys, permitted=1))
    for offset in order:
        window = known.at(rekeyed + offset)
        assert isinstance(window, Window)
        (series,) = window.series
        assert series is not None
        assert series.series.key_id == keys[offset >= 0].key_id


def test_a_device_keeps_few_windows_and_no_more() -> None:
    known = device(Span(starts=0, ends=FOREVER, keys=(subject_key(base=0),), permitted=1))
    for epoch in range(600, 640):
        assert isinstance(known.at(epoch_start(epoch)), Window)
    assert len(known._windows) == 4


def test_a_class_that_has_passed_an_epoch_leaves_the_others() -> None:
    short, long = subject_key(base=610), subject_key(base=600, key_class="billing")
    known = device(Span(starts=0, ends=FOREVER, keys=(short, long), permitted=1))
    window = known.at(epoch_start(605))
    assert isinstance(window, Window)
    assert [series is None for series in window.series] == [True, False]
    assert known.at(epoch_start(599)) is Reason.TOO_OLD
