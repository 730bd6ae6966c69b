"""Rows that do not open: tried again when they were brought back, and given up by an operator's word alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from gateway.control.purge import Step
from gateway.control.rekey import Rekeyed, rekey
from gateway.control.verification import verify
from gateway.errors import IntegrityStop, VerificationFailed
from gateway.keystore import accounts, acts, rows, turnovers
from gateway.keystore.schema import keys as key_table
from gateway.keystore.schema import secrets
from gateway.model.sealed import Reason
from tests.unit.control.test_dates import Site, erased
from tests.unit.control.test_erasure import ledger_lines, subject
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import DAY, SECOND, World

pytestmark = pytest.mark.both_key_stores


def damage(world: World, key_class: str, version: int = 1) -> bytes:
    """A class's key opens no more; what it was."""
    one = (key_table.c.key_class == key_class) & (key_table.c.version == version)
    with world.keystore.act() as tx:
        was = tx.execute(select(key_table.c.wrapped).where(one)).scalar_one()
        tx.execute(update(key_table).where(one).values(wrapped=bytes(len(was))))
    return bytes(was)


def bring_back(world: World, key_class: str, was: bytes) -> None:
    with world.keystore.act() as tx:
        tx.execute(update(key_table).where(key_table.c.key_class == key_class).values(wrapped=was))


def stopped(world: World) -> World:
    """A pass that found the identity key damaged; its row is back since."""
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    was = damage(world, "identity")
    with pytest.raises(IntegrityStop, match="1 keys, 2 routes do not open"):
        world.turn_over()
    bring_back(world, "identity", was)
    return world


def test_a_row_that_was_brought_back_is_turned_over_with_the_others(world: World) -> None:
    stopped(world)
    assert world.turn_over().e == 2
    assert not world.custodian.exists(HEAT_CO, 1)
    assert world.read("anna").value.tolist() == [21.5]


def test_what_was_brought_back_is_not_given_up(world: World) -> None:
    stopped(world)
    assert world.turnovers.release_lost(HEAT_CO) == 0
    assert world.turn_over().e == 2
    assert world.read("anna").value.tolist() == [21.5]


def test_run_takes_up_by_itself_what_was_brought_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.control.turnover._SULK_S", 0.0)
    world.enrol("anna", "meter-1")
    was, running, told = damage(world, "billing"), world.turnovers, list[Exception]()
    running.on_trouble = lambda fault, _whose: told.append(fault)
    with pytest.raises(IntegrityStop):
        world.turn_over()
    running.tick()
    running.tick()
    assert {type(one) for one in told} == {IntegrityStop}
    bring_back(world, "billing", was)
    for _ in range(100):
        running.tick()
        with world.keystore.snapshot() as tx:
            if turnovers.unfinished(tx, HEAT_CO) is None:
                break
    assert not world.custodian.exists(HEAT_CO, 1)
    assert world.read("anna").value.tolist() == []


@pytest.fixture
def holding(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = Site(tmp_path, keys_url, hold="telemetry")
    yield made
    made.world.close()


def give_up(world: World) -> int:
    """A pass stops, and an operator gives up what it found."""
    with pytest.raises(IntegrityStop, match="do not open"):
        world.turn_over()
    return world.turnovers.release_lost(HEAT_CO)


def test_a_held_key_that_is_given_up_is_held_no_more(holding: Site) -> None:
    world = holding.world
    erased(holding)
    assert world.sql("SELECT count(*) FROM records") == [(2,)], "the ids of the devices that it is about"
    damage(world, "telemetry")
    assert give_up(world) == 1
    assert world.sql("SELECT count(*) FROM records") == world.sql("SELECT count(*) FROM holds") == [(0,)]
    assert world.turn_over().e == 2
    holding.clock.advance(150 * DAY)
    assert world.erasures.release(HEAT_CO) == []
    world.turn_over()
    assert len(holding.erasures()) == 1


def test_an_erasure_whose_purge_key_is_given_up_ends_and_says_so(world: World) -> None:
    for who in ("anna", "bo"):
        world.enrol(who, f"meter-of-{who}")
        world.publish(f"meter-of-{who}", temperature=21.5)
    world.ring.leave()
    world._registered = False
    lost = world.erasures.begin(*subject("anna"))
    with world.keystore.act() as tx:
        tx.execute(update(secrets).where(secrets.c.kind == "purge").values(wrapped=bytes(61)))
    other = world.erasures.begin(*subject("bo"))
    assert world.erasures.carry_on()[0] == [other]
    assert give_up(world) == 1
    assert world.erasures.resume() == [lost]
    world.turn_over()
    assert world.finality.finalise(HEAT_CO) == [other]
    world.turn_over()
    assert world.finality.finalise(HEAT_CO) == [lost], "what is left of its capture was sealed anew, under e = 2"
    said = verify(world.certificates.path(lost, "final"), str(world.ledger.key)).claims
    assert said["stores"] == {}
    assert {"party": "broker", "accounted": "lost"} in said["parties"]
    assert "whose names were lost" in str(said["residuals"])
    assert len(world.points()) == 1, "nobody can name the rows that stay"
    assert ledger_lines(world.directory)[-1]["act"] == "final"


def test_a_purge_key_that_is_not_there_stops_nobody_else(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    lost = world.erasures.begin(*subject("anna"))
    with world.keystore.act() as tx:
        tx.execute(secrets.delete().where(secrets.c.kind == "purge"))
    other = world.erasures.begin(*subject("bo"))
    with pytest.raises(VerificationFailed, match="purge key is missing") as caught:
        world.erasures.resume()
    assert "--release-lost" in caught.value.hint
    assert [found.erasure for found in all_erasures(world) if found.step == Step.PURGED] == [other]
    assert world.turnovers.release_lost(HEAT_CO) == 0
    assert world.erasures.resume() == [lost]


def all_erasures(world: World) -> list[rows.Erasure]:
    with world.keystore.snapshot() as tx:
        return acts.all_erasures(tx)


def without(world: World, key_class: str, *, version: int = 1) -> None:
    """Anna lives without a key that was given up."""
    damage(world, key_class, version)
    world.ring.poll()
    assert give_up(world) == 1
    world.turn_over()
    world.ring.poll()


def refused(world: World, value: float) -> list[Reason]:
    return list(world.publish("meter-1", temperature=value).refusals.message.values())


def renewed(world: World) -> Rekeyed:
    with world.polling():
        done = rekey(world.control, world.custodian, HEAT_CO, subject("anna")[1], window_s=300, lease_s=30)
    world.ring.poll()  # the keeper's last look may have been before it
    return done


def test_who_loses_a_key_of_a_class_without_readings_goes_on(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    without(world, "billing")
    assert refused(world, 22.5) == []
    assert world.read("anna").value.tolist() == [21.5, 22.5]
    assert world.enrol("anna", "meter-2").enrolled == 1
    assert renewed(world).classes == ("billing", "identity", "telemetry")
    assert world.read("anna").value.tolist() == [21.5, 22.5]
    world.erase("anna")
    assert set(world.sql("SELECT state FROM keys")) == {("destroyed",)}


def test_who_loses_the_key_of_their_readings_gets_another(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    without(world, "telemetry")
    assert refused(world, 22.5) == [Reason.SUSPENDED], "kept until there is a key"
    with pytest.raises(VerificationFailed, match="key of class telemetry was given up as lost") as caught:
        world.read("anna")
    assert "keys rekey" in caught.value.hint
    renewed(world)
    assert refused(world, 23.5) == [], "at once: nothing else is sealed under another"
    assert world.read("anna").value.tolist() == [23.5]


@pytest.mark.parametrize("version", [1, 2])
def test_who_loses_one_version_of_a_key_goes_on_with_the_other(holding: Site, version: int) -> None:
    world = holding.world
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    since = renewed(world).valid_from
    holding.clock.advance(since - holding.clock.wall() + SECOND)
    world.ring.poll()
    world.publish("meter-1", temperature=22.5)
    without(world, "telemetry", version=version)
    late = world.publish("meter-1", since - SECOND, temperature=20.5).refusals.message
    assert list(late.values()) == ([] if version == 1 else [Reason.SUSPENDED]), "the time of the version before"
    assert world.read("anna").value.tolist() == ([20.5, 22.5] if version == 1 else [21.5])
    renewed(world)
    assert refused(world, 23.5) == []
    assert 23.5 in world.read("anna").value.tolist()
    world.erase("anna")
    with world.keystore.snapshot() as tx:
        (erasure,) = acts.all_erasures(tx)
        assert len(accounts.holds_of(tx, erasure.erasure)) == 2, "of three versions, two are there to be held"


@pytest.mark.parametrize("kind", ["route", "fence"])
def test_a_secret_that_all_look_ups_need_is_named_with_the_way_out(world: World, kind: str) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.erase("anna")
    with world.keystore.act() as tx:
        tx.execute(update(secrets).where(secrets.c.kind == kind).values(wrapped=bytes(61)))
    for act in (lambda: world.read("bo"), world.ring.register, world.turn_over):
        with pytest.raises(VerificationFailed, match=f"a controller's {kind} secret does not open") as caught:
            act()
        assert "`glomska keys restore`" in caught.value.hint
        assert ("`glomska keys recover` brings it back from the fence file" in caught.value.hint) == (kind == "fence")
