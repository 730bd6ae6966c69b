"""Attack 1: the key store is set back to a copy from before an erasure, alone or together with its ledger.

Until it has been told what was done since, it serves nobody: neither worker nor reader nor command. Recovered, the
erased are erased again, consents that were withdrawn are withdrawn, and fences hold: those of all who were erased,
whatever an erasure that was ended half-way left in the fence file, and of nobody else.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from gateway.control import accounting
from gateway.control.adoption import adopt
from gateway.control.choices import choose
from gateway.control.customer import find_incarnation, open_lineage
from gateway.control.recovery import Recovered, Recovery
from gateway.control.role import ERASE
from gateway.control.withdrawal import Withdrawal
from gateway.errors import IntegrityStop, KeyDestroyed, Refused, UnknownSubject, Unreachable
from gateway.keys.lifecycle import KeyState
from gateway.model.ids import new_id, parse_controller, parse_customer
from gateway.model.sealed import Reason
from tests.copies import imaged, put_back
from tests.unit.control.processes import ended, erase_until_noted, start
from tests.unit.control.test_erasure import states
from tests.world import CANARY, CONTROLLER, DAY, World

pytestmark = pytest.mark.both_key_stores


def lived(world: World) -> None:
    """Two customers, and a copy of everything from before what happens to them."""
    world.enrol("anna", "meter-1", purposes=["development"])
    world.enrol("bo", "meter-2", purposes=["development"])
    for device in ("meter-1", "meter-2"):
        world.publish(device, temperature=21.5)
    world.ring.leave()
    world._registered = False
    world.keystore.scrub(())
    imaged(world, copy_of(world))
    world.enrol("cia", "meter-3")
    world.erase("anna")
    choose(
        world.control,
        world.custodian,
        world.policy,
        parse_controller(CONTROLLER),
        parse_customer(f"{CANARY}bo"),
        purpose="development",
        granted=False,
    )


def copy_of(world: World) -> Path:
    return world.directory.parent / "copy"


def restored(world: World, *, with_ledger: bool) -> World:
    """The live custodian, and the copy's key store."""
    world.close()
    put_back(copy_of(world), world.directory)
    if with_ledger:
        shutil.move(world.directory / "ledger", world.directory.parent / "whole")
        shutil.copytree(copy_of(world) / "ledger", world.directory / "ledger")
    return World(world.directory)


def recovered(world: World) -> Recovered:
    withdrawal = Withdrawal(world.control, world.custodian, lambda: world.policy)
    return Recovery(world.control, world.custodian, withdrawal).run()


@pytest.mark.parametrize("with_ledger", [False, True], ids=["alone", "with its ledger"])
def test_it_serves_nobody_before_it_is_recovered(world: World, with_ledger: bool) -> None:
    lived(world)
    back = restored(world, with_ledger=with_ledger)
    for act in (back.control.check, back.erasures.resume, lambda: back.enrol("dag", "meter-4")):
        with pytest.raises(IntegrityStop) as stop:
            act()
        assert stop.value.exit_code == 9
        assert "glomska keys recover" in stop.value.hint
    back.close()


@pytest.mark.parametrize("with_ledger", [False, True], ids=["alone", "with its ledger"])
def test_what_was_done_since_holds_again(world: World, with_ledger: bool) -> None:
    lived(world)
    back = restored(world, with_ledger=with_ledger)
    if with_ledger:
        with pytest.raises(IntegrityStop, match="does not reach what the custodian has seen"):
            recovered(back)
        back.close()
        adopt(world.directory / "ledger", world.directory.parent / "whole")
        back = World(world.directory)
    found = recovered(back)
    assert (found.erased, len(found.missing), found.routes) == (1, 1, 1)
    back.erasures.resume()
    assert states(back) == {KeyState.DESTROYED: 3, KeyState.ACTIVE: 3}
    with pytest.raises(KeyDestroyed):
        back.read("anna")
    with pytest.raises(UnknownSubject):
        back.read("cia")
    assert back.enrol("anna", "meter-1").refused == [(2, "erased")]
    assert back.publish("meter-1", temperature=20).refusals.readings == {Reason.ERASED: 1}
    assert back.read("bo").value.tolist() == [21.5]
    with pytest.raises(Refused):
        back.read("bo", purpose="development", start=back.clock.wall() - 30 * DAY)
    back.control.check()
    back.ledger.verify()
    back.close()


def test_without_a_ledger_that_reaches_the_mark_it_stays_shut(world: World) -> None:
    lived(world)
    back = restored(world, with_ledger=True)
    with pytest.raises(IntegrityStop) as stop:
        recovered(back)
    assert (stop.value.exit_code, "--ledger" in stop.value.hint) == (9, True)
    with pytest.raises(IntegrityStop):
        back.control.check()
    back.close()


@pytest.mark.parametrize(
    ("result", "missing"), [("failed", 1), ("abandoned", 1), ("", 0)], ids=["failed", "abandoned", "under way"]
)
def test_who_was_to_be_erased_and_was_not_is_missed(world: World, result: str, missing: int) -> None:
    """Enrolled since, so the keys are lost; and only an erasure that happened, or is under way, accounts for that."""
    lived(world)
    with world.keystore.snapshot() as tx:
        lineage = open_lineage(tx, world.custodian, parse_controller(CONTROLLER))
        cia = find_incarnation(tx, lineage, parse_customer(f"{CANARY}cia"))
    with world.ledger.locked():
        told = {"erasure": new_id().hex(), "incarnation": cia.hex(), "access": "0" * 64}
        intent = world.ledger.append(ERASE, "intent", **told)
        if result:
            world.ledger.append(ERASE, "outcome", intent=intent, result=result)
    back = restored(world, with_ledger=False)
    assert recovered(back).missing == [cia.hex()] * missing
    back.close()


def erase_in_vain(world: World, customer: str) -> None:
    """An erasure that fails when its fences are in the fence file: the key store goes away before its commit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounting, "begin", unreachable)
        with pytest.raises(Unreachable):
            world.erase(customer)


def unreachable(*_args: object, **_named: object) -> None:
    raise Unreachable("the key store went away")


def ended_half_way(world: World, how: str) -> None:
    """Anna's erasure is ended when her fences are in the fence file alone, and done later; bo's comes after it."""
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    if how == "killed":
        assert ended(start(erase_until_noted, world.directory, "anna")) == -signal.SIGKILL
        world.erasures.resume()
    else:
        erase_in_vain(world, "anna")
        world.erase("anna")
    world.erase("bo")
    imaged(world, copy_of(world))
    world.enrol("cia", "meter-3")


def assert_erased(world: World, customer: str, device: str) -> None:
    with pytest.raises(KeyDestroyed):
        world.read(customer)
    assert world.publish(device, world.clock.wall() - DAY, temperature=20).refusals.readings == {Reason.ERASED: 1}
    assert world.enrol(customer, device).refused == [(2, "erased")]


@pytest.mark.parametrize("how", ["killed", "failed"])
def test_an_erasure_ended_half_way_takes_nobodys_fences(world: World, how: str) -> None:
    ended_half_way(world, how)
    back = restored(world, with_ledger=False)
    recovered(back)
    assert len(back.sql("SELECT version FROM secrets WHERE kind = 'fence'")) == 1, "a month has one fence secret"
    assert_erased(back, "anna", "meter-1")
    assert_erased(back, "bo", "meter-2")
    back.close()


def test_two_secrets_of_a_month_both_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As earlier versions left them in the fence file."""
    monkeypatch.setattr(Withdrawal, "_noted", lambda _withdrawal: [])
    ended_half_way(world, "killed")
    back = restored(world, with_ledger=False)
    recovered(back)
    assert len(back.sql("SELECT version FROM secrets WHERE kind = 'fence'")) == 2
    assert_erased(back, "anna", "meter-1")
    assert_erased(back, "bo", "meter-2")
    noted = {line["fence"]: line["secret_id"] for line in back.ledger.read_fences()}
    back.ring.leave()
    back._registered = False
    back.turn_over()
    assert {line["fence"]: line["secret_id"] for line in back.ledger.read_fences()} == noted
    assert_erased(back, "anna", "meter-1")
    assert_erased(back, "bo", "meter-2")
    back.close()


def test_whose_erasure_failed_is_not_fenced(world: World) -> None:
    world.enrol("anna", "meter-1")
    imaged(world, copy_of(world))
    world.enrol("cia", "meter-3")
    for customer in ("anna", "cia"):
        erase_in_vain(world, customer)
    back = restored(world, with_ledger=False)
    found = recovered(back)
    assert (found.fences, found.erased) == (0, 0)
    assert (len(found.missing), found.routes) == (1, 1), "cia's keys are lost, and were not erased"
    back.publish("meter-1", temperature=21.5)
    assert back.read("anna").value.tolist() == [21.5]
    assert back.enrol("cia", "meter-3").enrolled == 1
    back.close()
