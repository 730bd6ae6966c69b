"""What devices make of the truth: offsets, digits, batteries and clocks; and what the street does to all of them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from firmware_sim.devices import FINEST, SYNC, Devices
from firmware_sim.fleet import Firmware, Home, thermostats
from firmware_sim.noise import keys_of
from firmware_sim.supply import DAYS, LONGEST, SHORTEST, Supply
from firmware_sim.weather import DAY

NOON = 1_768_046_400.0
HOMES = thermostats(400, seed=1, senml=0.3)


def devices(homes: tuple[Home, ...] = HOMES, *, drift: float = 0.0, reach: float = 200.0) -> Devices:
    return Devices(homes, seed=1, drift=drift, reach=reach)


def test_a_thermometer_has_an_offset_of_its_own_and_noise_around_it() -> None:
    fleet = devices()
    errors = np.array([fleet.temperature(np.full(400, 21.0), number) - 21 for number in range(200)])
    assert errors.mean(axis=0).std() == pytest.approx(0.15, abs=0.03)
    fine = np.array([home.firmware in {Firmware.OFFSET, Firmware.SENML} for home in HOMES])
    assert errors.std(axis=0)[fine].mean() == pytest.approx(0.03, abs=0.005)


@pytest.mark.parametrize(
    ("firmware", "step"), [(Firmware.MILLIS, 0.0625), (Firmware.UTC, 0.1), (Firmware.SENML, FINEST)]
)
def test_a_thermometer_counts_in_the_steps_of_its_generation(firmware: Firmware, step: float) -> None:
    homes = tuple(home for home in HOMES if home.firmware is firmware)
    said = np.array([devices(homes).temperature(np.full(len(homes), 20.3), number) for number in range(50)]) / step
    np.testing.assert_allclose(said, np.rint(said), atol=1e-6)
    assert len(np.unique(np.rint(said))) > 3


def test_warm_rooms_are_dry_when_it_is_cold_outdoors() -> None:
    fleet, room = devices(), np.full(400, 21.0)
    dry, humid = (fleet.humidity(room, np.full(400, outdoor), 1) for outdoor in (-20.0, 15.0))
    assert 8 < dry.min() < dry.max() < 25
    assert 55 < humid.min() < humid.max() < 75
    soaked = fleet.humidity(np.full(400, -5.0), np.full(400, 30.0), 1)
    assert soaked.max() == 100


def test_a_battery_falls_and_is_replaced() -> None:
    fleet = devices()
    levels = np.array([fleet.battery(np.full(400, NOON + day * DAY)) for day in range(3 * 366)])
    change = np.diff(levels, axis=0)
    falling = change < 0
    assert levels.min() >= 5
    assert levels.max() <= 100
    assert change[falling].min() > -0.3, "percent a day"
    assert (change[~falling] > 80).all(), "a new battery"
    assert ((~falling).sum(axis=0) >= 1).all()
    assert (~falling).sum(axis=0).max() <= 4


def test_clocks_run_off_and_are_set_right() -> None:
    fleet = devices(drift=20.0)
    errors = np.array([fleet.clock_error(np.full(400, NOON + hour * 3600)) for hour in range(96)])
    assert 1.5 * 20e-6 * SYNC[1] * 1000 < np.abs(errors).max() < 3.5 * 20e-6 * SYNC[1] * 1000
    size = np.abs(errors)
    assert ((np.diff(size, axis=0) < -50).sum(axis=0) >= 1).mean() > 0.8, "set right at least once in four days"
    assert (np.diff(size, axis=0) >= 0).mean() > 0.9, "between, they run off"
    assert not devices(drift=0.0).clock_error(np.full(400, NOON)).any()


def test_a_clock_never_strays_beyond_its_reach() -> None:
    fleet = devices(drift=10_000.0, reach=1.5)
    assert np.abs(fleet.clock_error(np.full(400, NOON))).max() == 1500


def test_homes_behind_one_hub_share_its_clock() -> None:
    hub = tuple(msgspec.structs.replace(home, hub="HB4-2001-0000001") for home in HOMES[:5])
    errors = devices(hub, drift=20.0).clock_error(np.full(5, NOON))
    assert len(set(errors.tolist())) == 1
    assert len(set(devices(HOMES[:5], drift=20.0).clock_error(np.full(5, NOON)).tolist())) == 5


def test_electricity_is_cut_as_often_and_as_long_as_said() -> None:
    supply = Supply(keys_of(1, [str(number) for number in range(2000)]), cuts=6.0)
    minutes = [supply.on(np.full(2000, NOON + minute * 60)) for minute in range(0, 7 * 1440, 2)]
    dark = ~np.array([powered for powered in minutes if powered is not None])
    assert len(dark) == len(minutes)
    begins = (~dark[:-1] & dark[1:]).sum()
    assert begins == pytest.approx(2000 * 6 * 7 / DAYS, rel=0.2)
    lengths = dark.sum() * 120 / begins
    assert SHORTEST < 0.6 * 4500 < lengths < 1.5 * 4500 < LONGEST


def test_without_cuts_everybody_has_electricity() -> None:
    assert Supply(keys_of(1, ["home"]), cuts=0.0).on(np.array([NOON])) is None
