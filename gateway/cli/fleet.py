"""The demo's devices: three fleets in processes of their own, which know of the gateway no more than its broker.

    meters    three real electricity meters, as many of their last days as there is time for
    homes     simulated homes that were offline for a day and now send what they kept
    live      simulated homes that report once a second, at the moment they measure

The first two with everything that goes wrong in the field: duplicates, disorder, bursts, broken messages. The live ones
without, so that their event time is the time at which they published, and latency can be told from it.

Each is a controller of its own, so that no device of one can have the name of a device of another. Each keeps a record
of what it publishes, which the books are held against.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_sim.cli import SOON
from firmware_sim.enrolment import write_enrolment
from firmware_sim.fleet import Home, meters, thermostats
from gateway.errors import Unreachable

METERS, HOMES, LIVE = "meters", "homes", "live"
REAL_METERS, METER_ROWS = 3, 24 + 48 + 48  # rows a day: one file is by the hour, two are by the half-hour
METER_RATE, HOME_RATE = 1000, 1500  # messages a second: below what two cores take with broker and fleets beside us
_DAY = 86_400
_PROGRAM = (sys.executable, "-c", "from firmware_sim.cli import main; main()")
_FAULTS = ("--duplicates", "0.04", "--disorder", "0.04", "--bursts", "0.2", "--malformed", "0.03")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The fleets' own books, added up, in messages."""

    published: int
    deliveries: int
    duplicates: int
    refused_expected: Counter[str]


class Fleets:
    """Started once; `end` may be called at any time, and again."""

    def __init__(self, directory: Path, *, homes: int, seconds: int) -> None:
        self._directory = directory
        self._seconds = seconds
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        live = homes // 2
        self.homes: dict[str, tuple[Home, ...]] = {
            METERS: meters(REAL_METERS, seed=0, controller=METERS),
            HOMES: thermostats(homes - live, seed=0, controller=HOMES, senml=0.2),
            LIVE: thermostats(live, seed=0, controller=LIVE),
        }

    def enrolment(self) -> Path:
        """The enrolment file of all homes."""
        path = self._directory / "enrolment.csv"
        write_enrolment([home for fleet in self.homes.values() for home in fleet], path)
        return path

    def record(self, name: str) -> Path:
        """Where a fleet writes what it publishes, as JSON lines."""
        return self._directory / f"{name}.jsonl"

    def start(self, url: str) -> None:
        """Begin to publish. What is dated after this moment comes from the live homes."""
        now = int(time.time())
        days = min(365.0, METER_RATE * self._seconds / METER_ROWS)
        self._start(METERS, url, "replay", "--days", str(days), "--rate", str(METER_RATE), *_FAULTS)
        steps = max(1, min(_DAY, HOME_RATE * self._seconds // len(self.homes[HOMES])))
        interval = _DAY // steps
        begin = dt.datetime.fromtimestamp(now - steps * interval, dt.UTC).isoformat()
        when = ("--start", begin, "--interval", str(interval), "--hours", str((steps + 0.5) * interval / 3600))
        self._start(HOMES, url, "simulate", *when, "--rate", str(HOME_RATE), "--senml", "0.2", *_FAULTS)
        if self.homes[LIVE]:
            seconds = max(1, self._seconds - SOON)  # they begin that much later than the others, and end with them
            lasting = ("--interval", "1", "--hours", str((seconds + 0.5) / 3600))
            self._start(LIVE, url, "simulate", "--live", *lasting)

    def running(self) -> bool:
        """Whether one still publishes. Raises Unreachable when one has failed."""
        codes = {name: process.poll() for name, process in self._running.items()}
        for name, code in codes.items():
            if code:
                fault = self._books(name).get("error", {}).get("message", "it was ended from outside")
                raise Unreachable(f"the {name} of the demo's fleet ended early: {fault}", hint="repeat the demo")
        return None in codes.values()

    def published(self) -> Published:
        """The books, once none is running."""
        books = [self._books(name) for name in self._running]
        expected: Counter[str] = Counter()
        for book in books:
            expected.update(book["refused_expected"])
        return Published(
            published=sum(book["published"] for book in books),
            deliveries=sum(book["deliveries"] for book in books),
            duplicates=sum(book["duplicate"] for book in books),
            refused_expected=expected,
        )

    def end(self) -> None:
        """Kill what still runs: a fleet has nothing to lose."""
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def _start(self, name: str, url: str, *words: str) -> None:
        """In a process group of its own: Ctrl-C is for the demo, which then ends its fleets."""
        fleet = self.homes[name]
        who = ("--homes", str(len(fleet)), "--controller", name, "--client-id", f"demo-{name}")
        where = ("--url", url, "--messages", str(self.record(name)), "--json")
        with self._said(name).open("wb") as said, (self._directory / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own program
                [*_PROGRAM, *words, *who, *where], stdin=subprocess.DEVNULL, stdout=said, stderr=log, process_group=0
            )

    def _said(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _books(self, name: str) -> dict[str, Any]:
        try:
            books: dict[str, Any] = json.loads(self._said(name).read_bytes())
        except ValueError:
            return {}
        return books
