"""The physics holds, and a seed says everything."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import numpy as np
import pytest

from firmware_sim.fleet import thermostats
from firmware_sim.homes import HYSTERESIS, Houses, Window, simulate_messages

WINTER = 1_768_000_000_000  # January 2026
WINDOW = Window(start=WINTER, interval=900, steps=200)


def test_the_same_seed_and_start_give_the_same_bytes() -> None:
    first, again = (list(simulate_messages(thermostats(20, seed=5, senml=0.3), WINDOW, seed=5)) for _ in range(2))
    assert first == again
    other = list(simulate_messages(thermostats(20, seed=5, senml=0.3), WINDOW, seed=6))
    assert [message.topic for message in other] == [message.topic for message in first]
    assert [message.payload for message in other] != [message.payload for message in first]


def test_the_counter_is_the_integral_of_power() -> None:
    houses = Houses(30, 1)
    begin = houses.joules.copy()
    used = sum(houses.step(np.full(30, WINTER / 1000 + 60 * n), 60) * 60 for n in range(5000))
    np.testing.assert_allclose(houses.joules - begin, used, rtol=1e-9)


def test_what_is_published_counts_up_by_its_own_power() -> None:
    counters = defaultdict(list)
    for message in simulate_messages(thermostats(10, seed=1), WINDOW, seed=1):
        counters[message.topic].append(msgspec.json.decode(message.payload))
    for said in counters.values():
        energy = np.array([values["energy"] for values in said])
        power = np.array([values["power"] for values in said[1:]])
        assert np.diff(energy).min() >= 0
        # half a watt over a quarter of an hour, and the last digit of two counters
        np.testing.assert_allclose(np.diff(energy), power * 0.25 / 1000, atol=0.5 * 0.25 / 1000 + 0.001 + 1e-9)


@pytest.mark.parametrize("seconds", [1.0, 60.0])
def test_a_house_without_heat_follows_the_exact_cooling_curve(seconds: float) -> None:
    houses = Houses(1, 3)
    houses.target -= 100  # the heater stays off
    houses.base *= 0
    elapsed = 0.0
    while elapsed < 600:
        outdoor = houses.outdoor(np.full(1, elapsed))
        indoor = houses.indoor.copy()
        used = houses.joules.copy()
        houses.step(np.full(1, elapsed), seconds)
        gains = 0.8 * (houses.joules - used)
        outdoor = houses.outdoor(np.full(1, elapsed))  # the weather of this step
        mean = (indoor + houses.indoor) / 2
        stored = houses.capacity * (houses.indoor - indoor)
        lost = (mean - outdoor) / houses.resistance * seconds
        np.testing.assert_allclose(stored, gains - lost, rtol=1e-4)
        elapsed += seconds


def test_the_thermostat_keeps_its_band_in_winter() -> None:
    houses = Houses(50, 2)
    indoor = []
    for n in range(3 * 1440):
        houses.step(np.full(50, WINTER / 1000 + 60 * n), 60)
        indoor.append(houses.indoor - houses.target)
    away = np.abs(np.array(indoor))
    assert np.median(away) < HYSTERESIS
    assert away.max() < HYSTERESIS + 0.5  # appliances may warm beyond what the thermostat asks for


def test_colder_needs_more() -> None:
    used = []
    for shift in (0, -10):
        houses = Houses(20, 4)
        houses.climate += shift
        begin = houses.joules.copy()
        for n in range(2 * 1440):
            houses.step(np.full(20, WINTER / 1000 + 60 * n), 60)
        used.append(houses.joules - begin)
    assert (used[1] > used[0] * 1.1).all()


def test_messages_come_by_event_time_within_the_window_and_are_distinct() -> None:
    messages = list(simulate_messages(thermostats(25, seed=1), WINDOW, seed=1))
    times = [message.time for message in messages]
    assert len(messages) == 25 * WINDOW.steps
    assert times == sorted(times)
    assert times[0] >= WINDOW.start
    assert times[-1] < WINDOW.start + WINDOW.steps * WINDOW.interval * 1000
    assert len({(message.topic, message.time) for message in messages}) == len(messages)


def test_values_are_those_of_homes() -> None:
    for message in simulate_messages(thermostats(25, seed=1), WINDOW, seed=1):
        values = msgspec.json.decode(message.payload)
        assert 15 < values["temperature"] < 30
        assert 15 <= values["humidity"] <= 85
        assert 0 < values["power"] < 20_000
