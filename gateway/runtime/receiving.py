"""Sessions at the broker, as the configuration and a worker's seat have it.

    receiving.sessions(print, known=lambda: {"nordhem"}, seat=Seat(2, of=3))           all that this process receives by
    receiving.apart(print, client_id="doctor-1", filters=["a/+"], session_expiry_s=1)  another one, on the same terms

Those that the gateway receives by stand on the roll before they connect; who leads takes along those that nobody has
any more, to drain them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.clock import Clock
from gateway.model.ids import Controller
from gateway.pipeline.topics import Topics
from gateway.runtime.log import Log
from gateway.runtime.mqtt import MqttSettings
from gateway.runtime.roll import ALONE, Entry, Roll, Seat
from gateway.runtime.secret import read_secret
from gateway.transport.ingest import CURTAILED, Leaving, Session, Sessions

_HEADER_BYTES = 65_536 + 1024  # an MQTT topic may take 64 kB before the payload begins
_ALL = "all"  # whose the one session is when there is not one for each controller
OnState = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Receiving:
    """How sessions are made."""

    mqtt: MqttSettings
    topics: Topics
    roll: Roll
    clock: Clock

    def sessions(
        self, on_state: OnState, *, known: Callable[[], Collection[str]], seat: Seat = ALONE
    ) -> Session | Sessions:
        """All that this process receives by; `known` are the controllers. Raises ConfigurationFault, Unreachable."""
        leaving = self._left_behind(on_state, seat) if seat.leads else []
        if self.mqtt.connection_per == "controller":
            return Sessions(
                lambda name: self._own(on_state, seat, Controller(name)),
                known=known,
                bound=self._bound,
                leaving=leaving,
            )
        own = self._own(on_state, seat)
        if not leaving:
            return own
        return Sessions(lambda _: own, known=lambda: {_ALL}, bound=lambda _, __: True, leaving=leaving)

    def apart(self, on_state: OnState, *, client_id: str, filters: Sequence[str], session_expiry_s: int) -> Session:
        """A session beside those the gateway receives by. Raises ConfigurationFault."""
        return self._made(Session, client_id, filters, on_state, session_expiry_s=session_expiry_s)

    def kept_s(self, *, client_id: str, filters: Sequence[str]) -> int:
        """For how long the broker keeps a session of the gateway's terms, in seconds, as far as it says.

        Asked for one that receives nothing, so that nothing is held for it where this ends here; whoever connects under
        the same id next decides how long it lasts. Raises ConfigurationFault, Unreachable.
        """
        session = self._made(Session, client_id, (), lambda _state: None, former=filters)
        try:
            session.connect()
            return session.granted_s
        finally:
            session.close()

    def _own(self, on_state: OnState, seat: Seat, controller: Controller | None = None) -> Session:
        own = seat.client_id(self.mqtt.client_id)
        entry = Entry(
            broker=self._broker,
            base=self.mqtt.client_id,
            client_id=own if controller is None else f"{own}-{controller}",
            worker=seat.number,
            controller=controller,
            filters=seat.shared(self.mqtt.group, self._filters(controller)),
        )
        former = self.roll.enter(entry)
        return self._made(Session, entry.client_id, entry.filters, on_state, former=former)

    def _left_behind(self, on_state: OnState, seat: Seat) -> list[Session]:
        """Sessions of another number of workers, or kind of connections, than there are now."""
        entries = self.roll.left_behind(
            broker=self._broker,
            base=self.mqtt.client_id,
            seat=seat,
            per_controller=self.mqtt.connection_per == "controller",
        )

        def drained(entry: Entry) -> None:
            self.roll.strike(entry)
            on_state("a session of former times is drained and given up")

        return [
            self._made(
                Leaving, entry.client_id, (), lambda _: None, former=entry.filters, on_drained=partial(drained, entry)
            )
            for entry in entries
        ]

    def _filters(self, controller: Controller | None) -> tuple[str, ...]:
        return self.topics.filters if controller is None else self.topics.filters_of(controller)

    def _bound(self, controller: str, topic: str) -> bool:
        named = self.topics.parse(topic)
        return named is None or named[0] == controller  # what names nobody is refused further on

    @property
    def _broker(self) -> str:
        host, port = self.mqtt.address
        return f"{host}:{port}"

    def _made(
        self,
        kind: Callable[..., Session],
        client_id: str,
        filters: Sequence[str],
        on_state: OnState,
        *,
        session_expiry_s: int | None = None,
        **more: Any,  # noqa: ANN401 - what the kind takes besides
    ) -> Session:
        mqtt = self.mqtt
        return kind(
            *mqtt.address,
            client_id,
            filters,
            receive_maximum=mqtt.receive_maximum,
            keep_alive_s=mqtt.keep_alive_s,
            session_expiry_s=session_expiry_s or mqtt.session_expiry_s,
            max_packet_bytes=mqtt.max_payload_bytes + _HEADER_BYTES,
            clock=self.clock,
            on_state=on_state,
            username=mqtt.username,
            password=None if mqtt.password_file is None else read_secret(mqtt.password_file),
            tls=mqtt.tls(),
            version=mqtt.version,
            gather_s=mqtt.gather_ms / 1000,
            **more,
        )


def told_in(log: Log) -> OnState:
    """States of a session, in the log."""

    def told(state: str) -> None:
        log.event("broker", level="warning" if state.startswith(CURTAILED) else "info", state=state)

    return told
