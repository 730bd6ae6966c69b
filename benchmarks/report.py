"""Writes docs/performance.md and its pictures: `python -m benchmarks.report [--measure]`.

With `--measure` it measures everything anew on this machine, in about 15 minutes, and keeps the figures in
docs/performance.json; without, it only writes the page again from the figures that are kept there. Nothing on that page
is written by hand: what is said of a figure depends on the figure.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
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
MESSAGES, LATENCY_MESSAGES, ROUNDS = 200_000, 5_000, 3
READBACK_SECONDS = 300


def measured(given: argparse.Namespace, progress: Console) -> Any:  # noqa: ANN401 - JSON
    """Everything that the page shows, as JSON. Raises what the rig raises."""
    begun, load = time.time(), os.getloadavg()[0]
    rounds = ingest.rounds(contenders.DEFAULT, given.messages, given.latency_messages, given.repeat, progress)
    return {
        "machine": {**_machine(), "load_before": round(load, 2)},
        "messages": given.messages,
        "rounds": {name: [asdict(row) for row in rows] for name, rows in rounds.items()},
        "profile": profile.stages(profile.ROUNDS),
        "scale": scale.measure(given.populations, given.histories, progress),
        "readback": _readback(progress),
        "seconds": round(time.time() - begun),
    }


def _readback(progress: Console) -> Any:  # noqa: ANN401 - as it prints
    """What `benchmarks.readback --json` prints; None where there is none, or it fails."""
    if importlib.util.find_spec("benchmarks.readback") is None:
        return None
    with progress.status("reading back"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.readback", "--json"],
            capture_output=True,
            text=True,
            timeout=READBACK_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        progress.print(f"left out: reading back ended with {done.returncode}", highlight=False)
        return None
    return json.loads(done.stdout)


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
    """0; 1 when a measurement went wrong, and then nothing is written; 130 when interrupted."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").splitlines()[0])
    options.add_argument("--measure", action="store_true", help="measure anew, about 15 minutes; see the load first")
    options.add_argument("--messages", type=int, default=MESSAGES)
    options.add_argument("--latency-messages", type=int, default=LATENCY_MESSAGES)
    options.add_argument("--repeat", type=int, default=ROUNDS)
    options.add_argument("--populations", type=int, nargs=3, default=scale.POPULATIONS, metavar="N")
    options.add_argument("--histories", type=int, nargs=3, default=scale.HISTORIES, metavar="N")
    given = options.parse_args()
    progress = Console(stderr=True)
    if given.measure:
        try:
            found = measured(given, progress)
        except (ProgramFault, RigFault, ServerDown, ServerMissing) as fault:
            progress.print(f"stopped: {fault}", style="red", markup=False, highlight=False)
            return 1
        except KeyboardInterrupt:
            return 130
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
    write(json.loads(KEPT.read_text()))
    progress.print("docs/performance.md is written", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
