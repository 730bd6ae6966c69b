"""Attack 6: a worker goes on with a key that it has cached, after the erasure was reported.

Every worker acknowledges before `effective`, or its lease is over; one that is stopped cannot begin a use of a key when
it goes on. A look-up that raced the erasure is thrown away; a request on its way is caught by the second purge.
"""

from __future__ import annotations

import os
import signal
import threading
from functools import partial

import pytest

from gateway.clock import FixedClock
from gateway.control.erasure import Step
from gateway.errors import LeaseOver
from gateway.keys.ring import GenerationMoved
from gateway.keystore import acts, workers
from gateway.model.ids import parse_controller, parse_customer
from gateway.model.sealed import Reason
from tests.unit.control import processes
from tests.unit.control.processes import CONTEXT, await_stopped, ended, start
from tests.unit.control.test_erasure import subject
from tests.unit.control.test_handover import handed
from tests.world import CANARY, CONTROLLER, SECOND, World, topic

pytestmark = pytest.mark.both_key_stores

LEASE_S = 600.0  # by a clock that a test moves, and longer than a busy machine takes from one line to the next


def test_one_that_is_stopped_is_waited_for_until_its_lease_is_over(world: World) -> None:
    """By the eraser's clock, which stands still until it is moved: nothing else lets the erasure go on."""
    world.enrol("anna", "meter-1")
    ready, stop = CONTEXT.Event(), CONTEXT.Event()
    child = start(partial(processes.work, stopped=True), world.directory, ready, stop, LEASE_S)
    assert ready.wait(60)
    assert child.pid is not None
    await_stopped(child)
    clock = FixedClock(world.clock.wall(), world.clock.boottime())
    eraser = World(world.directory, clock=clock)
    erasure, steps = eraser.erasures.begin(*subject("anna")), []
    for seconds in (0.0, LEASE_S * 1.2):  # a tenth of which is for clocks that differ
        clock.advance(int(seconds * SECOND))
        eraser.erasures.resume()
        steps.append(step_of(world))
    how = [account.how for account in world.erasures.owing(erasure) if account.kind == "worker"]
    os.kill(child.pid, signal.SIGCONT)
    stop.set()
    assert ended(child) == 0
    assert steps == [Step.FENCED, Step.PURGED_ONCE]
    assert how == ["lease over"]
    eraser.close()


def step_of(world: World) -> Step:
    with world.keystore.snapshot() as tx:
        (found,) = acts.all_erasures(tx)
    return Step(found.step)


def test_without_a_lease_no_use_of_a_key_begins(world: World) -> None:
    clock = FixedClock(world.clock.wall(), 10**15)
    mine = World(world.directory, clock=clock)
    mine.enrol("anna", "meter-1")
    assert len(mine.publish("meter-1", temperature=20).points) == 1
    clock.advance(30 * SECOND)
    with pytest.raises(LeaseOver):
        mine.process_one("meter-1", clock.wall(), temperature=20)
    with pytest.raises(LeaseOver):
        mine.ring.fit_to_send(mine.ring.generation)
    mine.close()


def test_a_look_up_that_raced_the_erasure_is_thrown_away(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.register()
    eraser = World(world.directory)
    erasing = threading.Thread(target=eraser.erase, args=("anna",))
    with world.ring.using():
        erasing.start()
        while not raised(world):
            pass
        with pytest.raises(GenerationMoved):
            world.ring.resolve([topic("meter-1")])
        assert len(world.ring) == 0
    while erasing.is_alive():
        world.ring.poll()
    erasing.join()
    assert world.publish("meter-1", temperature=20).refusals.readings == {Reason.ERASED: 1}
    eraser.close()


def test_an_erasure_takes_all_handles_of_one_customer_and_of_nobody_else(world: World) -> None:
    """Two at once, so that a worker misses a generation; a device that was the first one's is another's by now."""
    for name, device in (("anna", "meter-1"), ("bo", "meter-2"), ("cai", "meter-3"), ("dan", "meter-4")):
        world.enrol(name, device)
    handed(world, ("meter-1", "cai", world.clock.wall() - SECOND))
    for number in range(1, 5):
        world.publish(f"meter-{number}", temperature=20)
    assert len(world.ring) == 4
    eraser = World(world.directory)
    for name in ("anna", "bo"):
        eraser.erasures.begin(parse_controller(CONTROLLER), parse_customer(CANARY + name))
    world.ring.poll()
    assert len(world.ring) == 2, "the devices that were ever theirs are looked up again"
    assert world.publish("meter-2", temperature=20).refusals.readings == {Reason.ERASED: 1}
    for number in (1, 3, 4):
        assert len(world.publish(f"meter-{number}", temperature=20).points) == 1
    eraser.erasures.begin(parse_controller(CONTROLLER), parse_customer(f"{CANARY}dan"))
    with world.keystore.act() as tx:
        workers.raise_generation(tx)
    world.ring.poll()
    assert len(world.ring) == 0, "what else has changed is not known"
    assert world.publish("meter-4", temperature=20).refusals.readings == {Reason.ERASED: 1}
    eraser.close()


def raised(world: World) -> bool:
    with world.keystore.snapshot() as tx:
        return bool(acts.all_erasures(tx))


def test_a_request_that_was_on_its_way_is_caught_by_the_second_purge(world: World) -> None:
    clock = FixedClock(world.clock.wall(), 10**15)
    mine = World(world.directory, clock=clock)
    mine.lease._deadline = 10 * SECOND
    mine.enrol("anna", "meter-1")
    late = mine.process_one("meter-1", clock.wall(), temperature=20).points
    with mine.polling():
        erased = mine.erasures.erase(parse_controller(CONTROLLER), parse_customer(f"{CANARY}anna"))
    assert erased.step is Step.PURGED_ONCE
    mine.store.write(late)  # what the store had taken in before, and carries out now
    assert len(mine.points()) == 1
    clock.advance(12 * SECOND)
    assert mine.erasures.resume() == [erased.erasure]
    assert mine.points() == []
    mine.close()
