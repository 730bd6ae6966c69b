"""Turnover of a million keys: keys a second, and whether memory stays flat while they go by.

    python -m benchmarks.turnover --keys 1000000 --json

A key store on SQLite with a file custodian is filled with customers of one device each, a key a class (three with the
shipped policy); that is not measured. Then a process of its own turns all of it over, and its resident memory is looked
at throughout. `--month` lets a month expire first, so that every key of readings is ratcheted too.

`--ingest RATE` has this process take messages in meanwhile, as a worker does: look up, decode … seal, store, with a
lease and generations; a batch each 20 ms, and how late each is done. The pass then rests between two pages for 5 s
after each 5 s of work, so that both are seen in turn whatever else the machine does. Told are all batches of either
kind, and the median over stretches of work of how they compare with the rests on both sides: `ratio` by the clock,
`own_ratio` without what a batch waited for a core, which others on the machine make longer. `--rounds` adds passes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import operator
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.enrolled import fill
from gateway.clock import Clock, SystemClock
from gateway.control.ledger import Ledger
from gateway.control.pages import Step
from gateway.control.role import Control
from gateway.control.turnover import NICE, Turnovers
from gateway.keys.custodian import FileCustodian
from gateway.keys.lease import Lease
from gateway.keys.ring import GenerationMoved, Ring
from gateway.keystore.database import KeyStore
from gateway.model.ids import epoch_of, epoch_start, parse_controller
from gateway.pipeline.chain import Chain
from gateway.pipeline.topics import TopicPattern
from gateway.policy.load import load_policy
from gateway.runtime.config import resource as shipped
from gateway.runtime.memory import calm_collector
from gateway.transport.store import open_store

CONTROLLER = parse_controller("bench")
_DEVICES = 1_000
_STRETCH_S = 5.0
_BATCHES_MIN = 100  # of a stretch that says something: the last one of a pass may be short
_SCHEDSTAT = Path("/proc/thread-self/schedstat")  # ns on a core, ns waited for one, times

Span = tuple[float, float]


class Later(SystemClock):
    """The machine's clocks, a month on."""

    def wall(self) -> int:
        """UTC ns since 1970."""
        return epoch_start(epoch_of(super().wall()) + 1) + 86_400 * 10**9


def main() -> None:
    """Fill, turn over, tell."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as directory:
        state = arguments.state or Path(directory)
        if not (state / "keys.db").exists():
            _fill(state, arguments.keys)
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            pool.apply(time.monotonic)  # it has imported everything
            with Ingest(state, arguments.ingest) as ingest:
                how = {"month": arguments.month, "rests": bool(arguments.ingest)}
                passes = [pool.apply(measured, (state,), how) for _ in range(arguments.rounds)]
        works = [work for one in passes for work in one.pop("works")]
        told: dict[str, Any] = passes[0] if len(passes) == 1 else {"passes": passes}
        if arguments.ingest:
            told["ingest"] = ingest.told(works)
    print(json.dumps(told) if arguments.json else "\n".join(f"{name}: {value}" for name, value in told.items()))


def measured(state: Path, *, month: bool, rests: bool) -> dict[str, Any]:
    """One whole pass in this process, which steps back behind others as the command does, and when it worked."""
    if os.nice(0) < NICE:  # in an earlier round it has
        os.nice(NICE)
    calm_collector()
    clock = Later() if month else SystemClock()
    turnovers = _turnovers(state, clock)
    looks = Looks()
    works = [time.monotonic()]

    def seen(_step: Step, _done: int, _total: int) -> None:
        looks.look()
        if rests and time.monotonic() - works[-1] > _STRETCH_S:
            works.append(time.monotonic())
            time.sleep(_STRETCH_S)
            works.append(time.monotonic())

    with looks:
        before, cpu = looks.rss(), time.process_time()
        turned = turnovers.run(CONTROLLER, on_progress=seen)
        spent = time.process_time() - cpu
    works.append(time.monotonic())
    spans = list(zip(works[::2], works[1::2], strict=True))
    seconds = sum(end - start for start, end in spans)
    return {
        "keys": turned.rewrapped,
        "ratcheted": turned.ratcheted,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(spent, 2),
        "keys_per_second": round(turned.rewrapped / seconds),
        "keys_per_cpu_second": round(turned.rewrapped / spent),
        "rss_mb": {"before": round(before, 1), "peak": round(looks.peak, 1)},
        "works": spans,
    }


@dataclass(frozen=True, slots=True)
class Late:
    """A batch: when it was due, how many ms later it was stored, and its own time without waiting for a core."""

    due: float
    ms: float
    own_ms: float


@dataclass(frozen=True)
class Arrived:
    """A PUBLISH, as decode sees it."""

    topic: str
    payload: bytes
    content_type: str | None = None


class Ingest:
    """A worker's way of a reading at a steady rate."""

    def __init__(self, state: Path, rate: int) -> None:
        self._rate, self._done = rate, threading.Event()
        self._batches: list[Late] = []
        if rate:
            clock, policy = SystemClock(), load_policy(shipped("policy.toml"))
            keystore = KeyStore.open("sqlite:///keys.db", state=state)
            parse = TopicPattern("glomska/{controller}/{device}/readings").parse
            lease = Lease(keystore, clock, lease_s=30, deadline_s=0)
            self._ring = Ring(keystore, FileCustodian(state / "kek"), policy, lease, clock, parse=parse)
            self._chain = Chain(policy, max_payload_bytes=262_144)
            self._store = open_store("sqlite:///readings.db", state=state)
            self._ring.register()
            self._threads = [threading.Thread(target=duty, daemon=True) for duty in (self._keep, self._flow)]

    def _keep(self) -> None:
        while not self._done.wait(0.25):
            self._ring.poll()

    def _flow(self) -> None:
        each = self._rate // 50
        due, number = time.monotonic(), 0
        while not self._done.is_set():
            due += 0.02
            time.sleep(max(0.0, due - time.monotonic()))
            begun, queued = time.monotonic(), _queued()
            now = time.time_ns()
            batch = [_message((number + index) % _DEVICES, now // 1_000_000) for index in range(each)]
            number += each
            self._take(batch, now)
            done = time.monotonic()
            own = done - begun - (_queued() - queued)
            self._batches.append(Late(due, (done - due) * 1e3, own * 1e3))

    def _take(self, batch: list[Arrived], now: int) -> None:
        while True:
            try:
                with self._ring.using():
                    devices = self._ring.resolve([message.topic for message in batch])
                    points = self._chain(batch, devices, now).points
            except GenerationMoved:
                time.sleep(0.001)
            else:
                self._store.write(points)
                return

    def told(self, works: list[Span]) -> dict[str, Any]:
        """Percentiles of all batches, and medians over stretches of work of what they are to the rests around."""
        first, last = works[0][0] - _STRETCH_S, works[-1][1] + _STRETCH_S
        edges = [first, *(edge for work in works for edge in work), last]
        rests = [self._of([span]) for span in zip(edges[::2], edges[1::2], strict=True)]
        during = [self._of([work]) for work in works]
        pairs = [
            (work, before + after)
            for work, before, after in zip(during, rests, rests[1:], strict=False)
            if len(work) >= _BATCHES_MIN <= len(before + after)
        ]
        every = {
            "idle": [late for rest in rests for late in rest],
            "during": [late for work in during for late in work],
        }
        told: dict[str, Any] = {"rate": self._rate, "stretches": len(pairs)}
        for prefix, of in (("", operator.attrgetter("ms")), ("own_", operator.attrgetter("own_ms"))):
            told |= {f"{prefix}{name}_ms": _percentiles(map(of, lates)) for name, lates in every.items()}
            told[f"{prefix}ratio"] = _median([_ratios(map(of, work), map(of, rest)) for work, rest in pairs])
        return told

    def _of(self, spans: list[Span]) -> list[Late]:
        return [late for late in self._batches if any(start <= late.due < end for start, end in spans)]

    def __enter__(self) -> Self:
        if self._rate:
            for thread in self._threads:
                thread.start()
            time.sleep(3)  # every device has been looked up
            time.sleep(_STRETCH_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._rate:
            time.sleep(_STRETCH_S)
        self._done.set()
        if self._rate:
            for thread in self._threads:
                thread.join()
            self._ring.leave()


def _message(device: int, time_ms: int) -> Arrived:
    body = {"time": time_ms, "temperature": 21.5, "humidity": 40.1, "power": 1250, "energy": 12345.678}
    return Arrived(f"glomska/{CONTROLLER}/device-{device:04}/readings", json.dumps(body).encode())


def _queued() -> float:
    """Seconds that this thread has waited for a core so far."""
    return int(_SCHEDSTAT.read_text().split()[1]) / 1e9


def _percentiles(values: Iterable[float]) -> dict[str, float]:
    ordered = sorted(values) or [0.0]
    return {"p50": round(ordered[len(ordered) // 2], 2), "p99": round(ordered[len(ordered) * 99 // 100], 2)}


def _ratios(during: Iterable[float], idle: Iterable[float]) -> dict[str, float]:
    of, to = _percentiles(during), _percentiles(idle)
    return {p: of[p] / to[p] for p in of}


def _median(ratios: list[dict[str, float]]) -> dict[str, float]:
    """Of each percentile; nothing of a pass that was too short."""
    return {p: round(statistics.median(ratio[p] for ratio in ratios), 2) for p in (ratios[0] if ratios else ())}


class Looks:
    """Resident memory of this process, looked at ten times a second."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def rss(self) -> float:
        """MB now."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def look(self) -> None:
        """Note it."""
        self.peak = max(self.peak, self.rss())

    def _look(self) -> None:
        while not self._done.wait(0.1):
            self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def _turnovers(state: Path, clock: Clock) -> Turnovers:
    keystore = KeyStore.open("sqlite:///keys.db", state=state)
    control = Control(keystore, Ledger(state / "ledger", clock), clock)
    policy = load_policy(shipped("policy.toml"))
    return Turnovers(control, FileCustodian(state / "kek"), lambda: policy, {})


def _fill(state: Path, keys: int) -> None:
    policy = load_policy(shipped("policy.toml"))
    classes = len({*policy.key_classes, "identity"})
    fill(state, CONTROLLER, policy, customers=-(-keys // classes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--state", type=Path, help="a state directory that is kept, and used again")
    parser.add_argument("--month", action="store_true", help="let a month expire")
    parser.add_argument("--ingest", type=int, default=0, metavar="RATE", help="messages a second taken in meanwhile")
    parser.add_argument("--rounds", type=int, default=1, help="passes, one after the other")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
