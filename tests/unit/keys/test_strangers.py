"""Unknown devices are looked up once, until somebody may have enrolled them; however many there are."""

from __future__ import annotations

import pytest

from gateway.keys import strangers
from gateway.keys.lineage import Lineage
from gateway.keys.ring import Ring
from gateway.model.sealed import Reason
from tests.world import World, topic


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were asked for, look-up by look-up."""
    counts, devices = [], Ring._devices

    def counting(ring: Ring, tx: object, lineage: Lineage, wanted: dict[str, object]) -> object:
        counts.append(len(wanted))
        return devices(ring, tx, lineage, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(Ring, "_devices", counting)
    return counts


def resolved(world: World, *names: str) -> list[object]:
    with world.ring.using():
        return list(world.ring.resolve([topic(name) for name in names]))


def test_a_stranger_is_looked_up_once(world: World, looked_up: list[int]) -> None:
    world.enrol("anna", "meter-1")
    world.register()
    for _ in range(3):
        assert resolved(world, "stranger", "meter-1")[0] is Reason.UNKNOWN_DEVICE
    assert looked_up == [2]


def test_the_reading_after_an_enrolment_is_taken(world: World, looked_up: list[int]) -> None:
    world.enrol("anna", "meter-1")
    world.register()
    assert resolved(world, "meter-2") == [Reason.UNKNOWN_DEVICE]
    world.enrol("bo", "meter-2")
    assert resolved(world, "meter-2") != [Reason.UNKNOWN_DEVICE]
    assert looked_up == [1, 1]


def test_a_million_strangers_leave_no_more_than_so_many(
    world: World, monkeypatch: pytest.MonkeyPatch, looked_up: list[int]
) -> None:
    monkeypatch.setattr(strangers, "REMEMBERED", 1000)
    world.enrol("anna", "meter-1")
    world.register()
    for hundred in range(30):
        found = resolved(world, "meter-1", *(f"stranger-{hundred}-{number}" for number in range(100)))
        assert found.count(Reason.UNKNOWN_DEVICE) == 100
        assert len(world.ring._strangers) <= 1000
    assert len(world.ring) == 1
