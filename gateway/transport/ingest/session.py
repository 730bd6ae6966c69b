"""A session at the broker, which outlives connections: reconnects, and keeps acknowledgements to their own connection.

Packet ids mean something within one connection only: after a reconnect the broker may give the id of an unacknowledged
message to another one. So every connection has a generation, every delivery carries it, and an acknowledgement of an
earlier generation is dropped and counted, never sent. The broker then delivers its message again.

Threads: one calls `receive`, one `acknowledge`; `keep_alive`, `stop` and `close` are for any.

Acknowledge in the order of arrival: MQTT 5 asks for it (4.6), and rumqttd hangs up on who does not.

Certificates that were replaced on disk are used from the next connection on, which is made at once.

`on_state` gets short phrases for people: `connected`, `session lost`, `lost: …`, `unreachable: …`, `certificates …`,
`stopped`, and `CURTAILED …`, which somebody ought to read. None holds a topic, a payload, a client id or a credential.
"""

from __future__ import annotations

import os
import random
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mqtt5

from gateway.clock import Clock
from gateway.errors import ConfigurationFault, Unreachable
from gateway.transport.ingest.connection import GATHER_S, Connection, Lost, Terms
from gateway.transport.ingest.legacy import LegacyConnection
from gateway.transport.ingest.stream import Chunk
from gateway.transport.ingest.tls import Tls

BACK_OFF_S = 30.0
FIRST_BACK_OFF_S = 0.5
CURTAILED = "the session is kept for less than was asked"  # how such a state begins
FILES_S = 5.0  # seconds between looks at whether certificates were replaced
_SECOND = 1_000_000_000
Line = Connection | LegacyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What one read brought: acknowledge its `tokens` under its `generation` once it is settled.

    `packet_ids[i]` belongs to `arrivals[i]`. `oversized` and `malformed` hold the packet ids of messages that were not
    kept, to be counted as `too_large` and `malformed`. `tokens` are the packet ids of all of them in order of arrival.
    0 stands for QoS 0 wherever a packet id is: nothing to acknowledge.
    """

    generation: int
    arrivals: list[mqtt5.PublishPacket]
    packet_ids: list[int]
    oversized: list[int]
    malformed: list[int]
    tokens: list[int]


@dataclass(slots=True)
class Counters:
    """Since the session object was made; `redelivered` counts messages that the broker marked as duplicates."""

    reconnects: int = 0
    redelivered: int = 0
    stale_acknowledgements: int = 0
    session_lost: int = 0


class Session:
    """One client id and its subscriptions, QoS 1, over MQTT 5 or, where the broker knows no better, 3.1.1."""

    def __init__(  # noqa: PLR0913 - the terms of a session
        self,
        host: str,
        port: int,
        client_id: str,
        filters: Sequence[str],
        *,
        receive_maximum: int,
        keep_alive_s: int,
        session_expiry_s: int,
        max_packet_bytes: int,
        clock: Clock,
        on_state: Callable[[str], None],
        username: str | None = None,
        password: bytes | None = None,
        tls: Tls | None = None,
        version: str = "5",
        former: Sequence[str] = (),
        gather_s: float = GATHER_S,
    ) -> None:
        """`receive_maximum`: 1 to 65,535 messages, several batches. `max_packet_bytes` counts topic and header too.

        `former` are filters that the session may still have at the broker, and gives up. `gather_s` is for how long
        messages are left to gather at low rates before they are read.
        """
        self.counters = Counters()
        self.generation = 0
        self._terms = Terms(
            host=host,
            port=port,
            client_id=client_id,
            filters=tuple(filters),
            receive_maximum=receive_maximum,
            keep_alive_s=keep_alive_s,
            session_expiry_s=session_expiry_s,
            max_packet_bytes=max_packet_bytes,
            username=username,
            password=password,
            tls=tls,
            version=version,
            former=tuple(former),
            gather_s=gather_s,
        )
        self._clock = clock
        self._on_state = on_state
        self._live: tuple[int, Line] | None = None  # generation and connection change in one assignment
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopped = False
        self._closed = False
        self._reading = threading.Lock()
        self._ending = threading.Lock()
        self._attempts = 0
        self._connected_at = self._retry_at = self._look_at = 0
        self._tls_version = 0
        self.granted_s = session_expiry_s
        """For how long the broker keeps the session, in seconds, as far as it has said."""

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def connect(self) -> None:
        """The first connection: dial, CONNECT, SUBSCRIBE. Raises Unreachable."""
        with self._reading:
            self._open()

    def receive(self, timeout_s: float) -> Delivery | None:
        """The next messages; None after `timeout_s` s or once stopped. Reconnects where needed, and does not raise."""
        deadline = time.monotonic() + timeout_s
        with self._reading:
            while not self._stopped:
                left = max(deadline - time.monotonic(), 0.0)
                if self._live and self._certificates_replaced():
                    self._begin_again(self._live[1])
                if self._live is None:
                    self._reconnect(left)
                elif delivery := self._deliver(*self._live, left):
                    return delivery
                if not left:
                    return None
        return None

    def acknowledge(self, generation: int, packet_ids: Sequence[int]) -> None:
        """PUBACK for each packet id of one generation, in one write; a stale generation's are dropped and counted."""
        live = self._live
        if live is None or not self._is_current(generation, live[0]):
            self.counters.stale_acknowledgements += sum(1 for number in packet_ids if number)
        else:
            live[1].acknowledge(packet_ids)

    def keep_alive(self) -> None:
        """PINGREQ when due. To be called every few seconds while nobody receives, or the broker hangs up."""
        if live := self._live:
            live[1].keep_alive()

    def refresh(self) -> None:
        """Look at certificates at the next opportunity, not only when it is time to."""
        self._look_at = 0

    def stop(self) -> None:
        """End `receive` and every wait in it, at once and for good; acknowledgements can still be sent."""
        self._stopped = True
        with self._ending:
            if not self._closed:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Stop, DISCONNECT (the broker keeps the session), and let go. May be called twice."""
        self.stop()
        with self._reading, self._ending:
            live, self._live = self._live, None
            if live:
                live[1].close()
            if not self._closed:
                self._closed = True
                os.close(self._wake)
                self._on_state("stopped")

    @staticmethod
    def _is_current(generation: int, current: int) -> bool:
        """The defence: an acknowledgement goes only to the connection that its message came from."""
        return generation == current

    def _certificates_replaced(self) -> bool:
        """Whether the connection stands on files that are not the current ones; looked at every FILES_S."""
        tls, now = self._terms.tls, self._clock.boottime()
        if tls is None or now < self._look_at:
            return False
        self._look_at = now + int(FILES_S * _SECOND)
        try:
            tls.refresh()
        except ConfigurationFault as fault:  # perhaps half of a renewal: the other half comes
            self._on_state(f"certificates not taken up: {fault}")
        return self._live is not None and self._tls_version != tls.version

    def _begin_again(self, connection: Line) -> None:
        """Now, with the new certificates: an old one may have been withdrawn, and waiting shows nothing."""
        self._live = None
        self._on_state("certificates replaced: connecting again")
        connection.close()
        self._retry_at = 0

    def _open(self) -> None:
        self._tls_version = self._terms.tls.version if self._terms.tls else 0
        kind = Connection if self._terms.version == "5" else LegacyConnection
        connection = kind.open(self._terms, self._wake, self._clock)
        self.generation += 1
        self._connected_at = self._clock.boottime()
        self._live = self.generation, connection
        if self.generation > 1:
            self.counters.reconnects += 1
            if not connection.session_present:
                self.counters.session_lost += 1
                self._on_state("session lost")
        self._on_state("connected")
        self._look_at_expiry(connection.session_expiry_s)

    def _look_at_expiry(self, granted_s: int) -> None:
        """Said once, and again when it has become less."""
        if granted_s < self.granted_s:
            self.granted_s = granted_s
            asked_s = self._terms.session_expiry_s
            self._on_state(
                f"{CURTAILED}: {granted_s} s, not {asked_s} s; what the broker holds for this gateway is lost when it "
                "is away for longer: raise the broker's limit, or lower mqtt.session_expiry_s"
            )

    def _deliver(self, generation: int, connection: Line, wait_s: float) -> Delivery | None:
        try:
            chunk = connection.read(wait_s)
        except Lost as lost:
            self._live = None
            connection.hang_up()
            self._on_state(f"lost: {lost}")
            if self._clock.boottime() - self._connected_at > BACK_OFF_S * _SECOND:
                self._attempts = 0  # not at once: a broker that takes us in and throws us out is no better than none
            self._back_off()
            return None
        self.counters.redelivered += chunk.redelivered
        return _delivery(generation, chunk) if chunk.has_messages else None

    def _reconnect(self, wait_s: float) -> None:
        """Wait for the next attempt, or make it."""
        left_s = (self._retry_at - self._clock.boottime()) / _SECOND
        if left_s > 0:
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            poll.poll(min(left_s, wait_s) * 1000)
            return
        self._certificates_replaced()
        try:
            self._open()
        except Unreachable as error:
            if not self._stopped:
                self._on_state(f"unreachable: {error}")
            self._back_off()

    def _back_off(self) -> None:
        """Next attempt after a random part of 0.5 s, 1 s, 2 s … 30 s: gateways must not all come at once."""
        longest = min(BACK_OFF_S, FIRST_BACK_OFF_S * 2**self._attempts)
        self._attempts = min(self._attempts + 1, 10)
        wait_s = random.uniform(0, longest)  # noqa: S311 - no secret
        self._retry_at = self._clock.boottime() + int(wait_s * _SECOND)


def _delivery(generation: int, chunk: Chunk) -> Delivery:
    return Delivery(
        generation=generation,
        arrivals=chunk.arrivals,
        packet_ids=chunk.packet_ids,
        oversized=chunk.oversized,
        malformed=chunk.malformed,
        tokens=chunk.tokens,
    )
