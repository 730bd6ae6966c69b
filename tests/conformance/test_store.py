"""What every store must do, asked of each on its real server. A point comes back as one point a stored field."""

from __future__ import annotations

import math
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from gateway.model.sealed import ACCEPTED, Reason, SealedPoint, Series
from gateway.transport.store import Store, StoreUnreachable, write_all
from tests.conformance.points import Make, as_stored, new_series, random_

if TYPE_CHECKING:
    from tests.conformance.conftest import Place

HOUR = 3_600_000_000_000
EVER = (-(2**63), 2**63 - 1)


def everything(store: Store, *series: Series) -> list[SealedPoint]:
    return list(store.query("telemetry", [s.pseudonym for s in series], *EVER))


def test_what_is_written_comes_back_equal_and_in_order(store: Store, make: Make) -> None:
    homes = [new_series(area=area) for area in ("SE1", "SE3", "Malmö, södra = 4", "")]
    points = [make.point(home, at=make.now + k * HOUR, battery=80.5 + k) for k in range(-3, 3) for home in homes]
    random_.shuffle(points)
    assert write_all(store, points) == ACCEPTED
    back = everything(store, *reversed(homes))
    assert as_stored(back) == as_stored(points)
    order = [(p.series.pseudonym, p.time, p.field or p.clear[0][0]) for p in back]
    assert order == sorted(order)


def test_a_batch_written_again_changes_nothing(store: Store, make: Make) -> None:
    home = new_series()
    points = [make.point(home, k, battery=3.0) for k in range(50)]
    for _ in range(3):
        assert write_all(store, points) == ACCEPTED
    assert as_stored(everything(store, home)) == as_stored(points)


def test_the_same_name_with_another_value_replaces_it(store: Store, make: Make) -> None:
    home = new_series()
    before, after = make.point(home, battery=1.0), make.point(home, battery=2.0)
    write_all(store, [before])
    write_all(store, [after])
    back = as_stored(everything(store, home))
    if make.traits.last_stays:
        assert back == as_stored([after])
    else:  # each field has one of its two values
        assert len(back) == len(as_stored([after]))
        assert set(back) <= {*as_stored([before]), *as_stored([after])}


def test_within_a_batch_the_last_of_one_name_stays(store: Store, make: Make) -> None:
    home = new_series()
    points = [make.point(home), make.point(home), make.point(home)]
    write_all(store, points)
    (back,) = as_stored(everything(store, home))
    assert back in [one for p in (points[-1:] if make.traits.last_stays else points) for one in as_stored([p])]


def test_revisions_and_field_sets_at_one_time_stand_side_by_side(store: Store, make: Make) -> None:
    home = new_series()
    points = [make.point(home, field=field) for field in ("s_1d", "s_1d_r1", "s_1d_r2", "s_2", "s_ff_r4294967295")]
    points += [make.number(home, "battery", 81.0), make.number(home, "battery_r1", 80.0)]
    write_all(store, points)
    assert as_stored(everything(store, home)) == as_stored(points)


@pytest.mark.parametrize("value", [0.0, -0.0, 21.0, 21.005, -1e-300, 1.7976931348623157e308, 2.0**53 + 2, 1 / 3])
def test_clear_numbers_come_back_exactly(store: Store, value: float, make: Make) -> None:
    home = new_series()
    write_all(store, [make.number(home, "battery", value)])
    (((name, found),),) = [back.clear for back in everything(store, home)]
    assert name == "battery"
    assert type(found) is float
    # Exactly, where a store does not keep them as decimals. The sign of zero is not promised: JSON answers say -0.
    assert math.isclose(found, value, rel_tol=make.traits.rounding, abs_tol=0.0)


def test_a_clear_whole_number_is_a_float_like_any_other(store: Store, make: Make) -> None:
    home = new_series()
    first = make.number(home, "battery", int("80"))
    write_all(store, [first])
    write_all(store, [make.number(home, "battery", 80.5, 1)])
    assert [p.clear for p in everything(store, home)] == [(("battery", 80.0),), (("battery", 80.5),)]


def test_times_are_exact_to_the_tick_and_the_end_is_excluded(store: Store, make: Make) -> None:
    home = new_series()
    first, last = make.now, make.at(2)
    times = [0, make.tick, make.at(-1), first, make.at(1), last, 2**62 + 1, 2**63 - 2]
    times = [time for time in times if make.traits.earliest <= time <= make.traits.latest]
    assert write_all(store, [make.point(home, at=time) for time in times]) == ACCEPTED
    assert [p.time for p in everything(store, home)] == times
    assert [p.time for p in store.query("telemetry", [home.pseudonym], first, last)] == [first, make.at(1)]
    assert list(store.query("telemetry", [home.pseudonym], first, first)) == []
    assert list(store.query("telemetry", [home.pseudonym], last, first)) == []
    assert list(store.query("telemetry", [home.pseudonym], 2**70, 2**71)) == []
    assert list(store.query("telemetry", [home.pseudonym], -(2**71), -(2**70))) == []
    assert len(list(store.query("telemetry", [home.pseudonym], -(2**70), 2**70))) == len(times)


def test_measurements_are_apart(store: Store, make: Make) -> None:
    home = new_series()
    bill = Series("billing", home.pseudonym, home.area, home.key_id)
    points = [make.point(home), make.point(bill)]
    write_all(store, points)
    assert as_stored(everything(store, home)) == as_stored(points[:1])
    assert as_stored(store.query("billing", [home.pseudonym], *EVER)) == as_stored(points[1:])
    assert list(store.query("identity", [home.pseudonym], *EVER)) == []


def test_a_home_that_moved_is_read_as_one_in_order_of_time(store: Store, make: Make) -> None:
    home = new_series(area="SE4")
    moved = Series(home.measurement, home.pseudonym, "SE1", home.key_id)
    points = [make.point(series, k) for k, series in enumerate((home, moved, home, moved))]
    write_all(store, points)
    assert [(p.time, p.series.area) for p in everything(store, home)] == [
        (make.at(0), "SE4"), (make.at(1), "SE1"), (make.at(2), "SE4"), (make.at(3), "SE1"),
    ]  # fmt: skip


def test_a_query_names_many_series_or_none(store: Store, make: Make) -> None:
    homes = [new_series() for _ in range(250)]
    points = [make.point(home) for home in homes]
    write_all(store, points)
    assert as_stored(everything(store, *homes, *homes[:3])) == as_stored(points)
    assert everything(store) == []
    assert everything(store, new_series()) == []


def test_an_empty_batch_is_accepted(store: Store) -> None:
    assert write_all(store, []) == ACCEPTED


def test_a_batch_of_5000(store: Store, make: Make) -> None:
    homes = [new_series() for _ in range(200)]
    points = [make.point(homes[k % 200], k) for k in range(5_000)]
    assert write_all(store, points) == ACCEPTED
    assert as_stored(everything(store, *homes)) == as_stored(points)


def test_a_point_that_cannot_be_stored_is_refused_alone(store: Store, make: Make) -> None:
    home = new_series()
    good = [make.point(home), make.point(home, 1)]
    nothing = SealedPoint(home, make.now, "", "")
    not_a_number = make.number(home, "battery", float("nan"))
    infinite = make.point(home, field="s_1", battery=float("inf"))
    no_time = make.point(home, at=2**63)
    no_text = SealedPoint(home, make.now, "s_1", "\ud800")
    no_area = make.point(Series("telemetry", new_series().pseudonym, "\ud800", home.key_id))
    batch = [good[0], nothing, not_a_number, infinite, no_time, no_text, no_area, good[1]]
    rejected = write_all(store, batch).rejected
    assert rejected == {
        1: Reason.STORE, 2: Reason.NON_FINITE, 3: Reason.NON_FINITE, 4: make.traits.too_late, 5: Reason.STORE,
        6: Reason.STORE,
    }  # fmt: skip
    assert as_stored(everything(store, home)) == as_stored(good)
    assert set(write_all(store, [nothing]).rejected) == {0}


def test_delete_removes_the_named_series_and_counts_their_fields(store: Store, make: Make) -> None:
    gone, stays = [new_series() for _ in range(3)], [new_series() for _ in range(3)]
    bills = [Series("billing", home.pseudonym, home.area, home.key_id) for home in gone]
    points = [
        make.point(series, at=make.now + k * HOUR, battery=1.0) for series in (*gone, *stays) for k in range(-4, 4)
    ]
    write_all(store, [*points, *(make.point(bill, at=make.traits.latest) for bill in bills)])
    assert store.delete(["telemetry", "billing", "absent"], [s.pseudonym for s in gone]) == 3 * 8 * 2 + 3
    assert everything(store, *gone) == []
    assert list(store.query("billing", [s.pseudonym for s in gone], *EVER)) == []
    assert as_stored(everything(store, *stays)) == as_stored(p for p in points if p.series in stays)


def test_delete_leaves_other_measurements(store: Store, make: Make) -> None:
    home = new_series()
    bill = Series("billing", home.pseudonym, home.area, home.key_id)
    write_all(store, [make.point(home), make.point(bill)])
    assert store.delete(["telemetry"], [home.pseudonym]) == 1
    assert len(list(store.query("billing", [home.pseudonym], *EVER))) == 1


def test_deleting_what_is_not_there_deletes_nothing(store: Store, make: Make) -> None:
    assert store.delete(["telemetry"], [new_series().pseudonym]) == 0
    home = new_series()
    write_all(store, [make.point(home)])
    assert store.delete(["telemetry"], [new_series().pseudonym]) == 0
    assert store.delete(["telemetry"], []) == 0
    assert store.delete([], [home.pseudonym]) == 0
    assert len(everything(store, home)) == 1


def test_delete_can_be_repeated_and_reaches_what_arrived_late(store: Store, make: Make) -> None:
    home = new_series()
    for late in range(3):  # a request in flight may land after a purge: it is purged again
        write_all(store, [make.point(home, late)])
        assert store.delete(["telemetry"], [home.pseudonym]) == 1
        assert everything(store, home) == []


def test_delete_by_one_store_reaches_what_another_writes_later(place: Place, make: Make) -> None:
    with closing(place.open()) as writer, closing(place.open()) as eraser:
        homes = [new_series() for _ in range(4)]
        write_all(writer, [make.point(home) for home in homes])
        assert eraser.delete(["telemetry"], [homes[-1].pseudonym]) == 1
        newcomer = new_series()
        eraser.write([make.point(newcomer)])
        write_all(writer, [make.point(homes[-1], 1)])  # in flight while it was erased
        assert [p.time for p in everything(eraser, homes[-1])] == [make.at(1)]
        assert [p.time for p in everything(writer, newcomer)] == [make.now]
        assert eraser.delete(["telemetry"], [homes[-1].pseudonym]) == 1
        assert everything(writer, homes[-1]) == []


def test_what_was_accepted_is_there_after_closing(place: Place, make: Make) -> None:
    home = new_series()
    points = [make.point(home, k) for k in range(20)]
    with closing(place.open()) as store:
        write_all(store, points)
    with closing(place.open()) as store:
        assert as_stored(everything(store, home)) == as_stored(points)


def test_what_was_accepted_or_deleted_stays_so_after_a_kill(place: Place, make: Make) -> None:
    stays, gone = new_series(), new_series()
    points = [make.point(stays, k) for k in range(20)]
    with closing(place.open()) as store:
        write_all(store, [*points, make.point(gone)])
        place.down()
        place.up()
        assert store.delete(["telemetry"], [gone.pseudonym]) == 1
        place.down()
        place.up()
        assert as_stored(everything(store, stays)) == as_stored(points)
        assert everything(store, gone) == []


def test_a_store_that_is_down_keeps_the_batch_and_takes_it_later(place: Place, make: Make) -> None:
    home = new_series()
    first, second = make.point(home), make.point(home, 1)
    with closing(place.open()) as store:
        write_all(store, [first])
        place.down()
        try:
            with pytest.raises(StoreUnreachable) as down:
                write_all(store, [second])
            health = store.health()
        finally:
            place.up()
        assert down.value.retryable
        assert down.value.hint
        assert not health.ok
        assert health.hint
        assert home.pseudonym not in str(down.value) + health.detail
        assert write_all(store, [second]) == ACCEPTED
        assert store.health().ok
        assert as_stored(everything(store, home)) == as_stored([first, second])


def test_reading_goes_on_while_another_thread_writes(store: Store, make: Make) -> None:
    home = new_series()
    write_all(store, [make.point(home)])
    batches = [[make.point(home, 1 + 100 * b + k) for k in range(100)] for b in range(20)]
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for batch in batches:
                write_all(store, batch)
        except BaseException as error:  # noqa: BLE001 - a thread's fault is told in the test
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    seen = []
    while thread.is_alive():
        seen.append(len(everything(store, home)))
    thread.join()
    seen.append(len(everything(store, home)))
    assert not failures
    assert seen == sorted(seen)
    assert seen[-1] == 2_001


def test_a_query_left_in_the_middle_disturbs_nothing(store: Store, make: Make) -> None:
    home = new_series()
    write_all(store, [make.point(home, k) for k in range(3_000)])
    reading = store.query("telemetry", [home.pseudonym], *EVER)
    assert next(reading).time == make.now
    write_all(store, [make.point(home, 3_000)])
    assert store.delete(["telemetry"], [home.pseudonym]) == 3_001
    del reading
    assert everything(store, home) == []


def test_a_healthy_store_says_so(store: Store) -> None:
    health = store.health()
    assert health.ok
    assert health.detail
    assert not health.hint


def test_a_store_that_is_a_server_tells_its_time_and_a_file_has_none(store: Store, place: Place) -> None:
    """Its clock is the turnover's second witness."""
    told = store.health().time
    assert (told is not None) is place.traits.tells_time
    if told is not None:
        assert abs(time.time_ns() - told) < HOUR, "it is this machine's too"


def test_more_series_than_influxdb_would_take_by_default(store: Store, make: Make) -> None:
    homes = [new_series() for _ in range(100_001)]
    for begin in range(0, len(homes), 10_000):
        assert write_all(store, [make.point(home) for home in homes[begin : begin + 10_000]]) == ACCEPTED
    ends = [homes[0], homes[50_000], homes[-1]]
    assert {p.series.pseudonym for p in everything(store, *ends)} == {home.pseudonym for home in ends}
