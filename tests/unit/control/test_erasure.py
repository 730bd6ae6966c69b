"""Erasure in one process: what each step leaves, and what is left when something is away."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.clock import FixedClock
from gateway.control import accounting
from gateway.control import customer as customers
from gateway.control.enrolment import Enrolment
from gateway.control.erasure import Erased, Erasures, Step
from gateway.control.handover import hand_over
from gateway.errors import IntegrityStop, KeyDestroyed, UnknownSubject, Unreachable, UsageFault, VerificationFailed
from gateway.keys import lease, process
from gateway.keys.capture import trace
from gateway.keys.lifecycle import KeyState
from gateway.keys.lineage import Lineage
from gateway.keystore import accounts, acts, rows, turnovers, workers
from gateway.keystore.schema import keys as key_table
from gateway.model.ids import Controller, CustomerId, Incarnation, parse_controller, parse_customer, parse_device
from gateway.model.sealed import Reason, SealedPoint
from gateway.transport.store import Store, StoreUnreachable
from tests.unit.control.processes import open_erasures
from tests.world import CANARY, CONTROLLER, DAY, SECOND, World, message, ns

pytestmark = pytest.mark.both_key_stores


class Away:
    """A store that does not answer for as long as it is `away`."""

    def __init__(self, store: Store) -> None:
        self.store, self.away, self.asked = store, True, 0

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        self.asked += 1
        if self.away:
            raise StoreUnreachable("the store does not answer")
        return self.store.delete(measurements, pseudonyms)

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        return self.store.query(measurement, pseudonyms, start, end)


def erasures_over(world: World, store: Away) -> Erasures:
    return Erasures(world.control, world.custodian, {"readings": store}, policy=lambda: world.policy)


def subject(customer: str) -> tuple[Controller, CustomerId]:
    return parse_controller(CONTROLLER), parse_customer(CANARY + customer)


def found(world: World, erasure: bytes) -> rows.Erasure:
    with world.keystore.snapshot() as tx:
        row = acts.find_erasure(tx, erasure)
    assert row is not None
    return row


def states(world: World) -> dict[str, int]:
    return dict(world.sql("SELECT state, count(*) FROM keys GROUP BY state"))


def table(world: World, name: str) -> int:
    ((count,),) = world.sql(f"SELECT count(*) FROM {name}")  # noqa: S608 - a name of ours
    return int(count)


def phases(world: World) -> list[tuple[object, object, object]]:
    """The ledger as (act, phase, result), without its first line."""
    world.ledger.verify()
    return [(line["act"], line["phase"], line.get("result")) for line in ledger_lines(world.directory)[1:]]


def ledger_lines(directory: Path) -> list[dict[str, object]]:
    return [json.loads(raw) for raw in (directory / "ledger" / "ledger.jsonl").read_text().splitlines()]


def test_each_step_is_said_and_everything_is_gone(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    world.enrol("bo", "meter-3")
    for device in ("meter-1", "meter-2", "meter-3"):
        world.publish(device, temperature=21.5)
    world.ring.leave()
    world._registered = False
    said: list[Step] = []
    erased = world.erasures.erase(*subject("anna"), on_step=said.append)
    assert said == [Step.FENCED, Step.EFFECTIVE, Step.PURGED_ONCE, Step.PURGED]
    assert (erased.step, erased.rows, erased.workers) == (Step.PURGED, 2, 0)
    assert states(world) == {KeyState.DESTROYED: 3, KeyState.ACTIVE: 3}
    assert len(world.points()) == 1
    assert world.read("bo").value.tolist() == [21.5]
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    with pytest.raises(KeyDestroyed):
        world.erase("anna")
    assert phases(world)[-4:] == [
        ("erase", "intent", None),
        ("erase", "outcome", "done"),
        ("purge", "intent", None),
        ("purge", "outcome", "done"),
    ]


def test_what_was_captured_leaves_the_key_stores_files_with_the_last_step(world: World) -> None:
    world.enrol("anna", "meter-1")
    with world.keystore.act() as tx:  # a request of a worker that was killed: the second purge has to wait
        workers.register(tx, row_of_worker(renewed=0, boot="of another boot"))
    away = Away(world.store)
    away.away = False
    clock = FixedClock(world.clock.wall(), 10**15)
    other = World(world.directory, clock=clock)
    erasures = erasures_over(other, away)
    erasure = erasures._fence(*lineage_and_incarnation(other, "anna"))
    clock.advance(40 * SECOND)
    erasures.resume()
    clock.advance(40 * SECOND)
    erasures.resume()
    row = found(world, erasure)
    assert row.step == Step.PURGED_ONCE
    assert row.capture is not None
    assert row.purge_key is not None
    ((wrapped,),) = world.sql("SELECT wrapped FROM secrets WHERE kind = 'purge'")
    clock.advance(20 * SECOND)
    assert erasures.resume() == [erasure]
    files = b"".join(f.read_bytes() for f in world.directory.glob("keys.db*"))
    assert row.capture[:32] not in files
    assert wrapped[:32] not in files
    assert bytes(row.purge_key) not in files
    other.close()


def lineage_and_incarnation(world: World, customer: str) -> tuple[Lineage, Incarnation]:
    with world.keystore.snapshot() as tx:
        lineage = customers.open_lineage(tx, world.custodian, parse_controller(CONTROLLER))
        return lineage, customers.find_incarnation(tx, lineage, parse_customer(CANARY + customer))


ENDED = f"{process.own().rpartition(' ')[0]} 1"  # our PID, of a process that started long before us


def row_of_worker(*, renewed: int, boot: str, generation: int = -1, of: str = ENDED) -> rows.Worker:
    return rows.Worker(
        worker=b"w" * 16,
        boot=boot,
        generation=generation,
        lease=30 * SECOND,
        deadline=10 * SECOND,
        renewed=renewed,
        process=of,
    )


def test_there_is_nobody_to_erase(world: World) -> None:
    with pytest.raises(UnknownSubject, match="no such controller"):
        world.erase("anna")
    world.enrol("anna", "meter-1")
    with pytest.raises(UnknownSubject, match="no such customer"):
        world.erase("bo")


def test_a_store_that_is_away_leaves_the_purge_open_until_it_is_back(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=20.0)
    world.publish("meter-2", temperature=20.0)
    world.ring.leave()
    world._registered = False
    away = Away(world.store)
    erasures = erasures_over(world, away)
    for customer in ("anna", "bo"):
        assert erasures.erase(*subject(customer)).step is Step.EFFECTIVE
        with pytest.raises(KeyDestroyed):
            world.read(customer)
    assert len(world.points()) == 2
    away.asked = 0
    assert erasures.resume() == []
    assert away.asked == 1, "it does not answer for the other customer either"
    away.away = False
    assert len(erasures.resume()) == 2
    assert world.points() == []
    assert erasures.resume() == []


def test_the_second_purge_catches_what_was_under_way(world: World) -> None:
    clock = FixedClock(world.clock.wall(), 10**15)
    mine = World(world.directory, clock=clock)
    mine.enrol("anna", "meter-1")
    mine.lease._deadline = 10 * SECOND
    done = mine.process(message("meter-1", clock.wall(), temperature=20.0))
    with mine.polling():
        erased = mine.erasures.erase(*subject("anna"))
    assert erased.step is Step.PURGED_ONCE
    mine.store.write(done.points)  # a POST that was sent before, and took its time
    assert mine.erasures.resume() == []
    assert len(mine.points()) == 1
    assert 10 < mine.erasures.seconds_to_purge(erased.erasure) <= 11
    clock.advance(12 * SECOND)
    with mine.polling():
        assert mine.erasures.resume() == [erased.erasure]
    assert mine.points() == []
    row = found(world, erased.erasure)
    assert (row.rows_first, row.rows_second) == (0, 1)
    mine.close()


@pytest.mark.parametrize(("machine", "waits"), [("another-machine", True), (process.machine(), False)])
def test_after_a_restart_of_this_machine_requests_of_others_are_waited_for_anew(
    world: World, machine: str, waits: bool
) -> None:
    clock = FixedClock(world.clock.wall(), 10**15)
    mine = World(world.directory, clock=clock)
    mine.enrol("anna", "meter-1")
    done = mine.process(message("meter-1", clock.wall(), temperature=20.0))
    with mine.polling():
        erased = mine.erasures.erase(*subject("anna"))
    mine.ring.leave()
    with mine.keystore.act() as tx:
        workers.register(tx, row_of_worker(renewed=0, boot="then", generation=99, of=f"{machine} then pid:[1] 1 1"))
        acts.update_erasure(tx, erased.erasure, purge_due=1, purge_boot="then")
    mine.store.write(done.points)  # what that worker had sent before, and took its time
    assert mine.erasures.resume() == ([] if waits else [erased.erasure])
    assert len(mine.points()) == waits
    if waits:
        assert 10 < mine.erasures.seconds_to_purge(erased.erasure) <= 11
        clock.advance(12 * SECOND)
        assert mine.erasures.resume() == [erased.erasure]
    assert mine.points() == []
    mine._registered = False
    mine.close()


@pytest.mark.parametrize(("boot", "seconds"), [(lease.boot_id(), 30), ("of another machine", 33)])
def test_a_stopped_worker_is_waited_for_no_longer_than_its_lease(world: World, boot: str, seconds: int) -> None:
    """By its own clock where that is ours, else by ours and 10 % more."""
    clock = FixedClock(world.clock.wall(), 10**15)
    mine = World(world.directory, clock=clock)
    mine.enrol("anna", "meter-1")
    with mine.keystore.act() as tx:
        workers.register(tx, row_of_worker(renewed=clock.boottime_ns, boot=boot, generation=0))
    erasures = mine.erasures
    erasure = erasures._fence(*lineage_and_incarnation(mine, "anna"))
    erasures.resume()
    clock.advance(seconds * SECOND - 1)
    erasures.resume()
    assert found(mine, erasure).step == Step.FENCED, "not less"
    clock.advance(1)
    erasures.resume()
    assert found(mine, erasure).step == Step.PURGED_ONCE, "and not more"
    mine.close()


def test_a_dead_worker_is_waited_for_once_and_then_forgotten(world: World) -> None:
    clock = FixedClock(world.clock.wall(), 10**15)
    mine = World(world.directory, clock=clock)
    mine.enrol("anna", "meter-1")
    mine.enrol("bo", "meter-2")
    with mine.keystore.act() as tx:
        workers.register(tx, row_of_worker(renewed=clock.boottime_ns, boot=lease.boot_id(), generation=0))
    erasures = mine.erasures
    first = erasures._fence(*lineage_and_incarnation(mine, "anna"))
    for _ in range(3):
        erasures.resume()
        assert found(mine, first).step == Step.FENCED
        clock.advance(10 * SECOND)
    erasures.resume()
    assert found(mine, first).step == Step.PURGED_ONCE
    clock.advance(12 * SECOND)
    assert erasures.resume() == [first]
    assert table(mine, "workers") == 0
    assert erasures.erase(*subject("bo")).step is Step.PURGED
    mine.close()


def test_a_worker_that_was_forgotten_begins_again(world: World) -> None:
    clock = FixedClock(world.clock.wall(), 10**15)
    mine = World(world.directory, clock=clock)
    mine.enrol("anna", "meter-1")
    mine.enrol("bo", "meter-2")
    done = mine.process(message("meter-1", clock.wall(), temperature=20.0))
    assert len(done.points) == 1
    eraser = World(world.directory, clock=clock)
    erasures = eraser.erasures
    erasure = erasures._fence(*lineage_and_incarnation(eraser, "anna"))
    erasures.resume()
    clock.advance(34 * SECOND)
    erasures.resume()
    clock.advance(12 * SECOND)
    assert erasures.resume() == [], "it is alive, and may still send what it had under way"
    (owing,) = erasures.owing(erasure)
    assert owing.how == "lease over"
    accounting.declare_lost(eraser.control, erasure, owing.party)
    assert len(erasures.resume()) == 1
    assert table(mine, "workers") == 0
    assert mine.ring.poll()
    done = mine.process(
        message("meter-1", clock.wall(), temperature=20.0), message("meter-2", clock.wall(), temperature=20.0)
    )
    assert done.refusals.message == {0: Reason.ERASED}
    assert len(done.points) == 1
    assert table(mine, "workers") == 1
    eraser.close()
    mine.close()


def test_a_worker_that_goes_on_is_accounted_for_and_its_requests_are_waited_for(world: World) -> None:
    clock = FixedClock(world.clock.wall(), 10**15)
    mine = World(world.directory, clock=clock)
    mine.lease._deadline = 10 * SECOND
    mine.enrol("anna", "meter-1")
    mine.register()
    eraser = World(world.directory, clock=clock)
    erasures = eraser.erasures
    erasure = erasures._fence(*lineage_and_incarnation(eraser, "anna"))
    erasures.resume()
    clock.advance(34 * SECOND)
    erasures.resume()
    clock.advance(60 * SECOND)
    assert erasures.resume() == []
    assert mine.ring.poll()
    assert erasures.resume() == [], "what it had under way when it went on may land for another deadline"
    assert [(a.kind, a.how) for a in accounts_of(eraser, erasure)] == [
        ("broker", "purged"),
        ("queues", "purged"),
        ("worker", "acknowledged"),
    ]
    clock.advance(11 * SECOND)
    assert erasures.resume() == [erasure]
    eraser.close()
    mine.close()


def accounts_of(world: World, erasure: bytes) -> list[rows.Account]:
    with world.keystore.snapshot() as tx:
        return accounts.of_erasure(tx, erasure)


def test_only_who_is_owing_can_be_declared_lost_and_only_when_it_is_effective(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.register()
    erasures = world.erasures
    erasure = erasures._fence(*lineage_and_incarnation(world, "anna"))
    (worker,) = (a.party for a in erasures.owing(erasure) if a.kind == "worker")
    with pytest.raises(UsageFault, match="not effective yet"):
        accounting.declare_lost(world.control, erasure, worker)
    with pytest.raises(UsageFault, match="nobody of that name"):
        accounting.declare_lost(world.control, erasure, "somebody")


def test_an_old_worker_may_seal_into_a_month_that_no_capture_could_know(tmp_path: Path) -> None:
    clock = FixedClock(ns("2026-03-31T23:54:50+00:00"), 10**15)
    world = World(tmp_path / "state", clock=clock)
    world.enrol("anna", "meter-1")
    world.process(message("meter-1", clock.wall(), temperature=20.0))
    erasures = world.erasures
    erasures._fence(*lineage_and_incarnation(world, "anna"))
    clock.advance(15 * SECOND)  # within its lease, and it has not polled
    with world.ring.using():
        devices = world.ring.resolve([message("meter-1", 0).topic])
        late = message("meter-1", ns("2026-04-01T00:00:03+00:00"), temperature=21.0)
        sealed: list[SealedPoint] = world.chain([late], devices, clock.wall()).points
    world.store.write(sealed)
    assert len(world.points()) == 1
    world.ring.poll()
    erasures.resume()
    assert world.points() == []
    world.close()


def test_a_full_history_of_many_devices_is_captured(world: World) -> None:
    world.enrol("anna", *(f"meter-{n}" for n in range(20)), since=world.clock.wall() - 900 * DAY)
    for days in range(0, 720, 31):
        world.publish("meter-7", world.clock.wall() - days * DAY, temperature=20.0)
    assert len(world.points()) == 24
    assert world.erase("anna").rows == 24


def test_a_key_store_that_fails_in_the_middle_is_carried_on_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol("anna", "meter-1")
    with monkeypatch.context() as patch:
        patch.setattr(world.keystore, "scrub", lambda _traces: (_ for _ in ()).throw(Unreachable("locked")))
        with pytest.raises(Unreachable):
            world.erasures.erase(*subject("anna"))
    assert open_erasures(world) == 1
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    assert len(world.erasures.resume()) == 1
    assert open_erasures(world) == 0


def test_an_intent_that_the_key_store_never_heard_of_is_done(world: World) -> None:
    world.enrol("anna", "meter-1")
    _lineage, incarnation = lineage_and_incarnation(world, "anna")
    with world.ledger.locked():
        world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation=incarnation.hex(), access="0" * 64)
    fresh = World(world.directory)
    assert fresh.erasures.resume() == [bytes.fromhex("ab" * 16)]
    with pytest.raises(KeyDestroyed):
        fresh.read("anna")
    fresh.close()


def test_who_asks_a_moment_later_joins_the_erasure_under_way(world: World) -> None:
    world.enrol("anna", "meter-1")
    both = lineage_and_incarnation(world, "anna")
    first = world.erasures._fence(*both)
    other = World(world.directory)
    assert other.erasures._fence(*both) == first
    assert other.erasures.resume() == [first]
    other.close()


def test_an_intent_that_another_process_has_closed_meanwhile_is_left_alone(world: World) -> None:
    world.enrol("anna", "meter-1")
    _lineage, incarnation = lineage_and_incarnation(world, "anna")
    with world.ledger.locked():
        seq = world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation=incarnation.hex(), access="0" * 64)
    other = World(world.directory)
    line = other.ledger.open_intents[seq]
    with world.keystore.act() as tx:
        acts.record_intent(tx, seq=seq, act="erase failed", now=1)
    world.control.check()
    assert phases(world)[-1] == ("erase", "outcome", "failed")
    assert other.erasures._resume_intent(line)
    assert open_erasures(other) == 0
    assert len(other.read("anna")) == 0
    other.close()


def test_an_intent_of_somebody_who_is_gone_already_is_closed(world: World) -> None:
    world.enrol("anna", "meter-1")
    _lineage, incarnation = lineage_and_incarnation(world, "anna")
    world.erase("anna")
    for gone in (incarnation.hex(), "cd" * 16):
        with world.ledger.locked():
            world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation=gone, access="0" * 64)
        fresh = World(world.directory)
        fresh.erasures.resume()
        fresh.erasures.resume()
        assert phases(fresh)[-1] == ("erase", "outcome", "abandoned")
        fresh.close()


def damage_identity(world: World, incarnation: Incarnation) -> bytes:
    """Whose identity key opens no more; what it was."""
    mine = (key_table.c.incarnation == incarnation) & (key_table.c.key_class == "identity")
    with world.keystore.act() as tx:
        was = tx.execute(select(key_table.c.wrapped).where(mine)).scalar_one()
        tx.execute(key_table.update().where(mine).values(wrapped=bytes(len(was))))
    return bytes(was)


def test_one_that_cannot_begin_holds_up_no_other(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    lineage, incarnation = lineage_and_incarnation(world, "anna")
    was = damage_identity(world, incarnation)
    with world.ledger.locked():
        world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation=incarnation.hex(), access="0" * 64)
    anothers = world.erasures._fence(*lineage_and_incarnation(world, "bo"))
    with pytest.raises(VerificationFailed, match="an erasure that was asked for cannot begin") as caught:
        world.erasures.resume()
    assert "--release-lost" in caught.value.hint
    assert found(world, anothers).step == Step.PURGED
    done, faults = world.erasures.carry_on()
    assert (done, list(faults)) == ([], [bytes.fromhex("ab" * 16)])
    mine = (key_table.c.incarnation == incarnation) & (key_table.c.key_class == "identity")
    with world.keystore.act() as tx:
        tx.execute(key_table.update().where(mine).values(wrapped=was))
    assert world.erasures.resume() == [bytes.fromhex("ab" * 16)], "its row was brought back"
    assert lineage.controller == CONTROLLER
    assert world.ledger.open_intents == {}


def test_one_that_cannot_begin_is_closed_when_its_keys_are_given_up(world: World) -> None:
    world.enrol("anna", "meter-1")
    _lineage, incarnation = lineage_and_incarnation(world, "anna")
    damage_identity(world, incarnation)
    with world.ledger.locked():
        world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation=incarnation.hex(), access="0" * 64)
    with pytest.raises(VerificationFailed):
        world.erasures.resume()
    with pytest.raises(IntegrityStop, match="do not open"):
        world.turn_over()
    world.turnovers.release_lost(parse_controller(CONTROLLER))
    world.turn_over()
    assert world.erasures.resume() == []
    assert phases(world)[-1] == ("erase", "outcome", "abandoned"), "who loses the identity key loses all"
    world.control.check()


def test_one_among_a_thousand(world: World) -> None:
    for group in range(4):
        world.enrol(f"many-{group}", *(f"meter-{group}-{n}" for n in range(250)))
    world.enrol("anna", "meter-1")
    erased = world.erase("anna")
    assert erased.step is Step.PURGED


def test_what_a_turnover_rewrapped_before_it_was_deleted_is_looked_for_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enrol("anna", "meter-1")
    erasure = world.erasures.begin(*subject("anna"))
    passes, heat_co = world.turnovers, parse_controller(CONTROLLER)
    under_way = passes.begin(heat_co)
    while world.sql("SELECT DISTINCT e FROM keys") == [(1,)]:
        passes.advance(under_way)
        with world.keystore.snapshot() as tx:
            under_way = turnovers.find(tx, heat_co, 2)
    there = {trace(bytes(wrapped)) for (wrapped,) in world.sql("SELECT wrapped FROM keys")}
    asked, scrub = set[bytes](), world.keystore.scrub

    def sought(traces: Sequence[bytes]) -> int:
        asked.update(traces)
        return scrub(traces)

    monkeypatch.setattr(world.keystore, "scrub", sought)
    world.erasures.finish(erasure, started=0)
    assert there <= asked


def test_a_former_owners_erasure_leaves_the_new_owners_retained_message(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    line = Enrolment(
        line=2,
        controller=parse_controller(CONTROLLER),
        customer=parse_customer(CANARY + "bo"),
        device=parse_device(CANARY + "meter-1"),
        area="SE3",
        valid_from=world.clock.wall() - DAY,
    )
    hand_over(world.control, world.custodian, world.policy, [line])
    cleared = list[str]()

    class Broker:
        def clear(self, _controller: object, devices: Sequence[str]) -> int:
            cleared.extend(devices)
            return len(devices)

    erasures = world.erasures
    erasures.purging._retained = Broker()
    erasures.erase(*subject("anna"))
    assert set(cleared) == {CANARY + "meter-2"}


@pytest.mark.both_key_stores
def test_who_was_erased_twice_is_told_of_the_last_life(world: World) -> None:
    lives = list[Erased]()
    for meter in ("meter-1", "meter-2", "meter-3"):
        world.enrol("anna", meter, returning=bool(lives), since=world.clock.wall())
        lives.append(world.erasures.erase(*subject("anna")))
    assert lives[-1].certificate is not None
    with pytest.raises(KeyDestroyed) as destroyed:
        world.erasures.begin(*subject("anna"))
    assert str(lives[-1].certificate) in destroyed.value.hint


@pytest.mark.both_key_stores
def test_keys_of_many_are_sought_together_and_none_is_effective_before(
    world: World, monkeypatch: pytest.MonkeyPatch, keys_url: str
) -> None:
    """Also where the search is ended: whoever comes next searches for all of them."""
    for number in range(3):
        world.enrol(f"anna-{number}", f"meter-{number}")
    begun = [world.erasures.begin(*subject(f"anna-{number}")) for number in range(3)]
    scrub, sought = world.keystore.scrub, list[tuple[int, list[object]]]()

    def counted(traces: Sequence[bytes]) -> int:
        if traces:
            steps = [step for (step,) in world.sql("SELECT DISTINCT step FROM erasures")]
            sought.append((len(traces), steps))
        if len(sought) == 1:
            raise Unreachable("a reader keeps the log open")
        return scrub(traces)

    monkeypatch.setattr(world.keystore, "scrub", counted)
    with pytest.raises(Unreachable):
        world.erasures.resume()
    assert world.sql("SELECT count(*) FROM keys WHERE wrapped IS NOT NULL") == [(0,)]
    done, faults = world.erasures.finish_all(begun, started=0)
    assert [one.erasure for one in done] == begun
    assert not faults
    assert all(one.certificate is not None for one in done)
    count, steps = sought[0]
    assert sought == [(count, steps), (count, ["deleted"]), *sought[2:]]
    assert steps == ["deleted"]
    told = sum(traces_of(world, erasure) for erasure in begun)
    assert told == (count if keys_url.startswith("sqlite") else 0)


def traces_of(world: World, erasure: bytes) -> int:
    """How many its first certificate says were sought: on PostgreSQL there are no files to seek them in."""
    return int(json.loads(found(world, erasure).evidence or "{}")["traces"])
