"""Erasure over several processes: killed at every boundary, asked for twice at once, with workers alive and stopped."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from gateway.control import letting_go
from gateway.control.erasure import Step
from gateway.errors import KeyDestroyed
from gateway.keys.lifecycle import KeyState
from gateway.keystore import acts, rows, workers
from tests.copies import copied
from tests.postgres import Postgres
from tests.unit.control import processes
from tests.unit.control.processes import CONTEXT, await_stopped, ended, open_erasures, start
from tests.unit.control.test_erasure import ledger_lines, states
from tests.world import SECOND, SQLITE, World

BOUNDARIES = 49
SAMPLED = 3  # of PostgreSQL's boundaries each third is taken: they are the same, and each takes a database
pytestmark = pytest.mark.both_key_stores


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One gateway with two customers and a reading of each, at rest."""
    url = SQLITE
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.database()
    world = World(tmp_path_factory.mktemp("template") / "state", keys=url)
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=21.5)
    world.publish("meter-2", temperature=22.5)
    world.close()
    return world.directory


def settle(world: World) -> None:
    world.control.check()
    deadline = time.monotonic() + 60
    while world.erasures.resume() or open_erasures(world):
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("template", "boundary"),
    [
        *(("sqlite", boundary) for boundary in range(1, BOUNDARIES + 1)),
        *(("postgresql", boundary) for boundary in range(1, BOUNDARIES + 1, SAMPLED)),
    ],
    indirect=["template"],
)
def test_killed_at_a_boundary_and_carried_on_with(template: Path, tmp_path: Path, boundary: int) -> None:
    directory = tmp_path / "state"
    copied(template, directory)
    code = ended(start(processes.erase_until, directory, "anna", boundary))
    assert code == -signal.SIGKILL
    world = World(directory)
    settle(world)
    before = states(world)
    assert KeyState.ERASING not in before
    if before == {KeyState.ACTIVE: 6}:  # killed before the intent was durable: nothing has happened
        assert "erase" not in {line["act"] for line in ledger_lines(directory)}
        assert world.read("anna").value.tolist() == [21.5]
        world.erase("anna")
    assert states(world) == {KeyState.DESTROYED: 3, KeyState.ACTIVE: 3}
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    assert world.enrol("anna", "meter-1").refused == [(2, "erased")]
    assert len(world.points()) == 1
    assert world.read("bo").value.tolist() == [22.5]
    settle(world)
    world.ledger.verify()
    assert world.ledger.open_intents == {}
    world.close()
    assert world.leaks() == []


def test_the_boundaries_are_all_of_them(template: Path, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    copied(template, directory)
    assert ended(start(processes.erase_until, directory, "anna", BOUNDARIES + 1)) == 0, (
        "it has more steps than are killed"
    )


def test_killed_again_and_again(template: Path, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    copied(template, directory)
    ended(start(processes.erase_until, directory, "anna", 6))
    for boundary in (1, 2, 3, 2, 4, 3):
        ended(start(processes.resume_until, directory, boundary))
    world = World(directory)
    settle(world)
    assert states(world) == {KeyState.DESTROYED: 3, KeyState.ACTIVE: 3}
    world.close()


def test_asked_for_by_many_at_once(template: Path, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    copied(template, directory)
    begin, results = CONTEXT.Barrier(6), CONTEXT.Queue()
    children = [start(processes.erase_one, directory, "anna", begin, results) for _ in range(4)]
    children += [start(processes.resume_all, directory, begin) for _ in range(2)]
    assert [ended(child) for child in children] == [0] * 6
    told = [results.get(timeout=60) for _ in range(4)]
    erasures = {name for name, _rows in told} - {"KeyDestroyed"}
    assert len(erasures) == 1
    world = World(directory)
    settle(world)
    assert states(world) == {KeyState.DESTROYED: 3, KeyState.ACTIVE: 3}
    with world.keystore.snapshot() as tx:
        row = acts.find_erasure(tx, bytes.fromhex(erasures.pop()))
    assert row is not None
    assert row.rows_first == 1, "each row is counted once, whoever deleted it"
    world.ledger.verify()
    world.close()


def test_a_worker_alive_in_another_process_lets_go_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letting_go, "MARGIN", 600 * SECOND)  # rows are not deleted again, however long the rest takes
    world.enrol("anna", "meter-1")
    ready, stop = CONTEXT.Event(), CONTEXT.Event()
    worker = start(processes.work, world.directory, ready, stop, 600.0)  # longer than it is ever kept from the CPU
    assert ready.wait(60)
    erased = world.erase("anna")
    assert (erased.step, erased.workers) == (Step.PURGED_ONCE, 1)
    with world.keystore.snapshot() as tx:
        (row,) = workers.find_all(tx)
        assert row.generation == workers.generation(tx), "it has acknowledged, and was not waited out"
    stop.set()
    assert ended(worker) == 0


def test_a_stopped_worker_is_waited_for_until_its_lease_is_over(template: Path, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    copied(template, directory)
    ready, stop = CONTEXT.Event(), CONTEXT.Event()
    worker = start(partial(processes.work, stopped=True), directory, ready, stop, 1.0)
    assert ready.wait(60)
    assert worker.pid is not None
    await_stopped(worker)
    try:
        world = World(directory)
        with world.keystore.snapshot() as tx:
            (row,) = workers.find_all(tx)
        world.erase("anna")
        over = world.clock.boottime() - (row.renewed + row.lease)  # its own clock: see ADR 0045
        assert over >= 0
        assert open_erasures(world) == 1
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    while not (world.erasures.resume() or open_erasures(world) == 0):
        time.sleep(0.1)
    deadline = time.monotonic() + 60
    with world.keystore.snapshot() as tx:
        generation = workers.generation(tx)
    while not all(w.generation == generation and w.renewed > row.renewed for w in registered(world)):
        assert time.monotonic() < deadline, "awake again, it drops its keys and gets a lease again"
        time.sleep(0.05)
    stop.set()
    assert ended(worker) == 0
    world.close()


def registered(world: World) -> list[rows.Worker]:
    with world.keystore.snapshot() as tx:
        return workers.find_all(tx)
