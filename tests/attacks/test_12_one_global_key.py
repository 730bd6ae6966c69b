"""Attack 12: with one key for everyone, whoever holds it can link an erased customer's old data for ever.

The attacker took copies of everything before the erasure, but the key store; afterwards they get everything that is
left: the custodian's W, so KEK, route and fence secrets, and every other customer's keys. With all of it they recompute
what the erased device was called, in the store, a spool, a backup and the ledger, and what it was found under. Their
one success is a fence that has not expired: docs/threat-model.md.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway.control.backup import restore
from gateway.control.customer import open_lineage
from gateway.crypto.derive import Kind
from gateway.errors import CustodianFault
from gateway.keys import backup as sealed
from gateway.keys.handle import SubjectKey
from gateway.keys.lineage import Lineage
from gateway.keys.subject import open_subject
from gateway.keystore import subjects
from gateway.model.ids import Incarnation, KeyEpoch, epoch_of, parse_controller, parse_device
from tests.attacks.test_16_what_waits_on_disk import erased, filled, waiting
from tests.unit.control.test_backup import backups, opened
from tests.world import CANARY, CONTROLLER, World, disguises

pytestmark = pytest.mark.both_key_stores

OTHERS = 5


def lineage_of(world: World) -> Lineage:
    with world.keystore.snapshot() as tx:
        return open_lineage(tx, world.custodian, parse_controller(CONTROLLER))


def living_keys(world: World) -> list[SubjectKey]:
    """Every customer's key that still exists."""
    lineage = lineage_of(world)
    owners = {Incarnation(row[0]) for row in world.sql("SELECT incarnation FROM keys WHERE wrapped IS NOT NULL")}
    with world.keystore.snapshot() as tx:
        living = [open_subject(lineage, each, subjects.find_keys(tx, [each])) for each in owners]
    return [key for subject in living for versions in subject.keys.values() for key in versions]


def pseudonyms(world: World, device: str) -> list[bytes]:
    """What every key that exists would call a device, in every epoch from the horizon to next month: text and bytes."""
    last, keys = epoch_of(world.clock.wall()) + 1, living_keys(world)
    named = [
        key.pseudonym(parse_device(CANARY + device), KeyEpoch(epoch))
        for key in keys
        for epoch in range(max(key.base, last - 40), last + 1)
    ]
    assert len({key.incarnation for key in keys}) >= OTHERS
    return [form for name in named for form in (name.encode(), base64.b32decode(name.upper() + "======"))]


def marks(world: World, customer: str, device: str) -> list[bytes]:
    """What customer and device are found under, by every route secret that exists; as whole, and cut to an id."""
    lineage = lineage_of(world)
    found = lineage.route_hashes(Kind.CUSTOMER, CANARY + customer) + lineage.route_hashes(Kind.DEVICE, CANARY + device)
    return [form for mark in found for form in disguises(mark[:16])]


def fences(world: World, customer: str, device: str) -> list[bytes]:
    """And what stops them."""
    lineage = lineage_of(world)
    found = lineage.fence_hashes(Kind.CUSTOMER, CANARY + customer) + lineage.fence_hashes(Kind.DEVICE, CANARY + device)
    return [form for mark in found for form in disguises(mark[:16])]


def found(needles: Iterable[bytes], *piles: bytes) -> bool:
    return any(needle in pile for needle in needles for pile in piles)


def everything(world: World) -> bytes:
    """All that is left but the custodian's medium, where keys are."""
    return b"\0".join(data for name, data in world.held().items() if not name.startswith("kek"))


def with_others(world: World) -> World:
    for number in range(OTHERS):
        world.enrol(f"other-{number}", f"other-meter-{number}")
    return world


def test_all_remaining_keys_find_nothing(world: World) -> None:
    with_others(world).enrol("anna", "meter-1")
    name = world.publish("meter-1", temperature=21.5).points[0].series.pseudonym
    copy = b"".join(data for file, data in world.held().items() if file.startswith("readings.db"))
    assert name.encode() in copy  # the copy does hold what is looked for

    world.erase("anna")
    world.erasures.resume()
    assert not found([*pseudonyms(world, "meter-1"), *marks(world, "anna", "meter-1")], copy, everything(world))


def test_nor_in_a_spool(world: World) -> None:
    """One from before the erasure, and what is left of it."""
    spool = filled(with_others(world))
    names = {point.series.pseudonym for point in waiting(spool)}
    copy = b"".join(data for file, data in world.held().items() if file.startswith("spool"))
    assert all(name.encode() in copy for name in names)
    erased(world)
    for device in ("meter-1", "meter-2"):
        assert not found([*pseudonyms(world, device), *marks(world, "anna", device)], copy, everything(world))


def test_nor_in_a_backup_once_keys_were_turned_over(world: World, tmp_path: Path) -> None:
    """Its lock lives, so it is unlocked; what it was found under then is derived from what there is no more."""
    with_others(world).enrol("anna", "meter-1")
    file = backups(world).take()
    held = b"".join(sealed.read(world.custodian, file))
    assert found(marks(world, "anna", "meter-1"), held)
    world.erase("anna")
    world.turn_over()
    assert held == b"".join(sealed.read(world.custodian, file))
    assert not found([*pseudonyms(world, "meter-1"), *marks(world, "anna", "meter-1")], held)
    with pytest.raises(CustodianFault):
        restore(world.custodian, file, tmp_path / "restored" / "keys.db", opened)


def test_nor_in_the_ledger(world: World) -> None:
    """It goes on for ever, as certificates do; not what is in the fence file, whose hashes the fence secret finds."""
    with_others(world).enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    tried = marks(world, "anna", "meter-1")
    world.erase("anna")
    world.erasures.resume()
    tried += pseudonyms(world, "meter-1") + marks(world, "anna", "meter-1")
    world.turn_over()
    tried += pseudonyms(world, "meter-1") + marks(world, "anna", "meter-1")
    held, stopped = world.held(), fences(world, "anna", "meter-1")
    fence_file = held.pop("ledger/fences.jsonl")
    record = [data for name, data in held.items() if name.startswith(("ledger", "certificates"))]
    assert not found([*tried, *stopped], *record)
    assert not found(tried, fence_file)
    assert found(stopped, fence_file)


def test_route_hashes_of_the_erased_are_gone(world: World) -> None:
    with_others(world).enrol("anna", "meter-1")
    hashes = marks(world, "anna", "meter-1")
    assert found(hashes, everything(world))  # they were there
    world.erase("anna")
    world.erasures.resume()
    assert not found(hashes, everything(world))


def test_two_customers_share_no_secret(world: World) -> None:
    """The same device, in turn at two customers, cannot be linked by either's key."""
    world.enrol("anna", "meter-1")
    first = world.publish("meter-1", temperature=21.5).points[0].series.pseudonym
    world.erase("anna")
    moved_in = world.clock.wall()
    world.enrol("bert", "meter-1", since=moved_in)
    second = world.publish("meter-1", moved_in + 10**6, temperature=21.5).points[0].series.pseudonym
    assert first != second
