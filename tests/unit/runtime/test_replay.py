"""Replay: what was refused goes through the stages once more, and goes from the dead letters once it is stored."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from gateway.errors import Unreachable
from gateway.model.dead import DeadLetter
from gateway.model.ids import KeyId
from gateway.model.sealed import ACCEPTED, Outcome, Reason, SealedPoint
from gateway.runtime import replay as module
from gateway.runtime.replay import Replay
from gateway.transport.letters import EVERY, Wanted
from gateway.transport.store import Portion, StoreRefused, StoreUnreachable, without
from tests.suspension import resume, suspend
from tests.world import SECOND, Message, World, message, topic

UNTIMED = b'[{"bn":"x/","n":"temperature","u":"Cel","v":20.5}]'


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    monkeypatch.setattr(module, "AT_ONCE_S", math.inf)


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


def test_a_long_replay_lets_the_rest_of_housekeeping_have_its_turn_and_goes_on_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enrol("anna", "meter-1")
    suspend(world)
    now = world.clock.wall()
    world.refuse(*(message("meter-1", now - n * SECOND, temperature=20.0) for n in range(5)))
    resume(world)
    world.register()

    class Choosy:
        def write(self, points: Sequence[SealedPoint]) -> Outcome:
            never = {place: Reason.STORE for place, point in enumerate(points) if point.time > now - SECOND}
            world.store.write([point for place, point in enumerate(points) if place not in never])
            return Outcome(rejected=never)

    monkeypatch.setattr(module, "PAGE", 2)
    monkeypatch.setattr(module, "AT_ONCE_S", 0.0)
    replay = Replay(world.letters, world.ring, world.chain, Choosy(), world.clock)
    assert [replay.of_resumed() for _ in range(4)] == [1, 2, 1, 0]
    assert kept(world) == [Reason.SUSPENDED]


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


@pytest.mark.parametrize(("timed", "readings_stored"), [(True, 1), (False, 2)])
def test_letters_that_were_doubled_are_one_reading_where_it_has_a_time_of_its_own(
    world: World, timed: bool, readings_stored: int
) -> None:
    world.enrol("bo", "meter-9")
    (one,) = readings(world, "meter-1") if timed else [Message(topic("meter-1"), UNTIMED)]
    world.refuse(one)
    world.refuse(one)  # delivered again
    world.enrol("anna", "meter-1")
    assert world.replay.run(EVERY).stored == 2
    assert len(world.read("anna").value) == readings_stored
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


class Server:
    """The world's store as a server is: one request a write, of as much as it takes at once, and not at all of some."""

    def __init__(self, world: World, *, never: int = 0, too_old: int = 0, most: int = 2**62) -> None:
        self._store, self._portion = world.store, Portion()
        self._never, self._too_old, self._most = never, too_old, most
        self.requests: list[Sequence[SealedPoint]] = []

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        sent, kept = self._portion.of(points)
        self.requests.append(sent)
        if old := {i: Reason.TOO_OLD for i, point in enumerate(points) if point.time == self._too_old}:
            return without(points, old)
        if len(sent) > self._most:
            return self._portion.too_large(points, len(sent))
        if any(point.time == self._never for point in sent):
            return self._portion.refused(points, len(sent), StoreRefused("not this one"))
        self._store.write(sent)
        self._portion.taken()
        return Outcome(kept=kept) if kept else ACCEPTED


def many(world: World, number: int) -> list[int]:
    """So many letters of a device that is enrolled since; the times of their readings, ns."""
    world.enrol("bo", "meter-9")
    now = world.clock.wall() // 10**9 * 10**9
    times = [now - n * 10**9 for n in range(number)]
    world.refuse(*(message("meter-1", time, temperature=20.0) for time in times))
    world.enrol("anna", "meter-1")
    return times


def replayed_into(world: World, server: Server) -> module.Replayed:
    return Replay(world.letters, world.ring, world.chain, server, world.clock).run(EVERY)


def test_a_point_that_the_store_will_never_take_stays_and_the_others_are_stored(world: World) -> None:
    times = many(world, 50)
    server = Server(world, never=times[7])
    replayed = replayed_into(world, server)
    assert (replayed.stored, replayed.remaining) == (49, {"store": 1})
    assert sorted(world.read("anna").time.tolist()) == sorted(set(times) - {times[7]})
    assert kept(world) == [Reason.UNKNOWN_DEVICE], "with its first reason"
    assert len(server.requests) < 25
    assert replayed_into(world, Server(world)).stored == 1, "a store that would take it now, does"


def test_a_page_that_is_too_large_for_the_store_goes_in_parts(world: World) -> None:
    many(world, 50)
    server = Server(world, most=3)
    assert replayed_into(world, server).stored == 50
    assert kept(world) == []
    assert sum(len(sent) for sent in server.requests if len(sent) <= 3) == 50, "nothing is sent twice"


def test_what_is_too_old_for_the_store_holds_up_nothing_else(world: World) -> None:
    times = many(world, 5)
    replayed = replayed_into(world, Server(world, too_old=times[3]))
    assert (replayed.stored, replayed.remaining) == (4, {"too_old": 1})
    assert len(world.points()) == 4


def test_between_two_parts_of_a_page_keys_are_looked_at_and_what_was_stored_has_gone(world: World) -> None:
    many(world, 6)

    class Suspending(Server):
        def write(self, points: Sequence[SealedPoint]) -> Outcome:
            outcome = super().write(points)
            if len(world.points()) == 2:
                suspend(world)
            return outcome

    server = Suspending(world, most=2)
    replayed = replayed_into(world, server)
    assert (replayed.stored, replayed.remaining) == (2, {"suspended": 4})
    assert len(world.points()) == len(kept(world)) - 2 == 2, "nothing was sent under keys that rest"
    resume(world)
    assert replayed_into(world, Server(world)).stored == 4


def test_letters_of_one_customer_that_do_not_settle_hold_up_no_other(world: World) -> None:
    homes = [f"meter-{n}" for n in range(6)]
    for home in homes:
        world.enrol(home, home)
    suspend(world)
    letters = world.refuse(*readings(world, *homes))
    resume(world)
    world.ring.poll()
    bad: KeyId = letters[0].key_id

    tries = 0

    class Stubborn:
        def write(self, points: Sequence[SealedPoint]) -> Outcome:
            nonlocal tries
            if any(point.series.key_id == bad for point in points):
                tries += 1
                return Outcome(kept=range(len(points)))
            return world.store.write(points)

    replay = Replay(world.letters, world.ring, world.chain, Stubborn(), world.clock)
    assert replay.of_resumed() == 5
    assert [letter.key_id for letter in world.letters.find(EVERY)] == [bad]
    replay._next_look = 0.0
    with pytest.raises(Unreachable, match="did not settle"):
        replay.of_resumed()
    assert tries <= 50, "the rest of housekeeping waits meanwhile"


def test_a_store_that_asks_to_be_left_alone_is_left_alone_by_housekeeping(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.0)
    world.enrol("anna", "meter-1")
    suspend(world)
    world.refuse(*readings(world, "meter-1"))
    resume(world)
    world.register()
    asked: list[float | None] = [120.0, None, None]
    writes = 0

    class Busy:
        def write(self, _points: Sequence[SealedPoint]) -> Outcome:
            nonlocal writes
            writes += 1
            raise StoreUnreachable("not now", retry_after=asked.pop(0), answered=True)

    replay = Replay(world.letters, world.ring, world.chain, Busy(), world.clock)
    with pytest.raises(StoreUnreachable):
        replay.of_resumed()
    assert [replay.of_resumed() for _ in range(5)] == [0] * 5
    assert writes == 1
    replay._next_look = 0.0
    for _ in range(2):  # it said nothing of how long: as often as ever
        with pytest.raises(StoreUnreachable):
            replay.of_resumed()
    assert writes == 3
