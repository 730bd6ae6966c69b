"""A fleet's day through the gateway, in small: the command that docs/fleet.md was measured with keeps honest books."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

from benchmarks.day import Day
from tests.commands import PATIENCE_S


def test_the_books_of_a_day_balance_and_say_what_it_took() -> None:
    words = ("--homes", "60", "--hours", "4", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.day", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    day = Day(**json.loads(done.stdout))
    assert day.balances
    assert (day.homes, day.hours) == (60, 4.0)
    assert day.valid == day.stored > 60 * 14, "a reading each quarter of an hour, but for power cuts"
    assert day.deliveries > day.valid + sum(day.refused.values()) > day.valid
    figures = asdict(day)
    measured = ("enrol_seconds", "seconds", "messages_per_second", "cpu_us_per_message", "gateway_mib", "fleet_mib")
    assert all(figures[name] > 0 for name in measured)
    assert not replace(day, lost=1).balances
    assert not replace(day, duplicated=1).balances
    assert not replace(day, refused={}).balances
