"""Months that go with a turnover while a worker is stopped that may still have one of their readings in its hands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from gateway.cli.main import call
from gateway.control.pages import Step
from gateway.errors import IntegrityStop
from gateway.keystore import lineages
from gateway.keystore.schema import secrets, workers
from gateway.model.ids import epoch_of, epoch_start
from tests.postgres import PASSWORD
from tests.unit.control.processes import CONTEXT, start, write_late
from tests.unit.control.test_turnover import HEAT_CO, START, lineage_of, newest
from tests.world import DAY, SECOND, ShiftedClock, World

pytestmark = pytest.mark.both_key_stores

PATIENCE_S = 120.0


@pytest.fixture
def dated(tmp_path: Path, keys_url: str) -> Iterator[World]:
    made = World(tmp_path / "state", clock=ShiftedClock(START), keys=keys_url)
    yield made
    made.close()


@contextlib.contextmanager
def stopped_writer(world: World) -> Iterator[tuple[BaseProcess, Callable[[], None]]]:
    """A worker that is stopped between its last look at its lease and its request; and what lets it go on."""
    sealed, go = CONTEXT.Event(), CONTEXT.Event()
    old = epoch_start(lineage_of(world).horizons["telemetry"]) + DAY
    child = start(write_late, world.directory, world.clock, "meter-1", old, sealed, go)
    assert child.pid is not None
    pid = child.pid

    def go_on() -> None:
        os.kill(pid, signal.SIGCONT)
        go.set()

    try:
        assert sealed.wait(PATIENCE_S)
        os.kill(pid, signal.SIGSTOP)
        yield child, go_on
    finally:
        child.kill()
        child.join()


def until(holds: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        meanwhile()
        time.sleep(0.02)


def a_month_later(world: World) -> None:
    assert isinstance(world.clock, ShiftedClock)
    world.clock.advance(epoch_start(epoch_of(START) + 1) + DAY - START)


def captured(world: World) -> int:
    with world.keystore.snapshot() as tx:
        keys = len(lineages.find_secrets(tx, HEAT_CO, "purge"))
    ((captures,),) = world.sql("SELECT count(*) FROM captures")
    assert bool(captures) == bool(keys)
    return int(captures)


def test_what_a_stopped_worker_writes_after_the_pass_goes_too(dated: World) -> None:
    world = dated
    assert isinstance(world.clock, ShiftedClock)
    world.enrol("anna", "meter-1", since=1)
    with stopped_writer(world) as (_child, go_on):
        a_month_later(world)
        assert world.turn_over().ratcheted == 2, "the pass waits for its lease, and no longer"
        assert (newest(world).step, world.points()) == (Step.DONE, [])
        world.turnovers.tick()
        assert captured(world) == 1, "what it may bring is still to be deleted"
        go_on()
        until(lambda: len(world.points()) == 1)
        until(lambda: captured(world) == 0, world.turnovers.tick)
    assert world.points() == []
    assert newest(world).expired == 1
    world.turn_over()
    world.ledger.verify()


def test_it_is_not_waited_for_when_it_has_ended(dated: World) -> None:
    world = dated
    world.enrol("anna", "meter-1", since=1)
    with stopped_writer(world) as (child, _go_on):
        a_month_later(world)
        world.turn_over()
        child.kill()
        child.join()
        until(lambda: captured(world) == 0, world.turnovers.tick)
    assert world.points() == []


def test_a_purge_key_that_does_not_open_is_given_up_as_any_row(dated: World) -> None:
    world = dated
    world.enrol("anna", "meter-1", since=1)
    with stopped_writer(world) as (child, _go_on):
        a_month_later(world)
        world.turn_over()
        child.kill()
        child.join()
    with world.keystore.act() as tx:
        tx.execute(secrets.update().where(secrets.c.kind == "purge").values(wrapped=bytes(61)))
    with pytest.raises(IntegrityStop, match="1 secrets do not open"):
        world.turn_over()
    assert world.turnovers.release_lost(HEAT_CO) == 1
    assert world.turn_over().e == 3
    assert world.turn_over().e == 4


def test_what_it_has_sent_when_it_goes_on_is_waited_for(dated: World) -> None:
    """It lets go, and its request may take as long as any."""
    world = dated
    assert isinstance(world.clock, ShiftedClock)
    world.enrol("anna", "meter-1", since=1)
    with stopped_writer(world) as (_child, go_on):
        with world.keystore.attend() as tx:
            tx.execute(workers.update().values(deadline=3600 * SECOND))
        a_month_later(world)
        world.turn_over()
        go_on()
        until(lambda: len(world.points()) == 1)
        until(lambda: newest(world).purge_due is not None, world.turnovers.tick)
        world.turnovers.tick()
        assert (captured(world), len(world.points())) == (1, 1)
        world.clock.advance(3602 * SECOND)
        world.turnovers.tick()
    assert (captured(world), world.points()) == (0, [])


def test_one_that_never_returns_is_named_and_declared_lost(
    dated: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On another machine, of which nobody here can tell whether it has ended."""
    world = dated
    world.enrol("anna", "meter-1", since=1)
    with stopped_writer(world) as (child, _go_on):
        with world.keystore.attend() as tx:
            tx.execute(workers.update().values(process="elsewhere then pid:[1] 1 1", boot="then", lease=SECOND))
        a_month_later(world)
        world.turn_over()
        child.kill()
        child.join()
    world.turnovers.tick()
    assert captured(world) == 1, "it may be stopped only"
    (row,) = world.sql("SELECT worker FROM workers")
    worker = row[0].hex()
    (secret := world.directory / "keys.password").write_text(PASSWORD)
    secret.chmod(0o600)
    monkeypatch.setenv("GLOMSKA_STATE", str(world.directory))
    if world.keys.startswith("postgresql"):
        monkeypatch.setenv("GLOMSKA_KEYS__URL", world.keys)
        monkeypatch.setenv("GLOMSKA_KEYS__PASSWORD_FILE", str(secret))

    def said(*words: str, code: int = 0) -> str:
        assert call(["keys", *words]) == code
        printed = capsys.readouterr()
        return printed.out + printed.err

    assert json.loads(said("status", "--json"))["controllers"][0]["waits_for"] == [worker]
    assert f"glomska keys declare-lost {worker}\n" in said("status")
    assert "nothing that expired waits for a worker" in said("declare-lost", "ab" * 16, "--yes", code=2)
    assert said("declare-lost", worker, "--yes").startswith("noted")
    assert json.loads(said("status", "--json"))["controllers"][0]["waits_for"] == []
    until(lambda: captured(world) == 0, world.turnovers.tick)
    begun = [line for line in map(json.loads, world.ledger.lines()) if line["act"] == "declare-lost"]
    assert [line["party"] for line in begun if line["phase"] == "intent"] == [worker]
    world.ledger.verify()
