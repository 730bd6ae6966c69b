"""Attack 8: PostgreSQL keeps what was deleted in dead tuples, in its write-ahead log and in the archive of that log.

The attacker has all of those files, byte by byte, and the live custodian. Until keys are turned over that opens what
was erased, as certificates say; afterwards W of every row in there is gone, and nothing of the erased opens again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from gateway.crypto import envelope
from gateway.crypto.envelope import RowKind, RowPlace
from gateway.keystore import rows, subjects
from gateway.model.ids import Incarnation, parse_controller
from tests.postgres import Postgres
from tests.world import CONTROLLER, World

HEAT_CO = parse_controller(CONTROLLER)
ROW = re.compile(rb"(?=\x01([\s\S]{60}))")  # wherever a wrapped row of 61 bytes may begin


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Durable, with an archive of its log in small pieces."""
    settings = ("archive_mode=on", "archive_command=cp %p ../archive/%f", "wal_level=replica")
    with Postgres(durable=True, settings=settings, segment_mb=1) as made:
        yield made


@pytest.fixture
def world(server: Postgres, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state", keys=server.database())
    yield made
    made.close()


def living_keys(world: World) -> dict[Incarnation, list[rows.Key]]:
    with world.keystore.snapshot() as tx:
        found = [Incarnation(row[0]) for row in tx.exec_driver_sql("SELECT incarnation FROM incarnations")]
        return {each: subjects.find_keys(tx, [each]) for each in found}


def erased_with_everything_left_behind(server: Postgres, world: World) -> tuple[list[rows.Key], list[rows.Key]]:
    """Keys as they were of anna, who is erased, and of bo, who is not."""
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    before = set(living_keys(world))
    world.enrol("bo", "meter-2")
    kept = living_keys(world)
    server.sql("SELECT pg_switch_wal()")
    world.erase("anna")
    (anna,) = before
    (bo,) = set(kept) - before
    return kept[anna], kept[bo]


def files(server: Postgres) -> bytes:
    """Heap, log and archive, once what is in memory is written too; rows stand beside their controller's name."""
    server.sql("CHECKPOINT")
    server.sql("SELECT pg_switch_wal()")
    places = (server.data / "base", server.data / "pg_wal", server.directory / "archive")
    held = []
    for path in (path for place in places for path in sorted(place.rglob("*")) if "archive_status" not in path.parts):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # segments are renamed meanwhile
            held.append(path.read_bytes())
    return b"".join(data for data in held if b"heat-co" in data)


def opened(image: bytes, keys: list[bytes], aads: list[bytes]) -> set[bytes]:
    """Whatever opens in the image, at any offset, under any of these keys, in any of these places."""
    ciphers = [AESGCMSIV(key) for key in keys]
    found = set()
    for window in {match[1] for match in ROW.finditer(image)}:
        for cipher in ciphers:
            for aad in aads:
                try:
                    found.add(cipher.decrypt(window[:12], window[12:], aad))
                except InvalidTag:
                    continue
    return found


def attack(server: Postgres, world: World, key_rows: list[rows.Key]) -> set[bytes]:
    """Secrets of a customer that the files and the live custodian give."""
    image = files(server)
    wrapping = [path.read_bytes() for path in (world.directory / "kek").glob("w-*.key")]
    keks = opened(image, wrapping, [envelope.kek_aad(HEAT_CO, e) for e in (1, 2, 3)])
    assert keks, "the custodian's living key finds its own row, so the search finds what there is"
    return opened(image, list(keks), [place(row).aad() for row in key_rows])


def place(row: rows.Key) -> RowPlace:
    return RowPlace(
        controller=HEAT_CO,
        kind=RowKind.CSK,
        key_id=row.key_id,
        version=row.version,
        incarnation=row.incarnation,
        key_class=row.key_class,
        base=row.base,
    )


def test_until_a_turnover_the_files_and_the_custodian_still_open_it(server: Postgres, world: World) -> None:
    anna, _bo = erased_with_everything_left_behind(server, world)
    assert len(attack(server, world, anna)) == len(anna)
    assert "dead tuples, write-ahead log" in world.keystore.residue


def test_after_a_turnover_nothing_of_the_erased_opens(server: Postgres, world: World) -> None:
    anna, bo = erased_with_everything_left_behind(server, world)
    world.turn_over()
    image = files(server)
    assert all(row.wrapped is not None and row.wrapped in image for row in anna), "the bytes themselves are still there"
    assert attack(server, world, anna) == set()
    assert len(attack(server, world, bo)) == len(bo)
