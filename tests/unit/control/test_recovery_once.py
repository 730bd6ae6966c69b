"""A recovery is one act: it has happened, and who is lost by it is said, or the key store stays refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CustodianFault, IntegrityStop, Unreachable
from gateway.keystore import workers
from tests.unit.control.test_dates import Site
from tests.unit.control.test_recovery import recovered, site_with_a_copy
from tests.unit.control.test_recovery_under_way import interrupted

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def site(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    """Cia was enrolled since the copy, with two devices."""
    made = site_with_a_copy(tmp_path, keys_url)
    made.world.enrol("cia", "meter-3", "meter-4")
    yield made
    made.world.close()
    assert made.world.leaks() == []


def enrolled_since(site: Site) -> list[str]:
    found: list[str] = [line for line in lines(site, "enrol") if "incarnations" in line][-1]["incarnations"]
    return found


def lines(site: Site, act: str) -> list[dict[str, Any]]:

    read = map(json.loads, site.world.ledger.path.read_text().splitlines())
    return [line for line in read if line["act"] == act]


def outcomes(site: Site) -> list[tuple[object, object, object]]:
    ended = [line for line in lines(site, "recover") if line["phase"] == "outcome"]
    return [(line["result"], line.get("missing"), line.get("routes")) for line in ended]


def assert_refused(site: Site) -> None:
    with site.house() as house, pytest.raises(IntegrityStop, match="restored from a copy"):
        house.control.check()


def test_who_is_lost_is_said_by_the_next_one_where_it_was_ended_before_it_could(site: Site) -> None:
    lost = enrolled_since(site)
    with interrupted("recover"):
        recovered(site)
    with site.house() as house:
        found = house.forgetting.recovery.run()
        assert (found.missing, found.routes) == (lost, 2)
        house.control.check()
    assert ("done", lost, 2) in outcomes(site)


def test_the_next_act_says_it_in_the_ledger_too(site: Site) -> None:
    lost = enrolled_since(site)
    with interrupted("recover"):
        recovered(site)
    with site.house() as house:
        house.control.check()
    assert outcomes(site) == [("done", lost, 2)]


def test_without_the_key_that_signs_nothing_is_replayed(site: Site) -> None:
    lost, key = enrolled_since(site), site.world.signing_key.file
    key.rename(key.with_suffix(".away"))
    with pytest.raises(CustodianFault):
        recovered(site)
    assert_refused_by_its_acts(site)
    key.with_suffix(".away").rename(key)
    with site.house() as house:
        assert house.forgetting.recovery.run().missing == lost


def assert_refused_by_its_acts(site: Site) -> None:
    assert site.world.sql("SELECT count(*) FROM acts WHERE act IN ('recover', 'recover failed')") == [(0,)]


@pytest.mark.parametrize("by", [KeyboardInterrupt, Unreachable("the key store went away")])
def test_what_fails_half_way_leaves_it_refused(site: Site, by: BaseException | type[BaseException]) -> None:
    lost = enrolled_since(site)

    def ended(*_args: object) -> None:
        raise by

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "raise_generation", ended)
        with pytest.raises((KeyboardInterrupt, Unreachable)):
            recovered(site)
    assert_refused_by_its_acts(site)
    assert_refused(site)
    with site.house() as house:
        assert house.forgetting.recovery.run().missing == lost
        house.control.check()
        house.control.ledger.verify()


def test_a_torn_last_line_is_cut(site: Site) -> None:
    """A medium that died in the midst of a line. The custodian has never heard of it."""
    lost = enrolled_since(site)
    with site.world.ledger.path.open("ab") as stream:
        stream.write(b'{"access":"00')
    assert recovered(site).missing == lost
    with site.house() as house:
        house.control.ledger.verify()
