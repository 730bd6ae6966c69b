"""What the cost depends on: devices, customers, what is stored. `python -m benchmarks.scale [--json]`.

Three sizes of each, every one with a key store, broker, gateway and store of its own:

    devices    so many send, a thousand customers have them; into the free store
    customers  so many are enrolled, with one device each, of which a thousand send; into the free store
    history    so many readings of one customer are stored before; a thousand devices send; into InfluxDB

Of each: what a message costs, what a device costs when it is first seen, what is resident then, and how long erasing
one customer takes to be effective. Customers are put into the key store as enrolment leaves them (see `enrolled`).

A size has a share of the time; one that does not fit is left out, and that is said.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import enrolled, messages, processes, rig
from benchmarks.bounds import Overdue, within
from benchmarks.contenders import Glomska
from benchmarks.places import Place
from benchmarks.program import Program, ProgramFault
from benchmarks.rig import RigFault
from benchmarks.servers import Mosquitto, ServerDown, ServerMissing
from benchmarks.stores import StoreSide
from gateway.model.ids import parse_controller
from gateway.policy.load import load_policy

SIZES = (1_000, 30_000, 1_000_000)
STEADY = 60_000
ACTIVE = 1_000
READY_SECONDS = 300.0
MINUTES = 20.0
SERVERS = 200_000  # a size takes the time of so many beside its own: for servers, and for what is measured
MONTH = dt.timedelta(days=31)
_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000
_POLICY = Path(__file__).parent.parent / "config" / "policy.toml"

Found = dict[str, list[dict[str, object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One size, and what it costs. µs are CPU; `first_us` is a device's first message, less a later one."""

    size: int
    message_us: float
    first_us: float
    memory_mb: float
    erase_ms: int
    key_store_mb: float = 0.0
    read_hour_s: float = 0.0


class _House:
    """One gateway that runs, on servers of its own."""

    def __init__(self, gateway: Glomska, place: Place, program: Program, side: StoreSide) -> None:
        self.gateway, self.place, self.program, self.side = gateway, place, program, side

    def flood(self, count: int, devices: int, last_ms: int, stride: int = 1) -> float:
        """µs of CPU a message, from every `stride`th device."""
        base = self.side.written()
        more = ("--devices", str(devices), "--last-ms", str(last_ms), "--stride", str(stride))
        with Program(rig.publisher_command(self.place.broker_port, count, *more)) as publisher:
            publisher.wait("ready", READY_SECONDS)
            before = processes.cpu_seconds(self.program.pid)
            publisher.go()
            publisher.wait("published", rig.PUBLISH_SECONDS)
            rig.all_written(self.program, lambda: self.side.written() - base, count)
            return (processes.cpu_seconds(self.program.pid) - before) / count * 1e6

    def measured(self, size: int, devices: int, stride: int = 1) -> Size:
        """What is the same for every kind. The gateway has seen none of the devices yet."""
        now = time.time_ns() // 1_000_000
        first = self.flood(devices, devices, now - _HOUR_MS, stride)
        message_us = self.flood(max(STEADY, devices), devices, now - 2 * _HOUR_MS, stride)
        memory_mb = processes.rss_mb(self.program.pid)
        keys = sum(file.stat().st_size for file in self.place.state.glob("keys.db*"))
        return Size(
            size=size,
            message_us=round(message_us, 2),
            first_us=round(first - message_us, 1),
            memory_mb=round(memory_mb, 1),
            erase_ms=self.erase(0),
            key_store_mb=round(keys / 2**20, 1),
        )

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
def _house(store: str, customers: int, devices: int = 1, *, history: int = 0, last_ms: int = 0) -> Iterator[_House]:
    """A gateway with so many customers, and so many devices of each; of the first, a history in the store."""
    with tempfile.TemporaryDirectory(prefix="glomska-bench-") as directory, Mosquitto() as broker:
        gateway, state = Glomska(store), Path(directory)
        side = gateway.open_store(state)
        assert side is not None
        controller, since = (
            parse_controller(messages.CONTROLLER),
            time.time_ns() - MONTH // dt.timedelta.resolution * 1000,
        )
        enrolled.fill(state, controller, load_policy(_POLICY), customers=customers, devices=devices, valid_from=since)
        with side:
            place = Place(broker_port=broker.port, store_url=side.url(), state=state, messages=0)
            if history:
                once = Glomska(store, limited=False)  # one device sends faster than one may
                with _running(once, place, side) as house:
                    house.flood(history, 1, last_ms)
            with _running(gateway, place, side) as house:
                yield house


@contextmanager
def _running(gateway: Glomska, place: Place, side: StoreSide) -> Iterator[_House]:
    with rig.started(gateway.start(place)) as program:
        program.wait("ready", READY_SECONDS)
        yield _House(gateway, place, program, side)
        program.stop()


def devices(size: int) -> Size:
    """So many send. Raises ProgramFault, RigFault, ServerDown, ServerMissing."""
    customers = min(size, ACTIVE)
    with _house("free", customers, size // customers) as house:
        return house.measured(size, size)


def customers(size: int) -> Size:
    """So many are enrolled; those who send are spread over all of the key store. Raises as `devices`."""
    with _house("free", size) as house:
        return house.measured(size, min(size, ACTIVE), max(size // ACTIVE, 1))


def history(size: int) -> Size:
    """So many readings are stored. Raises as `devices`."""
    last_ms = time.time_ns() // 1_000_000 - 3 * _HOUR_MS  # before what is measured
    with _house("influxdb", ACTIVE, history=size, last_ms=last_ms) as house:
        begun = time.monotonic()
        house.read(0, last_ms - _HOUR_MS, last_ms + 1000)
        read_hour_s = time.monotonic() - begun
        found = asdict(house.measured(size, ACTIVE))
        return Size(**{**found, "read_hour_s": round(read_hour_s, 2)})


KINDS: dict[str, Callable[[int], Size]] = {"devices": devices, "customers": customers, "history": history}


def measure(sizes: Mapping[str, Sequence[int]], seconds: float, progress: Console, found: Found | None = None) -> Found:
    """All of them, smallest first, put into `found` as they come; what is left out is said, there too."""
    found = {} if found is None else found
    found |= {"left_out": [], **{kind: [] for kind in KINDS}}
    wanted = sorted((size, kind) for kind in KINDS for size in sizes[kind])
    end = time.monotonic() + seconds
    for number, (size, kind) in enumerate(wanted):
        left = sum(SERVERS + later for later, _kind in wanted[number:])
        share_s = (end - time.monotonic()) * (SERVERS + size) / left
        try:
            with progress.status(f"{kind}: {size:,}"), within(share_s):
                found[kind].append(asdict(KINDS[kind](size)))
        except (Overdue, ProgramFault, RigFault, ServerDown, ServerMissing) as fault:
            why = f"it had its {share_s:.0f} s" if isinstance(fault, Overdue) else str(fault).partition("\n")[0]
            found["left_out"].append({"kind": kind, "size": size, "why": why})
            progress.print(f"left out: {kind}: {size:,}: {why}", markup=False, highlight=False)
        else:
            progress.print(f"{kind}: {size:,}: {found[kind][-1]}", highlight=False)
    return found


def beside(kept: Found, found: Found) -> Found:
    """Both: of a kind of which no size was wanted now, what is kept."""
    asked = {kind for kind in KINDS if found[kind] or any(left["kind"] == kind for left in found["left_out"])}
    left_out = [left for left in kept.get("left_out", []) if left["kind"] not in asked] + found["left_out"]
    return {"left_out": left_out, **{kind: (found if kind in asked else kept).get(kind, []) for kind in KINDS}}


def _rfc3339(milliseconds: int) -> str:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def add_options(options: argparse.ArgumentParser) -> None:
    """The sizes of each kind."""
    for kind in KINDS:
        options.add_argument(f"--{kind}", type=int, nargs="*", default=SIZES, metavar="N")


def sizes_of(given: argparse.Namespace) -> dict[str, Sequence[int]]:
    """What was said there."""
    return {kind: getattr(given, kind) for kind in KINDS}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").splitlines()[0])
    add_options(options)
    options.add_argument("--minutes", type=float, default=MINUTES, help="all of it takes no longer (default 20)")
    options.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = options.parse_args()
    found = measure(sizes_of(given), given.minutes * 60, Console(stderr=True))
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
