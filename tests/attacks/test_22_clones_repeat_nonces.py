"""Attack 22: two clones of one worker, or one that was restored, seal different values under one nonce.

The nonce is the event time, so clones repeat it by design; AES-256-GCM-SIV then shows which values are equal, and
nothing about those that are not. With GCM or a stream cipher the difference of the two would be that of the values.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model.sealed import SealedPoint
from tests.copies import imaged
from tests.world import World

pytestmark = pytest.mark.both_key_stores

TEMPERATURES = (-10.0, 0.0, 20.0, 21.5, 21.51)


@pytest.fixture
def clones(world: World, tmp_path: Path) -> Iterator[tuple[World, World]]:
    """A worker, and a copy of everything it has, as a snapshot of its machine starts twice."""
    world.enrol("anna", "meter-1")
    world.keystore.scrub(())
    clone = World(imaged(world, tmp_path / "clone"))
    yield world, clone
    clone.close()


def sealed(point: SealedPoint) -> bytes:
    """Ciphertext without tag, format and schema."""
    return base64.urlsafe_b64decode(point.value + "=" * (-len(point.value) % 4))[2:-16]


def packed(celsius: float) -> int:
    return int.from_bytes(round(celsius * 100).to_bytes(4, "big", signed=True))


def test_only_equality_shows(clones: tuple[World, World]) -> None:
    now = clones[0].clock.wall() // 10**6 * 10**6
    seen = [{t: world.process_one("meter-1", now, temperature=t).points[0] for t in TEMPERATURES} for world in clones]
    for mine in TEMPERATURES:
        for other in TEMPERATURES:
            one, two = seen[0][mine], seen[1][other]
            assert (one.series.pseudonym, one.time, one.field) == (two.series.pseudonym, two.time, two.field)
            assert (one.value == two.value) == (mine == other)
            if mine != other:
                difference = int.from_bytes(sealed(one)) ^ int.from_bytes(sealed(two))
                assert difference != packed(mine) ^ packed(other)
