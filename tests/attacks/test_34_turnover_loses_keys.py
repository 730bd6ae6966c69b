"""Attack 34: a turnover loses keys, because an enrolment, or a process that slept, writes under the key that goes.

Between any two pieces of work of a turnover somebody is enrolled, somebody else is erased, and a process that opened
its lineage long before takes part. In the end everybody who lives reads, and whoever was erased stays erased.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from gateway.control import pages
from gateway.control.pages import Step
from gateway.errors import CustodianFault, GlomskaError, KeyDestroyed, VerificationFailed
from gateway.keys.lineage import Lineage
from gateway.keystore import lineages, rows, turnovers
from gateway.model.ids import parse_controller
from tests.world import CONTROLLER, World

pytestmark = pytest.mark.both_key_stores

HEAT_CO = parse_controller(CONTROLLER)
ENOUGH = 60  # pieces of work, of about 25


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "KEYS", 3)
    monkeypatch.setattr(pages, "ROUTES", 3)


def newest(world: World) -> rows.Turnover:
    with world.keystore.snapshot() as tx:
        found = turnovers.newest(tx, HEAT_CO)
    assert found is not None
    return found


def with_something_between(world: World, between: Callable[[int], None]) -> tuple[int, str]:
    """One pass, with something done before each of its pieces of work: how often, and what stopped it."""
    passes = world.turnovers
    found, times = passes.begin(HEAT_CO), 0
    try:
        while found.step != Step.DONE:
            between(times)
            times += 1
            world.ring.poll()
            passes.advance(found)
            found = newest(world)
            if times > ENOUGH:
                return times, "it does not end"
        passes.conclude(found)
    except GlomskaError as fault:
        return times, str(fault)
    return times, ""


def unread(world: World, names: Iterator[str]) -> list[str]:
    """Who cannot be read although they live."""
    lost = []
    for name in names:
        try:
            if len(world.read(name)) != 1:
                lost.append(name)
        except GlomskaError as fault:
            lost.append(f"{name}: {type(fault).__name__}")
    return lost


@pytest.fixture
def busy(world: World) -> World:
    for number in range(4):
        world.enrol(f"old-{number}", f"meter-old-{number}")
        world.publish(f"meter-old-{number}", temperature=1.5)
    return world


def test_who_is_enrolled_in_between_is_read_afterwards(busy: World) -> None:
    def enrol(time: int) -> None:
        with contextlib.suppress(CustodianFault, VerificationFailed):  # a mutant's; whoever is lost shows below
            busy.enrol(f"new-{time}", f"meter-new-{time}")
            busy.publish(f"meter-new-{time}", temperature=2.5)

    times, stopped = with_something_between(busy, enrol)
    assert stopped == ""
    assert times > 8
    assert unread(busy, (f"new-{time}" for time in range(times))) == []
    assert unread(busy, (f"old-{number}" for number in range(4))) == []


def test_nobody_is_enrolled_twice_in_between(busy: World) -> None:
    taken: list[list[tuple[int, str]]] = []
    with_something_between(busy, lambda time: taken.append(busy.enrol(f"thief-{time}", "meter-old-1").refused))
    assert [refused for refused in taken if refused != [(2, "taken")]] == []


def test_who_is_erased_in_between_stays_erased(busy: World) -> None:
    def erase(time: int) -> None:
        if time % 3 == 0 and time // 3 < 3:
            with contextlib.suppress(CustodianFault, VerificationFailed):
                busy.erase(f"old-{time // 3}")

    with_something_between(busy, erase)
    busy.erasures.resume()
    for number in range(3):
        with pytest.raises(KeyDestroyed):
            busy.read(f"old-{number}")
        assert busy.enrol(f"old-{number}", f"meter-old-{number}").refused == [(2, "erased")]
    assert unread(busy, iter(["old-3"])) == []


def test_a_process_that_slept_writes_under_the_newest(busy: World) -> None:
    """It opened its lineage before the pass and makes a key in the middle of it, and another one afterwards."""
    with busy.keystore.snapshot() as tx:
        asleep = Lineage.load(tx, busy.custodian, HEAT_CO)
    assert asleep is not None
    made = []

    def awake(_time: int) -> None:
        with busy.keystore.act() as tx:
            key_id = asleep.add_purge_key(tx, now=1)
            secret = lineages.find_secret(tx, key_id)
            assert secret is not None
            made.append(secret.e)

    assert with_something_between(busy, awake)[1] == ""
    awake(0)
    assert set(made) == {2}
    with busy.keystore.snapshot() as tx:
        assert turnovers.left_behind(tx, HEAT_CO, e=2)["secrets"] == 0


def test_nothing_is_destroyed_while_something_is_left(busy: World) -> None:
    """A row that came back under the older e, from wherever, keeps the older key alive."""

    def bring_back(_time: int) -> None:
        if newest(busy).step == Step.BACKED_UP:
            with busy.keystore.act() as tx:
                tx.exec_driver_sql("UPDATE keys SET e = 1 WHERE key_id = (SELECT key_id FROM keys LIMIT 1)")

    _times, stopped = with_something_between(busy, bring_back)
    assert "1 keys do not open" in stopped
    assert busy.custodian.exists(HEAT_CO, 1)
