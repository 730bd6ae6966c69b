"""The result as a picture: CPU a message and rate of each pipeline, side by side, in SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.rig import Row

OURS, OTHERS = "#1b6e5a", "#b8bfc6"
INK, FAINT = "#222222", "#666666"


def draw(rows: Sequence[Row], count: int, path: Path) -> None:
    """Write `path`. The same rows give the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "glomska", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 1.1 + 0.55 * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        labels = [f"{row.pipeline}\n{row.store}" if row.store != "none" else row.pipeline for row in rows]
        cpu, rate = [r.cpu_us_per_message for r in rows], [r.messages_per_second for r in rows]
        _bars(left, rows, cpu, [f"{value:.1f}" for value in cpu])
        _bars(right, rows, rate, [f"{value:,.0f}" for value in rate])
        left.set_yticks(range(len(rows)), labels)
        left.invert_yaxis()
        left.set_title("CPU a message, µs (less is better)", loc="left", fontsize=10, color=INK)
        right.set_title("messages a second (more is better)", loc="left", fontsize=10, color=INK)
        figure.supxlabel(
            f"{count:,} messages, QoS 1, four quantities; publisher, broker, pipeline and store share one machine",
            fontsize=8,
            color=FAINT,
        )
        figure.savefig(path, format="svg", metadata={"Date": None})


def _bars(axes: Axes, rows: Sequence[Row], values: Sequence[float], labels: Sequence[str]) -> None:
    colours = [OURS if row.pipeline == "glomska" else OTHERS for row in rows]
    bars = axes.barh(range(len(rows)), values, color=colours, height=0.6)
    axes.bar_label(bars, labels, padding=4, fontsize=9, color=INK)
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
