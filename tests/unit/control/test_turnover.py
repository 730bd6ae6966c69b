"""Turnover: everything goes from under e - 1 to under e, old months go for ever, and nothing else is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import FixedClock
from gateway.control import pages
from gateway.control.enrolment import Enrolment, enrol
from gateway.control.pages import Step
from gateway.control.status import status
from gateway.control.turnover import Turnovers
from gateway.control.verification import verify
from gateway.errors import CustodianFault, IntegrityStop, KeyDestroyed, Refused, UnknownSubject, VerificationFailed
from gateway.keys import process
from gateway.keys.custodian import FileCustodian, PairedCustodian
from gateway.keys.lineage import Kind, Lineage
from gateway.keystore import lineages, rows, subjects, turnovers, workers
from gateway.keystore.database import KeyStore
from gateway.keystore.schema import keys as key_table
from gateway.model.ids import KeyEpoch, epoch_of, epoch_start, parse_controller, parse_customer, parse_device
from gateway.model.sealed import Reason
from tests.unit.control.test_erasure import ledger_lines, row_of_worker
from tests.world import CANARY, CONTROLLER, DAY, SECOND, ShiftedClock, World, ns

pytestmark = pytest.mark.both_key_stores

HEAT_CO = parse_controller(CONTROLLER)
START = ns("2026-03-10T12:00:00+00:00")


@pytest.fixture
def dated(tmp_path: Path, keys_url: str) -> Iterator[World]:
    """A world whose clock is ours."""
    made = World(tmp_path / "state", clock=ShiftedClock(START), keys=keys_url)
    yield made
    made.keystore.close()


def newest(world: World) -> rows.Turnover:
    with world.keystore.snapshot() as tx:
        found = turnovers.newest(tx, HEAT_CO)
    assert found is not None
    return found


def lineage_of(world: World) -> Lineage:
    with world.keystore.snapshot() as tx:
        found = Lineage.load(tx, world.custodian, HEAT_CO)
    assert found is not None
    return found


def test_everything_is_under_the_newest_and_still_read(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    world.enrol("bo", "meter-3")
    world.publish("meter-1", temperature=21.5)
    world.erase("bo")
    turned = world.turn_over()
    assert (turned.e, turned.rewrapped, turned.ratcheted) == (2, 3, 0)
    with world.keystore.snapshot() as tx:
        assert turnovers.left_behind(tx, HEAT_CO, e=2) == {"keys": 0, "routes": 0, "secrets": 0}
        assert list(lineages.find_keks(tx, HEAT_CO)) == [2]
        assert lineages.find_wrappings(tx, HEAT_CO)[1].custodian == "file"
    assert not world.custodian.exists(HEAT_CO, 1)
    world.publish("meter-1", temperature=22.5)
    assert world.read("anna").value.tolist() == [21.5, 22.5]
    with pytest.raises(KeyDestroyed):
        world.read("bo")
    assert world.enrol("bo", "meter-3").refused == [(2, "erased")]
    assert world.turn_over().e == 3
    assert world.read("anna").value.tolist() == [21.5, 22.5]


def test_the_ledger_tells_of_it_and_the_fence_file_is_under_the_newest(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.erase("anna")
    world.turn_over()
    lines = [json.loads(line) for line in world.ledger.path.read_text().splitlines()]
    intent, outcome = [line for line in lines if line["act"] == "turnover"]
    assert (intent["controller"], intent["e"], intent["horizons"]) == (CONTROLLER, 2, [])
    assert (outcome["result"], outcome["rewrapped"], outcome["custodian"]) == ("done", 0, "file")
    fences = world.ledger.read_fences()
    assert {line["secret_e"] for line in fences} == {2}
    assert len(fences) == 2
    world.ledger.verify()
    assert world.ledger.open_intents == {}


def test_a_series_keeps_its_name_and_a_redelivery_overwrites(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = world.clock.wall()
    before = world.publish("meter-1", at, temperature=21.5).points
    world.turn_over()
    after = world.publish("meter-1", at, temperature=21.5).points
    assert [(p.series.pseudonym, p.field, p.value) for p in after] == [
        (p.series.pseudonym, p.field, p.value) for p in before
    ]


def test_between_first_and_second_generation_both_are_looked_for(world: World) -> None:
    """Enrolment, look-up and reading go on while half of the rows are still under the older e."""
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    found = world.turnovers.begin(HEAT_CO)
    with world.polling():
        while found.step != Step.REWRAPPING:
            world.turnovers.advance(found)
            found = newest(world)
    assert world.enrol("bo", "meter-1").refused == [(2, "taken")], "also under the hash of before"
    world.enrol("cai", "meter-3")
    world.publish("meter-3", temperature=22.5)
    world.publish("meter-1", temperature=23.5)
    assert world.read("anna").value.tolist() == [21.5, 23.5]
    with world.polling():
        turned = world.turnovers.run(HEAT_CO)
    assert turned.rewrapped == 3, "what was enrolled meanwhile was under the newest already"
    assert world.read("cai").value.tolist() == [22.5]


def test_a_stale_lineage_writes_under_the_newest(world: World) -> None:
    """Another process opened its lineage before the turnover, and erases after it."""
    world.enrol("anna", "meter-1")
    stale = lineage_of(world)
    assert stale.e == 1
    world.turn_over()
    with world.keystore.act() as tx:
        secret = lineages.find_secret(tx, stale.add_purge_key(tx, now=1))
    assert secret is not None
    assert secret.e == 2


def test_a_worker_keeps_its_handles_where_no_key_has_changed(dated: World) -> None:
    world = dated
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=21.5)
    world.erase("bo")
    world.publish("meter-1", temperature=21.5)
    world.publish("meter-2", temperature=21.5)
    assert len(world.ring) == 2, "one of them is a fence"
    world.turn_over()
    assert len(world.ring) == 1, "the fence is asked for again: the pass may have let it go"
    world.publish("meter-1", temperature=22.5)
    assert lineage_of(world).e == 2
    with world.keystore.act() as tx:
        workers.raise_generation(tx)
    world.ring.poll()
    assert len(world.ring) == 0, "no turnover raised this generation"
    world.close()


def test_a_worker_that_missed_a_generation_lets_go_of_everything(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    with world.keystore.act() as tx:
        workers.raise_generation(tx)
    world.turnovers.begin(HEAT_CO)
    world.ring.poll()
    assert len(world.ring) == 0, "the generation before the turnover's was not the turnover's"
    world.turn_over()


def test_handles_do_not_reach_back_beyond_a_horizon_that_moved(dated: World) -> None:
    world = dated
    assert isinstance(world.clock, ShiftedClock)
    world.enrol("anna", "meter-1", since=1)
    first = lineage_of(world).horizons["telemetry"]
    world.turn_over()
    world.publish("meter-1", epoch_start(first + 1) + DAY, temperature=1.5)
    world.clock.advance(epoch_start(epoch_of(START) + 1) + DAY - START)
    world.ring.poll()
    assert len(world.ring) == 1
    world.turnovers.begin(HEAT_CO)
    world.ring.poll()
    assert len(world.ring) == 0
    world.close()


def test_old_months_go_with_their_rows_and_nothing_else(dated: World) -> None:
    world = dated
    world.enrol("anna", "meter-1", since=1)
    first = lineage_of(world).horizons["telemetry"]
    old, kept = epoch_start(first) + DAY, epoch_start(first + 1) + DAY
    world.publish("meter-1", old, temperature=1.5)
    world.publish("meter-1", kept, temperature=2.5)
    assert world.turn_over().ratcheted == 0, "the month is not over"
    assert isinstance(world.clock, ShiftedClock)
    world.clock.advance(epoch_start(epoch_of(START) + 1) + DAY - START)
    turned = world.turn_over()
    assert (turned.ratcheted, turned.expired) == (2, 1), "telemetry and billing; identity stays"
    assert lineage_of(world).horizons["telemetry"] == first + 1
    assert [p.time for p in world.points()] == [kept]
    assert world.read("anna", start=1).value.tolist() == [2.5]
    refused = world.publish("meter-1", old, temperature=1.5)
    assert list(refused.refusals.message.values()) == [Reason.TOO_OLD]
    with world.keystore.snapshot() as tx:
        (key,) = [k for k in all_keys(world) if k.key_class == "telemetry"]
        assert key.base == first + 1
        with pytest.raises(KeyDestroyed):
            lineage_of(world).open(key).pseudonym(CANARY + "meter-1", KeyEpoch(first))  # type: ignore[arg-type]
        assert lineages.find_secrets(tx, HEAT_CO, "purge") == []
    world.close()


def test_month_by_month_as_status_says(dated: World) -> None:
    """The clock goes past the horizon in steps: each time the month that status named goes, with its rows."""
    world = dated
    assert isinstance(world.clock, ShiftedClock)
    world.enrol("anna", "meter-1", since=1)
    first = lineage_of(world).horizons["telemetry"]
    names = {}
    for month in range(4):
        at = epoch_start(first + month) + DAY
        names[month] = world.publish("meter-1", at, temperature=month + 0.5).points[0].series.pseudonym
    for gone in range(1, 4):
        (told,) = status(world.keystore, world.policy, every_h=24)
        telemetry = next(month for month in told.months if month.key_class == "telemetry")
        assert telemetry.epoch == first + gone - 1
        assert telemetry.goes is not None
        world.clock.advance(telemetry.goes - world.clock.wall() - DAY)
        world.ring.poll()
        assert world.turn_over().expired == 0, "a day before it is still there"
        world.clock.advance(2 * DAY)
        world.ring.poll()
        assert world.turn_over().expired == 1
        assert sorted(p.series.pseudonym for p in world.points()) == sorted(names[m] for m in range(gone, 4))
        lineage = lineage_of(world)
        for key in all_keys(world):
            if key.key_class == "telemetry":
                for epoch in range(first, first + gone):
                    with pytest.raises(KeyDestroyed):
                        lineage.open_at_base(key).pseudonym(parse_device(CANARY + "meter-1"), KeyEpoch(epoch))
    assert world.read("anna", start=1).value.tolist() == [3.5]
    world.close()


def all_keys(world: World) -> list[rows.Key]:
    with world.keystore.snapshot() as tx:
        lineage = Lineage.load(tx, world.custodian, HEAT_CO)
        assert lineage is not None
        routes = subjects.find_routes(tx, lineage.route_hashes(Kind.CUSTOMER, CANARY + "anna"))
        return subjects.find_keys(tx, [route.incarnation for route in routes])


@pytest.mark.parametrize(("machine", "waits"), [("another-machine", True), (process.machine(), False)])
def test_after_a_restart_of_this_machine_requests_of_others_are_waited_for_anew(
    tmp_path: Path, keys_url: str, machine: str, waits: bool
) -> None:
    """Between the two purges of a month the ledger's machine is restarted: its boot times mean nothing now."""
    clock = FixedClock(START, 10**15)
    world = World(tmp_path / "state", clock=clock, keys=keys_url)
    world.enrol("anna", "meter-1", since=1)
    late = world.process_one("meter-1", epoch_start(lineage_of(world).horizons["telemetry"]) + DAY, temperature=1.5)
    world.store.write(late.points)
    world.ring.leave()
    clock.advance(epoch_start(epoch_of(START) + 1) + DAY - START)
    found = world.turnovers.begin(HEAT_CO)
    while found.step != Step.PURGED_ONCE:
        assert world.turnovers.advance(found)
        found = newest(world)
    assert world.points() == []
    with world.keystore.act() as tx:
        workers.register(tx, row_of_worker(renewed=0, boot="then", generation=99, of=f"{machine} then pid:[1] 1 1"))
        turnovers.update(tx, found, purge_due=1, purge_boot="then")
    world.store.write(late.points)  # what that worker had sent before, and took its time
    assert world.turnovers.advance(newest(world)) is not waits
    assert len(world.points()) == waits
    if waits:
        clock.advance(10 * SECOND)
        assert world.turnovers.advance(newest(world)) is False, "a deadline and a margin"
        clock.advance(2 * SECOND)
        assert world.turnovers.advance(newest(world)) is True
    assert world.points() == []
    assert newest(world).step == Step.REWRAPPING
    world._registered = False
    world.close()


def test_a_row_that_does_not_open_stops_the_pass_until_it_is_given_up(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=21.5)
    world.publish("meter-2", temperature=22.5)
    (telemetry,) = [key for key in all_keys(world) if key.key_class == "telemetry"]
    with world.keystore.act() as tx:
        tx.execute(key_table.update().where(key_table.c.key_id == telemetry.key_id).values(wrapped=bytes(61)))
    with pytest.raises(IntegrityStop, match="the turnover to e = 2 stopped: 1 keys do not open"):
        world.turn_over()
    assert world.custodian.exists(HEAT_CO, 1), "it may still open the row of a backup"
    assert world.read("bo").value.tolist() == [22.5]
    with pytest.raises(IntegrityStop):
        world.turn_over()
    assert world.turnovers.release_lost(HEAT_CO) == 1
    *_before, given_up = lines = ledger_lines(world.directory)
    assert (given_up["act"], given_up["rows"], given_up["incarnations"]) == ("release", 1, [])
    assert verify(world.ledger.path, str(world.ledger.key)).claims["signed_lines"] == len(lines)
    assert world.turn_over().e == 2
    assert not world.custodian.exists(HEAT_CO, 1)
    assert world.read("bo").value.tolist() == [22.5]
    with pytest.raises(VerificationFailed, match="key of class telemetry was given up as lost"):
        world.read("anna")
    world.erase("anna")
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    assert world.enrol("anna", "meter-1").refused == [(2, "erased")]


def test_who_lost_the_identity_key_is_told_of_and_keeps_nobody_else_out(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=21.5)
    (identity,) = [key for key in all_keys(world) if key.key_class == "identity"]
    with world.keystore.act() as tx:
        tx.execute(key_table.update().where(key_table.c.key_id == identity.key_id).values(wrapped=bytes(61)))
    for act in (world.erase, world.read):
        with pytest.raises(VerificationFailed, match="key of class identity does not open") as fault:
            act("anna")
        assert "keys restore" in fault.value.hint
        assert "--release-lost" in fault.value.hint
    assert world.enrol("anna", "meter-3").refused == [(2, "damaged")]
    lines = [line_of(world, number, who) for number, who in enumerate(("anna", "cia"), start=2)]
    taken = enrol(world.control, world.custodian, world.policy, lines)
    assert (taken.enrolled, taken.refused) == (1, [(2, "damaged")])
    with pytest.raises(IntegrityStop, match="the turnover to e = 2 stopped"):
        world.turn_over()
    assert world.turnovers.release_lost(HEAT_CO) == 3, "its key and two routes"
    assert ledger_lines(world.directory)[-1]["incarnations"] == [identity.incarnation.hex()]
    assert world.turn_over().e == 2
    assert len(world.points()) == 1, "nobody can name the rows that stay"
    assert world.process_one("meter-1", world.clock.wall(), temperature=1).refusals.message == {
        0: Reason.UNKNOWN_DEVICE
    }
    with pytest.raises(UnknownSubject):
        world.erase("anna")
    assert world.enrol("anna", "meter-1").enrolled == 1
    assert world.read("anna").value.tolist() == []


def line_of(world: World, number: int, customer: str) -> Enrolment:
    return Enrolment(
        line=number,
        controller=HEAT_CO,
        customer=parse_customer(CANARY + customer),
        device=parse_device(f"{CANARY}meter-of-{customer}"),
        area="SE3",
        valid_from=world.clock.wall(),
    )


def test_without_the_newest_wrapping_key_none_is_destroyed(world: World) -> None:
    world.enrol("anna", "meter-1")
    found = world.turnovers.begin(HEAT_CO)
    while found.step != Step.BACKED_UP:
        world.turnovers.advance(found)
        found = newest(world)
    (key_file,) = (world.directory / "kek").glob("w-*-2.key")
    away = key_file.rename(world.directory / "away")
    with pytest.raises(CustodianFault, match="does not have the newest wrapping key"):
        world.turnovers.advance(found)
    assert world.custodian.exists(HEAT_CO, 1)
    away.rename(key_file)
    assert world.turn_over().e == 2


@pytest.mark.parametrize("until", [None, Step.BACKED_UP], ids=["begins", "destroys"])
def test_a_second_custodian_whose_medium_is_away_has_destroyed_nothing(world: World, until: Step | None) -> None:
    """Its empty mount point would take a new key, and report the older ones gone that lie on the medium."""
    world.enrol("anna", "meter-1")
    (stick := world.directory / "stick").mkdir(mode=0o700)
    pair = PairedCustodian(world.custodian, FileCustodian(stick))
    turnovers = Turnovers(world.control, pair, lambda: world.policy, {"readings": world.store})
    assert turnovers.run(HEAT_CO).e == 2  # from here on the keys are under both
    found = turnovers.begin(HEAT_CO) if until else None
    while found is not None and found.step != until:
        turnovers.advance(found)
        found = newest(world)
    safe = stick.rename(world.directory / "safe")
    stick.mkdir(mode=0o700)
    with pytest.raises(CustodianFault, match="does not have the newest wrapping key"):
        turnovers.run(HEAT_CO)
    assert pair.exists(HEAT_CO, 2)
    stick.rmdir()
    safe.rename(stick)
    assert turnovers.run(HEAT_CO).e == 3
    assert not pair.exists(HEAT_CO, 2)


def test_a_worker_without_the_new_wrapping_key_uses_none_until_it_has_it(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    found = world.turnovers.begin(HEAT_CO)
    (key_file,) = (world.directory / "kek").glob("w-*-2.key")
    away = key_file.rename(world.directory / "away")
    with pytest.raises(CustodianFault):
        world.ring.poll()
    assert world.turnovers.advance(found) is False, "it has not acknowledged"
    away.rename(key_file)
    world.ring.poll()
    assert world.turnovers.advance(found) is True
    assert world.publish("meter-1", temperature=22.5).points


def test_a_worker_that_holds_on_is_waited_for(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    found = world.turnovers.begin(HEAT_CO)
    assert world.turnovers.advance(found) is False
    world.ring.poll()
    assert world.turnovers.advance(found) is True
    assert newest(world).step == Step.RELEASED


def test_ticks_begin_what_is_due_once_a_day(dated: World) -> None:
    world = dated
    world.enrol("anna", "meter-1")
    passes = world.turnovers
    passes.tick()
    with world.keystore.snapshot() as tx:
        assert turnovers.newest(tx, HEAT_CO) is None
    assert isinstance(world.clock, ShiftedClock)
    world.clock.advance(DAY)
    while True:
        passes.tick()
        if newest(world).step == Step.DONE:
            break
    passes.tick()  # the outcome, where the time of the last one was up
    assert world.ledger.open_intents == {}
    passes.tick()
    assert newest(world).e == 2, "once a day"
    world.close()


def test_one_whose_rows_do_not_open_holds_up_no_others_pass(dated: World) -> None:
    world, other = dated, parse_controller("z-co")
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2", controller=other)
    billing = next(key for key in all_keys(world) if key.key_class == "billing" and key.controller == HEAT_CO)
    with world.keystore.act() as tx:
        tx.execute(key_table.update().where(key_table.c.key_id == billing.key_id).values(wrapped=bytes(61)))
    passes, said = world.turnovers, list[tuple[str, str | None]]()
    passes.on_trouble = lambda fault, whose: said.append((str(fault), whose))
    assert isinstance(world.clock, ShiftedClock)
    world.clock.advance(DAY)
    found: rows.Turnover | None = None
    for _ in range(100):
        passes.tick()
        with world.keystore.snapshot() as tx:
            found = turnovers.newest(tx, other)
        if found is not None and found.step == Step.DONE:
            break
    assert found is not None
    assert found.step == Step.DONE
    assert newest(world).step == Step.REWRAPPING
    assert len(said) == 1, "it rests, and is told once"
    assert "do not open" in said[0][0]
    assert said[0][1] == HEAT_CO
    world.clock.advance(61 * SECOND)
    for _ in range(100):  # a tick ends when its time is up: on a busy machine before it comes to that row
        passes.tick()
        if len(said) == 2:
            break
    assert len(said) == 2, "and when it has rested again"
    world.close()


def test_a_process_that_another_one_overtook_forgets_the_older_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "KEYS", 2)
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    mine = world.turnovers
    found = mine.begin(HEAT_CO)
    while found.step != Step.REWRAPPING:
        mine.advance(found)
        found = newest(world)
    mine.advance(found)
    assert mine._pages._made, "one page"
    other = World(world.directory)
    assert other.turn_over().e == 2
    other.close()
    mine.tick()
    assert mine._pages._made == {}


def test_a_page_of_a_pass_that_another_process_ended_forgets_the_older_key(world: World) -> None:
    world.enrol("anna", "meter-1")
    mine = world.turnovers
    found = mine.begin(HEAT_CO)
    while found.step != Step.REWRAPPING:
        mine.advance(found)
        found = newest(world)
    mine.advance(found)
    other = World(world.directory)
    assert other.turn_over().e == 2
    other.close()
    mine.advance(found)
    assert mine._pages._made == {}


def test_an_operators_horizon_is_not_lost_on_a_pass_that_is_under_way(dated: World) -> None:
    """`run` begins one a day; its horizons are those that the clock guard allowed."""
    dated.enrol("anna", "meter-1")
    dated.clock.advance(35 * DAY)  # type: ignore[attr-defined]
    dated.turn_over()
    dated.clock.advance(80 * DAY)  # type: ignore[attr-defined]
    before = horizon_of(dated)
    dated.turnovers.begin(HEAT_CO)
    asked = epoch_of(dated.clock.wall())
    assert dated.turn_over(until=asked).e == 4
    assert horizon_of(dated) > before + 1
    dated.turnovers.begin(HEAT_CO)
    with pytest.raises(Refused, match="another process has just begun"):
        dated.turnovers.begin(HEAT_CO, until=asked)


def horizon_of(world: World) -> int:
    with world.keystore.snapshot() as tx:
        return max(lineages.find_horizons(tx, HEAT_CO).values())


def test_two_at_once_make_one_pass(world: World) -> None:
    world.enrol("anna", "meter-1")
    other = World(world.directory)
    assert world.turnovers.begin(HEAT_CO).e == other.turnovers.begin(HEAT_CO).e == 2
    other.close()
    assert world.turn_over().e == 2


def test_a_lineage_of_one_controller_does_not_see_anothers(world: World) -> None:
    world.enrol("anna", "meter-1")
    with world.keystore.snapshot() as tx:
        generation = workers.generation(tx)
    world.turn_over()
    with world.keystore.snapshot() as tx:
        assert workers.generation(tx) == generation + 2
    assert isinstance(world.keystore, KeyStore)
