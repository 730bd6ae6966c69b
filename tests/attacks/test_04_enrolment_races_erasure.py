"""Attack 4: an enrolment races an erasure, and leaves a living key behind.

Eight processes interleave as a seed says: some enrol a customer again and again, some erase them. Once an erasure has
returned, no key of the customer lives; an enrolment after it is refused. The long form, 10,000 interleavings:

    GLOMSKA_INTERLEAVINGS=10000 pytest tests/attacks/test_04_enrolment_races_erasure.py

Run whole on SQLite, and 4,000 on PostgreSQL, it left no living key: 18 and 20 minutes on two cores that had other work.
Without the variable it is 48.
"""

from __future__ import annotations

import os
import random
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from gateway.errors import KeyDestroyed, UnknownSubject
from gateway.keys.lifecycle import KeyState
from tests.attacks.mutations import MUTATIONS
from tests.unit.control.processes import CONTEXT, ended, start
from tests.unit.control.test_erasure import states
from tests.world import World

pytestmark = pytest.mark.both_key_stores

PROCESSES = 8
ROUNDS = max(int(os.environ.get("GLOMSKA_INTERLEAVINGS", "48")) // PROCESSES, 1)


def race(directory: Path, seed: int, begin: Barrier, results: Queue[tuple[int, bool, int]], without: str) -> None:
    """One process: each round it enrols or erases that round's customer, after a pause that the seed gives."""
    if without:  # a mutation takes out the defence here too: see `mutations`
        MUTATIONS[without].take_out(pytest.MonkeyPatch(), "")
    dice, world = random.Random(seed), World(directory)
    for number in range(ROUNDS):
        begin.wait(60)
        time.sleep(dice.random() / 200)
        if seed % 2:
            result = world.enrol(f"customer-{number}", f"meter-{number}-{seed}")
            results.put((number, False, result.enrolled))
        else:
            try:
                world.erase(f"customer-{number}")
                results.put((number, True, 1))
            except (KeyDestroyed, UnknownSubject):
                results.put((number, True, 0))
    world.close()


def test_no_key_lives_after_an_erasure_has_returned(world: World, request: pytest.FixtureRequest) -> None:
    for number in range(ROUNDS):
        world.enrol(f"customer-{number}", f"meter-{number}")
    without = request.config.getoption("--without-defence") or ""
    begin, results = CONTEXT.Barrier(PROCESSES), CONTEXT.Queue()
    children = [start(race, world.directory, seed, begin, results, without) for seed in range(PROCESSES)]
    told = [results.get(timeout=300) for _ in range(PROCESSES * ROUNDS)]
    assert [ended(child, 300) for child in children] == [0] * PROCESSES
    erased = {number for number, erasing, done in told if erasing and done}
    assert erased == set(range(ROUNDS))
    assert KeyState.ACTIVE not in states(world)
    for number in range(ROUNDS):
        assert world.enrol(f"customer-{number}", "meter-new").refused == [(2, "erased")]
    world.ledger.verify()
