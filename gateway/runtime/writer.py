"""The writer of a worker: it gathers a batch, stores it, settles it, and only then acknowledges.

A delivery is acknowledged when every point that came of it was accepted, or refused for good, counted and kept in the
dead letters, as refused messages are. The reader seals those while they are at hand, the writer writes them. What a
store that is down cannot take the spool accepts, fsynced. Where neither can, the batch is kept and tried again, and so
are dead letters that are full or fail; meanwhile nothing is acknowledged and the broker holds what follows.

    jobs ──▶ gathered ──▶ stored, point by point ──▶ kept: letters of what was refused ──▶ settled: acknowledged
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from itertools import chain, groupby

from gateway.clock import Clock
from gateway.errors import LeaseOver, Unreachable
from gateway.keys.ring import Ring
from gateway.model.sealed import Reason
from gateway.runtime.batch import Batch, Job
from gateway.runtime.keeping import Keeping
from gateway.runtime.metrics import Metrics
from gateway.runtime.ports import Receives
from gateway.runtime.spooling import Writes, asked_for, may_land
from gateway.runtime.watch import Watch

TICK = 0.5  # seconds between looks at whether to stop
_QUEUED = 4  # deliveries between reader and writer; what is beyond waits in the broker
_TOGETHER = 250  # letters that are written together: not all of a batch has to find room
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0  # seconds between tries of a store that is down
_AT_ONCE = 32  # answers in a row of a store that keeps everything, before there is a pause: halving takes 17
_LARGE = 250  # points of a delivery: 6,000 messages a second, in chunks of 40 ms
_QUIET_SHARE = 0.2  # a batch whose stream is quiet for a fifth of its longest age is written early


def quiet_share(points: int) -> float:
    """For how much of a batch's longest age the next delivery is waited for, behind one of so many points.

    Large ones come because messages are many: another follows, and is worth a request less.
    """
    return 1.0 if points >= _LARGE else _QUIET_SHARE


class Writer:
    """See the module. `put` is called by the reader's thread, `run` is the writer's."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the worker hands to it
        self,
        session: Receives,
        ring: Ring,
        store: Writes,
        keeping: Keeping,
        clock: Clock,
        metrics: Metrics,
        watch: Watch,
        *,
        batch_points: int,
        batch_s: float,
        poll_s: float,
        request_s: float,
    ) -> None:
        """A batch has at most about `batch_points` and waits `batch_s` for them; a request may take `request_s`."""
        self._session, self._ring, self._store, self._keeping = session, ring, store, keeping
        self._clock, self._metrics, self._watch = clock, metrics, watch
        self._batch_points, self._batch_s = batch_points, batch_s
        self._poll_s, self._request_s = poll_s, request_s
        self._jobs: queue.Queue[Job | None] = queue.Queue(_QUEUED)
        self.drained = threading.Event()
        """It has ended: nobody takes from the queue any more."""
        self.given_up = False
        """Whether the store may still carry out what it was asked: it has not answered, nor taken anything since."""

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return self._jobs.qsize()

    def put(self, job: Job | None) -> None:
        """The next job, or that there will be none; waits while the queue is full."""
        while not self.drained.is_set():
            try:
                self._jobs.put(job, timeout=TICK)
            except queue.Full:
                self._watch.moved("reading")
                self._session.keep_alive()
            else:
                return

    def run(self) -> None:
        """Until the last job is settled, or the process stops while the store or the lease is away."""
        try:
            ended = False
            while not ended:
                jobs, ended = self._gathered()
                if jobs and not self._stored(jobs):
                    return
        finally:
            self.drained.set()
            self._watch.ended("writing")

    def _gathered(self) -> tuple[list[Job], bool]:
        """A batch by count, age or quiet, and whether it is the last."""
        self._watch.moved("writing")
        try:
            first = self._jobs.get(timeout=TICK)
        except queue.Empty:
            return [], False
        if first is None:
            return [], True
        jobs, points = [first], first.weight
        end = time.monotonic() + self._batch_s
        while points < self._batch_points:
            quiet_s = self._batch_s * quiet_share(jobs[-1].weight)
            try:
                job = self._jobs.get(timeout=max(0.0, min(quiet_s, end - time.monotonic())))
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
            points += job.weight
        return jobs, False

    def _stored(self, jobs: list[Job]) -> bool:
        """Write and settle; False when the process stops while the store or the lease is away."""
        batch = Batch(jobs)
        pause, at_once = _FIRST_PAUSE, _AT_ONCE
        while batch.points:
            self._metrics.waiting = len(batch.points)
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            before = len(batch.points)
            try:
                self._drop_erased(batch)
                if not batch.points:
                    break
                self._watch.moved("writing", within=self._request_s)
                batch.settle(self._store.write(batch.points))
                self._watch.recovered("storing")
                self.given_up = False
                at_once = _AT_ONCE if len(batch.points) < before else at_once - 1
                if at_once:
                    continue  # a server that takes a batch in parts is asked for the next; else it is the spool's turn
            except LeaseOver as fault:
                self._watch.trouble("storing", fault)
                wait = self._poll_s
            except Unreachable as fault:
                self._watch.trouble("storing", fault)
                wait = max(wait, asked_for(fault))
                pause = min(pause * 2, _LONGEST_PAUSE)
                self.given_up = self.given_up or may_land(fault)
            if batch.points and self._paused(wait):
                return False
        self._metrics.waiting = 0
        if not self._kept(batch):
            return False
        self._settle(batch)
        return True

    def _kept(self, batch: Batch) -> bool:
        """What was refused is in the dead letters; False when the process stops while they are full or fail."""
        letters, pause = batch.letters(self._clock.wall()), _FIRST_PAUSE
        while letters:
            part = letters[:_TOGETHER]
            self._watch.moved("writing")
            try:
                self._keeping.add(part)
            except Unreachable as fault:
                self._watch.trouble("dead letters", fault, level="error")
                if self._paused(pause):
                    return False
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                letters = letters[len(part) :]
        self._watch.recovered("dead letters")
        return True

    def _paused(self, seconds: float) -> bool:
        """The writer waits, and is seen to; whether the process stops."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._watch.stopping.wait(min(left, TICK)):
            self._watch.moved("writing")
        return self._watch.stopping.is_set()

    def _drop_erased(self, batch: Batch) -> None:
        """Points whose key, or whose month, went meanwhile are not sent: `erased`; the suspended are not lost."""
        generation = self._ring.generation
        if self._ring.fit_to_send(batch.generation):
            return
        batch.drop(self._ring.gone(ids := {point.series.key_id for point in batch.points}), self._ring.kept_since(ids))
        batch.generation = generation

    def _settle(self, batch: Batch) -> None:
        metrics = self._metrics
        for job in batch.jobs:
            done, delivery = job.done, job.delivery
            for reason, messages in Counter(done.refusals.message.values()).items():
                metrics.refuse(reason, messages)
            metrics.refuse(Reason.TOO_LARGE, len(delivery.oversized))
            metrics.refuse(Reason.MALFORMED, len(delivery.malformed))
            metrics.refuse_readings(done.refusals.readings)
            metrics.stored += len(set(done.owners))
            metrics.untimed += done.untimed
        for reason, messages in batch.refused_messages().items():
            metrics.refuse(reason, messages)
            metrics.stored -= messages
        metrics.refuse_readings(batch.refused_readings())
        metrics.points += batch.accepted
        metrics.batches += 1
        metrics.redelivered = self._session.counters.redelivered
        metrics.devices = len(self._ring)
        for generation, jobs in groupby(batch.jobs, key=lambda job: job.delivery.generation):
            self._session.acknowledge(generation, list(chain.from_iterable(job.delivery.tokens for job in jobs)))
