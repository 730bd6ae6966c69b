"""One MQTT session of the fleet: paho's client, driven through its socket by whoever owns it.

Persistent: stable client id, never a clean start. At most `window` messages are unacknowledged, fewer where the
broker's Receive Maximum says so, which paho does not look at. paho's own limit is off: with it, every PUBACK walks
through all messages in flight. What breaks off is sent again after the next CONNACK, by paho, with DUP and its old
packet id.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware_sim.errors import Unreachable, UsageFault
from firmware_sim.fleet import Message
from firmware_sim.login import Login

VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
PORTS = {"mqtt": 1883, "mqtts": 8883}
NOBODY = Login()
KEEP_ALIVE = 30  # seconds
SESSION_SECONDS = 86_400  # how long the broker keeps the session of a fleet that is away
PACKET_IDS = 65_535
BACK_OFF = 0.2  # seconds, doubled with each failure
BACK_OFF_MAX = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where and how to connect. `window`: messages in flight on each connection, 1 to 65,535."""

    host: str
    port: int
    version: str = "5"
    window: int = 500
    tls: bool = False
    login: Login = field(default=NOBODY, repr=False)

    @classmethod
    def at(cls, url: str, *, version: str = "5", window: int = 500, login: Login = NOBODY) -> Broker:
        """From `mqtt://host[:port]`, or `mqtts://` for TLS. Raises UsageFault."""
        try:
            parts = urlsplit(url)
            port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            raise UsageFault("--url: the port is no number from 1 to 65535") from None
        if parts.scheme not in PORTS or not parts.hostname or parts.username or parts.path.strip("/"):
            raise UsageFault("--url: this is not mqtt://host:port or mqtts://host:port")
        if version not in VERSIONS:
            raise UsageFault("--mqtt-version: 5 or 3.1.1")
        if not 1 <= window <= PACKET_IDS:
            raise UsageFault(f"--inflight: a number from 1 to {PACKET_IDS}")
        secure = parts.scheme == "mqtts"
        return cls(host=parts.hostname, port=port, version=version, window=window, tls=secure, login=login)


class Connection:
    """A session and what is in flight on it. Not thread-safe: one thread calls everything.

    `settled(message, accepted)` is called for each PUBACK, in the order in which they arrive.
    """

    def __init__(self, broker: Broker, client_id: str, settled: Callable[[Message, bool], None]) -> None:
        """Raises UsageFault when a file of the login cannot be used."""
        self.broker = broker
        self.resent = 0
        self.heard = time.monotonic()  # when the broker last acknowledged, or we began to wait
        self._settled = settled
        self._in_flight: dict[int, Message] = {}
        self._window = 0  # until CONNACK
        self._known = False  # a CONNACK has been seen
        self._refusal = ""
        self._failures = 0
        self._retry_at = 0.0
        self._client = self._new_client(client_id)

    def open(self) -> None:
        """Connect for the first time. Raises Unreachable."""
        host, port = self.broker.host, self.broker.port
        try:
            if self.broker.version == "5":
                session = _properties(PacketTypes.CONNECT, SessionExpiryInterval=SESSION_SECONDS)
                self._client.connect(host, port, KEEP_ALIVE, clean_start=False, properties=session)
            else:
                self._client.connect(host, port, KEEP_ALIVE)
        except ssl.SSLCertVerificationError as error:
            reason = error.verify_message.lower()
            raise Unreachable(f"the broker at {host}:{port} is not to be trusted: {reason}") from error
        except OSError as error:
            raise Unreachable(f"no broker answers at {host}:{port}") from error

    @property
    def room(self) -> int:
        """How many messages it can take now."""
        return self._window - len(self._in_flight)

    @property
    def busy(self) -> bool:
        """Whether it waits for the broker: for a CONNACK or a PUBACK."""
        return not self._window or bool(self._in_flight)

    @property
    def in_flight(self) -> int:
        """Messages sent and not acknowledged."""
        return len(self._in_flight)

    @property
    def sock(self) -> socket.socket | None:
        """The socket to wait on."""
        return self._client.socket()  # type: ignore[return-value]  # no WebSocket here

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait to be written."""
        return self._client.want_write()

    def send(self, message: Message) -> bool:
        """Put it on the way; False: not now, its packet id is still taken. Only with `room`."""
        properties = None
        if message.content_type is not None and self.broker.version == "5":
            properties = _content_type(message.content_type)
        info = self._client.publish(message.topic, message.payload, qos=1, properties=properties)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return False
        if not self._in_flight:
            self.heard = time.monotonic()
        self._in_flight[info.mid] = message
        return True

    def read(self) -> None:
        """Take in what has arrived. Raises Unreachable when the broker does not let us in."""
        self._client.loop_read()
        while isinstance(sock := self.sock, ssl.SSLSocket) and sock.pending():  # of which a select knows nothing
            self._client.loop_read()
        if self._refusal and not self._known:
            raise Unreachable(f"the broker refuses the connection: {self._refusal}")

    def write(self) -> None:
        """Hand to the system as much as it takes."""
        if self._client.want_write():
            self._client.loop_write()

    def tick(self, now: float) -> None:
        """Keep alive; reconnect when it is time. At least every few seconds."""
        if self.sock is not None:
            self._client.loop_misc()
        elif now >= self._retry_at:
            self._back_off(now)
            try:
                self._client.reconnect()
            except OSError:
                return

    def close(self) -> None:
        """DISCONNECT, and let go of the socket; the session stays."""
        if self.sock is not None:
            self._client.disconnect()
            self._client.loop_write()

    def _new_client(self, client_id: str) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=VERSIONS[self.broker.version],
            clean_session=None if self.broker.version == "5" else False,
        )
        self.broker.login.give(client, tls=self.broker.tls)
        client.max_inflight_messages_set(0)
        client.max_queued_messages_set(0)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        client.on_socket_register_write = lambda *_: None  # or paho would write after each message, not after many
        return client

    def _connected(
        self, _: paho.Client, __: object, ___: paho.ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refusal = str(reason).lower()
            return
        self._known = True
        self.resent += len(self._in_flight)
        self._window = min(self.broker.window, getattr(properties, "ReceiveMaximum", PACKET_IDS))

    def _disconnected(self, *_: object) -> None:
        now = time.monotonic()
        self._window = 0
        if not self._in_flight:
            self.heard = now  # patience begins here, not at the last message of a quiet device
        self._back_off(now)

    def _acknowledged(self, _: paho.Client, __: object, mid: int, reason: ReasonCode, ___: Properties) -> None:
        message = self._in_flight.pop(mid, None)
        # Only this is progress: a broker that lets us in and drops us at the first message must not keep us for ever.
        self.heard, self._failures = time.monotonic(), 0
        if message is not None:
            self._settled(message, not reason.is_failure)

    def _back_off(self, now: float) -> None:
        delay = min(BACK_OFF_MAX, BACK_OFF * 2**self._failures)
        self._failures += 1
        self._retry_at = now + delay * random.uniform(0.5, 1.0)


@cache
def _content_type(name: str) -> Properties:
    return _properties(PacketTypes.PUBLISH, ContentType=name)  # kept: making one takes 25 µs


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
