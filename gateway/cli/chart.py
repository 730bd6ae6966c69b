"""One home's day, drawn in a terminal: power as an area, temperature as a line, over hours before the last reading.

    print(day_chart(table, width=80, height=16, colour=True))

Only this module draws with plotext, whose figure is one object for the whole process: each chart clears it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.model.table import Table

Floats = npt.NDArray[np.float64]

HOURS = 24.0
NARROWEST, LOWEST = 40, 12  # cells; below, axes leave no room for a curve
_NS_AN_HOUR = 3.6e12
_LEVELS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class _Curve:
    """How a quantity is drawn. An area begins at 0, so that its height is the value."""

    title: str
    colour: str
    area: bool


_POWER = ("power",)
_TEMPERATURE = ("temperature", "outdoor_temperature")  # indoors where there is a thermometer, else outdoors
_CURVES = {
    "power": _Curve("power, W", "orange", area=True),
    "temperature": _Curve("indoor temperature, °C", "cyan", area=False),
    "outdoor_temperature": _Curve("outdoor temperature, °C", "cyan", area=False),
}


def day_chart(table: Table, *, width: int, height: int, colour: bool) -> str:
    """Lines of `width` cells, `height` in all, joined; with escape sequences where `colour`. One device's readings.

    What the device does not measure is left out; nothing at all gives an empty text.
    """
    width, height = max(width, NARROWEST), max(height, LOWEST)
    names = [name for wanted in (_POWER, _TEMPERATURE) for name in _first_present(table, wanted)]
    last = int(table.time.max()) if len(table) else 0
    heights = (height,) if len(names) == 1 else (height - height * 2 // 5, height * 2 // 5)
    return "\n".join(
        _drawn(_CURVES[name], *_series(table, name, last), width=width, height=rows, colour=colour)
        for name, rows in zip(names, heights, strict=False)
    )


def sparkline(values: list[float], width: int) -> str:
    """The last `width` values as bars of eight heights, the highest full; blank on the left where there are fewer."""
    shown = values[-width:]
    top = max(shown, default=0.0) or 1.0
    bars = "".join(_LEVELS[round(max(0.0, value) / top * (len(_LEVELS) - 1))] for value in shown)
    return bars.rjust(width)


def _first_present(table: Table, wanted: tuple[str, ...]) -> list[str]:
    present = set(table.quantity)
    return [name for name in wanted if name in present][:1]


def _series(table: Table, name: str, last: int) -> tuple[Floats, Floats]:
    """Hours before `last` (ns), at most 24, and values."""
    rows = np.flatnonzero(np.array(table.quantity) == name)
    hours = (table.time[rows] - last) / _NS_AN_HOUR
    within = hours >= -HOURS
    return hours[within], table.value[rows][within]


def _drawn(curve: _Curve, hours: Floats, values: Floats, *, width: int, height: int, colour: bool) -> str:
    import plotext

    plotext.terminal.limit(False, False)  # the size is the caller's to know
    figure: Any = plotext.figure  # untyped
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    low, high = _limits(values, area=curve.area)
    marker = plotext.marker("hd" if curve.area else "braille", curve.colour)
    signal = figure.signal(hours.tolist(), values.tolist(), marker=marker).lines()
    if curve.area:
        signal.fillx()
    figure.draw(signal)
    figure.title(curve.title)
    figure.axes(False, axis="x", side="upper")
    figure.axes(False, axis="y", side="right")
    figure.ruler("x").lim(-HOURS, 0)
    figure.ruler("x").ticks([-24, -18, -12, -6, 0], ["-24 h", "-18 h", "-12 h", "-6 h", "now"])
    figure.ruler("y").lim(low, high)
    ticks = np.linspace(low, high, 3).tolist()
    figure.ruler("y").ticks(ticks, [f"{f'{tick:,.0f}' if tick.is_integer() else f'{tick:.1f}':>6}" for tick in ticks])
    return str(figure.build().string(not colour)).rstrip("\n")


def _limits(values: Floats, *, area: bool) -> tuple[float, float]:
    """Round numbers around the values, never equal."""
    low = min(0.0, float(values.min())) if area else float(np.floor(values.min()))
    top = float(values.max())
    step = 10.0 ** np.floor(np.log10(max(top - low, 1.0)))
    high = low + float(np.ceil((top - low) / step)) * step
    return low, high if high > low else low + 1
