"""Topics of devices that nobody enrolled: looked up once until the next act upon the key store, and only so many.

Looking one up costs a keyed hash for every route and fence secret and a query, and who may publish can have it done
again and again, under ever new names. Two things bound that:

- *What is remembered*: Python's own hash of the topic, keyed anew in each process: eight bytes, however long the topic,
  and nothing that could be told to anyone. That a device which was just enrolled shares one with a stranger, and is
  taken for one until the next act, has a chance of one in 10^14 when the memory is full.
- *The sieve*: after IN_VAIN look-ups that found nobody, every hash that stands in the key store is read once into a
  Bloom filter. Who is enrolled, or fenced, passes it always, seen before or not; a stranger once in 10,000 times. So
  the key store is asked no more for strangers, however many there are, and nobody who is enrolled is ever refused.

Every enrolment and hand-over records its sequence in the transaction that changes routes, so a look-up in a snapshot
with the same newest sequence finds what it found before; route and fence secrets come and go with generations. A sieve
is of one act and one generation: after the next of either, everybody is looked up again. See docs/adr, "strangers are
remembered until the next act" and "a sieve for strangers".
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Mapping

REMEMBERED = 100_000
IN_VAIN = 10_000
"""Look-ups that found nobody before the sieve is made. That costs about 1 us for each hash in the key store, so it is
not made again for fewer look-ups than it has read hashes."""
_BYTES = 8  # of the sieve, for each hash: one in 10,000 passes that should not
_PROBES = struct.Struct("<QQQ")


class Sieve:
    """Which keyed hashes may stand in the key store: a Bloom filter of three bits each. Hashes are 32 random bytes."""

    __slots__ = ("_bits", "_size", "held")

    def __init__(self, count: int, hashes: Iterable[bytes]) -> None:
        """`count`: about how many there are."""
        self._bits = bytearray(_BYTES * max(count, 1_000))
        self._size = 8 * len(self._bits)
        self.held = 0
        for mark in hashes:
            self.held += 1
            for place in self._places(mark):
                self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, mark: bytes) -> bool:
        return all(self._bits[place >> 3] >> (place & 7) & 1 for place in self._places(mark))

    def _places(self, mark: bytes) -> list[int]:
        return [probe % self._size for probe in _PROBES.unpack_from(mark)]


class Strangers:
    """One worker's memory of topics that lead to no device."""

    __slots__ = ("_act", "_enough", "_generation", "_sieve", "_topics", "_vain")

    def __init__(self) -> None:
        self._act = self._generation = -1
        self._topics: set[int] = set()
        self._vain, self._enough = 0, IN_VAIN
        self._sieve: Sieve | None = None

    def __contains__(self, topic: str) -> bool:
        return hash(topic) in self._topics

    def __len__(self) -> int:
        return len(self._topics)

    def as_of(self, act: int, generation: int) -> None:
        """The newest act that this snapshot knows, and its generation: what was found before another counts no more."""
        if act != self._act:
            self._topics.clear()
        if (act, generation) != (self._act, self._generation):
            self._act, self._generation = act, generation
            self._sieve = None

    @property
    def are_too_many(self) -> bool:
        """Whether it is time for a sieve, in the snapshot that `as_of` was told of."""
        return self._sieve is None and self._vain >= self._enough

    def sift_by(self, sieve: Sieve) -> None:
        """Made of everything that stands in that snapshot."""
        self._sieve = sieve
        self._vain, self._enough = 0, max(IN_VAIN, sieve.held)

    def possible(self, marks: Mapping[str, Collection[bytes]]) -> Collection[str]:
        """Of these topics, each with every hash that its device may be found under, those that have to be looked for.

        One hash that passes is enough for all: a turnover moves routes from one to the next while a sieve holds.
        """
        sieve = self._sieve
        if sieve is None:
            return marks.keys()
        return [topic for topic, under in marks.items() if any(mark in sieve for mark in under)]

    def add(self, topics: Iterable[str]) -> None:
        """They lead to no device. A memory that is full begins anew: what follows is found out again."""
        found = set(map(hash, topics))
        if self._sieve is None:
            self._vain += len(found)
        self._topics |= found
        if len(self._topics) > REMEMBERED:
            self._topics.clear()
