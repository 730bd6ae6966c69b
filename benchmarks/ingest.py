"""The end-to-end comparison: `python -m benchmarks.ingest --messages 200000 [--json]`.

Each pipeline gets the same messages from the same publisher through a Mosquitto of its own; rounds take turns, and of
several rounds the median of each figure is reported. Ratios are in messages a CPU second, so they say what a core is
worth, not who was lucky with the scheduler. `share_of_idle` is the gateway's rate as a part of what the same broker
delivers to a subscriber that does nothing but acknowledge. That is no strict ceiling: a broker works less for a client
that acknowledges later and more at once, and rates on a busy machine vary by a fifth. A share above 1 is reported as it
was measured, with a warning. Progress, warnings and faults go to stderr.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import contenders, picture
from benchmarks.program import ProgramFault
from benchmarks.rig import RigFault, Row, measure
from benchmarks.servers import ServerDown, ServerMissing

LATENCY_MESSAGES = 10_000


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=200_000, help="messages of the load phase (default 200000)")
    parser.add_argument(
        "--latency-messages",
        type=int,
        default=LATENCY_MESSAGES,
        help="messages of the latency phase, 1,000 a second; 0 leaves it out",
    )
    parser.add_argument("--pipelines", nargs="+", default=contenders.DEFAULT, choices=contenders.ALL, metavar="NAME")
    parser.add_argument("--repeat", type=int, default=1, help="rounds over all pipelines; medians are reported")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout instead of a table")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw CPU and rate of each pipeline")
    return parser


def main() -> int:
    """0, 1 when a run went wrong, 130 when interrupted."""
    given = options().parse_args()
    progress = Console(stderr=True)
    try:
        rows = run(given.pipelines, given.messages, given.latency_messages, given.repeat, progress)
    except (ProgramFault, RigFault, ServerDown, ServerMissing) as fault:
        progress.print(f"stopped: {fault}", style="red", markup=False, highlight=False, emoji=False)
        return 1
    except KeyboardInterrupt:
        return 130
    if (document(rows)["share_of_idle"] or 0) > 1:
        progress.print("the idle subscriber was no ceiling in this run: do not quote share_of_idle; see --repeat")
    if given.svg:
        picture.draw(rows, given.messages, given.svg)
    if given.json:
        print(json.dumps(document(rows)))
    else:
        Console().print(table(rows, given.messages))
    return 0


def run(names: Sequence[str], count: int, latency_count: int, repeat: int, progress: Console) -> list[Row]:
    """A row for each name whose program is there: medians over `repeat` rounds."""
    return [median(rows) for rows in rounds(names, count, latency_count, repeat, progress).values()]


def rounds(  # noqa: PLR0913 - the last two for a longer run, of which this is a part
    names: Sequence[str],
    count: int,
    latency_count: int,
    repeat: int,
    progress: Console,
    *,
    measured: dict[str, list[Row]] | None = None,
    optional: Collection[str] = contenders.FOREIGN,
) -> dict[str, list[Row]]:
    """The rows of each round, by name, put into `measured` as they come; what is absent is left out, and that is said.

    Raises what `measure` raises, but for the `optional`: of those what fails is left out, too.
    """
    for name in names:
        if absent := contenders.by_name(name).missing():
            progress.print(f"left out: {absent}", markup=False, highlight=False, emoji=False)
    names = [name for name in names if not contenders.by_name(name).missing()]
    measured = {} if measured is None else measured
    for turn in range(1, repeat + 1):
        for name in names:
            try:
                with progress.status(f"round {turn} of {repeat}: {name}"):
                    row = measure(contenders.by_name(name), count, latency_count)
            except (ProgramFault, RigFault, ServerDown, ServerMissing) as fault:
                if name not in optional:
                    raise
                progress.print(f"left out of this round: {name}: {fault}", markup=False, highlight=False, emoji=False)
                continue
            measured.setdefault(name, []).append(row)
            progress.print(
                f"round {turn} of {repeat}: {name}: {row.cpu_us_per_message:.2f} µs CPU a message, "
                f"{row.messages_per_second:,.0f} messages/s",
                highlight=False,
                emoji=False,
            )
    return measured


def median(rows: Sequence[Row]) -> Row:
    """Of each figure, the median; counts are the same in all."""
    figures: dict[str, Any] = {f.name: getattr(rows[0], f.name) for f in fields(Row)}
    for name in ("cpu_us_per_message", "messages_per_second", "p50_ms", "p99_ms", "peak_rss_mb"):
        if figures[name] is not None:
            figures[name] = statistics.median(getattr(row, name) for row in rows)
    return Row(**figures)


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """What `--json` prints."""
    ours = next((row for row in rows if row.pipeline == "glomska"), None)
    return {
        "rows": [
            {
                "pipeline": row.pipeline,
                "store": row.store,
                "cpu_us_per_message": round(row.cpu_us_per_message, 2),
                "messages_per_second": round(row.messages_per_second),
                "latency_ms": {"p50": _rounded(row.p50_ms), "p99": _rounded(row.p99_ms)},
                "peak_rss_mb": round(row.peak_rss_mb, 1),
                "stored": row.stored,
            }
            for row in rows
        ],
        "ratio": {"plain": cpu_ratio(ours, rows, "plain"), "node_red": cpu_ratio(ours, rows, "node-red")},
        "share_of_idle": share_of_idle(ours, rows),
    }


def cpu_ratio(ours: Row | None, rows: Sequence[Row], pipeline: str) -> float | None:
    """How many times the messages of `pipeline` the gateway handles in a CPU second; None when either did not run."""
    theirs = next((row for row in rows if row.pipeline == pipeline), None)
    return round(theirs.cpu_us_per_message / ours.cpu_us_per_message, 2) if ours and theirs else None


def share_of_idle(ours: Row | None, rows: Sequence[Row]) -> float | None:
    """The gateway's rate over the idle subscriber's; None when either did not run."""
    idle = next((row for row in rows if row.pipeline == "idle-subscriber"), None)
    return round(ours.messages_per_second / idle.messages_per_second, 3) if ours and idle else None


def table(rows: Sequence[Row], count: int) -> Table:
    """For people."""
    result = document(rows)
    ratio, share = result["ratio"]["plain"], result["share_of_idle"]
    said = [f"{ratio:.1f} × plain in messages a CPU second"] if ratio else []
    said += [f"{share:.0%} of the idle subscriber's rate"] if share else []
    shown = Table(title=f"{count:,} messages of QoS 1", caption="; ".join([*said, "latency in ms"]))
    for heading in ("pipeline", "store"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("CPU µs", "per s", "p50", "p99", "MB", "stored"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(
            row.pipeline,
            row.store,
            f"{row.cpu_us_per_message:.2f}",
            f"{row.messages_per_second:,.0f}",
            "–" if row.p50_ms is None else f"{row.p50_ms:.0f}",
            "–" if row.p99_ms is None else f"{row.p99_ms:.0f}",
            f"{row.peak_rss_mb:.0f}",
            f"{row.stored:,}",
        )
    return shown


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)


if __name__ == "__main__":
    sys.exit(main())
