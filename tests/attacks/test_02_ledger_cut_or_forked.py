"""Attack 2: the ledger is cut, or forked, so that an act is forgotten or another story is told.

The key store knows the sequences of its acts, and the custodian the hash of the newest: neither is within the ledger's
reach.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.errors import IntegrityStop
from tests.world import World

pytestmark = pytest.mark.both_key_stores


def path(world: World) -> Path:
    return world.directory / "ledger" / "ledger.jsonl"


@pytest.mark.parametrize("lines", [1, 2, 4, 5])
def test_a_cut_ledger_is_refused(world: World, lines: int) -> None:
    world.enrol("anna", "meter-1")
    world.erase("anna")
    whole = path(world).read_bytes()
    path(world).write_bytes(b"".join(whole.splitlines(keepends=True)[:lines]))
    fresh = World(world.directory)
    with pytest.raises(IntegrityStop) as stop:
        fresh.control.check()
    assert stop.value.exit_code == 9
    fresh.close()
    path(world).write_bytes(whole)


@pytest.mark.one_key_store
def test_a_fork_of_the_same_length_is_refused(world: World) -> None:
    """Signed by the same key, chained whole, as long as the true one: another story told after a restore."""
    world.enrol("anna", "meter-1")
    fork = world.directory.parent / "fork"
    shutil.copytree(world.directory, fork)
    other = World(fork)
    with other.control.act("enrol"):
        pass
    with world.control.act("purge-source"):
        pass
    whole = path(world).read_bytes()
    assert len(path(other).read_bytes().splitlines()) == len(whole.splitlines())
    shutil.copy(path(other), path(world))
    fresh = World(world.directory)
    with pytest.raises(IntegrityStop, match="forked"):
        fresh.control.check()
    fresh.close()
    other.close()
    path(world).write_bytes(whole)
