"""One session for each controller, behind the interface of one: none can hold up another.

    sessions = Sessions(lambda name: open_session_of(name), known=lambda: ["nordhem"], bound=lambda name, topic: True)

Each has a connection, a queue at the broker, a window of unacknowledged messages and a thread of its own; `receive`
takes from them in turn, one read of each. A controller that floods fills its own queue; one that is unreachable, or
whose messages wait, leaves the others alone. New controllers are looked for every LOOK_S and get their session while
this runs; none is ever dropped before the process ends.

A delivery's generation says whose it is: the session's own, times LINES, plus the number of the session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace

from gateway.errors import Unreachable
from gateway.transport.ingest.session import Counters, Delivery, Session

LOOK_S = 1.0
LINES = 2**20
_TICK = 0.5  # seconds between looks at whether to stop
_KNOWN_TOPICS = 100_000
_NOBODY = ""  # is no controller's name


class Sessions:
    """Made with how to open a controller's session, which controllers there are, and whose a topic is."""

    def __init__(
        self,
        opened: Callable[[str], Session],
        *,
        known: Callable[[], Collection[str]],
        bound: Callable[[str, str], bool],
        leaving: Sequence[Session] = (),
    ) -> None:
        """Args: `known` may raise Unreachable, then those known before stay; `bound(controller, topic)`: may it be?

        `leaving` are sessions of former times, drained beside the others.
        """
        self._opened, self._known, self._bound, self._leaving = opened, known, bound, leaving
        self._lines: list[_Line] = []
        self._turn = 0
        self._look_at = 0.0
        self._news = threading.Condition()
        self._stopped = False

    @property
    def counters(self) -> Counters:
        """Of all sessions together."""
        every = [line.session.counters for line in list(self._lines)]
        return Counters(**{each.name: sum(getattr(one, each.name) for one in every) for each in fields(Counters)})

    def connect(self) -> None:
        """The first connections; who has none is tried again beside the others. Raises Unreachable when nobody has."""
        faults: dict[str, Unreachable] = {}
        for controller in sorted(self._known()):
            session = self._opened(controller)
            try:
                session.connect()
            except Unreachable as fault:
                session.close()
                faults[controller] = fault
            except BaseException:
                session.close()
                raise
            else:
                self._begin(controller, session)
        if faults and not self._lines:
            raise next(iter(faults.values()))
        for controller in faults:
            self._begin(controller, self._opened(controller))
        for session in self._leaving:
            self._begin(_NOBODY, session)

    def receive(self, timeout_s: float) -> Delivery | None:
        """The next messages of whoever's turn it is; None after `timeout_s` s or once stopped."""
        deadline = time.monotonic() + timeout_s
        while not self._stopped:
            self._look()
            with self._news:
                if delivery := self._next():
                    return delivery
                left = min(deadline, self._look_at) - time.monotonic()
                if not self._stopped:
                    self._news.wait(max(left, 0.0))
            if time.monotonic() >= deadline:
                return None
        return None

    def acknowledge(self, generation: int, packet_ids: Sequence[int]) -> None:
        """To the session that the delivery came from, under its own generation."""
        own, number = divmod(generation, LINES)
        self._lines[number].session.acknowledge(own, packet_ids)

    def keep_alive(self) -> None:
        """Each session's own thread does, while it waits for its turn."""

    def refresh(self) -> None:
        """As a session's, for each."""
        for line in list(self._lines):
            line.session.refresh()

    def stop(self) -> None:
        """End `receive` and every wait in it, for good; acknowledgements can still be sent."""
        self._stopped = True
        for line in list(self._lines):
            line.session.stop()
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """Stop, and close each session. May be called twice."""
        self.stop()
        for line in self._lines:
            line.thread.join()
            line.session.close()

    def _look(self) -> None:
        """Begin the sessions of controllers that are new."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_S
        there = {line.controller for line in self._lines}
        try:
            new = sorted(set(self._known()) - there)
        except Unreachable:  # the worker's other threads say so
            return
        for controller in new:
            self._begin(controller, self._opened(controller))  # its thread connects, and waits out what is away

    def _begin(self, controller: str, session: Session) -> None:
        bound = self._bound if controller else _anyone
        line = _Line(controller, session, self._news, bound)
        self._lines.append(line)
        line.thread.start()
        if self._stopped:
            session.stop()

    def _next(self) -> Delivery | None:
        """From the first line behind the last one served that has something. Raises what ended a line."""
        for step in range(len(self._lines)):
            number = (self._turn + step) % len(self._lines)
            line = self._lines[number]
            if line.failure is not None:
                raise line.failure
            if line.waiting is not None:
                delivery, line.waiting = line.waiting, None
                self._news.notify_all()
                self._turn = number + 1
                return replace(delivery, generation=delivery.generation * LINES + number)
        return None


def _anyone(_controller: str, _topic: str) -> bool:
    """What was kept for a session of former times may be of any controller; the broker's access list let it in."""
    return True


class _Line:
    """One controller's session and the thread that reads it, one delivery ahead."""

    def __init__(
        self, controller: str, session: Session, news: threading.Condition, bound: Callable[[str, str], bool]
    ) -> None:
        self.controller, self.session = controller, session
        self.waiting: Delivery | None = None
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=f"line {id(self):x}", daemon=True)
        self._news, self._bound = news, bound
        self._own_topics: set[int] = set()  # Python's own hashes, keyed anew in each process: a topic may be long

    def _run(self) -> None:
        try:
            while self._offer(self.session.receive(_TICK)):
                pass
        except BaseException as failure:  # noqa: BLE001 - raised again by receive
            self.failure = failure
            with self._news:
                self._news.notify_all()

    def _offer(self, delivery: Delivery | None) -> bool:
        """Put it where `receive` finds it and wait until it is taken; whether to go on."""
        if delivery is None:
            return not self.session.stopped
        delivery = self._enforced(delivery)
        with self._news:
            self.waiting = delivery
            self._news.notify_all()
            while self._untaken():
                if not self._news.wait(_TICK):
                    self.session.keep_alive()
        return not self.session.stopped

    def _untaken(self) -> bool:
        return self.waiting is not None and not self.session.stopped

    def _enforced(self, delivery: Delivery) -> Delivery:
        """Without what the broker should not have sent here: topics of another controller, counted as malformed."""
        strange = [i for i, arrival in enumerate(delivery.arrivals) if not self._owns(arrival.topic)]
        if not strange:
            return delivery
        kept = [i for i in range(len(delivery.arrivals)) if i not in set(strange)]
        return replace(
            delivery,
            arrivals=[delivery.arrivals[i] for i in kept],
            packet_ids=[delivery.packet_ids[i] for i in kept],
            malformed=[*delivery.malformed, *(delivery.packet_ids[i] for i in strange)],
        )

    def _owns(self, topic: str) -> bool:
        if (known := hash(topic)) in self._own_topics:
            return True
        if not self._bound(self.controller, topic):
            return False
        if len(self._own_topics) >= _KNOWN_TOPICS:
            self._own_topics.clear()
        self._own_topics.add(known)
        return True
