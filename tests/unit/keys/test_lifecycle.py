"""Every pair of key states: the table's moves move, all others raise and change nothing; the page shows the table."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from gateway.errors import IllegalMove
from gateway.keys.lifecycle import BIRTHS, MOVES, OPENS, SEALS, KeyState, diagram, move

PAGE = (Path(__file__).parents[3] / "docs/key-states.md").read_text()

ALLOWED = {
    ("pre-activation", "active"),
    ("pre-activation", "deactivated"),
    ("pre-activation", "erasing"),
    ("active", "suspended"),
    ("active", "deactivated"),
    ("active", "compromised"),
    ("active", "erasing"),
    ("suspended", "active"),
    ("suspended", "deactivated"),
    ("suspended", "compromised"),
    ("suspended", "erasing"),
    ("deactivated", "compromised"),
    ("deactivated", "erasing"),
    ("compromised", "deactivated"),
    ("compromised", "erasing"),
    ("erasing", "destroyed"),
}


@pytest.mark.parametrize(("current", "to"), list(product(KeyState, KeyState)), ids=str)
def test_every_pair(current: KeyState, to: KeyState) -> None:
    before = {state: set(targets) for state, targets in MOVES.items()}
    if (current, to) in ALLOWED:
        assert move(current, to) is to
    else:
        with pytest.raises(IllegalMove) as caught:
            move(current, to)
        assert str(caught.value) == f"a key that is {current} cannot become {to}"
        assert caught.value.hint == "`docs/key-states.md` shows the moves that exist"
    assert {state: set(targets) for state, targets in MOVES.items()} == before


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MOVES[KeyState.DESTROYED] = frozenset({KeyState.ACTIVE})  # type: ignore[index]


def test_every_state_can_be_reached_and_every_key_can_end() -> None:
    reached = set(BIRTHS)
    while (further := reached | {to for state in reached for to in MOVES[state]}) != reached:
        reached = further
    assert reached == set(KeyState)
    for state in KeyState:
        ends, frontier = set[KeyState](), {state}
        while frontier:
            ends |= frontier
            frontier = {to for s in frontier for to in MOVES[s]} - ends
        assert KeyState.DESTROYED in ends


def test_nothing_that_is_on_its_way_out_opens_or_seals() -> None:
    assert not (SEALS | OPENS) & {KeyState.SUSPENDED, KeyState.DEACTIVATED, KeyState.ERASING, KeyState.DESTROYED}
    assert SEALS <= OPENS


def test_the_page_holds_the_diagram_and_a_sentence_for_each_state() -> None:
    assert re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL) == [diagram()]
    assert re.findall(r"^\| `([a-z-]+)` \| \S.*\. \|", PAGE, re.MULTILINE) == list(KeyState)
