"""A fleet's whole day through the gateway: `python -m benchmarks.day --homes 10000 [--json]`.

Mosquitto, InfluxDB 1.6, gateway and fleet share the machine. The fleet is enrolled by `glomska enrol`, then publishes a
simulated day as fast as the broker takes it: duplicates, disorder, bursts after silence, broken messages, power cuts.
A last reading, published when the fleet has ended, tells when everything is stored. Books are the fleet's own record
of what the broker acknowledged, the gateway's, and the store's count of what it holds: where they disagree, or anything
is lost or there twice, it exits with 1.

Figures: rates over the whole run, from the first message to the last one stored; CPU of the gateway's process without
its start; highest resident memory of gateway and fleet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import processes
from benchmarks.contenders import Glomska
from benchmarks.places import Place
from benchmarks.program import Program, ProgramFault
from benchmarks.servers import Mosquitto, ServerDown, ServerMissing
from benchmarks.stores import InfluxSide
from firmware_sim.connection import Broker
from firmware_sim.fleet import Message
from firmware_sim.publish import publish

FAULTS = ("--duplicates", "0.02", "--disorder", "0.02", "--bursts", "0.05", "--malformed", "0.01", "--power-cuts", "6")
LAST_TOPIC = "glomska/marker/last/readings"
LAST_LINE = "marker,last,last,11122,2000-01-01\n"
POLL_S = 1.0
STALL_S = 120.0
ENROL_S = 1800.0
_PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The books of one day, in messages, and what it took."""

    homes: int
    hours: float
    deliveries: int
    valid: int
    stored: int
    refused: dict[str, int]
    refused_expected: dict[str, int]
    lost: int
    duplicated: int
    redelivered: int
    enrol_seconds: float
    seconds: float
    messages_per_second: float
    cpu_us_per_message: float
    gateway_mib: float
    fleet_mib: float

    @property
    def balances(self) -> bool:
        """Nothing is lost, nothing there twice, and every refusal was asked for."""
        return self.lost == self.duplicated == 0 and self.refused == self.refused_expected


def main() -> int:
    """0; 1 when the books do not balance or a run went wrong; 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--homes", type=int, default=10_000, help="how many homes (default 10000)")
    parser.add_argument("--hours", type=float, default=24.0, help="simulated time (default 24)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same homes and weather")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout instead of a table")
    given = parser.parse_args()
    console = Console(stderr=True)
    try:
        day = run(given.homes, given.hours, given.seed, console)
    except (ProgramFault, ServerDown, ServerMissing) as fault:
        console.print(f"stopped: {fault}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    if given.json:
        print(json.dumps(asdict(day)))
    else:
        Console().print(table(day))
    return 0 if day.balances else 1


def run(homes: int, hours: float, seed: int, console: Console) -> Day:
    """One day. Raises ProgramFault, ServerDown, ServerMissing."""
    words = ["simulate", "--homes", str(homes), "--hours", str(hours), "--seed", str(seed), *FAULTS, "--json"]
    with (
        tempfile.TemporaryDirectory(prefix="glomska-day-") as directory,
        Mosquitto() as broker,
        InfluxSide() as store,
    ):
        state = Path(directory)
        start = Glomska("influxdb").start(
            Place(broker_port=broker.port, store_url=store.url(), state=state / "state", messages=0)
        )
        with console.status(f"enrolling {homes:,} homes"):
            enrol_seconds = _enrol(words, state, dict(start.environment))
        with Program(start.command, start.environment) as gateway:
            gateway.wait("ready")
            before, begun = processes.cpu_seconds(gateway.pid), time.monotonic()
            told = _published([*words, "--url", broker.url, "--connections", "4"])
            _send_last(broker)
            _await_points(store, told["valid"] + 1, console)
            seconds = time.monotonic() - begun
            cpu, memory = processes.cpu_seconds(gateway.pid) - before, processes.peak_rss_mb(gateway.pid)
            books = gateway.stop()
        points = store.count() - 1
    settled = books["stored"] + sum(books["refused"].values())
    return Day(
        homes=homes,
        hours=hours,
        deliveries=told["deliveries"],
        valid=told["valid"],
        stored=points,
        refused=dict(sorted(books["refused"].items())),
        refused_expected=told["refused_expected"],
        lost=max(told["valid"] - points, 0),
        duplicated=max(points - told["valid"], 0),
        redelivered=settled - told["deliveries"] - 1,
        enrol_seconds=round(enrol_seconds, 1),
        seconds=round(seconds, 1),
        messages_per_second=round(told["deliveries"] / seconds),
        cpu_us_per_message=round(cpu / told["deliveries"] * 1e6, 2),
        gateway_mib=round(memory, 1),
        fleet_mib=told["memory_mib"],
    )


def table(day: Day) -> Table:
    """For people."""
    verdict = "the books balance" if day.balances else "THE BOOKS DO NOT BALANCE"
    shown = Table(show_header=False, box=None, title=f"{day.homes:,} homes, {day.hours:g} h: {verdict}")
    for name, value in asdict(day).items():
        said = ", ".join(f"{n:,} {reason}" for reason, n in value.items()) if isinstance(value, dict) else f"{value:,}"
        shown.add_row(name.replace("_", " "), said or "none")
    return shown


def _enrol(words: list[str], state: Path, environment: dict[str, str]) -> float:
    """Seconds that `glomska enrol` takes for all of them. Raises ProgramFault."""
    file = state / "fleet.csv"
    _published([*words, "--dry-run", "--enrolment", str(file)])
    with file.open("a", encoding="utf-8") as lines:
        lines.write(LAST_LINE)
    begun = time.monotonic()
    done = subprocess.run(
        [_PROGRAMS / "glomska", "enrol", "--csv", file, "--json"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=ENROL_S,
        check=False,
    )
    if done.returncode != 0 or json.loads(done.stdout)["refused"]:
        raise ProgramFault(f"glomska enrol ended with {done.returncode}: {done.stdout[:500]}")
    return time.monotonic() - begun


def _published(words: list[str]) -> dict[str, Any]:
    """What the fleet says at its end; its progress goes to stderr. Raises ProgramFault."""
    done = subprocess.run([_PROGRAMS / "firmware-sim", *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ProgramFault(f"firmware-sim ended with {done.returncode}: {done.stdout[:500]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _send_last(broker: Mosquitto) -> None:
    """The message behind all others. Raises ProgramFault."""
    now = int(time.time() * 1000)
    last = Message(topic=LAST_TOPIC, payload=json.dumps({"time": now, "battery": 50}).encode(), time=now)
    if publish([last], Broker.at(broker.url), client_id="last").deliveries != 1:
        raise ProgramFault("the last message was not acknowledged")


def _await_points(store: InfluxSide, expected: int, console: Console) -> None:
    """Return when so many points are stored, or when for long no more come: then some are lost."""
    last, moved = -1, time.monotonic()
    with console.status("waiting for the last message"):
        while last < expected and time.monotonic() < moved + STALL_S:
            asked = time.monotonic()
            found = store.count()
            if found > last:
                last, moved = found, time.monotonic()
            time.sleep(max(POLL_S, 4 * (time.monotonic() - asked)))  # asking must not become a load of its own


if __name__ == "__main__":
    sys.exit(main())
