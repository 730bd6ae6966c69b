"""What goes wrong on the way from a device to a broker, seeded, in shares of the messages.

    malformed   beside other messages, broken ones of every kind of `zoo`, in turn; none of them can be stored
    oversized   the same with messages that are larger than a gateway takes; apart, because brokers have limits too
    bursts      a device or hub is offline, keeps its messages, and sends all of them when it is back
    disorder    a message comes after its device's next one; at most half of them can
    duplicates  a valid message is published again later, the same bytes

In this order, so that the other messages are the same with and without faults. Only valid ones are duplicated and come
out of order: what has no time of its own has no order, and is another reading when it comes again.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from firmware_sim.fleet import Kind, Message
from firmware_sim.zoo import OVERSIZED, ZOO, Fault

OFFLINE_MESSAGES = 48  # how many messages a device keeps, in the mean, before it is back: half a day of quarters
HALF = 0.5
OURS = "glomska/"  # what is wrong with a message of foreign firmware is for its mapping to say
AGAIN_AFTER = 500  # a duplicate follows within so many messages of the whole fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares from 0 to 1, each of the valid messages. Raises ValueError for others."""

    duplicates: float = 0.0
    disorder: float = 0.0
    bursts: float = 0.0
    malformed: float = 0.0
    oversized: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.duplicates, self.disorder, self.bursts, self.malformed, self.oversized)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("a share lies between 0 and 1")


def with_faults(messages: Iterable[Message], faults: Faults, *, seed: int) -> Iterator[Message]:
    """The same messages, disturbed. Devices that never come back are not simulated: every message is published."""
    stream = iter(messages)
    if faults.malformed:
        stream = _broken(stream, ZOO, faults.malformed, random.Random(f"malformed/{seed}"))
    if faults.oversized:
        stream = _broken(stream, (OVERSIZED,), faults.oversized, random.Random(f"oversized/{seed}"))
    if faults.bursts:
        stream = _bursts(stream, faults.bursts, random.Random(f"bursts/{seed}"))
    if faults.disorder:
        stream = _disorder(stream, faults.disorder, random.Random(f"disorder/{seed}"))
    if faults.duplicates:
        stream = _duplicates(stream, faults.duplicates, random.Random(f"duplicates/{seed}"))
    return stream


def _broken(messages: Iterator[Message], kinds: Sequence[Fault], share: float, rng: random.Random) -> Iterator[Message]:
    kind = itertools.cycle(kinds)
    for message in messages:
        yield message
        if message.kind is not Kind.MALFORMED and message.topic.startswith(OURS) and rng.random() < share:
            yield next(kind).spoil(message, rng)


def _bursts(messages: Iterator[Message], share: float, rng: random.Random) -> Iterator[Message]:
    # A device leaves with probability q before a message and keeps L messages: share = qL / (1 − q + qL).
    leave = share / (share + OFFLINE_MESSAGES * (1 - share))
    kept: dict[str, list[Message]] = {}
    until: dict[str, int] = {}
    for message in messages:
        sender = message.sender or message.topic
        if sender not in kept:
            if message.kind is not Kind.VALID or rng.random() >= leave:
                yield message
                continue
            kept[sender], until[sender] = [], rng.randrange(OFFLINE_MESSAGES // 2, OFFLINE_MESSAGES * 3 // 2 + 1)
        kept[sender].append(message)
        if len(kept[sender]) >= until[sender]:
            yield from kept.pop(sender)
    for rest in kept.values():
        yield from rest


def _disorder(messages: Iterator[Message], share: float, rng: random.Random) -> Iterator[Message]:
    hold = share / (1 - share) if share < HALF else 1.0  # of those whose neighbour is not held: share = h / (1 + h)
    held: dict[str, Message] = {}
    for message in messages:
        if message.topic in held:
            yield message
            yield held.pop(message.topic)
        elif message.kind is Kind.VALID and rng.random() < hold:
            held[message.topic] = message
        else:
            yield message
    yield from held.values()


def _duplicates(messages: Iterator[Message], share: float, rng: random.Random) -> Iterator[Message]:
    waiting: list[tuple[int, int, Message]] = []  # due at this position, tie-break, copy
    for position, message in enumerate(messages):
        yield message
        if message.kind is Kind.VALID and rng.random() < share:
            copy = msgspec.structs.replace(message, kind=Kind.DUPLICATE)
            heapq.heappush(waiting, (position + rng.randrange(1, AGAIN_AFTER + 1), position, copy))
        while waiting and waiting[0][0] <= position:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]
