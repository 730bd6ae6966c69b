"""A worker's ring: what it finds, why it refuses, and that it lets go of everything when keys change."""

from __future__ import annotations

import dataclasses
import pickle
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.clock import FixedClock
from gateway.control.enrolment import Enrolment, enrol
from gateway.errors import (
    ConfigurationFault,
    CustodianFault,
    GlomskaError,
    IntegrityStop,
    KeyDestroyed,
    KeyMissing,
    LeaseOver,
    Refused,
    Unreachable,
)
from gateway.keys.custodian import Mark
from gateway.keys.handle import Device, Window
from gateway.keys.lifecycle import KeyState
from gateway.keys.lineage import Lineage
from gateway.keys.ring import GenerationMoved
from gateway.keystore import rows, subjects, workers
from gateway.keystore.schema import keys as key_table
from gateway.keystore.schema import transitions
from gateway.model.ids import epoch_of, epoch_start, parse_controller, parse_customer, parse_device
from gateway.model.sealed import Reason
from gateway.policy.load import load_policy
from gateway.policy.rules import Mode, Policy, horizon_epoch
from gateway.runtime.config import resource
from tests.world import CANARY, CONTROLLER, DAY, PATTERN, SECOND, World, message, ns, topic

pytestmark = pytest.mark.both_key_stores

NOW = ns("2026-06-15T12:00:00+00:00")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(wall_ns=NOW, boottime_ns=10**15)


@pytest.fixture
def fixed(tmp_path: Path, clock: FixedClock, keys_url: str) -> Iterator[World]:
    """A world whose time stands still."""
    made = World(tmp_path / "state", clock=clock, keys=keys_url)
    yield made
    made.close()
    assert made.leaks() == []


def look(world: World, device: str, time: int = NOW) -> Window | Reason:
    """What the ring says of one device at one event time."""
    return look_up(world, topic(device), time)


def look_up(world: World, name: str, time: int = NOW) -> Window | Reason:
    world.register()
    with world.ring.using():
        (found,) = world.ring.resolve([name])
        return found.at(time) if isinstance(found, Device) else found


def keys_of(world: World) -> list[rows.Key]:
    with world.keystore.snapshot() as tx:
        return rows.many(rows.Key, tx.execute(key_table.select()))


def move_all(world: World, state: KeyState) -> None:
    with world.keystore.act() as tx:
        for key in rows.many(rows.Key, tx.execute(key_table.select())):
            subjects.move_key(tx, key.key_id, state=state, now=NOW)
        workers.raise_generation(tx)
    world.ring.poll()


def test_an_enrolled_device_is_found(fixed: World) -> None:
    fixed.enrol("anna", "meter-1")
    window = look(fixed, "meter-1")
    assert isinstance(window, Window)
    assert len(fixed.ring) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (topic("nobody's"), Reason.UNKNOWN_DEVICE),
        (topic("meter-1", controller="other-co"), Reason.UNKNOWN_DEVICE),
        ("another/topic", Reason.TOPIC),
        ("", Reason.TOPIC),
    ],
)
def test_what_is_not_enrolled_is_refused_and_not_kept(fixed: World, name: str, reason: Reason) -> None:
    fixed.enrol("anna", "meter-1")
    assert look_up(fixed, name) is reason
    assert len(fixed.ring) == 0


def test_before_enrolment_a_device_was_nobody_s(fixed: World) -> None:
    fixed.enrol("anna", "meter-1", since=NOW - DAY)
    assert isinstance(look(fixed, "meter-1", NOW - DAY), Window)
    assert look(fixed, "meter-1", NOW - DAY - 1) is Reason.UNKNOWN_DEVICE


def test_older_than_the_horizon_is_too_old(fixed: World) -> None:
    horizon = horizon_epoch(fixed.policy, "telemetry", NOW)
    assert horizon == epoch_of(NOW) - 24
    fixed.enrol("anna", "meter-1", since=1)
    assert isinstance(look(fixed, "meter-1", epoch_start(horizon)), Window)
    assert look(fixed, "meter-1", epoch_start(horizon) - 1) is Reason.TOO_OLD


def test_an_erased_device_is_refused_as_erased_by_ring_old_and_new(fixed: World, tmp_path: Path) -> None:
    fixed.enrol("anna", "meter-1")
    fixed.enrol("bert", "meter-2")
    assert isinstance(look(fixed, "meter-1"), Window)
    fixed.erase("anna")
    assert look(fixed, "meter-1") is Reason.ERASED
    assert isinstance(look(fixed, "meter-2"), Window)
    later = World(tmp_path / "state", clock=fixed.clock)
    assert look(later, "meter-1") is Reason.ERASED
    later.close()


@pytest.mark.parametrize("state", [KeyState.SUSPENDED, KeyState.DEACTIVATED, KeyState.COMPROMISED])
def test_keys_that_seal_nothing_refuse_as_suspended(fixed: World, state: KeyState) -> None:
    fixed.enrol("anna", "meter-1")
    key = look(fixed, "meter-1")
    assert isinstance(key, Window)
    move_all(fixed, state)
    assert look(fixed, "meter-1") is Reason.SUSPENDED
    series = key.series[0]
    assert series is not None
    assert fixed.ring.living([series.series.key_id]) == set()


@pytest.mark.parametrize("clock_name", ["boottime_ns", "wall_ns"])
def test_without_a_lease_no_key_is_used(fixed: World, clock: FixedClock, clock_name: str) -> None:
    fixed.enrol("anna", "meter-1")
    look(fixed, "meter-1")
    generation = fixed.ring.generation
    setattr(clock, clock_name, getattr(clock, clock_name) + 30 * SECOND)
    with pytest.raises(LeaseOver), fixed.ring.using():
        pytest.fail("a lease that is over let a key be used")
    with pytest.raises(LeaseOver):
        fixed.ring.fit_to_send(generation)
    with pytest.raises(LeaseOver):
        fixed.ring.living([])
    fixed.ring.poll()
    assert isinstance(look(fixed, "meter-1"), Window)


def test_a_poll_drops_everything_when_the_generation_moves_and_only_then(fixed: World) -> None:
    fixed.enrol("anna", "meter-1", "meter-2")
    look(fixed, "meter-1")
    look(fixed, "meter-2")
    assert fixed.ring.poll() is False
    assert len(fixed.ring) == 2
    before = fixed.ring.generation
    assert fixed.ring.fit_to_send(before)
    with fixed.keystore.act() as tx:
        workers.raise_generation(tx)
    assert fixed.ring.poll() is True
    assert len(fixed.ring) == 0
    assert not fixed.ring.fit_to_send(before)
    with fixed.keystore.snapshot() as tx:
        assert [w.generation for w in workers.find_all(tx)] == [before + 1]


def test_a_fill_that_raced_a_new_generation_is_thrown_away(fixed: World) -> None:
    fixed.enrol("anna", "meter-1")
    fixed.register()
    with fixed.keystore.act() as tx:
        workers.raise_generation(tx)
    with fixed.ring.using(), pytest.raises(GenerationMoved) as caught:
        fixed.ring.resolve([topic("meter-1")])
    assert str(caught.value) == "keys have changed since this worker last looked"
    assert len(fixed.ring) == 0
    fixed.ring.poll()
    assert isinstance(look(fixed, "meter-1"), Window)


def test_a_generation_waits_for_whoever_uses_keys(fixed: World) -> None:
    """Acknowledged is what nobody uses any more."""
    fixed.enrol("anna", "meter-1")
    fixed.register()
    with fixed.keystore.act() as tx:
        workers.raise_generation(tx)
    polled = threading.Thread(target=fixed.ring.poll)
    with fixed.ring.using() as generation:
        polled.start()
        polled.join(0.1)
        assert polled.is_alive()
        with fixed.keystore.snapshot() as tx:
            assert [w.generation for w in workers.find_all(tx)] == [generation]
    polled.join()
    with fixed.keystore.snapshot() as tx:
        assert [w.generation for w in workers.find_all(tx)] == [generation + 1]


def test_only_the_living_keys_remain_after_an_erasure(fixed: World) -> None:
    fixed.enrol("anna", "meter-1")
    fixed.enrol("bert", "meter-2")
    fixed.register()
    all_keys = {row.key_id for row in keys_of(fixed)}
    assert fixed.ring.living(all_keys) == all_keys
    fixed.erase("anna")
    left = {row.key_id for row in keys_of(fixed) if row.state == KeyState.ACTIVE}
    assert fixed.ring.living(all_keys) == left
    assert len(left) == len(all_keys) // 2
    assert fixed.ring.living([b"x" * 16]) == set()  # type: ignore[list-item]


def test_fences_made_while_a_worker_began_are_known_to_it(
    fixed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure commits between reading the lineages and registering."""
    fixed.enrol("anna", "meter-1")
    late = World(tmp_path / "state", clock=fixed.clock)
    register = late.lease.register

    def erased_just_before() -> int:
        fixed.erase("anna")
        return register()

    monkeypatch.setattr(late.lease, "register", erased_just_before)
    assert look(late, "meter-1") is Reason.ERASED
    late.close()


def test_a_controller_added_after_the_start_is_found(fixed: World) -> None:
    fixed.register()
    assert look(fixed, "meter-1") is Reason.UNKNOWN_DEVICE
    fixed.enrol("anna", "meter-1")
    assert isinstance(look(fixed, "meter-1"), Window)


def test_two_controllers_with_one_device_id_do_not_meet(fixed: World) -> None:
    lines = [
        Enrolment(
            line=number,
            controller=parse_controller(controller),
            customer=parse_customer(CANARY + "anna"),
            device=parse_device(CANARY + "meter-1"),
            area="SE3",
            valid_from=NOW - DAY,
        )
        for number, controller in enumerate(["heat-co", "cold-co"], start=2)
    ]
    assert enrol(fixed.control, fixed.custodian, fixed.policy, lines).enrolled == 2
    seen = {}
    for controller in ("heat-co", "cold-co"):
        window = look_up(fixed, topic("meter-1", controller=controller))
        assert isinstance(window, Window)
        (series,) = window.series
        assert series is not None
        seen[controller] = (series.series.pseudonym, series.series.key_id)
    assert len(set(seen.values())) == 2
    assert len({pseudonym for pseudonym, _key in seen.values()}) == 2
    fixed.erase("anna")  # of heat-co
    assert look_up(fixed, topic("meter-1", controller="heat-co")) is Reason.ERASED
    assert isinstance(look_up(fixed, topic("meter-1", controller="cold-co")), Window)


@contextmanager
def counted_statements(world: World) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    sa.event.listen(world.keystore._backend.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(world.keystore._backend.engine, "before_cursor_execute", note)


def test_many_devices_are_looked_up_in_few_queries(fixed: World) -> None:
    devices = [f"meter-{n}" for n in range(2000)]
    fixed.enrol("anna", *devices[:1990])
    for customer, device in enumerate(devices[1990:]):
        fixed.enrol(f"customer-{customer}", device)
    fixed.register()
    with counted_statements(fixed) as seen, fixed.ring.using():
        found = fixed.ring.resolve([topic(device) for device in devices])
    assert all(isinstance(device, Device) for device in found)
    assert len(seen) <= 4 * 4 + 2  # for each 500: routes, fences, keys, choices
    with counted_statements(fixed) as seen, fixed.ring.using():
        assert fixed.ring.resolve([topic(device) for device in devices]) == found
    assert seen == []


# Purposes


def policy_where_battery_asks_for_consent() -> Policy:
    policy = load_policy(resource("policy.toml"))
    purposes = {
        name: dataclasses.replace(purpose, quantities=purpose.quantities - {"battery"})
        if name != "development"
        else purpose
        for name, purpose in policy.purposes.items()
    }
    return dataclasses.replace(policy, purposes=purposes)


def test_a_consent_permits_from_its_own_event_time_on(tmp_path: Path, clock: FixedClock) -> None:
    world = World(tmp_path / "state", clock=clock, policy=policy_where_battery_asks_for_consent())
    world.enrol("anna", "meter-1")
    world.enrol("bert", "meter-2", purposes=["development"])
    battery = world.policy.mask(["battery"])
    everything = world.policy.mask(q.name for q in world.policy.quantities)

    def permitted(device: str, time: int) -> int:
        window = look(world, device, time)
        assert isinstance(window, Window)
        return window.permitted

    assert permitted("meter-1", NOW) == everything - battery
    assert permitted("meter-2", NOW) == everything
    assert permitted("meter-2", NOW - 1) == everything - battery
    assert permitted("meter-2", NOW) == everything
    world.close()


def test_a_quantity_that_is_dropped_is_permitted_to_nobody(tmp_path: Path, clock: FixedClock) -> None:
    policy = load_policy(resource("policy.toml"))
    quantities = tuple(dataclasses.replace(q, mode=Mode.DROP) if q.name == "battery" else q for q in policy.quantities)
    world = World(tmp_path / "state", clock=clock, policy=dataclasses.replace(policy, quantities=quantities))
    world.enrol("anna", "meter-1")
    window = look(world, "meter-1")
    assert isinstance(window, Window)
    assert not window.permitted & policy.mask(["battery"])
    world.close()


# What stops a start or a look-up


@pytest.mark.parametrize(("gone", "fault"), [("w-*", CustodianFault), ("*", Unreachable)], ids=["keys", "medium"])
def test_without_the_custodian_no_worker_begins(
    fixed: World, tmp_path: Path, gone: str, fault: type[GlomskaError]
) -> None:
    fixed.enrol("anna", "meter-1")
    fixed.custodian.set_mark(b"l" * 16, Mark(1, "0" * 64))
    for file in (tmp_path / "state/kek").glob(gone):
        file.unlink()
    with pytest.raises(fault):
        fixed.ring.register()
    with fixed.keystore.snapshot() as tx:
        assert workers.find_all(tx) == []


def test_a_key_class_that_the_key_store_was_made_without_is_told(fixed: World, tmp_path: Path) -> None:
    fixed.enrol("anna", "meter-1")
    moved = tuple(dataclasses.replace(q, key_class="heating") for q in fixed.policy.quantities)
    classes = dict(fixed.policy.key_classes)
    classes["heating"] = dataclasses.replace(classes["telemetry"], name="heating")
    policy = dataclasses.replace(fixed.policy, quantities=moved, key_classes=classes)
    later = World(tmp_path / "state", clock=fixed.clock, policy=policy)
    told = "policy.toml: key_classes: this key store was made without heating"
    with pytest.raises(ConfigurationFault, match=told):
        later.ring.register()
    with pytest.raises(ConfigurationFault, match=told):
        later.enrol("bert", "meter-2")
    later.close()


def test_a_key_that_should_be_there_and_is_not_is_an_incident(fixed: World) -> None:
    fixed.enrol("anna", "meter-1")
    with fixed.keystore.act() as tx:
        tx.execute(key_table.update().where(key_table.c.key_class == "telemetry").values(wrapped=None))
    done = fixed.process(message("meter-1", fixed.clock.wall(), power=1))
    assert (done.points, done.refusals.readings, len(fixed.ring.unusable)) == ([], {Reason.SUSPENDED: 1}, 1)
    with pytest.raises(KeyMissing, match="a key of class telemetry is active but has no material"):
        fixed.read("anna")


def opened(world: World, **changes: object) -> None:
    with world.keystore.snapshot() as tx:
        lineage = Lineage.load(tx, world.custodian, parse_controller(CONTROLLER))
    assert lineage is not None
    lineage.open(dataclasses.replace(keys_of(world)[0], **changes))  # type: ignore[arg-type]


def test_a_key_opens_by_its_state_and_commitment(fixed: World) -> None:
    fixed.enrol("anna", "meter-1")
    opened(fixed)
    opened(fixed, state=KeyState.COMPROMISED)
    opened(fixed, state=KeyState.PRE_ACTIVATION)  # what was sealed under it is from the event time on that it is for
    for state in (KeyState.ERASING, KeyState.DESTROYED):
        with pytest.raises(KeyDestroyed, match="this customer's key was destroyed"):
            opened(fixed, state=state)
    for state in (KeyState.SUSPENDED, KeyState.DEACTIVATED):
        with pytest.raises(Refused, match=f"this customer's key is {state} and opens nothing now"):
            opened(fixed, state=state)
    with pytest.raises(IntegrityStop, match="a key does not match its commitment"):
        opened(fixed, commitment=bytes(32))


def test_no_key_bytes_come_out_of_a_lineage(fixed: World, tmp_path: Path) -> None:
    fixed.enrol("anna", "meter-1")
    with fixed.keystore.snapshot() as tx:
        lineage = Lineage.load(tx, fixed.custodian, parse_controller(CONTROLLER))
    assert lineage is not None
    assert repr(lineage) == "<Lineage>"
    with pytest.raises(TypeError):
        pickle.dumps(lineage)
    key_file = next((tmp_path / "state/kek").glob("w-*")).read_bytes()
    with pytest.raises(IntegrityStop) as caught:
        lineage.open(dataclasses.replace(keys_of(fixed)[0], commitment=b""))
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    for secret in (lineage._keks[1], key_file):
        assert len(secret) == 32
        assert secret.hex() not in told
        assert repr(secret)[2:-1] not in told


def test_the_pattern_parses_what_the_tests_publish() -> None:
    assert PATTERN.parse(topic("meter-1")) == (CONTROLLER, CANARY + "meter-1")


def test_one_damaged_key_does_not_stop_the_others(world: World) -> None:
    """A bit of one row flips: that customer's readings are refused, everyone else's go on, and an operator is told."""
    world.enrol("anna", "meter-1")
    world.enrol("bert", "meter-2")
    with world.keystore.act() as tx:
        (row, *_others) = tx.execute(sa.select(key_table).where(key_table.c.key_class == "telemetry")).all()
        bent = bytes([*row.wrapped[:-1], row.wrapped[-1] ^ 1])
        tx.execute(key_table.update().where(key_table.c.key_id == row.key_id).values(wrapped=bent))
    now = world.clock.wall()
    done = world.process(message("meter-1", now, power=1), message("meter-2", now, power=1))
    assert len(done.points) == 1
    assert done.refusals.readings == {Reason.SUSPENDED: 1}
    assert world.ring.unusable == {row.incarnation}


def test_a_key_class_that_a_customer_never_had_does_not_stop_the_others(world: World) -> None:
    """Enrolled under a policy with fewer key classes than today's."""
    world.enrol("anna", "meter-1")
    world.enrol("bert", "meter-2")
    with world.keystore.act() as tx:
        (gone, *_others) = tx.execute(sa.select(key_table).where(key_table.c.key_class == "telemetry")).all()
        tx.execute(transitions.delete().where(transitions.c.key_id == gone.key_id))
        tx.execute(key_table.delete().where(key_table.c.key_id == gone.key_id))
    now = world.clock.wall()
    done = world.process(message("meter-1", now, power=1), message("meter-2", now, power=1))
    assert len(done.points) == 1
    assert done.refusals.readings == {Reason.SUSPENDED: 1}
    assert world.ring.unusable == {gone.incarnation}
