"""A clock that jumps, both ways: nothing is destroyed by it, and nothing is lost.

The gateway's wall clock is shifted by what a file says (`clock.c`); that of broker, store and fleet is the machine's.
CLOCK_MONOTONIC and CLOCK_BOOTTIME do not jump, as on a machine whose wall clock is set.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from firmware_sim.fleet import Message
from tests.commands import Gateway, Stack, await_, deliver, flat, stack

ENROLMENT = "controller,customer,device,postal_code,valid_from\nheat-co,anna,meter-1,11122,2000-01-01\n"
TOPIC = "glomska/heat-co/meter-1/readings"
NOW = time.time_ns() // 1_000_000


def messages(number: int, count: int = 50) -> list[Message]:
    return [flat(TOPIC, NOW - 1_000_000 * number - 1000 * i, power=i, energy=number) for i in range(count)]


def shift(offset: Path, days: int) -> None:
    """Whole or not at all: it is read at every look at the clock."""
    fresh = offset.with_suffix(".new")
    fresh.write_text(str(days * 86_400))
    fresh.replace(offset)


@pytest.mark.parametrize("days", [3_650, -3_650])
def test_a_clock_that_jumps_loses_nothing(days: int, tmp_path: Path) -> None:
    library, offset = tmp_path / "clock.so", tmp_path / "offset"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("clock.c")], check=True)
    shift(offset, 0)
    with stack("servers") as on:
        gateway = Gateway(tmp_path, on)
        gateway.enrol(ENROLMENT)
        before = status(gateway)
        gateway.environment |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
        with gateway.run() as running:
            deliver(on, *messages(1))
            gateway.await_points(50)
            shift(offset, days)
            deliver(on, *messages(2))
            settled(gateway, on, days)
            await_(lambda: turned(gateway), lambda: "keys were not turned over by that clock")
            shift(offset, 0)
            deliver(on, *messages(3))
            gateway.await_points(150 if days > 0 else 100)
            running.stop()
        for name in ("LD_PRELOAD", "CLOCK_OFFSET"):
            del gateway.environment[name]
        if days < 0:  # they lay in the future of that clock, and were kept
            gateway.call("dead-letters", "replay", "--reason", "future", "--json")
        assert gateway.points() == 150
        assert len(gateway.read("heat-co/anna")) == 300
        assert status(gateway) == before


def settled(gateway: Gateway, on: Stack, days: int) -> None:
    """What was published while the clock was off has been stored, or kept."""
    if days > 0:
        gateway.await_points(100)
        return
    await_(
        lambda: len(json.loads(gateway.call("dead-letters", "list", "--json"))["letters"]) == 50,
        lambda: "what lay in the future was not kept",
    )


def turned(gateway: Gateway) -> bool:
    """Whether a turnover has begun and ended: only then has a wrong clock had its chance."""
    (controller,) = json.loads(gateway.call("keys", "status", "--json"))["controllers"]
    return bool(controller["kek"] > 1 and controller["under_way"] is None)


def status(gateway: Gateway) -> object:
    """What there is of keys, and how far back they reach. A turnover may rewrap them whatever the clock says."""
    (controller,) = json.loads(gateway.call("keys", "status", "--json"))["controllers"]
    return controller["keys"], controller["oldest_epoch"]
