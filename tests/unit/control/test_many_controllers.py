"""Turnovers of several controllers, as `run` does them: each has its turn, and one backup serves all that wait."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.control import turnover
from gateway.keystore import lineages
from gateway.runtime.log import Log
from tests.unit.control.test_dates import Site
from tests.world import CANARY, DAY

pytestmark = pytest.mark.both_key_stores
CONTROLLERS = ("alpha-co", "heat-co", "omega-co")
MANY = 300  # ticks, far more than a round of passes takes


@pytest.fixture
def site(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = Site(tmp_path, keys_url)
    for number, controller in enumerate(CONTROLLERS):
        made.world.enrol("anna", f"meter-{number}", controller=controller)
    yield made
    made.world.close()


def turned(site: Site) -> dict[str, int]:
    """Of every controller, how many passes have begun."""
    with site.world.keystore.snapshot() as tx:
        return {str(name): (lineages.current_e(tx, name) or 0) - 1 for name in lineages.all_controllers(tx)}


def test_the_first_names_do_not_keep_the_last_ones_from_their_turn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where passes take as long as their period, somebody's is always due."""
    monkeypatch.setattr(turnover, "_TICK_S", 0.0)
    with site.house() as house:
        for _ in range(MANY):
            site.clock.advance(DAY)
            house.turnovers.tick()
            if min(turned(site).values()) == 2:
                break
    assert set(turned(site).values()) <= {2, 3}


def test_one_backup_serves_every_pass_that_waits_for_one(site: Site) -> None:
    """It is of the whole key store; and it is taken when nobody's rows are still to be brought under the newest key."""
    site.clock.advance(DAY)
    with site.house() as house:
        for _ in range(MANY):
            house.turnovers.tick()
            if house.control.ledger.open_intents == {} and set(turned(site).values()) == {1}:
                break
        acts = [json.loads(line) for line in house.control.ledger.lines()]
    assert [line["act"] for line in acts if line["phase"] == "intent" and line["act"] == "backup"] == ["backup"]
    done = [line["controller"] for line in acts if line["act"] == "turnover" and line["phase"] == "intent"]
    assert sorted(done) == sorted(CONTROLLERS)


def test_the_log_tells_of_each(site: Site) -> None:
    said = io.StringIO()
    site.clock.advance(DAY)
    with site.house() as house:
        turning = house._turning(Log(stream=said))
        for _ in range(MANY):
            turning()
            if said.getvalue().count("\n") == len(CONTROLLERS):
                break
        turning()
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["turned over"] * 3
    assert sorted(event["controller"] for event in events) == list(CONTROLLERS)
    assert {(event["kek"], event["counts"]["rewrapped"], event["finalised"]) for event in events} == {(2, 3, 0)}
    assert CANARY not in said.getvalue()
