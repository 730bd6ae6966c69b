"""The control role: what a failed act leaves, and key stores that do not belong to their ledger."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.control.purge import find
from gateway.errors import CustodianFault, IntegrityStop, KeyDestroyed, Refused, Unreachable
from gateway.keys.keyfile import FileCustodian
from gateway.keystore import acts
from gateway.keystore.database import KeyStore, Transaction
from tests.copies import emptied, imaged, put_back
from tests.unit.control.processes import open_erasures
from tests.unit.control.test_erasure import ledger_lines, lineage_and_incarnation, phases, subject
from tests.world import World

pytestmark = pytest.mark.both_key_stores


class Defect(Exception):
    """Something that goes wrong in the middle of an act."""


def test_an_act_that_fails_is_rolled_back_and_told(world: World) -> None:
    world.enrol("anna", "meter-1")
    _lineage, incarnation = lineage_and_incarnation(world, "anna")

    def fails() -> None:
        with world.control.act("enrol") as act:
            act.tx.exec_driver_sql("DELETE FROM records")
            raise Defect

    with pytest.raises(Defect):
        fails()
    assert phases(world)[-2:] == [("enrol", "intent", None), ("enrol", "outcome", "failed")]
    assert len(world.read("anna")) == 0
    assert lineage_and_incarnation(world, "anna")[1] == incarnation


def test_a_failed_act_whose_outcome_was_lost_is_closed_as_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol("anna", "meter-1")
    append = world.ledger.append

    def full(act: str, phase: str, **body: object) -> int:
        if phase == "outcome":
            raise Unreachable("the ledger cannot be written")
        return append(act, phase, **body)  # type: ignore[arg-type]

    for name in ("enrol", "erase"):
        with monkeypatch.context() as patch:
            patch.setattr(world.ledger, "append", full)
            with pytest.raises(Unreachable), world.control.begin(name, erasure="ab" * 16, incarnation="cd" * 16):
                raise Defect
        fresh = World(world.directory)
        fresh.control.check()
        assert phases(fresh)[-1] == (name, "outcome", "failed")
        fresh.erasures.resume()
        assert open_erasures(fresh) == 0
        assert len(fresh.read("anna")) == 0
        fresh.close()


def test_a_done_act_whose_outcome_was_lost_is_closed_as_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    append = world.ledger.append

    def full(act: str, phase: str, **body: object) -> int:
        if act == "enrol" and phase == "outcome":
            raise Unreachable("the ledger cannot be written")
        return append(act, phase, **body)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "append", full)
        with pytest.raises(Unreachable):
            world.enrol("anna", "meter-1")
    assert world.enrol("anna", "meter-1").already == 1
    assert phases(world)[1] == ("enrol", "outcome", "done")
    told = next(line for line in ledger_lines(world.directory) if line["act"] == "enrol" and line["phase"] == "outcome")
    assert told["incarnations"] == [lineage_and_incarnation(world, "anna")[1].hex()]
    assert isinstance(told["routes"], list)
    assert len(told["routes"]) == 1
    assert world.sql("SELECT count(*) FROM acts WHERE outcome IS NOT NULL") == [(1,)], "the newest one's alone"


def test_an_intent_that_never_reached_the_key_store_is_abandoned(world: World) -> None:
    world.enrol("anna", "meter-1")
    with world.ledger.locked():
        world.ledger.append("enrol", "intent", access="0" * 64)
    world.control.check()
    assert phases(world)[-1] == ("enrol", "outcome", "abandoned")
    world.control.check()
    world.enrol("bo", "meter-2")
    fresh = World(world.directory)
    fresh.control.check()
    fresh.close()


def test_an_act_whose_commit_was_not_heard_of_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that goes away between its commit and the answer: who asked cannot tell, the next act can."""
    act = KeyStore.act

    @contextlib.contextmanager
    def cut_off(keystore: KeyStore) -> Iterator[Transaction]:
        monkeypatch.setattr(KeyStore, "act", act)
        with act(keystore) as tx:
            yield tx
        raise Unreachable("the key store does not answer")

    monkeypatch.setattr(KeyStore, "act", cut_off)
    with pytest.raises(Unreachable):
        world.enrol("anna", "meter-1")
    assert world.enrol("anna", "meter-1").already == 1
    assert [line for line in phases(world) if line[0] == "enrol"][-4:] == [
        ("enrol", "intent", None),
        ("enrol", "outcome", "done"),
        ("enrol", "intent", None),
        ("enrol", "outcome", "done"),
    ]


def test_a_restored_key_store_is_refused_in_everything(world: World, tmp_path: Path) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.ring.leave()
    world._registered = False
    copy = imaged(world, tmp_path / "copy")
    world.erase("anna")
    world.keystore.close()
    put_back(copy, world.directory)
    restored = World(world.directory)
    for act in (restored.control.check, lambda: restored.enrol("bo", "meter-2"), restored.erasures.resume):
        with pytest.raises(IntegrityStop, match="older than its ledger") as stop:
            act()
        assert stop.value.exit_code == 9
    restored.close()


@pytest.mark.parametrize("first", ["anna", "bo"])
def test_what_was_done_within_a_long_act_shows_that_a_key_store_was_set_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Its custodian's mark with it. Two erasures overlap; the one that the copy knows ends last, or first."""
    for name, meter in (("anna", "meter-1"), ("bo", "meter-2")):
        world.enrol(name, meter)
    begun = {"anna": world.erasures.begin(*subject("anna"))}
    copy = imaged(world, tmp_path / "copy")
    world.enrol("cia", "meter-3")
    monkeypatch.setattr(world.store, "delete", away)  # so that no further act follows
    begun["bo"] = world.erasures.begin(*subject("bo"))
    for name in (first, *begun.keys() - {first}):
        world.erasures.finish(begun[name], started=0)
    refused_with_its_mark(world, copy)


def test_a_long_act_that_the_key_store_heard_of_late_shows_it_too(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between intent and transaction; the copy knows what came after, and not what was carried on with later."""
    for name, meter in (("anna", "meter-1"), ("bo", "meter-2")):
        world.enrol(name, meter)
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "append", cut_off_after(world.ledger.append, patch))
        with pytest.raises(Defect):
            world.erasures.begin(*subject("anna"))
    later = world.erasures.begin(*subject("bo"))
    copy = imaged(world, tmp_path / "copy")
    monkeypatch.setattr(world.store, "delete", away)  # so that no further act follows
    world.erasures.resume()
    told = [line.get("intent") for line in ledger_lines(world.directory) if line["phase"] == "outcome"]
    assert told[-2:] == [5, find(world.control, later).seq], "the copy knows the newest of them"
    refused_with_its_mark(world, copy)


def cut_off_after(append: Callable[..., int], patch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The process ends as the next line is durable."""

    def cut_off(act: str, phase: str, **body: object) -> int:
        append(act, phase, **body)
        patch.undo()
        raise Defect

    return cut_off


def away(*_args: object) -> int:
    raise Unreachable("the store is away")


def refused_with_its_mark(world: World, copy: Path) -> None:
    """The copy's key store and its custodian's mark beside the ledger as it is: nothing is served."""
    world.keystore.close()
    put_back(copy, world.directory)
    for file in (copy / "kek").glob("mark-*"):
        shutil.copy(file, world.directory / "kek")
    with closing(World(world.directory)) as restored:
        for act in (restored.control.check, lambda: restored.enrol("dag", "meter-4"), restored.erasures.resume):
            with pytest.raises(IntegrityStop, match="older than its ledger"):
                act()


def test_a_new_key_store_beside_an_old_ledger_is_refused(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.keystore.close()
    emptied(world.directory)
    fresh = World(world.directory)
    with pytest.raises(IntegrityStop, match="older than its ledger"):
        fresh.enrol("anna", "meter-1")
    fresh.close()


def test_the_role_is_refused_in_the_transaction_too(world: World) -> None:
    world.enrol("anna", "meter-1")
    with pytest.raises(Refused, match="another ledger"), world.keystore.act() as tx:
        acts.take_role(tx, b"\0" * 16)


def test_every_act_takes_the_next_token(world: World) -> None:
    tokens = []
    for _ in range(3):
        with world.control.act("enrol") as act:
            tokens.append(act.tx.exec_driver_sql("SELECT token FROM state").scalar())
    assert tokens == [1, 2, 3]


def test_intents_anchor_the_access_log(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.read("anna")
    with world.keystore.snapshot() as tx:
        head = acts.access_head(tx)
    world.erase("anna")
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    intents = [line for line in ledger_lines(world.directory) if line["phase"] == "intent"]
    assert [line["access"] for line in intents][:2] == ["0" * 64, head.hex()]


def test_key_store_and_ledger_restored_together_are_behind_the_custodians_mark(world: World) -> None:
    world.enrol("anna", "meter-1")
    copy = imaged(world, world.directory.parent / "copy", without="kek")
    world.enrol("bo", "meter-2")
    shutil.copytree(world.directory / "kek", copy / "kek")
    restored = World(copy)
    with pytest.raises(IntegrityStop, match="was restored from a copy") as stop:
        restored.control.check()
    assert stop.value.exit_code == 9
    assert "keys recover" in stop.value.hint
    restored.close()


def test_a_custodian_that_is_away_leaves_the_mark_behind_and_refuses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enrol("anna", "meter-1")
    before = world.custodian.mark(world.ledger.id)

    def away(*_args: object) -> None:
        raise CustodianFault("the custodian is away")

    with monkeypatch.context() as patch:
        patch.setattr(FileCustodian, "set_mark", away)
        world.enrol("anna", "meter-2")
    assert world.custodian.mark(world.ledger.id) == before
    world.control.check()
    world.enrol("anna", "meter-3")
    after = world.custodian.mark(world.ledger.id)
    assert after is not None
    assert before is not None
    assert after.seq == world.ledger.head.seq - 1 > before.seq


def test_a_ledger_that_went_another_way_is_forked(world: World) -> None:
    world.enrol("anna", "meter-1")
    mark = world.custodian.mark(world.ledger.id)
    assert mark is not None
    (file,) = (world.directory / "kek").glob("mark-*")
    file.write_text(file.read_text().replace(mark.hash, "0" * 64))
    with pytest.raises(IntegrityStop, match="the ledger was forked"):
        world.control.check()


@pytest.mark.both_key_stores
def test_what_an_act_asks_the_key_store_does_not_grow_with_what_is_open(world: World) -> None:
    """Each of many erasures takes ten acts; where each asked for every other one, 300 took a minute."""
    asked = []
    for count in (1, 9):
        for number in range(count):
            world.enrol(f"anna-{count}-{number}", f"meter-{count}-{number}")
            world.erasures.begin(*subject(f"anna-{count}-{number}"))
        statements = list[str]()
        with counted(world, statements):
            world.control.check()
        asked.append(len(statements))
    assert asked[0] == asked[1] > 0


@contextlib.contextmanager
def counted(world: World, statements: list[str]) -> Iterator[None]:
    """What is asked of the key store meanwhile."""
    engine = world.keystore._backend.engine

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
