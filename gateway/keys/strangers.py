"""Topics of devices that nobody enrolled: remembered until the next act upon the key store, and not more than so many.

Looking one up costs a keyed hash for every route and fence secret and a query, and who may publish can have it done
again and again. What is remembered is Python's own hash of the topic, keyed anew in each process: eight bytes, however
long the topic, and nothing that could be told to anyone. That a device which was just enrolled shares one with a
stranger, and is taken for one until the next act, has a chance of one in 10^14 when the memory is full.

Every enrolment and hand-over records its sequence in the transaction that changes routes, so a look-up in a snapshot
with the same newest sequence finds what it found before. See docs/adr, "strangers are remembered until the next act".
"""

from __future__ import annotations

from collections.abc import Iterable

REMEMBERED = 100_000


class Strangers:
    """One worker's memory of topics that lead to no device."""

    __slots__ = ("_act", "_topics")

    def __init__(self) -> None:
        self._act = -1
        self._topics: set[int] = set()

    def __contains__(self, topic: str) -> bool:
        return hash(topic) in self._topics

    def __len__(self) -> int:
        return len(self._topics)

    def as_of(self, act: int) -> None:
        """The newest act that this snapshot knows: what was found before another one counts no more."""
        if act != self._act:
            self._act = act
            self._topics.clear()

    def add(self, topics: Iterable[str]) -> None:
        """They lead to no device. A memory that is full begins anew: what follows is found out again."""
        self._topics.update(map(hash, topics))
        if len(self._topics) > REMEMBERED:
            self._topics.clear()
