"""A million devices that nobody enrolled, each heard once: `python -m benchmarks.strangers [--json]`.

The gateway's real command with its shipped limits, Mosquitto, and the free store. 1,000 enrolled devices send; then as
many strangers as wanted, each of a name of its own, as fast as the broker takes it; then the enrolled again. Every
reading of the enrolled must be stored. CPU is the gateway's, a message, until the last is stored; memory is resident.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import messages, processes, rig
from benchmarks.contenders import Glomska
from benchmarks.places import Place
from benchmarks.program import Program, ProgramFault
from benchmarks.rig import RigFault
from benchmarks.servers import Mosquitto, ServerDown, ServerMissing
from benchmarks.stores import StoreSide

STRANGERS = 1_000_000
STEADY = 60_000
_HOUR_MS = 3_600_000
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """What came of it; µs are CPU a message, MB of memory before, at most, and after."""

    strangers: int
    before_us: float
    stranger_us: float
    after_us: float
    strangers_per_second: float
    before_mb: float
    peak_mb: float
    after_mb: float
    kept: int
    letters_mb: float


def measure(strangers: int) -> Flood:
    """One run. Raises RigFault, ProgramFault, ServerDown, ServerMissing."""
    gateway = Glomska("free")
    with tempfile.TemporaryDirectory(prefix="glomska-bench-") as directory, Mosquitto() as broker:
        side = gateway.open_store(Path(directory))
        assert side is not None
        with side:
            place = Place(broker_port=broker.port, store_url=side.url(), state=Path(directory), messages=0)
            gateway.prepare(place)
            with rig.started(gateway.start(place)) as program:
                program.wait("ready")
                found = _Run(program, side, place).through(strangers)
                program.stop()
    return found


class _Run:
    """A gateway that is ready."""

    def __init__(self, program: Program, side: StoreSide, place: Place) -> None:
        self._program, self._side, self._place = program, side, place

    def through(self, strangers: int) -> Flood:
        """The enrolled, the strangers, the enrolled again."""
        now, enrolled = time.time_ns() // 1_000_000, messages.DEVICES
        before_us, before_mb = self._steady(now), self._memory_mb()
        begun, cpu = time.monotonic(), processes.cpu_seconds(self._program.pid)
        self._publish(strangers + enrolled, strangers + enrolled, now - _HOUR_MS, stored=enrolled)
        self._publish(enrolled, enrolled, now - 2 * _HOUR_MS, stored=enrolled)  # stored when all before it is through
        took, cpu = time.monotonic() - begun, processes.cpu_seconds(self._program.pid) - cpu
        after_us = self._steady(now - 3 * _HOUR_MS)
        letters = self._place.state / "letters.db"
        with closing(sqlite3.connect(letters)) as database:
            kept = int(database.execute("SELECT count(*) FROM letter").fetchone()[0])
        return Flood(
            strangers=strangers,
            before_us=round(before_us, 2),
            stranger_us=round(cpu / strangers * 1e6, 2),
            after_us=round(after_us, 2),
            strangers_per_second=round(strangers / took),
            before_mb=round(before_mb, 1),
            peak_mb=round(processes.peak_rss_mb(self._program.pid), 1),
            after_mb=round(self._memory_mb(), 1),
            kept=kept,
            letters_mb=round(letters.stat().st_size / 2**20, 1),
        )

    def _steady(self, last_ms: int) -> float:
        """µs of CPU a message of the enrolled."""
        before = processes.cpu_seconds(self._program.pid)
        self._publish(STEADY, messages.DEVICES, last_ms, stored=STEADY)
        return (processes.cpu_seconds(self._program.pid) - before) / STEADY * 1e6

    def _memory_mb(self) -> float:
        return processes.rss_mb(self._program.pid)

    def _publish(self, count: int, devices: int, last_ms: int, *, stored: int) -> None:
        """Return when so many more are stored."""
        base = self._side.written()
        command = rig.publisher_command(
            self._place.broker_port, count, "--devices", str(devices), "--last-ms", str(last_ms)
        )
        with Program(command) as publisher:
            publisher.wait("ready", _PATIENCE_S)
            publisher.go()
            publisher.wait("published", rig.PUBLISH_SECONDS)
        deadline = time.monotonic() + _PATIENCE_S  # strangers are before them, of whom the store hears nothing
        while (found := self._side.written() - base) < stored:
            if time.monotonic() > deadline:
                raise RigFault(f"{stored} messages of the enrolled published, {found} stored")
            time.sleep(rig.POLL_SECONDS)


def main() -> int:
    """0, or 1 when something was lost or a server did not start."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strangers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strangers", type=int, default=STRANGERS, help=f"how many (default {STRANGERS})")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = parser.parse_args()
    progress = Console(stderr=True)
    try:
        with progress.status(f"{given.strangers:,} strangers"):
            found = measure(given.strangers)
    except (ProgramFault, RigFault, ServerDown, ServerMissing) as fault:
        progress.print(f"stopped: {fault}", style="red", markup=False, highlight=False)
        return 1
    print(json.dumps(asdict(found)) if given.json else "\n".join(f"{k:22} {v}" for k, v in asdict(found).items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
