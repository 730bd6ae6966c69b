"""What lines of the ledger tell a recovery: which acts have happened, whose they were, and what was named in them."""

from __future__ import annotations

from gateway.control.chain import Line
from gateway.control.role import ERASE, EXIT
from gateway.model.ids import Incarnation


def is_exit(line: Line, settled: dict[int, Line]) -> bool:
    """An exit that has happened; one that is under way is carried on with."""
    return (
        line.act == EXIT
        and line.phase == "intent"
        and line.seq in settled
        and (settled[line.seq].body["result"] == "done")
    )


def is_erasure(line: Line, outcomes: dict[int, Line]) -> bool:
    """Of a customer, one that has happened or is under way: what a law kept may end later, by an erasure of its own."""
    if line.act != ERASE or line.phase != "intent" or "released" in line.body:
        return False
    return line.seq not in outcomes or outcomes[line.seq].body["result"] == "done"


def void(lines: list[Line], outcomes: dict[int, Line]) -> set[str]:
    """Erasures that never were: they failed, or were abandoned."""
    ended = [line for line in lines if line.act == ERASE and line.phase == "intent" and line.seq in outcomes]
    return {str(line.body["erasure"]) for line in ended if outcomes[line.seq].body["result"] != "done"}


def fences(done: list[Line], settled: dict[int, Line]) -> dict[str, int]:
    """How many fences each of these erasures has; earlier versions did not say."""
    ended = [(line, settled[line.seq].body.get("fences")) for line in done if line.act == ERASE]
    return {erasure(line).hex(): count for line, count in ended if isinstance(count, int)}


def whose(outcome: Line, count: int) -> list[str]:
    """The controllers of what an enrolment brought; empty names where an earlier version did not say."""
    named = texts(outcome, "controllers") or [""]
    return named if len(named) == count else named * count


def incarnation(line: Line) -> Incarnation:
    """Whose act it is."""
    return Incarnation(bytes.fromhex(str(line.body["incarnation"])))


def texts(line: Line, name: str) -> list[str]:
    """What is named under this name; nothing where an earlier version did not say."""
    found = line.body.get(name)
    return found if isinstance(found, list) else []


def erasure(line: Line) -> bytes:
    """The random id of an erasure."""
    return bytes.fromhex(str(line.body["erasure"]))
