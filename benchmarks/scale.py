"""What the cost depends on: customers enrolled, devices active, readings stored. `python -m benchmarks.scale [--json]`.

Each size has a key store, broker, gateway and store of its own. Of a population (each customer with one device): how
long enrolling takes, what a device costs when it is first seen and a message after that, with 1,000 of them active and
with all, the memory of each, and how long an erasure takes to be effective. Of a history (one device): what a message
costs, how long an hour of it takes to be read, and how long its erasure takes to be effective.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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

POPULATIONS = (1_000, 10_000, 100_000)
HISTORIES = (1_000, 30_000, 1_000_000)
STEADY = 60_000
ACTIVE = 1_000
READY_SECONDS = 120.0
MONTH = dt.timedelta(days=31)
_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """So many customers, and what they cost. µs are CPU; `first_us` is a device's first message, less a later one."""

    customers: int
    enrol_ms_each: float
    key_store_mb: float
    few_us: float
    few_mb: float
    first_us: float
    all_us: float
    all_mb: float
    erase_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """So many readings of one device, and what they cost. µs are CPU."""

    readings: int
    ingest_us: float
    read_hour_s: float
    erase_ms: int


class _House:
    """One gateway that runs, on servers of its own."""

    def __init__(self, gateway: Glomska, place: Place, program: Program, side: StoreSide) -> None:
        self.gateway, self.place, self.program, self.side = gateway, place, program, side

    def flood(self, count: int, devices: int, last_ms: int) -> float:
        """µs of CPU a message."""
        base = self.side.written()
        command = rig.publisher_command(
            self.place.broker_port, count, "--devices", str(devices), "--last-ms", str(last_ms)
        )
        with Program(command) as publisher:
            publisher.wait("ready", READY_SECONDS)
            before = processes.cpu_seconds(self.program.pid)
            publisher.go()
            publisher.wait("published", rig.PUBLISH_SECONDS)
            rig.all_written(self.program, lambda: self.side.written() - base, count)
            return (processes.cpu_seconds(self.program.pid) - before) / count * 1e6

    def memory_mb(self) -> float:
        """Resident now."""
        return processes.rss_mb(self.program.pid)

    def erase(self, customer: int) -> int:
        """ms until it is effective, with the gateway running."""
        said = f"{messages.CONTROLLER}/customer-{customer:04}"
        return int(self.gateway.command(self.place, "erase", "-", "--yes", "--json", said=said)["effective_ms"])

    def read(self, customer: int, start_ms: int, end_ms: int) -> int:
        """Readings of an interval."""
        said = f"{messages.CONTROLLER}/customer-{customer:04}"
        when = ("--from", _rfc3339(start_ms), "--to", _rfc3339(end_ms))
        return len(self.gateway.command(self.place, "read", "-", "--purpose", "support", *when, "--json", said=said))


@contextmanager
def _house(store: str, customers: int, since: dt.timedelta) -> Iterator[tuple[_House, float]]:
    """A gateway with so many customers, and the seconds that enrolling them took."""
    gateway = Glomska(store, limited=customers > 1)  # a history is brought in by one device, faster than one may send
    with tempfile.TemporaryDirectory(prefix="glomska-bench-") as directory, Mosquitto() as broker:
        side = gateway.open_store(Path(directory))
        assert side is not None
        with side:
            place = Place(broker_port=broker.port, store_url=side.url(), state=Path(directory), messages=0)
            begun = time.monotonic()
            gateway.enrol(place, customers, since)
            took = time.monotonic() - begun
            with rig.started(gateway.start(place)) as program:
                program.wait("ready")
                yield _House(gateway, place, program, side), took
                program.stop()


def population(customers: int) -> Population:
    """One size. Raises ProgramFault, ServerDown, ServerMissing."""
    now = time.time_ns() // 1_000_000
    with _house("free", customers, MONTH) as (house, took):
        house.flood(ACTIVE, ACTIVE, now - _HOUR_MS)
        few_us, few_mb = house.flood(STEADY, ACTIVE, now), house.memory_mb()
        first = house.flood(customers, customers, now - 2 * _HOUR_MS)
        all_us = house.flood(max(STEADY, 2 * customers), customers, now - 3 * _HOUR_MS)
        new = max(customers - ACTIVE, 1)
        return Population(
            customers=customers,
            enrol_ms_each=round(took / customers * 1e3, 3),
            key_store_mb=round((house.place.state / "keys.db").stat().st_size / 2**20, 1),
            few_us=round(few_us, 2),
            few_mb=round(few_mb, 1),
            first_us=round((first - all_us) * customers / new, 1) if customers > ACTIVE else 0.0,
            all_us=round(all_us, 2),
            all_mb=round(house.memory_mb(), 1),
            erase_ms=house.erase(customers // 2),
        )


def history(readings: int) -> History:
    """One size. Raises ProgramFault, ServerDown, ServerMissing."""
    now = time.time_ns() // 1_000_000 - _MINUTE_MS
    with _house("influxdb", 1, MONTH) as (house, _took):
        ingest_us = house.flood(readings, 1, now)
        begun = time.monotonic()
        house.read(0, now - _HOUR_MS, now + 1000)
        return History(
            readings=readings,
            ingest_us=round(ingest_us, 2),
            read_hour_s=round(time.monotonic() - begun, 2),
            erase_ms=house.erase(0),
        )


def measure(
    populations: Sequence[int],
    histories: Sequence[int],
    progress: Console,
    found: dict[str, list[dict[str, object]]] | None = None,
) -> dict[str, list[dict[str, object]]]:
    """Both, each size, put into `found` as they come; one that fails is left out, and that is said."""
    found = {} if found is None else found
    found |= {"population": [], "history": []}
    wanted: list[tuple[str, Callable[[int], Population | History], int]]
    wanted = [("population", population, size) for size in populations]
    wanted += [("history", history, size) for size in histories]
    for kind, of, size in wanted:
        try:
            with progress.status(f"{kind} of {size:,}"):
                found[kind].append(asdict(of(size)))
        except (ProgramFault, RigFault, ServerDown, ServerMissing) as fault:
            progress.print(f"left out: {kind} of {size:,}: {fault}", markup=False, highlight=False)
        else:
            progress.print(f"{kind} of {size:,}: {found[kind][-1]}", highlight=False)
    return found


def _rfc3339(milliseconds: int) -> str:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").splitlines()[0])
    options.add_argument("--populations", type=int, nargs="*", default=POPULATIONS, metavar="N")
    options.add_argument("--histories", type=int, nargs="*", default=HISTORIES, metavar="N")
    options.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = options.parse_args()
    found = measure(given.populations, given.histories, Console(stderr=True))
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
