"""Pseudonymise: one row a class, each under its own class's name; stable within, unlinkable across."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model.ids import epoch_of
from gateway.policy.load import parse_policy
from gateway.policy.rules import Policy
from tests.unit.policies import shipped
from tests.world import DAY, World, message


def two_classes() -> Policy:
    """Readings of valves and batteries in a class of their own."""
    document = shipped()
    document["key_classes"].append("upkeep")
    for name in ("valve", "battery"):
        document["quantity"][name]["key_class"] = "upkeep"
    return parse_policy(document, "test")


def test_each_class_has_its_own_measurement_pseudonym_and_key(world: World) -> None:
    other = World(world.directory, policy=two_classes())
    other.enrol("anna", "meter-1", "meter-2")
    now = other.clock.wall()
    done = other.process(
        message("meter-1", now, temperature=20.0, valve=50),
        message("meter-2", now, battery=80),
        message("meter-1", now, power=1),
    )
    held = [(p.series.measurement, p.field, owner) for p, owner in zip(done.points, done.owners, strict=True)]
    assert sorted(held) == [
        ("telemetry", "s_1", 0),
        ("telemetry", "s_8", 2),
        ("upkeep", "s_40", 0),
        ("upkeep", "s_80", 1),
    ]
    names = {(p.series.measurement, p.series.pseudonym) for p in done.points}
    assert len(names) == 3
    assert len({name for _, name in names}) == 3, "the classes of one device cannot be joined"
    assert len({p.series.key_id for p in done.points}) == 2
    other.store.write(done.points)
    assert sorted(other.read("anna").value.tolist()) == [1.0, 20.0, 50.0, 80.0]
    wanted = [name for _, name in names]

    def stored() -> int:
        return sum(len(list(other.store.query(c, wanted, 0, 2**63 - 1))) for c in ("telemetry", "upkeep"))

    assert stored() == 4
    other.erase("anna")
    assert stored() == 0
    other.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.integers(0, 600), min_size=2, max_size=6))
def test_a_pseudonym_lasts_a_month_and_says_nothing_about_the_next(world: World, days: list[int]) -> None:
    world.enrol("anna", "meter-1", since=world.clock.wall() - 700 * DAY)
    times = [world.clock.wall() - d * DAY for d in days]
    done = world.process(*(message("meter-1", time, power=1) for time in times))
    names: dict[int, set[str]] = {}
    for point in done.points:
        names.setdefault(epoch_of(point.time), set()).add(point.series.pseudonym)
    assert all(len(each) == 1 for each in names.values())
    assert len(set.union(*names.values())) == len(names)


def test_two_customers_with_one_device_id_have_nothing_in_common(world: World) -> None:
    world.enrol("anna", "meter-1")
    mine = world.publish("meter-1", power=1).points[0]
    world.erase("anna")
    world.enrol("bo", "meter-1", since=world.clock.wall())
    world.ring.poll()
    theirs = world.publish("meter-1", power=1).points[0]
    assert mine.series.pseudonym != theirs.series.pseudonym


def test_a_pseudonym_has_128_bits_in_26_letters(world: World) -> None:
    world.enrol("anna", *(f"meter-{n}" for n in range(200)))
    done = world.process(*(message(f"meter-{n}", world.clock.wall(), power=1) for n in range(200)))
    names = {point.series.pseudonym for point in done.points}
    assert len(names) == 200
    assert all(len(name) == 26 and set(name) <= set("abcdefghijklmnopqrstuvwxyz234567") for name in names)
