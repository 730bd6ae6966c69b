"""The store with a spool beside it: one writer more under the contract of `Writes`, so that a worker need not know.

    direct     a batch goes to the store, and nothing here costs it more than a look at two attributes
    spooling   the store is down, refuses all, or took longer than `patience_s`: batches go to the spool and are
               accepted when they are fsynced there
    draining   beside either: oldest first, in chunks, a bounded share of the time; each under a lease, with a look at
               which keys are gone, or their months. When the store takes a chunk in time, the direct path is back; one
               that was slow has to be a good deal quicker, or to have taken all that waited, the last of it in time

A write that fails keeps the whole batch, once: the worker asks again for its lease and for living keys before the same
batch goes to the spool. When the spool takes nothing either, its fault is raised, and nothing is acknowledged. A store
that asks to be left alone (`Retry-After`) is, whichever path it said so to.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import GlomskaError, LeaseOver, Unreachable
from gateway.model.ids import KeyId
from gateway.model.sealed import ACCEPTED, Outcome, Reason, SealedPoint
from gateway.runtime.log import Log
from gateway.transport.spool import Chunk, Spool, SpoolUnable

CHUNK_POINTS = 1_000
_SHARE = 4  # a chunk that took the store so long is followed by a pause of so many times that, less one
_SWEEP_SHARE = 10  # of a sweep, so reckoned
_BETTER = 0.1  # of the patience: what a store that was slow must come down to
_KEYS_KEPT = 100_000
_LOOK = 0.2  # seconds between looks at an empty spool
_TELL = 60.0  # seconds between two lines about one reason
_MOST_PATIENT = 600.0  # seconds that a store may ask to be left alone
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds between tries of a store that is down: what comes meanwhile waits
_SLOW = Unreachable("the store is slow", hint="see what keeps it busy; batches wait in the spool meanwhile")
_WAITED_OUT = (Unreachable, LeaseOver)


def asked_for(fault: GlomskaError) -> float:
    """Seconds for which the store asks to be left alone, as far as that is sensible."""
    return min(getattr(fault, "retry_after", None) or 0.0, _MOST_PATIENT)


def may_land(fault: Unreachable) -> bool:
    """Whether the store may still carry out what it was asked: it has not said that it does not."""
    return not getattr(fault, "answered", False)


class Writes(Protocol):
    """A store, as the worker needs it."""

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """Durable when it returns. Raises Unreachable: all points are kept."""


@dataclass(slots=True)
class Spooled:
    """Counted since start, in points unless said otherwise."""

    taken: int = 0  # into the spool
    drained: int = 0  # from the spool into the store
    refused: Counter[Reason] = field(default_factory=Counter)  # on the way out
    erased: int = 0  # dropped or overwritten, since their key is gone, or that of their month
    damaged: int = 0  # places that were skipped or cut

    def __add__(self, other: Spooled) -> Spooled:
        return Spooled(
            self.taken + other.taken,
            self.drained + other.drained,
            self.refused + other.refused,
            self.erased + other.erased,
            self.damaged + other.damaged,
        )

    def books(self) -> dict[str, int]:
        """As `run` prints them."""
        return {
            "taken": self.taken,
            "drained": self.drained,
            "refused": self.refused.total(),
            "erased": self.erased,
            "damaged": self.damaged,
        }


class Spooling:
    """See the module. `write` is called by one thread, `drain` runs in another."""

    def __init__(  # noqa: PLR0913 - what wiring hands to it
        self,
        store: Writes,
        open_spool: Callable[[Callable[[int], None]], Spool],
        log: Log,
        *,
        gone: Callable[[Collection[KeyId]], set[KeyId]],
        kept_since: Callable[[Collection[KeyId]], Mapping[KeyId, int]],
        generation: Callable[[], int],
        patience_s: float,
        refused: Callable[[Sequence[SealedPoint], Reason], None] = lambda _points, _reason: None,
        behind: Writes | None = None,
    ) -> None:
        """`open_spool` is told whom to tell of damage; `gone` and `kept_since` raise LeaseOver or Unreachable.

        `behind` is the store as the drain uses it, with more patience. `refused` takes what the store will never have,
        durably, before the spool forgets it.
        """
        self.counted = Spooled()
        self._store, self._behind, self._log = store, behind or store, log
        self._gone, self._kept_since = gone, kept_since
        self._generation, self._refused = generation, refused
        self._patience = patience_s
        self._direct = True
        self._in_time = patience_s  # for a chunk, that the direct path may come back
        self._took = math.inf  # the last chunk since the direct path was left
        self._alone_until = 0.0  # monotonic, s: the store asked for it
        self.given_up = False
        """Whether a request may still be carried out that nobody waits for any more; none was taken since."""
        self._stuck = False  # the spool takes nothing
        self._asked = -1  # the generation of what follows:
        self._living: dict[KeyId, int] = {}  # keys that are not gone, each with the oldest event time it may send
        self._told: dict[str, float] = {}
        self._said = ""  # why it is not drained now
        self._lag_said = False  # the spool's cursor is not on disk as it is
        self._swept = -1  # whatever was erased while nobody had this spool is still in it
        self._sweep_at = 0.0  # monotonic, s: not before
        self._open_spool = open_spool
        self._spool: Spool
        self._chunk: Chunk | None = None
        self._left: list[SealedPoint] = []  # of the chunk, not settled yet

    def open(self) -> None:
        """To be called first, and again after `close`. Raises SpoolHeld, SpoolUnable."""
        self._spool = self._open_spool(self._damaged)
        self._chunk, self._left = None, []

    def close(self) -> None:
        """Let go of the spool; what waits stays."""
        self._spool.close()

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """To the store, or to the spool. Raises Unreachable when neither takes it."""
        if not self._direct:
            return self._spooled(points)
        begun = time.monotonic()
        try:
            outcome = self._ask(self._store, points)
        except Unreachable as fault:
            self._turn_away(fault, in_time=self._patience)
            return Outcome(kept=range(len(points)))
        if time.monotonic() - begun > self._patience:
            self._turn_away(_SLOW, in_time=self._patience * _BETTER)
        if outcome.why:
            self._tell(outcome.why)
        return outcome

    def drain(self, stopping: threading.Event) -> None:
        """Until told to stop: what waits goes to the store. What waiting does not mend is raised."""
        pause = _FIRST_PAUSE
        while not stopping.is_set():
            if (alone := self._alone_until - time.monotonic()) > 0:
                stopping.wait(alone)
                continue
            wait = _LOOK
            try:
                took = self.step()
                if took is not None:
                    wait = took * (_SHARE - 1) if self._direct else 0.0
                pause = _FIRST_PAUSE
                self._drains()
            except _WAITED_OUT as fault:
                self._drains(fault)
                self._leave_alone(fault)
                wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
                pause = min(pause * 2, _LONGEST_PAUSE)
            stopping.wait(wait)

    def step(self) -> float | None:
        """One chunk; how many seconds the store took, None when nothing waits. Raises LeaseOver, Unreachable."""
        self._sweep()
        if self._chunk is None:
            self._chunk = self._spool.oldest(CHUNK_POINTS)
            if self._chunk is None:
                if self._took <= self._patience:
                    self._return()
                return None
            self._left = self._chunk.points
        took, asked = 0.0, False
        while self._left:
            self._drop_gone()
            if self._left:
                begun, asked = time.monotonic(), True
                self._send()
                took += time.monotonic() - begun
        self._spool.settled(self._chunk)
        self._chunk = None
        self._lags(self._spool.behind)
        if asked:
            self._took = took
            if took <= self._in_time:
                self._return()
        return took

    def _drop_gone(self) -> int:
        """Points of the chunk whose key is gone, or their month, are not sent; how many of the former."""
        generation = self._generation()
        if generation != self._asked or len(self._living) > _KEYS_KEPT:
            self._asked, self._living = generation, {}
        unasked = {point.series.key_id for point in self._left} - self._living.keys()
        found = unasked - self._gone(unasked)  # asked also of nothing: a lease it takes in any case
        if found:
            self._living |= dict.fromkeys(found, 0) | dict(self._kept_since(found))
        before, since = len(self._left), self._living
        living = [point for point in self._left if point.series.key_id in since]
        self._left = [point for point in living if point.time >= since[point.series.key_id]]
        self.counted.erased += before - len(self._left)
        return before - len(living)

    def _send(self) -> None:
        """One request."""
        points = self._left
        outcome = self._ask(self._behind, points)
        self.given_up = False
        self._dispose(points, outcome)
        self.counted.drained += len(points) - len(outcome.kept) - len(outcome.rejected)
        self._left = [points[index] for index in sorted(outcome.kept)]

    def _ask(self, store: Writes, points: Sequence[SealedPoint]) -> Outcome:
        try:
            return store.write(points)
        except Unreachable as fault:
            if may_land(fault):
                self.given_up = True
            raise

    def _dispose(self, points: Sequence[SealedPoint], outcome: Outcome) -> None:
        """Of what the store will never have."""
        if outcome.why:
            self._tell(outcome.why)
        for reason in set(outcome.rejected.values()):
            of_it = [points[index] for index, why in outcome.rejected.items() if why is reason]
            self._refused(of_it, reason)
            self.counted.refused[reason] += len(of_it)

    def _tell(self, why: str) -> None:
        """Once in a while for each reason: one point a request may be refused."""
        now = time.monotonic()
        if now >= self._told.get(why, 0.0):
            self._told[why] = now + _TELL
            self._log.event("store refuses points", level="error", message=why)

    def _spooled(self, points: Sequence[SealedPoint]) -> Outcome:
        try:
            self._spool.append(points)
        except SpoolUnable as fault:
            if not self._stuck:
                self._stuck = True
                self._log.error("spool stuck", fault)
            return self._ask(self._store, points)  # it may just have come back; else nothing is acknowledged
        if self._stuck:
            self._stuck = False
            self._log.event("recovered: spool")
        self.counted.taken += len(points)
        return ACCEPTED

    def _sweep(self) -> None:
        """After new generations: what waits under keys that are gone is overwritten, not only passed over.

        A tenth of the time at most: a large spool takes long, an erasure overwrites by itself what it finds, and each
        chunk is looked at before it is sent.
        """
        generation, begun = self._generation(), time.monotonic()
        if generation == self._swept or begun < self._sweep_at:
            return
        dropped = self._drop_gone() if self._left else 0  # which still stand in the file, and are counted once
        self.counted.erased += max(0, self._spool.purge(self._gone) - dropped)
        over = time.monotonic()
        self._swept, self._sweep_at = generation, over + (over - begun) * (_SWEEP_SHARE - 1)

    def _turn_away(self, fault: Unreachable, *, in_time: float) -> None:
        self._direct, self._in_time, self._took = False, in_time, math.inf
        self._leave_alone(fault)
        self._log.error("spooling", fault, level="warning")

    def _leave_alone(self, fault: GlomskaError) -> None:
        self._alone_until = max(self._alone_until, time.monotonic() + asked_for(fault))

    def _return(self) -> None:
        if not self._direct:
            self._direct = True
            self._log.event("recovered: storing", spooled_bytes=self._spool.size)

    def _drains(self, fault: GlomskaError | None = None) -> None:
        """Said once, not at every try."""
        said, self._said = self._said, str(fault or "")
        if fault is not None and said != self._said:
            self._log.error("waiting: draining", fault, level="warning")
        elif fault is None and said:
            self._log.event("recovered: draining")

    def _lags(self, fault: SpoolUnable | None) -> None:
        """Said once, not at every chunk."""
        said, self._lag_said = self._lag_said, fault is not None
        if fault is not None and not said:
            self._log.error("spool not marked", fault)
        elif fault is None and said:
            self._log.event("recovered: spool not marked")

    def _damaged(self, size: int) -> None:
        """A place in the spool holds no record."""
        self.counted.damaged += 1
        self._log.event("spool damaged", level="error", bytes=size)
