"""One pipeline measured on fresh servers: first under full load, then for latency at 1,000 messages a second.

Publisher, broker, pipeline and store share the machine, as they do on an edge box. CPU is user and system time of the
pipeline's process and its children, from `ready` until the last message is stored: start-up is left out of all alike,
and everything else is in, the first look-up of each device too, so short runs show more a message than long ones. A run
whose books do not balance stops with RigFault: a lost message would flatter its rate.

In the latency phase a proxy that stamps arrivals stands in front of the store; in the load phase nothing does.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.contenders import Contender
from benchmarks.places import Place, Start
from benchmarks.program import Program
from benchmarks.servers import Mosquitto
from benchmarks.stamps import StampingProxy
from benchmarks.stores import StoreSide

LATENCY_RATE = 1000
POLL_SECONDS = 0.05
STALL_SECONDS = 20.0
PUBLISH_SECONDS = 600.0


class RigFault(RuntimeError):
    """The books of a run do not balance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One pipeline's figures; latency in ms is None where nothing with an HTTP interface stores."""

    pipeline: str
    store: str
    cpu_us_per_message: float
    messages_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    peak_rss_mb: float
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one pipeline makes of a flood."""

    cpu_us: float
    rate: float
    rss_mb: float
    stored: int


def measure(contender: Contender, count: int, latency_count: int) -> Row:
    """Both phases. Raises RigFault, ProgramFault, ServerDown, ServerMissing."""
    with tempfile.TemporaryDirectory(prefix="glomska-bench-") as directory, Mosquitto() as broker:
        state = Path(directory)
        side = contender.open_store(state)
        if side is None:
            load, latencies = _without_store(contender, broker, state, count), []
        else:
            with side:
                place = Place(broker_port=broker.port, store_url=side.url(), state=state, messages=count)
                contender.prepare(place)
                load = _flood(contender, place, side)
                latencies = _latencies(contender, place, side, latency_count)
    return Row(
        pipeline=contender.pipeline,
        store=contender.store,
        cpu_us_per_message=load.cpu_us,
        messages_per_second=load.rate,
        p50_ms=quantile(latencies, 0.50),
        p99_ms=quantile(latencies, 0.99),
        peak_rss_mb=load.rss_mb,
        stored=load.stored,
    )


def _without_store(contender: Contender, broker: Mosquitto, state: Path, count: int) -> Load:
    place = Place(broker_port=broker.port, store_url="", state=state, messages=count)
    start = contender.start(place)
    with started(start) as program:
        return _loaded(program, place, lambda: int(program.wait("received", STALL_SECONDS)["last_ns"]), 0)


def _flood(contender: Contender, place: Place, side: StoreSide) -> Load:
    start = contender.start(place)
    with started(start) as program:
        load = _loaded(program, place, lambda: all_written(program, side.written, place.messages), place.messages)
        told = program.stop()
    if (found := side.count()) != place.messages:
        raise RigFault(f"{place.messages} messages published, {found} found in {side.name}; the pipeline says {told}")
    return load


def _loaded(program: Program, place: Place, done: Callable[[], int], stored: int) -> Load:
    """Publish everything; `done` blocks until the pipeline has it all and gives the wall ns at which it had."""
    with Program(publisher_command(place.broker_port, place.messages)) as publisher:
        program.wait("ready")  # it starts while the publisher encodes
        publisher.wait("ready")
        before = processes.cpu_seconds(program.pid)
        publisher.go()
        first = int(publisher.wait("published", PUBLISH_SECONDS)["first_ns"])
        last = done()
        cpu = processes.cpu_seconds(program.pid) - before
        return Load(
            cpu_us=cpu / place.messages * 1e6,
            rate=place.messages / (last - first) * 1e9,
            rss_mb=processes.peak_rss_mb(program.pid),
            stored=stored,
        )


def all_written(program: Program, ask: Callable[[], int], count: int) -> int:
    """Wall ns when `ask` found all messages stored. Raises ProgramFault when it gets no more for `STALL_SECONDS`."""
    written, moved = -1, time.monotonic()
    while True:
        asked = time.monotonic()
        now = ask()
        if now >= count:
            return time.time_ns()
        if now > written:
            written, moved = now, time.monotonic()
        if time.monotonic() > moved + STALL_SECONDS:
            raise program.fault(f"stalled with {now} of {count} messages stored")
        time.sleep(max(POLL_SECONDS, 4 * (time.monotonic() - asked)))  # asking must not become a load of its own


def _latencies(contender: Contender, place: Place, side: StoreSide, count: int) -> list[float]:
    """Milliseconds from publish to stored, ascending. Raises RigFault when one is missing."""
    upstream = side.upstream()
    if upstream is None or not count:
        return []
    with StampingProxy(upstream) as proxy:
        start = contender.start(
            Place(broker_port=place.broker_port, store_url=side.url(proxy.port), state=place.state, messages=count)
        )
        with (
            started(start) as program,
            Program(publisher_command(place.broker_port, count, "--rate", str(LATENCY_RATE))) as publisher,
        ):
            program.wait("ready")
            publisher.wait("ready")
            publisher.go()
            publisher.wait("published", PUBLISH_SECONDS)
            all_written(program, lambda: len(proxy.stored_ns), count)  # the last are still on their way
            program.stop()
        latencies = proxy.latencies_ms()
    if len(latencies) != count:
        raise RigFault(f"{count} messages published at {LATENCY_RATE} a second, {len(latencies)} seen at {side.name}")
    return latencies


def started(start: Start) -> Program:
    """The process."""
    return Program(start.command, start.environment, ready_text=start.ready_text)


def publisher_command(port: int, count: int, *more: str) -> list[str]:
    """Command line of a publisher; `more` are its options."""
    return [sys.executable, "-m", "benchmarks.publisher", "--port", str(port), "--messages", str(count), *more]


def quantile(ascending: list[float], share: float) -> float | None:
    """The smallest value that at least `share` of all do not exceed."""
    return ascending[math.ceil(share * len(ascending)) - 1] if ascending else None
