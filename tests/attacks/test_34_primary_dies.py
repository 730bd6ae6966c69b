"""Attack 34: the primary's disk dies right after a turnover, and the standby that takes over never saw the new keys.

A real PostgreSQL and a streaming standby, made from it over loopback. While the standby is behind, the older wrapping
key is kept; when the pass is done, the primary is killed, and everybody who lives reads from the one that was promoted.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.control.pages import Step
from gateway.control.turnover import Turnovers
from gateway.errors import Unreachable
from gateway.keystore import turnovers
from gateway.model.ids import parse_controller
from tests.postgres import Postgres
from tests.world import CONTROLLER, World

HEAT_CO = parse_controller(CONTROLLER)
NAME = "second"
PATIENCE_S = 120.0
LOOKS = 20  # at a standby that is behind


@pytest.fixture
def primary() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def standby(primary: Postgres, both: World) -> Iterator[Postgres]:
    assert both.keys
    with primary.standby(NAME) as server:
        await_streaming(primary)
        yield server


@pytest.fixture
def both(primary: Postgres, tmp_path: Path) -> Iterator[World]:
    """A gateway whose key store is on the primary, with three customers."""
    world = World(tmp_path / "state", keys=primary.database())
    for number in range(3):
        world.enrol(f"old-{number}", f"meter-{number}")
        world.publish(f"meter-{number}", temperature=1.5)
    world.ring.leave()
    world._registered = False
    yield world
    world.close()


def await_streaming(primary: Postgres) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while primary.sql("SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'") != [(NAME,)]:
        assert time.monotonic() < deadline, "the standby does not stream"
        time.sleep(0.02)


def passes(world: World, *standbys: str) -> Turnovers:
    return Turnovers(world.control, world.custodian, lambda: world.policy, {"readings": world.store}, standbys=standbys)


def advanced(world: World, turning: Turnovers) -> Step:
    """As far as it comes without waiting for long."""
    found, waited = turning.begin(HEAT_CO), 0
    while found.step != Step.DONE and waited < LOOKS:
        waited = 0 if turning.advance(found) else waited + 1
        with world.keystore.snapshot() as tx:
            found = turnovers.find(tx, HEAT_CO, found.e)
    return Step(found.step)


def test_the_primary_dies_and_everybody_reads_from_the_standby(
    both: World, primary: Postgres, standby: Postgres, tmp_path: Path
) -> None:
    receiver = int(standby.sql("SELECT pid FROM pg_stat_wal_receiver")[0][0])
    turning = passes(both, NAME)
    os.kill(receiver, signal.SIGSTOP)  # connected, and behind
    try:
        assert advanced(both, turning) == Step.ALONE
        assert both.custodian.exists(HEAT_CO, 1), "the standby's copy opens with nothing else"
    finally:
        os.kill(receiver, signal.SIGCONT)
    assert turning.run(HEAT_CO).e == 2
    assert not both.custodian.exists(HEAT_CO, 1)
    primary.kill()
    standby.sql("SELECT pg_promote(wait_seconds => 60)")
    both.keys = both.keys.replace(str(primary.port), str(standby.port))
    after = World(both.directory, keys=both.keys)
    for number in range(3):
        assert after.read(f"old-{number}").value.tolist() == [1.5]
    after.control.check()
    after.enrol("new", "meter-new")
    after.close()


def test_one_that_is_away_keeps_the_older_key(both: World) -> None:
    turning = passes(both, NAME)
    with pytest.raises(Unreachable, match=f"standby not connected: {NAME}"):
        turning.run(HEAT_CO)
    assert both.custodian.exists(HEAT_CO, 1)
    assert passes(both).run(HEAT_CO).e == 2, "taken out of the configuration, it is not waited for"
