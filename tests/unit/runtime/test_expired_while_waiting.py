"""What waits until its month leaves retention is not sent: the month's names cannot be computed any more."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.keystore import lineages
from gateway.model.dead import DeadLetter
from gateway.model.ids import epoch_start, parse_controller
from gateway.model.sealed import Outcome, Reason, SealedPoint
from gateway.runtime.log import Log
from gateway.runtime.spooling import Spooling
from gateway.transport.letters import Wanted
from gateway.transport.spool import Spools
from gateway.transport.store import StoreUnreachable
from tests.unit.runtime.test_worker import Running, until
from tests.world import CONTROLLER, DAY, ShiftedClock, World, message, ns

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def old(tmp_path: Path, keys_url: str) -> Iterator[World]:
    """A world with a customer of years."""
    made = World(tmp_path / "state", clock=ShiftedClock(ns("2026-03-10T00:00:00+00:00")), keys=keys_url)
    made.enrol("anna", "meter-1", since=ns("2024-01-01T00:00:00+00:00"))
    yield made
    made.close()
    assert made.leaks() == []


def edge(world: World) -> int:
    """The oldest event time that is kept."""
    with world.keystore.snapshot() as tx:
        return epoch_start(lineages.find_horizons(tx, parse_controller(CONTROLLER))["telemetry"])


def month_later(world: World) -> None:
    """The oldest month is gone, both purges done."""
    before, clock = edge(world), world.clock
    assert isinstance(clock, ShiftedClock)
    clock.advance(31 * DAY)
    if world._registered:
        world.ring.poll()
    world.turn_over()
    assert before + 27 * DAY < edge(world) < before + 32 * DAY


def two_points(world: World) -> list[SealedPoint]:
    """One of the month that goes, and one of today."""
    times = (edge(world) + DAY, world.clock.wall())
    return world.process(*(message("meter-1", time, temperature=20.0) for time in times)).points


class Down:
    """A store that does not answer."""

    def write(self, _points: Sequence[SealedPoint]) -> Outcome:
        raise StoreUnreachable("the store does not answer")


def test_it_leaves_the_spool_and_does_not_reach_the_store(old: World) -> None:
    spools, ring = Spools(old.directory / "spool", max_bytes=1 << 20), old.ring
    spooling = Spooling(
        Down(),
        lambda on_damage: spools.open("gateway-1", on_damage),
        Log(stream=io.StringIO()),
        gone=ring.gone,
        kept_since=ring.kept_since,
        generation=lambda: ring.generation,
        patience_s=2,
        behind=old.store,
    )
    spooling.open()
    points = two_points(old)
    while spooling.write(points).kept:
        pass
    month_later(old)
    while spooling.step() is not None:
        pass
    spooling.close()
    assert (spooling.counted.drained, spooling.counted.erased) == (1, 1)
    assert [point.time > edge(old) for point in old.points()] == [True]


def test_it_leaves_the_dead_letters_and_does_not_reach_the_store(old: World) -> None:
    now = old.clock.wall()
    old.letters.add([DeadLetter.of_point(point, Reason.STORE, arrived=now) for point in two_points(old)])
    month_later(old)
    replayed = old.replay.run(Wanted())
    assert (replayed.stored, replayed.gone) == (1, 1)
    assert [point.time > edge(old) for point in old.points()] == [True]


def test_a_worker_that_held_it_drops_it(old: World) -> None:
    """In its hands since before: the store did not answer, or it was stopped itself."""
    run = Running(old)
    run.start()
    run.store.open.clear()
    times = edge(old) + DAY, old.clock.wall()
    run.put([1, 2], *(message("meter-1", time, temperature=20.0) for time in times))
    run.store.tried()
    month_later(old)
    until(lambda: old.ring.generation > 0)
    run.store.open.set()
    assert run.line.wait(2) == [1, 2]
    run.end()
    assert run.fault is None
    assert run.worker.metrics.refused == {Reason.ERASED: 1}
    assert [point.time > edge(old) for point in old.points()] == [True]
