"""A clock that jumps, both ways: nothing is destroyed by it, and nothing is lost.

The gateway's clock is a library's (libfaketime) that reads its offset from a file; that of broker, store and fleet is
the machine's. CLOCK_MONOTONIC and CLOCK_BOOTTIME do not jump, as on a machine whose wall clock is set.
"""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("days", [3_650, -3_650])
def test_a_clock_that_jumps_loses_nothing(days: int, tmp_path: Path) -> None:
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    offset = tmp_path / "offset"
    offset.write_text("+0")
    with stack("servers") as on:
        gateway = Gateway(tmp_path, on)
        gateway.enrol(ENROLMENT)
        before = status(gateway)
        gateway.environment |= {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with gateway.run() as running:
            deliver(on, *messages(1))
            gateway.await_points(50)
            offset.write_text(f"{days:+}d")
            deliver(on, *messages(2))
            settled(gateway, on, days)
            offset.write_text("+0")
            deliver(on, *messages(3))
            gateway.await_points(150 if days > 0 else 100)
            running.stop()
        for name in ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC"):
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


def status(gateway: Gateway) -> object:
    """What there is of keys, and how far back they reach. A turnover may rewrap them whatever the clock says."""
    (controller,) = json.loads(gateway.call("keys", "status", "--json"))["controllers"]
    return controller["keys"], controller["oldest_epoch"]
