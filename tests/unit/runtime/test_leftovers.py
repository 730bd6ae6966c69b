"""What a worker that is no more had spooled is drained by who leads, and nobody else's."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from contextlib import closing

import pytest

from gateway.errors import Unreachable
from gateway.model.ids import KeyId
from gateway.model.sealed import Outcome, SealedPoint
from gateway.runtime import leftovers as leftovers_module
from gateway.runtime import spooling as spooling_module
from gateway.runtime.leftovers import Leftovers
from gateway.runtime.log import Log
from gateway.runtime.roll import ALONE, Seat
from gateway.runtime.spooling import Spooling
from gateway.transport.spool import Spool, Spools, SpoolUnable
from gateway.transport.store import StoreUnreachable
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
        self.leftovers(seat, base).drain()

    def leftovers(self, seat: Seat = ALONE, base: str = "g") -> Leftovers:
        log = Log(stream=self.said)
        return Leftovers(self.spools, base=base, seat=seat, spooling=lambda name: self._spooling(name, log), log=log)

    def _spooling(self, name: str, log: Log) -> Spooling:
        return Spooling(
            self.store,
            lambda on_damage: self.spools.open(name, on_damage),
            log,
            gone=self.world.ring.gone,
            kept_since=self.world.ring.kept_since,
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


def test_what_takes_many_looks_is_swept_once_and_every_look_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, swept = Left(world, "g-3"), list[Spool]()
    honest = Spool.purge

    def purge(spool: Spool, gone: Callable[[Collection[KeyId]], Collection[KeyId]]) -> int:
        swept.append(spool)
        return honest(spool, gone)

    monkeypatch.setattr(Spool, "purge", purge)
    monkeypatch.setattr(leftovers_module, "AT_ONCE_S", 1e-9)
    monkeypatch.setattr(spooling_module, "CHUNK_POINTS", 2)
    leftovers, stored = left.leftovers(), list[int]()
    for _ in range(4):
        leftovers.drain()
        stored.append(len(world.points()))
    assert stored == [2, 4, 5, 5]
    assert len(swept) == 1
    assert leftovers.counted.books() == {"taken": 0, "drained": 5, "refused": 0, "erased": 0, "damaged": 0}


def test_a_worker_that_comes_back_has_its_spool_between_looks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Left(world, "g-3")
    monkeypatch.setattr(leftovers_module, "AT_ONCE_S", 1e-9)
    monkeypatch.setattr(spooling_module, "CHUNK_POINTS", 2)
    leftovers = left.leftovers()
    leftovers.drain()
    with closing(left.spools.open("g-3")) as spool:
        while (chunk := spool.oldest(1)) is not None:
            left.store.write(chunk.points)
            spool.settled(chunk)
        spool.append(world.process_one("meter-1", world.clock.wall() - 10**12, power=9).points)
        leftovers.drain()
        assert len(world.points()) == 5
    leftovers.drain()
    assert len(world.points()) == 6
    assert leftovers.counted.drained == 3
    assert left.spools.size() == 0


def test_one_erased_between_looks_is_swept_and_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Left(world, "g-3")
    monkeypatch.setattr(leftovers_module, "AT_ONCE_S", 1e-9)
    monkeypatch.setattr(spooling_module, "CHUNK_POINTS", 2)
    leftovers = left.leftovers()
    leftovers.drain()
    world.erase("anna")
    world.ring.poll()
    leftovers.drain()
    leftovers.drain()
    assert len(world.points()) == 0
    assert leftovers.counted.drained == 2
    assert leftovers.counted.erased == 5, "all that stood there, what was drained too"


def test_one_that_cannot_be_opened_leaves_no_other_waiting(world: World) -> None:
    left = Left(world, "g-3", "g-4")
    cursor = world.directory / "spool" / "g-3" / "cursor"
    cursor.unlink()
    cursor.mkdir()
    with pytest.raises(SpoolUnable, match="its cursor cannot be read"):
        left.drain(ALONE)
    assert len(world.points()) == 5


def test_a_store_that_asks_to_be_left_alone_is_not_asked_at_the_next_look(world: World) -> None:
    left, asked = Left(world, "g-3"), list[int]()

    def refuse(points: Sequence[SealedPoint]) -> Outcome:
        asked.append(len(points))
        raise StoreUnreachable("the store answers 429", retry_after=3600.0)

    left.store.act = refuse
    leftovers = left.leftovers()
    with pytest.raises(Unreachable):
        leftovers.drain()
    leftovers.drain()
    assert len(asked) == 1
