"""Attack 29, by one sender: what it sends too much of must not fill the dead letters, which stops everybody.

It is kept up to a share, and beyond that counted, acknowledged, and told without a name.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from gateway.keystore import workers
from gateway.model.sealed import Reason
from gateway.pipeline.budget import Budget, Limits
from gateway.transport.letters import DeadLetters, Wanted
from tests.unit.runtime.test_worker import Running, reading, running
from tests.world import CANARY, SECOND, Message, World, message, topic

MB = 2**20
DELIVERY, ROUNDS = 100, 30
LIMITS = Limits(device_rate=1, device_burst=200, stranger_rate=1, stranger_burst=20)
Flood = Callable[[World, random.Random], Message]


def of_readings(world: World, seed: random.Random) -> Message:
    return reading(world, "meter-1", step=seed.randrange(10_000))


def of_poison(_world: World, seed: random.Random) -> Message:
    return Message(topic("meter-1"), seed.randbytes(300))


def of_strangers(_world: World, seed: random.Random) -> Message:
    return Message(topic(f"stranger-{seed.randrange(10**9)}"), seed.randbytes(300))


@pytest.fixture
def small(world: World) -> World:
    """A gateway whose dead letters are soon full."""
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.letters.close()
    world.letters = world.operations._letters = DeadLetters(world.directory / "letters.db", max_bytes=MB)
    return world


def pour(run: Running, world: World, flood: Flood, seed: random.Random) -> int:
    """Far more than fits; tokens up to which number. Every tenth delivery brings what is refused of another, too."""
    token = 0
    for number in range(ROUNDS):
        messages = [flood(world, seed) for _ in range(DELIVERY)]
        if number % 10 == 9:
            messages.append(reading(world, "meter-2", temperature=999_999.0))
        run.put(range(token + 1, token + len(messages) + 1), *messages)
        token += len(messages)
        if number % 8 == 7:
            run.line.wait(token)
    return token


@pytest.mark.parametrize("flood", [of_readings, of_poison, of_strangers], ids=["readings", "poison", "strangers"])
def test_who_floods_leaves_room_for_others_and_nothing_within_the_share_is_lost(small: World, flood: Flood) -> None:
    with running(small, budget=Budget(LIMITS)) as run:
        total = pour(run, small, flood, random.Random(29))
        assert len(run.line.wait(total)) == total
        run.put([total + 1], reading(small, "meter-2"))
        assert run.line.wait(total + 1)[-1] == total + 1
        metrics = run.worker.metrics
        others = small.letters.count(Wanted(reasons=(Reason.RANGE,)))
        over = small.letters.count(Wanted(reasons=(Reason.RATE,)))
    assert others == ROUNDS // 10, "another's are all there"
    assert 0 < over < total, "a share is kept"
    assert small.letters.level().used_bytes < MB // 2
    assert metrics.unkept > 0
    assert metrics.stored + metrics.letters + metrics.unkept == total + 1, "each is stored, kept, or told of"
    told = [line for line in map(json.loads, run.said.getvalue().splitlines()) if line["event"] == "flood"]
    assert told
    assert CANARY not in run.said.getvalue()
    assert {key for line in told for key in line} == {"event", "time", "level", "unkept"}


def test_a_list_of_readings_counts_by_what_is_in_it(small: World) -> None:
    now, lists = small.clock.wall(), 12
    with running(small, budget=Budget(LIMITS)) as run:
        for number in range(lists):
            each = [message("meter-1", now - (100 * number + i) * SECOND, temperature=20.0) for i in range(100)]
            listed = b"[%s]" % b",".join(one.payload for one in each)
            run.put([number + 1], Message(topic("meter-1"), listed))
        run.put([lists + 1], reading(small, "meter-2"))
        assert run.line.wait(lists + 1)[-1] == lists + 1
        metrics = run.worker.metrics
    assert 3 <= metrics.stored - 1 < lists // 2, "a burst of 200 is three lists of 100"
    assert metrics.refused[Reason.RATE] == lists + 1 - metrics.stored


def someone_else_is_erased(world: World, number: int) -> None:
    world.erase(f"other-{number}")


def keys_of_someone_else_are_moved(world: World, _number: int) -> None:
    with world.keystore.act() as tx:
        workers.raise_generation(tx)
    world.ring.poll()


@pytest.mark.parametrize("act", [keys_of_someone_else_are_moved, someone_else_is_erased], ids=["any", "erasure"])
def test_acts_on_keys_of_others_forgive_nobody(small: World, act: Callable[[World, int], None]) -> None:
    rounds, each = 5, 150
    for number in range(rounds):
        small.enrol(f"other-{number}", f"other-meter-{number}")
    with running(small, budget=Budget(LIMITS)) as run:
        for number in range(rounds):
            flood = [reading(small, "meter-1", step=number * each + step) for step in range(each)]
            run.put(range(each), *flood)
            run.line.wait((number + 1) * each)
            before = small.ring.generation
            act(small, number)
            assert small.ring.generation > before
        metrics = run.worker.metrics
    assert metrics.stored == LIMITS.device_burst, "no time has passed"
    assert metrics.refused[Reason.RATE] == rounds * each - LIMITS.device_burst
