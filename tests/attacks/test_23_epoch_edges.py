"""Attack 23: at the edge of a month, with a clock that is off or in another zone, a device gets two names, or none.

The epoch is the UTC month of the event time, to the nanosecond: not of the arrival, not of the device's local time.
"""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise

import pytest

from gateway.keys.handle import Window
from gateway.model.ids import epoch_of, epoch_start
from tests.world import DAY, Message, World, message, ns, topic

EDGES = [
    "2026-01-01T00:00:00+00:00",  # year
    "2026-03-01T00:00:00+00:00",  # after February
    "2026-04-01T00:00:00+00:00",  # first month of summer time in the EU
    "2026-11-01T00:00:00+00:00",  # first month of winter time
]


def names(world: World, *times: int) -> list[str]:
    """The pseudonym under which a reading of each event time is stored."""
    world.register()
    with world.ring.using():
        (device,) = world.ring.resolve([topic("meter-1")])
        windows = [device.at(time) for time in times]  # type: ignore[union-attr]
    assert all(isinstance(window, Window) for window in windows)
    return [window.series[0].series.pseudonym for window in windows]  # type: ignore[union-attr]


@pytest.mark.parametrize("edge", EDGES)
def test_one_name_on_each_side_of_a_month(world: World, edge: str) -> None:
    start = ns(edge)
    world.enrol("anna", "meter-1", since=ns("2025-06-01T00:00:00+00:00"))
    around = [start - DAY, start - 1, start, start + 1, start + DAY]
    assert [epoch_of(time) for time in around] == [epoch_of(start) - 1] * 2 + [epoch_of(start)] * 3
    before, last, first, after, later = names(world, *around)
    assert before == last
    assert first == after == later
    assert last != first
    assert names(world, *reversed(around)) == [later, after, first, last, before]


def test_every_hour_of_a_year_has_the_name_of_its_month(world: World) -> None:
    start = ns("2025-11-01T00:00:00+00:00")
    world.enrol("anna", "meter-1", since=start)
    hours = [start + n * 3600 * 10**9 for n in range(0, 365 * 24, 7)]
    by_epoch: dict[int, set[str]] = {}
    for time, name in zip(hours, names(world, *hours), strict=True):
        by_epoch.setdefault(epoch_of(time), set()).add(name)
    assert all(len(found) == 1 for found in by_epoch.values())
    assert len(set().union(*by_epoch.values())) == len(by_epoch) == 12
    assert all(epoch_start(b) - epoch_start(a) >= 28 * DAY for a, b in pairwise(sorted(by_epoch)))


def test_the_zone_of_a_clock_does_not_matter(world: World) -> None:
    """31 December, 23:30 UTC, said in five ways, is one point of one series."""
    world.enrol("anna", "meter-1", since=ns("2025-06-01T00:00:00+00:00"))
    moment = dt.datetime(2025, 12, 31, 23, 30, tzinfo=dt.UTC)
    spoken: list[str | int] = [int(moment.timestamp() * 1000), "2025-12-31T23:30:00Z"]
    spoken += [moment.astimezone(dt.timezone(dt.timedelta(hours=h))).isoformat() for h in (1, -8, 5)]
    sent = [Message(topic("meter-1"), json.dumps({"time": t, "power": 1}).encode()) for t in spoken]
    points = world.process(*sent).points
    assert len(points) == len(spoken)
    assert len({(point.series.pseudonym, point.time, point.value) for point in points}) == 1


def test_arrival_does_not_name(world: World) -> None:
    """A reading of an earlier month that arrives now has the name of its own month."""
    world.enrol("anna", "meter-1", since=ns("2025-06-01T00:00:00+00:00"))
    late = ns("2026-02-14T12:00:00+00:00")
    now = world.clock.wall()
    done = world.process(message("meter-1", late, power=1), message("meter-1", now, power=1))
    assert [point.series.pseudonym for point in done.points] == names(world, late, now)
    assert done.points[0].series.pseudonym != done.points[1].series.pseudonym
