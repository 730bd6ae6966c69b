"""What homes publish: the same bytes for the same seed in any company, in order, counted up, silent when dark."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from firmware_sim import homes as module
from firmware_sim.fleet import Firmware, Home, Kind, Message, thermostats
from firmware_sim.homes import Hardships, Window, simulate_messages

WINTER = 1_768_000_000_000  # January 2026
WINDOW = Window(start=WINTER, interval=900, steps=200)
ALL = {Firmware.SENML: 0.2, Firmware.UNTIMED: 0.1}
STORMY = Hardships(power_cuts=300, clock_drift=50)


def fleet(count: int = 25, seed: int = 1) -> tuple[Home, ...]:
    return thermostats(count, seed=seed, shares=ALL, hubs=0.3)


def readings(messages: list[Message]) -> dict[str, list[dict[str, float]]]:
    """Of flat messages, by topic."""
    said: dict[str, list[dict[str, float]]] = defaultdict(list)
    for message in messages:
        if message.content_type != "application/senml+json":
            said[message.topic].append(msgspec.json.decode(message.payload))
    return said


@pytest.mark.parametrize("hardships", [None, STORMY])
def test_the_same_seed_and_start_give_the_same_bytes(hardships: Hardships | None) -> None:
    homes = fleet(20, seed=5)
    first, again, other = (list(simulate_messages(homes, WINDOW, seed=seed, hardships=hardships)) for seed in (5, 5, 6))
    assert first == again
    assert {message.topic for message in other} == {message.topic for message in first}
    assert {message.payload for message in other}.isdisjoint(message.payload for message in first)


def test_homes_say_the_same_in_any_company_and_block(monkeypatch: pytest.MonkeyPatch) -> None:
    homes = fleet()
    whole = list(simulate_messages(homes, WINDOW, seed=5, hardships=STORMY, together=3))
    parts = [
        message
        for part in (homes[:7], homes[7:8], homes[8:])
        for message in simulate_messages(part, WINDOW, seed=5, hardships=STORMY, together=3)
    ]
    assert sorted(parts, key=lambda m: (m.topic, m.time)) == sorted(whole, key=lambda m: (m.topic, m.time))
    monkeypatch.setattr(module, "BLOCK", 4)
    assert list(simulate_messages(homes, WINDOW, seed=5, hardships=STORMY, together=3)) == whole


def test_what_is_published_counts_up_by_its_own_power() -> None:
    for said in readings(list(simulate_messages(thermostats(10, seed=1), WINDOW, seed=1))).values():
        energy = np.array([values["energy"] for values in said])
        power = np.array([values["power"] for values in said[1:]])
        assert np.diff(energy).min() >= 0
        # half a watt over a quarter of an hour, and the last digit of two counters
        np.testing.assert_allclose(np.diff(energy), power * 0.25 / 1000, atol=0.5 * 0.25 / 1000 + 0.001 + 1e-9)


def test_messages_come_by_event_time_within_the_window_and_are_distinct() -> None:
    messages = list(simulate_messages(fleet(), WINDOW, seed=1))
    times = [message.time for message in messages if message.content_type != "application/senml+json"]
    assert len(messages) == 25 * WINDOW.steps
    assert times == sorted(times)
    assert all(WINDOW.start <= m.time < WINDOW.start + WINDOW.steps * WINDOW.interval * 1000 for m in messages)
    assert len({(message.topic, message.time) for message in messages}) == len(messages)


def test_values_are_those_of_homes() -> None:
    for said in readings(list(simulate_messages(fleet(), WINDOW, seed=1))).values():
        for values in said:
            assert 15 < values["temperature"] < 30
            assert 5 <= values["humidity"] <= 85
            assert 0 < values["power"] < 20_000


def test_each_generation_reports_what_it_can() -> None:
    quantities: dict[str, set[str]] = defaultdict(set)
    homes = {home.topic: home for home in fleet()}
    for topic, said in readings(list(simulate_messages(tuple(homes.values()), WINDOW, seed=1))).items():
        quantities[homes[topic].firmware] |= {name for values in said for name in values}
    first = {"time", "temperature", "humidity", "power", "energy"}
    assert quantities[Firmware.MILLIS] == first
    assert quantities[Firmware.UTC] == first | {"target_temperature", "battery"}
    assert quantities[Firmware.OFFSET] == first | {"target_temperature", "battery", "outdoor_temperature"}


def test_the_battery_is_reported_once_a_day() -> None:
    for said in readings(list(simulate_messages(thermostats(25, seed=1), WINDOW, seed=1))).values():
        with_battery = [number for number, values in enumerate(said) if "battery" in values]
        assert all(later - earlier == 96 for earlier, later in pairwise(with_battery))


def test_a_home_without_electricity_is_silent_and_its_counter_stands() -> None:
    homes = thermostats(20, seed=1)
    calm = list(simulate_messages(homes, WINDOW, seed=1))
    cut = list(simulate_messages(homes, WINDOW, seed=1, hardships=Hardships(power_cuts=300)))
    assert 0.85 * len(calm) < len(cut) < 0.99 * len(calm)
    assert {(m.topic, m.time) for m in cut} < {(m.topic, m.time) for m in calm}
    used = {topic: said[-1]["energy"] - said[0]["energy"] for topic, said in readings(cut).items()}
    whole = {topic: said[-1]["energy"] - said[0]["energy"] for topic, said in readings(calm).items()}
    assert sum(used.values()) < sum(whole.values())
    for said in readings(cut).values():
        assert all(later["energy"] >= earlier["energy"] for earlier, later in pairwise(said))


@pytest.mark.parametrize("interval", [1, 2, 5, 900])
def test_a_clock_that_runs_off_never_gives_two_readings_one_time(interval: int) -> None:
    window = Window(start=WINTER, interval=interval, steps=300)
    times = defaultdict(list)
    for message in simulate_messages(fleet(), window, seed=1, hardships=Hardships(clock_drift=10_000)):
        times[message.topic].append(message.time)
    assert all(later > earlier for said in times.values() for earlier, later in pairwise(said))
    gaps = {later - earlier for said in times.values() for earlier, later in pairwise(said)}
    assert (len(gaps) > 5) == (interval == 900), "a clock is not let off by so much that it could"


def test_several_readings_in_one_message_are_those_of_several_messages() -> None:
    homes = thermostats(10, seed=1)
    one = readings(list(simulate_messages(homes, WINDOW, seed=1)))
    lists = list(simulate_messages(homes, WINDOW, seed=1, together=7))
    assert len(lists) == 10 * -(-WINDOW.steps // 7)
    kept: dict[str, list[dict[str, float]]] = defaultdict(list)
    for message in lists:
        kept[message.topic] += msgspec.json.decode(message.payload)
    assert kept == one


def test_devices_without_a_clock_are_counted_untimed() -> None:
    homes = thermostats(10, seed=1, shares={Firmware.UNTIMED: 1.0})
    messages = list(simulate_messages(homes, Window(start=WINTER, interval=900, steps=3), seed=1))
    assert {message.kind for message in messages} == {Kind.UNTIMED}
    for message in messages:
        records = msgspec.json.decode(message.payload)
        assert not any("bt" in record or "t" in record for record in records)
        assert [record["n"] for record in records][:1] == ["temperature"]


def test_homes_behind_a_hub_report_one_after_the_other_through_it() -> None:
    homes = thermostats(40, seed=1, hubs=1.0)
    messages = list(simulate_messages(homes, WINDOW, seed=1, hardships=STORMY))
    runs = [message.sender for message in messages]
    changes = sum(earlier != later for earlier, later in pairwise(runs))
    assert len({message.topic for message in messages}) == 40
    assert changes < len(messages) / 2
    reported, carried = defaultdict(set), defaultdict(set)
    for message in messages:
        reported[message.sender, message.time].add(message.topic)
    for home in homes:
        carried[home.client].add(home.topic)
    assert len(messages) < 40 * WINDOW.steps
    assert all(topics == carried[sender] for (sender, _), topics in reported.items()), "one clock, one fuse"


@pytest.mark.parametrize("wrong", [{"power_cuts": -1.0}, {"clock_drift": float("nan")}])
def test_hardships_are_not_negative(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Hardships(**wrong)


def test_a_home_takes_less_than_a_kibibyte() -> None:
    """All that is allocated, the homes' names included: a hundred thousand fit into what docs/fleet.md states."""
    tracemalloc.start()
    try:
        homes = thermostats(10_000, seed=1)
        count = sum(1 for _ in simulate_messages(homes, Window(start=WINTER, interval=900, steps=1), seed=1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak < 10_000 * 1024
