"""Suspension and rekey: keys that rest, and keys that follow others, without a reading lost or read under two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.control.rekey import Rekeyed, rekey
from gateway.control.suspension import Suspensions
from gateway.errors import KeyDestroyed, Refused
from gateway.keys.lifecycle import KeyState
from gateway.keystore import accounts, lineages, subjects, workers
from gateway.model.ids import parse_controller, parse_customer
from gateway.model.sealed import Reason
from tests.unit.control.test_dates import Site
from tests.unit.control.test_turnover import HEAT_CO, START, all_keys
from tests.world import CANARY, DAY, SECOND, ShiftedClock, World

pytestmark = pytest.mark.both_key_stores

ANNA = parse_customer(CANARY + "anna")


def suspensions(world: World) -> Suspensions:
    return Suspensions(world.control, world.custodian)


def reasons(world: World, device: str) -> list[Reason]:
    return list(world.publish(device, temperature=1.5).refusals.message.values())


def renewed(world: World) -> Rekeyed:
    with world.polling():
        return rekey(world.control, world.custodian, HEAT_CO, ANNA, window_s=300, lease_s=30)


def test_a_customer_rests_and_is_resumed(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=21.5)
    with world.polling():
        done = suspensions(world).suspend(HEAT_CO, ANNA)
    assert (done.changed, done.in_force) == (True, True)
    assert reasons(world, "meter-1") == [Reason.SUSPENDED]
    assert reasons(world, "meter-2") == []
    with pytest.raises(Refused, match="suspended and opens nothing now"):
        world.read("anna")
    assert not suspensions(world).suspend(HEAT_CO, ANNA).changed
    with world.polling():
        assert suspensions(world).resume(HEAT_CO, ANNA).changed
    assert reasons(world, "meter-1") == []
    assert world.read("anna").value.tolist() == [21.5, 1.5]


@pytest.mark.parametrize("scope", [HEAT_CO, None], ids=["controller", "everything"])
def test_a_controller_or_everything_rests(world: World, scope: str | None) -> None:
    controller = None if scope is None else parse_controller(scope)
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    with world.polling():
        assert suspensions(world).suspend(controller).in_force
    assert reasons(world, "meter-1") == [Reason.SUSPENDED]
    with pytest.raises(Refused, match="or the whole gateway, is suspended"):
        world.read("anna")
    with world.polling():
        suspensions(world).resume(controller)
    assert world.read("anna").value.tolist() == [21.5]


def test_the_suspended_can_be_erased_and_turned_over(world: World) -> None:
    world.enrol("anna", "meter-1")
    suspensions(world).suspend(HEAT_CO, ANNA)
    suspensions(world).suspend(None)
    assert world.turn_over().rewrapped == 3
    world.erase("anna")
    with pytest.raises(KeyDestroyed):
        world.read("anna")


@pytest.fixture
def holding(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = Site(tmp_path, keys_url, hold="telemetry")
    yield made
    made.world.close()


@pytest.mark.parametrize("over", [False, True], ids=["at once", "when the new keys are in force"])
def test_who_was_rekeyed_can_be_erased_though_a_law_keeps_a_class(holding: Site, *, over: bool) -> None:
    site, world = holding, holding.world
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    renewed(world)
    if over:
        site.clock.advance(3_600 * SECOND)
        world.ring.poll()
        world.turn_over()
    world.erase("anna")
    states = world.sql("SELECT key_class, version, state FROM keys")
    assert {(name, version): state for name, version, state in states} == {
        (name, version): KeyState.DEACTIVATED if name == "telemetry" else KeyState.DESTROYED
        for name in ("identity", "billing", "telemetry")
        for version in (1, 2)
    }
    (erasure,) = site.erasures()
    with world.keystore.snapshot() as tx:
        assert len(accounts.holds_of(tx, erasure.erasure)) == 2
    world.ring.leave()
    world._registered = False
    site.clock.advance(150 * DAY)
    (end,) = world.erasures.release(HEAT_CO)
    assert end in world.erasures.resume()
    assert set(world.sql("SELECT state FROM keys")) == {("destroyed",)}
    assert world.points() == []


def test_every_key_of_who_rests_rests(world: World) -> None:
    """Also those that were replaced, or are not in force yet, whose own states a suspension leaves as they are."""
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    (point,) = world.publish("meter-1", temperature=21.5).points
    (other,) = world.publish("meter-2", temperature=22.5).points
    both = {point.series.key_id, other.series.key_id}
    renewed(world)
    assert world.ring.living(both) == both
    with world.polling():
        suspensions(world).suspend(HEAT_CO, ANNA)
    assert world.ring.living(both) == {other.series.key_id}
    with world.polling():
        suspensions(world).suspend(HEAT_CO)
    assert world.ring.living(both) == set()
    with world.polling():
        suspensions(world).resume(HEAT_CO)
        suspensions(world).resume(HEAT_CO, ANNA)
    assert world.ring.living(both) == both


def test_each_event_time_has_one_version(tmp_path: Path) -> None:
    world = World(tmp_path / "state", clock=ShiftedClock(START))
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    before = world.publish("meter-1", now, temperature=1.5).points
    done = renewed(world)
    assert done.valid_from >= now + 333 * SECOND
    again = world.publish("meter-1", now, temperature=1.5).points
    assert [(p.series.pseudonym, p.value) for p in again] == [(p.series.pseudonym, p.value) for p in before]
    states = {(k.key_class, k.version): k.state for k in all_keys(world)}
    assert states["telemetry", 1] == KeyState.COMPROMISED
    assert states["telemetry", 2] == KeyState.PRE_ACTIVATION
    assert states["identity", 2] == KeyState.ACTIVE
    with pytest.raises(Refused, match="not over yet"):
        renewed(world)
    assert isinstance(world.clock, ShiftedClock)
    world.clock.advance(340 * SECOND)
    world.ring.poll()
    after = world.publish("meter-1", done.valid_from, temperature=2.5).points
    late = world.publish("meter-1", done.valid_from - 1_000_000, temperature=3.5).points
    assert after[0].series.pseudonym != before[0].series.pseudonym == late[0].series.pseudonym
    assert sorted(world.read("anna").value.tolist()) == [1.5, 2.5, 3.5]
    world.turn_over()
    key = next(k for k in all_keys(world) if (k.key_class, k.version) == ("telemetry", 2))
    assert key.state == KeyState.ACTIVE
    with world.keystore.snapshot() as tx:
        assert subjects.transitions_of(tx, key.key_id) == [
            (KeyState.PRE_ACTIVATION, pytest.approx(now, abs=60 * SECOND)),
            (KeyState.ACTIVE, done.valid_from),
        ]
    renewed(world)
    world.erase("anna")
    with world.keystore.snapshot() as tx:
        assert lineages.count_states(tx, HEAT_CO) == {KeyState.DESTROYED: 9}
    world.close()


def test_records_are_under_the_new_identity_key(world: World) -> None:
    world.enrol("anna", "meter-1", purposes=["development"])
    renewed(world)
    old = next(k for k in all_keys(world) if (k.key_class, k.version) == ("identity", 1))
    with world.keystore.snapshot() as tx:
        records = subjects.all_records(tx, old.incarnation)
    assert {record.version for record in records} == {2}
    world.enrol("anna", "meter-2")
    assert world.publish("meter-2", temperature=1.5).points


def test_the_suspended_are_not_rekeyed(world: World) -> None:
    world.enrol("anna", "meter-1")
    suspensions(world).suspend(HEAT_CO, ANNA)
    with pytest.raises(Refused, match="this customer is suspended"):
        renewed(world)


def test_a_key_whose_successor_was_lost_seals_nothing_until_it_has_another(tmp_path: Path) -> None:
    """As `keys recover` leaves it: compromised, and nothing after it."""
    world = World(tmp_path / "state", clock=ShiftedClock(START))
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    world.publish("meter-1", now, temperature=1.5)
    with world.keystore.act() as tx:
        for key in subjects.find_keys(tx, [all_keys(world)[0].incarnation]):
            subjects.move_key(tx, key.key_id, state=KeyState.COMPROMISED, now=now)
        workers.raise_generation(tx)
    world.ring.poll()
    assert reasons(world, "meter-1") == [Reason.SUSPENDED]
    assert world.read("anna").value.tolist() == [1.5]
    done = renewed(world)
    world.ring.poll()
    assert world.publish("meter-1", now + SECOND, temperature=2.5).points
    assert isinstance(world.clock, ShiftedClock)
    world.clock.advance(340 * SECOND)
    world.ring.poll()
    assert world.publish("meter-1", done.valid_from, temperature=3.5).points
    assert world.read("anna").value.tolist() == [1.5, 2.5, 3.5]
    world.close()
