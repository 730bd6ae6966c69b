"""Simulated homes on the wire: houses are lived in, devices report, firmware writes messages.

    houses (physics) + weather + supply  ->  devices (sensors, clock, battery)  ->  payloads (bytes)

All homes are arrays of one length; time goes on by one interval for all of them at once, each shifted by its phase, and
their messages come in the order in which they are sent. Memory is bounded by the number of homes, whatever the time.
The same seed and window give a home the same bytes, alone or among others.

    for message in simulate_messages(thermostats(1000, seed=7), Window(start=…, interval=900, steps=96), seed=7): …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_sim.devices import Devices
from firmware_sim.fleet import FOREIGN, Firmware, Home, Message
from firmware_sim.houses import JOULES_PER_KWH, Houses, steps_of
from firmware_sim.noise import Floats, keys_of
from firmware_sim.payloads import Readings, log_message
from firmware_sim.places import area_of
from firmware_sim.supply import Supply
from firmware_sim.weather import DAY, Weather

BLOCK = 4096  # homes whose columns are Python numbers at a time
NO_BATTERY = -1.0
NO_TARGET = frozenset({Firmware.MILLIS, Firmware.TASMOTA})  # nor a battery
NO_OUTDOOR = frozenset({Firmware.UTC, Firmware.ZIGBEE2MQTT})

Row = tuple[bool, int, float, float, float, float, float, float, float]
"""published, device's time (Unix ms), temperature, target, humidity, power, energy, outdoor, battery or NO_BATTERY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`steps` readings of each home, one an interval, from `start` (Unix ms, whole seconds) on; `interval` in s."""

    start: int
    interval: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardships:
    """What wears on homes and devices. Raises ValueError below 0.

    power_cuts   a home and year, in the mean; a home without electricity is silent, and its counter stands
    clock_drift  parts per million, standard deviation over the devices; a crystal has about 20
    """

    power_cuts: float = 0.0
    clock_drift: float = 0.0

    def __post_init__(self) -> None:
        if not (self.power_cuts >= 0 and self.clock_drift >= 0):
            raise ValueError("power cuts and clock drift are 0 or more")


def simulate_messages(
    homes: Sequence[Home],
    window: Window,
    *,
    seed: int,
    hardships: Hardships | None = None,
    together: int = 1,
) -> Iterator[Message]:
    """What all homes publish: the counter, the thermometer and what else their firmware reports.

    `power` is the mean of the interval before, so that energy is its integral; the sensors' noise is in what they say.
    `together`: a device keeps so many readings and sends them in one message; foreign firmware cannot.
    """
    street = Street(homes, window, seed=seed, hardships=hardships or Hardships())
    order = np.argsort(street.phase, kind="stable")
    kept: list[list[tuple[int, Readings]]] = [[] for _ in homes]
    full = [1 if home.firmware in FOREIGN else together for home in homes]
    for number in range(window.steps):
        columns = street.report(number)
        for first in range(0, len(homes), BLOCK):
            block = order[first : first + BLOCK]
            rows = zip(*(column[block].tolist() for column in columns), strict=True)
            for i, row in zip(block.tolist(), rows, strict=True):
                home, log = homes[i], kept[i]
                if row[0]:
                    log.append((row[1], _readings(home.firmware, row)))
                if len(log) >= full[i]:
                    yield log_message(home, log)
                    kept[i] = []
    for home, log in zip(homes, kept, strict=True):
        if log:
            yield log_message(home, log)


class Street:
    """The homes' state and all that acts on it. `phase`: ms by which each home's time is shifted, shape (n,) int64."""

    def __init__(self, homes: Sequence[Home], window: Window, *, seed: int, hardships: Hardships) -> None:
        area = np.array([area_of(home.postal_code) for home in homes], dtype=np.int64)
        self.phase = np.array([int(home.phase * window.interval * 1000) for home in homes], dtype=np.int64)
        self.houses = Houses(keys_of(seed, [home.topic for home in homes]), area)
        self._window = window
        self._weather = Weather(seed)
        self._supply = Supply(keys_of(seed, [f"supply/{home.client}" for home in homes]), hardships.power_cuts)
        reach = max(0.0, (window.interval - 2) / 4)
        self._devices = Devices(homes, seed=seed, drift=hardships.clock_drift, reach=reach)

    def report(self, number: int) -> tuple[npt.NDArray[np.generic], ...]:
        """Live through the interval before report `number`; the columns of Row."""
        time = self._window.start + number * self._window.interval * 1000 + self.phase
        end = time / 1000
        used = self._live(end)
        houses, devices = self.houses, self._devices
        outdoor = houses.outdoor(self._weather.between(float(end.min()), float(end.max())), end)
        powered = self._supply.on(end)
        return (
            np.ones(len(end), dtype=np.bool_) if powered is None else powered,
            time + devices.clock_error(end),
            devices.temperature(houses.indoor, number),
            houses.aim(end),
            devices.humidity(houses.indoor, outdoor, number),
            used / self._window.interval,
            houses.joules / JOULES_PER_KWH,
            outdoor,
            np.where(end % DAY < self._window.interval, devices.battery(end), NO_BATTERY),
        )

    def _live(self, end: Floats) -> Floats:
        """All steps of an interval that ends at these times (Unix s); the electricity that was used, J."""
        interval = self._window.interval
        steps = steps_of(interval)
        seconds = interval / steps
        weather = self._weather.between(float(end.min()) - interval, float(end.max()))
        before = self.houses.joules.copy()
        for number in range(steps):
            now = end - (interval - number * seconds)
            self.houses.step(now, seconds, self.houses.outdoor(weather, now), self._supply.on(now))
        return self.houses.joules - before


def _readings(firmware: Firmware, row: Row) -> Readings:
    """What a firmware reports, with the digits of each quantity; `z`: no -0.00, which nobody would read back."""
    _, _, temperature, target, humidity, power, energy, outdoor, battery = row
    readings = [
        ("temperature", f"{temperature:z.2f}"),
        ("humidity", f"{humidity:.1f}"),
        ("power", f"{power:.0f}"),
        ("energy", f"{energy:.3f}"),
    ]
    if firmware not in NO_TARGET:
        readings.insert(1, ("target_temperature", f"{target:.2f}"))
        if battery != NO_BATTERY:
            readings.append(("battery", f"{battery:.0f}"))
        if firmware not in NO_OUTDOOR:
            readings.append(("outdoor_temperature", f"{outdoor:z.2f}"))
    return readings
