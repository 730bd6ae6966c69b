"""Attack 2: a line is added to the ledger that announces an act, and a gateway that carries on with it does it.

Who may write to the file can count hashes and cannot sign. An erasure, a turnover or an exit that the key store has
never heard of is carried on with where the ledger's own key has signed it, and else stops everything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import rfc8785

from gateway.control.chain import EXIT, ROTATE, TURNOVER, Value, chained
from gateway.control.role import ERASE
from gateway.crypto import signing
from gateway.errors import IntegrityStop
from gateway.model.ids import epoch_of
from tests.unit.control.test_controllers import controllers
from tests.unit.control.test_erasure import ledger_lines, lineage_and_incarnation
from tests.world import CONTROLLER, World

pytestmark = pytest.mark.both_key_stores

ACTS = [ERASE, EXIT, TURNOVER]


def added(world: World, body: dict[str, Value], sign: Callable[[bytes], str] | None = None) -> None:
    """A line as whoever may write to the file adds it."""
    last = ledger_lines(world.directory)[-1]
    placed: dict[str, Value] = {"seq": int(str(last["seq"])) + 1, "prev": str(last["hash"]), "time": str(last["time"])}
    with Path(world.ledger.path).open("ab") as file:
        file.write(rfc8785.dumps(chained({**body, **placed}, sign).body) + b"\n")


def announced(world: World, act: str) -> dict[str, Value]:
    """An intent that has anna, or more, destroyed."""
    _lineage, incarnation = lineage_and_incarnation(world, "anna")
    bodies: dict[str, dict[str, Value]] = {
        ERASE: {"incarnation": incarnation.hex(), "erasure": "ab" * 16, "holds": [], "laws": []},
        EXIT: {"controller": CONTROLLER, "holds": 0},
        TURNOVER: {"controller": CONTROLLER, "e": 2, "horizons": [f"telemetry={epoch_of(world.clock.wall()) + 1}"]},
    }
    return {"act": act, "phase": "intent", "access": "0" * 64, **bodies[act]}


def carried_on(world: World) -> None:
    """What `run` does once a second."""
    for duty in (world.erasures.resume, world.turnovers.tick, controllers(world).resume):
        with contextlib.suppress(IntegrityStop):
            duty()


@pytest.fixture
def lived(world: World) -> World:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.ring.leave()
    world._registered = False
    return world


def of_keys(world: World) -> list[tuple[object, ...]]:
    return world.sql("SELECT state, e FROM keys ORDER BY key_id")


@pytest.mark.parametrize("act", ACTS)
def test_what_nobody_signed_is_not_carried_on_with(lived: World, act: str) -> None:
    before = of_keys(lived)
    added(lived, announced(lived, act))
    carried_on(lived)
    assert of_keys(lived) == before
    assert len(lived.read("anna")) == 1
    with pytest.raises(IntegrityStop, match=f"announces an act \\({act}\\) that nobody here signed") as stop:
        lived.control.check()
    assert "ledger disown" in stop.value.hint


@pytest.mark.parametrize("brought", ["lost", "vouched", "known"])
def test_a_key_that_the_forger_brings_signs_nothing(lived: World, brought: str) -> None:
    """A rotation that nobody else signed: to a key that is said to be lost, or as if the key before had vouched."""
    before, private = of_keys(lived), signing.make_key()
    public = signing.public_of(private)
    rotation: dict[str, Value] = {"act": ROTATE, "phase": "outcome", "key": public}
    rotation |= {} if brought == "vouched" else {"lost": "yes"}
    rotation |= {"intent": 1, "result": "done"} if brought == "known" else {}
    added(lived, rotation, lambda data: signing.sign(private, data))
    added(lived, announced(lived, ERASE), lambda data: signing.sign(private, data))
    carried_on(lived)
    assert of_keys(lived) == before
    with pytest.raises(IntegrityStop, match=r"no act announced|signature of line 4 of the ledger does not hold"):
        lived.control.check()
