"""Attack 16, dead letters: what waits sealed beside the store outlives the customer that it is of.

A gateway is killed with letters on its disk; the customer is erased by another process; the gateway starts again. What
was of them is gone from the file, also what came before their device was enrolled; a worker that was late brings
nothing back; and whoever kept a copy of the file holds what nobody can open.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model.dead import DeadLetter
from gateway.transport.letters import EVERY, DeadLetters
from tests.suspension import resume, suspend
from tests.world import Message, World, message, topic

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def before(tmp_path: Path, keys_url: str) -> Iterator[World]:
    """A gateway as it was when it was killed: its files were not let go."""
    world = World(tmp_path / "gateway", keys=keys_url)
    yield world
    world.close()


def crashed(before: World) -> tuple[World, list[DeadLetter], list[DeadLetter]]:
    """Another process on what a killed one left: letters under Anna's key, and of her device before it was hers."""
    before.enrol("bo", "meter-2")
    of_device = before.refuse(message("meter-1", before.clock.wall(), temperature=20.0))
    before.enrol("anna", "meter-1")
    suspend(before)
    of_customer = before.refuse(
        *(message("meter-1", before.clock.wall() - n * 10**9, temperature=20.0) for n in range(1, 21)),
        Message(topic("meter-1"), b"{cut off"),
    )
    resume(before)
    for suffix in ("", "-wal"):
        shutil.copy(before.directory / f"letters.db{suffix}", before.directory.parent / f"copy{suffix}")
    before.ring.leave()  # its lease would have to be waited for
    before._registered = False
    return World(before.directory), of_device, of_customer


def sealed_bytes(world: World, letters: list[DeadLetter]) -> int:
    """Letters whose ciphertext stands in a file of the gateway."""
    raw = b"".join(file.read_bytes() for file in world.directory.glob("letters.db*"))
    return sum(letter.sealed[:32] in raw for letter in letters)


def test_what_was_of_the_erased_is_deleted_and_stays_away(before: World) -> None:
    world, of_device, of_customer = crashed(before)
    other = world.refuse(Message(topic("meter-2"), b"{"), Message(topic("meter-7"), b"{"))
    assert sealed_bytes(world, [*of_device, *of_customer]) == 22
    world.erase("anna")
    assert sealed_bytes(world, [*of_device, *of_customer]) == 0
    assert {letter.letter_id for letter in world.letters.find(EVERY)} == {letter.letter_id for letter in other}
    assert world.letters.add([*of_device, *of_customer]) == 0, "also from a worker that was late"
    world.close()


def test_a_copy_of_the_file_opens_for_nobody(before: World) -> None:
    world, _of_device, of_customer = crashed(before)
    world.erase("anna")
    world.letters.close()
    before.letters.close()
    for suffix in ("", "-wal"):
        shutil.copy(world.directory.parent / f"copy{suffix}", world.directory / f"letters.db{suffix}")
    world.letters = DeadLetters(world.directory / "letters.db", max_bytes=2**24)
    assert world.letters.count(EVERY) == 22
    world.register()
    replayed = world.replay.run(EVERY)
    assert replayed.stored == 0
    assert replayed.gone == len(of_customer) + 1, "dropped and counted: hers, and what is a fenced device's now"
    assert world.letters.count(EVERY) == 0
    assert world.points() == []
    world.close()


def test_a_living_customers_are_still_there_and_replayed(before: World) -> None:
    world, of_device, of_customer = crashed(before)
    world.erase("bo")
    world.register()
    assert world.replay.run(EVERY).stored == len(of_customer) - 1 + len(of_device)
    assert len(world.read("anna").value) == 21
    world.close()
