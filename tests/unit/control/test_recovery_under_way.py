"""A medium may die in the midst of an act: the ledger's last intent has no outcome, and the custodian's mark is on it.

Whatever the act is, the copy is recovered, and served from then on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.control.chain import Value
from gateway.control.choices import choose
from gateway.control.controllers import Controllers
from gateway.control.ledger import Ledger
from gateway.control.pages import Step
from gateway.control.recovery import Recovered
from gateway.control.rekey import rekey
from gateway.control.suspension import Suspensions
from gateway.errors import IntegrityStop, KeyDestroyed, Refused
from tests.copies import imaged
from tests.unit.control.test_dates import START, Site, by_class
from tests.unit.control.test_erasure import subject
from tests.unit.control.test_handover import handed
from tests.unit.control.test_recovery import came_and_was_erased, copy_of, recovered
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import DAY

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def site(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = Site(tmp_path, keys_url)
    made.world.enrol("bo", "meter-2", purposes=["development"])
    made.world.publish("meter-2", temperature=21.5)
    made.world.ring.leave()
    made.world._registered = False
    made.world.keystore.scrub(())
    imaged(made.world, copy_of(made))
    yield made
    made.world.close()
    assert made.world.leaks() == []


def read(site: Site, purpose: str = "provision") -> list[float]:
    found: list[float] = site.world.read("bo", purpose=purpose, start=START - 30 * DAY).value.tolist()
    return found


def carried_on(site: Site) -> None:
    """As `run` does it, until nothing is open."""
    with site.house() as house:
        house.erasures.resume()
        house.forgetting.controllers.resume()
        house.turnovers.tick()
        house.control.check()
        assert not house.control.ledger.open_intents
        house.control.ledger.verify()


def erasing(site: Site) -> None:
    site.world.erasures.begin(*subject("bo"))


def leaving(site: Site) -> None:
    world = site.world
    Controllers(world.control, world.custodian, lambda: world.policy, world.certificates)._mark(HEAT_CO)


def turning(site: Site) -> None:
    site.world.turnovers.begin(HEAT_CO)


def turned_as_far_as_the_backup(site: Site) -> None:
    turnovers = site.world.turnovers
    found = turnovers.begin(HEAT_CO)
    while found.step != Step.REWRAPPED:
        turnovers.advance(found)
        found = turnovers._found(found)


@pytest.mark.parametrize("begin", [erasing, leaving])
def test_what_was_to_end_ends(site: Site, begin: Callable[[Site], None]) -> None:
    begin(site)
    recovered(site)
    carried_on(site)
    assert set(by_class(site.world).values()) == {"destroyed"}
    with pytest.raises(KeyDestroyed):
        read(site)


@pytest.mark.parametrize("begin", [turning, turned_as_far_as_the_backup])
def test_a_turnover_is_made_once_more(site: Site, begin: Callable[[Site], None]) -> None:
    came_and_was_erased(site, "done")
    begin(site)
    recovered(site)
    assert site.turn() == ""
    carried_on(site)
    assert read(site) == [21.5]
    assert site.world.enrol("anna", "meter-1").refused == [(2, "erased")], "its fence has not gone with the key store"


def test_a_turnover_that_destroyed_the_older_key_is_said(site: Site) -> None:
    """Its outcome was still to be written, and it is too late all the same: nothing opens this copy."""
    with interrupted("turnover"):
        site.turn()
    with pytest.raises(IntegrityStop, match="of before a turnover"):
        recovered(site)


@contextlib.contextmanager
def interrupted(name: str) -> Iterator[None]:
    """The process ends when the act is in the key store and at the custodian, and has no outcome."""
    append = Ledger.append

    def ended(ledger: Ledger, act: str, phase: str, **body: Value) -> int:
        if (act, phase) == (name, "outcome"):
            raise KeyboardInterrupt
        return append(ledger, act, phase, **body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "append", ended)
        with pytest.raises(KeyboardInterrupt):
            yield


def withdrawn(site: Site) -> None:
    world = site.world
    choose(world.control, world.custodian, world.policy, *subject("bo"), purpose="development", granted=False)


def suspended(site: Site) -> None:
    Suspensions(site.world.control, site.world.custodian).suspend(*subject("bo"))


def rekeyed(site: Site) -> None:
    world = site.world
    rekey(world.control, world.custodian, *subject("bo"), window_s=3600, lease_s=30)


def refuses(site: Site, purpose: str) -> bool:
    with pytest.raises(Refused):
        read(site, purpose)
    return True


@pytest.mark.parametrize(
    ("name", "act", "holds"),
    [
        ("consent", withdrawn, lambda site: refuses(site, "development")),
        ("suspend", suspended, lambda site: refuses(site, "provision")),
        ("rekey", rekeyed, lambda site: by_class(site.world)["telemetry"] == "compromised"),
    ],
)
def test_what_an_intent_says_is_done_again(
    site: Site, name: str, act: Callable[[Site], None], holds: Callable[[Site], bool]
) -> None:
    with interrupted(name):
        act(site)
    found = recovered(site)
    assert (found.replayed[name], dict(found.untold)) == (1, {})
    carried_on(site)
    assert holds(site)


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("enrol", lambda site: site.world.enrol("cia", "meter-3")),
        ("hand-over", lambda site: handed(site.world, ("meter-2", "cia", START - DAY))),
    ],
)
def test_what_stood_in_the_key_store_alone_is_said_to_be_unknown(
    site: Site, name: str, act: Callable[[Site], object]
) -> None:
    with interrupted(name):
        act(site)
    for known in ({name: 1}, {}):
        found: Recovered = recovered(site)
        assert (dict(found.untold), dict(found.replayed)) == (known, {} if known else {"recover": 1})
        carried_on(site)
    assert read(site) == [21.5]
