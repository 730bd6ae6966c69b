"""What `doctor` says of spools: what waits, for how long, how full, how whole, and whether anybody drains it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.checks import CHECKS
from gateway.errors import GlomskaError, Unreachable, VerificationFailed
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened
from gateway.transport.spool import Spool, Spools
from tests.world import DAY, World


def check(world: World, **more: str) -> str:
    environ = {"GLOMSKA_STATE": str(world.directory), **{f"GLOMSKA_{key}": value for key, value in more.items()}}
    with opened(load_settings(environ=environ), create=False) as house:
        return CHECKS["spools"](house)


def refusal(world: World, **more: str) -> GlomskaError:
    with pytest.raises(GlomskaError) as caught:
        check(world, **more)
    return caught.value


def filled(world: World, name: str = "glomska-1", *, readings: int = 10) -> Path:
    """A spool of a worker that does not run, and its only segment."""
    now = world.clock.wall()
    with closing(Spools(world.directory / "spool", max_bytes=1 << 20).open(name)) as spool:
        fill(world, spool, now, readings)
    (segment,) = (world.directory / "spool" / name).glob("*.seg")
    return segment


def fill(world: World, spool: Spool, now: int, readings: int) -> None:
    for step in range(readings):
        spool.append(world.process_one("meter-1", now - step * 10**9, temperature=20.0).points)


@pytest.fixture
def home(world: World) -> World:
    world.enrol("anna", "meter-1")
    return world


def test_what_waits_is_no_fault(home: World) -> None:
    assert check(home) == "none"
    filled(home)
    filled(home, "glomska-1-2", readings=5)
    assert check(home) == "15 readings wait for the store in 2 spool(s)"


def test_what_is_drained_is_said(home: World) -> None:
    with closing(Spools(home.directory / "spool", max_bytes=1 << 20).open("glomska-1")):
        pass
    assert check(home) == "nothing waits"


def test_what_has_waited_for_more_than_a_day(home: World) -> None:
    segment, now = filled(home), home.clock.wall()
    os.utime(segment, ns=(now, now - DAY // 2))
    assert check(home) == "10 readings wait for the store in 1 spool(s)"
    os.utime(segment, ns=(now, now - 3 * DAY))
    fault = refusal(home)
    assert isinstance(fault, Unreachable)
    assert str(fault) == "readings have waited for the store for 3.0 days"
    assert "`glomska spool drain`" in fault.hint


def test_one_that_is_nearly_full(home: World) -> None:
    size = filled(home, readings=100).stat().st_size
    assert check(home, SPOOL__MAX_BYTES=str(max(2 * size, 1 << 16)))
    fault = refusal(home, SPOOL__MAX_BYTES=str(size * 10 // 9))
    assert isinstance(fault, Unreachable)
    assert str(fault) == "spools are nearly full: glomska-1 90%"
    assert "nothing is acknowledged" in fault.hint


def test_one_that_is_damaged(home: World) -> None:
    segment = filled(home)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    fault = refusal(home)
    assert isinstance(fault, VerificationFailed)
    assert str(fault) == "1 places are damaged in the spool of glomska-1"


def test_one_whose_worker_there_is_no_more(home: World) -> None:
    filled(home, "another-2")
    fault = refusal(home)
    assert isinstance(fault, Unreachable)
    assert str(fault).startswith("readings wait in the spool of another-2, which no worker drains")
    assert fault.hint == "`glomska spool drain NAME` brings them to the store"
    with closing(Spools(home.directory / "spool", max_bytes=1 << 20).open("another-2")):
        assert check(home), "somebody has it"
    assert check(home, MQTT__CLIENT_ID="another")
