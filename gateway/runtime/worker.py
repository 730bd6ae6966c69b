"""One ingesting process: messages in, sealed points stored, and only then acknowledged.

Five threads, one duty each:

    reader   receive, look up, decode … seal        back-pressure: it stops reading while the writer's queue is full
    writer   gather a batch, store it, settle it    in the order of arrival, as MQTT wants it; see `writer`
    keeper   lease and generations                  a lease that ends stops reader and writer until it is renewed
    tidier   open erasures                          may wait for stores and other workers, so it keeps nothing else
    drainer  what waits in the spool                beside the others; see `spooling`

What waiting can mend (store, key store, custodian, lease) is waited out. A damaged row that housekeeping meets is one
customer's, and an error in the log. Anything else ends the process, since nothing may go on half. Stopping drains: the
reader ends first, the writer when it has settled what was read or the store or lease is away, the keeper last.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from gateway.clock import Clock
from gateway.errors import CustodianFault, GlomskaError, Unreachable
from gateway.keys.ring import GenerationMoved, Ring
from gateway.model.dead import DeadLetter
from gateway.model.ids import Incarnation
from gateway.pipeline.budget import Budget, Limits
from gateway.pipeline.chain import Chain
from gateway.pipeline.letters import Seals, letters_of
from gateway.policy.rules import Policy
from gateway.runtime.batch import Job
from gateway.runtime.keeping import Keeping, Keeps
from gateway.runtime.log import Log
from gateway.runtime.metrics import Metrics
from gateway.runtime.ports import Receives
from gateway.runtime.spooling import Spooled, Spooling, Writes
from gateway.runtime.watch import Watch
from gateway.runtime.writer import TICK, Writer
from gateway.transport.ingest import Delivery
from gateway.transport.spool import SpoolHeld

_ENDING_S = 60.0  # for a worker whose supervisor was killed to end, beside a request
_HELD_LOOK, _HELD_MOST = 0.2, 300.0  # seconds between looks at whether its spool is free, and in all
_TIDY = 1.0  # seconds between looks at open erasures


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
        follows: bool = False,
        housekeeping: Callable[[], object] = lambda: None,
        spooling: Spooling | None = None,
        leftovers: Callable[[], Spooled] = Spooled,
        letters: Keeps | None = None,
        sealer: Seals | None = None,
        budget: Budget | None = None,
        on_adopted: Callable[[Chain], object] = lambda _chain: None,
    ) -> None:
        """With `spooling`, which has the store behind it, batches go where it says. A request may take `request_s`.

        `follows`: who had its spool before may be ending still, and is waited for.
        Without `letters` and `sealer`, what is refused is only counted: for a source that keeps what it gave.
        `leftovers` tells what housekeeping did with spools of others.
        """
        self.metrics = Metrics()
        self._session, self._ring, self._chain = session, ring, chain
        self._clock, self._log, self._poll_s = clock, log, poll_ms / 1000
        self._spooling, self._leftovers, self._housekeeping = spooling, leftovers, housekeeping
        self._sealer, self._on_adopted = sealer, on_adopted
        self._budget = budget or Budget(Limits())
        self._watch = Watch(log)
        self._writer = Writer(
            session,
            ring,
            spooling or store,
            Keeping(letters, sealer, self.metrics, log),
            clock,
            self.metrics,
            self._watch,
            batch_points=batch_points,
            batch_s=batch_ms / 1000,
            poll_s=self._poll_s,
            request_s=request_s,
        )
        self._failure: BaseException | None = None
        self._alarmed: set[Incarnation] = set()
        self._held_s = min(_ENDING_S + request_s, _HELD_MOST) if follows else 0.0

    @property
    def spooled(self) -> Spooled | None:
        """What went through the spool, where there is one, and through those that others left."""
        left = self._leftovers()
        if self._spooling is None:
            return left if left != Spooled() else None
        return self._spooling.counted + left

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Until `stop`, drained. Raises Unreachable, CustodianFault, SpoolHeld at start; later it keeps trying."""
        with contextlib.ExitStack() as opened:
            if self._spooling is not None:
                self._open(self._spooling)
                opened.callback(self._spooling.close)
            self._work(on_ready)
        if self._failure is not None:
            raise self._failure

    def _open(self, spooling: Spooling) -> None:
        """Raises SpoolHeld, SpoolUnable."""
        end, said = time.monotonic() + self._held_s, False
        while True:
            try:
                return spooling.open()
            except SpoolHeld as fault:
                if time.monotonic() >= end or self._watch.stopping.is_set():
                    raise
                if not said:
                    self._log.error("waiting: starting", fault, level="warning")
                said = True
                self._watch.stopping.wait(_HELD_LOOK)

    def _work(self, on_ready: Callable[[], None]) -> None:
        duties = (self._read, self._writer.run, self._keep, self._tidy, self._drain)
        threads = [threading.Thread(target=self._guard, args=(duty,), name=duty.__name__) for duty in duties]
        self._ring.register()
        try:
            self._session.connect()
            self._begin(threads)
            self._guard(on_ready)
            for thread in threads:
                while thread.is_alive():
                    self._guard(thread.join)  # an interrupt here stops the worker, which still drains
        finally:
            self.stop()  # of an interrupt between two of these lines nobody has heard yet
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            self._session.close()
            self._leave()

    def _begin(self, threads: Sequence[threading.Thread]) -> None:
        """All of them: each waits for another in the end, so that some of them would never end.

        Ctrl-C has to wait meanwhile. Where there is room for no more threads all of them stop, and the duty of one that
        did not begin ends here.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._guard(partial(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGINT}))
        for thread in threads:
            self._guard(thread.start)
        for thread in threads:
            if thread.ident is None:
                thread.run()
        self._guard(partial(signal.pthread_sigmask, signal.SIG_SETMASK, before))

    def adopt(self, policy: Policy, chain: Chain, before: Callable[[], object] = lambda: None) -> None:
        """Another policy, from the next delivery on, and `before` that something; what was sealed settles as it is.

        Raises ConfigurationFault: keys that it wants are missing; and what `before` does. Then nothing has changed.
        """
        with self._ring.adopting(policy):
            before()
            self._chain = chain
            self._on_adopted(chain)
        self._session.refresh()

    def silent_s(self) -> float:
        """For how long that one of its threads which should move all the time has not, in seconds.

        Reader, writer and keeper; a request has its deadline first. The others wait for others, and hold up nobody.
        """
        return self._watch.silent_s()

    def stop(self) -> None:
        """Stop reading, write and settle what was read, end. From any thread, not from a signal handler: it locks."""
        self._watch.stopping.set()
        self._session.stop()

    def _guard(self, duty: Callable[[], object]) -> None:
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
        if self._writer.given_up or (self._spooling is not None and self._spooling.given_up):
            return
        try:
            self._ring.leave()
        except Unreachable as fault:
            self._log.error("leaving", fault, level="warning")

    def _read(self) -> None:
        try:
            while not self._watch.stopping.is_set():
                self._watch.moved("reading")
                delivery = self._session.receive(TICK)
                if delivery is not None and (job := self._processed(delivery)) is not None:
                    self._writer.put(job)
        finally:
            self._writer.put(None)
            self._watch.ended("reading")

    def _processed(self, delivery: Delivery) -> Job | None:
        """The delivery through all stages; None when the process stops before keys could be used."""
        over: Collection[int] | None = None  # counted once, however often it is tried
        while not self._watch.stopping.is_set():
            try:
                with self._ring.using() as generation:
                    devices = self._ring.resolve([arrival.topic for arrival in delivery.arrivals])
                    now = self._clock.wall()
                    if over is None:
                        over = self._budget.over(devices, self._clock.boottime())
                    chain = partial(self._chain.without, over) if over else self._chain
                    done = chain(delivery.arrivals, devices, now)
                    refused, letters = done.refusals.message, list[DeadLetter]()
                    if refused:
                        if self._sealer is not None:
                            letters = letters_of(delivery.arrivals, devices, refused, now, self._sealer)
                        self._budget.charge(delivery.arrivals, devices, refused)
                    if done.many:
                        self._budget.charge_lists(devices, done.many)
                self._watch.recovered("reading")
            except GenerationMoved:
                if not self._poll():
                    self._watch.stopping.wait(self._poll_s)
            except GlomskaError as fault:  # no lease, no key store, no custodian: nothing is read on
                self._watch.trouble("reading", fault)
                self._watch.moved("reading")
                self._session.keep_alive()
                self._watch.stopping.wait(self._poll_s)
            else:
                delivery.arrivals.clear()  # what was in the clear is not kept while the batch waits
                return Job(delivery, done, generation, letters)
        return None

    def _drain(self) -> None:
        if self._spooling is not None:
            self._spooling.drain(self._watch.stopping)

    def _keep(self) -> None:
        while not self._writer.drained.is_set():
            self._ring.wait(self._writer.drained, self._poll_s)
            self._watch.moved("keeping")
            self._poll()

    def _tidy(self) -> None:
        while not self._watch.stopping.wait(_TIDY):
            try:
                self._housekeeping()
                self._watch.recovered("housekeeping")
            except GlomskaError as fault:
                self._watch.trouble("housekeeping", fault)

    def _poll(self) -> bool:
        """Whether this worker is of the key store's generation now."""
        try:
            if self._ring.poll():
                self._log.event("generation", level="debug")
            for incarnation in self._ring.unusable - self._alarmed:
                self._alarmed.add(incarnation)
                self._log.event("key unusable", level="error", incarnation=incarnation.hex())
        except (Unreachable, CustodianFault) as fault:  # a turnover's new wrapping key may not be here yet
            self._watch.trouble("key store", fault)
            return False
        self._watch.recovered("key store")
        return True
