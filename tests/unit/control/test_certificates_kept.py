"""Certificates and a key store that was lost: nobody holds two that contradict each other, and what is gone is said."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.checks import CHECKS
from gateway.control.certificate import lost
from gateway.control.controllers import Controllers
from gateway.control.verification import read_certificate
from gateway.errors import KeyDestroyed
from tests.unit.control.test_dates import Site
from tests.unit.control.test_recovery import recovered, site_with_a_copy
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import DAY

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def site(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = site_with_a_copy(tmp_path, keys_url)
    yield made
    made.world.close()
    assert made.world.leaks() == []


def directory(site: Site) -> Path:
    return site.world.directory / "certificates"


def claims(site: Site, kind: str) -> dict[str, Any]:
    (place,) = directory(site).glob(f"*-{kind}.jws")
    return read_certificate(place.read_bytes(), str(site.world.ledger.key)).claims


def outcome(site: Site, act: str) -> dict[str, Any]:
    """As a certificate names a line."""
    lines = map(json.loads, site.world.ledger.path.read_text().splitlines())
    (found,) = [line for line in lines if line["act"] == act and line["phase"] == "outcome"]
    return {name: found[name] for name in ("seq", "hash", "time")}


def made_final(site: Site) -> None:
    """By a world, which has no broker that would have to answer."""
    site.clock.advance(DAY)
    site.world.erasures.resume()
    site.world.turn_over()
    site.world.finality.finalise(HEAT_CO)


def test_an_erasure_that_is_done_again_names_the_first_time(site: Site) -> None:
    site.world.erase("bo")
    first, said = claims(site, "effective"), outcome(site, "erase")
    assert "repeated" not in first
    shutil.rmtree(directory(site))
    site.clock.advance(DAY)
    recovered(site)
    again = claims(site, "effective")
    assert (again["requested"], again["repeated"]) == (first["requested"], said)
    assert again["effective"] > first["effective"]
    made_final(site)
    (place,) = directory(site).glob("*-effective.jws")
    final = claims(site, "final")
    assert (final["repeated"], final["first"]) == (said, hashlib.sha256(place.read_bytes().strip()).hexdigest())


def test_where_the_first_certificate_is_kept_it_stays_the_only_one(site: Site) -> None:
    site.world.erase("bo")
    (place,) = directory(site).glob("*-effective.jws")
    first = place.read_bytes()
    site.clock.advance(DAY)
    recovered(site)
    made_final(site)
    assert place.read_bytes() == first
    assert claims(site, "final")["first"] == hashlib.sha256(first.strip()).hexdigest()


def test_an_exit_that_is_done_again_names_the_first_time(site: Site) -> None:
    world = site.world
    Controllers(world.control, world.custodian, lambda: world.policy, world.certificates).exit(HEAT_CO)
    first, said = claims(site, "exit"), outcome(site, "exit")
    assert "repeated" not in first
    shutil.rmtree(directory(site))
    site.clock.advance(DAY)
    recovered(site)
    with site.house() as house:
        house.forgetting.controllers.resume()
    again = claims(site, "exit")
    assert (again["requested"], again["repeated"]) == (first["requested"], said)


@pytest.mark.parametrize("harm", ["gone", "another"])
def test_one_that_is_gone_is_said(site: Site, harm: str) -> None:
    site.world.erase("bo")
    (place,), (found,) = directory(site).glob("*-effective.jws"), site.erasures()
    assert lost(directory(site), found) == []
    if harm == "gone":
        place.unlink()
        with pytest.raises(KeyDestroyed) as told:
            site.world.erase("bo")
        assert told.value.hint.endswith("effective.jws, which is gone: bring it back from its copy")
    else:
        place.write_bytes(b"another\n")
    assert lost(directory(site), found) == [place]
    with site.house() as house:
        assert "1 certificates are gone" in CHECKS["erasures"](house)
