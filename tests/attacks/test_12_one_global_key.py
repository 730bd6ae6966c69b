"""Attack 12: with one key for everyone, whoever holds it can link an erased customer's old data for ever.

The attacker took copies of everything before the erasure, but the key store; afterwards they get everything that is
left: the custodian's W, so KEK, route secret, and every other customer's keys. With all of it they recompute what the
erased device would have been called. (An unexpired fence is the one exception: docs/threat-model.md.)
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.customer import open_lineage
from gateway.crypto.derive import Kind
from gateway.keys.lineage import Lineage
from gateway.keys.subject import open_subject
from gateway.keystore import subjects
from gateway.model.ids import KeyEpoch, epoch_of, parse_controller, parse_device
from tests.world import CANARY, CONTROLLER, World

pytestmark = pytest.mark.both_key_stores

OTHERS = 5


def everything(directory: Path) -> bytes:
    return b"\0".join(f.read_bytes() for f in sorted(directory.rglob("*")) if f.is_file() and f.parent.name != "kek")


def remaining_pseudonyms(world: World, lineage: Lineage, device: str) -> list[str]:
    """What every key that still exists would call the device, in every epoch from the horizon to next month."""
    with world.keystore.snapshot() as tx:
        living = [
            incarnation
            for number in range(OTHERS)
            for mark in lineage.route_hashes(Kind.CUSTOMER, f"{CANARY}other-{number}")
            for incarnation in [route.incarnation for route in subjects.find_routes(tx, [mark])]
        ]
        assert len(living) == OTHERS
        handles = [
            key
            for incarnation in living
            for versions in open_subject(lineage, incarnation, subjects.find_keys(tx, [incarnation])).keys.values()
            for _valid_from, key in versions
        ]
    last = epoch_of(world.clock.wall()) + 1
    return [
        key.pseudonym(parse_device(CANARY + device), KeyEpoch(epoch))
        for key in handles
        for epoch in range(max(key.base, last - 40), last + 1)
    ]


def test_all_remaining_keys_find_nothing(world: World) -> None:
    for number in range(OTHERS):
        world.enrol(f"other-{number}", f"other-meter-{number}")
    world.enrol("anna", "meter-1")
    sealed = world.publish("meter-1", temperature=21.5)
    copy = (world.directory / "readings.db").read_bytes() + (world.directory / "readings.db-wal").read_bytes()
    name = sealed.points[0].series.pseudonym
    assert name.encode() in copy  # the copy does hold what is looked for

    world.erase("anna")
    world.erasures.resume()
    with world.keystore.snapshot() as tx:
        lineage = open_lineage(tx, world.custodian, parse_controller(CONTROLLER))
    guesses = remaining_pseudonyms(world, lineage, "meter-1")
    assert name not in guesses
    pile = copy + everything(world.directory)
    assert not any(guess.encode() in pile for guess in guesses)


@pytest.mark.one_key_store
def test_route_hashes_of_the_erased_are_gone(world: World) -> None:
    world.enrol("other-0", "other-meter-0")
    world.enrol("anna", "meter-1")
    with world.keystore.snapshot() as tx:
        lineage = open_lineage(tx, world.custodian, parse_controller(CONTROLLER))
    hashes = [
        *lineage.route_hashes(Kind.CUSTOMER, f"{CANARY}anna"),
        *lineage.route_hashes(Kind.DEVICE, f"{CANARY}meter-1"),
    ]
    assert all(mark in everything(world.directory) for mark in hashes)  # they were there
    world.erase("anna")
    world.erasures.resume()
    pile = everything(world.directory)
    assert not any(mark in pile or mark.hex().encode() in pile for mark in hashes)


def test_two_customers_share_no_secret(world: World) -> None:
    """The same device, in turn at two customers, cannot be linked by either's key."""
    world.enrol("anna", "meter-1")
    first = world.publish("meter-1", temperature=21.5).points[0].series.pseudonym
    world.erase("anna")
    moved_in = world.clock.wall()
    world.enrol("bert", "meter-1", since=moved_in)
    second = world.publish("meter-1", moved_in + 10**6, temperature=21.5).points[0].series.pseudonym
    assert first != second
