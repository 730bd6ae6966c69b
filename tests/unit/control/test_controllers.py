"""Controllers: each has its own lineage, and one that leaves takes nothing of the others with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.control.controllers import Controllers, Leaving
from gateway.errors import CustodianFault, KeyDestroyed, Refused, UnknownSubject
from gateway.keys.lineage import Lineage
from gateway.keystore import departures, lineages
from gateway.keystore.database import KeyStore
from gateway.model.ids import parse_controller
from gateway.model.sealed import Reason
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import World

OTHER = parse_controller("cool-co")


def controllers(world: World) -> Controllers:
    return Controllers(world.control, world.custodian, world.policy)


@pytest.fixture
def two(world: World) -> World:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    controllers(world).add(OTHER)
    return world


def test_one_is_added_once(two: World) -> None:
    with pytest.raises(Refused, match="this controller is there already"):
        controllers(two).add(OTHER)
    with two.keystore.snapshot() as tx:
        assert lineages.all_controllers(tx) == [OTHER, HEAT_CO]


def test_one_that_leaves_takes_all_that_was_its_and_nothing_else(two: World, tmp_path: Path) -> None:
    two.turn_over()
    copy = tmp_path / "copy"
    shutil.copytree(two.directory, copy, ignore=shutil.ignore_patterns("kek"))
    with two.polling():
        gone = controllers(two).exit(HEAT_CO)
    assert (gone.keys, gone.wrappings, gone.attested) == (3, 2, False)
    assert list(two.publish("meter-1", temperature=22.5).refusals.message.values()) == [Reason.UNKNOWN_DEVICE]
    with pytest.raises(KeyDestroyed, match="this controller has left"):
        two.read("anna")
    with pytest.raises(KeyDestroyed):
        two.enrol("anna", "meter-1")
    with two.keystore.snapshot() as tx:
        assert lineages.all_controllers(tx) == [OTHER]
        assert lineages.count_states(tx, HEAT_CO) == {"destroyed": 3}
        assert Lineage.load(tx, two.custodian, OTHER) is not None
    old = KeyStore.open("sqlite:///keys.db", state=copy)
    with old.snapshot() as tx, pytest.raises(CustodianFault):
        Lineage.load(tx, two.custodian, HEAT_CO)
    old.close()
    two.ledger.verify()
    assert two.ledger.open_intents == {}


def test_an_exit_that_was_interrupted_is_carried_on_with(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise CustodianFault("its medium is away")

    with monkeypatch.context() as patch, two.polling():
        patch.setattr(two.custodian, "destroy", away)
        with pytest.raises(CustodianFault):
            controllers(two).exit(HEAT_CO)
    with two.keystore.snapshot() as tx:
        found = departures.find(tx, HEAT_CO)
    assert found is not None
    assert found.step == Leaving.DELETED
    two.control.check()
    assert [line.act for line in two.ledger.open_intents.values()] == ["exit"]
    assert controllers(two).exit(HEAT_CO).wrappings == 1
    assert two.ledger.open_intents == {}
    assert controllers(two).exit(HEAT_CO).wrappings == 1, "again changes nothing"


def test_not_while_its_keys_are_turned_over(two: World) -> None:
    two.turnovers.begin(HEAT_CO)
    with pytest.raises(Refused, match="a turnover of this controller is under way"):
        controllers(two).exit(HEAT_CO)


def test_one_that_nobody_knows(two: World) -> None:
    with pytest.raises(UnknownSubject):
        controllers(two).exit(parse_controller("nobody"))
