"""Outdoor temperature by price area: a year's wave, a day's wave, and weather that is the same for a whole area.

    outdoor = mean − amplitude · cos(year) + swing · cos(day) + weather

`weather` is a chain of random values a few days apart and one of half days, joined smoothly: cold spells and fronts.
It is a function of the seed, the area and the time, so that all homes of an area freeze together.

Means and amplitudes are rounded from the normals 1991-2020. SE1: Luleå, -9.3 °C in January and 16.8 °C in July
(climatestotravel.com). SE3: Stockholm, 18.7 °C in July, taken down for the inland. SE4: Malmö, 9.2 °C over the year,
the highest in Sweden, taken down likewise (both: SMHI, "Nya normaltemperaturer", 2021). SE2 is set between them. The
coldest time is late January. How far weather strays and how long it lasts are plausible, not fitted to data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from firmware_sim.noise import Floats, Ints, keys_of, normal

AREAS = 4
MEAN = np.array([3.7, 4.6, 7.2, 8.3])  # °C, SE1 to SE4
AMPLITUDE = np.array([13.0, 11.6, 10.0, 9.2])  # K
DAY = 86_400.0
YEAR = 365.2425 * DAY
COLDEST = 25 * DAY  # late January
WARMEST_HOUR = 14 * 3600.0  # UTC
SWING_WINTER, SWING_SUMMER = 1.5, 4.0  # K around the day's mean: the sun's, so little of it in winter
SPELLS = ((4 * DAY, 3.6), (DAY / 2, 1.4))  # seconds between two values, and their standard deviation in K …
ROUGHNESS = np.array([1.5, 1.4, 1.2, 1.0])  # … times this in SE1 to SE4 …
CALM = 0.5  # … and times this in high summer: a high brings cold in winter and sun in July
GRID = 600.0  # seconds; between two points of the grid the temperature is a straight line


class Weather:
    """The weather of one seed."""

    def __init__(self, seed: int) -> None:
        self._keys = keys_of(seed, [f"weather/SE{area + 1}" for area in range(AREAS)])

    def outdoor(self, times: Floats) -> Floats:
        """°C at `times` (Unix s, shape (t,)) in each area; shape (4, t)."""
        season = -np.cos(2 * math.pi * (times - COLDEST) / YEAR)
        swing = SWING_WINTER + (SWING_SUMMER - SWING_WINTER) * (1 + season) / 2
        day = swing * np.cos(2 * math.pi * (times - WARMEST_HOUR) / DAY)
        weather = sum(self._chain(times, *spell) for spell in SPELLS) * (1 + (CALM - 1) * (1 + season) / 2)
        outdoor: Floats = MEAN[:, None] + AMPLITUDE[:, None] * season + day + ROUGHNESS[:, None] * weather
        return outdoor

    def between(self, start: float, end: float) -> Outdoor:
        """A table of all areas that holds for times from `start` to `end`."""
        first = math.floor(start / GRID)
        count = math.ceil(end / GRID) - first + 2
        return Outdoor(first, self.outdoor(np.arange(first, first + count, dtype=np.float64) * GRID))

    def _chain(self, times: Floats, apart: float, deviation: float) -> Floats:
        """Shape (4, t)."""
        knot = np.floor(times / apart).astype(np.int64)
        first = int(knot.min())
        values = np.array([normal(self._keys, f"spell {apart}", n) for n in range(first, int(knot.max()) + 2)]).T
        way = times / apart - knot
        way = way * way * (3 - 2 * way)
        joined: Floats = values[:, knot - first] * (1 - way) + values[:, knot - first + 1] * way
        return deviation * joined


@dataclass(frozen=True, slots=True)
class Outdoor:
    """Temperatures on the grid: `table` has shape (4, t), its first column is grid point `first`."""

    first: int
    table: Floats

    def at(self, area: Ints, times: Floats) -> Floats:
        """°C for each home, in its area and at its own time (Unix s); shapes (n,)."""
        place = times * (1 / GRID) - self.first
        point = place.astype(np.int64)
        before = area * self.table.shape[1] + point
        cells = self.table.ravel()
        left = cells[before]
        between: Floats = left + (place - point) * (cells[before + 1] - left)
        return between
