"""The medium of a custodian is not mounted: no key is made in the empty mount point, where the medium would hide it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.backup import Backups
from gateway.errors import CustodianFault
from gateway.keys.custodian import Custodian, FileCustodian, PairedCustodian
from tests.unit.control.test_controllers import OTHER, controllers
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import World

pytestmark = pytest.mark.both_key_stores
AWAY = "its medium may be away"


class Mount:
    """A directory that a medium is mounted on, taken away and put back."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._medium = directory, directory.with_name(f"{directory.name}-medium")

    def away(self) -> None:
        self._directory.rename(self._medium)
        self._directory.mkdir(mode=0o700)

    def holds(self) -> list[str]:
        return sorted(file.name for file in self._directory.iterdir())

    def back(self) -> None:
        self._directory.rmdir()
        self._medium.rename(self._directory)


@pytest.fixture
def kek(world: World) -> Mount:
    world.enrol("anna", "meter-1")
    return Mount(world.directory / "kek")


def test_no_controller_is_added(world: World, kek: Mount) -> None:
    kek.away()
    with pytest.raises(CustodianFault, match=AWAY) as fault:
        controllers(world).add(OTHER)
    assert fault.value.hint == "mount or connect it, then repeat; nothing was made there"
    with pytest.raises(CustodianFault, match=AWAY):
        world.enrol("bo", "meter-2", controller=OTHER)
    assert kek.holds() == []
    kek.back()
    controllers(world).add(OTHER)
    assert world.enrol("bo", "meter-2", controller=OTHER).enrolled == 1


def test_no_backup_is_locked_with_a_key_that_will_be_hidden(world: World, kek: Mount) -> None:
    backups = Backups(world.control, world.custodian, world.directory / "backups")
    kek.away()
    with pytest.raises(CustodianFault, match=AWAY):
        backups.take()
    assert kek.holds() == []
    kek.back()
    assert backups.take().exists()


def test_no_turnover_is_begun_whose_intent_is_all_there_is_of_it(world: World, kek: Mount) -> None:
    with world.ledger.locked():
        intent = {"controller": HEAT_CO, "e": 2, "horizons": list[str](), "access": "0" * 64}
        world.ledger.append("turnover", "intent", **intent)  # type: ignore[arg-type]
    kek.away()
    with pytest.raises(CustodianFault, match=AWAY):
        world.turn_over()
    assert kek.holds() == []
    kek.back()
    assert world.turn_over().e == 2


def test_nor_where_the_second_of_two_is_away(world: World, kek: Mount, tmp_path: Path) -> None:
    """Which holds keys from the next turnover after it was named: before, it is expected to be empty."""
    del kek
    safe = Mount(tmp_path / "safe")
    (tmp_path / "safe").mkdir(mode=0o700)
    pair: Custodian = PairedCustodian(world.custodian, FileCustodian(tmp_path / "safe"))
    world.custodian = pair  # type: ignore[assignment]
    controllers(world).add(OTHER)
    safe.away()
    with pytest.raises(CustodianFault, match=AWAY):
        world.enrol("cia", "meter-3", controller="third-co")
    assert safe.holds() == []
    safe.back()
    assert world.enrol("cia", "meter-3", controller="third-co").enrolled == 1


def test_one_controllers_lost_key_is_not_taken_for_it(world: World, kek: Mount) -> None:
    del kek
    controllers(world).add(OTHER)
    world.custodian.destroy(HEAT_CO, 1)
    assert world.enrol("cia", "meter-3", controller="third-co").enrolled == 1
