"""Results as pictures in SVG: CPU a message and rate of each pipeline; what the cost depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def draw_scale(
    populations: Sequence[Mapping[str, float]], histories: Sequence[Mapping[str, float]], path: Path
) -> None:
    """Write `path`: three small charts over sizes that grow tenfold. The same figures give the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "glomska", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 2.6), layout="constrained")
        cost, memory, erase = figure.subplots(1, 3)
        customers, readings = [p["customers"] for p in populations], [h["readings"] for h in histories]
        _line(cost, customers, [p["few_us"] for p in populations], OTHERS, "1,000 active")
        _line(cost, customers, [p["all_us"] for p in populations], OURS, "all active")
        _line(memory, customers, [p["all_mb"] for p in populations], OURS, "all active")
        _line(erase, customers, [p["erase_ms"] for p in populations], OURS, "by customers")
        _line(erase, readings, [h["erase_ms"] for h in histories], OTHERS, "by readings stored")
        for axes, title in (
            (cost, "CPU a message, µs, by customers"),
            (memory, "memory, MB, by active devices"),
            (erase, "erasure effective, ms"),
        ):
            axes.set_title(title, loc="left", fontsize=9, color=INK)
            axes.set_xscale("log")
            axes.set_ylim(bottom=0)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8, labelcolor=INK)
            axes.legend(fontsize=7, frameon=False, loc="lower right")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _line(axes: Axes, sizes: Sequence[float], values: Sequence[float], colour: str, label: str) -> None:
    axes.plot(sizes, values, marker="o", markersize=4, color=colour, label=label)


def _bars(axes: Axes, rows: Sequence[Row], values: Sequence[float], labels: Sequence[str]) -> None:
    colours = [OURS if row.pipeline.startswith("glomska") else OTHERS for row in rows]
    bars = axes.barh(range(len(rows)), values, color=colours, height=0.6)
    axes.bar_label(bars, labels, padding=4, fontsize=9, color=INK)
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
