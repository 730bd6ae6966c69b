"""What the edge profile costs at 100 messages a second: CPU, memory, bytes written a day; into docs/operations.md.

    python -m benchmarks.edge                     # both stores, two minutes each, and the table in the guide
    python -m benchmarks.edge --seconds 30 --json # without writing anything

The gateway is `glomska --config config/edge/gateway.toml run`, the broker Mosquitto as config/edge/mosquitto.conf has
it but for the port. 1,000 devices report every ten seconds, and have reported a hundred times before, since a store
that is new writes a tenth of what one with a history does. Counted from one batch after that. Bytes are those that the
kernel was given to write to the disk for the gateway (/proc/PID/io, write_bytes), so the state directory must not be on
a tmpfs; what the file system and the card make of them is more.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.contenders import Glomska
from benchmarks.places import Place, Start
from benchmarks.program import Program
from benchmarks.servers import Mosquitto
from benchmarks.stores import InfluxSide, SqliteSide, StoreSide

RATE = 100
DAY_S = 86_400
HISTORY = 100_000
PATIENCE_S = 60.0
SETTLE_S = 12.0  # one batch of the profile, and a little
ROOT = Path(__file__).parent.parent
PROFILE = ROOT / "config" / "edge"
GUIDE = ROOT / "docs" / "operations.md"
_MARKS = re.compile(r"(?<=<!-- benchmarks.edge -->\n).*?(?=<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of the gateway alone. `cpu_percent` is of one core; bytes are MB of 10^6."""

    store: str
    messages: int
    cpu_percent: float
    cpu_us_per_message: float
    peak_rss_mb: float
    written_mb_a_day: float
    store_mb_a_day: float


class EdgeBroker(Mosquitto):
    """Mosquitto under the profile's own file."""

    def arguments(self) -> list[str]:
        """The file, with another port, and as root where we are."""
        text = (PROFILE / "mosquitto.conf").read_text().replace("listener 1883", f"listener {self.port}")
        path = self.directory / "mosquitto.conf"
        path.write_text(text + ("user root\n" if os.geteuid() == 0 else ""))
        return ["-c", str(path)]


class EdgeGateway(Glomska):
    """The command under the profile."""

    def start(self, place: Place) -> Start:
        """`glomska run`; the log must say `ready`, which it always does."""
        environment = {
            "GLOMSKA_CONFIG": str(PROFILE / "gateway.toml"),
            "GLOMSKA_STATE": str(place.state),
            "GLOMSKA_MQTT__URL": f"mqtt://127.0.0.1:{place.broker_port}",
            "GLOMSKA_STORE__URL": place.store_url,
        }
        return Start([str(Path(sys.executable).with_name("glomska")), "run"], environment)


def measure(store: str, seconds: int, directory: Path) -> Cost:
    """One store. Raises ProgramFault, ServerDown, ServerMissing; RuntimeError where readings are missing at the end."""
    count, lead = seconds * RATE, int(SETTLE_S) * RATE
    with tempfile.TemporaryDirectory(prefix="glomska-edge-", dir=directory) as made, EdgeBroker() as broker:
        state, gateway = Path(made), EdgeGateway(store)
        side: StoreSide = SqliteSide(state) if store == "sqlite" else InfluxSide()
        with side:
            place = Place(broker_port=broker.port, store_url=side.url(), state=state, messages=count + lead)
            gateway.prepare(place)
            start = gateway.start(place)
            publisher = [sys.executable, "-m", "benchmarks.publisher", "--port", str(broker.port)]
            publisher += ["--messages", str(count + lead), "--rate", str(RATE)]
            with Program(start.command, start.environment) as program:
                program.wait("ready")
                _aged(broker.port, side)
                with Program(publisher) as fleet:
                    fleet.wait("ready")
                    fleet.go()
                    time.sleep(SETTLE_S)
                    cost = _watched(program.pid, seconds, store, state)
                    fleet.wait("published", PATIENCE_S)
                _await(side, HISTORY + count + lead)
                program.stop()
            if (found := side.count()) != HISTORY + count + lead:
                raise RuntimeError(f"{HISTORY + count + lead} published, {found} stored")
    return cost


def _aged(port: int, side: StoreSide) -> None:
    """What a store that has been there for a while holds: 100 readings of each device, so that none shares a page."""
    yesterday = str((time.time_ns() // 1_000_000) - DAY_S * 1000)
    options = ["--port", str(port), "--messages", str(HISTORY), "--last-ms", yesterday]
    with Program([sys.executable, "-m", "benchmarks.publisher", *options]) as past:
        past.wait("ready")
        past.go()
        past.wait("published", PATIENCE_S)
    _await(side, HISTORY)


def _await(side: StoreSide, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while side.count() < count and time.monotonic() < deadline:
        time.sleep(1.0)


def _watched(pid: int, seconds: int, store: str, state: Path) -> Cost:
    cpu, written, size, begun = processes.cpu_seconds(pid), _written(pid), _size(state), time.monotonic()
    time.sleep(seconds - 1)
    took = time.monotonic() - begun
    cpu, written, grown = processes.cpu_seconds(pid) - cpu, _written(pid) - written, _size(state) - size
    return Cost(
        store=store,
        messages=round(took * RATE),
        cpu_percent=round(100 * cpu / took, 2),
        cpu_us_per_message=round(cpu / took / RATE * 1e6, 1),
        peak_rss_mb=round(processes.peak_rss_mb(pid), 1),
        written_mb_a_day=round(written / took * DAY_S / 1e6),
        store_mb_a_day=round(grown / took * DAY_S / 1e6),
    )


def _written(pid: int) -> int:
    """Bytes that were given to a disk. Source: proc_pid_io(5)."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def _size(state: Path) -> int:
    """Bytes of the embedded store, without what is still in its log."""
    file = state / "readings.db"
    return file.stat().st_size if file.exists() else 0


def table(costs: list[Cost]) -> str:
    """Markdown."""
    lines = [
        "| store | CPU of one core | CPU a message | memory | written a day | of that, the store grows by |",
        "|---|---|---|---|---|---|",
    ]
    names = {"sqlite": "SQLite on the box", "influxdb": "InfluxDB elsewhere"}
    lines += [
        f"| {names[c.store]} | {c.cpu_percent} % | {c.cpu_us_per_message} µs | {c.peak_rss_mb:.0f} MB "
        f"| {c.written_mb_a_day:,} MB | {c.store_mb_a_day:,} MB |"
        for c in costs
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the table unless `--json`."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.edge")
    options.add_argument("--seconds", type=int, default=120)
    options.add_argument("--stores", nargs="+", default=["sqlite", "influxdb"], choices=["sqlite", "influxdb"])
    options.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="on a disk, not a tmpfs")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    where = subprocess.run(["stat", "-f", "-c", "%T", given.directory], capture_output=True, text=True, check=True)
    if where.stdout.strip() == "tmpfs":
        options.error("--directory is on a tmpfs, where nothing is written to a disk")
    costs = [measure(store, given.seconds, given.directory) for store in given.stores]
    if given.json:
        print(json.dumps([asdict(cost) for cost in costs]))
        return
    print(table(costs))
    guide, found = _MARKS.subn(table(costs), GUIDE.read_text(encoding="utf-8"))
    if not found:
        options.error(f"{GUIDE.name} has no place for the table")
    GUIDE.write_text(guide, encoding="utf-8")


if __name__ == "__main__":
    main()
