"""Sessions on disk: who is there, who is left behind, and what a session gives up."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Unreachable
from gateway.runtime.roll import ALONE, Entry, Roll, Seat

BROKER, BASE = "broker:1883", "glomska-1"


def entry(seat: Seat = ALONE, *, controller: str | None = None, topics: tuple[str, ...] = ("a/+",)) -> Entry:
    own = seat.client_id(BASE)
    return Entry(
        broker=BROKER,
        base=BASE,
        client_id=own if controller is None else f"{own}-{controller}",
        worker=seat.number,
        controller=controller,
        filters=seat.shared("glomska", topics),
    )


def left(roll: Roll, seat: Seat, *, base: str = BASE, broker: str = BROKER, per_controller: bool = False) -> list[str]:
    found = roll.left_behind(broker=broker, base=base, seat=seat, per_controller=per_controller)
    return sorted(one.client_id for one in found)


@pytest.fixture
def roll(tmp_path: Path) -> Roll:
    made = Roll(tmp_path / "sessions")
    for number in (1, 2, 3):
        made.enter(entry(Seat(number, 3)))
    return made


def test_who_alone_has_the_name_and_shares_nothing() -> None:
    assert (ALONE.client_id("g"), ALONE.shared("group", ["a/+"]), ALONE.leads) == ("g", ("a/+",), True)
    second = Seat(2, 3)
    assert (second.client_id("g"), second.shared("group", ["a/+"])) == ("g-2", ("$share/group/a/+",))
    assert not second.leads


@pytest.mark.parametrize(
    ("now", "behind"),
    [
        (Seat(1, 3), []),
        (Seat(1, 4), []),
        (Seat(1, 2), ["glomska-1-3"]),
        (ALONE, ["glomska-1-1", "glomska-1-2", "glomska-1-3"]),
    ],
)
def test_who_is_left_behind(roll: Roll, now: Seat, behind: list[str]) -> None:
    assert left(roll, now) == behind


def test_a_connection_for_each_controller_leaves_the_common_one_behind_and_the_other_way_round(roll: Roll) -> None:
    roll.enter(entry(Seat(1, 3), controller="nordhem"))
    assert left(roll, Seat(1, 3)) == ["glomska-1-1-nordhem"]
    assert left(roll, Seat(1, 3), per_controller=True) == ["glomska-1-1", "glomska-1-2", "glomska-1-3"]


def test_sessions_of_another_gateway_or_broker_are_left_alone(roll: Roll) -> None:
    assert left(roll, ALONE, base="glomska-2") == []
    assert left(roll, ALONE, broker="other:1883") == []


def test_who_is_struck_off_is_gone_and_may_come_back(roll: Roll) -> None:
    third = entry(Seat(3, 3))
    roll.strike(third)
    roll.strike(third)
    assert left(roll, Seat(1, 2)) == []
    assert roll.enter(third) == ()
    assert left(roll, Seat(1, 2)) == ["glomska-1-3"]


def test_a_session_gives_up_what_it_no_longer_subscribes_to(roll: Roll) -> None:
    assert roll.enter(entry(Seat(1, 3), topics=("b/+", "a/+"))) == ()
    assert roll.enter(entry(Seat(1, 3), topics=("b/+",))) == ("$share/glomska/a/+",)


def test_a_file_that_was_cut_before_it_connected_is_as_if_it_were_not_there(roll: Roll, tmp_path: Path) -> None:
    for file in (tmp_path / "sessions").glob("*.json"):
        file.write_bytes(b'{"broker": "bro')
    assert left(roll, ALONE) == []
    assert roll.enter(entry(Seat(1, 3))) == ()


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("")
    with pytest.raises(Unreachable, match="the list of sessions cannot be written"):
        Roll(tmp_path / "sessions").enter(entry())
