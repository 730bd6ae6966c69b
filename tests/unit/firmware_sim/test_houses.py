"""The physics: energy balances close, the exact solution is one, colder needs more, and comfort is kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from firmware_sim import heating
from firmware_sim.houses import HYSTERESIS, JOULES_PER_KWH, STEP, Flows, Houses
from firmware_sim.noise import Floats, keys_of
from firmware_sim.weather import DAY, Weather

WINTER = 1_768_003_200.0  # 2026-01-10
SEASONS = [WINTER + quarter * 91 * DAY for quarter in range(4)]


def village(count: int, area: int | None = None) -> Houses:
    """Houses in all areas in turn, or in one."""
    areas = np.arange(count) % 4 if area is None else np.full(count, area)
    return Houses(keys_of(1, [f"house {number}" for number in range(count)]), areas)


def live(
    houses: Houses, start: float, days: float, *, colder: float = 0.0, seconds: float = STEP
) -> Iterator[tuple[Floats, Floats, Flows]]:
    """(times, outdoor, flows) of each step."""
    weather = Weather(1).between(start, start + days * DAY)
    for number in range(int(days * DAY / seconds)):
        times = np.full(len(houses.keys), start + number * seconds)
        outdoor = houses.outdoor(weather, times) - colder
        yield times, outdoor, houses.step(times, seconds, outdoor)


def test_the_energy_of_a_month_balances() -> None:
    """What went into the air is stored in air and mass, or lost through the walls; the loss is taken from its law."""
    houses = village(40)
    stored = -(houses.air * houses.indoor + houses.mass * houses.mantle)
    given, lost, before = np.zeros(40), np.zeros(40), houses.indoor.copy()
    for _, outdoor, flows in live(houses, WINTER, 30, seconds=60):
        given += flows.space * 60
        lost += houses.loss * ((before + houses.indoor) / 2 - outdoor) * 60
        before = houses.indoor.copy()
    stored += houses.air * houses.indoor + houses.mass * houses.mantle
    np.testing.assert_allclose(given - stored, lost, rtol=1e-3)
    assert (lost > 100 * JOULES_PER_KWH).all()


def test_the_tank_balances_and_never_gets_more_than_it_lacks() -> None:
    houses = village(40)
    lacking, lost = houses.lacking.copy(), houses.tank_loss * 20 * DAY
    taken, put = np.zeros(40), np.zeros(40)
    for _, _, flows in live(houses, WINTER, 20):
        taken, put = taken + flows.drawn, put + flows.stored * STEP
        assert (houses.lacking >= -1e-6).all()
    np.testing.assert_allclose(houses.lacking - lacking, taken + lost - put, rtol=1e-9, atol=1.0)
    yearly = taken / JOULES_PER_KWH / 20 * 365.25
    assert yearly.mean() == pytest.approx((houses.water * 8766 / 1000).mean(), rel=0.1)


def test_the_exact_solution_is_what_small_steps_come_to() -> None:
    """Euler's method in steps of a tenth of a second, against one step of five minutes."""
    houses = village(20)
    houses.indoor += 3
    outdoor, space = np.linspace(-25, 15, 20), np.linspace(0, 9000, 20)
    air, mass = houses.indoor.copy(), houses.mantle.copy()
    for _ in range(int(STEP * 10)):
        across = houses.coupling * (mass - air)
        air = air + (houses.loss * (outdoor - air) + across + space) / houses.air * 0.1
        mass = mass - across / houses.mass * 0.1
    houses._warm(outdoor, space, STEP)
    np.testing.assert_allclose(houses.indoor, air, atol=1e-3)
    np.testing.assert_allclose(houses.mantle, mass, atol=1e-3)


def test_the_counter_is_the_integral_of_power_and_never_falls() -> None:
    houses = village(40)
    begin, used = houses.joules.copy(), np.zeros(40)
    for _, _, flows in live(houses, WINTER, 5):
        assert (flows.power > 0).all()
        used += flows.power * STEP
    np.testing.assert_allclose(houses.joules - begin, used, rtol=1e-9)


def test_a_pump_gives_more_heat_than_it_takes_electricity() -> None:
    """Over a winter month: what is used, less what only lights and washes, against the heat into rooms and tank."""
    houses = village(40)
    begin, heat = houses.joules.copy(), np.zeros(40)
    for _, _, flows in live(houses, SEASONS[1], 10):
        heat += (flows.space + flows.stored) * STEP
    used = houses.joules - begin
    assert (heat > 1.2 * used).all()
    assert (heat < 4.5 * used).all()


def test_colder_needs_more() -> None:
    used = []
    for colder in (0, 5, 10):
        houses = village(40)
        begin = houses.joules.copy()
        for _ in live(houses, WINTER, 4, colder=colder):
            pass
        used.append(houses.joules - begin)
    assert (used[1] > 1.1 * used[0]).all()
    assert (used[2] > 1.1 * used[1]).all()


def test_a_year_in_the_north_needs_more_than_in_the_south() -> None:
    """The same houses in SE1 and in SE4, every fifth day of a year; electricity as such houses use it."""
    keys = keys_of(1, [f"house {number}" for number in range(20)])
    houses = Houses(np.tile(keys, 2), np.repeat([0, 3], 20))
    begin = houses.joules.copy()
    for day in range(0, 365, 5):
        for _ in live(houses, WINTER + day * DAY, 1):
            pass
    yearly = (houses.joules - begin) / JOULES_PER_KWH * 5
    north, south = yearly[:20], yearly[20:]
    assert (north > 1.15 * south).all()
    assert 9_000 < south.mean() < north.mean() < 20_000


def test_the_thermostat_keeps_its_band_by_day_and_lets_the_night_cool() -> None:
    houses = village(60)
    away, nights = [], []
    for times, _, _ in live(houses, WINTER, 6):
        hour = (times[0] / 3600 + 1) % 24
        if times[0] < WINTER + DAY:
            continue
        if 16 < hour < 21:
            away.append(houses.indoor - houses.target)
        elif 3 < hour < 5:
            nights.append(houses.indoor - houses.target)
    steady = np.array(away)
    assert np.abs(np.median(steady, axis=0)).max() < 2 * HYSTERESIS
    assert steady.min() > -2.5
    assert steady.max() < 1.5
    saves = houses.set_back > 0
    assert 15 < saves.sum() < 55
    assert (np.mean(nights, axis=0)[saves] < np.mean(away, axis=0)[saves] - 0.3).all()
    assert np.abs(np.mean(nights, axis=0)[~saves]).max() < 2 * HYSTERESIS


def test_nobody_is_cooked_in_summer() -> None:
    houses = village(60)
    warmest = max(houses.indoor.max() for _ in live(houses, SEASONS[2], 14))
    assert 21 < warmest < 31


def test_without_electricity_nothing_is_used_and_the_house_cools() -> None:
    houses = village(40)
    weather = Weather(1).between(WINTER, WINTER + DAY)
    counter, warm, dark = houses.joules.copy(), houses.indoor.copy(), np.arange(40) < 20
    for number in range(144):
        times = np.full(40, WINTER + number * STEP)
        houses.step(times, STEP, houses.outdoor(weather, times), ~dark)
    assert (houses.joules[dark] == counter[dark]).all()
    assert (houses.joules[~dark] > counter[~dark]).all()
    assert (houses.indoor[dark] < warm[dark] - 1).all()


def test_cop_and_capacity_fall_with_the_cold() -> None:
    outdoor = np.linspace(-30, 20, 101)
    cop = heating.cop(outdoor, heating.flow(outdoor))
    assert (np.diff(cop) >= 0).all()
    assert 1.8 < cop[0] < 2
    assert 2.9 < cop[60] < cop[-1] < 5.2  # cop[60]: at 0 °C
    assert (heating.cop(outdoor, heating.TANK_FLOW) <= cop).all()
    given = heating.capacity(np.full(101, 8000.0), outdoor)
    assert (np.diff(given) >= 0).all()
    assert given[74] == pytest.approx(8000)  # at 7 °C


def test_houses_are_those_of_a_country() -> None:
    houses = village(500)
    for value, low, high in ((houses.loss, 100, 250), (houses.rated, 4000, 9000), (houses.target, 19.5, 22)):
        assert low <= value.min() < value.mean() < value.max() <= high


def test_a_house_lives_the_same_life_in_any_company() -> None:
    many = village(40)
    one = Houses(many.keys[7:8], many.area[7:8])
    for _ in live(many, WINTER, 1):
        pass
    for _ in live(one, WINTER, 1):
        pass
    assert (many.indoor[7], many.joules[7], many.lacking[7]) == (one.indoor[0], one.joules[0], one.lacking[0])
