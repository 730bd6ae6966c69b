"""Reading a year back: `python -m benchmarks.readback [--store influxdb1|sqlite] [--days 365] [--json]`.

One device reports four sealed quantities every minute; a purpose that sees all of them reads everything. The store is
a real one of its own. What is measured is one read, from the purpose to the table, in this process; the server's own
time is in the seconds and not in the CPU seconds. Shares are of the wall time: waiting for the store and taking its
answer apart, opening, and putting the table in order.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.servers import InfluxDB1, ServerDown, ServerMissing
from gateway.clock import SystemClock
from gateway.control.access import Access
from gateway.control.enrolment import Enrolment, enrol
from gateway.keys.handle import SeriesKey
from gateway.model.ids import parse_controller, parse_customer, parse_device
from gateway.model.sealed import SealedPoint
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened
from gateway.transport.store import Store, write_all

MINUTE = 60 * 10**9
BATCH, _PART = 5_000, 4_096
CONTROLLER, CUSTOMER, DEVICE = "bench", "anna", "meter-1"


@dataclass(frozen=True, slots=True)
class _Message:
    """A PUBLISH, as decode sees it."""

    topic: str
    payload: bytes
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One read: `points` sealed values gave `rows` readings. `share` has parts of `seconds`."""

    store: str
    points: int
    rows: int
    seconds: float
    cpu_seconds: float
    share: dict[str, float]


class _Timed:
    """A store, with the time that reading from it takes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.seconds = 0.0

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """As the store's; what the caller does with a point is not counted."""
        found = self._store.query(measurement, pseudonyms, start, end)
        while True:
            begun = time.perf_counter()
            part = list(islice(found, _PART))
            self.seconds += time.perf_counter() - begun
            if not part:
                return
            yield from part


def measure(store: str, minutes: int, repeat: int, progress: Console) -> Measured:
    """Fill a store of its own, and read it back `repeat` times; the quickest."""
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = "sqlite:///readings.db"
        if store == "influxdb1":
            url = f"influxdb1+{stack.enter_context(InfluxDB1()).http_url}/readings"
        settings = load_settings(environ={"GLOMSKA_STATE": str(state), "GLOMSKA_STORE__URL": url})
        house = stack.enter_context(opened(settings))
        start = house.clock.wall() // MINUTE * MINUTE - minutes * MINUTE
        _fill(house, start, minutes, progress)
        return min((_read(house, store, minutes, start) for _ in range(repeat)), key=lambda one: one.seconds)


def _fill(house: House, start: int, minutes: int, progress: Console) -> None:
    who = Enrolment(
        line=1,
        controller=parse_controller(CONTROLLER),
        customer=parse_customer(CUSTOMER),
        device=parse_device(DEVICE),
        area="SE3",
        valid_from=start - MINUTE,
        purposes=(),
    )
    enrol(house.control, house.custodian, house.policy, [who])
    ring, chain = house.ring(), house.chain()
    ring.register()
    for first in track(
        range(0, minutes, BATCH), "filling the store", console=progress, disable=not progress.is_terminal
    ):
        messages = [_message(start, number) for number in range(first, min(minutes, first + BATCH))]
        ring.poll()
        with ring.using():
            devices = ring.resolve([message.topic for message in messages])
            done = chain(messages, devices, house.clock.wall())
        assert len(done.points) == len(messages), "a reading was refused"
        assert not write_all(house.store, done.points).rejected
    ring.leave()


def _message(start: int, number: int) -> _Message:
    body = {
        "time": (start + number * MINUTE) // 10**6,
        "temperature": 18 + number % 50 / 10,
        "humidity": 40.5,
        "power": number % 3000,
        "energy": number / 1000,
    }
    return _Message(f"glomska/{CONTROLLER}/{DEVICE}/readings", json.dumps(body).encode())


def _read(house: House, store: str, minutes: int, start: int) -> Measured:
    timed, opening = _Timed(house.store), [0.0]
    access = Access(house.keystore, house.custodian, house.policy, timed, SystemClock(), lease_s=30)
    open_rows = SeriesKey.open_rows

    def watched(key: SeriesKey, field: str, times: Sequence[int], revision: int, values: Sequence[str]) -> list[bytes]:
        begun = time.perf_counter()
        opened_ = open_rows(key, field, times, revision, values)
        opening[0] += time.perf_counter() - begun
        return opened_

    SeriesKey.open_rows = watched  # type: ignore[method-assign,assignment]
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        table = access.read(
            parse_controller(CONTROLLER),
            parse_customer(CUSTOMER),
            purpose="provision",
            start=start - 1,
            end=start + minutes * MINUTE,
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    finally:
        SeriesKey.open_rows = open_rows  # type: ignore[method-assign]
    assert len(table) == 4 * minutes, "readings are missing"
    parts = {"store": timed.seconds / wall, "open": opening[0] / wall}
    share = {name: round(part, 3) for name, part in (parts | {"table": 1 - sum(parts.values())}).items()}
    return Measured(
        store=store,
        points=minutes,
        rows=len(table),
        seconds=round(wall, 3),
        cpu_seconds=round(cpu, 3),
        share=share,
    )


def main() -> int:
    """0, or 1 when the store did not start."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readback", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", choices=["influxdb1", "sqlite"], default="influxdb1")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--repeat", type=int, default=3, help="reads, of which the quickest is reported (default 3)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = parser.parse_args()
    progress = Console(stderr=True)
    try:
        measured = measure(given.store, given.days * 1440, given.repeat, progress)
    except (ServerDown, ServerMissing) as fault:
        progress.print(f"stopped: {fault}", style="red", markup=False, highlight=False)
        return 1
    if given.json:
        print(json.dumps(asdict(measured)))
    else:
        shares = ", ".join(f"{name} {100 * part:.0f} %" for name, part in measured.share.items())
        print(
            f"{measured.points} sealed points from {measured.store}: {measured.rows} readings in {measured.seconds} s"
        )
        print(f"{measured.cpu_seconds} s of CPU; {shares}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
