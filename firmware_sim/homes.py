"""Simulated homes: one thermal mass behind one wall, an electric heater, a thermostat with hysteresis.

    C dT/dt = (T_out − T) / R + gains + P_heater          solved exactly over a step in which T_out and P are constant
    P = P_heater + appliances;  energy = ∫ P dt           in steps of at most a minute

The state of N homes is N-long arrays; one step is a few array operations. Outdoor temperature is a yearly and a daily
wave around the climate of the home's region, with slow noise. Each home keeps its own time, shifted by its phase.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware_sim.fleet import Firmware, Home, Message
from firmware_sim.payloads import message

Floats = npt.NDArray[np.float64]

STEP = 60.0  # seconds, at most
DAY = 86_400.0
YEAR = 365.2425 * DAY
COLDEST = 25 * DAY  # late January
WARMEST_HOUR = 14 * 3600.0  # UTC
HYSTERESIS = 0.3  # K to either side
WEATHER_SECONDS = 2 * DAY  # how long the weather remembers
WEATHER_KELVIN = 3.5  # and how far it strays
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`steps` readings of each home, one an interval, from `start` (Unix ms, whole seconds) on; `interval` in s."""

    start: int
    interval: int
    steps: int


@dataclass(slots=True)
class Houses:
    """N homes: what they are, drawn from the seed, and how they are now. Arrays of shape (N,), float64.

    resistance K/W · capacity J/K · heater W · target °C · base W · climate °C, yearly mean
    indoor °C · heating 0 or 1 · weather K · humidity %RH · joules since the counter was set up
    """

    count: int
    seed: int
    rng: np.random.Generator = field(init=False)
    resistance: Floats = field(init=False)
    capacity: Floats = field(init=False)
    heater: Floats = field(init=False)
    target: Floats = field(init=False)
    base: Floats = field(init=False)
    climate: Floats = field(init=False)
    indoor: Floats = field(init=False)
    heating: Floats = field(init=False)
    weather: Floats = field(init=False)
    humidity: Floats = field(init=False)
    joules: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.rng = rng = np.random.default_rng([self.seed, self.count])
        self.resistance = 1 / rng.uniform(90, 220, self.count)
        self.capacity = rng.uniform(15e6, 45e6, self.count)
        self.target = rng.uniform(19.5, 22.0, self.count)
        self.climate = rng.uniform(1.0, 9.0, self.count)
        self.heater = 1.3 * (self.target + 25) / self.resistance  # enough at −25 °C
        self.base = rng.uniform(80, 350, self.count)
        self.indoor = self.target + rng.uniform(-HYSTERESIS, HYSTERESIS, self.count)
        self.heating = np.zeros(self.count)
        self.weather = rng.normal(0, WEATHER_KELVIN, self.count)
        self.humidity = rng.uniform(30, 50, self.count)
        self.joules = rng.uniform(0, 60_000, self.count) * JOULES_PER_KWH

    def outdoor(self, time: Floats) -> Floats:
        """°C at each home's own time, Unix s."""
        season = -10.5 * np.cos(2 * math.pi * (time - COLDEST) / YEAR)
        swing = 3.5 * np.cos(2 * math.pi * (time - WARMEST_HOUR) / DAY)
        return self.climate + season + swing + self.weather

    def step(self, time: Floats, seconds: float) -> Floats:
        """Move on by `seconds`; the electric power of that step, W."""
        self._weather(seconds)
        self.heating = np.where(self.indoor < self.target - HYSTERESIS, 1.0, self.heating)
        self.heating = np.where(self.indoor > self.target + HYSTERESIS, 0.0, self.heating)
        appliances = self._appliances(time)
        heat = self.heating * self.heater + 0.8 * appliances  # most of what appliances use stays in the house
        settled = self.outdoor(time) + heat * self.resistance
        self.indoor = settled + (self.indoor - settled) * np.exp(-seconds / (self.resistance * self.capacity))
        power: Floats = self.heating * self.heater + appliances
        self.joules += power * seconds
        return power

    def _appliances(self, time: Floats) -> Floats:
        evening = np.exp(-((((time % DAY) - 18 * 3600) / 7200) ** 2))
        cooking = self.rng.random(self.count) < 0.02 + 0.1 * evening
        draw: Floats = self.base * (1 + evening) + cooking * self.rng.uniform(300, 2200, self.count)
        return draw

    def _weather(self, seconds: float) -> None:
        keep = math.exp(-seconds / WEATHER_SECONDS)
        noise = self.rng.normal(0, WEATHER_KELVIN * math.sqrt(1 - keep * keep), self.count)
        self.weather = keep * self.weather + noise
        drift = 0.002 * (36 + 0.6 * self.weather - self.humidity) + self.rng.normal(0, 0.15, self.count)
        self.humidity = np.clip(self.humidity + drift, 15, 85)


def simulate_messages(homes: Sequence[Home], window: Window, *, seed: int) -> Iterator[Message]:
    """`window.steps` messages of each home, by event time: what the counter, the thermometer and the hygrometer say.

    `power` is the mean of the interval before, so that energy is its integral; the sensors' noise is in what they say.
    """
    houses = Houses(len(homes), seed)
    phase = np.array([int(home.phase * window.interval * 1000) for home in homes], dtype=np.int64)
    order = np.argsort(phase, kind="stable").tolist()
    phases = phase.tolist()
    for number in range(window.steps):
        begin = window.start + number * window.interval * 1000
        columns = _interval(houses, (begin + phase) / 1000, window.interval)
        for i in order:
            yield message(homes[i], begin + phases[i], _readings(homes[i], [column[i] for column in columns]))


def _interval(houses: Houses, end: Floats, interval: int) -> list[list[float]]:
    """Live through the interval before `end` (Unix s): temperature, target, humidity, power, energy, for each home."""
    steps = max(1, math.ceil(interval / STEP))
    seconds = interval / steps
    before = houses.joules.copy()
    for number in range(steps):
        houses.step(end - interval + number * seconds, seconds)
    thermometer = houses.indoor + houses.rng.normal(0, 0.03, houses.count)
    power = (houses.joules - before) / interval
    columns = (thermometer, houses.target, houses.humidity, power, houses.joules / JOULES_PER_KWH)
    return [column.tolist() for column in columns]


def _readings(home: Home, values: list[float]) -> list[tuple[str, str]]:
    temperature, target, humidity, power, energy = values
    readings = [
        ("temperature", f"{temperature:.2f}"),
        ("humidity", f"{humidity:.1f}"),
        ("power", f"{power:.0f}"),
        ("energy", f"{energy:.3f}"),
    ]
    if home.firmware is not Firmware.MILLIS:  # the first generation did not report what it aims at
        readings.insert(1, ("target_temperature", f"{target:.2f}"))
    return readings
