"""What a worker that is no more had spooled is drained by who leads, and nobody else's."""

from __future__ import annotations

import io
from contextlib import closing

import pytest

from gateway.errors import Unreachable
from gateway.runtime.leftovers import Leftovers
from gateway.runtime.log import Log
from gateway.runtime.roll import ALONE, Seat
from gateway.runtime.spooling import Spooling
from gateway.transport.spool import Spools
from tests.unit.runtime.test_worker import Gate
from tests.world import World


class Left:
    """A world with spools of former workers, `points` in each."""

    def __init__(self, world: World, *names: str) -> None:
        world.enrol("anna", "meter-1")
        world.register()
        self.world, self.store, self.said = world, Gate(world), io.StringIO()
        self.spools = Spools(world.directory / "spool", max_bytes=1 << 20)
        for number, name in enumerate(names):
            with closing(self.spools.open(name)) as spool:
                now = world.clock.wall()
                for step in range(5):
                    spool.append(world.process_one("meter-1", now - (10 * number + step) * 10**9, power=step).points)

    def drain(self, seat: Seat, base: str = "g") -> None:
        log = Log(stream=self.said)
        Leftovers(self.spools, base=base, seat=seat, spooling=lambda name: self._spooling(name, log), log=log).drain()

    def _spooling(self, name: str, log: Log) -> Spooling:
        return Spooling(
            self.store,
            lambda on_damage: self.spools.open(name, on_damage),
            log,
            gone=self.world.ring.gone,
            generation=lambda: self.world.ring.generation,
            patience_s=10,
        )


def test_the_spool_of_a_worker_that_is_no_more_is_drained(world: World) -> None:
    left = Left(world, "g-1", "g-2", "g-3")
    left.drain(Seat(1, 2))
    assert len(world.points()) == 5
    assert '"spool drained"' in left.said.getvalue()
    left.drain(ALONE)
    assert len(world.points()) == 15


@pytest.mark.parametrize("name", ["g", "other-1", "g-1-acme", "gg-1"])
def test_its_own_and_other_gateways_spools_are_left_alone(world: World, name: str) -> None:
    left = Left(world, name)
    left.drain(ALONE)
    assert world.points() == []


def test_one_that_is_held_is_left_alone_until_it_is_not(world: World) -> None:
    left = Left(world, "g-3")
    with closing(left.spools.open("g-3")):
        left.drain(ALONE)
        assert world.points() == []
    left.drain(ALONE)
    assert len(world.points()) == 5


def test_a_store_that_is_away_is_waited_for(world: World) -> None:
    left = Left(world, "g-3")
    left.store.open.clear()
    with pytest.raises(Unreachable):
        left.drain(ALONE)
    left.store.open.set()
    left.drain(ALONE)
    assert len(world.points()) == 5
