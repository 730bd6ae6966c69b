"""What N devices make of what is true: offset, noise and digits of their sensors, a battery, a clock that runs off.

Sensors     an offset of the device's own, noise in each value, then the steps in which the hardware counts
Battery     falls evenly for one to three years, is replaced between 5 and 15 %, reported in the first message of a day
Clock       fast or slow by so many millionths, set right every 6 to 48 hours; homes behind one hub share the hub's

Everything is a function of the seed, the device and the time, so nothing here has a state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firmware_sim.fleet import Firmware, Home
from firmware_sim.noise import Floats, Ints, keys_of, normal, uniform
from firmware_sim.weather import DAY

OFFSET = 0.15  # K, standard deviation over devices: ±0.3 K is what data sheets of such sensors promise
NOISE = 0.03  # K, standard deviation over readings
HUMIDITY_NOISE = 0.4  # %RH
STEPS = {Firmware.MILLIS: 0.0625, Firmware.UTC: 0.1}  # K; the later ones give hundredths
FINEST = 0.01
LIFE = (365 * DAY, 3 * 365 * DAY)
EMPTY = (5.0, 15.0)  # %
SYNC = (6 * 3600.0, 48 * 3600.0)
MOISTURE = 300.0  # Pa of vapour that people, showers and pots add to what is outdoors
DAMP = 0.8  # relative humidity outdoors


class Devices:
    """The devices of `homes`. `drift`: parts per million, the standard deviation over their clocks.

    `reach`: how far a clock may be off, in seconds, so that no device gives two readings one time.
    """

    def __init__(self, homes: Sequence[Home], *, seed: int, drift: float, reach: float) -> None:
        keys = keys_of(seed, [f"device/{home.topic}" for home in homes])
        clocks = keys_of(seed, [f"clock/{home.client}" for home in homes])
        self._keys = keys
        self._offset = OFFSET * normal(keys, "offset")
        self._per_kelvin = 1 / np.array([STEPS.get(home.firmware, FINEST) for home in homes])
        self._life = uniform(keys, "life", low=LIFE[0], high=LIFE[1])
        self._age = self._life * uniform(keys, "age")
        self._empty = uniform(keys, "empty", low=EMPTY[0], high=EMPTY[1])
        self._drift = drift * 1e-6 * normal(clocks, "drift")
        self._every = uniform(clocks, "every", low=SYNC[0], high=SYNC[1])
        self._synced = self._every * uniform(clocks, "synced")
        self._reach = reach

    def temperature(self, indoor: Floats, number: int) -> Floats:
        """What the thermometers say of `indoor` (°C) in report `number`."""
        said = indoor + self._offset + NOISE * normal(self._keys, "thermometer", number)
        stepped: Floats = np.rint(said * self._per_kelvin) / self._per_kelvin
        return stepped

    def humidity(self, indoor: Floats, outdoor: Floats, number: int) -> Floats:
        """What the hygrometers say, %RH: the air of outdoors, warmed up, with what people add to it."""
        vapour = DAMP * _saturated(outdoor) + MOISTURE
        said = 100 * vapour / _saturated(indoor) + HUMIDITY_NOISE * normal(self._keys, "hygrometer", number)
        return np.minimum(np.maximum(said, 0), 100)

    def battery(self, times: Floats) -> Floats:
        """What is left at these times (Unix s), %."""
        used: Floats = (times + self._age) % self._life / self._life
        return 100 - (100 - self._empty) * used

    def clock_error(self, times: Floats) -> Ints:
        """What the clocks show at these times (Unix s), less what is right, ms."""
        error = self._drift * ((times + self._synced) % self._every)
        milliseconds: Ints = np.rint(1000 * np.minimum(np.maximum(error, -self._reach), self._reach)).astype(np.int64)
        return milliseconds


def _saturated(celsius: Floats) -> Floats:
    """Pressure of saturated water vapour, Pa. Source: Magnus formula, coefficients of Sonntag (1990)."""
    pressure: Floats = 611.2 * np.exp(17.62 * celsius / (243.12 + celsius))
    return pressure
