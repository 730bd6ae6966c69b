"""One connection to the broker: dialled, agreed, read, written, kept alive, hung up. It never comes back to life.

One thread reads; any thread may send. A send that fails hangs up, so that whoever reads sees the end of the stream:
there is one way to learn that a connection is gone, `read` raising Lost.

    connection = Connection.open(terms, wake, SystemClock())
    chunk = connection.read(1.0)
    connection.acknowledge(chunk.packet_ids)
    connection.close()

Retained messages are asked for once in a session's life, not at every SUBSCRIBE: what a broker retained before the
first may be all that is left of a reading, and later it would be an old one posing as new.

Messages that a session has not acknowledged may come before the SUBACK, and rumqttd sends it only when they are
acknowledged: then nobody waits for it, and it is looked at when it comes.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import sys
import termios
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import mqtt5

from gateway.clock import Clock
from gateway.errors import ConfigurationFault, Unreachable
from gateway.transport.ingest.dial import HANDSHAKE_S, Wire, dial, word
from gateway.transport.ingest.stream import Chunk, Malformed, Reader, pubacks
from gateway.transport.ingest.tls import Tls

FAREWELL_S = 1.0
MIN_WAIT_S = 0.05
FILL_BYTES = 448 * 1024  # this and the next three: see Connection._fill
FILL_S = 0.040
FILL_STEP_S = 0.001
GATHER_S = 0.020
SLOW_PER_S = 1500  # messages a second

CREDENTIALS = "see username and password_file, or certificate_file, and what the broker's log says"
_UNTRUSTED = (mqtt5.ConnAckReasonCode.NOT_AUTHORIZED, mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD)
ACCESS = "let this gateway's user read `mqtt.topics` in the broker's access list, with QoS 1"
_SECOND = 1_000_000_000
_U16, _U28, _U32 = 2**16 - 1, 2**28 - 1, 2**32 - 1
P = TypeVar("P", bound=mqtt5.Packet)


class Lost(Exception):
    """The connection is gone; the message is one short phrase, `hint` the next step where there is a special one."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked of the broker. Times in seconds; `receive_maximum` is how many messages may wait for a PUBACK.

    `former` are filters to unsubscribe from; a session that has nothing else is one that goes away (see `leaving`).
    """

    host: str
    port: int
    client_id: str = field(repr=False)
    filters: Sequence[str]
    receive_maximum: int
    keep_alive_s: int
    session_expiry_s: int
    max_packet_bytes: int
    username: str | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)
    tls: Tls | None = None
    version: str = "5"
    former: Sequence[str] = ()
    gather_s: float = GATHER_S

    def __post_init__(self) -> None:
        """Raise ConfigurationFault for what MQTT cannot express, or what would lose messages."""
        limits = {"receive_maximum": _U16, "keep_alive_s": _U16, "session_expiry_s": _U32, "max_packet_bytes": _U28}
        faults = [
            f"{name} is not from 1 to {top}" for name, top in limits.items() if not 1 <= getattr(self, name) <= top
        ]
        if faults or not (self.filters or self.former):
            raise ConfigurationFault("mqtt: " + "; ".join(faults or ["there is no topic to subscribe to"]))


class Fullness:
    """Whether a chunk that has stopped growing is worth reading: whether its broker waits for us, or lost its core.

    Both look alike, and the second is common where broker, publisher and store share two cores: read then, a chunk held
    an eighth of what it could. A broker that waits has sent as much as it may, so as much as the last time.
    """

    __slots__ = ("_enough",)

    def __init__(self) -> None:
        self._enough = 0

    def reached(self, there: int) -> bool:
        """Whether so many bytes are three quarters of what was there lately, when a chunk was read; then it is read."""
        if there < self._enough:
            return False
        self._enough = max(self._enough, there * 3 // 4)
        return True

    def learn(self, there: int) -> None:
        """A chunk had all its time and holds so many bytes: more cannot be asked of the next one."""
        self._enough = there * 3 // 4


class Connection:
    """Made by `open`."""

    def __init__(self, sock: Wire, terms: Terms, wake: int, clock: Clock) -> None:
        self.session_present = False
        self.session_expiry_s = terms.session_expiry_s  # as the broker grants it
        self._terms = terms
        self._sock = sock
        self._wake = wake
        self._clock = clock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._poll.register(wake, select.POLLIN)
        self._reader = Reader(terms.max_packet_bytes)
        self._early: list[Chunk] = []  # messages that came between CONNACK and SUBACK
        self._subscribing = False  # whether the SUBACK is still to come
        self.unsubscribed = not terms.former  # whether the UNSUBACK has come, where one is to
        self._slow = True  # whether messages come at a low rate
        self._fullness = Fullness()
        self._sending = threading.Lock()
        self._keep_alive = terms.keep_alive_s * _SECOND
        self._heard = self._sent = clock.boottime()
        self._pinged = 0  # when the oldest PINGREQ without an answer was sent; 0: there is none

    @classmethod
    def open(cls, terms: Terms, wake: int, clock: Clock) -> Connection:
        """Dial, CONNECT, SUBSCRIBE. A readable `wake` ends the attempt. Raises Unreachable."""
        connection = cls(dial(terms.host, terms.port, wake, terms.tls), terms, wake, clock)
        try:
            connection._agree()
        except BaseException as error:
            connection.hang_up()
            if isinstance(error, Lost):
                raise Unreachable(f"mqtt broker at {terms.host}:{terms.port}: {error}", hint=error.hint) from None
            raise
        return connection

    def read(self, wait_s: float) -> Chunk:
        """The next chunk; one without messages after `wait_s` s or when woken. Raises Lost."""
        chunk = self._early.pop(0) if self._early else self._next(wait_s)
        for packet in chunk.control:
            if isinstance(packet, mqtt5.SubAckPacket) and self._subscribing:
                self._subscribing = False
                if refusal := _refusal(packet):
                    raise Lost(f"the broker {refusal}", ACCESS)
            elif not isinstance(packet, mqtt5.PingRespPacket):
                raise Lost(_farewell(packet))
        return chunk

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """PUBACK for each packet id, in one write. Does not raise: see `send`."""
        if packets := pubacks(packet_ids):
            self.send(packets)

    def send(self, packets: bytes) -> None:
        """Send whole packets. Does not raise: where they cannot be sent, the connection is hung up."""
        with self._sending:
            try:
                self._sock.sendall(packets)
                self._sent = self._clock.boottime()
            except OSError:
                self._shut(socket.SHUT_RDWR)

    def keep_alive(self) -> None:
        """PINGREQ when half the keep-alive passed in silence. For any thread; to be called also while nobody reads."""
        if (now := self._clock.boottime()) < self._due() or self._sending.locked():
            return  # who is sending something needs no ping, and a reader must not wait for a writer
        self._pinged = self._pinged or now
        self.send(mqtt5.PingReqPacket().write())

    def ping(self) -> None:
        """PINGREQ now."""
        self._pinged = self._clock.boottime()
        self.send(mqtt5.PingReqPacket().write())

    @property
    def answered(self) -> bool:
        """Whether something came since the last PINGREQ."""
        return not self._pinged

    def close(self) -> None:
        """DISCONNECT (the broker keeps the session) and hang up. May be called twice."""
        self._part(mqtt5.DisconnectPacket())

    def end(self) -> None:
        """DISCONNECT, and the session with it. Source: MQTT 5, 3.14.2.2.2."""
        self._part(mqtt5.DisconnectPacket(session_expiry_interval=0))

    def _part(self, farewell: mqtt5.DisconnectPacket) -> None:
        self.send(farewell.write())
        self._shut(socket.SHUT_WR)
        # Closing with unread bytes would reset the connection, and the broker might never read our last PUBACKs.
        deadline = time.monotonic() + FAREWELL_S
        with contextlib.suppress(OSError):
            self._sock.settimeout(FAREWELL_S)
            while self._sock.recv_into(self._reader.room()) and time.monotonic() < deadline:
                pass
        self.hang_up()

    def hang_up(self) -> None:
        """Close the socket. May be called twice."""
        self._shut(socket.SHUT_RDWR)  # ends a send of another thread
        with self._sending:  # whose number must not be taken by the next connection while it is being written to
            self._sock.close()

    def _agree(self) -> None:
        """CONNECT and SUBSCRIBE. Raises Unreachable or Lost."""
        terms, where = self._terms, f"mqtt broker at {self._terms.host}:{self._terms.port}"
        deadline = time.monotonic() + HANDSHAKE_S
        self.send(_connect(terms))
        connack = self._await(mqtt5.ConnAckPacket, deadline)
        if connack is None:
            raise Lost("it sends messages before it lets us in")
        if connack.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            hint = CREDENTIALS if connack.reason_code in _UNTRUSTED else None
            raise Unreachable(f"{where} refuses the connection: {_name(connack.reason_code)}", hint=hint)
        if connack.session_expiry_interval == 0:
            raise Unreachable(f"{where} keeps no session: what it sends while nobody listens would be lost")
        if connack.session_expiry_interval is not None:
            self.session_expiry_s = connack.session_expiry_interval
        self._keep_alive = (connack.server_keep_alive or terms.keep_alive_s) * _SECOND
        self.session_present = connack.session_present
        if terms.former:
            self.send(mqtt5.UnsubscribePacket(2, list(terms.former)).write())
        if not terms.filters:
            return
        self.send(_subscribe(terms))
        suback = self._await(mqtt5.SubAckPacket, deadline)
        self._subscribing = suback is None
        if suback and (refusal := _refusal(suback)):
            raise Unreachable(f"{where} {refusal}", hint=ACCESS)

    def _next(self, wait_s: float) -> Chunk:
        self.keep_alive()
        until_due = (self._due() - self._clock.boottime()) / _SECOND
        if not self._readable(min(wait_s, max(until_due, MIN_WAIT_S))):
            self._watch()
            return Chunk()
        self._fill()
        before = self._heard
        chunk = self._receive()
        self._slow = len(chunk.arrivals) * _SECOND < SLOW_PER_S * (self._heard - before)
        return chunk

    def _await(self, kind: type[P], deadline: float) -> P | None:
        """The awaited packet, or None when messages came first; what else came is kept for `read`. Raises Lost."""
        while not self._early and (left := deadline - time.monotonic()) > 0 and self._readable(left):
            chunk = self._receive()
            packet = chunk.control.pop(0) if chunk.control else None
            if chunk.has_messages or chunk.control:
                self._early.append(chunk)
            if isinstance(packet, kind):
                return packet
            if packet is not None:
                raise Lost(_farewell(packet))
        if self._early:
            return None
        raise Lost("no answer, or stopped before it came")

    def _readable(self, wait_s: float) -> bool:
        """Whether bytes, or the end of the stream, are there within `wait_s` s. Ends early when woken."""
        return any(number != self._wake for number, _ in self._poll.poll(wait_s * 1000))

    def _fill(self) -> None:
        """Let the chunk fill, up to FILL_BYTES: at low rates for `gather_s`, else while it grows, for at most FILL_S.

        A broker writes message by message; woken for each, a reader spends six times the time (9.6 us against 1.5), and
        at low rates waking costs more than the messages do. A broker with a small window of unacknowledged messages
        sends nothing more while we wait, which the growth tells, and `Fullness`. With SO_RCVLOWAT the kernel counts the
        bytes and wakes us at FILL_BYTES. Source: socket(7).
        """
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, FILL_BYTES)
        if self._slow:
            self._readable(self._terms.gather_s)
        else:
            there, step_s, left_s = self._waiting(), FILL_STEP_S, FILL_S
            while left_s > 0 and not self._readable(step_s):
                before, there = there, self._waiting()
                if there == before and self._fullness.reached(there):
                    break
                left_s -= step_s
                step_s = min(2 * step_s, left_s)
            else:
                self._fullness.learn(self._waiting())
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _waiting(self) -> int:
        """Bytes received and not yet read. Source: tcp(7), FIONREAD."""
        return int.from_bytes(fcntl.ioctl(self._sock, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)

    def _receive(self) -> Chunk:
        """Read once and decode. Raises Lost."""
        try:
            size = self._sock.recv_into(self._reader.room())
            if not size:
                raise Lost("the broker closed the connection")
            self._heard, self._pinged = self._clock.boottime(), 0
            return self._noted(self._reader.decode(size))
        except BlockingIOError:  # a part of a TLS record
            return Chunk()
        except OSError as error:
            raise Lost(*word(error)) from None
        except Malformed as error:
            raise Lost(f"the broker does not speak MQTT 5: {error}") from None

    def _noted(self, chunk: Chunk) -> Chunk:
        """Without an UNSUBACK, which may come at any moment, whatever it says: what is not there is not there."""
        if chunk.control and not self.unsubscribed:
            found = [packet for packet in chunk.control if isinstance(packet, mqtt5.UnsubAckPacket)]
            self.unsubscribed = bool(found)
            for packet in found:
                chunk.control.remove(packet)
        return chunk

    def _due(self) -> int:
        """When the next PINGREQ is due, ns since boot."""
        quiet_since = self._sent if self._pinged else min(self._sent, self._heard)
        return quiet_since + self._keep_alive // 2

    def _watch(self) -> None:
        """Raise Lost when a PINGREQ stayed unanswered for a whole keep-alive.

        Called only when there was nothing to read, so an answer that waits for a reader held back is never missed.
        """
        if self._pinged and self._clock.boottime() - self._pinged >= self._keep_alive:
            raise Lost("the broker is silent")

    def _shut(self, how: int) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(how)


def _connect(terms: Terms) -> bytes:
    # No Maximum Packet Size: see stream. Topic aliases are not wanted, so the maximum stays 0.
    return mqtt5.ConnectPacket(
        terms.client_id,
        username=terms.username,
        password=terms.password,
        clean_start=False,
        keep_alive=terms.keep_alive_s,
        session_expiry_interval=terms.session_expiry_s,
        receive_max=terms.receive_maximum,
    ).write()


def _subscribe(terms: Terms) -> bytes:
    qos, once = mqtt5.QoS.AT_LEAST_ONCE, mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS
    filters = [mqtt5.TopicFilter(pattern, max_qos=qos, retain_handling=once) for pattern in terms.filters]
    return mqtt5.SubscribePacket(1, filters).write()


def _refusal(suback: mqtt5.SubAckPacket) -> str:
    """Why the subscription does not serve, or nothing: less than QoS 1 loses messages, more was not asked for."""
    wanted = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE
    other = next((code for code in suback.reason_codes if code != wanted), None)
    return "" if other is None else f"refuses the subscription with QoS 1: {_name(other)}"


def _farewell(packet: mqtt5.Packet) -> str:
    if isinstance(packet, mqtt5.DisconnectPacket):
        return f"the broker disconnects: {_name(packet.reason_code)}"
    return "the broker sent a packet that was not agreed"


def _name(code: mqtt5.ConnAckReasonCode | mqtt5.SubAckReasonCode | mqtt5.DisconnectReasonCode) -> str:
    return code.name.lower()
