"""What a recovery brings back must work from then on: fences are dated, go on their date, and let a new life begin."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.control.recovery import Recovered
from gateway.errors import KeyDestroyed
from gateway.keystore import acts
from gateway.model.sealed import Reason
from tests.copies import imaged, put_back
from tests.unit.control.processes import ended, erase_until_noted, start
from tests.unit.control.test_dates import START, Site
from tests.unit.control.test_erasure import subject
from tests.world import DAY, World

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def site(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = Site(tmp_path, keys_url)
    made.world.enrol("bo", "meter-2")
    made.world.keystore.scrub(())
    imaged(made.world, copy_of(made))
    yield made
    made.world.close()
    assert made.world.leaks() == []


def copy_of(site: Site) -> Path:
    return site.world.directory.parent / "copy"


def came_and_was_erased(site: Site, how: str) -> None:
    """Anna is enrolled and erased since the copy: wholly; as far as the key store; or as far as the fence file."""
    world = site.world
    world.enrol("anna", "meter-1")
    if how == "done":
        world.erase("anna")
    elif how == "begun":
        world.erasures.begin(*subject("anna"))
    else:
        assert ended(start(erase_until_noted, world.directory, "anna", site.clock)) == -signal.SIGKILL


def recovered(site: Site) -> Recovered:
    """The copy's key store in the place of the live one, recovered as the command does."""
    site.world.close()
    put_back(copy_of(site), site.world.directory)
    site.world = World(site.world.directory, clock=site.clock, policy=site.world.policy)
    site.at_key_store(site.world.keys)
    with site.house() as house:
        found = house.forgetting.recovery.run()
        house.erasures.resume()
    return found


def assert_fenced(site: Site) -> None:
    world = site.world
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    assert world.enrol("anna", "meter-1", since=site.clock.wall()).refused == [(2, "erased")]
    assert world.publish("meter-1", START - DAY, temperature=1).refusals.readings == {Reason.ERASED: 1}
    world.ring.leave()
    world._registered = False


@pytest.mark.parametrize("how", ["done", "begun", "noted"])
def test_who_came_and_was_erased_since_is_fenced_until_a_new_life_or_the_date(site: Site, how: str) -> None:
    came_and_was_erased(site, how)
    for _ in range(2):  # of the same copy, the second time by what the first one wrote
        assert recovered(site).fences == 2
        assert_fenced(site)
        assert not site.world.ledger.open_intents
    assert site.world.enrol("anna", "meter-1", since=START - DAY, returning=True).refused == [(2, "erased")]
    site.turn(days=1)
    (date,) = {fence.expires for fence in site.fences()}
    assert date is not None
    site.daily(date - 3 * DAY)
    assert_fenced(site)
    site.daily(date)
    assert site.fences() == []
    assert site.world.ledger.read_fences() == []


def test_with_their_word_a_new_life_begins(site: Site) -> None:
    came_and_was_erased(site, "done")
    recovered(site)
    site.clock.advance(DAY)
    world = site.world
    assert world.enrol("anna", "meter-1", since=site.clock.wall(), returning=True).enrolled == 1
    assert len(world.publish("meter-1", temperature=21.5).points) == 1
    assert world.read("anna").value.tolist() == [21.5]


def test_a_recovery_of_earlier_versions_is_made_good_by_another(site: Site) -> None:
    """They brought the fence back and closed the erasure as one of whom nobody has heard."""
    came_and_was_erased(site, "begun")
    recovered(site)
    (erasure,) = site.erasures()
    with site.world.keystore.act() as tx:
        tx.exec_driver_sql("DELETE FROM erasures")
    with site.house() as house:
        assert house.forgetting.recovery.run().fences == 0
    (again,) = site.erasures()
    assert (again.erasure, again.incarnation) == (erasure.erasure, erasure.incarnation)


def test_its_proof_was_lost_and_it_says_so(site: Site) -> None:
    came_and_was_erased(site, "done")
    recovered(site)
    with site.house() as house, house.keystore.snapshot() as tx:
        (found,) = acts.all_erasures(tx)
        (missing,) = house.forgetting.finality.missing(tx, found)
        assert acts.erased_since(tx, 0) == {}, "no worker takes it for the one that raised its generation"
    assert "with a key store that was lost" in missing
