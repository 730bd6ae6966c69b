"""Ten simulated homes over a winter week, as a picture: `python -m firmware_sim.picture docs/fleet.svg`.

One column a price area, from north to south, and the homes of ten that stand there: what their thermometers said, what
the weather was, and what the whole column used. Drawn from the messages that the homes published, by the words of the
command: the same seed gives the same file. Needs matplotlib, which comes with the extra `bench`.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firmware_sim.fleet import Firmware, thermostats
from firmware_sim.homes import Window, simulate_messages
from firmware_sim.places import area_of
from firmware_sim.weather import DAY

HOMES, SEED, DAYS = 10, 4, 7
START = dt.datetime(2026, 1, 19, 0, 0, tzinfo=dt.UTC)  # a Monday
WINDOW = Window(start=int(START.timestamp()) * 1000, interval=3600, steps=DAYS * 24)
WARM, COLD, POWER, INK, FAINT = "#b5482a", "#35668c", "#1b6e5a", "#222222", "#888888"

Said = dict[str, list[dict[str, float]]]
"""Messages by topic, in order, as flat JSON."""


def draw(path: Path) -> None:
    """Write the picture. Raises OSError."""
    homes = [home for home in thermostats(60, seed=SEED) if home.firmware is Firmware.OFFSET][:HOMES]  # say everything
    said: Said = defaultdict(list)
    for message in simulate_messages(homes, WINDOW, seed=SEED):
        said[message.topic].append({"at": message.time / 1000, **msgspec.json.decode(message.payload)})
    areas = sorted({area_of(home.postal_code) for home in homes})
    with mpl.rc_context({"svg.hashsalt": "glomska", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(11, 6.2), layout="constrained")
        rows = figure.subplots(3, len(areas), sharex=True, sharey="row", squeeze=False)
        for column, area in enumerate(areas):
            _column(
                list(rows[:, column]), [said[home.topic] for home in homes if area_of(home.postal_code) == area], area
            )
        for axes, label in zip(rows[:, 0], ("indoors, °C", "outdoors, °C", "a home's power, kW"), strict=True):
            axes.set_ylabel(label, fontsize=9, color=INK)
        rows[-1, 0].set_ylim(bottom=0)
        figure.savefig(path, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else None)


def _column(rows: Sequence[Axes], homes: Sequence[list[dict[str, float]]], area: int) -> None:
    indoors, outdoors, power = rows
    used = sum(home[-1]["energy"] - home[0]["energy"] for home in homes) / len(homes)
    indoors.set_title(f"SE{area + 1}: {len(homes)} homes, {used:,.0f} kWh each", loc="left", fontsize=10, color=INK)
    for home in homes:
        days = [(row["at"] - START.timestamp()) / DAY for row in home]
        indoors.plot(days, [row["target_temperature"] for row in home], color=FAINT, linewidth=0.6, linestyle=":")
        indoors.plot(days, [row["temperature"] for row in home], color=WARM, linewidth=0.7, alpha=0.75)
        outdoors.plot(days, [row["outdoor_temperature"] for row in home], color=COLD, linewidth=0.7, alpha=0.75)
        power.plot(days, [row["power"] / 1000 for row in home], color=POWER, linewidth=0.6, alpha=0.75)
    for axes in rows:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=INK)
        axes.grid(axis="y", color="#dddddd", linewidth=0.5)
    power.set_xticks(range(DAYS), ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"))


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/fleet.svg"))
