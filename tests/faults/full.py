"""A disk that is full under the ledger, or under the key store: what is done to keys is done whole, or refused.

python -m tests.faults.full ledger          # or: keys; in namespaces of its own, what it saw as JSON
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gateway.errors import GlomskaError, KeyDestroyed
from tests.netns import Disk, isolated
from tests.world import World

MANY = 12  # enrolments: more than the last page of a file has room for


def tried(where: str, directory: Path) -> dict[str, Any]:
    """Enrolments and an erasure on a full disk, and the erasure once more when it has room."""
    state, small = directory / "state", directory / "state" / where
    state.mkdir()
    disk = Disk(small, 16)
    keys = f"sqlite:///{small}/keys.db" if where == "keys" else None
    world = World(state, keys=keys)
    for name in ("anna", "bo"):
        world.enrol(name, f"meter-{name}")
        world.publish(f"meter-{name}", world.clock.wall(), temperature=20.5)
    disk.fill()
    told = [_told(partial(world.enrol, f"late-{number}", f"late-{number}")) for number in range(MANY)]
    at_first = [_told(lambda: world.erase("anna")), _readings(world, "anna"), _readings(world, "bo")]
    disk.free()
    world.close()
    again = World(state, keys=keys)
    again.control.check()
    again.ledger.verify()
    enrolled = [_readings(again, f"late-{number}") for number in range(MANY)]
    found = {
        "faults": sorted(set(told) - {""}),
        "done_and_not_there": sum(not word and there is None for word, there in zip(told, enrolled, strict=True)),
        "refused_and_there": sum(bool(word) and there is not None for word, there in zip(told, enrolled, strict=True)),
        "at_first": at_first,
        "then": [_told(lambda: again.erase("anna")), _readings(again, "anna"), _readings(again, "bo")],
    }
    again.close()
    disk.remove()
    return found


def _told(act: Callable[[], object]) -> str:
    """The name of the fault that an act has met, or nothing."""
    try:
        act()
    except GlomskaError as fault:
        return type(fault).__name__
    return ""


def _readings(world: World, name: str) -> int | None:
    """How many are read; None of somebody there is not, or not any more."""
    try:
        return len(world.read(name))
    except KeyDestroyed:
        return None
    except GlomskaError as fault:
        return None if "enrol" in str(fault) else -1


def main() -> None:
    """Try, and print what was seen."""
    isolated("tests.faults.full", sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="glomska-full-") as directory:
        print(json.dumps(tried(sys.argv[1], Path(directory))))


if __name__ == "__main__":
    main()
