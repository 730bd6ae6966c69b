"""One customer's messages on their way through the stages, live and in memory only: where does each come to its end?

A session of its own at the broker gets a copy of what the devices publish and acknowledges it at once: the gateway's
session, whose acknowledgements mean "stored", is not touched. Each message goes through the stages that the gateway
takes it through, under a lease like any worker's. Nothing is written: sealing gives the same point wherever it is done,
so the store can be asked whether the gateway has written it.

Shown of a message are device, time, names of quantities and reasons, never a value. What is not this customer's is not
shown: devices that are another's now, and readings from before the device was theirs, which are sealed as another's.

    with traced(house, controller, customer, None, purpose="support", seconds=60) as live:
        for message in live.messages(on_watching): …
        live.tally.words(60)
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from gateway.control.trace import Found, Traces
from gateway.errors import Unreachable
from gateway.keys.lease import Lease
from gateway.keys.ring import GenerationMoved, Ring
from gateway.model.ids import Controller, CustomerId, DeviceId
from gateway.model.sealed import Reason, SealedPoint
from gateway.pipeline.chain import Chain, Processed
from gateway.runtime.wiring import House
from gateway.transport.ingest import Delivery

_ASK_S = 0.25  # seconds between questions to the store
_PATIENCE_S = 5.0  # seconds that the gateway has to store a message before it is said that it has not
_AWAY_S = 5.0  # seconds that a store which did not answer is left alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message that arrived `at` (ns): its quantities, the last stage it came through, and why no further.

    `refused` are the reasons of what did not go on; `stage` is then `arrival`, `decode`, or `seal` when others did.
    `stored` is None when nothing was sealed or, without a time of its own, the stored point cannot be told from others.
    """

    at: int
    device: DeviceId | None = field(repr=False)
    quantities: tuple[str, ...] = ()
    stage: str = "arrival"
    refused: tuple[Reason, ...] = ()
    stored: bool | None = None


@dataclass(slots=True)
class Tally:
    """Messages, by what became of them. `refused` has those of which nothing remained."""

    messages: int = 0
    sealed: int = 0
    stored: int = 0
    untimed: int = 0
    refused: Counter[Reason] = field(default_factory=Counter)
    store: str = ""
    lost: int = 0

    def words(self, seconds: float) -> str:
        """What it comes to, for whoever has to help."""
        parts = [f"{self.messages} messages arrived" if self.messages else f"nothing arrived in {seconds:.0f} s"]
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.refused.most_common())
        if self.messages and self.refused.total() == self.messages:
            parts = [f"{parts[0]}, all refused: {reasons}"]
        elif reasons:
            parts.append(f"{self.refused.total()} refused: {reasons}")
        if self.sealed:
            parts.append(f"{self.sealed} sealed, {self.stored} in the store")
        if self.untimed:
            parts.append(f"{self.untimed} without a time of their own, which cannot be looked for in the store")
        if self.sealed > self.stored + self.untimed:
            parts.append(self.store or "not all are stored: see that `glomska run` runs, and what it says of the store")
        if self.lost:
            parts.append("the connection to the broker was lost meanwhile")
        said = "; ".join(parts)
        return said if self.messages else f"{said}: the device, its network or the broker"


@dataclass(slots=True)
class _Sealed:
    message: Message
    points: list[SealedPoint]
    until: float  # monotonic seconds


class Live:
    """A trace under way; `found` is what is known, as of now."""

    def __init__(  # noqa: PLR0913, PLR0917 - whom it is about, and what wiring gives
        self,
        house: House,
        traces: Traces,
        found: Found,
        controller: Controller,
        customer: CustomerId,
        device: DeviceId | None,
        purpose: str,
        seconds: int,
    ) -> None:
        self.found = found
        self.tally = Tally()
        self._house, self._traces = house, traces
        self._subject = controller, customer, device
        self._purpose, self._seconds = purpose, seconds
        self._clock, settings = house.clock, house.settings
        lease = Lease(house.keystore, house.clock, lease_s=settings.keys.lease_s, deadline_s=0)
        self._ring = Ring(house.keystore, house.custodian, house.policy, lease, house.clock, parse=house.topics.parse)
        limit = settings.mqtt.max_payload_bytes
        self._chain = Chain(house.policy, max_payload_bytes=limit, mappings=house.mappings)
        self._poll_s = settings.keys.poll_ms / 1000
        self._poll_at = self._ask_at = self._away_until = 0.0
        self._waiting: list[_Sealed] = []
        self._late: list[_Sealed] = []

    def messages(self, on_watching: Callable[[], None]) -> Generator[Message]:
        """Each message once it is refused, stored, or late at the store; for `seconds`, or not at all without devices.

        `on_watching` is called once the broker has taken the subscription.

        Raises:
            KeyDestroyed: the customer was erased meanwhile.
            Refused: they have objected meanwhile.
            CustodianFault, LeaseOver, Unreachable.
        """
        now = self._clock.wall()
        devices = sorted({known.device for known in self.found.devices if known.holds(now)})
        topics = self._house.topics.topics_of(self._subject[0], devices)
        if not topics:
            return
        self._ring.register()
        session = self._house.receiving.apart(
            self._heard, client_id=f"trace-{secrets.token_hex(8)}", session_expiry_s=1, filters=topics
        )
        try:
            self._look_again()
            session.connect()
            on_watching()
            end = time.monotonic() + self._seconds
            while (left := end - time.monotonic()) > 0:
                self._poll()
                delivery = session.receive(min(left, self._poll_s, _ASK_S))
                if delivery is not None:
                    session.acknowledge(delivery.generation, delivery.tokens)
                    yield from self._taken(delivery)
                yield from self._asked()
            yield from self._last_asked()
        finally:
            session.close()
            with contextlib.suppress(Unreachable):  # then the lease runs out
                self._ring.leave()

    def _heard(self, state: str) -> None:
        self.tally.lost += state.startswith("lost")

    def _poll(self) -> None:
        """Lease and generation, when due; whether they still may be traced when keys have moved."""
        if time.monotonic() >= self._poll_at:
            if self._ring.poll():
                self._look_again()
            self._poll_at = time.monotonic() + self._poll_s

    def _look_again(self) -> None:
        self.found = self._traces.look(*self._subject, purpose=self._purpose)

    def _taken(self, delivery: Delivery) -> Iterator[Message]:
        """What is refused comes out at once, what is sealed is looked for in the store first."""
        for reason, packets in ((Reason.TOO_LARGE, delivery.oversized), (Reason.MALFORMED, delivery.malformed)):
            for _packet in packets:
                self._count(reason)
                yield Message(at=self._clock.wall(), device=None, refused=(reason,))
        for index in range(len(delivery.arrivals)):
            yield from self._one(delivery, index)

    def _one(self, delivery: Delivery, index: int) -> Iterator[Message]:
        now, arrivals = self._clock.wall(), delivery.arrivals[index : index + 1]
        names = self._house.topics.parse(arrivals[0].topic)
        theirs = any(names and known.device == names[1] and known.holds(now) for known in self.found.devices)
        if names is None or not theirs or arrivals[0].retain:  # what the broker retained has not arrived now
            return
        done = self._through(delivery, index, now)
        if any(point.series.key_id not in self.found.key_ids for point in done.points):
            return
        decoded = self._chain.decode(arrivals, now, Processed().refusals)  # again, for the names alone
        present = np.flatnonzero(~np.isnan(decoded.values).all(axis=0)).tolist() if decoded.message else []
        message = Message(
            at=now,
            device=names[1],
            quantities=tuple(q.name for q in self._house.policy.quantities if q.number in present),
            stage="seal" if done.points else "decode" if decoded.message else "arrival",
            refused=tuple(done.refusals.readings),
        )
        self._count(done.refusals.message.get(0))
        if done.points and not done.untimed:
            self._waiting.append(_Sealed(message, done.points, time.monotonic() + _PATIENCE_S))
            return
        self.tally.untimed += bool(done.untimed)
        yield message

    def _through(self, delivery: Delivery, index: int, now: int) -> Processed:
        """One arrival through all stages."""
        arrivals = delivery.arrivals[index : index + 1]
        while True:
            try:
                with self._ring.using():
                    return self._chain(arrivals, self._ring.resolve([arrivals[0].topic]), now)
            except GenerationMoved:
                self._poll_at = 0.0
                self._poll()

    def _count(self, refused: Reason | None) -> None:
        self.tally.messages += 1
        if refused is None:
            self.tally.sealed += 1
        else:
            self.tally.refused[refused] += 1

    def _asked(self) -> Iterator[Message]:
        """Of what waits, that which is stored now or has waited too long, when it is time to ask."""
        now = time.monotonic()
        if now < self._ask_at:
            return
        self._ask_at = now + _ASK_S
        waiting, self._waiting = self._waiting, []
        for sealed in waiting:
            if self._stored(sealed):
                yield replace(sealed.message, stage="store", stored=True)
            elif now < sealed.until:
                self._waiting.append(sealed)
            else:
                self._late.append(sealed)
                yield replace(sealed.message, stored=False)

    def _last_asked(self) -> Iterator[Message]:
        """What waits, for as long as it may; then once more for what was late."""
        while self._waiting:
            self._poll()
            yield from self._asked()
            time.sleep(min(_ASK_S, self._poll_s))
        for sealed in self._late:
            self._poll()
            self._stored(sealed)

    def _stored(self, sealed: _Sealed) -> bool:
        """Whether every point of a message is stored; counted."""
        if time.monotonic() < self._away_until:
            return False
        try:
            found = all(self._finds(point) for point in sealed.points)
        except Unreachable as fault:
            self.tally.store = str(fault)
            self._away_until = time.monotonic() + _AWAY_S
            return False
        self.tally.store = ""
        self.tally.stored += found
        return found

    def _finds(self, point: SealedPoint) -> bool:
        """Whether this very point is stored. Raises Unreachable."""
        series = point.series
        fields = {point.field} if point.value else {name for name, _value in point.clear}
        there = list(self._house.store.query(series.measurement, [series.pseudonym], point.time, point.time + 1))
        return any((p.field or p.clear[0][0]) in fields and p.value == point.value for p in there)


@contextlib.contextmanager
def traced(  # noqa: PLR0913 - whom it is about, what for, how long
    house: House,
    controller: Controller,
    customer: CustomerId,
    device: DeviceId | None,
    *,
    purpose: str,
    seconds: int,
) -> Iterator[Live]:
    """A trace, in ledger and access log. Raises what `Traces.begin` raises."""
    lease_s = house.settings.keys.lease_s
    traces = Traces(house.control, house.custodian, house.policy, house.store, lease_s=lease_s)
    since = house.clock.wall()
    found = traces.begin(controller, customer, device, purpose=purpose, seconds=seconds)
    live = Live(house, traces, found, controller, customer, device, purpose, seconds)
    try:
        yield live
    finally:
        traces.end(controller, found, purpose=purpose, since=since, readings=live.tally.messages)
