"""The store is down, much comes, the store is back: all of it arrives. Long form: `python -m benchmarks.outage`."""

from __future__ import annotations

from benchmarks.outage import measure


def test_what_came_while_the_store_was_down_arrives_beside_live_messages() -> None:
    said: list[str] = []
    found = measure(20_000, 1_000, said.append)
    assert found.published >= 22_000
    assert (found.stored, found.lost) == (found.published, 0)
    assert found.spool_mb > 1
    assert said
