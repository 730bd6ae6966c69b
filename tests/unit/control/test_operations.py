"""Operations keys: made before they are needed, destroyed on time, and never by a clock that jumped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import FixedClock
from gateway.control.operations import ACT, living_days
from gateway.errors import KeyDestroyed, Unreachable
from gateway.keys.letters import open_letters
from gateway.keystore import lineages
from gateway.model.dead import LetterKind, day_of
from gateway.transport.letters import EVERY, Wanted
from tests.world import DAY, SECOND, Message, World, ns, topic

NOON = ns("2026-03-10T12:00:00Z")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, clock=FixedClock(NOON, 10**15))
    made.enrol("anna", "meter-1")
    yield made
    made.close()


def clock_of(world: World) -> FixedClock:
    assert isinstance(world.clock, FixedClock)
    return world.clock


def days(world: World) -> list[int]:
    with world.keystore.snapshot() as tx:
        return sorted(day - day_of(NOON) for day in living_days(tx))


def refused(world: World, device: str = "meter-9") -> None:
    world.register()
    world.ring.poll()
    world.refuse(Message(topic(device), b"{"))


def test_todays_and_tomorrows_are_made_once(world: World) -> None:
    world.operations.tend()
    world.operations.tend()
    assert days(world) == [0, 1]
    other = World(world.directory, clock=world.clock)
    other.operations.tend()
    assert days(world) == [0, 1]
    clock_of(world).advance(DAY)
    world.operations.tend()
    assert days(world) == [0, 1, 2]
    other.close()


def test_a_key_is_destroyed_when_its_days_are_over_and_its_letters_with_it(world: World) -> None:
    world.operations.tend()
    refused(world)
    refused(world, "meter-1")
    (letter,) = world.letters.find(Wanted(kinds=(LetterKind.UNATTRIBUTED,)))
    (mine,) = world.letters.find(Wanted(kinds=(LetterKind.MESSAGE,)))
    for day in range(1, 7):
        clock_of(world).advance(DAY)
        world.operations.tend()
        assert days(world)[0] == 0, day
        assert world.letters.count(EVERY) == 2
    with world.keystore.snapshot() as tx:
        wrapped = lineages.secrets_of(tx, "operations")[0].wrapped
    clock_of(world).advance(12 * 3600 * SECOND)
    world.operations.tend()
    assert days(world)[0] == 1
    assert world.letters.find(EVERY) == [mine]
    assert world.operations.dropped == 1
    world.ring.poll()
    with world.ring.using():
        (fault,) = open_letters(world.ring, [letter])
    assert isinstance(fault, KeyDestroyed)
    assert world.leaks(wrapped[:13]) == []
    assert world.ledger.head.act == ACT


def test_letters_of_customers_go_by_age(world: World) -> None:
    world.operations.tend()
    refused(world, "meter-1")
    clock_of(world).advance(29 * DAY)
    world.operations.tend()
    assert world.letters.count(EVERY) == 1
    clock_of(world).advance(2 * DAY)
    world.operations.tend()
    assert world.letters.count(EVERY) == 0


def test_a_clock_that_jumps_destroys_nothing_and_todays_key_is_there_all_the_same(world: World) -> None:
    world.operations.tend()
    refused(world)
    refused(world, "meter-1")
    clock = clock_of(world)
    clock.wall_ns += 73 * 365 * DAY
    with pytest.raises(Unreachable, match="clock was set ahead"):
        world.operations.tend()
    assert world.letters.count(EVERY) == 2
    assert {0, 1} < set(days(world))
    restarted = World(world.directory, clock=FixedClock(clock.wall_ns, 5))
    with pytest.raises(Unreachable, match="ledger is 26645 days old"):
        restarted.operations.tend()
    assert world.letters.count(EVERY) == 2
    assert {0, 1} < set(days(world))
    restarted.close()
    clock.wall_ns -= 73 * 365 * DAY
    world.operations.tend()
    assert world.letters.count(EVERY) == 2


def test_what_came_while_the_clock_was_set_back_is_not_old_when_it_is_right_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter is dated when it arrives; by a clock ten years late it is ten years old, as is the key it is under."""
    world.operations.tend()
    clock = clock_of(world)
    clock.wall_ns -= 3_650 * DAY
    with pytest.raises(Unreachable, match="clock was set"):
        world.operations.tend()
    world.turn_over()
    worker = World(world.directory, clock=clock)
    monkeypatch.setattr(worker.operations, "tend", lambda: None)  # another's duty
    refused(worker)
    refused(worker, "meter-1")
    worker.close()
    clock.wall_ns += 3_650 * DAY
    with pytest.raises(Unreachable, match="clock was set back"):
        world.operations.tend()
    assert world.letters.count(EVERY) == 2
    world.turn_over()
    for _ in range(2):
        restarted = World(world.directory, clock=FixedClock(clock.wall_ns, 5))
        with pytest.raises(Unreachable, match="leapt ahead"):
            restarted.operations.tend()
        restarted.turn_over()
        restarted.close()
    assert world.letters.count(EVERY) == 2
    assert len(days(world)) == 4
