"""Attack 24: a crash in the middle of a turnover leaves half of the keys under a wrapping key that is gone.

A process is killed before or after a write of the ledger, a transaction, its commit, a deletion in the store, or an
act of the custodian. Whoever comes next finds old or new, never mixed: every living customer reads, a second pass
converges, and the ledger verifies. (Erasure is killed everywhere in tests/unit/control/test_erasure_processes.py.)
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from gateway.control import pages
from gateway.control.pages import Step
from gateway.keystore import lineages, turnovers
from gateway.model.ids import epoch_of, epoch_start, parse_controller
from tests.copies import copied
from tests.unit.control.processes import kill_at
from tests.world import CONTROLLER, DAY, SQLITE, ShiftedClock, World, keys_of, ns

pytestmark = pytest.mark.both_key_stores

HEAT_CO = parse_controller(CONTROLLER)
START = ns("2026-03-10T12:00:00+00:00")
APRIL = epoch_start(epoch_of(START) + 1) + DAY
SAMPLED, FEWER = 12, 4  # boundaries that are killed; fewer with PostgreSQL, which takes longer
CUSTOMERS = 5
PASSED = "boundaries"


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys_url: str) -> Path:
    """A gateway at rest, with a month that is about to expire. Pages are small, so that there are many."""
    monkeypatch.setattr(pages, "KEYS", 4)
    monkeypatch.setattr(pages, "ROUTES", 3)
    world = World(tmp_path / "template", clock=ShiftedClock(START), keys=keys_url)
    for number in range(CUSTOMERS):
        world.enrol(f"home-{number}", f"meter-{number}", since=1)
        world.publish(f"meter-{number}", START, temperature=number + 0.5)
    with world.keystore.snapshot() as tx:
        oldest = lineages.find_horizons(tx, HEAT_CO)["telemetry"]
    world.publish("meter-1", epoch_start(oldest) + DAY, temperature=9.5)
    world.enrol("gone", "meter-9")
    world.erase("gone")
    world.close()
    return world.directory


def turn_until(directory: Path, boundary: int) -> bool:
    """One pass in a process that is killed at a boundary; whether it was, or ended before it and noted how many."""
    child = os.fork()
    if child == 0:
        try:
            world = World(directory, clock=ShiftedClock(APRIL))
            passed = kill_at(boundary)
            world.turn_over()
            (directory / PASSED).write_text(str(passed()))
        finally:
            os._exit(0)
    _pid, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def boundaries_of(template: Path, scratch: Path) -> int:
    """How many there are, counted in a pass that is not killed."""
    assert not killed(template, scratch, boundary=0)
    return int((scratch / PASSED).read_text())


def killed(template: Path, scratch: Path, boundary: int) -> bool:
    shutil.rmtree(scratch, ignore_errors=True)
    copied(template, scratch)
    return turn_until(scratch, boundary)


def found_whole(directory: Path) -> list[str]:
    """What is wrong after a crash and a second pass; empty when nothing is."""
    world = World(directory, clock=ShiftedClock(APRIL + DAY))
    try:
        world.turn_over()
        wrong: list[str] = []
        with world.keystore.snapshot() as tx:
            found = turnovers.newest(tx, HEAT_CO)
            assert found is not None
            keks = list(lineages.find_keks(tx, HEAT_CO))
            behind = turnovers.left_behind(tx, HEAT_CO, e=found.e)
        wrong += [] if found.step == Step.DONE else [f"step {found.step}"]
        wrong += [] if keks == [found.e] else [f"keks {keks}"]
        wrong += [] if not any(behind.values()) else [f"behind {behind}"]
        wrong += [f"open {line.seq}" for line in world.ledger.open_intents.values()]
        for number in range(CUSTOMERS):
            values = world.read(f"home-{number}", start=1).value.tolist()
            wrong += [] if values == [number + 0.5] else [f"home-{number} reads {values}"]
        world.ledger.verify()
        return wrong
    except Exception as fault:  # noqa: BLE001 - whatever it is, it is what the crash left
        return [type(fault).__name__]
    finally:
        world.close()


def test_killed_anywhere_and_carried_on_with(template: Path, tmp_path: Path) -> None:
    last = boundaries_of(template, tmp_path / "scratch")
    wrong = {}
    taken = SAMPLED if keys_of(template) == SQLITE else FEWER
    for boundary in sorted(random.Random(24).sample(range(1, last + 1), taken)):
        assert killed(template, tmp_path / "scratch", boundary)
        if found := found_whole(tmp_path / "scratch"):
            wrong[boundary] = found
    assert wrong == {}


def test_killed_again_and_again(template: Path, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    copied(template, directory)
    for boundary in (30, 9, 25, 3, 14, 22, 6, 40):
        turn_until(directory, boundary)
    assert found_whole(directory) == []
