"""A worker with a spool: acknowledged when store or disk has it, drained oldest first, and never for the erased."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.model.ids import KeyId
from gateway.model.sealed import ACCEPTED, Outcome, Reason, SealedPoint
from gateway.runtime import spooling as spooling_module
from gateway.runtime import worker as worker_module
from gateway.runtime.log import Log
from gateway.runtime.spooling import Spooled as Counts
from gateway.runtime.spooling import Spooling
from gateway.runtime.worker import Worker
from gateway.transport.ingest import Session
from gateway.transport.spool import Spool, SpoolHeld, Spools, segment
from gateway.transport.store import StoreUnreachable, open_store
from tests.fronts import StoreFront
from tests.unit.runtime.line import Line, delivery
from tests.unit.runtime.test_worker import PATIENCE, Gate, reading, until
from tests.world import World


class Spooled:
    """A worker of a world, with a spool in the world's directory."""

    def __init__(
        self, world: World, *, max_bytes: int = 1 << 20, patience_s: float = PATIENCE, follows: bool = False
    ) -> None:
        self.world, self.line, self.store = world, Line(), Gate(world)
        self.said = io.StringIO()
        self.fault: BaseException | None = None
        self.refused: list[tuple[SealedPoint, Reason]] = []
        self.left = Counts()
        log = Log(stream=self.said, level="debug")
        self.spools = Spools(world.directory / "spool", max_bytes=max_bytes)
        self.spooling = Spooling(
            self.store,
            lambda on_damage: self.spools.open("gateway-1", on_damage),
            log,
            gone=world.ring.gone,
            kept_since=world.ring.kept_since,
            generation=lambda: world.ring.generation,
            patience_s=patience_s,
            refused=lambda points, reason: self.refused.extend((point, reason) for point in points),
        )
        self.worker = Worker(
            cast("Session", self.line),
            world.ring,
            world.chain,
            self.store,
            world.clock,
            log,
            batch_points=1000,
            batch_ms=20,
            poll_ms=10,
            spooling=self.spooling,
            leftovers=lambda: self.left,
            follows=follows,
        )
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert follows or self.ready.wait(PATIENCE)

    def put(self, first: int, count: int, device: str = "meter-1") -> None:
        tokens = range(first, first + count)
        self.line.coming.put(delivery(tokens, [reading(self.world, device, step=token) for token in tokens]))

    def end(self) -> None:
        self.worker.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it hangs"

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.said.getvalue().splitlines()]

    def _run(self) -> None:
        try:
            self.worker.run(self.ready.set)
        except BaseException as fault:  # noqa: BLE001 - looked at by the test
            self.fault = fault


@contextmanager
def spooled(world: World, *, max_bytes: int = 1 << 20, patience_s: float = PATIENCE) -> Iterator[Spooled]:
    run = Spooled(world, max_bytes=max_bytes, patience_s=patience_s)
    try:
        yield run
    finally:
        run.end()
    assert run.fault is None


def test_a_store_that_is_down_stops_nothing_and_all_of_it_arrives(world: World) -> None:
    world.enrol("anna", "meter-1")
    with spooled(world) as run:
        run.put(1, 5)
        run.line.wait(5)
        run.store.open.clear()
        for batch in range(20):
            run.put(6 + 10 * batch, 10)
        assert run.line.wait(205) == list(range(1, 206)), "in the order of arrival"
        assert len(world.points()) == 5
        assert run.spools.size() > 0
        run.store.open.set()
        until(lambda: "recovered: storing" in run.events())  # what comes from here on goes past the spool
        run.put(300, 5)
        run.line.wait(210)
    assert len(world.points()) == 210
    assert run.worker.metrics.books()["stored"] == 210
    assert run.spooling.counted.books() == {"taken": 200, "drained": 200, "refused": 0, "erased": 0, "damaged": 0}
    assert run.events().count("spooling") == 1
    assert run.spools.size() == 0, "space is given back"


def test_stopped_with_a_full_spool_the_next_life_drains_it(world: World) -> None:
    world.enrol("anna", "meter-1")
    with spooled(world) as run:
        run.store.open.clear()
        run.put(1, 50)
        run.line.wait(50)
    assert world.points() == []
    with closing(World(world.directory)) as later, spooled(later) as again:
        until(lambda: again.spooling.counted.drained == 50)
    assert len(world.points()) == 50


def test_a_slow_store_is_spared_until_it_is_quick(world: World) -> None:
    world.enrol("anna", "meter-1")
    slow = threading.Event()
    slow.set()

    def write(points: Sequence[SealedPoint]) -> Outcome:
        if slow.is_set():
            threading.Event().wait(1.05)  # longer than the patience, whatever else runs
        return world.store.write(points)

    with spooled(world, patience_s=1.0) as run:
        run.store.act = write
        run.put(1, 5)
        run.line.wait(5)
        until(lambda: "spooling" in run.events())
        run.put(6, 5)
        run.line.wait(10)
        slow.clear()
        sent = 10
        while "recovered: storing" not in run.events():  # a chunk has to be quick, whatever else runs here
            run.put(sent + 1, 5)
            sent += 5
            run.line.wait(sent)
        until(lambda: run.spooling.counted.drained == run.spooling.counted.taken)
    assert len(world.points()) == sent


class Timed:
    """A store under a clock of its own: each request takes `takes` seconds of it. Waiting, too, lets it go on."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.takes, self.now = world, 0.0, 1_000.0
        self.asked: list[float] = []
        self.fault: StoreUnreachable | None = None
        self.generation, self.swept = 1, list[int]()
        self.stopping = threading.Event()
        monkeypatch.setattr(spooling_module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(self.stopping, "wait", self._wait)
        spools = Spools(world.directory / "spool", max_bytes=1 << 20)
        self.said = io.StringIO()
        self.spooling = Spooling(
            self,
            lambda on_damage: spools.open("gateway-1", on_damage),
            Log(stream=self.said),
            gone=lambda _key_ids: set(),
            kept_since=lambda _key_ids: {},
            generation=lambda: self.generation,
            patience_s=2.0,
        )
        self.spooling.open()

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        self.asked.append(self.now)
        self.now += self.takes
        if self.fault is not None:
            raise self.fault
        self.stopping.set()
        return self.world.store.write(points)

    def put(self, step: int) -> Outcome:
        now = self.world.clock.wall()
        return self.spooling.write(self.world.process_one("meter-1", now - step * 10**9, power=step).points)

    def direct(self) -> bool:
        return self.spooling._direct

    def sweep_slowly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A look through the whole spool takes longer than a chunk does."""
        honest = Spool.purge

        def purge(spool: Spool, gone: Callable[[Collection[KeyId]], Collection[KeyId]]) -> int:
            self.now += 10.0
            self.swept.append(self.generation)
            return honest(spool, gone)

        monkeypatch.setattr(Spool, "purge", purge)

    def _wait(self, seconds: float) -> bool:
        assert len(self.asked) < 10, "it asks and asks"
        self.now += seconds
        if self.now > 5_000:
            self.stopping.set()
        return self.stopping.is_set()


@pytest.fixture
def timed(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Timed]:
    world.enrol("anna", "meter-1")
    world.register()
    made = Timed(world, monkeypatch)
    yield made
    made.spooling.close()


def test_a_store_that_was_slow_once_and_has_taken_all_that_waited_in_time_is_written_to_again(timed: Timed) -> None:
    timed.takes = 2.1
    timed.put(0)
    assert not timed.direct()
    assert timed.spooling.step() is None
    assert not timed.direct(), "nothing was asked since"
    timed.takes = 1.0  # not so quick that it could have more at once, and well within the patience
    timed.put(1)
    assert timed.spooling.step() == 1.0
    assert not timed.direct()
    assert timed.spooling.step() is None
    assert timed.direct()
    timed.put(2)
    assert timed.spooling.counted.taken == 1


def test_acts_upon_keys_do_not_keep_a_spool_from_draining(timed: Timed, monkeypatch: pytest.MonkeyPatch) -> None:
    timed.sweep_slowly(monkeypatch)
    timed.takes = 2.1
    timed.put(0)
    for step in range(1, 31):
        timed.put(step)
        timed.generation += 1
        timed.spooling.step()
    assert timed.swept == [2], "at first, and the rest of the time is the store's"
    timed.now += 60.0
    timed.spooling.step()
    timed.spooling.step()
    assert timed.swept == [2, 31], "what has waited is looked through once for all acts"
    assert timed.spooling.counted.drained == 30


@pytest.mark.parametrize(("asks", "waits"), [(120.0, 120.0), (86_400.0, 600.0)])
def test_a_store_that_asks_the_direct_path_to_be_left_alone_is_not_drained_into_meanwhile(
    timed: Timed, asks: float, waits: float
) -> None:
    timed.fault = StoreUnreachable("the store answers 429", retry_after=asks)
    assert timed.put(0).kept
    assert timed.put(0) == ACCEPTED
    timed.fault = None
    timed.spooling.drain(timed.stopping)
    assert timed.asked == [1_000.0, pytest.approx(1_000.0 + waits)]


def test_a_real_answer_of_429_is_the_last_request_until_its_time_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooling_module, "_LOOK", 0.001)
    world.enrol("anna", "meter-1")
    with (
        StoreFront(0) as front,
        closing(open_store(front.url, state=world.directory)) as store,
        spooled(world) as run,
    ):
        front.answer, front.retry_after = 429, "3600"
        run.store.act = store.write
        for batch in range(20):
            run.put(1 + batch, 1)
            run.line.wait(1 + batch)
        assert front.asked == 1
        assert run.spooling.counted.taken == 20


def test_when_neither_takes_it_nothing_is_acknowledged_and_it_recovers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enrol("anna", "meter-1")
    honest, full = os.fdatasync, threading.Event()

    def disk(file: int) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "no space")
        honest(file)

    monkeypatch.setattr(os, "fdatasync", disk)
    with spooled(world) as run:
        run.store.open.clear()
        full.set()
        run.put(1, 10)
        run.store.tried(3)
        until(lambda: "spool stuck" in run.events())
        assert run.line.acknowledged == []
        full.clear()
        assert run.line.wait(10) == list(range(1, 11))
        assert run.spooling.counted.taken == 10
        run.store.open.set()
        until(lambda: run.spooling.counted.drained == 10)
    assert "recovered: spool" in run.events()
    assert len(world.points()) == 10


def test_a_full_spool_stops_the_reading_until_the_store_is_back(world: World) -> None:
    world.enrol("anna", "meter-1")
    with spooled(world, max_bytes=3_000) as run:
        run.store.open.clear()
        for batch in range(10):
            run.put(1 + 10 * batch, 10)
        until(lambda: "spool stuck" in run.events())
        assert len(run.line.settled) < 100
        run.store.open.set()
        assert run.line.wait(100) == list(range(1, 101))
        until(lambda: run.spools.size() == 0)
    assert len(world.points()) == 100


def test_what_the_store_will_never_have_is_handed_on_and_the_rest_is_drained(world: World) -> None:
    world.enrol("anna", "meter-1")
    with spooled(world) as run:
        run.store.open.clear()
        run.put(1, 10)
        run.line.wait(10)
        run.store.act = lambda points: Outcome(rejected={2: Reason.STORE}, kept=range(5, len(points)))
        run.store.open.set()
        until(lambda: run.spools.size() == 0)
    counted = run.spooling.counted
    assert (counted.drained, counted.refused) == (8, {Reason.STORE: 2})
    run.left = Counts(drained=100, refused=Counter({Reason.STORE: 1}), erased=5, damaged=1)
    assert run.worker.spooled is not None
    assert run.worker.spooled.books() == {"taken": 10, "drained": 108, "refused": 3, "erased": 5, "damaged": 1}
    assert [reason for _point, reason in run.refused] == [Reason.STORE, Reason.STORE]


def test_points_of_the_erased_are_dropped_and_others_are_drained(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bert", "meter-2")
    with spooled(world) as run:
        world._registered = True  # the worker's keeper polls for it
        run.store.open.clear()
        run.put(1, 10)
        run.put(11, 10, "meter-2")
        run.line.wait(20)
        world.erase("anna")
        run.store.open.set()
        until(lambda: run.spools.size() == 0)
    counted = run.spooling.counted
    assert (counted.drained, counted.erased) == (10, 10)
    assert len(world.points()) == 10
    assert len(world.read("bert")) == 10


def test_a_cursor_that_cannot_be_written_is_said_once_and_draining_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enrol("anna", "meter-1")
    honest = segment.write_cursor

    def refuse(_directory: Path, _cursor: segment.Cursor) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with spooled(world) as run:
        run.store.open.clear()
        for first in range(0, 3_000, 500):
            run.put(1 + first, 500)
        run.line.wait(3_000)
        monkeypatch.setattr(segment, "write_cursor", refuse)
        run.store.open.set()
        until(lambda: run.spooling.counted.drained == 3_000)
        monkeypatch.setattr(segment, "write_cursor", honest)
        run.store.open.clear()
        run.put(3_001, 5)
        run.line.wait(3_005)
        run.store.open.set()
        until(lambda: "recovered: spool not marked" in run.events())
    assert run.events().count("spool not marked") == 1


def test_a_defect_in_draining_ends_the_process(world: World) -> None:
    world.enrol("anna", "meter-1")
    run = Spooled(world)
    run.store.open.clear()
    run.put(1, 3)
    run.line.wait(3)
    run.store.act = lambda _points: cast("Outcome", 1 / 0)
    run.store.open.set()
    run._thread.join(PATIENCE)
    run.end()
    assert isinstance(run.fault, ZeroDivisionError)


def test_the_worker_stays_registered_while_a_request_may_still_land(world: World) -> None:
    with spooled(world) as run:
        run.store.open.clear()
        with pytest.raises(StoreUnreachable):
            run.store.write([])
        given_up = [run.spooling.given_up]
        assert run.spooling.write([]) == Outcome(kept=range(0))
        given_up.append(run.spooling.given_up)
        assert run.spooling.write([]) == ACCEPTED
    assert given_up == [False, True]


@pytest.mark.parametrize("answered", [True, False])
def test_only_a_request_without_an_answer_may_still_land(
    world: World, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    world.enrol("anna", "meter-1")
    timed = Timed(world, monkeypatch)
    timed.fault = StoreUnreachable("not now", answered=answered)
    assert timed.put(1).kept
    timed.put(2)
    found = [timed.spooling.given_up]
    with pytest.raises(StoreUnreachable):
        timed.spooling.step()
    found.append(timed.spooling.given_up)
    timed.fault = StoreUnreachable("not now", answered=True)  # says nothing of what it was asked before
    with pytest.raises(StoreUnreachable):
        timed.spooling.step()
    found.append(timed.spooling.given_up)
    timed.fault = None
    timed.spooling.step()
    found.append(timed.spooling.given_up)
    assert found == [not answered] * 3 + [False]
    timed.spooling.close()


def test_a_spool_that_another_has_until_it_ends_is_waited_for(world: World) -> None:
    other = Spools(world.directory / "spool", max_bytes=1 << 20).open("gateway-1", lambda _size: None)
    run = Spooled(world, follows=True)
    until(lambda: "waiting: starting" in run.events())
    other.close()
    assert run.ready.wait(PATIENCE)
    run.end()
    assert run.fault is None
    assert run.events().count("waiting: starting") == 1


@pytest.mark.parametrize("told", [True, False])
def test_but_neither_for_ever_nor_when_told_to_stop(world: World, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    monkeypatch.setattr(worker_module, "_ENDING_S", PATIENCE if told else 0.3)
    other = Spools(world.directory / "spool", max_bytes=1 << 20).open("gateway-1", lambda _size: None)
    run = Spooled(world, follows=True)
    until(lambda: "waiting: starting" in run.events())
    if told:
        run.worker.stop()
    run._thread.join(PATIENCE)
    assert isinstance(run.fault, SpoolHeld)
    assert not run.ready.is_set()
    other.close()
