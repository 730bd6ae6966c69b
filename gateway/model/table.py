"""Opened readings as a table: all that disclosure, statistics, reports, command line and API ever see of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Table:
    """Readings in columns of one length n, ordered by time, device, quantity.

    time      (n,) int64, event time in ns since 1970
    device    n device ids
    quantity  n names
    unit      n units
    value     (n,) float64, exact to the declared precision
    revision  (n,) int64
    decimals  quantity name -> digits after the point, for printing
    """

    time: npt.NDArray[np.int64]
    device: list[str]
    quantity: list[str]
    unit: list[str]
    value: npt.NDArray[np.float64]
    revision: npt.NDArray[np.int64]
    decimals: dict[str, int]

    def __len__(self) -> int:
        """Number of readings."""
        return len(self.time)
