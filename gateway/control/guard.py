"""The clock guard: how far a horizon may move, so that a wrong clock or a typo in a policy never destroys history.

A horizon moves

- by one epoch in a pass at most, towards what the policy keeps,
- not within 28 days of its last move, nor while that lies in the future,
- only while wall time, the store's time and the time of the last ledger line agree plausibly,
- not within 28 days of a leap in the ledger's times. Whatever a gateway does under a wrong clock goes into the ledger
  with its time, so the last line alone would agree with that clock from the second act on.

More needs an operator's word: `until`, the first month to keep, which the command asks for again. Even then nothing
that the policy keeps goes. A pass whose horizons are held back turns keys over all the same: that destroys no history.

    verdict = judge(policy, now, ledger_time=…, store_time=…, leapt=…)
    verdict.plausible, verdict.why                         # fences, holds and backups expire under the same verdict
    moved = verdict.horizons(stored, moved_at, until=None)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.control.chain import Value
from gateway.errors import Refused
from gateway.model.ids import KeyEpoch, epoch_start
from gateway.policy.rules import Policy, horizon_epoch

_SECOND = 1_000_000_000
DAY = 86_400 * _SECOND
BETWEEN_MOVES = 28 * DAY  # the shortest month
_BEHIND_LEDGER = 300 * _SECOND  # clocks that are set by time servers are stepped by less
_AHEAD_OF_LEDGER = 40 * DAY  # a gateway that runs turns keys over daily, so its ledger is at most days old
_OFF_STORE = DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a clock is good for. `why` says what does not agree; empty when all does."""

    policy: Policy
    now: int
    why: str

    @property
    def plausible(self) -> bool:
        """Whether times agree, so that what is due by date may go."""
        return not self.why

    def horizons(
        self,
        stored: Mapping[str, KeyEpoch],
        moved_at: Mapping[str, int | None],
        *,
        until: KeyEpoch | None = None,
    ) -> dict[str, KeyEpoch]:
        """The horizons that move in this pass, by key class. `until` is an operator's word, see the module.

        Raises:
            Refused: `until` lies beyond what the policy lets go.
        """
        moves: dict[str, KeyEpoch] = {}
        for name in stored.keys() & self.policy.key_classes.keys():
            target = horizon_epoch(self.policy, name, self.now)
            if until is not None:
                target = min(until, target)
            elif not self.plausible or not self._rested(moved_at[name]):
                continue
            else:
                target = min(KeyEpoch(stored[name] + 1), target)
            if target > stored[name]:
                moves[name] = target
        if until is not None and not moves and any(until > stored[name] for name in stored if name != "identity"):
            message = "the policy keeps every month that there is"
            raise Refused(message, hint="`glomska keys status` shows when each class's oldest month goes")
        return moves

    def _rested(self, moved: int | None) -> bool:
        return moved is None or 0 <= moved <= self.now - BETWEEN_MOVES


def judge(policy: Policy, now: int, *, ledger_time: int, store_time: int | None, leapt: int | None = None) -> Verdict:
    """What the times that `doubts` compares say of horizons under this policy."""
    return Verdict(policy=policy, now=now, why=doubts(now, ledger_time=ledger_time, store_time=store_time, leapt=leapt))


def doubts(now: int, *, ledger_time: int, store_time: int | None = None, leapt: int | None = None) -> str:
    """Why times do not agree: wall time, the last ledger line's, the store's where it tells one; all in ns. Or nothing.

    `leapt` is the time of the newest line that `is_leap` tells of.
    """
    if now < ledger_time - _BEHIND_LEDGER:
        return "the clock lies before the last line of the ledger"
    if now > ledger_time + _AHEAD_OF_LEDGER:
        return f"the last line of the ledger is {(now - ledger_time) // DAY} days old"
    if leapt is not None and now < leapt + BETWEEN_MOVES:
        day = dt.datetime.fromtimestamp(leapt // _SECOND, dt.UTC).date()
        return f"the ledger's times leapt ahead to {day}, and what goes by its date waits 28 days from there"
    if store_time is not None and abs(now - store_time) > _OFF_STORE:
        return f"the clock and the store's differ by {abs(now - store_time) // DAY} days"
    return ""


def is_leap(before: int, after: int) -> bool:
    """Whether a ledger line's time (ns) is so far ahead of the one before it that a clock may have been set wrong."""
    return after > before + _AHEAD_OF_LEDGER


def is_back(leapt: int, time: int) -> bool:
    """Whether a line's time (ns) lies so far before one that leapt ahead that a clock was put right."""
    return time < leapt - _BEHIND_LEDGER


def still_due(policy: Policy, now: int, stored: Mapping[str, KeyEpoch], told: Value) -> dict[str, KeyEpoch]:
    """Horizons that an intent (CLASS=EPOCH) told of and is carried on with: those that move, no further than policy."""
    pairs = [text.rpartition("=") for text in told] if isinstance(told, list) else []
    asked = {name: KeyEpoch(int(epoch)) for name, _equals, epoch in pairs}
    known = asked.keys() & stored.keys() & policy.key_classes.keys()
    bounded = {name: min(asked[name], horizon_epoch(policy, name, now)) for name in known}
    return {name: epoch for name, epoch in bounded.items() if epoch > stored[name]}


def goes(policy: Policy, key_class: str, horizon: KeyEpoch, moved: int | None) -> int | None:
    """When (ns) the oldest readable month of a class goes, at the earliest; None for a class that keeps all."""
    kept = policy.key_classes.get(key_class)
    if kept is None or not kept.ratchets:
        return None
    due = epoch_start(horizon + 1 + kept.retention_months)
    return due if moved is None else max(due, moved + BETWEEN_MOVES)


def ns_of(text: str) -> int:
    """A ledger line's time as ns."""
    return int(dt.datetime.fromisoformat(text).timestamp()) * _SECOND
