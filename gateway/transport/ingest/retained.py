"""What a broker retains of devices whose customer is erased: looked for, removed, and looked for again.

    Retained(…).clear(controller, devices)      # in a short session of its own; how many topics held something

A topic is cleared by an empty message with the retain flag (MQTT 5 section 3.3.1.3), and only where something is there:
everybody who is subscribed gets that empty message. A broker whose access list forbids it takes it without a word, so
it is asked again. The end of what it retains is not marked: the broker has told all when it is quiet.
"""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.errors import Silent, Unreachable
from gateway.model.ids import Controller, DeviceId
from gateway.transport.ingest.tls import Tls

PATIENCE_S = 10.0  # for each answer of the broker
QUIET_S = 0.3
_GROUP = 100  # topics a SUBSCRIBE


@dataclass(frozen=True, slots=True)
class Retained:
    """A broker, who we are to it, and on which topics devices publish."""

    topics_of: Callable[[Controller, Sequence[DeviceId]], Sequence[str]]
    _: KW_ONLY
    host: str
    port: int
    client_id: str = field(repr=False)
    username: str | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)
    tls: Tls | None = None
    version: str = "5"

    def clear(self, controller: Controller, devices: Sequence[DeviceId]) -> int:
        """Remove what is retained on these devices' topics; on how many something was.

        Raises:
            Silent: the broker was waited for in vain.
            Unreachable: it is not there, or retains it still.
        """
        topics = self.topics_of(controller, devices)
        if not topics:
            return 0
        look = _Look(self)
        try:
            held = look.retained(topics)
            if held:
                look.clear(held)
                if look.retained(held):
                    hint = "let the gateway's user write to the topics that it reads, as config/mosquitto does"
                    raise Unreachable("the broker still retains messages of an erased customer", hint=hint)
        finally:
            look.close()
        return len(held)


class _Look:
    """One short session. Raises Unreachable."""

    def __init__(self, at: Retained) -> None:
        self._at = at
        self._found: set[str] = set()
        self._heard = 0.0
        self._answered = threading.Event()
        fifth = at.version == "5"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{at.client_id}-clear-{secrets.token_hex(4)}",
            protocol=MQTTProtocolVersion.MQTTv5 if fifth else MQTTProtocolVersion.MQTTv311,
            clean_session=None if fifth else True,
            reconnect_on_failure=False,
        )
        if at.username is not None:
            self._client.username_pw_set(at.username, None if at.password is None else at.password.decode())
        if at.tls is not None:
            self._client.tls_set_context(at.tls.context)
        self._client.connect_timeout = PATIENCE_S
        self._client.on_connect = lambda _c, _u, _f, code, _p: self._let_in(failed=code.is_failure)
        self._client.on_subscribe = lambda *_: self._answered.set()
        self._client.on_message = lambda _c, _u, message: self._take(message)
        self._refused = False
        self._connect()

    def retained(self, topics: Sequence[str]) -> list[str]:
        """Those of the topics on which something is retained."""
        self._found.clear()
        for start in range(0, len(topics), _GROUP):
            group = list(topics[start : start + _GROUP])
            self._client.unsubscribe(group)
            self._client.subscribe([(topic, 1) for topic in group])
            self._answer()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < min(deadline, self._heard + QUIET_S):
            time.sleep(QUIET_S / 10)
        return sorted(self._found)

    def clear(self, topics: Sequence[str]) -> None:
        """An empty message on each."""
        for topic in topics:
            sent = self._client.publish(topic, b"", qos=1, retain=True)
            try:
                sent.wait_for_publish(PATIENCE_S)
            except (ValueError, RuntimeError):
                raise self._silent() from None
            if not sent.is_published():
                raise self._silent()

    def close(self) -> None:
        """Leave nothing behind."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connect(self) -> None:
        try:
            self._client.connect(self._at.host, self._at.port)
            self._client.loop_start()
            self._answer()
        except TimeoutError:
            raise self._silent() from None
        except (OSError, ssl.SSLError, UnicodeError):
            raise Unreachable(str(self._silent())) from None
        if self._refused:
            self.close()
            raise Unreachable("the broker refuses the session that clears retained messages")

    def _answer(self) -> None:
        """Wait for it."""
        if not self._answered.wait(PATIENCE_S):
            self.close()
            raise self._silent()
        self._answered.clear()
        self._heard = time.monotonic()

    def _let_in(self, *, failed: bool) -> None:
        self._refused = failed
        self._answered.set()

    def _take(self, message: paho.MQTTMessage) -> None:
        self._heard = time.monotonic()
        if message.retain and message.payload:
            self._found.add(message.topic)

    def _silent(self) -> Silent:
        return Silent(f"mqtt broker at {self._at.host}:{self._at.port}: no answer about retained messages")
