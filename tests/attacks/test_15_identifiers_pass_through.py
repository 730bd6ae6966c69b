"""Attack 15: identifiers and values end up where nobody looked, or everything passes through when a key is missing.

Without the custodian nothing is emitted at all. With it, neither an identifier nor a sealed value stands in any file of
the gateway: store, key store, ledger, fences; raw, hexadecimal or base64. The values planted here are recognisable as
text and as the 64 bits that they are packed to.
"""

from __future__ import annotations

import shutil
import struct

import pytest

from gateway.errors import CustodianFault, Unreachable
from gateway.transport.letters import EVERY
from tests.world import CANARY, DAY, Message, World, message

pytestmark = pytest.mark.both_key_stores

ENERGY = 86_420_975.317
POWER = 987_654
VALUES = (str(ENERGY), str(POWER), struct.pack(">q", 86_420_975_317), struct.pack(">iq", POWER, 86_420_975_317))


def test_no_identifier_and_no_value_in_any_file(world: World) -> None:
    world.enrol("anna", "meter-1", purposes=["development"])
    now = world.clock.wall()
    done = world.process(*(message("meter-1", now - n * 10**9, power=POWER, energy=ENERGY) for n in range(100)))
    assert len(done.points) == 100
    world.store.write(done.points)
    assert set(world.read("anna").value) == {ENERGY, POWER}  # they are in there
    assert world.leaks(*VALUES) == []
    world.erase("anna")
    assert world.leaks(*VALUES) == []


def test_no_identifier_and_no_value_in_the_dead_letters(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    letters = world.refuse(
        message("meter-1", now + DAY, power=POWER, energy=ENERGY),  # too far in the future: under her key
        message("meter-9", now, power=POWER, energy=ENERGY),  # of nobody known: under the day's
        Message("glomska/" + CANARY, str(ENERGY).encode()),
    )
    assert len(letters) == 3
    opened = [str(world.access.letter(letter, purpose="support").payload) for letter in letters]
    assert sum(str(POWER) in payload for payload in opened) == 2  # they are in there
    assert world.leaks(*VALUES) == []
    assert not any(CANARY in repr(letter) for letter in letters)


@pytest.mark.one_key_store  # of files
def test_the_search_would_find_them(world: World) -> None:
    """The search itself bites: what is planted in a file is found in each disguise."""
    planted = world.directory / "planted"
    for value in VALUES:
        raw = value.encode() if isinstance(value, str) else value
        for form in (raw, raw.hex().encode(), b"prefix" + raw + b"suffix"):
            planted.write_bytes(form)
            assert world.leaks(value) == ["planted"]
    planted.unlink()


def test_without_the_custodian_nothing_is_emitted(world: World) -> None:
    world.enrol("anna", "meter-1")
    shutil.move(world.directory / "kek", world.directory.parent / "safe")
    other = World(world.directory)
    with pytest.raises(Unreachable, match=r"directory .* holds neither key nor mark"):
        other.publish("meter-1", power=POWER)
    with pytest.raises(Unreachable, match=r"directory .* holds neither key nor mark"):
        other.refuse(message("meter-1", 1, power=POWER))
    assert other.points() == []
    assert other.letters.find(EVERY) == []
    other.close()
    shutil.move(world.directory.parent / "safe", world.directory / "kek")


def test_a_controller_whose_key_is_missing_stops_the_batch(world: World) -> None:
    """One that is enrolled while a worker runs: its key cannot be read, so nothing of the batch goes out."""
    world.enrol("anna", "meter-1")
    world.publish("meter-1", power=POWER)
    other = World(world.directory)
    other.enrol("bert", "meter-2")
    for key in (world.directory / "kek").iterdir():
        key.chmod(0o644)
    fresh = World(world.directory)
    with pytest.raises(CustodianFault, match="readable by others"):
        fresh.publish("meter-2", power=POWER)
    assert len(world.points()) == 1
    for key in (world.directory / "kek").iterdir():
        key.chmod(0o600)
    fresh.close()
    other.close()
