"""A quota of field names: one device cannot use up what a store has for everybody."""

from __future__ import annotations

import pytest

from gateway.pipeline import names
from gateway.pipeline.names import INTRODUCED
from tests.world import SECOND, World, message

SETS: list[dict[str, float]] = [{"temperature": 20.0}, {"humidity": 40.0}, {"power": 1}, {"valve": 2}]


@pytest.fixture
def begin(world: World) -> int:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    return world.clock.wall() // SECOND * SECOND - 3600 * SECOND


def test_a_device_that_invents_names_is_stopped_and_others_go_on(world: World, begin: int) -> None:
    inventive = [message("meter-1", begin + n * SECOND, rev=n % 100, **SETS[n // 100]) for n in range(400)]
    done = world.process(*inventive)
    assert len({point.field for point in done.points}) == INTRODUCED
    assert done.refusals.readings == {"rate": 400 - INTRODUCED}
    assert set(done.refusals.message) == set(range(INTRODUCED, 400))
    assert len(world.process(message("meter-1", begin, temperature=21.0)).points) == 1, "what is there is everybody's"
    other = world.process(*(message("meter-2", begin + n * SECOND, rev=1, **one) for n, one in enumerate(SETS)))
    assert (len(other.points), other.refusals.message) == (4, {})


def test_of_a_message_of_several_rows_the_rest_goes_on(
    world: World, begin: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "INTRODUCED", 1)
    one, two = (message("meter-1", begin + n * SECOND, rev=n, temperature=20.0).payload.decode() for n in range(2))
    both = type(message("meter-1", begin))(message("meter-1", begin).topic, f"[{one}, {two}]".encode())
    done = world.process(both)
    assert (len(done.points), done.refusals.message, done.refusals.readings) == (1, {}, {"rate": 1})


def test_a_fleet_of_many_kinds_is_not_refused_anything(world: World, begin: int) -> None:
    six = ("temperature", "humidity", "power", "valve", "battery", "energy")
    kinds = [{name: 1.0 for bit, name in enumerate(six) if n >> bit & 1} for n in range(1, 64)]
    done = world.process(*(message("meter-1", begin + n * SECOND, **kind) for n, kind in enumerate(kinds)))
    assert (len(done.points), done.refusals.message) == (63, {})
