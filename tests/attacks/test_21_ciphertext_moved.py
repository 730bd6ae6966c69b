"""Attack 21: a stored value is copied to another place, and is believed there.

A value opens only where it was written: same controller, pseudonym, epoch, measurement, field, time and revision.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from gateway.crypto import envelope
from gateway.crypto.derive import KEY_BYTES
from gateway.errors import VerificationFailed
from gateway.keys.handle import SeriesKey, SubjectKey, encode_values
from gateway.model.ids import Incarnation, KeyEpoch, KeyId, Pseudonym, new_id, parse_controller, parse_device
from gateway.model.sealed import SealedPoint, Series
from tests.world import World

TIME, EPOCH, FIELD = 1_780_000_000_000_000_000, KeyEpoch(676), "s_1d"
PLAIN = bytes(20)
SECRET = b"\x05" * KEY_BYTES


def key(*, controller: str = "one", key_class: str = "telemetry", version: int = 1) -> SubjectKey:
    """A subject's key; the same secret whatever else changes, so that only the place differs."""
    return SubjectKey(
        SECRET,
        controller=parse_controller(controller),
        incarnation=Incarnation(new_id()),
        key_class=key_class,
        version=version,
        base=600,
        key_id=KeyId(new_id()),
    )


def series(device: str = "d", epoch: KeyEpoch = EPOCH, domain: str = "store", **place: object) -> SeriesKey:
    return key(**place).series(parse_device(device), epoch, area="SE3", domain=domain)  # type: ignore[arg-type]


MOVES: dict[str, Callable[[str], bytes]] = {
    "controller": lambda value: series(controller="two").open(FIELD, TIME, 0, value),
    "pseudonym": lambda value: series(device="e").open(FIELD, TIME, 0, value),
    "epoch": lambda value: series(epoch=KeyEpoch(EPOCH + 1)).open(FIELD, TIME, 0, value),
    "domain": lambda value: series(domain="partner").open(FIELD, TIME, 0, value),
    "measurement": lambda value: series(key_class="billing").open(FIELD, TIME, 0, value),
    "version": lambda value: series(version=2).open(FIELD, TIME, 0, value),
    "field": lambda value: series().open("s_1e", TIME, 0, value),
    "time": lambda value: series().open(FIELD, TIME + 1, 0, value),
    "revision": lambda value: series().open(FIELD, TIME, 1, value),
}


def test_it_opens_where_it_was_written() -> None:
    (value,) = encode_values([series().seal(FIELD, TIME, 0, PLAIN)])
    assert series().open(FIELD, TIME, 0, value) == PLAIN


@pytest.mark.parametrize("move", MOVES)
def test_it_does_not_open_elsewhere(move: str) -> None:
    (value,) = encode_values([series().seal(FIELD, TIME, 0, PLAIN)])
    with pytest.raises(VerificationFailed, match="a stored reading does not open"):
        MOVES[move](value)


PLACE: dict[str, object] = {
    "controller": parse_controller("one"),
    "domain": "store",
    "name": Pseudonym("p"),
    "epoch": EPOCH,
    "version": 1,
    "measurement": "telemetry",
    "schema": 1,
}
OTHER: dict[str, object] = {
    "controller": parse_controller("two"),
    "domain": "partner",
    "name": Pseudonym("q"),
    "epoch": EPOCH + 1,
    "version": 2,
    "measurement": "billing",
    "schema": 2,
}


def placed(place: dict[str, object]) -> SeriesKey:
    """One and the same key, said to stand elsewhere."""
    name, common = place["name"], {part: value for part, value in place.items() if part != "name"}
    series = Series("telemetry", name, "SE3", KeyId(b""))  # type: ignore[arg-type]
    return SeriesKey(series, SECRET, envelope.SeriesPlace(**common))  # type: ignore[arg-type]


@pytest.mark.parametrize("part", PLACE)
def test_it_does_not_open_elsewhere_under_the_same_key(part: str) -> None:
    """Most of a place is in the key as well: that alone would do, and so must what the seal is bound to."""
    sealed, elsewhere = placed(PLACE).seal(FIELD, TIME, 0, PLAIN), PLACE | {part: OTHER[part]}
    assert placed(PLACE).open(FIELD, TIME, 0, *encode_values([sealed])) == PLAIN
    (moved,) = encode_values([sealed], schema=int(str(elsewhere["schema"])))  # which a value itself says, too
    with pytest.raises(VerificationFailed, match="a stored reading does not open"):
        placed(elsewhere).open(FIELD, TIME, 0, moved)


def test_every_bit_counts() -> None:
    (value,) = encode_values([series().seal(FIELD, TIME, 0, PLAIN)])
    for place, letter in enumerate(value):
        other = value[:place] + ("A" if letter != "A" else "B") + value[place + 1 :]
        with pytest.raises(VerificationFailed):
            series().open(FIELD, TIME, 0, other)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE point SET time = time + 1000000 WHERE time = {time}",
        "UPDATE point SET value = (SELECT value FROM point WHERE time <> {time} LIMIT 1) WHERE time = {time}",
        "UPDATE field SET name = 's_2' WHERE name = 's_1'",
        "UPDATE series SET pseudonym = CASE pseudonym WHEN '{one}' THEN '{two}' ELSE '{one}' END",
    ],
)
def test_a_read_of_a_changed_store_fails(world: World, sql: str) -> None:
    """Not a row less, not a wrong value: the read says that something was changed."""
    world.enrol("anna", "meter-1")
    world.enrol("bert", "meter-2")
    now = world.clock.wall() // 10**6 * 10**6
    points: list[SealedPoint] = []
    for device in ("meter-1", "meter-2"):
        points += world.publish(device, now, temperature=21.5).points
        points += world.publish(device, now - 10**9, temperature=19).points
    one, two = (points[0].series.pseudonym, points[2].series.pseudonym)
    assert len(world.read("anna")) == 2
    with sqlite3.connect(world.directory / "readings.db") as db:
        db.executescript("PRAGMA ignore_check_constraints=1;" + _swapped(sql, one, two, now))
    with pytest.raises(VerificationFailed):
        world.read("anna")


def _swapped(sql: str, one: str, two: str, time: int) -> str:
    """Two series exchange their names in steps, since a name is unique."""
    if "CASE" not in sql:
        return sql.format(time=time, one=one, two=two)
    steps = ((one, "x"), (two, one), ("x", two))
    return ";".join(f"UPDATE series SET pseudonym = '{new}' WHERE pseudonym = '{old}'" for old, new in steps)  # noqa: S608
