"""Reading for a purpose: what is allowed, what comes back, what is written down, and erasures under way."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import FixedClock
from gateway.control.access import Access, Readable
from gateway.control.erasure import Step
from gateway.errors import CustodianFault, KeyDestroyed, LeaseOver, Refused, UnknownSubject, VerificationFailed
from gateway.keystore import workers
from gateway.model.ids import parse_controller, parse_customer
from gateway.model.sealed import REVISION_TAKEN, SealedPoint
from gateway.policy.load import parse_policy
from gateway.policy.rules import Quantity
from tests.unit.control.test_erasure import table
from tests.unit.policies import shipped, with_modes
from tests.world import CANARY, CONTROLLER, DAY, SECOND, World, message, ns

MS = 1_000_000


def now(world: World) -> int:
    """Wall time in whole milliseconds, as a device sends it."""
    return world.clock.wall() // MS * MS


def rows(world: World, customer: str = "anna", **more: object) -> list[tuple[int, str, str, float, int]]:
    """(time, device, quantity, value, revision) of all that is read."""
    read = world.read(customer, **more)  # type: ignore[arg-type]
    return list(
        zip(
            read.time.tolist(),
            [d.removeprefix(CANARY) for d in read.device],
            read.quantity,
            read.value.tolist(),
            read.revision.tolist(),
            strict=True,
        )
    )


def access_over(world: World, store: Readable) -> Access:
    return Access(world.keystore, world.custodian, world.policy, store, world.clock, lease_s=30)


def read_by(access: Access, world: World) -> int:
    controller, customer = parse_controller(CONTROLLER), parse_customer(CANARY + "anna")
    return len(access.read(controller, customer, purpose="provision", start=0, end=world.clock.wall() + DAY))


class Halfway:
    """A store whose answer is interrupted after its first point."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reached, self.go_on = threading.Event(), threading.Event()

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        for point in self.world.store.query(measurement, pseudonyms, start, end):
            yield point
            self.reached.set()
            assert self.go_on.wait(120)


def test_readings_come_in_order_of_time_device_and_quantity(world: World) -> None:
    world.enrol("anna", "meter-2", "meter-1")
    at = now(world)
    world.publish("meter-2", at, temperature=20.5, power=1250)
    world.publish("meter-1", at, humidity=40.1, energy=12345.678)
    world.publish("meter-1", at - SECOND, temperature=-21.25)
    assert rows(world) == [
        (at - SECOND, "meter-1", "temperature", -21.25, 0),
        (at, "meter-1", "energy", 12345.678, 0),
        (at, "meter-1", "humidity", 40.1, 0),
        (at, "meter-2", "power", 1250.0, 0),
        (at, "meter-2", "temperature", 20.5, 0),
    ]
    read = world.read("anna")
    assert read.unit == ["Cel", "kWh", "%RH", "W", "Cel"]
    assert read.decimals["energy"] == 3


def test_only_declared_and_live_purposes(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2", purposes=["development"])
    for purpose, said in (("spying", "not declared"), ("development", "not consented")):
        with pytest.raises(Refused, match=said) as refusal:
            world.read("anna", purpose=purpose)
        assert refusal.value.exit_code == 5
    world.publish("meter-2", temperature=20.0)
    assert len(world.read("bo", purpose="development")) == 1
    with pytest.raises(Refused, match="not consented"):
        world.read("bo", purpose="marketing")
    assert table(world, "accesses") == 1, "what was refused was not read"


def test_nobody_of_that_name(world: World) -> None:
    with pytest.raises(UnknownSubject, match="no such controller"):
        world.read("anna")
    world.enrol("anna", "meter-1")
    with pytest.raises(UnknownSubject, match="no such customer"):
        world.read("bo")


def test_a_purpose_sees_its_quantities_no_finer_than_its_resolution(world: World) -> None:
    world.enrol("anna", "meter-1", purposes=["marketing", "development"])
    day = now(world) // DAY * DAY - 3 * DAY
    for hours, energy in ((1, 10.0), (13, 11.5), (25, 12.0)):
        world.publish("meter-1", day + hours * 3600 * SECOND, energy=energy, temperature=20.0 + hours / 100)
    assert rows(world, purpose="marketing") == [
        (day, "meter-1", "energy", 11.5, 0),
        (day + DAY, "meter-1", "energy", 12.0, 0),
    ]
    fine = rows(world, purpose="development")
    assert {quantity for _, _, quantity, _, _ in fine} == {"energy", "temperature"}
    assert [time for time, _, quantity, _, _ in fine if quantity == "energy"] == [
        day + h * 3600 * SECOND for h in (1, 13, 25)
    ]


def test_a_correction_counts_and_a_redelivery_of_the_first_does_not_undo_it(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world)
    world.publish("meter-1", at, temperature=20.0, power=100)
    world.publish("meter-1", at, temperature=21.0, rev=2)
    world.publish("meter-1", at, temperature=20.7, rev=1)
    world.publish("meter-1", at, temperature=20.0, power=100)
    assert rows(world) == [(at, "meter-1", "power", 100.0, 0), (at, "meter-1", "temperature", 21.0, 2)]
    world.publish("meter-1", at, temperature=22.0, rev=REVISION_TAKEN)
    assert rows(world)[-1] == (at, "meter-1", "temperature", 22.0, REVISION_TAKEN)


def test_separate_messages_of_one_time_stand_beside_each_other(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world)
    world.publish("meter-1", at, temperature=20.0)
    world.publish("meter-1", at, power=100)
    assert [row[2:4] for row in rows(world)] == [("power", 100.0), ("temperature", 20.0)]
    world.publish("meter-1", at, temperature=23.0, power=300)
    assert [row[2:4] for row in rows(world)] == [("power", 300.0), ("temperature", 23.0)], "the larger set counts"


def test_what_is_read_is_what_is_asked_for(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world)
    for minute in range(3):
        world.publish("meter-1", at - minute * 60 * SECOND, temperature=20.0 + minute)
    controller, customer = parse_controller(CONTROLLER), parse_customer(CANARY + "anna")

    def read(start: int, end: int) -> list[float]:
        found = world.access.read(controller, customer, purpose="provision", start=start, end=end)
        return [float(value) for value in found.value]

    assert read(at - 60 * SECOND, at) == [21.0]
    assert read(at - 60 * SECOND, at + 1) == [21.0, 20.0]
    assert read(at, at) == []
    assert read(-(2**70), 2**70) == [22.0, 21.0, 20.0]


def test_the_edge_of_a_month(tmp_path: Path) -> None:
    edge = ns("2026-03-01T00:00:00+00:00")
    world = World(tmp_path / "state", clock=FixedClock(edge + 3600 * SECOND))
    world.enrol("anna", "meter-1")
    done = [world.publish("meter-1", edge + step, temperature=20.0) for step in (-MS, 0, MS)]
    names = [point.series.pseudonym for each in done for point in each.points]
    assert names[0] != names[1] == names[2]
    assert [row[0] - edge for row in rows(world)] == [-MS, 0, MS]
    world.close()


@st.composite
def published(draw: st.DrawFn, quantities: tuple[Quantity, ...]) -> dict[str, int]:
    """Values of some quantities as whole numbers of their last digit."""
    chosen = draw(st.lists(st.sampled_from(quantities), min_size=1, unique_by=lambda q: q.name))
    return {
        q.name: draw(
            st.integers(round(q.minimum * 10**q.decimals), round(q.maximum * 10**q.decimals))
            | st.sampled_from([round(q.minimum * 10**q.decimals), round(q.maximum * 10**q.decimals)])
        )
        for q in chosen
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One customer with one device, for many readings."""
    world = World(tmp_path_factory.mktemp("home") / "state")
    world.enrol("anna", "meter-1")
    yield world
    world.close()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
def test_what_is_read_equals_what_was_published(home: World, data: st.DataObject) -> None:
    counts = data.draw(published(home.policy.quantities))
    digits = {q.name: q.decimals for q in home.policy.quantities}
    at = now(home)
    text = ",".join(f'"{name}":{spelled(count, digits[name])}' for name, count in counts.items())
    sent = type(message("meter-1", at))(
        message("meter-1", at).topic, f'{{"time":{at // MS},"rev":{at // MS % 100},{text}}}'.encode()
    )
    done = home.process(sent)
    assert home.store.write(done.points).rejected == {}
    read = {q: (v, r) for t, _, q, v, r in rows(home, start=at) if t == at}
    assert {name: (float(spelled(count, digits[name])), at // MS % 100) for name, count in counts.items()}.items() <= (
        read.items()
    )


def spelled(count: int, decimals: int) -> str:
    """A decimal number, digit by digit, without a float in between."""
    sign, digits = "-" * (count < 0), str(abs(count)).rjust(decimals + 1, "0")
    return sign + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits)


@pytest.mark.parametrize(
    ("sent", "read"),
    [(0.125, 0.12), (0.375, 0.38), (-0.125, -0.12), (-0.375, -0.38), (20.004, 20.0), (99.996, 100.0), (-0.001, 0.0)],
)
def test_finer_than_declared_is_rounded_half_to_even(home: World, sent: float, read: float) -> None:
    at = now(home)
    home.publish("meter-1", at, temperature=sent)
    found = [row[3] for row in rows(home, start=at) if row[0] == at and row[2] == "temperature"]
    assert found == [read]


def test_the_whole_width_of_32_and_64_bits(tmp_path: Path) -> None:
    document = shipped()
    widest = {"power": 2**31 - 1, "energy": 2**53 // 1000}
    for name, largest in widest.items():
        document["quantity"][name] |= {"minimum": -float(largest), "maximum": float(largest)}
    world = World(tmp_path / "state", policy=parse_policy(document, "test"))
    world.enrol("anna", "meter-1")
    at = now(world)
    for step, sign in enumerate((1, -1)):
        world.publish("meter-1", at + step * MS, **{name: sign * largest for name, largest in widest.items()})
    assert [row[3] for row in rows(world)] == [
        float(widest["energy"]),
        float(widest["power"]),
        -float(widest["energy"]),
        -float(widest["power"]),
    ]
    world.close()


def test_clear_and_dropped_quantities(tmp_path: Path) -> None:
    world = World(tmp_path / "state", policy=with_modes(power="clear", valve="clear", battery="drop"))
    world.enrol("anna", "meter-1", purposes=["marketing"])
    at = now(world)
    world.publish("meter-1", at, temperature=20.0, power=-3.5, battery=80, energy=1.5)
    world.publish("meter-1", at, power=7, rev=3)
    world.publish("meter-1", at + MS, valve=40)
    assert [(row[2], row[3], row[4]) for row in rows(world)] == [
        ("energy", 1.5, 0),
        ("power", 7.0, 3),
        ("temperature", 20.0, 0),
        ("valve", 40.0, 0),
    ]
    assert [row[2] for row in rows(world, purpose="marketing")] == ["energy"]
    dropped = world.process(message("meter-1", at + 2 * MS, battery=80))
    assert dropped.points == []
    assert dropped.refusals.message == {0: "no_purpose"}
    world.erase("anna")
    assert world.points() == [], "what was never sealed is deleted with the rest"
    world.close()


def test_the_access_log_is_a_chain(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=20.0)
    world.read("anna")
    world.read("anna", purpose="support")
    with sqlite3.connect(world.directory / "keys.db") as db:
        db.row_factory = sqlite3.Row
        entries = db.execute("SELECT * FROM accesses ORDER BY seq").fetchall()
        (head,) = db.execute("SELECT access_head FROM state").fetchone()
    assert [entry["purpose"] for entry in entries] == ["provision", "support"]
    before = bytes(32)
    for entry in entries:
        body = {
            "at": str(entry["at"]),
            "purpose": entry["purpose"],
            "incarnation": entry["incarnation"].hex(),
            "starts": str(entry["starts"]),
            "ends": str(entry["ends"]),
            "readings": entry["readings"],
        }
        before = sha256(before + rfc8785.dumps(body)).digest()
        assert entry["hash"] == before
    assert head == before


def test_a_reading_that_was_changed_or_moved_is_told(world: World) -> None:
    world.enrol("anna", "meter-1")
    at = now(world)
    world.publish("meter-1", at, temperature=20.0)
    with sqlite3.connect(world.directory / "readings.db") as db:
        db.execute("UPDATE point SET time = time + 1000000")
    with pytest.raises(VerificationFailed) as failed:
        world.read("anna")
    assert failed.value.exit_code == 8
    assert table(world, "accesses") == 0


def test_without_the_custodian_nothing_is_read(world: World) -> None:
    world.enrol("anna", "meter-1")
    (key,) = (world.directory / "kek").glob("w-*.key")
    key.chmod(0o640)
    with pytest.raises(CustodianFault, match="readable by others"):
        world.read("anna")
    key.chmod(0o600)
    assert len(world.read("anna")) == 0
    assert table(world, "workers") == 0, "who read has left"


def test_an_erasure_that_begins_during_a_read_waits_for_it_and_the_read_gives_nothing(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=20.0)
    world.ring.leave()
    world._registered = False
    halfway = Halfway(world)
    outcome: list[object] = []

    def read() -> None:
        try:
            outcome.append(read_by(access_over(world, halfway), world))
        except KeyDestroyed as refusal:
            outcome.append(refusal)

    reader = threading.Thread(target=read)
    reader.start()
    assert halfway.reached.wait(120)
    steps: list[Step] = []
    fenced = threading.Event()

    def said(step: Step) -> None:
        steps.append(step)
        fenced.set()

    controller, customer = parse_controller(CONTROLLER), parse_customer(CANARY + "anna")
    eraser = threading.Thread(target=lambda: world.erasures.erase(controller, customer, on_step=said))
    eraser.start()
    assert fenced.wait(120)
    assert world.erasures.resume() == []
    assert steps == [Step.FENCED]
    halfway.go_on.set()
    reader.join(120)
    eraser.join(120)
    assert isinstance(outcome[0], KeyDestroyed)
    assert steps[-1] is Step.PURGED
    assert table(world, "accesses") == 0


def test_another_customers_erasure_does_not_spoil_a_read(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    world.publish("meter-1", temperature=20.0)
    world.ring.leave()
    world._registered = False
    halfway = Halfway(world)
    outcome: list[int] = []
    reader = threading.Thread(target=lambda: outcome.append(read_by(access_over(world, halfway), world)))
    reader.start()
    assert halfway.reached.wait(120)
    eraser = threading.Thread(target=lambda: world.erase("bo"))
    eraser.start()
    halfway.go_on.set()
    reader.join(120)
    eraser.join(120)
    assert outcome == [1]


class Slow:
    """A store that takes time for every point."""

    def __init__(self, world: World, clock: FixedClock, nanoseconds: int) -> None:
        self.world, self.clock, self.nanoseconds = world, clock, nanoseconds

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        for point in self.world.store.query(measurement, pseudonyms, start, end):
            self.clock.advance(self.nanoseconds)
            yield point


class Overtaken(Slow):
    """While it answers, keys are withdrawn: who has not acknowledged that does not get a lease again."""

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        for number, point in enumerate(super().query(measurement, pseudonyms, start, end)):
            if number == 20:
                with self.world.keystore.act() as tx:
                    workers.raise_generation(tx)
            yield point


def test_a_read_keeps_its_lease_while_it_lasts_and_gives_nothing_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.control.access._LOOK", 4)
    clock = FixedClock(ns("2026-05-01T00:00:00+00:00"), 10**15)
    world = World(tmp_path / "state", clock=clock)
    world.enrol("anna", "meter-1")
    for minute in range(40):
        world.publish("meter-1", clock.wall() - minute * 60 * SECOND, temperature=20.0)
    assert read_by(access_over(world, Slow(world, clock, 3 * SECOND)), world) == 40
    assert read_by(access_over(world, Slow(world, clock, 31 * SECOND)), world) == 40, "renewed before it is opened"
    with pytest.raises(LeaseOver):
        read_by(access_over(world, Overtaken(world, clock, 31 * SECOND)), world)
    world.close()
