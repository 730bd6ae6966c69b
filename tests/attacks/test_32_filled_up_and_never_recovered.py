"""Attack 32: storage fills up, and nothing flows again when there is room.

The store takes nothing; the spool fills; then nothing is acknowledged any more. When the store heals, or the disk has
room, everything that was published is stored, by itself, each once.
"""

from __future__ import annotations

import errno
import os
import threading

import pytest

from tests.unit.runtime.test_spooling import spooled
from tests.unit.runtime.test_worker import until
from tests.world import World

MESSAGES = 300


def test_filled_healed_and_drained_nothing_is_lost(world: World) -> None:
    world.enrol("anna", "meter-1")
    with spooled(world, max_bytes=9_000) as run:
        run.store.open.clear()
        run.put(1, 10)
        run.line.wait(10)
        for first in range(11, MESSAGES, 10):
            run.put(first, 10)
        until(lambda: "spool stuck" in run.events())
        assert 0 < len(run.line.settled) < MESSAGES, "what fits is acknowledged, and no more"
        run.store.open.set()
        until(lambda: run.spools.size() == 0 and len(run.line.settled) >= MESSAGES)
        assert "recovered: storing" in run.events()
    assert run.line.settled == list(range(1, MESSAGES + 1))
    assert len(world.points()) == MESSAGES


def test_a_disk_that_was_full_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol("anna", "meter-1")
    full, write = threading.Event(), os.pwrite

    def disk(file: int, data: bytes, at: int) -> int:
        if full.is_set():
            write(file, data[: len(data) // 2], at)  # as far as there was room
            raise OSError(errno.ENOSPC, "no space left on device")
        return write(file, data, at)

    monkeypatch.setattr(os, "pwrite", disk)
    with spooled(world) as run:
        run.store.open.clear()
        run.put(1, 20)
        run.line.wait(20)
        full.set()
        run.put(21, 20)
        until(lambda: "spool stuck" in run.events() or len(run.line.settled) > 20)
        assert len(run.line.settled) == 20, "nothing is acknowledged that is nowhere"
        full.clear()
        run.line.wait(40)
        run.store.open.set()
        until(lambda: run.spools.size() == 0)
    assert len(world.points()) == 40


def test_a_store_that_fails_again_while_it_is_drained_loses_nothing(world: World) -> None:
    world.enrol("anna", "meter-1")
    with spooled(world) as run:
        run.store.open.clear()
        run.put(1, 50)
        run.line.wait(50)
        for _ in range(3):
            asked = len(run.store.written)
            run.store.tried(1)
            assert len(run.store.written) == asked
        run.store.open.set()
        until(lambda: run.spools.size() == 0)
    assert len(world.points()) == 50
