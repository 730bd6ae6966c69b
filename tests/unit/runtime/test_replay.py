"""Replay: what was refused goes through the stages once more, and goes from the dead letters once it is stored."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.errors import Unreachable
from gateway.model.dead import DeadLetter
from gateway.model.sealed import Outcome, Reason, SealedPoint
from gateway.runtime.replay import Replay
from gateway.transport.letters import EVERY, Wanted
from gateway.transport.store import StoreUnreachable
from tests.suspension import resume, suspend
from tests.world import Message, World, message, topic

UNTIMED = b'[{"bn":"x/","n":"temperature","u":"Cel","v":20.5}]'


def kept(world: World) -> list[Reason]:
    return [letter.reason for letter in world.letters.find(EVERY)]


def readings(world: World, *devices: str) -> list[Message]:
    now = world.clock.wall()
    return [message(device, now, temperature=20.0 + n) for n, device in enumerate(devices)]


def test_what_was_unknown_is_stored_once_it_is_enrolled(world: World) -> None:
    world.enrol("bo", "meter-9")
    world.refuse(*readings(world, "meter-1", "meter-2"), Message(topic("meter-1"), b"{"))
    assert world.points() == []
    world.enrol("anna", "meter-1")
    replayed = world.replay.run(EVERY)
    assert (replayed.stored, replayed.gone, replayed.seen) == (1, 0, 3)
    assert replayed.remaining == {"unknown_device": 1, "malformed": 1}
    assert kept(world) == [Reason.UNKNOWN_DEVICE, Reason.MALFORMED]
    assert world.read("anna").value.tolist() == [20.0]
    again = world.replay.run(EVERY)
    assert (again.stored, len(world.points())) == (0, 1), "again changes nothing"


def test_suspended_messages_are_replayed_by_housekeeping_once_their_customer_is_resumed(world: World) -> None:
    world.enrol("anna", "meter-1")
    suspend(world)
    world.refuse(*readings(world, "meter-1"), Message(topic("meter-1"), UNTIMED))
    assert kept(world) == [Reason.SUSPENDED] * 2
    world.register()
    replay = world.replay
    assert replay.of_resumed() == 0
    assert len(kept(world)) == 2
    resume(world)
    world.ring.poll()
    replay._next_look = 0.0
    assert replay.of_resumed() == 2
    assert kept(world) == []
    assert sorted(world.read("anna").value.tolist()) == [20.0, 20.5]


def test_readings_without_a_time_keep_that_of_their_arrival_however_often_they_are_replayed(world: World) -> None:
    world.enrol("bo", "meter-9")
    (letter,) = world.refuse(Message(topic("meter-1"), UNTIMED))
    world.enrol("anna", "meter-1")
    replay = world.replay
    replay._letters = Forgetful(world)  # type: ignore[assignment]  # as if it were killed before it could remove them
    replay.run(EVERY)
    world.replay.run(EVERY)
    assert world.read("anna").time.tolist() == [letter.arrived]
    assert kept(world) == []


class Forgetful:
    """Dead letters that remove nothing."""

    def __init__(self, world: World) -> None:
        self.find, self.add = world.letters.find, world.letters.add

    def remove(self, _ids: Sequence[bytes]) -> int:
        return 0


def test_a_store_that_is_away_loses_nothing(world: World) -> None:
    class Away:
        def write(self, _points: Sequence[SealedPoint]) -> Outcome:
            raise StoreUnreachable("away")

    world.enrol("bo", "meter-9")
    world.refuse(*readings(world, "meter-1"))
    world.enrol("anna", "meter-1")
    with pytest.raises(Unreachable):
        Replay(world.letters, world.ring, world.chain, Away(), world.clock).run(EVERY)
    assert kept(world) == [Reason.UNKNOWN_DEVICE]


def test_points_that_a_store_refused_are_given_to_it_again(world: World) -> None:
    world.enrol("anna", "meter-1")
    done = world.process(*readings(world, "meter-1"))
    world.letters.add([DeadLetter.of_point(point, Reason.STORE, arrived=world.clock.wall()) for point in done.points])
    assert world.replay.run(Wanted(reasons=(Reason.STORE,))).stored == 1
    assert world.read("anna").value.tolist() == [20.0]
    assert kept(world) == []


def test_letters_of_the_erased_go_and_nothing_is_stored(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    letters = world.refuse(Message(topic("meter-1"), b"{"))
    world.erase("anna")
    world.letters._db.execute("DELETE FROM purged")
    world.letters.add(letters)  # a copy that somebody kept
    replayed = world.replay.run(EVERY)
    assert (replayed.stored, replayed.gone) == (0, 1)
    assert kept(world) == []
    assert world.points() == []


def test_it_goes_on_where_keys_moved_meanwhile(world: World) -> None:
    world.enrol("bo", "meter-9")
    world.refuse(*readings(world, "meter-1"))
    world.enrol("anna", "meter-1")
    suspend(world)
    resume(world)  # the generation is another one now, and this ring has not looked
    assert world.replay.run(EVERY).stored == 1
