"""Deliveries on their way through the store: a batch settles per point, and its messages settle with their points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain

from gateway.model.dead import DeadLetter
from gateway.model.ids import KeyId
from gateway.model.sealed import Reason, SealedPoint, parse_sealed_field
from gateway.pipeline.chain import Processed
from gateway.transport.ingest import Delivery
from gateway.transport.store import Unsettled, without


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


class Batch(Unsettled):
    """Jobs written together: `points` have not settled yet; `generation` is the oldest they are under."""

    __slots__ = ("generation", "jobs")

    def __init__(self, jobs: list[Job]) -> None:
        super().__init__(list(chain.from_iterable(job.done.points for job in jobs)))
        self.jobs = jobs
        self.generation = min(job.generation for job in jobs)

    @property
    def accepted(self) -> int:
        """Points that the store took, once nothing is left in `points`."""
        return sum(len(job.done.points) for job in self.jobs) - len(self.rejected)

    def drop(self, key_ids: Collection[KeyId], kept_since: Mapping[KeyId, int]) -> None:
        """Take out points whose key is gone, or older than their key's oldest month: `erased`."""
        gone = {
            i: Reason.ERASED
            for i, point in enumerate(self.points)
            if point.series.key_id in key_ids or point.time < kept_since.get(point.series.key_id, 0)
        }
        self.settle(without(self.points, gone))

    def letters(self, now: int) -> list[DeadLetter]:
        """What is to be kept before it is acknowledged: refused messages, and points that the store will never take."""
        letters = list(chain.from_iterable(job.letters for job in self.jobs))
        if self.rejected:
            points = list(chain.from_iterable(job.done.points for job in self.jobs))
            for place, reason in self.rejected.items():
                if reason is not Reason.ERASED:
                    letters.append(DeadLetter.of_point(points[place], reason, arrived=now))
        return letters

    def refused_messages(self) -> Counter[Reason]:
        """Messages of which every point was refused after sealing."""
        if not self.rejected:
            return Counter()
        owners = [(number, owner) for number, job in enumerate(self.jobs) for owner in job.done.owners]
        total = Counter(owners)
        lost: dict[tuple[int, int], list[Reason]] = {}
        for place, reason in self.rejected.items():
            lost.setdefault(owners[place], []).append(reason)
        return Counter(reasons[0] for owner, reasons in lost.items() if len(reasons) == total[owner])

    def refused_readings(self) -> Counter[Reason]:
        """Readings in the points that were refused after sealing."""
        counted: Counter[Reason] = Counter()
        if self.rejected:
            points = list(chain.from_iterable(job.done.points for job in self.jobs))
            for place, reason in self.rejected.items():
                counted[reason] += _readings(points[place])
        return counted


def _readings(point: SealedPoint) -> int:
    sealed = parse_sealed_field(point.field)[0].bit_count() if point.value else 0
    return sealed + len(point.clear)
