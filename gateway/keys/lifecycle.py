"""The states of a key, as a table. A move that is not in it raises and changes nothing.

Source: NIST SP 800-57 part 1, section 7; `erasing` is ours: fenced and on its way out, while workers still let go.
The state belongs to a key, not to a customer.
"""

from __future__ import annotations

import enum
from types import MappingProxyType

from gateway.errors import IllegalMove


class KeyState(enum.StrEnum):
    """Where a key is in its life."""

    PRE_ACTIVATION = "pre-activation"
    ACTIVE = "active"
    SUSPENDED = "suspended"  # opens and seals nothing but dead letters
    DEACTIVATED = "deactivated"  # held: kept for one legal purpose until a date
    COMPROMISED = "compromised"  # seals nothing of after the version that took its place
    ERASING = "erasing"
    DESTROYED = "destroyed"


_S = KeyState
MOVES = MappingProxyType(
    {
        _S.PRE_ACTIVATION: frozenset({_S.ACTIVE, _S.DEACTIVATED, _S.ERASING}),
        _S.ACTIVE: frozenset({_S.SUSPENDED, _S.DEACTIVATED, _S.COMPROMISED, _S.ERASING}),
        _S.SUSPENDED: frozenset({_S.ACTIVE, _S.DEACTIVATED, _S.COMPROMISED, _S.ERASING}),
        _S.DEACTIVATED: frozenset({_S.COMPROMISED, _S.ERASING}),
        _S.COMPROMISED: frozenset({_S.DEACTIVATED, _S.ERASING}),
        _S.ERASING: frozenset({_S.DESTROYED}),
        _S.DESTROYED: frozenset(),
    }
)

BIRTHS = MappingProxyType({_S.ACTIVE: "enrolment", _S.PRE_ACTIVATION: "rekey"})
SEALS = frozenset({_S.ACTIVE, _S.PRE_ACTIVATION, _S.COMPROMISED})
"""Seals readings, each version those of its own event times: a version's end is the next one's beginning. A compromised
one that none follows has no end, and seals nothing."""
OPENS = SEALS
KEEPS = SEALS | {_S.SUSPENDED}
"""Seals dead letters."""


def move(current: KeyState, to: KeyState) -> KeyState:
    """The new state. Raises IllegalMove."""
    if to not in MOVES[current]:
        message = f"a key that is {current} cannot become {to}"
        raise IllegalMove(message, hint="`docs/key-states.md` shows the moves that exist")
    return to


def diagram() -> str:
    """The table as a Mermaid state diagram: the picture in docs/ is drawn from it, so that it cannot lie."""
    lines = ["stateDiagram-v2", *(f"    [*] --> {_node(state)}: {act}" for state, act in BIRTHS.items())]
    lines += [f"    {_node(a)} --> {_node(b)}" for a, targets in MOVES.items() for b in KeyState if b in targets]
    return "\n".join([*lines, f"    {_node(_S.DESTROYED)} --> [*]"]) + "\n"


def _node(state: KeyState) -> str:
    return state.replace("-", "_")
