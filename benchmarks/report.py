"""Writes docs/performance.md and its pictures: `python -m benchmarks.report [--measure]`.

With `--measure` it measures everything anew on this machine, within `--minutes`, and keeps the figures in
docs/performance.json; without, it only writes the page again from the figures that are kept there. Nothing on that page
is written by hand: what is said of a figure depends on the figure.

No part may take the time of another: each has a share of it, and what is not done by then is left out, as is what
fails. Both are said, and the page tells `not measured`. Without any figure of the gateway itself no page is written.
What there is, is kept after each part in performance.partial.json, so that a run that is interrupted is not lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import contenders, ingest, picture, profile, scale
from benchmarks.page import page
from benchmarks.program import ProgramFault
from benchmarks.rig import RigFault, Row
from benchmarks.servers import ServerDown, ServerMissing

DOCS = Path(__file__).parent.parent / "docs"
KEPT = DOCS / "performance.json"
PARTIAL = DOCS / "performance.partial.json"
MESSAGES, LATENCY_MESSAGES, ROUNDS = 200_000, 5_000, 3
POPULATIONS = (1_000, 4_000, 16_000)  # those of `scale` take longer to enrol than all else here takes
MINUTES = 15
SHARES = {"rounds": 0.55, "profile": 0.05, "readback": 0.15, "scale": 0.25}


class Overdue(Exception):
    """A part had its share of the time."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise Overdue in here when it has taken so long. For the main thread; what was begun is ended as by an error."""

    def end(_number: int, _frame: object) -> None:
        raise Overdue

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measured(given: argparse.Namespace, progress: Console) -> Any:  # noqa: ANN401 - JSON
    """Everything that the page shows, as JSON, as far as there was time for it and it did not fail."""
    begun, load = time.time(), os.getloadavg()[0]
    rows: dict[str, list[Row]] = {}
    found: dict[str, Any] = {
        "machine": {**_machine(), "load_before": round(load, 2)},
        "messages": given.messages,
        "rounds": {},
        "profile": {},
        "scale": {"population": [], "history": []},
        "readback": None,
    }
    parts: dict[str, Callable[[], object]] = {
        "rounds": lambda: ingest.rounds(
            contenders.DEFAULT,
            given.messages,
            given.latency_messages,
            given.repeat,
            progress,
            measured=rows,
            optional=contenders.DEFAULT,
        ),
        "profile": lambda: found.update(profile=profile.stages(profile.ROUNDS)),
        "readback": lambda: found.update(readback=_readback(progress)),
        "scale": lambda: scale.measure(given.populations, given.histories, progress, found["scale"]),
    }
    for name, part in parts.items():
        share_s = SHARES[name] * given.minutes * 60
        try:
            with within(share_s):
                part()
        except Overdue:
            progress.print(f"left out: the rest of {name}, which has had its {share_s:.0f} s: see --minutes")
        except (ProgramFault, RigFault, ServerDown, ServerMissing, OSError, ValueError) as fault:
            progress.print(f"left out: {name}: {fault}", style="red", markup=False, highlight=False)
        found["rounds"] = {pipeline: [asdict(row) for row in measured] for pipeline, measured in rows.items()}
        found["seconds"] = round(time.time() - begun)
        PARTIAL.write_text(json.dumps(found, indent=1) + "\n")
    return found


def _readback(progress: Console) -> Any:  # noqa: ANN401 - as it prints
    """What `benchmarks.readback --json` prints; None where it fails."""
    command = [sys.executable, "-m", "benchmarks.readback", "--json"]
    with progress.status("reading back"), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reading:
        try:
            told, _ = reading.communicate()
        except BaseException:
            reading.send_signal(signal.SIGINT)  # so that it ends its servers
            raise
    if reading.returncode != 0:
        progress.print(f"left out: reading back ended with {reading.returncode}", highlight=False)
        return None
    return json.loads(told)


def _machine() -> dict[str, Any]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cores": os.cpu_count(),
        "model": model,
        "architecture": platform.machine(),
        "memory_gb": round(memory_kb / 2**20),
        "python": platform.python_version(),
        "kernel": platform.release().partition("-")[0],
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def write(found: Any) -> None:  # noqa: ANN401 - JSON
    """The page and its pictures, of figures."""
    rows = [ingest.median([Row(**row) for row in rounds]) for rounds in found["rounds"].values()]
    picture.draw(rows, found["messages"], DOCS / "ingest.svg")
    picture.draw_scale(found["scale"]["population"], found["scale"]["history"], DOCS / "scale.svg")
    (DOCS / "performance.md").write_text(page(found, rows))


def main() -> int:
    """0; 1 when the gateway could not be measured, and then no page is written; 130 when interrupted."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").splitlines()[0])
    options.add_argument("--measure", action="store_true", help="measure anew; see the load first")
    options.add_argument("--minutes", type=float, default=MINUTES, help="all of it takes no longer (default 15)")
    options.add_argument("--messages", type=int, default=MESSAGES)
    options.add_argument("--latency-messages", type=int, default=LATENCY_MESSAGES)
    options.add_argument("--repeat", type=int, default=ROUNDS)
    options.add_argument("--populations", type=int, nargs=3, default=POPULATIONS, metavar="N")
    options.add_argument("--histories", type=int, nargs=3, default=scale.HISTORIES, metavar="N")
    given = options.parse_args()
    progress = Console(stderr=True)
    if given.measure:
        try:
            found = measured(given, progress)
        except KeyboardInterrupt:
            progress.print(f"interrupted; what there was by then is in {PARTIAL}", highlight=False)
            return 130
        if not {"glomska", "idle-subscriber"} <= found["rounds"].keys():
            progress.print(
                f"stopped: the gateway, or the idle subscriber, was not measured; see {PARTIAL}", style="red"
            )
            return 1
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
        PARTIAL.unlink()
    write(json.loads(KEPT.read_text()))
    progress.print("docs/performance.md is written", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
