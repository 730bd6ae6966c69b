"""What the street does to a home: its electricity is cut now and then, and comes back.

On a day with a cut it begins at any time and lasts 75 minutes in the mean, two minutes at least, half a day at most.
While it lasts nothing is used, heated or published; counter and clock go on from where they were. Homes behind one hub
are cut together. How long and how often is plausible, not fitted to statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_sim.houses import Bools
from firmware_sim.noise import Floats, Ints, Keys, uniform
from firmware_sim.weather import DAY

DAYS = 365.2425
MEAN_LENGTH, SHORTEST, LONGEST = 4500.0, 120.0, DAY / 2  # seconds


@dataclass(frozen=True, slots=True)
class Supply:
    """Electricity of n homes; `cuts` a home and year in the mean, at most one a day."""

    keys: Keys
    cuts: float

    def on(self, times: Floats) -> Bools | None:
        """Whether each home has electricity at its time (Unix s), shape (n,); None: all of them, always."""
        if self.cuts <= 0:
            return None
        today = (times // DAY).astype(np.int64)
        powered: Bools = ~(self._cut(times, today) | self._cut(times, today - 1))  # the longest ends on the next day
        return powered

    def _cut(self, times: Floats, day: Ints) -> Bools:
        begin = day * DAY + DAY * uniform(self.keys, "cut begins", day)
        length = -MEAN_LENGTH * np.log1p(-uniform(self.keys, "cut lasts", day))
        end = begin + np.minimum(np.maximum(length, SHORTEST), LONGEST)
        happens = uniform(self.keys, "cut", day) < self.cuts / DAYS
        dark: Bools = happens & (begin <= times) & (times < end)
        return dark
