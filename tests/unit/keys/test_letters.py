"""Whose key a dead letter is under, and that nobody else's opens it."""

from __future__ import annotations

import msgspec
import pytest

from gateway.errors import KeyDestroyed, KeyMissing, Refused, VerificationFailed
from gateway.keys.letters import open_letters
from gateway.keys.operations import NoOperationsKey
from gateway.keystore import lineages
from gateway.model.dead import DeadLetter, LetterKind, day_of
from gateway.model.ids import KeyId, parse_controller, parse_device
from gateway.model.letter import Letter
from gateway.model.sealed import Reason
from gateway.transport.letters import EVERY
from tests.suspension import resume, suspend
from tests.world import CANARY, CONTROLLER, DAY, Message, World, message, topic


def broken(device: str = "meter-1", text: bytes = b"{broken", *, controller: str = CONTROLLER) -> Message:
    return Message(topic(device, controller=controller), text, "application/json")


def opened(world: World, *letters: DeadLetter) -> list[object]:
    world.ring.poll()
    with world.ring.using():
        found = open_letters(world.ring, letters)
    return [Letter.decode(one) if isinstance(one, bytes) else type(one) for one in found]


def test_a_letter_of_an_enrolled_device_is_under_its_customers_key_and_comes_back_whole(world: World) -> None:
    world.enrol("anna", "meter-1")
    sent = broken()
    (letter,) = world.refuse(sent)
    assert (letter.kind, letter.reason, letter.controller) == (LetterKind.MESSAGE, Reason.MALFORMED, CONTROLLER)
    assert letter.dead == b""
    assert opened(world, letter) == [
        Letter(Reason.MALFORMED, letter.arrived, sent.topic, sent.payload, sent.content_type)
    ]
    assert world.leaks("broken") == []


def test_every_reason_but_erased_is_kept(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    sent = [
        broken(),
        broken("meter-9"),
        Message("glomska/heat-co//readings", b'{"time":1,"power":1}'),
        Message(topic("meter-1"), b" " * 300_000),
        Message(topic("meter-1"), b'{"temperature":1}'),
        message("meter-1", now, nonsense=1.0),
        message("meter-1", now, temperature=1e9),
        message("meter-1", now + DAY, temperature=1.0),
        Message(topic("meter-1"), b'{"time":1,"temperature":1}'),
        Message(topic("meter-1"), b'{"time":%d,"temperature":1e999}' % (now // 1_000_000)),
    ]
    kept = [letter.reason for letter in world.refuse(*sent)]
    assert sorted(kept) == sorted(
        [
            Reason.MALFORMED,
            Reason.MALFORMED,
            Reason.TOPIC,
            Reason.TOO_LARGE,
            Reason.NO_TIME,
            Reason.UNKNOWN_QUANTITY,
            Reason.RANGE,
            Reason.FUTURE,
            Reason.TOO_OLD,
            Reason.NON_FINITE,
        ]
    )
    world.erase("anna")
    assert world.refuse(message("meter-1", now, temperature=1.0), broken()) == [], "erased: counted and never kept"


def test_a_letter_of_nobody_known_is_under_the_days_key_and_found_by_its_hash(world: World) -> None:
    world.enrol("anna", "meter-1")
    (letter,) = world.refuse(broken("meter-9"))
    (nameless,) = world.refuse(Message("glomska/x", b"?"))
    assert (letter.kind, nameless.kind) == (LetterKind.UNATTRIBUTED, LetterKind.UNATTRIBUTED)
    assert nameless.dead == b""
    with world.ring.using(), world.keystore.snapshot() as tx:
        lineage = world.ring.lineage(tx, parse_controller(CONTROLLER))
        assert lineage is not None
        (key,) = lineage.operations_keys(tx, day_of(letter.arrived))
    assert letter.key_id == nameless.key_id == key.key_id
    assert letter.dead == key.dead_hash(parse_controller(CONTROLLER), parse_device(CANARY + "meter-9"))
    assert isinstance(opened(world, letter)[0], Letter)


def test_letters_for_a_controller_that_is_not_known_are_the_first_ones(world: World) -> None:
    world.enrol("anna", "meter-1")
    (letter,) = world.refuse(broken("meter-1", controller="somebody"))
    assert (letter.controller, letter.reason) == (CONTROLLER, Reason.MALFORMED)
    assert len(letter.dead) == 32
    assert letter.dead != world.refuse(broken("meter-9"))[0].dead


def test_without_any_controller_or_key_of_the_day_nothing_is_sealed(world: World) -> None:
    with pytest.raises(NoOperationsKey):
        world.refuse(broken())
    world.enrol("anna", "meter-1")
    world.operations.tend()
    with world.keystore.act() as tx:
        for secret in lineages.secrets_of(tx, "operations"):
            lineages.delete_secret(tx, secret.key_id)
    world.ring.poll()
    world.register()
    with world.ring.using(), pytest.raises(NoOperationsKey) as missing:
        world.ring.operations_key(parse_controller(CONTROLLER), day_of(world.clock.wall()))
    assert "doctor" in missing.value.hint
    assert world.letters.find(EVERY) == []


def test_a_suspended_customers_letters_wait_under_their_key_and_open_when_they_are_resumed(world: World) -> None:
    world.enrol("anna", "meter-1")
    suspend(world)
    (letter,) = world.refuse(message("meter-1", world.clock.wall(), temperature=20.0))
    assert (letter.kind, letter.reason) == (LetterKind.MESSAGE, Reason.SUSPENDED)
    assert opened(world, letter) == [Refused]
    resume(world)
    assert isinstance(opened(world, letter)[0], Letter)


def test_a_device_that_changed_hands_is_nobodys_but_both_erasures_find_its_letters(world: World) -> None:
    now = world.clock.wall()
    world.enrol("anna", "meter-1", since=now - 20 * DAY)
    world.erase("anna")
    world.enrol("bo", "meter-1", since=world.clock.wall() + 1)
    (letter,) = world.refuse(broken())
    assert letter.kind is LetterKind.UNATTRIBUTED
    world.erase("bo")
    assert world.letters.find(EVERY) == []


def test_it_opens_nowhere_else(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    (one, other), (day, _) = world.refuse(broken(), broken("meter-2")), world.refuse(broken("x"), broken("y"))
    moved = [
        msgspec.structs.replace(one, key_id=other.key_id),
        msgspec.structs.replace(one, letter_id=other.letter_id),
        msgspec.structs.replace(one, arrived=one.arrived + 40 * DAY),
        msgspec.structs.replace(day, letter_id=one.letter_id),
        msgspec.structs.replace(day, sealed=bytes(len(day.sealed))),
    ]
    assert opened(world, *moved) == [VerificationFailed] * 5
    gone = msgspec.structs.replace(day, arrived=day.arrived - 9 * DAY)
    strange = msgspec.structs.replace(one, key_id=KeyId(bytes(16)))
    assert opened(world, gone, strange) == [KeyDestroyed, KeyMissing]


def test_after_an_erasure_a_letter_opens_for_nobody_and_is_purged(world: World) -> None:
    world.enrol("anna", "meter-1")
    (later,) = world.refuse(broken("meter-2"))
    world.enrol("bo", "meter-2")
    (mine,) = world.refuse(broken())
    (other,) = world.refuse(broken("meter-3"))
    world.erase("anna")
    world.erase("bo")
    assert world.letters.find(EVERY) == [other], "also what came before the device was enrolled"
    assert opened(world, mine) == [KeyDestroyed]
    assert world.letters.add([mine, later]) == 0, "a worker that was late brings nothing back"


def test_of_another_controllers_device_what_came_before_it_was_known_is_found_too(world: World) -> None:
    world.enrol("anna", "meter-1")
    (letter,) = world.refuse(broken("meter-7", controller="second"))
    assert letter.controller == CONTROLLER
    world.enrol("bo", "meter-7", controller="second")
    world.erase("bo", controller="second")
    assert world.letters.find(EVERY) == []
