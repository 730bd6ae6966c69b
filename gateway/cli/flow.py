"""The part of the demo in which readings flow: the worker in threads, the fleets outside, numbers for the view.

    gateway = Gateway(house, log)
    gateway.start(check)
    measured = flow(gateway, fleets, watched, tail, show, check)

`check` is called every few hundredths of a second and may raise, which ends the flow at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.cli.fleet import Fleets
from gateway.cli.live import DONE, DRAINING, PUBLISHING, Scene, Show
from gateway.cli.witness import Tail, Watched
from gateway.errors import Unreachable
from gateway.model.sealed import SealedPoint
from gateway.runtime.log import Log
from gateway.runtime.wiring import House

_TICK = 0.05  # seconds between looks
_SAMPLE_EVERY = 0.5  # seconds between two rates
_STARTS = 30.0  # seconds for the worker to subscribe
_PATIENCE = 15.0  # seconds in which nothing more is settled, after which what is missing is lost
_RECENT = 2000  # latencies that the view's percentiles are taken of

Check = Callable[[], None]


class Gateway:
    """The worker, as `glomska run` has it, beside the thread that shows."""

    def __init__(self, house: House, log: Log) -> None:
        self._worker = house.worker(log)
        self.metrics = self._worker.metrics
        self._ready = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gateway")

    def start(self, check: Check) -> None:
        """Return when it is subscribed. Raises Unreachable, and what ended it."""
        self._thread.start()
        until = time.monotonic() + _STARTS
        while not self._ready.wait(_TICK):
            self.check()
            check()
            if time.monotonic() > until:
                raise Unreachable("the demo's gateway does not get ready", hint="repeat with --keep, see gateway.log")

    def check(self) -> None:
        """Raises what ended it."""
        if self._fault is not None:
            raise self._fault

    def settled(self) -> int:
        """Messages stored or refused, duplicates included."""
        return self.metrics.stored + sum(self.refused().values())

    def refused(self) -> dict[str, int]:
        """Refused messages by reason, in alphabetical order."""
        return dict(self.metrics.books()["refused"])

    def end(self) -> None:
        """Drain and leave; may be called before `start`, too."""
        self._worker.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._worker.run(self._ready.set)
        except BaseException as fault:  # noqa: BLE001 - raised again by check, in the thread that shows
            self._fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of the whole flow: messages settled, s from first to last, the gateway's CPU time in µs, latency in ms."""

    messages: int
    seconds: float
    cpu_us: float
    latency: tuple[float, float] | None


@dataclass(slots=True)
class _Stopwatch:
    """Time, and CPU time of this process without the thread that made it: that one draws, and is no gateway."""

    began: float = field(default_factory=time.monotonic)
    _process: int = field(default_factory=time.process_time_ns)
    _own: int = field(default_factory=time.thread_time_ns)

    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    def cpu_us(self) -> float:
        """Since the beginning, by the same thread."""
        return (time.process_time_ns() - self._process - (time.thread_time_ns() - self._own)) / 1000


def flow(gateway: Gateway, fleets: Fleets, watched: Watched, tail: Tail, show: Show, check: Check) -> Measured:
    """From the first message to the last. Raises what `check` does, and what ended gateway or fleet."""
    view = _View(gateway, watched, tail)
    while fleets.running():
        _look(gateway, view, show, check, PUBLISHING)
    expected, heard = fleets.published().deliveries, time.monotonic()
    while gateway.settled() < expected and time.monotonic() - heard < _PATIENCE:
        before = gateway.settled()
        _look(gateway, view, show, check, DRAINING)
        if gateway.settled() > before:
            heard = time.monotonic()
    return view.close(show)


def _look(gateway: Gateway, view: _View, show: Show, check: Check, phase: str) -> None:
    check()
    gateway.check()
    show(view.scene(phase))
    time.sleep(_TICK)


class _View:
    """What has happened so far, as scenes."""

    def __init__(self, gateway: Gateway, watched: Watched, tail: Tail) -> None:
        self._gateway, self._watched, self._tail = gateway, watched, tail
        self._watch = _Stopwatch()
        self._rates: list[float] = []
        self._sampled, self._settled = self._watch.began, 0
        self._pair = ("", "")
        self._first: float | None = None  # when something had been settled, and when something was for the last time
        self._last, self._before = 0.0, 0

    def scene(self, phase: str) -> Scene:
        """Now."""
        self._sample()
        settled = self._gateway.settled()
        if settled > self._before:
            self._before, self._last = settled, self._watch.seconds()
            self._first = self._last if self._first is None else self._first
        return Scene(
            elapsed=self._watch.seconds(),
            phase=phase,
            stored=self._gateway.metrics.stored,
            refused=self._gateway.refused(),
            rates=self._rates,
            latency=percentiles(self._watched.latencies[-_RECENT:]),
            series=len(self._watched.pseudonyms),
            cpu_us=self._watch.cpu_us() / settled if settled else None,
            sent=self._pair[0],
            kept=self._pair[1],
        )

    def close(self, show: Show) -> Measured:
        """The last scene, and what was measured."""
        cpu_us, latency = self._watch.cpu_us(), percentiles(self._watched.latencies)
        show(replace(self.scene(DONE), latency=latency))
        seconds = self._last - (self._first or 0.0)
        return Measured(messages=self._gateway.settled(), seconds=seconds, cpu_us=cpu_us, latency=latency)

    def _sample(self) -> None:
        now = time.monotonic()
        if now - self._sampled < _SAMPLE_EVERY:
            return
        settled = self._gateway.settled()
        self._rates.append((settled - self._settled) / (now - self._sampled))
        self._sampled, self._settled = now, settled
        self._tail.look()
        kept = self._watched.kept.copy()
        both = [at for at in self._tail.sent if at * 1_000_000 in kept]
        if both:
            self._pair = (self._tail.sent[both[-1]], as_stored(kept[both[-1] * 1_000_000]))


def percentiles(latencies: list[float]) -> tuple[float, float] | None:
    """Median and 99th percentile; None of nothing."""
    if not latencies:
        return None
    median, worst = np.percentile(latencies, (50, 99)).tolist()
    return round(median, 1), round(worst, 1)


def as_stored(point: SealedPoint) -> str:
    """A point as one line: measurement, area, pseudonym, field and what is sealed in it."""
    series = point.series
    return f"{series.measurement},{series.area} id={series.pseudonym} {point.field}={point.value}"
