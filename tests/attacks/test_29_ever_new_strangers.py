"""Attack 29, by ever new names: each stranger costs a question to the key store, so that who invents names slows all.

After so many questions in vain a sieve of all that is enrolled answers. It never stands in the way of who is enrolled,
seen before or not, of who was enrolled just now, and of what says that a device was erased; and in the middle of a
turnover, when routes move from one secret to the next, all of that holds too.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest

from gateway.control import pages
from gateway.control.pages import Step
from gateway.keys import strangers
from gateway.keys.handle import Device
from gateway.keys.ring import GenerationMoved
from gateway.keystore import rows, subjects, turnovers
from gateway.keystore.database import Transaction
from gateway.model.ids import parse_controller
from gateway.model.sealed import Reason
from tests.world import CONTROLLER, World, topic

pytestmark = pytest.mark.both_key_stores

IN_VAIN = 200
HEAT_CO = parse_controller(CONTROLLER)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "IN_VAIN", IN_VAIN)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many hashes of devices the key store was asked for, look-up by look-up."""
    counts, find = [], subjects.find_routes

    def counting(tx: Transaction, hashes: Collection[bytes]) -> list[rows.Route]:
        counts.append(len(hashes))
        return find(tx, hashes)

    monkeypatch.setattr(subjects, "find_routes", counting)
    return counts


def resolved(world: World, *names: str) -> list[Device | Reason]:
    world.register()
    while True:
        try:
            with world.ring.using():
                return list(world.ring.resolve([topic(name) for name in names]))
        except GenerationMoved:
            world.ring.poll()


def refusal(world: World, name: str) -> Reason:
    """Why a message of this device is refused."""
    return world.process_one(name, world.clock.wall(), temperature=1.5).refusals.message[0]


def flood(world: World, wave: int, size: int = 100) -> None:
    found = resolved(world, *(f"stranger-{wave}-{number}" for number in range(size)))
    assert found == [Reason.UNKNOWN_DEVICE] * size


def sifting(world: World, wave: int) -> None:
    """A flood that is long enough for the sieve."""
    for part in range(4):
        flood(world, 10 * wave + part)


def test_the_key_store_is_asked_so_often_and_no_more(world: World, asked: list[int]) -> None:
    world.enrol("anna", "meter-1")
    for wave in range(40):
        flood(world, wave)
    assert IN_VAIN <= sum(asked) < IN_VAIN + 100, "one more at most, of 4,000, that passes a sieve by chance"


def test_who_is_enrolled_passes_seen_before_or_not(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    assert isinstance(resolved(world, "meter-1")[0], Device)
    sifting(world, 0)
    assert [type(one) for one in resolved(world, "meter-1", "meter-2", "meter-3")] == [Device, Device, Reason]


def test_who_is_enrolled_now_is_known_now(world: World) -> None:
    world.enrol("anna", "meter-1")
    for wave in range(5):
        sifting(world, wave)
        name = f"meter-new-{wave}"
        assert resolved(world, name) == [Reason.UNKNOWN_DEVICE]
        world.enrol(f"bo-{wave}", name)
        assert isinstance(resolved(world, name)[0], Device)


def test_who_was_erased_is_told_from_a_stranger(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    sifting(world, 0)
    world.erase("anna")
    assert refusal(world, "meter-1") is Reason.ERASED
    sifting(world, 1)
    world.ring._known.clear()
    assert refusal(world, "meter-1") is Reason.ERASED


def test_whoever_lives_passes_at_every_step_of_a_turnover(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROUTES", 3)
    names = [f"meter-{number}" for number in range(8)]
    for name in names:
        world.enrol(f"of-{name}", name)
    sifting(world, 0)
    passes = world.turnovers
    found, wave = passes.begin(HEAT_CO), 0
    while found.step != Step.DONE:
        world.ring.poll()
        wave += 1
        sifting(world, wave % 2 * wave + 1)  # made anew before some pieces of work, and kept over others
        world.ring._known.clear()
        assert {type(one) for one in resolved(world, *names)} == {Device}, found.step
        passes.advance(found)
        with world.keystore.snapshot() as tx:
            newest = turnovers.newest(tx, HEAT_CO)
        assert newest is not None
        found = newest
    assert wave > 5
