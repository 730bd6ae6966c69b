"""Admit: what goes on, and the reason of what does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gateway.model.clear import Readings, Refusals
from gateway.model.sealed import Reason
from gateway.pipeline.admit import Admission, Admitted
from gateway.policy.load import parse_policy
from tests.unit.policies import shipped, with_modes
from tests.world import CANARY, DAY, SECOND, World, topic

WIDTH = 8


def values(**held: float) -> list[float]:
    names = [
        "temperature",
        "target_temperature",
        "humidity",
        "power",
        "energy",
        "outdoor_temperature",
        "valve",
        "battery",
    ]
    return [held.get(name, math.nan) for name in names]


def readings(*rows: tuple[int, int, dict[str, float]]) -> Readings:
    """Rows of (index of arrival, event time, values)."""
    return Readings(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [0] * len(rows),
        np.array([values(**row[2]) for row in rows]).reshape(len(rows), WIDTH),
    )


def admitted(
    world: World, *rows: tuple[int, int, dict[str, float]], device: str = "meter-1"
) -> tuple[Admitted, Refusals]:
    world.register()
    refusals = Refusals()
    with world.ring.using():
        devices = world.ring.resolve([topic(device)] * (1 + max((row[0] for row in rows), default=0)))
    return Admission(world.policy)(readings(*rows), devices, world.clock.wall(), refusals), refusals


def test_nothing_of_nothing(world: World) -> None:
    done, refusals = admitted(world)
    assert (done.message, refusals.message, refusals.readings) == ([], {}, {})


def test_limits_are_inclusive_and_each_reading_is_judged_alone(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    done, refusals = admitted(
        world,
        (0, now, {"temperature": -50.0, "humidity": 100.0}),
        (1, now, {"temperature": 100.01, "humidity": 50.0}),
        (2, now, {"temperature": -50.01, "humidity": -0.1}),
    )
    assert done.message == [0, 1]
    assert done.mask == [0b101, 0b100]
    assert refusals.readings == {Reason.RANGE: 3}
    assert refusals.message == {2: Reason.RANGE}


def test_infinite_values_are_out_of_range(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    _done, refusals = admitted(world, (0, now, {"temperature": math.inf}), (1, now, {"temperature": -math.inf}))
    assert refusals.message == {0: Reason.RANGE, 1: Reason.RANGE}


def test_the_future_begins_behind_the_window(world: World) -> None:
    world.enrol("anna", "meter-1")
    for ahead, remains in ((299 * SECOND, [0]), (360 * SECOND, [])):
        done, refusals = admitted(world, (0, world.clock.wall() + ahead, {"temperature": 20.0, "power": 1.0}))
        assert done.message == remains
        assert refusals.readings == ({} if remains else {Reason.FUTURE: 2})


@pytest.mark.parametrize(
    ("days", "reason"),
    [(29, None), (31, Reason.UNKNOWN_DEVICE), (24 * 31 + 32, Reason.TOO_OLD), (20_000, Reason.TOO_OLD)],
)
def test_the_past(world: World, days: int, reason: Reason | None) -> None:
    world.enrol("anna", "meter-1")
    _done, refusals = admitted(world, (0, world.clock.wall() - days * DAY, {"temperature": 20.0}))
    assert refusals.message == ({} if reason is None else {0: reason})


def test_what_the_look_up_said_is_the_reason(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.erase("bo")
    now = world.clock.wall()
    assert admitted(world, (0, now, {"power": 1.0}), device="meter-9")[1].message == {0: Reason.UNKNOWN_DEVICE}
    assert admitted(world, (0, now, {"power": 1.0}), device="meter-2")[1].message == {0: Reason.ERASED}
    refusals = Refusals()
    Admission(world.policy)(readings((0, now, {"power": 1.0})), [Reason.TOPIC], now, refusals)
    assert refusals.message == {0: Reason.TOPIC}


def test_a_message_is_refused_only_when_nothing_of_it_remains_with_the_first_reason(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    done, refusals = admitted(
        world,
        (0, now, {"temperature": 20.0}),
        (0, now + DAY, {"temperature": 20.0}),
        (1, now + DAY, {"temperature": 20.0}),
        (1, now - 2000 * DAY, {"temperature": 20.0, "power": 2.0}),
    )
    assert done.message == [0]
    assert done.values.tolist() == [pytest.approx(values(temperature=20.0), nan_ok=True)]
    assert refusals.message == {1: Reason.FUTURE}
    assert refusals.readings == {Reason.FUTURE: 2, Reason.TOO_OLD: 2}


def test_quantities_without_a_live_purpose_or_not_to_be_stored(world: World) -> None:
    other = World(world.directory, policy=with_modes(battery="drop"))
    other.enrol("anna", "meter-1")
    now = other.clock.wall()
    done, refusals = admitted(other, (0, now, {"battery": 80.0, "power": 1.0}), (1, now, {"battery": 80.0}))
    assert done.mask == [0b1000]
    assert refusals.readings == {Reason.NO_PURPOSE: 2}
    assert refusals.message == {1: Reason.NO_PURPOSE}
    other.close()


def test_a_class_whose_horizon_has_passed_is_refused_alone(world: World) -> None:
    """Two classes of readings: one is kept for months, the other for years."""
    document = shipped()
    document["key_classes"].append("short")
    document["quantity"]["valve"]["key_class"] = "short"
    for name, purpose in document["purpose"].items():
        if name != "support" and "valve" in purpose.get("quantities", ()):
            purpose["quantities"].remove("valve")
    document["purpose"]["support"] |= {"retention_months": 2, "quantities": ["valve"]}
    other = World(world.directory, policy=parse_policy(document, "test"))
    other.enrol("anna", "meter-1", since=other.clock.wall() - 900 * DAY)
    old = other.clock.wall() - 150 * DAY
    done, refusals = admitted(
        other,
        (0, old, {"valve": 50.0, "power": 1.0}),
        (1, old, {"valve": 50.0}),
        (2, other.clock.wall(), {"valve": 5.0}),
    )
    assert done.mask == [0b1000, 0b1000000]
    assert refusals.readings == {Reason.TOO_OLD: 2}, "and nothing else is counted"
    assert refusals.message == {1: Reason.TOO_OLD}
    other.close()


def test_the_highest_number_a_quantity_can_have(world: World) -> None:
    document = shipped()
    document["quantity"]["battery"]["number"] = 63
    other = World(world.directory, policy=parse_policy(document, "test"))
    other.enrol("anna", "meter-1")
    other.publish("meter-1", battery=55, temperature=21.0)
    assert dict(zip(other.read("anna").quantity, other.read("anna").value.tolist(), strict=True)) == {
        "battery": 55.0,
        "temperature": 21.0,
    }
    other.close()


def test_no_refusal_shows_whom_it_was_about(world: World) -> None:
    world.enrol("anna", "meter-1")
    _done, refusals = admitted(world, (0, world.clock.wall() + DAY, {"temperature": 20.0}))
    assert CANARY not in repr(refusals)
