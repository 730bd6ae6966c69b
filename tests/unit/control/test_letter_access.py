"""A dead letter is opened for a purpose that sees whole messages, and who was looked at is in the access log."""

from __future__ import annotations

import sqlite3

import pytest

from gateway.errors import KeyDestroyed, Refused
from gateway.model.ids import NO_INCARNATION
from tests.suspension import suspend
from tests.world import CONTROLLER, Message, World, topic


def accesses(world: World) -> list[tuple[object, ...]]:
    with sqlite3.connect(world.directory / "keys.db") as db:
        return db.execute("SELECT purpose, controller, readings, incarnation FROM accesses").fetchall()


def broken(device: str) -> Message:
    return Message(topic(device), b"{broken", "application/json")


def test_a_letter_is_opened_for_support_and_logged(world: World) -> None:
    world.enrol("anna", "meter-1")
    (letter,) = world.refuse(broken("meter-1"))
    opened = world.access.letter(letter, purpose="support")
    assert (opened.topic, opened.payload, opened.content_type) == (topic("meter-1"), b"{broken", "application/json")
    ((purpose, controller, readings, whose),) = accesses(world)
    assert (purpose, controller, readings) == ("support", CONTROLLER, 1)
    assert whose != NO_INCARNATION
    assert "kanarief" not in repr(opened)
    assert world.leaks("broken") == []


def test_one_of_nobody_known_too(world: World) -> None:
    world.enrol("anna", "meter-1")
    (letter,) = world.refuse(broken("meter-9"))
    assert world.access.letter(letter, purpose="support").topic == topic("meter-9")
    assert accesses(world) == [("support", CONTROLLER, 1, NO_INCARNATION)]


@pytest.mark.parametrize(
    ("purpose", "why"),
    [
        ("development", "whole message"),
        ("security", "whole message"),
        ("curiosity", "not declared"),
    ],
)
@pytest.mark.parametrize("device", ["meter-1", "meter-9"])
def test_other_purposes_are_refused(world: World, purpose: str, why: str, device: str) -> None:
    world.enrol("anna", "meter-1")
    (letter,) = world.refuse(broken(device))
    with pytest.raises(Refused, match=why):
        world.access.letter(letter, purpose=purpose)
    assert accesses(world) == []


def test_nothing_is_opened_of_the_suspended_or_the_erased(world: World) -> None:
    world.enrol("anna", "meter-1")
    (letter,) = world.refuse(broken("meter-1"))
    suspend(world)
    with pytest.raises(Refused, match="suspended"):
        world.access.letter(letter, purpose="support")
    world.erase("anna")
    with pytest.raises(KeyDestroyed):
        world.access.letter(letter, purpose="support")
    assert accesses(world) == []
