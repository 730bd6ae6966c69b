"""What a soak has shown, as a page and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.picture import FAINT, INK, OURS

_PAGE = """\
# Soak

Written by `python -m tests.faults.soak`; every figure is of the run below, which may be shorter than the 1,000 faults
of `make soak`. A fleet publishes through a broker to a gateway of {workers} workers and on to InfluxDB, each on a line
of its own in network namespaces, and something breaks all the time. A witness between broker and gateway sees
what the gateway acknowledges, another before the store what the store does. At the end every customer is read
back and compared with what was published, message by message and digit by digit.

| | |
|---|---|
| faults | {total:,} |
| readings published | {readings:,} in {messages:,} messages |
| messages that must be stored | {valid:,} |
| stored and read back as published | {stored:,} |
| **lost by the gateway**: acknowledged by it, never by the store, and not there | **{lost}** |
| **doubled** | **{doubled}** |
| readings that differ from what was published | {wrong} |
| lost by the broker when it was killed: never acknowledged by the gateway | {lost_by_broker:,} |
| lost by the store when it was killed: acknowledged by it, and forgotten ([why](stores.md)) | {lost_by_store:,} |
| the store's own log, found damaged when it was started again | {logs_cut:,} |
| messages that had to be refused, and were acknowledged | {refused:,} |
| dead letters kept | {kept:,}: {letters} |
| deliveries of what had been delivered before | {again:,} |
| files with an identifier in the clear | {clear} |
| memory of the gateway, all processes: peak | {peak_mb:.0f} MiB |
| time | {minutes:.0f} minutes, seed {seed} |

![What befell it, and its memory](soak.svg)

| fault | times |
|---|---|
{faults}

What each fault is stands in `tests/faults/acts.py`. Repeat it with `make soak`; a short one is part of `make test`.
"""


def write(told: dict[str, Any], path: Path) -> None:
    """`path` and the picture beside it, of what `soak` returns."""
    text = _PAGE.format(
        **{key: value for key, value in told.items() if key not in {"faults", "letters"}},
        letters=", ".join(f"{number:,} {reason}" for reason, number in told["letters"].items()),
        total=sum(told["faults"].values()),
        clear=len(told["in_the_clear"]),
        minutes=told["seconds"] / 60,
        faults="\n".join(f"| {name} | {times:,} |" for name, times in told["faults"].items()),
    )
    path.write_text(text, encoding="utf-8")
    _draw(told, path.with_suffix(".svg"))


def _draw(told: dict[str, Any], path: Path) -> None:
    names, times = list(told["faults"]), list(told["faults"].values())
    with mpl.rc_context({"svg.hashsalt": "glomska", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        left.bar_label(left.barh(names, times, color=OURS, height=0.6), padding=3, fontsize=8, color=INK)
        left.invert_yaxis()
        left.set_title("faults", loc="left", fontsize=10, color=INK)
        left.xaxis.set_visible(False)
        left.margins(x=0.15)
        right.plot(told["memory_mb"], color=OURS, linewidth=0.6)
        right.set_title("memory of the gateway, MiB, after each fault", loc="left", fontsize=10, color=INK)
        right.set_ylim(bottom=0)
        right.set_xlabel("faults so far; near 0 where it was just killed", fontsize=8, color=FAINT)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8, labelcolor=INK)
        left.spines["bottom"].set_visible(False)
        figure.savefig(path, format="svg", metadata={"Date": None})
