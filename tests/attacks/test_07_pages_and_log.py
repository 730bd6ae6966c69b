"""Attack 7: a key that was deleted is still in SQLite's free pages or in its write-ahead log.

Measured with 3.40: with `secure_delete` and WAL the key stays in the main file until a checkpoint; and with a reader
open `wal_checkpoint(TRUNCATE)` answers busy = 1 without raising. So its row is checked, it is tried again, and the
bytes are looked for; an erasure is not effective before. A reader: `tests/unit/keystore/test_database.py`. What
PostgreSQL keeps: attack 8.
"""

from __future__ import annotations

from pathlib import Path

from gateway.keystore import schema
from tests.world import World


def wrapped_of(world: World) -> list[bytes]:
    with world.keystore.snapshot() as tx:
        return [row.wrapped for row in tx.execute(schema.keys.select()) if row.wrapped is not None]


def files(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.glob("keys.db*")))


def test_no_byte_of_a_wrapped_key_is_left_in_the_files(world: World) -> None:
    for number in range(20):
        world.enrol(f"customer-{number}", f"meter-{number}")
    before = wrapped_of(world)
    for number in range(20):
        world.erase(f"customer-{number}")
    pile = files(world.directory)
    assert len(before) == 60
    assert not any(wrapped[:13] in pile or wrapped[-16:] in pile for wrapped in before)
