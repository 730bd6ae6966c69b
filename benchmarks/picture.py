"""Results as pictures in SVG: CPU a message and rate of each pipeline; what the cost depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
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


def draw_scale(found: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Write `path`: four charts over sizes that grow thirtyfold. The same figures give the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "glomska", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        charts = zip(np.ravel(figure.subplots(2, 2)), _CHARTS.items(), strict=True)
        for axes, (name, title) in charts:
            for kind, (colour, marker) in _KINDS.items():
                sizes = found.get(kind, [])
                values = [size[name] for size in sizes]
                axes.plot(
                    [size["size"] for size in sizes], values, marker=marker, color=colour, label=kind, markersize=5
                )
            axes.set_title(title, loc="left", fontsize=10, color=INK)
            axes.set_xscale("log")
            axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(which="both", labelsize=8, labelcolor=INK)
            if name == "memory_mb":
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter("{x:,.0f}")
                axes.yaxis.set_minor_formatter("{x:,.0f}")
            else:
                axes.set_ylim(bottom=0)
            axes.legend(fontsize=8, frameon=False, loc="best", title="by number of", title_fontsize=8, alignment="left")
        figure.supxlabel("devices that send, customers enrolled, readings stored before", fontsize=9, color=FAINT)
        figure.savefig(path, format="svg", metadata={"Date": None})


_CHARTS = {
    "message_us": "a message, µs of CPU",
    "first_us": "first message of a device, µs of CPU more",
    "memory_mb": "memory of the gateway, MB",
    "erase_ms": "erasure effective, ms",
}
_KINDS = {"devices": (OURS, "o"), "customers": ("#c2703d", "s"), "history": ("#5a6f9c", "^")}


def _bars(axes: Axes, rows: Sequence[Row], values: Sequence[float], labels: Sequence[str]) -> None:
    colours = [OURS if row.pipeline.startswith("glomska") else OTHERS for row in rows]
    bars = axes.barh(range(len(rows)), values, color=colours, height=0.6)
    axes.bar_label(bars, labels, padding=4, fontsize=9, color=INK)
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
