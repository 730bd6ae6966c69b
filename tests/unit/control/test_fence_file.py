"""The fence file may be cut, damaged or gone: it is said, nothing stops for ever, and the key store writes it anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli.checks import CHECKS
from gateway.errors import IntegrityStop
from tests.unit.control.test_dates import Site
from tests.unit.control.test_recovery import assert_fenced, recovered, site_with_a_copy

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def site(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    """Anna came and was erased since the copy: two fences."""
    made = site_with_a_copy(tmp_path, keys_url)
    made.world.enrol("anna", "meter-1")
    made.world.erase("anna")
    yield made
    made.world.close()
    assert made.world.leaks() == []


def file_of(site: Site) -> Path:
    return site.world.ledger.fences_path


def cut(file: Path) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def gone(file: Path) -> None:
    file.unlink()


def garbled(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"garbage\n")


def lacking(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b'{"fence":"00"}\n')


less = pytest.mark.parametrize("harm", [cut, emptied, gone])
every = pytest.mark.parametrize("harm", [cut, emptied, gone, garbled, lacking])


@less
def test_whose_fences_are_lost_is_said(site: Site, harm: Callable[[Path], None]) -> None:
    whole, (erasure,) = file_of(site).read_bytes(), site.erasures()
    harm(file_of(site))
    assert recovered(site).unfenced == [erasure.erasure.hex()]
    lines = map(json.loads, site.world.ledger.path.read_text().splitlines())
    (said,) = [line["unfenced"] for line in lines if line["act"] == "recover" and line["phase"] == "outcome"]
    assert said == [erasure.erasure.hex()]
    file_of(site).write_bytes(whole)  # the copy is found
    with site.house() as house:
        again = house.forgetting.recovery.run()
        assert (again.unfenced, again.fences > 0) == ([], True)
    assert_fenced(site)


def test_where_all_came_back_nothing_is_said(site: Site) -> None:
    assert recovered(site).unfenced == []


@pytest.mark.parametrize("harm", [garbled, lacking])
def test_a_damaged_one_is_not_recovered_from(site: Site, harm: Callable[[Path], None]) -> None:
    whole = file_of(site).read_bytes()
    harm(file_of(site))
    with pytest.raises(IntegrityStop, match="the fence file is damaged at line 3") as stop:
        recovered(site)
    assert "bring it back from its copy" in stop.value.hint
    assert site.world.sql("SELECT count(*) FROM acts WHERE act = 'recover'") == [(0,)]
    file_of(site).write_bytes(whole)
    with site.house() as house:
        assert house.forgetting.recovery.run().fences == 2


@every
def test_a_turnover_writes_it_anew_and_the_doctor_says_so(site: Site, harm: Callable[[Path], None]) -> None:
    doctor = CHECKS["ledger"]
    with site.house() as house:
        doctor(house)
    harm(file_of(site))
    with site.house() as house, pytest.raises(IntegrityStop, match="fence file") as stop:
        doctor(house)
    assert "glomska keys turnover" in stop.value.hint
    site.world.enrol("cia", "meter-3")
    site.world.erase("cia")
    assert site.turn() == ""
    with site.house() as house:
        doctor(house)
        noted = {line["fence"] for line in house.control.ledger.read_fences()}
    assert noted == {fence.fence_id.hex() for fence in site.fences()}
    assert len(noted) == 4
