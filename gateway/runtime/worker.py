"""One ingesting process: messages in, sealed points stored, and only then acknowledged.

Four threads, one duty each:

    reader   receive, look up, decode … seal        back-pressure: it stops reading while the writer's queue is full
    writer   gather a batch, store it, settle it    in the order of arrival, as MQTT wants acknowledgements
    keeper   lease and generations                  a lease that ends stops reader and writer until it is renewed
    tidier   open erasures                          may wait for stores and other workers, so it keeps nothing else
    drainer  what waits in the spool                beside the others; see `spooling`

A delivery is acknowledged when every point that came of it was accepted, or refused for good, counted and kept in the
dead letters, as refused messages are. The reader seals those while they are at hand, the writer writes them. What a
store that is down cannot take the spool accepts, fsynced. Where neither can, the batch is kept and tried again, and so
are dead letters that are full or fail; meanwhile nothing is acknowledged and the broker holds what follows.

What waiting can mend (store, key store, custodian, lease) is waited out. A damaged row that housekeeping meets is one
customer's, and an error in the log. Anything else ends the process, since nothing may go on half. Stopping drains: the
reader ends first, the writer when it has settled what was read or the store or lease is away, the keeper last.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from itertools import chain, groupby

from gateway.clock import Clock
from gateway.errors import CustodianFault, GlomskaError, LeaseOver, Unreachable
from gateway.keys.ring import GenerationMoved, Ring
from gateway.model.dead import DeadLetter
from gateway.model.ids import Incarnation
from gateway.model.sealed import Reason
from gateway.pipeline.budget import Budget, Limits
from gateway.pipeline.chain import Chain
from gateway.pipeline.letters import Seals, letters_of
from gateway.policy.rules import Policy
from gateway.runtime.batch import Batch, Job
from gateway.runtime.duties import GONE_ON_WITH, WAITED_OUT
from gateway.runtime.keeping import Keeping, Keeps
from gateway.runtime.log import Level, Log
from gateway.runtime.metrics import Metrics
from gateway.runtime.ports import Receives
from gateway.runtime.spooling import Spooled, Spooling, Writes, asked_for
from gateway.transport.ingest import Delivery

_QUEUED = 4  # deliveries between reader and writer; what is beyond waits in the broker
_TICK = 0.5  # seconds between looks at whether to stop
_TOGETHER = 250  # letters that are written together: not all of a batch has to find room
_TIDY = 1.0  # seconds between looks at open erasures
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0  # seconds between tries of a store that is down
_AT_ONCE = 32  # answers in a row of a store that keeps everything, before there is a pause: halving takes 17
_QUIET_SHARE = 5  # a batch whose stream is quiet for a fifth of its longest age is written early


class Worker:
    """Runs until `stop`; see the module for its threads."""

    def __init__(  # noqa: PLR0913, PLR0917 - what wiring hands to it
        self,
        session: Receives,
        ring: Ring,
        chain: Chain,
        store: Writes,
        clock: Clock,
        log: Log,
        *,
        batch_points: int,
        batch_ms: int,
        poll_ms: int,
        request_s: float = 0.0,
        housekeeping: Callable[[], object] = lambda: None,
        spooling: Spooling | None = None,
        leftovers: Callable[[], Spooled] = Spooled,
        letters: Keeps | None = None,
        sealer: Seals | None = None,
        budget: Budget | None = None,
        on_adopted: Callable[[Chain], object] = lambda _chain: None,
    ) -> None:
        """With `spooling`, which has the store behind it, batches go where it says. A request may take `request_s`.

        Without `letters` and `sealer`, what is refused is only counted: for a source that keeps what it gave.
        `leftovers` tells what housekeeping did with spools of others.
        """
        self.metrics = Metrics()
        self._session, self._ring, self._chain = session, ring, chain
        self._store, self._spooling = spooling or store, spooling
        self._clock, self._log = clock, log
        self._batch_points, self._batch_s = batch_points, batch_ms / 1000
        self._poll_s, self._request_s = poll_ms / 1000, request_s
        self._housekeeping, self._leftovers = housekeeping, leftovers
        self._keeping = Keeping(letters, sealer, self.metrics, log)
        self._sealer, self._on_adopted = sealer, on_adopted
        self._budget = budget or Budget(Limits())
        self._jobs: queue.Queue[Job | None] = queue.Queue(_QUEUED)
        self._stopping = threading.Event()
        self._drained = threading.Event()  # the writer has ended: nobody takes from the queue any more
        self._failure: BaseException | None = None
        self._said: dict[str, str] = {}
        self._moved: dict[str, float] = {}
        self._alarmed: set[Incarnation] = set()
        self._given_up = False

    @property
    def spooled(self) -> Spooled | None:
        """What went through the spool, where there is one, and through those that others left."""
        return None if self._spooling is None else self._spooling.counted + self._leftovers()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Until `stop`, drained. Raises Unreachable, CustodianFault, SpoolHeld at start; later it keeps trying."""
        with contextlib.ExitStack() as opened:
            if self._spooling is not None:
                self._spooling.open()
                opened.callback(self._spooling.close)
            self._work(on_ready)
        if self._failure is not None:
            raise self._failure

    def _work(self, on_ready: Callable[[], None]) -> None:
        self._ring.register()
        try:
            self._session.connect()
            duties = (self._read, self._write, self._keep, self._tidy, self._drain)
            threads = [threading.Thread(target=self._guard, args=(duty,), name=duty.__name__) for duty in duties]
            for thread in threads:
                thread.start()
            self._guard(on_ready)
            for thread in threads:
                while thread.is_alive():
                    self._guard(thread.join)  # an interrupt here stops the worker, which still drains
        finally:
            self._session.close()
            self._leave()

    def adopt(self, policy: Policy, chain: Chain) -> None:
        """Another policy, from the next delivery on; what was sealed before settles as it is.

        Raises ConfigurationFault: keys that it wants are missing. Then nothing has changed.
        """
        with self._ring.adopting(policy):
            self._chain = chain
            self._on_adopted(chain)
        self._session.refresh()

    def silent_s(self) -> float:
        """For how long that one of its threads which should move all the time has not, in seconds.

        Reader, writer and keeper; a request has its deadline first. The others wait for others, and hold up nobody.
        """
        now = time.monotonic()
        return max((now - moved for moved in list(self._moved.values())), default=0.0)

    def stop(self) -> None:
        """Stop reading, write and settle what was read, end. From any thread, not from a signal handler: it locks."""
        self._stopping.set()
        self._session.stop()

    def _guard(self, duty: Callable[[], None]) -> None:
        """A defect in one thread ends the process, loudly: nothing may go on half."""
        try:
            duty()
        except BaseException as fault:  # noqa: BLE001 - raised again by run
            self._failure = self._failure or fault
            self.stop()

    def _leave(self) -> None:
        """Without the key store the lease just runs out, and that must not hide why the process ends.

        It is left to run out, too, where a request was given up: the store may still carry it out, and whoever erases
        counts with the deadlines of workers that are registered.
        """
        if self._given_up or (self._spooling is not None and self._spooling.given_up):
            return
        try:
            self._ring.leave()
        except Unreachable as fault:
            self._log.error("leaving", fault, level="warning")

    def _read(self) -> None:
        try:
            while not self._stopping.is_set():
                self._moved["reading"] = time.monotonic()
                delivery = self._session.receive(_TICK)
                if delivery is not None and (job := self._processed(delivery)) is not None:
                    self._put(job)
        finally:
            self._put(None)
            self._moved.pop("reading", None)

    def _put(self, job: Job | None) -> None:
        while not self._drained.is_set():
            try:
                self._jobs.put(job, timeout=_TICK)
            except queue.Full:
                self._moved["reading"] = time.monotonic()
                self._session.keep_alive()
            else:
                return

    def _processed(self, delivery: Delivery) -> Job | None:
        """The delivery through all stages; None when the process stops before keys could be used."""
        over: Collection[int] | None = None  # counted once, however often it is tried
        while not self._stopping.is_set():
            try:
                with self._ring.using() as generation:
                    devices = self._ring.resolve([arrival.topic for arrival in delivery.arrivals])
                    now = self._clock.wall()
                    if over is None:
                        over = self._budget.over(devices, generation, self._clock.boottime())
                    chain = partial(self._chain.without, over) if over else self._chain
                    done = chain(delivery.arrivals, devices, now)
                    refused, letters = done.refusals.message, list[DeadLetter]()
                    if refused:
                        if self._sealer is not None:
                            letters = letters_of(delivery.arrivals, devices, refused, now, self._sealer)
                        self._budget.charge(delivery.arrivals, devices, refused)
                self._recovered("reading")
            except GenerationMoved:
                if not self._poll():
                    self._stopping.wait(self._poll_s)
            except GlomskaError as fault:  # no lease, no key store, no custodian: nothing is read on
                self._trouble("reading", fault)
                self._moved["reading"] = time.monotonic()
                self._session.keep_alive()
                self._stopping.wait(self._poll_s)
            else:
                delivery.arrivals.clear()  # what was in the clear is not kept while the batch waits
                return Job(delivery, done, generation, letters)
        return None

    def _write(self) -> None:
        try:
            ended = False
            while not ended:
                jobs, ended = self._gathered()
                if jobs and not self._stored(jobs):
                    return
        finally:
            self._drained.set()
            self._moved.pop("writing", None)

    def _gathered(self) -> tuple[list[Job], bool]:
        """A batch by count, age or quiet, and whether it is the last."""
        self._moved["writing"] = time.monotonic()
        try:
            first = self._jobs.get(timeout=_TICK)
        except queue.Empty:
            return [], False
        if first is None:
            return [], True
        jobs, points = [first], first.weight
        end = time.monotonic() + self._batch_s
        while points < self._batch_points:
            try:
                job = self._jobs.get(timeout=max(0.0, min(self._batch_s / _QUIET_SHARE, end - time.monotonic())))
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
            self.metrics.waiting = len(batch.points)
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            before = len(batch.points)
            try:
                self._drop_erased(batch)
                if not batch.points:
                    break
                self._moved["writing"] = time.monotonic() + self._request_s
                batch.settle(self._store.write(batch.points))
                self._recovered("storing")
                at_once = _AT_ONCE if len(batch.points) < before else at_once - 1
                if at_once:
                    continue  # a server that takes a batch in parts is asked for the next; else it is the spool's turn
            except LeaseOver as fault:
                self._trouble("storing", fault)
                wait = self._poll_s
            except Unreachable as fault:
                self._trouble("storing", fault)
                wait = max(wait, asked_for(fault))
                pause = min(pause * 2, _LONGEST_PAUSE)
            if batch.points and self._paused(wait):
                self._given_up = True
                return False
        self.metrics.waiting = 0
        if not self._kept(batch):
            return False
        self._settle(batch)
        return True

    def _kept(self, batch: Batch) -> bool:
        """What was refused is in the dead letters; False when the process stops while they are full or fail."""
        letters, pause = batch.letters(self._clock.wall()), _FIRST_PAUSE
        while letters:
            part = letters[:_TOGETHER]
            self._moved["writing"] = time.monotonic()
            try:
                self._keeping.add(part)
            except Unreachable as fault:
                self._trouble("dead letters", fault, level="error")
                if self._paused(pause):
                    return False
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                letters = letters[len(part) :]
        self._recovered("dead letters")
        return True

    def _paused(self, seconds: float) -> bool:
        """The writer waits, and is seen to; whether the process stops."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stopping.wait(min(left, _TICK)):
            self._moved["writing"] = time.monotonic()
        return self._stopping.is_set()

    def _drop_erased(self, batch: Batch) -> None:
        """Points whose key, or whose month, went meanwhile are not sent: `erased`; the suspended are not lost."""
        generation = self._ring.generation
        if self._ring.fit_to_send(batch.generation):
            return
        batch.drop(self._ring.gone(ids := {point.series.key_id for point in batch.points}), self._ring.kept_since(ids))
        batch.generation = generation

    def _settle(self, batch: Batch) -> None:
        metrics = self.metrics
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

    def _drain(self) -> None:
        if self._spooling is not None:
            self._spooling.drain(self._stopping)

    def _keep(self) -> None:
        while not self._drained.is_set():
            self._ring.wait(self._drained, self._poll_s)
            self._moved["keeping"] = time.monotonic()
            self._poll()

    def _tidy(self) -> None:
        while not self._stopping.wait(_TIDY):
            try:
                self._housekeeping()
                self._recovered("housekeeping")
            except GlomskaError as fault:
                self._trouble("housekeeping", fault)

    def _poll(self) -> bool:
        """Whether this worker is of the key store's generation now."""
        try:
            if self._ring.poll():
                self._log.event("generation", level="debug")
            for incarnation in self._ring.unusable - self._alarmed:
                self._alarmed.add(incarnation)
                self._log.event("key unusable", level="error", incarnation=incarnation.hex())
        except (Unreachable, CustodianFault) as fault:  # a turnover's new wrapping key may not be here yet
            self._trouble("key store", fault)
            return False
        self._recovered("key store")
        return True

    def _trouble(self, where: str, fault: GlomskaError, *, level: Level = "warning") -> None:
        """Said once, not at every try. What waiting does not mend is raised again."""
        if not isinstance(fault, GONE_ON_WITH if where == "housekeeping" else WAITED_OUT):
            raise fault
        if self._said.get(where) != str(fault):
            self._said[where] = str(fault)
            self._log.error(f"waiting: {where}", fault, level=level if isinstance(fault, WAITED_OUT) else "error")

    def _recovered(self, where: str) -> None:
        if self._said.pop(where, None) is not None:
            self._log.event(f"recovered: {where}")
