"""Attack 33: a wrong clock, or a typo in what the policy keeps, destroys history at the next turnover.

The clock jumps to 2099, or the policy suddenly keeps nothing. A turnover may move a horizon by one month at most, and
not twice within 28 days; with a clock that agrees with nothing it moves none. What goes by a date of its own, such as a
fence, is as safe.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import MappingProxyType

import pytest

from gateway.control.final import date_fences
from gateway.errors import Refused
from gateway.keystore import lineages
from gateway.model.ids import KeyEpoch, epoch_of, epoch_start, parse_controller
from gateway.policy.rules import Policy
from tests.world import CONTROLLER, DAY, ShiftedClock, World, ns

pytestmark = pytest.mark.both_key_stores

HEAT_CO = parse_controller(CONTROLLER)
NOW = ns("2026-03-10T12:00:00+00:00")
IN_2099 = ns("2099-06-01T00:00:00+00:00")


@pytest.fixture
def state(tmp_path: Path, keys_url: str) -> Path:
    """A gateway with a reading in each of the oldest months that are kept."""
    world = World(tmp_path / "state", clock=ShiftedClock(NOW), keys=keys_url)
    world.enrol("anna", "meter-1", since=1)
    oldest = horizon(world)
    for months in range(4):
        world.publish("meter-1", epoch_start(oldest + months) + DAY, temperature=months + 0.5)
    world.close()
    return world.directory


def horizon(world: World) -> KeyEpoch:
    with world.keystore.snapshot() as tx:
        return lineages.find_horizons(tx, HEAT_CO)["telemetry"]


def hasty(policy: Policy) -> Policy:
    """The same, but everything is out of retention."""
    classes = {name: dataclasses.replace(kept, retention_months=0) for name, kept in policy.key_classes.items()}
    return dataclasses.replace(policy, key_classes=MappingProxyType(classes))


def kept(state: Path) -> int:
    """Readings that are left, by a clock and policy that are right."""
    right = World(state, clock=ShiftedClock(NOW))
    try:
        return len(right.read("anna", start=1))
    finally:
        right.close()


def turned(state: Path, now: int, *, mistaken: bool = False) -> int:
    """How many months a pass takes at that time."""
    world = World(state, clock=ShiftedClock(now))
    if mistaken:
        world.policy = hasty(world.policy)
    before = horizon(world)
    world.turn_over()
    gone = horizon(world) - before
    world.close()
    return gone


def test_a_clock_in_2099_takes_no_month(state: Path) -> None:
    assert turned(state, IN_2099) == 0
    assert kept(state) == 4


def test_nor_do_many_passes_of_that_year_take_more_than_one(state: Path) -> None:
    gone = [turned(state, IN_2099 + day * DAY) for day in range(0, 60, 10)]
    assert sum(gone) <= 1
    assert kept(state) >= 3


def test_a_fence_outlives_many_passes_of_that_year(state: Path) -> None:
    """What a wrong clock writes into the ledger agrees with it from then on, and proves nothing."""
    world = World(state, clock=ShiftedClock(NOW))
    world.erase("anna")
    date_fences(world.control, world.policy)
    world.close()
    for day in range(4):
        turned(state, IN_2099 + day * DAY)
    later = World(state, clock=ShiftedClock(NOW + DAY))
    assert later.enrol("anna", "meter-1").refused == [(2, "erased")]
    later.close()


def test_a_policy_that_keeps_nothing_takes_one_month_at_most(state: Path) -> None:
    assert turned(state, NOW, mistaken=True) == 1
    assert turned(state, NOW + DAY, mistaken=True) == 0
    assert turned(state, NOW + 27 * DAY, mistaken=True) == 0
    assert kept(state) == 3


def test_a_month_goes_each_month(state: Path) -> None:
    assert [turned(state, NOW + days * DAY, mistaken=True) for days in (0, 29, 58)] == [1, 1, 1]


def test_after_a_move_dated_in_the_future_none_follows(state: Path) -> None:
    world = World(state, clock=ShiftedClock(NOW))
    with world.keystore.act() as tx:
        lineages.move_horizon(tx, HEAT_CO, "telemetry", epoch=horizon(world), now=IN_2099)
    world.close()
    assert turned(state, epoch_start(epoch_of(NOW) + 1) + DAY) == 0


def test_a_store_that_says_another_time_holds_it_back(state: Path) -> None:
    world = World(state, clock=ShiftedClock(NOW))
    world.policy = hasty(world.policy)
    passes = world.turnovers
    passes._store_time = lambda: NOW - 400 * DAY
    before = horizon(world)
    assert passes.run(HEAT_CO).held_back == "the clock and the store's differ by 400 days"
    assert horizon(world) == before
    world.close()


def test_an_operator_s_word_takes_nothing_that_the_policy_keeps(state: Path) -> None:
    world = World(state, clock=ShiftedClock(NOW))
    with pytest.raises(Refused, match="the policy keeps every month that there is"):
        world.turn_over(until=KeyEpoch(epoch_of(NOW)))
    world.close()
    later = World(state, clock=ShiftedClock(NOW + 62 * DAY))
    before = horizon(later)
    later.turn_over(until=KeyEpoch(epoch_of(NOW)))
    assert horizon(later) == before + 2
    later.close()


def test_what_a_pass_was_to_take_is_judged_again_when_it_is_carried_on_with(state: Path) -> None:
    """It was announced under another policy, or a clock that was put right since, and ended there."""
    world = World(state, clock=ShiftedClock(NOW))
    before = horizon(world)
    with world.ledger.locked():
        told = [f"telemetry={epoch_of(NOW) + 100}"]
        world.ledger.append("turnover", "intent", controller=CONTROLLER, e=2, horizons=told, access="0" * 64)
    world.turn_over()
    assert horizon(world) == before
    world.close()
    assert kept(state) == 4
