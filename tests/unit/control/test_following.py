"""Following a customer: each reading once, late ones too, and an end when the customer is erased."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from gateway.control.enrolment import Enrolment
from gateway.control.following import OVERLAP, News
from gateway.control.handover import hand_over
from gateway.errors import KeyDestroyed, Refused
from gateway.model.ids import parse_controller, parse_customer, parse_device
from gateway.model.table import Table
from tests.unit.control.test_erasure import table
from tests.world import CANARY, CONTROLLER, DAY, SECOND, World

pytestmark = pytest.mark.both_key_stores

MS = 1_000_000
MINUTE = 60 * SECOND


def follow(world: World, *, purpose: str = "provision", since: int = DAY) -> Generator[Table]:
    controller, customer = parse_controller(CONTROLLER), parse_customer(CANARY + "anna")
    start = world.clock.wall() - since
    return world.access.follow(controller, customer, purpose=purpose, start=start, poll_s=0.01, every_s=0.01)


def values(found: Table) -> list[float]:
    return [float(value) for value in found.value]


def now(world: World) -> int:
    return world.clock.wall() // MS * MS


def test_each_reading_comes_once_whatever_the_order(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    at = now(world)
    world.publish("meter-1", at - 2 * MINUTE, temperature=20.0)
    tables = follow(world)
    assert values(next(tables)) == [20.0], "what is there already"
    world.publish("meter-1", at, temperature=22.0)
    assert values(next(tables)) == [22.0]
    world.publish("meter-2", at - 59 * MINUTE, temperature=19.0)
    world.publish("meter-1", at, temperature=22.0)
    assert values(next(tables)) == [19.0], "late, and another delivered again"
    world.publish("meter-1", at, temperature=22.5, rev=1)
    corrected = next(tables)
    assert (values(corrected), corrected.revision.tolist()) == ([22.5], [1])
    world.publish("meter-1", at - 61 * MINUTE, temperature=18.0)
    world.publish("meter-1", at + MINUTE, temperature=23.0)
    assert values(next(tables)) == [23.0], "an hour behind is not followed"
    tables.close()
    assert table(world, "workers") == 1, "the publishing one's lease; the reader has given up its own"


def test_what_is_handed_out_is_in_the_log(world: World) -> None:
    world.enrol("anna", "meter-1")
    tables = follow(world)
    assert values(next(tables)) == []
    assert table(world, "accesses") == 1, "that someone looks is said at once"
    for minute in range(3):
        world.publish("meter-1", now(world) + minute * MINUTE, temperature=20.0 + minute)
        assert len(next(tables)) == 1
    tables.close()
    assert table(world, "accesses") == 4


def test_it_ends_at_once_when_the_customer_is_erased(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=20.0)
    tables = follow(world)
    assert values(next(tables)) == [20.0]
    eraser = threading.Thread(target=world.erase, args=("anna",))
    eraser.start()
    with pytest.raises(KeyDestroyed):
        next(tables)
    eraser.join()
    assert table(world, "workers") == 1
    assert table(world, "accesses") == 1


def test_the_purpose_is_asked_first_and_without_it_nobody_waits(world: World) -> None:
    world.enrol("anna", "meter-1")
    with pytest.raises(Refused, match="not consented"):
        next(follow(world, purpose="marketing"))
    assert (table(world, "accesses"), table(world, "workers")) == (0, 0)


def test_a_device_that_is_handed_over_is_followed_no_further(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    tables = follow(world)
    next(tables)
    at = now(world)
    line = Enrolment(
        line=2,
        controller=parse_controller(CONTROLLER),
        customer=parse_customer(CANARY + "bo"),
        device=parse_device(CANARY + "meter-1"),
        area="SE3",
        valid_from=at,
    )
    assert hand_over(world.control, world.custodian, world.policy, [line]).handed_over == 1
    world.register()
    world.ring.poll()
    world.publish("meter-1", at, temperature=30.0)
    world.publish("meter-2", at, temperature=20.0)
    assert values(next(tables)) == [20.0]
    tables.close()


def test_a_device_that_is_new_is_followed_too(world: World) -> None:
    world.enrol("anna", "meter-1")
    tables = follow(world)
    next(tables)
    world.enrol("anna", "meter-2")
    world.publish("meter-2", temperature=20.0)
    assert values(next(tables)) == [20.0]
    tables.close()


def test_a_purpose_of_days_is_told_of_days_that_are_over_and_of_each_once(world: World) -> None:
    world.enrol("anna", "meter-1", purposes=["marketing"])
    today = now(world) // DAY * DAY
    world.publish("meter-1", today - DAY // 2, energy=10.0)
    world.publish("meter-1", min(today + MINUTE, now(world)), energy=11.0)
    tables = follow(world, purpose="marketing", since=3 * DAY)
    first = next(tables)
    assert (first.time.tolist(), values(first)) == ([today - DAY], [10.0]), "of today nothing is told before its end"
    tables.close()
    news, found = News(86_400, start=today - 5 * DAY // 2), world.read("anna", purpose="marketing")
    assert values(news.of(found, now(world))) == [10.0]
    for _ in range(3):
        news.since(now(world))
        assert values(news.of(found, now(world))) == []
    assert values(news.of(found, now(world) + DAY)) == [11.0]


def test_a_clock_that_is_set_back_shows_nothing_twice(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world)
    world.publish("meter-1", at, temperature=20.0)
    found, news = world.read("anna"), News(0, start=at - DAY)
    assert len(news.of(found, at)) == 1
    since = news.since(at)
    assert since == at - OVERLAP
    assert news.since(at - DAY) == since
    assert len(news.of(found, at - DAY)) == 0
