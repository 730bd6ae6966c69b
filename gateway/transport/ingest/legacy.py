"""One connection to a broker that speaks MQTT 3.1.1 alone, through paho-mqtt, with the interface of `Connection`.

It costs many times what MQTT 5 does here, and the protocol gives less: the broker alone decides how long it keeps a
session, how many messages are under way, and how large they may be (they are held whole before they are refused).

paho's client is driven by hand, and lives for one connection:

- it has no thread of its own, which an exception in a callback would end without anyone noticing;
- `clean_session` is false, and nothing is asked of QoS 2, which paho settles by itself in part;
- an acknowledgement goes to the client that the message came from, and a client never connects twice: paho keeps no
  account of what it acknowledges, so a number of an earlier connection could settle another message;
- keeping alive is done here: paho takes an answer that waits unread, while the reader is held back, for silence.

A session that was there gets retained messages again at every SUBSCRIBE, as MQTT 3.1.1 wants it; what came while we
were away is in the session besides. So these copies are acknowledged and go no further.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence

import mqtt5
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.clock import Clock
from gateway.errors import Unreachable
from gateway.transport.ingest.connection import ACCESS, CREDENTIALS, FAREWELL_S, MIN_WAIT_S, Lost, Terms
from gateway.transport.ingest.dial import HANDSHAKE_S, word
from gateway.transport.ingest.stream import Chunk
from gateway.transport.ingest.tls import explained, told

CHUNK_MESSAGES = 1_000
FILL_S = 0.005  # a broker writes message by message; see Connection
_SECOND = 1_000_000_000
_AT_LEAST_ONCE = 1


class _Closing(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho leaves to Python's collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as the library calls it
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class LegacyConnection:
    """Made by `open`. One thread reads; any may acknowledge."""

    def __init__(self, terms: Terms, wake: int, clock: Clock) -> None:
        self.session_present = False
        self.session_expiry_s = terms.session_expiry_s  # nobody tells; see `mqtt.version`
        self._terms, self._wake, self._clock = terms, wake, clock
        self._chunk = Chunk()
        self._fault: Lost | None = None
        self._let_in = self._subscribed = False
        self._using = threading.Lock()  # paho is used by one thread at a time, and never waited for
        self._poll = select.poll()
        self._keep_alive = terms.keep_alive_s * _SECOND
        self._heard = self._sent = clock.boottime()
        self._pinged = 0  # when the oldest PINGREQ without an answer was sent; 0: there is none
        self.unsubscribed = not terms.former  # whether the UNSUBACK has come, where one is to
        self._client = self._made()

    @classmethod
    def open(cls, terms: Terms, wake: int, clock: Clock) -> LegacyConnection:
        """Dial, CONNECT, SUBSCRIBE. A readable `wake` ends the attempt, but not the dialling. Raises Unreachable."""
        connection, where = cls(terms, wake, clock), f"mqtt broker at {terms.host}:{terms.port}"
        try:
            connection._agree()
        except Lost as lost:
            connection.hang_up()
            raise Unreachable(f"{where}{lost}", hint=lost.hint) from None
        except BaseException:
            connection.hang_up()
            raise
        return connection

    def read(self, wait_s: float) -> Chunk:
        """The next chunk; one without messages after `wait_s` s or when woken. Raises Lost."""
        self.keep_alive()
        until_due = (self._due() - self._clock.boottime()) / _SECOND
        if not self._chunk.has_messages and self._ready(min(wait_s, max(until_due, MIN_WAIT_S))):
            time.sleep(FILL_S)
            self._take()
        elif self._pinged and self._clock.boottime() - self._pinged >= self._keep_alive:
            raise Lost("the broker is silent")
        if self._fault:
            raise self._fault
        chunk, self._chunk = self._chunk, Chunk()
        return chunk

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """PUBACK for each packet id. Does not raise: `read` tells when the connection is gone."""
        with self._using:
            for packet_id in filter(None, packet_ids):
                self._client.ack(packet_id, _AT_LEAST_ONCE)
            self._client.loop_write()
            self._sent = self._clock.boottime()

    def keep_alive(self) -> None:
        """PINGREQ when half the keep-alive passed in silence. For any thread; to be called also while nobody reads."""
        with self._using:
            if (now := self._clock.boottime()) >= self._due() and self._let_in:
                self._pinged = self._pinged or now
                self._client._send_pingreq()  # noqa: SLF001 - `loop_misc` would do it, and hang up on a reader held back
                self._sent = now
            if self._client.want_write():
                self._client.loop_write()

    def ping(self) -> None:
        """PINGREQ now."""
        with self._using:
            self._pinged = self._sent = self._clock.boottime()
            self._client._send_pingreq()  # noqa: SLF001 - as in keep_alive

    @property
    def answered(self) -> bool:
        """Whether something came since the last PINGREQ."""
        return not self._pinged

    def end(self) -> None:
        """DISCONNECT, and the session with it: by beginning one that is not kept. Source: MQTT 3.1.1, 3.1.2.4."""
        self.close()
        with contextlib.suppress(Unreachable):
            LegacyConnection.open(
                dataclasses.replace(self._terms, session_expiry_s=1, filters=()), self._wake, self._clock
            ).close()

    def close(self) -> None:
        """DISCONNECT (the broker keeps the session) and hang up. May be called twice."""
        with self._using:
            sock = self._socket()
            if sock is None:
                return
            # paho closes at once; with bytes unread that resets the connection, and our last PUBACKs may be lost.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as rest:
                self._client.disconnect()
                self._client.loop_write()
                rest.shutdown(socket.SHUT_WR)
                rest.settimeout(FAREWELL_S)
                deadline = time.monotonic() + FAREWELL_S
                while rest.recv(65_536) and time.monotonic() < deadline:
                    pass
        self.hang_up()

    def hang_up(self) -> None:
        """Close the socket. May be called twice."""
        if (sock := self._socket()) is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _made(self) -> paho.Client:
        terms = self._terms
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=terms.client_id,
            clean_session=terms.session_expiry_s == 1,  # a second is the shortest that can be asked for: no session
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if terms.username is not None:
            client.username_pw_set(terms.username, None if terms.password is None else terms.password.decode())
        if terms.tls is not None:
            terms.tls.context.sslsocket_class = _Closing
            client.tls_set_context(terms.tls.context)
        client.connect_timeout = HANDSHAKE_S
        client.on_connect, client.on_subscribe, client.on_message = self._connected, self._granted, self._arrived
        client.on_unsubscribe = self._released
        client.on_log = self._logged
        client.on_socket_register_write = lambda *_: None  # or paho would write whenever it likes, from any thread
        return client

    def _agree(self) -> None:
        """CONNECT and SUBSCRIBE. Raises Lost, whose text follows the name of the broker."""
        terms = self._terms
        try:
            self._client.connect(terms.host, terms.port, terms.keep_alive_s)
        except (socket.gaierror, UnicodeError):
            raise Lost(": this name has no address") from None
        except OSError as error:
            ended = terms.tls is not None and isinstance(error, ConnectionResetError)
            what, hint = explained(ssl.SSLEOFError()) if ended else word(error)
            raise Lost(f": {what}", hint) from None
        sock = self._socket()
        if sock is None:
            raise Lost(": it hangs up")
        self._poll.register(sock, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        deadline = time.monotonic() + HANDSHAKE_S
        self._await(lambda: self._let_in, deadline)
        with self._using:
            if terms.former:
                self._client.unsubscribe(list(terms.former))
        if not terms.filters:
            return
        with self._using:
            self._client.subscribe([(pattern, _AT_LEAST_ONCE) for pattern in terms.filters])
        # What was not acknowledged may come before the SUBACK; then nobody waits for it, as in Connection.
        self._await(lambda: self._subscribed or self._chunk.has_messages, deadline)

    def _await(self, done: Callable[[], bool], deadline: float) -> None:
        while not done():
            with self._using:
                self._client.loop_write()
            left = deadline - time.monotonic()
            if left <= 0 or not self._ready(left):
                raise Lost(": no answer, or stopped before it came")
            self._take()
            if self._fault:
                separator = " " if str(self._fault).startswith("refuses") else ": "
                raise Lost(f"{separator}{self._fault}", self._fault.hint)

    def _ready(self, wait_s: float) -> bool:
        """Whether there is something to read within `wait_s` s, or nobody to read from. Ends early when woken."""
        with self._using:
            sock = self._socket()
            if sock is None:
                return True
            if isinstance(sock, ssl.SSLSocket) and sock.pending():
                return True
            self._poll.modify(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        return any(number != self._wake for number, _ in self._poll.poll(wait_s * 1000))

    def _take(self) -> None:
        """Read what is there, up to CHUNK_MESSAGES packets."""
        with self._using:
            if self._client.want_write():
                self._client.loop_write()
        for _ in range(CHUNK_MESSAGES):
            with self._using:
                code = self._client.loop_read()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                refused = self._terms.tls is not None and not self._let_in  # and our CONNECT may have overtaken why
                ended = Lost(*explained(ssl.SSLEOFError())) if refused else Lost("the broker closed the connection")
                self._fault = self._fault or ended
                return
            self._heard, self._pinged = self._clock.boottime(), 0
            if not self._ready(0):
                return

    def _socket(self) -> socket.socket | None:
        return self._client.socket()  # type: ignore[return-value]  # no WebSocket here

    def _due(self) -> int:
        """When the next PINGREQ is due, ns since boot."""
        quiet_since = self._sent if self._pinged else min(self._sent, self._heard)
        return quiet_since + self._keep_alive // 2

    def _connected(
        self, _: paho.Client, __: object, flags: paho.ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        self._let_in, self.session_present = not reason.is_failure, flags.session_present
        if reason.is_failure:
            refused = str(reason).lower().replace(" ", "_")
            self._fault = Lost(f"refuses the connection: {refused}", CREDENTIALS)

    def _granted(
        self, _: paho.Client, __: object, ___: int, reasons: list[ReasonCode], ____: Properties | None
    ) -> None:
        self._subscribed = True
        other = next((reason for reason in reasons if reason.value != _AT_LEAST_ONCE), None)
        if other is not None:
            refused = str(other).lower().replace(" ", "_")
            self._fault = Lost(f"refuses the subscription with QoS 1: {refused}", ACCESS)

    def _released(self, _: paho.Client, __: object, ___: int, ____: list[ReasonCode], _____: Properties | None) -> None:
        self.unsubscribed = True

    def _logged(self, _: paho.Client, __: object, level: int, text: str) -> None:
        """The one place where paho says why TLS ended; of its text only OpenSSL's name of the reason is taken."""
        if level == LogLevel.MQTT_LOG_ERR and (found := re.search(r"\[SSL: (\w+)\]", text)):
            self._fault = Lost(*told(found[1]))

    def _arrived(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        """Must not raise: it runs within paho."""
        chunk, packet_id = self._chunk, message.mid if message.qos else 0
        if message.qos > _AT_LEAST_ONCE:
            self._fault = Lost("the broker sent a packet that was not agreed")
            return
        chunk.redelivered += message.dup
        if message.retain and self.session_present:
            chunk.dropped.append((len(chunk.arrivals), packet_id))
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._drop(chunk.malformed, packet_id)
            return
        if len(topic) + len(message.payload) > self._terms.max_packet_bytes:
            self._drop(chunk.oversized, packet_id)
            return
        payload = bytes(message.payload)
        chunk.arrivals.append(mqtt5.PublishPacket(topic, payload, retain=message.retain, duplicate=message.dup))
        chunk.packet_ids.append(packet_id)

    def _drop(self, counted: list[int], packet_id: int) -> None:
        counted.append(packet_id)
        self._chunk.dropped.append((len(self._chunk.arrivals), packet_id))
