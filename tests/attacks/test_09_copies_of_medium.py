"""Attack 9: flash cells, snapshots and images keep what was deleted; with the live custodian they still open.

The attacker took an image of key store, ledger and store of readings before the erasure, and afterwards gets at the
custodian, whose medium was not in the image. Before a turnover they read the erased customer; after it nothing opens,
of anyone. (An image of the key file's own medium would: the certificate of a file custodian states that exception.)
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import CustodianFault
from gateway.keys.custodian import FileCustodian
from gateway.keys.lineage import Lineage
from gateway.model.ids import parse_controller
from tests.copies import imaged, opened
from tests.world import CONTROLLER, World

pytestmark = pytest.mark.both_key_stores


def image_of(world: World, to: Path) -> Path:
    """Everything but the custodian's medium."""
    return imaged(world, to, without="kek")


def opens(image: Path, live: FileCustodian) -> bool:
    keystore = opened(image)
    try:
        with keystore.snapshot() as tx:
            return Lineage.load(tx, live, parse_controller(CONTROLLER)) is not None
    except CustodianFault:
        return False
    finally:
        keystore.close()


@pytest.fixture
def image(world: World, tmp_path: Path) -> Path:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=21.5)
    world.publish("meter-2", temperature=22.5)
    return image_of(world, tmp_path / "image")


def test_before_the_turnover_the_image_opens(world: World, image: Path) -> None:
    world.erase("anna")
    assert opens(image, world.custodian)


def test_after_the_turnover_nothing_of_it_opens(world: World, image: Path) -> None:
    world.erase("anna")
    world.turn_over()
    assert not opens(image, world.custodian)
    assert world.read("bo").value.tolist() == [22.5]


def test_nor_of_an_image_taken_in_the_middle_of_it(world: World, image: Path, tmp_path: Path) -> None:
    world.erase("anna")
    world.turnovers.begin(parse_controller(CONTROLLER))
    middle = image_of(world, tmp_path / "middle")
    world.turn_over()
    assert not opens(middle, world.custodian)
    world.turn_over()
    assert not opens(image, world.custodian)
    assert world.read("bo").value.tolist() == [22.5]
