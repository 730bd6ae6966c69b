"""Attack 3: a message that comes after the erasure brings the customer back.

A broker delivers again what was not acknowledged, and what it retains; a device that slept for a week sends what it
kept. After an erasure each of these is `erased`: counted, acknowledged, and nothing else.
"""

from __future__ import annotations

import sqlalchemy as sa

from gateway.keystore import schema
from gateway.model.sealed import Reason
from tests.world import DAY, World, message


def counts(world: World) -> dict[str, int]:
    """Rows that would have to grow for anybody to come back."""
    with world.keystore.snapshot() as tx:
        return {
            table.name: tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in (schema.incarnations, schema.keys, schema.routes, schema.records)
        }


def test_redelivered_after_erasure(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    now = world.clock.wall()
    messages = [message(f"meter-{1 + n % 2}", now - n * 60 * 10**9, temperature=21.5, energy=n) for n in range(200)]
    world.store.write(world.process(*messages).points)
    assert len(world.points()) == len(messages)

    world.erase("anna")
    before = counts(world)
    again = world.process(*messages, message("meter-1", now - 3 * DAY, power=900))

    assert again.points == []
    assert again.refusals.readings == {Reason.ERASED: 2 * len(messages) + 1}
    assert set(again.refusals.message.values()) == {Reason.ERASED}
    assert len(again.refusals.message) == len(messages) + 1
    assert counts(world) == before
    assert before["routes"] == before["records"] == 0
    assert world.points() == []


def test_a_new_process_refuses_too(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.erase("anna")
    other = World(world.directory)
    assert other.publish("meter-1", temperature=21.5).refusals.readings == {Reason.ERASED: 1}
    other.close()


def test_enrolment_does_not_bring_back(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.erase("anna")
    before = counts(world)
    assert world.enrol("anna", "meter-1").refused == [(2, "erased")]
    assert world.enrol("anna", "meter-3").refused == [(2, "erased")]
    assert world.enrol("bert", "meter-1").refused == [(2, "erased")]  # for a time when it was anna's
    assert counts(world) == before


def test_next_tenant_gets_only_what_is_theirs(world: World) -> None:
    world.enrol("anna", "meter-1")
    before_moving = world.clock.wall() - DAY
    world.erase("anna")
    moved_in = world.clock.wall()
    assert world.enrol("bert", "meter-1", since=moved_in).enrolled == 1
    assert world.publish("meter-1", before_moving, temperature=20).refusals.readings == {Reason.ERASED: 1}
    assert len(world.publish("meter-1", moved_in + 10**9, temperature=20).points) == 1
    assert len(world.read("bert")) == 1
