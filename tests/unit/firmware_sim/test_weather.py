"""Outdoor temperature: climate of the four areas, one weather for all homes of an area, nothing that jumps."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_sim.weather import AMPLITUDE, COLDEST, DAY, MEAN, YEAR, Weather

YEARS = np.arange(0, 12 * YEAR, 3600.0)


def test_over_years_each_area_has_its_climate() -> None:
    outdoor = Weather(1).outdoor(YEARS)
    np.testing.assert_allclose(outdoor.mean(axis=1), MEAN, atol=0.4)
    wave = np.cos(2 * np.pi * (YEARS - COLDEST) / YEAR)
    np.testing.assert_allclose(-2 * (outdoor * wave).mean(axis=1), AMPLITUDE, atol=0.6)
    assert (np.diff(outdoor.mean(axis=1)) > 0).all(), "the further south, the warmer"


def test_it_is_as_cold_and_as_warm_as_it_gets_in_sweden() -> None:
    outdoor = Weather(1).outdoor(YEARS)
    coldest, warmest = outdoor.min(axis=1), outdoor.max(axis=1)
    assert (coldest > -40).all()
    assert coldest[0] < -22
    assert (warmest < 38).all()
    assert (warmest > 25).all()


def test_afternoons_are_warmer_than_nights_most_of_all_in_summer() -> None:
    days = YEARS[YEARS % DAY == 0]
    weather = Weather(1)
    swing = weather.outdoor(days + 14 * 3600) - weather.outdoor(days + 2 * 3600)
    summer = -np.cos(2 * np.pi * (days - COLDEST) / YEAR) > 0.7
    winter = np.cos(2 * np.pi * (days - COLDEST) / YEAR) > 0.7
    assert 1 < swing[:, winter].mean() < swing[:, summer].mean() - 3


def test_weather_strays_for_days_differs_by_area_and_seed_and_does_not_jump() -> None:
    times = np.arange(0, 60 * DAY, 600.0)
    one, other = Weather(1).outdoor(times), Weather(2).outdoor(times)
    assert np.abs(np.diff(one, axis=1)).max() < 0.7, "K in ten minutes"
    assert np.abs(one - other).max() > 3
    north, south = one[0] - MEAN[0], one[3] - MEAN[3]
    assert (north - south).std() > 1
    np.testing.assert_array_equal(one, Weather(1).outdoor(times))


@pytest.mark.parametrize("start", [0.0, 1_767_225_599.75])
def test_the_table_gives_each_home_the_temperature_of_its_area_and_time(start: float) -> None:
    weather = Weather(3)
    times = np.linspace(start, start + 7200, 97)
    for area in range(4):
        said = weather.between(start, start + 7200).at(np.full(97, area), times)
        np.testing.assert_allclose(said, weather.outdoor(times)[area], atol=0.02)
