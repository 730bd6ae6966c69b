"""A store that is down for an hour of traffic: `python -m benchmarks.outage [--messages 3600000] [--json]`.

The gateway's real command, Mosquitto and InfluxDB 1.6. First live messages at 1,000 a second while all is well; then
InfluxDB is killed, and an hour of such traffic comes as fast as broker and gateway take it; then InfluxDB is started
again, and as soon as the gateway has noticed, live messages go on at 1,000 a second until the spool is empty. All of it
must be in the store in the end. Latencies are from publish to stored, by a proxy in front of the store; `ratio` is of
those beside the drain to those before the outage. Books that do not balance end it with 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import processes
from benchmarks.contenders import Glomska
from benchmarks.places import Place
from benchmarks.program import Program, ProgramFault
from benchmarks.rig import LATENCY_RATE, RigFault, quantile
from benchmarks.servers import Mosquitto, ServerDown, ServerMissing
from benchmarks.stamps import StampingProxy
from benchmarks.stores import InfluxSide

ROUND = 100_000  # messages encoded at once by the publisher
LIVE = 10_000  # live messages a measurement
PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What came of it. `calm` and `draining`: p50 and p99 in ms of live messages; seconds are of wall time."""

    published: int
    stored: int
    lost: int
    spool_mb: float
    spooled_per_second: float
    drained_per_second: float
    drain_seconds: float
    calm: dict[str, float]
    draining: dict[str, float]
    ratio: dict[str, float]
    peak_rss_mb: float


def measure(count: int, live: int, say: Callable[[str], None]) -> Outage:
    """`count` messages during the outage. Raises RigFault, ProgramFault, ServerDown, ServerMissing."""
    with (
        tempfile.TemporaryDirectory(prefix="glomska-outage-") as directory,
        Mosquitto() as broker,
        InfluxSide() as side,
        StampingProxy(side.server.port) as proxy,
    ):
        state = Path(directory)
        place = Place(broker_port=broker.port, store_url=side.url(proxy.port), state=state, messages=count)
        glomska = Glomska("influxdb")
        glomska.prepare(place)
        start = glomska.start(place)
        with Program(start.command, {**start.environment, "GLOMSKA_SPOOL__MAX_BYTES": str(1 << 32)}) as gateway:
            gateway.wait("ready")
            run = _Run(broker.port, side, proxy, state / "spool", say)
            found = run.through(count, live, gateway)
            gateway.stop()
        return found


class _Run:
    def __init__(
        self, port: int, side: InfluxSide, proxy: StampingProxy, spool: Path, say: Callable[[str], None]
    ) -> None:
        self._port, self._side, self._proxy, self._spool, self._say = port, side, proxy, spool, say
        self._published = 0

    def through(self, count: int, live: int, gateway: Program) -> Outage:
        """Calm, outage, drain; the books."""
        calm = self._live(live)
        self._say("InfluxDB is killed")
        self._side.server.kill()
        begun = time.monotonic()
        self._flood(count)
        size = self._settled()
        spooling = time.monotonic() - begun
        self._say(f"{count} messages acknowledged in {spooling:.0f} s, {size / 1e6:.0f} MB wait; InfluxDB is started")
        self._side.server.start()
        begun, beside = time.monotonic(), list[float]()
        self._say(f"{processes.rss_mb(gateway.pid):.0f} MB of memory")
        gateway.wait("recovered: storing", PATIENCE_S)  # what came before waits behind the rest
        while self._waiting() and time.monotonic() < begun + PATIENCE_S:
            beside += self._live(live)
        draining = time.monotonic() - begun
        stored = self._all_stored()
        p50, p99 = _share(beside, 0.5) / _share(calm, 0.5), _share(beside, 0.99) / _share(calm, 0.99)
        return Outage(
            published=self._published,
            stored=stored,
            lost=self._published - stored,
            spool_mb=round(size / 1e6, 1),
            spooled_per_second=round(count / spooling),
            drained_per_second=round(count / draining),
            drain_seconds=round(draining, 1),
            calm=_latency(calm),
            draining=_latency(beside),
            ratio={"p50": round(p50, 2), "p99": round(p99, 2)},
            peak_rss_mb=round(processes.peak_rss_mb(gateway.pid), 1),
        )

    def _live(self, count: int) -> list[float]:
        """Milliseconds from publish to stored, ascending, of messages at their own pace."""
        begun = time.time_ns()
        self._publish(count, "--rate", str(LATENCY_RATE))
        deadline = time.monotonic() + PATIENCE_S
        while len(found := self._since(begun)) < count:
            if time.monotonic() > deadline:
                raise RigFault(f"{count} live messages published, {len(found)} stored")
            time.sleep(0.1)
        return sorted(found)

    def _since(self, begun: int) -> list[float]:
        return [(at - event) / 1e6 for event, at in list(self._proxy.stored_ns.items()) if event >= begun]

    def _flood(self, count: int) -> None:
        """In rounds, each of an earlier time than the one before, so that no two messages name one point."""
        now_ms = time.time_ns() // 1_000_000 - 60_000
        for number, first in enumerate(range(0, count, ROUND)):
            self._publish(min(ROUND, count - first), "--last-ms", str(now_ms - number * ROUND))
            self._say(f"{min(count, first + ROUND)} of {count} published")

    def _publish(self, count: int, *more: str) -> None:
        command = [sys.executable, "-m", "benchmarks.publisher", "--port", str(self._port), "--messages", str(count)]
        with Program([*command, *more]) as publisher:
            publisher.wait("ready", PATIENCE_S)
            publisher.go()
            publisher.wait("published", PATIENCE_S)
        self._published += count

    def _waiting(self) -> int:
        sizes = 0
        for file in self._spool.rglob("*.seg"):
            try:
                sizes += file.stat().st_size
            except FileNotFoundError:  # drained this very moment
                continue
        return sizes

    def _settled(self) -> int:
        """Bytes in the spool, once the broker has nothing left to give."""
        size, grown = self._waiting(), time.monotonic()
        while time.monotonic() < grown + 1.0:
            time.sleep(0.1)
            if (now := self._waiting()) > size:
                size, grown = now, time.monotonic()
        return size

    def _all_stored(self) -> int:
        """What a query finds, once that is all, or does not grow any more."""
        before, found = -1, self._side.count()
        while found < self._published and (found > before or self._waiting()):
            time.sleep(1.0)
            before, found = found, self._side.count()
        return found


def _share(latencies: list[float], share: float) -> float:
    return quantile(sorted(latencies), share) or 0.0


def _latency(latencies: list[float]) -> dict[str, float]:
    return {"p50": round(_share(latencies, 0.5), 1), "p99": round(_share(latencies, 0.99), 1)}


def main() -> int:
    """0, or 1 when something was lost or a server did not start."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=3_600_000, help="during the outage (default 3600000: an hour)")
    parser.add_argument("--live", type=int, default=LIVE, help=f"live messages a measurement (default {LIVE})")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = parser.parse_args()
    progress = Console(stderr=True)
    try:
        found = measure(given.messages, given.live, lambda text: progress.print(text, style="dim", highlight=False))
    except (ProgramFault, RigFault, ServerDown, ServerMissing) as fault:
        progress.print(f"stopped: {fault}", style="red", markup=False, highlight=False)
        return 1
    if given.json:
        print(json.dumps(asdict(found)))
    else:
        for name, value in asdict(found).items():
            print(f"{name:20} {value}")
    return 1 if found.lost else 0


if __name__ == "__main__":
    sys.exit(main())
