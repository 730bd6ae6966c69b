"""A controller that leaves while laws keep something of its erased customers: only when told to, and not in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.control.role import EXIT
from gateway.control.verification import verify
from gateway.errors import Refused
from gateway.keystore import accounts, departures, lineages
from gateway.model.ids import epoch_of, epoch_start
from tests.unit.control.test_controllers import OTHER, controllers, departure
from tests.unit.control.test_dates import LAW, START, Site, erased
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import World

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def held(tmp_path: Path, keys_url: str) -> Iterator[World]:
    """A controller one of whose customers was erased, but for what a law keeps."""
    site = Site(tmp_path, keys_url, hold="telemetry")
    erased(site)
    site.world.enrol("bo", "meter-3")
    controllers(site.world).add(OTHER)
    yield site.world
    site.world.close()


def holds(world: World) -> list[tuple[str, bytes | None]]:
    return [(name, released) for name, released in world.sql("SELECT key_class, released FROM holds")]


def test_it_is_refused_and_nothing_is_noted(held: World) -> None:
    with pytest.raises(Refused, match="1 of class telemetry") as refusal:
        controllers(held).exit(HEAT_CO)
    assert "--ends-holds" in refusal.value.hint
    with held.keystore.snapshot() as tx:
        assert departures.find(tx, HEAT_CO) is None
        assert lineages.all_controllers(tx) == [OTHER, HEAT_CO]
    assert b'"act":"exit"' not in held.ledger.path.read_bytes()
    assert holds(held) == [("telemetry", None)]
    assert controllers(held).exit(OTHER).holds == {}, "who has none leaves as ever"


def test_told_to_it_ends_them_and_the_certificate_says_so(held: World) -> None:
    gone = controllers(held).exit(HEAT_CO, ends_holds=True)
    assert gone.holds == {"telemetry": 1}
    assert holds(held) == [("telemetry", departures.account_of(departure(held).seq))]
    assert gone.certificate is not None
    said = verify(gone.certificate, str(held.ledger.key), ledger=held.ledger.path).claims["holds_ended"]
    until = held.sql("SELECT until FROM holds")[0][0]
    assert until == epoch_start(epoch_of(START) + 3)
    assert said == [{"class": "telemetry", "law": LAW, "keys": 1, "until": "2026-06-01T00:00:00Z"}]
    assert controllers(held).exit(HEAT_CO).holds == {"telemetry": 1}, "repeated, it says the same and asks nothing"
    with held.keystore.snapshot() as tx:
        assert accounts.open_holds(tx, HEAT_CO) == {}


def test_an_intent_that_is_all_there_is_of_it_ends_what_it_was_told_to(held: World) -> None:
    for told, results in ((0, ["abandoned"]), (1, ["abandoned", "done"])):
        with held.ledger.locked():
            held.ledger.append(EXIT, "intent", controller=HEAT_CO, holds=told, access="0" * 64)
        controllers(held).resume()
        assert exits(held) == results
    assert holds(held) == [("telemetry", departures.account_of(departure(held).seq))]


def exits(world: World) -> list[object]:
    lines = list(map(json.loads, world.ledger.lines()))
    return [line["result"] for line in lines if line["act"] == EXIT and line["phase"] == "outcome"]
