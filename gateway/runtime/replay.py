"""Dead letters sent once more through admit, pseudonymise and seal, as the worker would now; what was stored goes.

    replay = Replay(letters, ring, chain, store, clock)
    replayed = replay.run(EVERY, on_progress=print)

Worth it after a change of policy, an enrolment, a resume. Letters of suspended customers are replayed by `run` itself,
once their keys are active again.

It may be ended anywhere and repeated: sealing is deterministic, and a letter goes only when the store has what came of
it. Readings without a time of their own keep the time at which the letter came. What is refused again stays, with its
first reason, and what turns out to be an erased customer's goes. A look-up holds the ring as the worker does, so an
erasure waits for a look-up that is under way, and what was sealed before it is not sent after it: keys and lease are
asked before each request. A store that wants a page in parts, for the sake of one point say, gets it in parts.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import GlomskaError, KeyDestroyed, LeaseOver, Refused, Unreachable, VerificationFailed
from gateway.keys.letters import open_letters
from gateway.keys.ring import Ring
from gateway.model.dead import DeadLetter, LetterKind
from gateway.model.ids import KeyId
from gateway.model.sealed import Outcome, Reason, SealedPoint
from gateway.pipeline.chain import Chain
from gateway.pipeline.letters import arrival_of
from gateway.runtime.duties import AT_ONCE_S
from gateway.runtime.spooling import asked_for
from gateway.transport.letters import DeadLetters, Wanted
from gateway.transport.store import StoreUnreachable, Unsettled

PAGE = 200  # letters opened together
UNREADABLE = "unreadable"  # changed, moved, or without the key that should be there
_LOOK_S = 5.0  # seconds between looks for letters of customers who were resumed
_TRIES, _PAUSE_S = 600, 0.05  # in a row that settle nothing, while keys move or a store takes ever less at once
_TRIES_AT_ONCE = 20  # the same in housekeeping, where others wait, and which comes again anyway


class Writes(Protocol):
    """A store, as a replay needs it."""

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """Durable when it returns. Raises Unreachable: all points are kept."""


@dataclass(slots=True)
class Replayed:
    """What came of a replay, in letters. `remaining` has the reason why each that stayed is refused now.

    `gone` were dropped: their customer is erased, or the day's key has had its days.
    """

    stored: int = 0
    gone: int = 0
    remaining: Counter[str] = field(default_factory=Counter)

    @property
    def seen(self) -> int:
        """Letters that were looked at."""
        return self.stored + self.gone + self.remaining.total()


@dataclass(slots=True)
class _Page:
    """Letters of a page under one generation of keys: those that go, and points of those that may, by letter."""

    generation: int
    points: list[SealedPoint] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    left: Unsettled = field(init=False)  # of the points, which a store may want in parts

    @property
    def unsettled(self) -> set[int]:
        """Letters that are not whole in the store, and those that keys of another generation may let through."""
        return {self.owners[place] for place in self.left.places} | self.refused.keys()


class Replay:
    """Replays letters of one file into one store, with the keys of one ring."""

    def __init__(self, letters: DeadLetters, ring: Ring, chain: Chain, store: Writes, clock: Clock) -> None:
        self._letters, self._ring, self._chain, self._store, self._clock = letters, ring, chain, store, clock
        self._round: Iterator[int] | None = None  # over everybody who was resumed, where one is under way
        self._next_look = 0.0
        self._generation = -1
        self._futile: set[KeyId] = set()  # of this generation: nothing of theirs could be stored

    def adopt(self, chain: Chain) -> None:
        """From the next page on, by another policy. Within `Ring.adopting`."""
        self._chain = chain

    def run(self, wanted: Wanted, on_progress: Callable[[Replayed], None] = lambda _replayed: None) -> Replayed:
        """All that is wanted, oldest first.

        Raises:
            LeaseOver, CustodianFault, Unreachable: the rest stays; repeat it.
        """
        replayed = Replayed()
        for _page in self._pages(wanted, replayed):
            on_progress(replayed)
        return replayed

    def of_resumed(self) -> int:
        """Letters of suspended customers who were resumed; how many were stored. For housekeeping.

        For AT_ONCE_S, and one page at least: the next call goes on. One customer whose letters do not settle holds up
        no other. Raises as `run`, once nothing else can be stored. A store that asks to be left alone is.
        """
        if self._round is None:
            if time.monotonic() < self._next_look:
                return 0
            self._round = self._over_resumed()
        stored, end = 0, time.monotonic() + AT_ONCE_S
        try:
            for page in self._round:
                stored += page
                if time.monotonic() >= end:
                    return stored
        except GlomskaError as fault:
            self._round = None
            self._next_look = time.monotonic() + max(_LOOK_S, asked_for(fault))
            raise
        self._round = None
        return stored

    def _pages(self, wanted: Wanted, replayed: Replayed, tries: int = _TRIES) -> Iterator[int]:
        """All that is wanted, page by page; how many letters of each were stored."""
        after = (-(2**63), b"")
        while page := self._letters.find(wanted, after=after, limit=PAGE):
            before = replayed.stored
            self._replay(page, replayed, tries)
            after = page[-1].arrived, page[-1].letter_id
            yield replayed.stored - before

    def _over_resumed(self) -> Iterator[int]:
        """Once over everybody who was resumed, page by page."""
        self._next_look = time.monotonic() + _LOOK_S
        held = self._letters.keys_of(Reason.SUSPENDED)
        named = {key_id for kind, key_id in held if kind is LetterKind.MESSAGE}
        ready = self._ring.living(named) if named else set[KeyId]()
        ready |= {key_id for kind, key_id in held if kind is LetterKind.UNATTRIBUTED}  # whose key does not tell
        if self._ring.generation != self._generation:
            self._generation = self._ring.generation
            self._futile.clear()
        stored, fault = 0, None
        for key_id in ready - self._futile:
            replayed = Replayed()
            try:
                wanted = Wanted(reasons=(Reason.SUSPENDED,), key_ids=(key_id,))
                yield from self._pages(wanted, replayed, _TRIES_AT_ONCE)
            except StoreUnreachable:
                raise  # nor does it take the others'
            except GlomskaError as own:
                fault = fault or own
                continue
            stored += replayed.stored
            if not replayed.stored:
                self._futile.add(key_id)
        if fault is not None and not stored:
            raise fault

    def _replay(self, letters: list[DeadLetter], replayed: Replayed, tries: int) -> None:
        """A page: in parts, where the store wants that; what has not settled is sealed anew, where keys have moved."""
        page, vain = None, 0
        while letters:
            try:
                page = page or self._processed(letters)
                fit = self._ring.fit_to_send(page.generation)
                vain = 0 if fit and self._written(page.left) else vain + 1
                if not fit or not page.left.points:
                    letters, page = self._settled(letters, page, replayed, again=set() if fit else page.unsettled), None
            except LeaseOver:  # keys have moved, or the lease has to be renewed
                vain += 1
            if vain == tries:
                message = "keys or store did not settle"
                raise Unreachable(message, hint="the letters that remain are kept; repeat the replay")
            if letters:
                self._ring.poll()
                time.sleep(_PAUSE_S if vain else 0)

    def _processed(self, letters: list[DeadLetter]) -> _Page:
        """Every letter through the stages."""
        points = [i for i, letter in enumerate(letters) if letter.kind is LetterKind.POINT]
        messages = [i for i, letter in enumerate(letters) if letter.kind is not LetterKind.POINT]
        with self._ring.using() as generation:
            page = _Page(generation)
            self._put_points(page, {i: letters[i] for i in points})
            for i, plain in zip(messages, open_letters(self._ring, [letters[i] for i in messages]), strict=True):
                self._put(page, i, letters[i], plain)
        page.left = Unsettled(page.points)
        return page

    def _put_points(self, page: _Page, letters: dict[int, DeadLetter]) -> None:
        if not letters:
            return
        key_ids = {letter.key_id for letter in letters.values()}
        gone, kept_since = self._ring.gone(key_ids), self._ring.kept_since(key_ids)
        for i, letter in letters.items():
            point = SealedPoint.from_bytes(letter.sealed)
            if letter.key_id in gone or point.time < kept_since.get(letter.key_id, 0):
                page.gone.add(i)
            else:
                page.points.append(point)
                page.owners.append(i)

    def _put(self, page: _Page, index: int, letter: DeadLetter, plain: bytes | GlomskaError) -> None:
        if isinstance(plain, KeyDestroyed):
            page.gone.add(index)
            return
        if isinstance(plain, GlomskaError):
            page.refused[index] = str(Reason.SUSPENDED) if isinstance(plain, Refused) else UNREADABLE
            return
        try:
            arrival = arrival_of(letter, plain)
        except VerificationFailed:
            page.refused[index] = UNREADABLE
            return
        devices = self._ring.resolve([arrival.topic])
        done = self._chain([arrival], devices, self._clock.wall(), arrived=letter.arrived)
        page.points += done.points
        page.owners += [index] * len(done.points)
        for reason in done.refusals.message.values():
            if reason is Reason.ERASED:
                page.gone.add(index)
            else:
                page.refused[index] = str(reason)

    def _written(self, left: Unsettled) -> bool:
        """One request, if any is needed; whether something has settled."""
        before = len(left.points)
        if before:
            left.settle(self._store.write(left.points))
        return not before or len(left.points) < before

    def _settled(
        self, letters: list[DeadLetter], page: _Page, replayed: Replayed, *, again: set[int]
    ) -> list[DeadLetter]:
        """Letters of which something was stored go; points of theirs that were not take their place.

        Those of `again` stay as they are, and come back to be tried anew.
        """
        now = self._clock.wall()
        rejected = {i: reason for i, reason in page.left.rejected.items() if page.owners[i] not in again}
        stored = {owner for i, owner in enumerate(page.owners) if i not in rejected} - again
        orphans = [
            DeadLetter.of_point(page.points[i], reason, arrived=now)
            for i, reason in rejected.items()
            if page.owners[i] in stored
        ]
        self._letters.add(orphans)
        self._letters.remove([letters[i].letter_id for i in stored | page.gone])
        replayed.stored += len(stored)
        replayed.gone += len(page.gone)
        replayed.remaining.update(reason for i, reason in page.refused.items() if i not in again)
        replayed.remaining.update(
            str(rejected[i]) for i, owner in enumerate(page.owners) if i in rejected and owner not in stored
        )
        return [letter for i, letter in enumerate(letters) if i in again]
