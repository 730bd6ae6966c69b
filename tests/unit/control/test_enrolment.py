"""Enrolment: who gets a key, who does not and why, and that races have one winner."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from gateway.control import enrolment
from gateway.control.controllers import Controllers
from gateway.control.enrolment import Enrolment, enrol
from gateway.control.enrolment_file import REASONS
from gateway.control.handover import hand_over
from gateway.errors import CustodianFault, KeyDestroyed, Refused
from gateway.keys.lineage import IDENTITY
from gateway.keys.subject import CHOICE
from gateway.keystore import schema
from gateway.model.ids import parse_controller, parse_customer, parse_device
from gateway.model.sealed import Reason
from gateway.policy.load import parse_policy
from gateway.policy.rules import Policy
from tests.unit.control import processes
from tests.unit.control.processes import CONTEXT, ended, start
from tests.unit.control.test_erasure import states, table
from tests.unit.policies import shipped
from tests.world import CANARY, CONTROLLER, DAY, SQLITE, World, message

pytestmark = pytest.mark.both_key_stores


def owners(world: World) -> Counter[bytes]:
    """Devices by the incarnation their route leads to."""
    found = world.sql("SELECT hash, incarnation FROM routes WHERE kind = 'device'")
    assert len({h for h, _ in found}) == len(found), "a device has two owners"
    return Counter(incarnation for _, incarnation in found)


def test_a_line_is_taken_once(world: World) -> None:
    first = world.enrol("anna", "meter-1", "meter-2")
    assert (first.enrolled, first.already, first.refused) == (2, 0, [])
    again = world.enrol("anna", "meter-1", "meter-2", "meter-3", "meter-3")
    assert (again.enrolled, again.already, again.refused) == (1, 3, [])
    assert states(world) == {"active": 3}, "one key a class, however many devices"
    assert list(owners(world).values()) == [3]


def test_a_device_has_one_owner(world: World) -> None:
    world.enrol("anna", "meter-1")
    for since in (0, world.clock.wall() - 300 * DAY, world.clock.wall() + DAY):
        assert world.enrol("bo", "meter-1", since=since).refused == [(2, "taken")]
    assert states(world) == {"active": 3}, "who got nothing has no key"


def test_the_same_names_under_another_controller_are_others(world: World) -> None:
    world.enrol("anna", "meter-1")
    line = Enrolment(
        line=2,
        controller=parse_controller("other-co"),
        customer=parse_customer(CANARY + "bo"),
        device=parse_device(CANARY + "meter-1"),
        area="SE1",
        valid_from=0,
    )
    assert enrol(world.control, world.custodian, world.policy, [line]).enrolled == 1
    done = world.process(message("meter-1", world.clock.wall(), temperature=20.0))
    other = message("meter-1", world.clock.wall(), temperature=20.0)
    done_other = world.process(type(other)(other.topic.replace(CONTROLLER, "other-co"), other.payload))
    assert done.points[0].series.area == "SE3"
    assert done_other.points[0].series.area == "SE1"
    assert done.points[0].series.pseudonym != done_other.points[0].series.pseudonym


def test_readings_belong_to_the_owner_from_the_named_time_on(world: World) -> None:
    since = world.clock.wall() - 10 * DAY
    world.enrol("anna", "meter-1", since=since)
    for time, remains in ((since - 1_000_000, 0), (since // 1_000_000 * 1_000_000 + 1_000_000, 1)):
        done = world.process(message("meter-1", time, temperature=20.0))
        assert len(done.points) == remains
        assert list(done.refusals.message.values()) == [Reason.UNKNOWN_DEVICE] * (1 - remains)


def test_an_erased_customer_stays_erased_unless_they_return(world: World) -> None:
    world.enrol("anna", "meter-1")
    before = world.publish("meter-1", temperature=20.0).points[0]
    world.erase("anna")
    now = world.clock.wall()
    assert world.enrol("anna", "meter-9").refused == [(2, "erased")]
    assert world.enrol("anna", "meter-1", since=now - DAY, returning=True).refused == [(2, "erased")]
    assert world.enrol("anna", "meter-1", since=now, returning=True).enrolled == 1
    old = world.process(message("meter-1", now - DAY, temperature=20.0))
    assert old.refusals.message == {0: Reason.ERASED}, "readings of the old life stay erased"
    new = world.publish("meter-1", temperature=23.0).points[0]
    assert new.series.pseudonym != before.series.pseudonym
    assert new.series.key_id != before.series.key_id
    assert world.read("anna").value.tolist() == [23.0]
    world.erase("anna")
    assert world.points() == []
    with pytest.raises(KeyDestroyed):
        world.read("anna")


def test_a_device_of_an_erased_customer_may_go_to_another_from_then_on(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=20.0)
    world.erase("anna")
    now = world.clock.wall()
    assert world.enrol("bo", "meter-1", since=now - DAY).refused == [(2, "erased")]
    assert world.process(message("meter-1", now, power=1)).refusals.message == {0: Reason.ERASED}
    assert world.enrol("bo", "meter-1", since=now).enrolled == 1
    assert world.ring.poll(), "who knows the fence must learn that it has an end"
    world.publish("meter-1", temperature=24.0)
    late = world.process(message("meter-1", now - 5 * DAY, temperature=20.0))
    assert late.refusals.message == {0: Reason.ERASED}
    assert world.read("bo").value.tolist() == [24.0]
    assert world.enrol("cecilia", "meter-1", since=now).refused == [(2, "taken")]


def line_of(world: World, number: int, customer: str, device: str, controller: str = CONTROLLER) -> Enrolment:
    return Enrolment(
        line=number,
        controller=parse_controller(controller),
        customer=parse_customer(CANARY + customer),
        device=parse_device(CANARY + device),
        area="SE3",
        valid_from=world.clock.wall() - DAY,
    )


def test_a_controller_that_has_left_keeps_nobody_else_out(world: World) -> None:
    other = parse_controller("other-co")
    world.enrol("anna", "meter-1")
    enrol(world.control, world.custodian, world.policy, [line_of(world, 2, "eva", "meter-9", other)])
    Controllers(world.control, world.custodian, lambda: world.policy, world.certificates).exit(other)
    lines = [
        line_of(world, 2, "bo", "meter-2"),
        line_of(world, 3, "eva", "meter-9", other),
        line_of(world, 4, "dan", "meter-8", other),
        line_of(world, 5, "cia", "meter-3"),
    ]
    result = enrol(world.control, world.custodian, world.policy, lines)
    assert (result.enrolled, result.refused) == (2, [(3, "left"), (4, "left")])
    for device in ("meter-2", "meter-3"):
        assert len(world.publish(device, temperature=20.0).points) == 1
    handed = hand_over(world.control, world.custodian, world.policy, [line_of(world, 2, "dan", "meter-9", other)])
    assert handed.refused == [(2, "left")]
    assert {"left", "damaged"} < set(REASONS)


def test_a_customer_whose_key_is_damaged_keeps_nobody_else_out(world: World) -> None:
    world.enrol("anna", "meter-1")
    with world.keystore.act() as tx:
        found = tx.execute(schema.keys.select().where(schema.keys.c.key_class == IDENTITY)).one()
        worse = found.wrapped[:-1] + bytes([found.wrapped[-1] ^ 1])
        tx.execute(schema.keys.update().where(schema.keys.c.key_id == found.key_id).values(wrapped=worse))
    lines = [line_of(world, 2, "anna", "meter-2"), line_of(world, 3, "bo", "meter-3")]
    result = enrol(world.control, world.custodian, world.policy, lines)
    assert (result.enrolled, result.refused) == (1, [(2, "damaged")])
    assert len(world.publish("meter-3", temperature=20.0).points) == 1


def test_a_customer_whose_choices_are_damaged_keeps_nobody_else_out(world: World) -> None:
    world.enrol("anna", "meter-1", purposes=["development"])
    with world.keystore.act() as tx:
        found = tx.execute(schema.records.select().where(schema.records.c.kind == CHOICE)).one()
        worse = found.sealed[:-1] + bytes([found.sealed[-1] ^ 1])
        tx.execute(schema.records.update().where(schema.records.c.record_id == found.record_id).values(sealed=worse))
    lines = [
        replace(line_of(world, 2, "anna", "meter-2"), purposes=("marketing",)),
        line_of(world, 3, "bo", "meter-3"),
    ]
    result = enrol(world.control, world.custodian, world.policy, lines)
    assert (result.enrolled, result.refused) == (1, [(2, "damaged")])
    assert table(world, "routes") == 4, "nothing of the refused line was taken"


def test_purposes_that_are_not_for_consent_are_refused(world: World) -> None:
    assert world.enrol("anna", "meter-1", purposes=["provision"]).refused == [(2, "purpose")]
    assert world.enrol("anna", "meter-1", purposes=["spying"]).refused == [(2, "purpose")]
    assert states(world) == {}
    assert world.enrol("anna", "meter-1", purposes=["development", "marketing"]).enrolled == 1
    assert len(world.read("anna", purpose="development")) == 0


def test_consent_with_a_later_device_reaches_a_worker_that_knew_the_customer(world: World) -> None:
    """Otherwise readings would be refused, acknowledged, and gone although they were consented to."""
    policy = by_consent_alone("humidity")
    other = World(world.directory, policy=policy)
    other.enrol("anna", "meter-1")
    refused = other.process(message("meter-1", other.clock.wall(), humidity=40.0))
    assert refused.refusals.message == {0: Reason.NO_PURPOSE}
    other.enrol("anna", "meter-2", purposes=["development"])
    other.ring.poll()
    done = other.process(message("meter-1", other.clock.wall() + 1_000_000, humidity=41.0))
    assert len(done.points) == 1
    other.close()


def by_consent_alone(quantity: str) -> Policy:
    """The shipped policy, with one quantity for `development` alone."""
    document = shipped()
    for name, purpose in document["purpose"].items():
        if name != "development" and quantity in purpose.get("quantities", ()):
            purpose["quantities"].remove(quantity)
    return parse_policy(document, "test")


def test_without_the_custodian_there_is_no_enrolment(world: World) -> None:
    world.enrol("anna", "meter-1")
    (key,) = (world.directory / "kek").glob("w-*.key")
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(CustodianFault):
        world.enrol("bo", "meter-2")
    key.write_bytes(kept)
    key.chmod(0o600)
    assert world.enrol("bo", "meter-2").enrolled == 1


@pytest.mark.one_key_store
def test_ten_thousand_lines_are_taken_group_by_group(world: World) -> None:
    lines = [
        Enrolment(
            line=number,
            controller=parse_controller(CONTROLLER),
            customer=parse_customer(f"{CANARY}customer-{number // 2}"),
            device=parse_device(f"{CANARY}meter-{number}"),
            area="SE3",
            valid_from=0,
        )
        for number in range(10_000)
    ]
    done: list[int] = []
    result = enrol(world.control, world.custodian, world.policy, iter(lines), progress=done.append)
    assert (result.enrolled, result.already, result.refused) == (10_000, 0, [])
    assert done == [enrolment.GROUP] * 20
    assert states(world) == {"active": 15_000}
    assert set(owners(world).values()) == {2}
    assert world.sql("SELECT count(DISTINCT key_id), count(DISTINCT wrapped) FROM keys") == [(15_000, 15_000)]
    world.erase("customer-77")
    assert states(world) == {"active": 14_997, "destroyed": 3}


def test_a_group_that_fails_leaves_nothing_of_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol("anna", "meter-1")
    with monkeypatch.context() as patch:
        patch.setattr("gateway.keystore.subjects.add_records", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.enrol("bo", "meter-2", "meter-3")
    assert states(world) == {"active": 3}
    assert table(world, "routes") == 2
    assert world.enrol("bo", "meter-2", "meter-3").enrolled == 2


def test_processes_that_claim_the_same_devices_share_them(world: World) -> None:
    devices = [f"meter-{n}" for n in range(8)]
    begin = CONTEXT.Barrier(4)
    children = [start(processes.enrol_all, world.directory, f"customer-{n}", devices, begin) for n in range(4)]
    assert [ended(child) for child in children] == [0] * 4
    assert sum(owners(world).values()) == len(devices)
    world.ledger.verify()


def test_no_key_lives_after_an_erasure_that_raced_enrolment(world: World) -> None:
    """Attack 4 in short: whoever claims the customer while they are erased, and at whatever moment."""
    customers = [f"customer-{n}" for n in range(3 if world.keys == SQLITE else 2)]
    for customer in customers:
        world.enrol(customer, f"meter-{customer}")
    begin, stop = CONTEXT.Barrier(3), CONTEXT.Event()
    children = [start(processes.enrol_again_and_again, world.directory, customers, begin, stop) for _ in range(2)]
    begin.wait()
    for number, customer in enumerate(customers, start=1):
        world.erase(customer)
        assert states(world)["destroyed"] == 3 * number
        assert states(world).get("active", 0) == 3 * (len(customers) - number)
        with pytest.raises(KeyDestroyed):
            world.read(customer)
    stop.set()
    assert [ended(child) for child in children] == [0] * 2
    assert states(world) == {"destroyed": 3 * len(customers)}
    assert table(world, "routes") == 0


def test_a_consent_on_a_line_that_is_enrolled_already_counts(world: World) -> None:
    """The device is there, the consent is not: the file says both, and neither is dropped."""
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=20.0)
    with pytest.raises(Refused, match="marketing: this customer has not consented"):
        world.read("anna", purpose="marketing")
    before = world.ring.generation
    result = world.enrol("anna", "meter-1", purposes=["marketing"])
    assert (result.enrolled, result.already, result.refused) == (0, 1, [])
    assert world.lease.look() > before  # workers hold what was allowed before
    world.read("anna", purpose="marketing")
    again = world.lease.look()
    world.enrol("anna", "meter-1", purposes=["marketing"])
    assert world.lease.look() == again  # nothing new
    assert world.enrol("anna", "meter-1", purposes=["whim"]).refused == [(2, "purpose")]
