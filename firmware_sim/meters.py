"""Real meter files as devices: what three homes used by the hour or half-hour, and the weather they had.

A row says what was used in [start, start + interval). Its message is what a meter shows at the end of that interval:

    energy                the counter, kWh: the sum of all rows so far, whichever part of the file is replayed
    power                 mean of the interval, W
    outdoor_temperature   the newest hourly value, if none older than an hour exists it is left out

Repeated rows: where samples 1 and 2 have a row twice, both carry the same value: the export is doubled, not the use.
Such a row counts once, so that a home and a time name one message. Files whose repetitions disagree are refused.

Gaps stay gaps; the counter goes on behind them. Values are whole Wh (the files' decimals are float noise around them),
so counter and power are exact.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import importlib.resources
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from firmware_sim.fleet import Home, Message
from firmware_sim.payloads import message

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SAMPLES = (("0", "0"), ("1", "1_2"), ("2", "1_2"))  # meter file, temperature file
HOUR = 3600
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One home's file in columns of one length n, ordered by time, each time once.

    interval  seconds
    end       (n,) int64, end of the interval, Unix s
    energy    (n,) int64, counter at `end`, Wh
    power     (n,) int64, mean of the interval, W
    outdoor   (n,) float64, °C, NaN where no weather is known
    """

    interval: int
    end: Ints
    energy: Ints
    power: Ints
    outdoor: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of the files is replayed, and when it seems to happen.

    days     only what a file's last days hold; None: all
    limit    at most so many readings of each home, the last ones; None: all
    end      Unix ms at or shortly before which each file seems to end; None: times as they are in the file
    """

    days: float | None = None
    limit: int | None = None
    end: int | None = None


@cache
def read_meter(sample: int) -> Meter:
    """Meter file 0, 1 or 2. Raises ValueError when rows contradict each other or are no whole Wh."""
    meter, weather = SAMPLES[sample]
    start, kwh = _column(f"uk-electricity-hdd-only-hourly-sample-{meter}.csv.gz", "start", "value")
    start, wh = once(start, kwh)
    interval = int(np.median(np.diff(start)))
    end = start + interval
    return Meter(
        interval=interval,
        end=end,
        energy=np.cumsum(wh),
        power=wh * HOUR // interval,
        outdoor=_newest(end, *_column(f"uk-tempC-sample-{weather}.csv.gz", "dt", "tempC")),
    )


def once(start: Ints, kwh: Floats) -> tuple[Ints, Ints]:
    """Each time once, ascending, and its use in whole Wh. Raises ValueError as `read_meter` does."""
    wh = np.rint(kwh * 1000).astype(np.int64)
    if np.abs(kwh * 1000 - wh).max() > 0.01:  # noqa: PLR2004 - float noise is below 0.001 Wh
        raise ValueError("a meter file has values that are no whole Wh: its counter would not be exact")
    times, first, group = np.unique(start, return_index=True, return_inverse=True)
    if not np.array_equal(wh[first][group], wh):
        raise ValueError("a meter file has two values for one time: decide which one is right")
    return times, wh[first]


def replay_count(homes: Sequence[Home], part: Part) -> int:
    """How many messages `replay_messages` will give."""
    return sum(len(_rows(_meter_of(i), part)) for i in range(len(homes)))


def replay_messages(homes: Sequence[Home], part: Part) -> Iterator[Message]:
    """All homes' messages by event time. Home i replays file i modulo 3; copies report earlier by their own phase."""
    streams = [_home_messages(i, home, part) for i, home in enumerate(homes)]
    return heapq.merge(*streams, key=attrgetter("time"))


def _home_messages(index: int, home: Home, part: Part) -> Iterator[Message]:
    meter = _meter_of(index)
    rows = _rows(meter, part)
    shift = 0 if part.end is None else (part.end // 1000 - int(meter.end[-1])) // meter.interval * meter.interval
    phase = int(home.phase * meter.interval * 1000) if index >= len(SAMPLES) else 0
    columns = (column[rows].tolist() for column in (meter.end, meter.energy, meter.power, meter.outdoor))
    for end, energy, power, outdoor in zip(*columns, strict=True):
        readings = [("power", str(power)), ("energy", f"{energy // 1000}.{energy % 1000:03}")]
        if outdoor == outdoor:  # noqa: PLR0124 - not NaN
            readings.append(("outdoor_temperature", f"{outdoor:.2f}"))
        yield message(home, (end + shift) * 1000 - phase, readings)


def _meter_of(index: int) -> Meter:
    return read_meter(index % len(SAMPLES))


def _rows(meter: Meter, part: Part) -> range:
    count = len(meter.end)
    first = 0
    if part.days is not None:
        first = int(np.searchsorted(meter.end, meter.end[-1] - part.days * DAY_MS / 1000, side="right"))
    if part.limit is not None:
        first = max(first, count - part.limit)
    return range(first, count)


def _newest(times: Ints, known: Ints, values: Floats) -> Floats:
    at = np.searchsorted(known, times, side="right") - 1
    covered = (at >= 0) & (times - known[at] <= HOUR)
    return np.where(covered, values[at], np.nan)


def _column(name: str, time: str, value: str) -> tuple[Ints, Floats]:
    packed = (importlib.resources.files("firmware_sim") / "data" / name).read_bytes()
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(packed).decode())))
    # numpy's datetime64 has no zone; the files' times are UTC, with or without saying so.
    stamps = np.array([row[time].removesuffix("+00:00") for row in rows], dtype="datetime64[s]")
    return stamps.astype(np.int64), np.array([row[value] for row in rows], dtype=np.float64)
