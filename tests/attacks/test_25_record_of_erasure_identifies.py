"""Attack 25: the record of an erasure tells who was erased.

Ledger, fence file and certificates hold random ids, counts and times; a name is in none of them, and not as a hash that
a list of all names could find. (An unexpired fence is a keyed hash, for who holds its secret: docs/threat-model.md.)
"""

from __future__ import annotations

from hashlib import blake2b, md5, sha1, sha256

import pytest

from tests.world import CANARY, CONTROLLER, World, disguises

pytestmark = pytest.mark.both_key_stores


def record(world: World) -> bytes:
    """Everything that an erasure leaves to be shown, or kept for ever."""
    files = [*(world.directory / "ledger").iterdir(), *(world.directory / "certificates").iterdir()]
    return b"\n".join(file.read_bytes() for file in files if file.is_file())


def test_no_name_and_no_hash_of_one_stands_in_the_record(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    world.publish("meter-1", temperature=21.5)
    world.erase("anna")
    world.erasures.resume()
    pile = record(world)
    assert b"effective" in pile
    names = [f"{CANARY}{name}" for name in ("anna", "meter-1", "meter-2")]
    names += [f"{CONTROLLER}/{name}" for name in names]
    for name in names:
        for form in disguises(name.encode()):
            assert form not in pile
        for digest in (sha256, sha1, md5, blake2b):
            assert not any(form in pile for form in disguises(digest(name.encode()).digest()))
