"""Seal: one field for all sealed quantities of a row, clear ones beside it, the same bytes for the same reading."""

from __future__ import annotations

import base64

import pytest

from gateway.model.sealed import SealedPoint
from gateway.pipeline import seal
from tests.unit.policies import with_modes
from tests.world import CANARY, World, message

MS = 1_000_000


def sealed(world: World, at: int, **readings: float) -> SealedPoint:
    (point,) = world.process(message("meter-1", at, **readings)).points
    return point


def test_the_field_names_the_set_and_the_revision(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    assert sealed(world, now, temperature=1, humidity=2, power=3, energy=4).field == "s_1d"
    assert sealed(world, now, battery=1).field == "s_80"
    assert sealed(world, now, battery=1, rev=7).field == "s_80_r7"


def test_the_same_reading_gives_the_same_bytes_and_another_does_not(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    first = sealed(world, now, temperature=20.0)
    assert sealed(world, now, temperature=20.0) == first
    assert sealed(world, now, temperature=20.001).value == first.value, "finer than declared is the same reading"
    others = [
        sealed(world, now, temperature=20.01),
        sealed(world, now + MS, temperature=20.0),
        sealed(world, now, temperature=20.0, rev=1),
    ]
    assert len({first.value, *(p.value for p in others)}) == 4


def test_the_length_says_which_quantities_and_not_how_much(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    assert len({len(sealed(world, now, power=p, energy=p).value) for p in (0, 1, 999_999)}) == 1
    raw = base64.urlsafe_b64decode(sealed(world, now, power=0, energy=0).value + "==")
    assert len(raw) == 2 + 4 + 8 + 16


def test_rows_of_many_sets_and_revisions_keep_their_owners(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall() // MS * MS
    sent = [
        message("meter-1", now + n * MS, rev=n % 3, **({"power": n} if n % 2 else {"temperature": n, "valve": n}))
        for n in range(50)
    ]
    done = world.process(*sent)
    assert sorted(done.owners) == list(range(50))
    for point, owner in zip(done.points, done.owners, strict=True):
        assert point.time == now + owner * MS
        assert point.field == ("s_8" if owner % 2 else "s_41") + (f"_r{owner % 3}" if owner % 3 else "")
    world.store.write(done.points)
    read = world.read("anna")
    assert {(t, q): v for t, q, v in zip(read.time.tolist(), read.quantity, read.value.tolist(), strict=True)} == {
        (now + n * MS, quantity): float(n)
        for n in range(50)
        for quantity in (("power",) if n % 2 else ("temperature", "valve"))
    }


def test_clear_quantities_stand_beside_rounded_and_dropped_ones_nowhere(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = World(
        tmp_path_factory.mktemp("clear") / "state", policy=with_modes(power="clear", humidity="clear", valve="drop")
    )
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    both = sealed(world, now, temperature=20.0, power=-12.5, humidity=40.25, valve=10, rev=2)
    assert both.field == "s_1_r2"
    assert both.clear == (("humidity_r2", 40.2), ("power_r2", -12.0))
    alone = sealed(world, now, power=3)
    assert (alone.field, alone.value, alone.clear) == ("", "", (("power", 3.0),))
    world.close()


def test_no_more_sets_are_remembered_than_that(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "_SHAPES_KEPT", 3)
    world.enrol("anna", "meter-1")
    names = ["temperature", "humidity", "power", "energy", "valve", "battery"]
    for name in names * 2:
        world.publish("meter-1", **{name: 1})
    assert len(world.chain.seal._shapes) == 3
    assert sorted(set(world.read("anna").quantity)) == sorted(names)


def test_a_point_shows_nobody(world: World) -> None:
    world.enrol("anna", "meter-1")
    point = sealed(world, world.clock.wall(), temperature=20.0)
    assert CANARY not in repr(point)
    assert "20.0" not in repr(point)
