"""Attack 29: messages that cannot be read stop the line for all others, or fill the memory until it breaks.

Nothing but malformed input for thousands of messages, then good ones: every bad one is counted, kept sealed and
acknowledged, the good ones are stored at once, and memory is what it was. When the dead letters are full nothing more
is acknowledged, and nothing is lost when there is room again.
"""

from __future__ import annotations

import gc
import random
import resource
import time
from pathlib import Path

from gateway.model.sealed import Reason
from gateway.transport.letters import EVERY, DeadLetters
from tests.unit.runtime.test_worker import Running, reading, running, until
from tests.world import Message, World, topic

DELIVERY = 100
ROUNDS = 60
PAYLOAD = 1_000
PAGE = resource.getpagesize()


def poison(seed: random.Random) -> Message:
    """Something that is no message; each another, so that nothing is gained by remembering one."""
    return Message(topic("meter-1" if seed.random() < 0.5 else f"meter-{seed.randrange(99)}"), seed.randbytes(PAYLOAD))


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def pour(run: Running, seed: random.Random, rounds: int, first: int) -> None:
    for number in range(first, first + rounds):
        tokens = range(number * DELIVERY + 1, (number + 1) * DELIVERY + 1)
        run.put(tokens, *(poison(seed) for _ in tokens))
        if number % 8 == 7:  # as a broker that waits for its receive maximum
            run.line.wait(number * DELIVERY)


def test_after_nothing_but_poison_good_messages_flow_and_memory_is_flat(world: World) -> None:
    world.enrol("anna", "meter-1")
    seed = random.Random(29)
    with running(world) as run:
        pour(run, seed, ROUNDS // 2, 0)
        run.line.wait(ROUNDS // 2 * DELIVERY)
        before = resident()
        pour(run, seed, ROUNDS // 2, ROUNDS // 2)
        total = ROUNDS * DELIVERY
        assert len(run.line.wait(total)) == total, "all of it is acknowledged"
        assert resident() - before < ROUNDS // 2 * DELIVERY * PAYLOAD // 2, "it does not grow with every message"
        run.put([total + 1], reading(world))
        assert run.line.wait(total + 1)[-1] == total + 1
        assert len(world.points()) == 1
    metrics = run.worker.metrics
    assert metrics.stored == 1
    assert sum(metrics.refused.values()) == metrics.letters == world.letters.count(EVERY) == total
    assert set(metrics.refused) == {Reason.MALFORMED}


def test_full_dead_letters_stop_the_acknowledging_and_lose_nothing(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.letters.close()
    world.letters = world.operations._letters = DeadLetters(world.directory / "letters.db", max_bytes=2**20)
    seed = random.Random(29)
    with running(world) as run:
        for number in range(12):
            tokens = range(number * DELIVERY + 1, (number + 1) * DELIVERY + 1)
            run.put(tokens, *(poison(seed) for _ in tokens))
        run.put([1201], reading(world))
        until(lambda: "waiting: dead letters" in run.events())
        held = len(run.line.settled)
        assert held <= run.worker.metrics.letters < 1200, "what is acknowledged is kept; of a batch, parts are written"
        assert 1201 not in run.line.settled, "in order, so the good ones wait too"
        deadline = time.monotonic() + 60
        while len(run.line.settled) < 1201:  # an operator makes room, and again
            assert time.monotonic() < deadline
            world.letters.drop(EVERY)
            time.sleep(0.05)
        assert "recovered: dead letters" in run.events()
    assert run.worker.metrics.letters == 1200
    assert len(world.points()) == 1


def test_dead_letters_that_fail_stop_the_acknowledging(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        run.put([1], reading(world))
        run.line.wait(1)
        world.letters._db.execute("PRAGMA query_only = ON")
        run.put([2], Message(topic("meter-1"), b"{"))
        until(lambda: "waiting: dead letters" in run.events())
        assert run.line.settled == [1]
        world.letters._db.execute("PRAGMA query_only = OFF")
        assert run.line.wait(2) == [1, 2]
    assert world.letters.count(EVERY) == 1
