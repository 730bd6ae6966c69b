"""Hand-over: each reading belongs to whoever had the device then, whatever is handed over, erased and repeated."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.clock import FixedClock
from gateway.control.enrolment import Enrolment
from gateway.control.handover import REASONS, HandedOver, hand_over
from gateway.errors import KeyDestroyed, UnknownSubject
from gateway.model.ids import parse_controller, parse_customer, parse_device
from gateway.model.sealed import Reason
from tests.unit.control.test_erasure import states, table
from tests.world import CANARY, CONTROLLER, DAY, SECOND, World, message, ns

pytestmark = pytest.mark.both_key_stores

MS = 1_000_000
HOUR = 3_600 * SECOND


def handed(world: World, *lines: tuple[str, str, int], returning: bool = False) -> HandedOver:
    """(device, new customer, event time) each; line numbers from 2 on."""
    taken = [
        Enrolment(
            line=number,
            controller=parse_controller(CONTROLLER),
            customer=parse_customer(CANARY + customer),
            device=parse_device(CANARY + device),
            area="SE1",
            valid_from=at,
        )
        for number, (device, customer, at) in enumerate(lines, start=2)
    ]
    return hand_over(world.control, world.custodian, world.policy, taken, new_incarnation=returning)


def now(world: World) -> int:
    return world.clock.wall() // MS * MS


def publish(world: World, at: int, value: float, device: str = "meter-1") -> list[Reason]:
    """Through the whole chain, by a worker that has polled; why it was refused."""
    world.register()
    world.ring.poll()
    return list(world.publish(device, at, temperature=value).refusals.message.values())


def read(world: World, customer: str) -> list[float]:
    return [float(value) for value in world.read(customer).value]


def test_readings_belong_to_the_owner_of_their_event_time(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world) - DAY
    publish(world, at - HOUR, 20.0)
    assert handed(world, ("meter-1", "bo", at)) == HandedOver(handed_over=1)
    assert world.ring.poll(), "workers learn of it"
    assert publish(world, at, 23.0) == []
    assert publish(world, at - MS, 21.0) == [], "late, and still hers"
    assert (read(world, "anna"), read(world, "bo")) == ([20.0, 21.0], [23.0])
    new, first, late = sorted(world.points(), key=lambda p: (p.series.area, p.time))
    assert {first.series.pseudonym, late.series.pseudonym}.isdisjoint({new.series.pseudonym})
    assert (first.series.area, new.series.area) == ("SE3", "SE1")


def test_a_hand_over_to_come(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world) + 60 * SECOND
    assert handed(world, ("meter-1", "bo", at)).handed_over == 1
    assert publish(world, at - MS, 20.0) == []
    assert publish(world, at, 23.0) == []
    assert (read(world, "anna"), read(world, "bo")) == ([20.0], [23.0])


def test_what_was_stored_before_a_hand_over_and_is_of_after_it_is_shown_to_nobody(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world) - DAY
    publish(world, at - HOUR, 20.0)
    publish(world, at + HOUR, 23.0)
    assert handed(world, ("meter-1", "bo", at)).handed_over == 1
    assert (read(world, "anna"), read(world, "bo")) == ([20.0], [])
    publish(world, at + HOUR, 23.0)
    assert (read(world, "anna"), read(world, "bo")) == ([20.0], [23.0]), "delivered again, it is his"


def test_what_is_refused_and_why(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    since, at = now(world) - 20 * DAY, now(world) - 10 * DAY
    world.enrol("anna", "meter-3", since=since)
    assert handed(world, ("meter-3", "bo", at)).handed_over == 1
    before = states(world)
    year = 367 * DAY
    result = handed(
        world,
        ("meter-9", "dan", at),
        ("meter-3", "dan", since),
        ("meter-3", "dan", since - DAY),
        ("meter-3", "dan", at),
        ("meter-3", "dan", at - DAY),
        ("meter-1", "dan", now(world) + year),
        ("meter-3", "bo", at),
        ("meter-3", "bo", at + DAY),
        ("meter-3", "anna", since),
    )
    assert result.refused == [
        (2, "unowned"), (3, "early"), (4, "early"), (5, "early"), (6, "later"), (7, "far"),
    ]  # fmt: skip
    assert {reason for _, reason in result.refused} < set(REASONS)
    assert (result.handed_over, result.already) == (0, 3)
    assert states(world) == before, "who got nothing has no key"


def test_a_device_that_changes_hands_twice_in_one_file_and_comes_back(world: World) -> None:
    day = now(world) - 10 * DAY
    world.enrol("anna", "meter-1", since=day)
    lines = [("meter-1", "bo", day + DAY), ("meter-1", "cecilia", day + 2 * DAY), ("meter-1", "anna", day + 3 * DAY)]
    assert handed(world, *lines) == HandedOver(handed_over=3)
    assert handed(world, *lines) == HandedOver(already=3)
    for number in range(4):
        publish(world, day + number * DAY + HOUR, 20.0 + number)
    assert [read(world, name) for name in ("anna", "bo", "cecilia")] == [[20.0, 23.0], [21.0], [22.0]]
    assert states(world) == {"active": 9}, "who comes back is who they were"


def test_the_ledger_names_routes_and_times_and_nobody(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world)
    handed(world, ("meter-1", "bo", at))
    body = world.ledger.head.body
    assert (body["act"], body["result"], body["at"]) == ("hand-over", "done", [str(at)])
    assert isinstance(body["ended"], list)
    assert isinstance(body["routes"], list)
    assert len(body["ended"]) == len(body["routes"]) == len(body["incarnations"]) == 1  # type: ignore[arg-type]
    assert body["ended"] != body["routes"]


def test_a_failed_hand_over_changes_nothing(world: World) -> None:
    world.enrol("anna", "meter-1")
    before = (states(world), table(world, "routes"))
    kek = next((world.directory / "kek").glob("w-*"))
    kek.rename(kek.with_suffix(".away"))
    with pytest.raises(Exception, match="key file"):
        handed(world, ("meter-1", "bo", now(world)))
    kek.with_suffix(".away").rename(kek)
    assert (states(world), table(world, "routes")) == before
    assert publish(world, now(world), 20.0) == []
    assert read(world, "anna") == [20.0]


@pytest.mark.parametrize("erased", ["anna", "bo"])
def test_erasing_one_of_two_owners_deletes_what_was_theirs(world: World, erased: str) -> None:
    world.enrol("anna", "meter-1")
    at = now(world) - DAY
    handed(world, ("meter-1", "bo", at))
    publish(world, at - HOUR, 20.0)
    publish(world, at + HOUR, 23.0)
    world.erase(erased)
    other, left, gone, kept = ("bo", 23.0, at - HOUR, at + HOUR) if erased == "anna" else ("anna", 20.0, at, at - HOUR)
    assert len(world.points()) == 1
    assert read(world, other) == [left]
    assert publish(world, gone, 25.0) == [Reason.ERASED]
    assert publish(world, kept, left) == []
    with pytest.raises(KeyDestroyed):
        read(world, erased)


def test_the_device_of_an_erased_customer_is_handed_over_from_then_on(world: World) -> None:
    world.enrol("anna", "meter-1")
    publish(world, now(world), 20.0)
    world.erase("anna")
    at = now(world) + MS
    assert handed(world, ("meter-1", "bo", at - DAY)).refused == [(2, "erased")]
    assert handed(world, ("meter-1", "anna", at)).refused == [(2, "erased")]
    assert handed(world, ("meter-1", "bo", at)).handed_over == 1
    assert publish(world, at, 23.0) == []
    assert publish(world, at - HOUR, 20.0) == [Reason.ERASED]
    assert handed(world, ("meter-1", "anna", at + MS), returning=True).handed_over == 1
    publish(world, at + MS, 25.0)
    assert (read(world, "bo"), read(world, "anna")) == ([23.0], [25.0])


def test_who_has_left_and_comes_back_is_who_they_were(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world) - DAY
    publish(world, at - HOUR, 20.0)
    handed(world, ("meter-1", "bo", at))
    assert world.enrol("anna", "meter-2", since=at + HOUR).enrolled == 1
    assert states(world) == {"active": 6}
    publish(world, at + HOUR, 22.0, device="meter-2")
    assert read(world, "anna") == [20.0, 22.0]


DEVICES, CUSTOMERS, DAYS = ("meter-1", "meter-2"), ("anna", "bo", "cecilia"), 8
_customers, _devices, _days = st.sampled_from(CUSTOMERS), st.sampled_from(DEVICES), st.integers(0, DAYS - 1)
STEPS = st.lists(
    st.tuples(st.sampled_from(["enrol", "hand over", "return"]), _customers, _devices, _days)
    | st.tuples(st.just("erase"), _customers, st.none(), st.none())
    | st.tuples(st.sampled_from(["publish", "wait"]), st.none(), _devices, _days),
    min_size=4,
    max_size=14,
)


@dataclass(eq=False)
class Life:
    """One life of a customer; `ended` is when it was erased."""

    customer: str
    ended: int | None = None


@dataclass(eq=False)
class Stint:
    """A time for which a life has a device, begun by one line of a file: it can be handed over from within it alone."""

    life: Life


@dataclass
class Model:
    """Who had each device on each day, as a row of days: knows nothing of routes and fences."""

    days: dict[str, list[Stint | None]] = field(default_factory=lambda: {d: [None] * DAYS for d in DEVICES})
    lives: dict[str, Life] = field(default_factory=dict)
    stored: set[tuple[int, str, int]] = field(default_factory=set)  # identity of a life, device, day
    today: int = 0

    def take(self, customer: str, device: str, day: int, *, taking_over: bool, returning: bool) -> bool:
        """Whether the device becomes this customer's from that day on."""
        life, row = self.lives.get(customer), self.days[device]
        held = next((stint for stint in row[day:] if stint is not None), None)
        if held is None:
            free = not taking_over
        elif held.life.ended is None:
            alone = all(stint is held for stint in row[day:])
            free = taking_over and held.life is not life and day > 0 and row[day - 1] is held and alone
        else:  # also where it was to begin only later: nobody else has been promised anything
            alone = all(stint is None or stint.life is held.life for stint in row[day:])
            free = day >= held.life.ended and alone
        erased = life is not None and life.ended is not None
        if not free or (erased and not returning):
            return False
        if life is None or life.ended is not None:
            life = self.lives[customer] = Life(customer)
        row[day:] = [Stint(life)] * (DAYS - day)
        return True

    def publish(self, device: str, day: int) -> list[Reason]:
        stint = self.days[device][day]
        owner = None if stint is None else stint.life
        if owner is None or owner.ended is not None:
            return [Reason.UNKNOWN_DEVICE if owner is None else Reason.ERASED]
        self.stored.add((id(owner), device, day))
        return []

    def erase(self, customer: str) -> None:
        life = self.lives[customer]
        life.ended = self.today + 1  # erased in the middle of a day: the device is free from the next one on
        self.stored = {entry for entry in self.stored if entry[0] != id(life)}

    def visible(self, customer: str) -> set[tuple[str, int]]:
        life = self.lives[customer]
        theirs = {
            (d, day) for d, row in self.days.items() for day, s in enumerate(row) if s is not None and s.life is life
        }
        return {(d, day) for owner, d, day in self.stored if owner == id(life)} & theirs


@given(STEPS)
@example(  # who gets a device back at the time at which another was to have it can hand it over from later on only
    [
        ("enrol", "anna", "meter-1", 0),
        ("enrol", "cecilia", "meter-2", 0),
        ("hand over", "anna", "meter-2", 1),
        ("erase", "anna", None, None),
        ("enrol", "cecilia", "meter-2", 1),
        ("hand over", "bo", "meter-2", 1),
        ("hand over", "bo", "meter-2", 2),
    ]
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_reading_has_one_owner_at_most_and_the_right_one(
    steps: Iterable[tuple[str, str, str, int | None]],
) -> None:
    start = ns("2026-02-25T00:00:00+00:00")  # a month ends among the days
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory) / "state", clock=FixedClock(start + 12 * HOUR))
        world.register()
        model = Model()
        for act, customer, device, day in steps:
            one_step(world, model, (act, customer, device, day), start)
            compare(world, model, start)
        assert world.leaks() == []
        world.close()


def one_step(world: World, model: Model, step: tuple[str, str, str, int | None], start: int) -> None:
    act, customer, device, day = step[0], step[1], step[2], step[3] or 0
    at = start + day * DAY
    if act == "wait" and model.today < DAYS - 1:
        assert isinstance(world.clock, FixedClock)
        world.clock.advance(DAY)
        model.today += 1
    elif act == "publish" and day <= model.today:
        assert publish(world, at, 20.0 + day, device) == model.publish(device, day)
    elif act == "erase" and customer in model.lives and model.lives[customer].ended is None:
        world.erase(customer)
        model.erase(customer)
    elif act == "hand over":
        taken = model.take(customer, device, day, taking_over=True, returning=False)
        assert handed(world, (device, customer, at)).handed_over == taken
    elif act in {"enrol", "return"}:
        returning = act == "return"
        taken = model.take(customer, device, day, taking_over=False, returning=returning)
        assert world.enrol(customer, device, since=at, returning=returning).enrolled == taken


def compare(world: World, model: Model, start: int) -> None:
    """What each customer reads, and how many rows there are in the store, whoever reads them."""
    for customer in CUSTOMERS:
        life = model.lives.get(customer)
        try:
            found = world.read(customer, start=start)
        except UnknownSubject:
            assert life is None
        except KeyDestroyed:
            assert life is not None
            assert life.ended is not None
        else:
            devices = [name.removeprefix(CANARY) for name in found.device]
            days = [(time - start) // DAY for time in found.time.tolist()]
            assert set(zip(devices, days, strict=True)) == model.visible(customer)
            assert found.value.tolist() == [20.0 + day for day in days]
    assert len(world.points()) == len(model.stored)


def test_messages_of_a_device_are_split_at_the_instant(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world) - DAY
    handed(world, ("meter-1", "bo", at))
    world.register()
    world.ring.poll()
    done = world.process(*(message("meter-1", at + step * MS, temperature=20.0) for step in (-1, 0, 1)))
    names = [point.series.pseudonym for point in done.points]
    assert names[0] != names[1] == names[2]
