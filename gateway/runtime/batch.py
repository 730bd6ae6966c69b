"""Deliveries on their way through the store: a batch settles per point, and its messages settle with their points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain

from gateway.model.dead import DeadLetter
from gateway.model.ids import KeyId
from gateway.model.sealed import Outcome, Reason, SealedPoint, parse_sealed_field
from gateway.pipeline.chain import Processed
from gateway.transport.ingest import Delivery


@dataclass(slots=True)
class Job:
    """One delivery, processed under one generation of keys."""

    delivery: Delivery
    done: Processed
    generation: int
    letters: list[DeadLetter] = field(default_factory=list)

    @property
    def weight(self) -> int:
        """Points and letters, by which a batch is measured."""
        return len(self.done.points) + len(self.letters)


@dataclass(slots=True)
class Batch:
    """Jobs written together: `points` have not settled yet; `generation` is the oldest they are under."""

    jobs: list[Job]
    points: list[SealedPoint] = field(init=False)
    generation: int = field(init=False)
    _place: list[int] = field(init=False)  # of each point in `points`, among all
    _refused: dict[int, Reason] = field(init=False, default_factory=dict)  # by that place

    def __post_init__(self) -> None:
        self.points = list(chain.from_iterable(job.done.points for job in self.jobs))
        self.generation = min(job.generation for job in self.jobs)
        self._place = list(range(len(self.points)))

    @property
    def accepted(self) -> int:
        """Points that the store took, once nothing is left in `points`."""
        return sum(len(job.done.points) for job in self.jobs) - len(self._refused)

    def settle(self, outcome: Outcome) -> None:
        """Take out what the store accepted or rejected; what it kept stays."""
        self._refuse(outcome.rejected)
        self._keep(sorted(outcome.kept))

    def drop(self, key_ids: Collection[KeyId]) -> None:
        """Take out points of keys that no longer seal: `erased`."""
        gone = {i: Reason.ERASED for i, point in enumerate(self.points) if point.series.key_id in key_ids}
        self._refuse(gone)
        self._keep([i for i in range(len(self.points)) if i not in gone])

    def letters(self, now: int) -> list[DeadLetter]:
        """What is to be kept before it is acknowledged: refused messages, and points that the store will never take."""
        letters = list(chain.from_iterable(job.letters for job in self.jobs))
        if self._refused:
            points = list(chain.from_iterable(job.done.points for job in self.jobs))
            for place, reason in self._refused.items():
                if reason is not Reason.ERASED:
                    letters.append(DeadLetter.of_point(points[place], reason, arrived=now))
        return letters

    def refused_messages(self) -> Counter[Reason]:
        """Messages of which every point was refused after sealing."""
        if not self._refused:
            return Counter()
        owners = [(number, owner) for number, job in enumerate(self.jobs) for owner in job.done.owners]
        total = Counter(owners)
        lost: dict[tuple[int, int], list[Reason]] = {}
        for place, reason in self._refused.items():
            lost.setdefault(owners[place], []).append(reason)
        return Counter(reasons[0] for owner, reasons in lost.items() if len(reasons) == total[owner])

    def refused_readings(self) -> Counter[Reason]:
        """Readings in the points that were refused after sealing."""
        counted: Counter[Reason] = Counter()
        if self._refused:
            points = list(chain.from_iterable(job.done.points for job in self.jobs))
            for place, reason in self._refused.items():
                counted[reason] += _readings(points[place])
        return counted

    def _refuse(self, reasons: Mapping[int, Reason]) -> None:
        self._refused |= {self._place[i]: reason for i, reason in reasons.items()}

    def _keep(self, indices: list[int]) -> None:
        self.points = [self.points[i] for i in indices]
        self._place = [self._place[i] for i in indices]


def _readings(point: SealedPoint) -> int:
    sealed = parse_sealed_field(point.field)[0].bit_count() if point.value else 0
    return sealed + len(point.clear)
