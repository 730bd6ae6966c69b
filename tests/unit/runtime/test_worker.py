"""The worker: acknowledged means durable, whatever is away, whoever is erased, and whenever it is stopped."""

from __future__ import annotations

import io
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from gateway.clock import FixedClock
from gateway.errors import CustodianFault, IntegrityStop, Unreachable, VerificationFailed
from gateway.keys.handle import Device
from gateway.keys.ring import GenerationMoved
from gateway.keystore import workers
from gateway.model.dead import DeadLetter
from gateway.model.sealed import Outcome, Reason, SealedPoint
from gateway.pipeline.budget import Budget, Limits
from gateway.runtime.log import Log
from gateway.runtime.worker import Worker
from gateway.runtime.writer import Writer
from gateway.transport.ingest import Session
from gateway.transport.letters import EVERY
from gateway.transport.store import StoreUnreachable
from tests.copies import all_rows, set_back
from tests.unit.control.test_erasure import lineage_and_incarnation
from tests.unit.runtime.line import Line, delivery
from tests.world import CANARY, SECOND, Message, World, message, ns, topic

PATIENCE = 120.0
Letter = tuple[str, Device | Reason, Reason, int, bytes]  # as a sealer takes it


class Gate:
    """The world's store, behind a gate: open it writes, shut it does not answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Semaphore(0)
        self.written: list[SealedPoint] = []
        self.act: Callable[[Sequence[SealedPoint]], Outcome] | None = None

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        self.asked.release()
        if not self.open.is_set():
            raise StoreUnreachable("the store does not answer")
        if self.act is not None:
            return self.act(points)
        outcome = self.world.store.write(points)
        self.written += points
        return outcome

    def tried(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.asked.acquire(timeout=PATIENCE)


class Running:
    """A worker in threads of its own, and how it ended."""

    def __init__(
        self,
        world: World,
        *,
        batch_points: int = 1000,
        housekeeping: Callable[[], object] = lambda: None,
        budget: Budget | None = None,
    ) -> None:
        self.world, self.line, self.store = world, Line(), Gate(world)
        self.said = io.StringIO()
        self.fault: BaseException | None = None
        self.ready = threading.Event()
        self.on_ready: Callable[[], None] = self.ready.set
        self.worker = Worker(
            cast("Session", self.line),
            world.ring,
            world.chain,
            self.store,
            world.clock,
            Log(stream=self.said, level="debug"),
            batch_points=batch_points,
            batch_ms=20,
            poll_ms=10,
            housekeeping=housekeeping,
            letters=world.letters,
            sealer=world.sealer,
            budget=budget,
        )
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self.world.operations.tend()
        self._thread.start()

    def put(self, tokens: Sequence[int], *messages: Message) -> None:
        self.line.coming.put(delivery(tokens, messages))

    def end(self) -> None:
        self.worker.stop()
        self.ended()

    def ended(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it hangs"
        assert self.line.closed

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.said.getvalue().splitlines()]

    def _run(self) -> None:
        try:
            self.worker.run(self.on_ready)
        except BaseException as fault:  # noqa: BLE001 - looked at by the test
            self.fault = fault


@contextmanager
def running(
    world: World,
    *,
    batch_points: int = 1000,
    housekeeping: Callable[[], object] = lambda: None,
    budget: Budget | None = None,
) -> Iterator[Running]:
    run = Running(world, batch_points=batch_points, housekeeping=housekeeping, budget=budget)
    run.start()
    assert run.ready.wait(PATIENCE)
    try:
        yield run
    finally:
        run.store.open.set()
        run.end()
    assert run.fault is None


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def reading(world: World, device: str = "meter-1", *, step: int = 0, **more: float) -> Message:
    return message(device, world.clock.wall() + step * 1_000_000, **(more or {"temperature": 20.0}))


def test_what_is_acknowledged_is_in_the_store(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        for number in range(20):
            run.put([number + 1], reading(world, step=number))
        assert run.line.wait(20) == list(range(1, 21)), "in the order of arrival"
        assert len(world.points()) == 20
    assert run.worker.metrics.books() == {"stored": 20, "refused": {}, "untimed": 0, "redelivered": 0}
    assert run.worker.metrics.points == 20
    assert run.worker.metrics.waiting == 0


def test_a_key_store_that_was_set_back_under_it_ends_it_and_nothing_of_the_erased_is_sent(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    before = all_rows(world.keystore)
    run = Running(world)
    run.start()
    assert run.ready.wait(PATIENCE)
    world._registered = True  # the worker's keeper polls for it
    world.erase("anna")
    run.put([1], reading(world, "meter-2"))
    assert run.line.wait(1) == [1]
    set_back(world.keystore, before)
    run.put([2], reading(world, "meter-1"), reading(world, "meter-2"))
    run.ended()
    assert isinstance(run.fault, IntegrityStop)
    assert len({point.series.pseudonym for point in world.points()}) == 1
    world._registered = False


def test_nothing_is_acknowledged_while_the_store_is_away_and_the_broker_is_kept_company(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world, batch_points=1) as run:
        run.store.open.clear()
        for number in range(40):
            run.put([number + 1], reading(world, step=number))
        until(lambda: run.line.kept_alive > 0)
        run.store.tried(2)
        left = run.line.coming.qsize()
        assert left >= 40 - 16 - 3, "what is beyond the queue waits in the broker"
        assert run.line.acknowledged == []
        assert world.points() == []
        run.store.open.set()
        assert run.line.wait(40) == list(range(1, 41))
    assert len(world.points()) == 40
    assert run.events().count("waiting: storing") == 1, "said once, not at every try"
    assert "recovered: storing" in run.events()


def test_a_delivery_of_refusals_alone_is_counted_and_acknowledged(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        run.put([5, 6], Message(topic("meter-1"), b"{"), reading(world, "meter-9"))
        assert run.line.wait(2) == [5, 6]
        refused = delivery([9, 10], [])
        refused.oversized.append(9)
        refused.malformed.append(10)
        run.line.coming.put(refused)
        assert run.line.wait(4) == [5, 6, 9, 10]
    assert run.worker.metrics.books()["refused"] == {"malformed": 2, "too_large": 1, "unknown_device": 1}
    assert run.store.written == []


def test_refusals_wait_for_what_came_before_them(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        run.store.open.clear()
        run.put([1], reading(world))
        run.put([2], Message(topic("meter-1"), b"{"))
        run.store.tried(2)
        assert run.line.acknowledged == []
        run.store.open.set()
        assert run.line.wait(2) == [1, 2]


def test_a_store_that_asks_to_be_left_alone_for_a_day_is_asked_again_after_minutes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enrol("anna", "meter-1")
    waits: list[float] = []

    def paused(writer: Writer, seconds: float) -> bool:
        waits.append(seconds)
        run.store.act = None
        return writer._watch.stopping.is_set()

    def refuse(_points: Sequence[SealedPoint]) -> Outcome:
        raise StoreUnreachable("the store answers 429", retry_after=86_400.0)

    monkeypatch.setattr(Writer, "_paused", paused)
    with running(world) as run:
        run.store.act = refuse
        run.put([1], reading(world))
        assert run.line.wait(1) == [1]
    assert waits == [600.0]


def test_points_that_the_store_keeps_back_are_tried_again(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        tries: list[int] = []

        def half(points: Sequence[SealedPoint]) -> Outcome:
            tries.append(len(points))
            kept = [i for i in range(len(points)) if i % 2]
            world.store.write([p for i, p in enumerate(points) if not i % 2])
            return Outcome(kept=kept)

        run.store.act = half
        run.put(range(1, 9), *(reading(world, step=n) for n in range(8)))
        assert run.line.wait(8) == list(range(1, 9))
        assert tries == [8, 4, 2, 1]
    assert len(world.points()) == 8


def test_points_that_the_store_will_not_have_are_refused_and_counted(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        run.store.act = lambda _points: Outcome(rejected={0: Reason.STORE, 2: Reason.STORE})
        both = json.dumps(
            [{"time": world.clock.wall() // 1_000_000 + n, "power": 1, "energy": 2} for n in range(2)]
        ).encode()
        run.put([1, 2], reading(world, temperature=1.0, power=2.0), Message(topic("meter-1"), both))
        assert run.line.wait(2) == [1, 2]
    metrics = run.worker.metrics
    assert metrics.books()["refused"] == {"store": 1}
    assert metrics.stored == 1, "the second message has a point left"
    assert metrics.refused_readings == {Reason.STORE: 4}
    assert metrics.points == 1


def test_a_defect_of_the_store_ends_the_process_with_nothing_acknowledged(world: World) -> None:
    world.enrol("anna", "meter-1")
    run = Running(world, batch_points=1)

    def defect(_points: Sequence[SealedPoint]) -> Outcome:
        raise ZeroDivisionError

    run.store.act = defect
    run.start()
    for number in range(40):
        run.put([number + 1], reading(world, step=number))
    run.ended()
    assert isinstance(run.fault, ZeroDivisionError)
    assert run.line.acknowledged == []


def test_a_defect_of_a_stage_ends_the_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol("anna", "meter-1")
    run = Running(world)
    monkeypatch.setattr(run.worker, "_chain", lambda *_: 1 / 0)
    run.start()
    run.put([1], reading(world))
    run.ended()
    assert isinstance(run.fault, ZeroDivisionError)
    assert run.line.acknowledged == []


def test_who_cannot_say_that_it_is_ready_ends(world: World) -> None:
    run = Running(world)

    def broken() -> None:
        raise BrokenPipeError

    run.on_ready = broken
    run.start()
    run.ended()
    assert isinstance(run.fault, BrokenPipeError)


class Broken:
    """`Thread.start`, in which something happens at one of the five."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, happens: Callable[[], object]) -> None:
        self.begun: list[threading.Thread] = []
        start = threading.Thread.start

        def begin(thread: threading.Thread) -> None:
            self.begun.append(thread)
            if len(self.begun) == at:
                happens()
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", begin)

    def alive(self) -> list[str]:
        return [thread.name for thread in self.begun if thread.is_alive()]


def no_more() -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize(
    ("happens", "fault"),
    [(lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt), (no_more, RuntimeError)],
    ids=["interrupted", "no more threads"],
)
def test_what_comes_between_while_its_threads_begin_ends_all_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch, at: int, happens: Callable[[], object], fault: type[BaseException]
) -> None:
    """Half of them would never end, nor would the process: each of the others waits for one that is not there."""
    world.enrol("anna", "meter-1")
    run = Running(world)
    run.world.operations.tend()
    run.put([1], reading(world))
    with monkeypatch.context() as patch:
        begun = Broken(patch, at, happens)
        with pytest.raises(fault):
            run.worker.run()
    left = begun.alive()
    run.worker.stop()
    run.worker._writer.drained.set()  # so that nothing hangs here if it did
    assert left == []
    assert len(world.points()) == len(run.line.settled)
    with world.keystore.snapshot() as tx:
        assert workers.find_all(tx) == [], "it has left"


@pytest.mark.parametrize("queued", [1, 60])
def test_stopped_while_the_store_is_away(world: World, queued: int) -> None:
    """With a full queue, too: the reader must not wait for a writer that has ended.

    What was given up may still land in the store, so the worker stays registered and its deadline counts.
    """
    world.enrol("anna", "meter-1")
    run = Running(world, batch_points=1)
    run.store.open.clear()
    run.start()
    for number in range(queued):
        run.put([number + 1], reading(world, step=number))
    run.store.tried(2)
    if queued > 16:
        until(lambda: run.line.kept_alive)
    run.end()
    assert run.fault is None
    assert run.line.acknowledged == []
    with world.keystore.snapshot() as tx:
        assert len(workers.find_all(tx)) == 1


def test_stopped_with_work_at_hand_it_is_settled_first(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world, batch_points=1) as run:
        begun, go_on = threading.Event(), threading.Event()

        def slow(points: Sequence[SealedPoint]) -> Outcome:
            begun.set()
            assert go_on.wait(PATIENCE)
            return world.store.write(points)

        run.store.act = slow
        for number in range(6):  # one is written, four are queued, one is in the reader's hands
            run.put([number + 1], reading(world, step=number))
        assert begun.wait(PATIENCE)
        until(run.line.coming.empty)
        until(lambda: run.worker._writer.queued == 4)
        run.worker.stop()
        go_on.set()
        run.ended()
        settled = len(run.line.settled)
    assert settled == len(world.points()) >= 5
    with world.keystore.snapshot() as tx:
        assert workers.find_all(tx) == []


def test_stopped_at_any_moment_nothing_is_acknowledged_that_is_not_stored(world: World) -> None:
    world.enrol("anna", "meter-1")
    stored = 0
    for turn in range(8):
        run = Running(world, batch_points=5)
        run.start()
        for number in range(30):
            run.put([number + 1], reading(world, step=1000 * turn + number))
        time.sleep(turn * 0.004)
        run.end()
        assert run.fault is None
        stored += len(run.line.settled)
        assert len(world.points()) == stored


def test_a_redelivery_after_a_restart_changes_nothing(world: World) -> None:
    world.enrol("anna", "meter-1")
    sent = [reading(world, step=n) for n in range(10)]
    for _ in range(2):
        with running(world) as run:
            run.put(range(1, 11), *sent)
            run.line.wait(10)
    assert len(world.points()) == 10
    assert len(world.read("anna")) == 10


def test_acknowledgements_of_a_batch_go_in_one_write_a_connection(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        run.store.open.clear()
        run.put([1], reading(world))
        run.store.tried()
        for generation, token in ((1, 2), (1, 3), (2, 1), (2, 2)):
            run.line.coming.put(delivery([token], [reading(world, step=token)], generation=generation))
        until(lambda: run.worker._writer.queued == 4)
        run.store.open.set()
        run.line.wait(5)
    assert run.line.acknowledged == [(1, [1]), (1, [2, 3]), (2, [1, 2])]


def test_what_a_store_kept_is_not_sent_again_after_an_erasure(world: World) -> None:
    """A store that takes a batch in parts is asked with a fresh lease and generation for each part."""
    world.enrol("anna", "meter-1")
    sent: list[int] = []
    with running(world) as run:
        first_part, erased = threading.Event(), threading.Event()

        def in_parts(points: Sequence[SealedPoint]) -> Outcome:
            sent.append(len(points))
            first_part.set()
            assert erased.wait(PATIENCE)
            return Outcome(kept=range(1, len(points)))

        run.store.act = in_parts
        run.put([1, 2, 3], *(reading(world, step=step) for step in range(3)))
        assert first_part.wait(PATIENCE)
        world._registered = False  # the worker keeps the ring itself
        world.erase("anna")
        erased.set()
        run.line.wait(3)
    assert sent == [3]
    assert run.worker.metrics.books()["refused"] == {"erased": 2}


def test_readings_of_a_customer_erased_while_they_wait_are_not_sent(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    with running(world) as run:
        run.store.open.clear()
        run.put([1, 2], reading(world, "meter-1", temperature=1.0, power=1.0), reading(world, "meter-2"))
        run.store.tried()
        world._registered = False  # the worker keeps the ring itself
        world.erase("anna")
        run.store.open.set()
        assert run.line.wait(2) == [1, 2]
        assert [(p.series.pseudonym, p.time) for p in run.store.written] == [
            (p.series.pseudonym, p.time) for p in world.points()
        ]
        run.put([3], reading(world, "meter-1"))
        run.line.wait(3)
    assert len(run.store.written) == 1
    assert run.worker.metrics.refused == {Reason.ERASED: 2}
    assert run.worker.metrics.refused_readings == {Reason.ERASED: 3}
    assert run.worker.metrics.stored == 1


def test_a_batch_whose_customers_are_all_gone_is_not_sent_at_all(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        run.store.open.clear()
        run.put([1], reading(world))
        run.store.tried()
        world._registered = False
        world.erase("anna")
        run.store.open.set()
        assert run.line.wait(1) == [1]
    assert world.points() == []
    assert run.worker.metrics.books()["refused"] == {"erased": 1}


def test_a_lease_that_ends_while_a_batch_waits_holds_it_back(tmp_path: Path) -> None:
    clock = FixedClock(ns("2026-05-01T00:00:00+00:00"), 10**15)
    world = World(tmp_path / "state", clock=clock)
    world.enrol("anna", "meter-1")
    cut = threading.Event()
    poll = world.ring.poll

    def cut_off() -> bool:
        if cut.is_set():
            raise Unreachable("the key store does not answer")
        return poll()

    world.ring.poll = cut_off  # type: ignore[method-assign]
    with running(world) as run:
        run.store.open.clear()
        run.put([1], reading(world))
        run.store.tried()
        cut.set()
        until(lambda: "waiting: key store" in run.events())
        clock.advance(31 * SECOND)
        until(lambda: any("lease" in line for line in run.said.getvalue().splitlines()))
        run.store.open.set()
        run.put([2], reading(world, step=1))
        until(lambda: "waiting: reading" in run.events() and run.line.kept_alive)
        assert run.store.written == []
        assert run.line.acknowledged == []
        cut.clear()
        assert run.line.wait(2) == [1, 2]
    assert len(world.points()) == 2
    events = run.events()
    assert max(events.count(f"waiting: {where}") for where in ("reading", "key store")) == 1
    world.close()


def test_without_the_custodian_nothing_is_read_until_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        with monkeypatch.context() as patch:

            def missing(_topics: Sequence[str]) -> list[object]:
                raise CustodianFault("the custodian's key file cannot be read")

            patch.setattr(world.ring, "resolve", missing)
            run.put([1], reading(world))
            until(lambda: "waiting: reading" in run.events() and run.line.kept_alive)
            assert run.line.acknowledged == []
        assert run.line.wait(1) == [1]


@pytest.mark.parametrize("fault", [Unreachable("no key of the day"), GenerationMoved("keys have changed")])
@pytest.mark.parametrize("device", ["meter-1", "nobodys"])
def test_a_delivery_that_is_tried_again_is_counted_once(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Exception, device: str
) -> None:
    world.enrol("anna", "meter-1")
    seal, faults = world.sealer.seal, [fault] * 20

    def failing(*letter: *Letter) -> DeadLetter | None:
        if faults:
            raise faults.pop()
        return seal(*letter)

    monkeypatch.setattr(world.sealer, "seal", failing)
    limits = Limits(device_rate=1, device_burst=5, stranger_rate=1, stranger_burst=5)
    with running(world, budget=Budget(limits)) as run:
        run.put([1], Message(topic(device), b"{"))
        assert run.line.wait(1) == [1]
    assert not faults
    assert [letter.reason for letter in world.letters.find(EVERY)] == [Reason.MALFORMED]


def test_a_key_store_that_lost_a_key_ends_the_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol("anna", "meter-1")
    run = Running(world)

    def lost(_topics: Sequence[str]) -> list[object]:
        raise IntegrityStop("a key has no material")

    monkeypatch.setattr(world.ring, "resolve", lost)
    run.start()
    run.put([1], reading(world))
    run.ended()
    assert isinstance(run.fault, IntegrityStop)
    assert run.line.acknowledged == []


def test_generations_that_move_all_the_time_stop_nobody(world: World) -> None:
    world.enrol("anna", *(f"meter-{n}" for n in range(30)))
    stop = threading.Event()

    def move() -> None:
        while not stop.wait(0.001):
            with world.keystore.act() as tx:
                workers.raise_generation(tx)

    mover = threading.Thread(target=move)
    with running(world, batch_points=3) as run:
        mover.start()
        for number in range(30):
            run.put([number + 1], reading(world, f"meter-{number}"))
        run.line.wait(30)
        stop.set()
        mover.join()
    assert len(world.points()) == 30


def test_an_acknowledgement_that_did_not_reach_the_key_store_is_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the lease would never be renewed, and an erasure would wait for it."""
    acknowledge, lost = world.lease.acknowledge, threading.Event()

    def lose_one(generation: int) -> None:
        if not lost.is_set():
            lost.set()
            raise Unreachable("the key store does not answer")
        acknowledge(generation)

    monkeypatch.setattr(world.lease, "acknowledge", lose_one)
    with running(world):
        with world.keystore.act() as tx:
            generation = workers.raise_generation(tx)
        assert lost.wait(PATIENCE)
        until(lambda: acknowledged(world) == [generation])


def acknowledged(world: World) -> list[int]:
    with world.keystore.snapshot() as tx:
        return [worker.generation for worker in workers.find_all(tx)]


def test_housekeeping_that_waits_holds_up_neither_lease_nor_generations(world: World) -> None:
    world.enrol("anna", "meter-1")
    begun, go_on = threading.Event(), threading.Event()

    def tidy() -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    with running(world, housekeeping=tidy) as run:
        assert begun.wait(PATIENCE)
        with world.keystore.act() as tx:
            generation = workers.raise_generation(tx)
        until(lambda: world.ring.generation == generation)
        run.put([1], reading(world))
        assert run.line.wait(1) == [1]
        go_on.set()


def test_housekeeping_resumes_an_erasure_of_a_process_that_was_killed(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world, housekeeping=world.erasures.resume):
        world.erasures._fence(*lineage_and_incarnation(world, "anna"))
        until(lambda: state_of_erasures(world) == ["purged"])
    assert world.leaks() == []


def state_of_erasures(world: World) -> list[str]:
    with world.keystore.snapshot() as tx:
        return [row[0] for row in tx.exec_driver_sql("SELECT step FROM erasures")]


@pytest.mark.parametrize(
    ("fault", "ends", "level"),
    [
        (StoreUnreachable("away"), False, "warning"),
        (VerificationFailed("a row does not open"), False, "error"),
        (IntegrityStop("older than its ledger"), True, ""),
    ],
)
def test_housekeeping_that_fails(world: World, fault: Exception, ends: bool, level: str) -> None:
    def tidy() -> None:
        raise fault

    world.enrol("anna", "meter-1")
    run = Running(world, housekeeping=tidy)
    run.start()
    if ends:
        run.ended()
        assert run.fault is fault
    else:
        until(lambda: "waiting: housekeeping" in run.events())
        run.put([1], reading(world))
        assert run.line.wait(1) == [1]
        run.end()
        said = [json.loads(line) for line in run.said.getvalue().splitlines()]
        assert {line["level"] for line in said if line["event"] == "waiting: housekeeping"} == {level}
        assert run.fault is None


def test_a_key_store_that_is_gone_at_the_end_hides_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise Unreachable("the key store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(world.ring, "leave", gone)
        with running(world) as run:
            pass
    assert "leaving" in run.events()
    world._registered = False


def test_what_came_in_the_clear_is_not_kept_while_it_waits(world: World) -> None:
    world.enrol("anna", "meter-1")
    with running(world) as run:
        run.store.open.clear()
        arrived = delivery([1], [reading(world)])
        run.line.coming.put(arrived)
        run.store.tried()
        assert arrived.arrivals == []
        run.store.open.set()
        run.line.wait(1)
    assert CANARY not in run.said.getvalue()


def test_a_writer_that_does_not_come_back_is_silent_and_one_that_waits_is_not(world: World) -> None:
    world.enrol("anna", "meter-1")
    let_go = threading.Event()

    def hang(points: Sequence[SealedPoint]) -> Outcome:
        assert let_go.wait(PATIENCE)
        return world.store.write(points)

    with running(world) as run:
        run.store.open.clear()
        run.put([1], reading(world))
        run.store.tried(5)  # it is away, and asked again with longer and longer pauses
        assert run.worker.silent_s() < PATIENCE / 2
        run.store.act = hang
        run.store.open.set()
        run.store.tried()
        until(lambda: run.worker.silent_s() > 3)  # longer than the reader's and the keeper's own waits
        let_go.set()
        run.line.wait(1)
        until(lambda: run.worker.silent_s() < 3)
