"""Writes docs/performance.md and its pictures: `python -m benchmarks.report [--measure] [--only PART …]`.

With `--measure` it measures everything anew on this machine, within `--minutes`, and keeps the figures in
docs/performance.json; without, it only writes the page again from the figures that are kept there. Nothing on that page
is written by hand: what is said of a figure depends on the figure. With `--only`, the other parts' figures stay as they
are kept, and the page says what was measured apart, and when.

No part may take the time of another: each has a share of it, and what is not done by then is left out, as is what
fails. Both are said, and the page tells `not measured`. Without any figure of the gateway itself no page is written.
What there is, is kept after each part in performance.partial.json, so that a run that is interrupted is not lost.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import contenders, ingest, picture, profile, scale
from benchmarks.bounds import Overdue, within
from benchmarks.page import page
from benchmarks.program import ProgramFault
from benchmarks.rig import RigFault, Row
from benchmarks.servers import ServerDown, ServerMissing

DOCS = Path(__file__).parent.parent / "docs"
KEPT = DOCS / "performance.json"
PARTIAL = DOCS / "performance.partial.json"
MESSAGES, LATENCY_MESSAGES, ROUNDS = 500_000, 5_000, 3
MINUTES = 40
SHARES = {"rounds": 0.25, "profile": 0.02, "readback": 0.08, "scale": 0.65}


def measured(given: argparse.Namespace, progress: Console) -> Any:  # noqa: ANN401 - JSON
    """Everything that the page shows, as JSON, as far as there was time for it and it did not fail."""
    begun, rows = time.time(), dict[str, list[Row]]()
    machine = {**_machine(), "load_before": round(os.getloadavg()[0], 2)}
    found: dict[str, Any] = {
        "machine": machine,
        "messages": given.messages,
        "rounds": {},
        "profile": {},
        "scale": {},
        "readback": None,
        "apart": {},
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
        "scale": lambda: scale.measure(scale.sizes_of(given), share_s, progress, found["scale"]),
    }
    for name in given.only or parts:
        share_s = SHARES[name] / sum(SHARES[wanted] for wanted in given.only or parts) * given.minutes * 60
        try:
            with within(share_s):
                parts[name]()
        except Overdue:
            progress.print(f"left out: the rest of {name}, which has had its {share_s:.0f} s: see --minutes")
        except (ProgramFault, RigFault, ServerDown, ServerMissing, OSError, ValueError) as fault:
            progress.print(f"left out: {name}: {fault}", style="red", markup=False, highlight=False)
        found["rounds"] = {pipeline: [asdict(row) for row in measured] for pipeline, measured in rows.items()}
        found["seconds"] = round(time.time() - begun)
        PARTIAL.write_text(json.dumps(found, indent=1) + "\n")
    return _beside(found, given.only) if given.only else found


def _beside(found: Any, only: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    """What is kept, with these parts as they were found now."""
    kept = json.loads(KEPT.read_text())
    for name in only:
        kept[name] = scale.beside(kept[name], found[name]) if name == "scale" else found[name]
        told = {
            "day": found["machine"]["day"],
            "load_before": found["machine"]["load_before"],
            "seconds": found["seconds"],
        }
        earlier = kept.setdefault("apart", {}).get(name)
        if name == "scale" and earlier is not None and not all(found[name][kind] for kind in scale.KINDS):
            told["load_before"] = max(told["load_before"], earlier["load_before"])  # of several runs, the busiest
            told["seconds"] += earlier["seconds"]
        kept["apart"][name] = told
    return kept


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
    picture.draw_scale(found["scale"], DOCS / "scale.svg")
    (DOCS / "performance.md").write_text(page(found, rows))


def main() -> int:
    """0; 1 when the gateway could not be measured, and then no page is written; 130 when interrupted."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").splitlines()[0])
    options.add_argument("--measure", action="store_true", help="measure anew; see the load first")
    options.add_argument("--minutes", type=float, default=MINUTES, help="all of it takes no longer (default 40)")
    options.add_argument(
        "--only", nargs="+", choices=SHARES, metavar="PART", help=f"one or more of {', '.join(SHARES)}"
    )
    options.add_argument("--messages", type=int, default=MESSAGES)
    options.add_argument("--latency-messages", type=int, default=LATENCY_MESSAGES)
    options.add_argument("--repeat", type=int, default=ROUNDS)
    scale.add_options(options)
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
