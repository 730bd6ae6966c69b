"""Sessions at real brokers: what was acknowledged does not come again, what was not does, and nothing ends the line."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mqtt5
import pytest
from paho.mqtt import client as paho
from paho.mqtt import publish as paho_publish

from benchmarks.servers import EmbeddedBroker, Mosquitto, free_port
from gateway.clock import SystemClock
from gateway.errors import Unreachable
from gateway.transport.broker import IN_FLIGHT
from gateway.transport.ingest import Delivery, Session

PATIENCE_S = 120.0
Broker = Mosquitto | EmbeddedBroker
Opened = Callable[..., Session]


KINDS = {"mosquitto": (Mosquitto, "5"), "rumqttd": (EmbeddedBroker, "5"), "mosquitto-3.1.1": (Mosquitto, "3.1.1")}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[type[Broker], str]:
    return KINDS[request.param]


@pytest.fixture
def broker(kind: tuple[type[Broker], str]) -> Iterator[Broker]:
    with kind[0]() as running:
        yield running


@pytest.fixture
def version(request: pytest.FixtureRequest) -> str:
    """That of the broker, where there is one of several kinds."""
    return request.getfixturevalue("kind")[1] if "kind" in request.fixturenames else "5"


@pytest.fixture
def opened(version: str) -> Iterator[Opened]:
    """A session, connected unless asked otherwise; `states` of all of them in the order of their lives."""
    made: list[Session] = []

    def make(port: int, *, connect: bool = True, states: list[str] | None = None, **changes: Any) -> Session:  # noqa: ANN401
        terms: dict[str, Any] = {
            "receive_maximum": 5000,
            "keep_alive_s": 30,
            "session_expiry_s": 600,
            "max_packet_bytes": 65_536,
            "clock": SystemClock(),
            "on_state": (states if states is not None else []).append,
            "version": version,
        }
        session = Session("127.0.0.1", port, "glomska-test", ["glomska/+/+/readings"], **(terms | changes))
        made.append(session)
        if connect:
            session.connect()
        return session

    yield make
    for session in made:
        session.close()


def publish(broker: Broker, payloads: Sequence[bytes], *, qos: int = 1, retain: bool = False) -> None:
    """Returns when the broker has taken all of them."""
    topic = "glomska/acme/thermostat-1/readings"
    messages: Any = [(topic, payload, qos, retain) for payload in payloads]
    paho_publish.multiple(messages, "127.0.0.1", broker.port, protocol=paho.MQTTv5)


def numbered(first: int, last: int) -> list[bytes]:
    return [str(number).encode() for number in range(first, last)]


def until(session: Session, done: Callable[[list[Delivery]], bool], *, acknowledge: bool = True) -> list[Delivery]:
    deliveries: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE_S
    while not done(deliveries):
        assert time.monotonic() < deadline, "nothing more came"
        if delivery := session.receive(0.1):
            deliveries.append(delivery)
            if acknowledge:
                session.acknowledge(delivery.generation, delivery.tokens)
    return deliveries


def received(session: Session, count: int, *, acknowledge: bool = True) -> list[mqtt5.PublishPacket]:
    """At least `count` messages."""
    arrivals: list[mqtt5.PublishPacket] = []

    def enough(deliveries: list[Delivery]) -> bool:
        arrivals[:] = [arrival for delivery in deliveries for arrival in delivery.arrivals]
        return len(arrivals) >= count

    until(session, enough, acknowledge=acknowledge)
    return arrivals


def test_what_was_acknowledged_does_not_come_again(broker: Broker, opened: Opened) -> None:
    session = opened(broker.port)
    publish(broker, numbered(0, 3000))
    assert [arrival.payload for arrival in received(session, 3000)] == numbered(0, 3000)
    session.close()
    again = opened(broker.port)
    publish(broker, [b"marker"])
    assert [arrival.payload for arrival in received(again, 1)] == [b"marker"]


def test_what_was_not_acknowledged_comes_again(broker: Broker, opened: Opened) -> None:
    session = opened(broker.port)
    publish(broker, numbered(0, 50))
    received(session, 50, acknowledge=False)
    session.close()
    again = opened(broker.port)
    assert sorted(arrival.payload for arrival in received(again, 50)) == sorted(numbered(0, 50))
    if isinstance(broker, Mosquitto):  # rumqttd does not set the flag
        assert again.counters.redelivered == 50


def test_a_full_window_comes_again_before_the_subscription_is_confirmed(broker: Broker, opened: Opened) -> None:
    session = opened(broker.port)
    publish(broker, numbered(0, 250))
    received(session, IN_FLIGHT, acknowledge=False)
    session.close()
    again = opened(broker.port)
    assert sorted(arrival.payload for arrival in received(again, 250)) == sorted(numbered(0, 250))


def test_reading_and_acknowledging_in_two_threads(broker: Broker, opened: Opened) -> None:
    session, queue = opened(broker.port), list[Delivery]()
    ready, over = threading.Semaphore(0), threading.Event()

    def write() -> None:
        while ready.acquire(timeout=PATIENCE_S) and not (over.is_set() and not queue):
            delivery = queue.pop(0)
            session.acknowledge(delivery.generation, delivery.tokens)

    writer = threading.Thread(target=write)
    publisher = threading.Thread(target=publish, args=(broker, numbered(0, 10_000)))
    writer.start()
    publisher.start()
    got: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(got) < 10_000 and time.monotonic() < deadline:
        if delivery := session.receive(1.0):
            got += [arrival.payload for arrival in delivery.arrivals]
            queue.append(delivery)
            ready.release()
    over.set()
    ready.release()
    publisher.join()
    writer.join()
    session.close()
    assert got == numbered(0, 10_000)
    publish(broker, [b"marker"])
    assert [arrival.payload for arrival in received(opened(broker.port), 1)] == [b"marker"]


@pytest.mark.parametrize("persistence", [True, False])
def test_a_broker_that_restarts_is_found_again(persistence: bool, opened: Opened) -> None:
    with Mosquitto(persistence=persistence) as broker:
        states: list[str] = []
        session = opened(broker.port, states=states)
        publish(broker, [b"before"])
        received(session, 1)
        broker.restart()
        until(session, lambda _: session.generation == 2)
        publish(broker, [b"after"])
        assert [arrival.payload for arrival in received(session, 1)] == [b"after"]
    assert session.counters.reconnects == 1
    assert session.counters.session_lost == (0 if persistence else 1)
    assert states[0] == "connected"
    assert states[1].startswith("lost: ")
    assert ("session lost" in states) is not persistence


def test_a_broker_killed_with_messages_on_disk_delivers_them_later(opened: Opened) -> None:
    with Mosquitto(persistence=True) as broker:
        session = opened(broker.port)
        publish(broker, [b"kept"])
        received(session, 1, acknowledge=False)
        saved, deadline = broker.directory / "mosquitto.db", time.monotonic() + PATIENCE_S
        while not (saved.exists() and b"kept" in saved.read_bytes()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        broker.kill()
        broker.start()
        assert received(session, 1)[0].payload == b"kept"
        assert (session.generation, session.counters.session_lost) == (2, 0)


def test_an_embedded_broker_killed_is_found_again(opened: Opened) -> None:
    with EmbeddedBroker() as broker:
        session = opened(broker.port)
        broker.kill()
        until(session, lambda _: session.generation == 0 or session._live is None)
        broker.start()
        until(session, lambda _: session.generation == 2)
        publish(broker, [b"after"])
        assert received(session, 1)[0].payload == b"after"
        assert session.counters.session_lost == 1


def test_a_message_too_long_is_dropped_reported_and_settled(broker: Broker, opened: Opened) -> None:
    session = opened(broker.port)
    publish(broker, [b"first", b"x" * 10_000_000, b"last"])
    deliveries = until(session, lambda found: sum(len(delivery.tokens) for delivery in found) >= 3)
    assert [arrival.payload for delivery in deliveries for arrival in delivery.arrivals] == [b"first", b"last"]
    assert [number for delivery in deliveries for number in delivery.oversized] == [2]
    session.close()
    publish(broker, [b"marker"])
    assert [arrival.payload for arrival in received(opened(broker.port), 1)] == [b"marker"]


def test_qos_0_is_delivered_without_a_token(opened: Opened) -> None:  # rumqttd delivers it with QoS 1
    with Mosquitto() as broker:
        session = opened(broker.port)
        publish(broker, [b"once"], qos=0)
        deliveries = until(session, bool)
    assert [(delivery.arrivals[0].payload, delivery.tokens) for delivery in deliveries] == [(b"once", [0])]


def test_a_retained_message_comes_once_in_a_sessions_life(opened: Opened) -> None:
    with Mosquitto() as broker:
        publish(broker, [b"retained"], retain=True)
        first = opened(broker.port)
        assert [(arrival.payload, arrival.retain) for arrival in received(first, 1)] == [(b"retained", True)]
        first.close()
        again = opened(broker.port)
        publish(broker, [b"marker"])
        assert [arrival.payload for arrival in received(again, 1)] == [b"marker"]


def test_a_session_held_back_is_kept_alive(opened: Opened) -> None:
    with Mosquitto() as broker:
        session = opened(broker.port, keep_alive_s=1)
        publish(broker, [b"waiting"])
        while not held_back(session):
            session.close()
            session = opened(broker.port, keep_alive_s=1)
        publish(broker, [b"later"])
        assert [arrival.payload for arrival in received(session, 2)] == [b"waiting", b"later"]
        assert session.generation == 1


def held_back(session: Session) -> bool:
    """For twice the 1.5 s after which the broker would hang up; False where this process was itself away so long."""
    last = time.monotonic()
    for _ in range(40):
        session.keep_alive()
        time.sleep(0.075)
        if time.monotonic() - last > 1.0:
            return False
        last = time.monotonic()
    return True


def test_a_subscription_that_the_broker_forbids_is_a_clear_error(opened: Opened) -> None:
    class Guarded(Mosquitto):
        def arguments(self) -> list[str]:
            arguments = super().arguments()
            access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
            (self.directory / "acl.json").write_text(json.dumps({"defaultACLAccess": access}))
            with (self.directory / "mosquitto.conf").open("a") as configuration:
                configuration.write("plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so\n")
                configuration.write(f"plugin_opt_config_file {self.directory}/acl.json\n")
            return arguments

    with Guarded() as broker, pytest.raises(Unreachable) as caught:
        opened(broker.port)
    text = f"mqtt broker at 127.0.0.1:{broker.port} refuses the subscription with QoS 1: not_authorized"
    assert str(caught.value) == text


def test_an_unreachable_broker_is_a_clear_error(opened: Opened) -> None:
    port = free_port()
    with pytest.raises(Unreachable) as caught:
        opened(port)
    assert str(caught.value) == f"mqtt broker at 127.0.0.1:{port}: connection refused"


def test_a_name_without_address_is_a_clear_error() -> None:
    session = Session(
        "broker.invalid",
        1883,
        "c",
        ["a"],
        receive_maximum=1,
        keep_alive_s=1,
        session_expiry_s=1,
        max_packet_bytes=1,
        clock=SystemClock(),
        on_state=print,
    )
    with pytest.raises(Unreachable, match=r"broker\.invalid:1883: this name has no address"):
        session.connect()
    session.close()


def test_stop_wakes_a_reader_that_waits_for_messages(broker: Broker, opened: Opened) -> None:
    _wakes(opened(broker.port))


def test_stop_wakes_a_reader_that_waits_to_reconnect(opened: Opened) -> None:
    with Mosquitto() as broker:
        session = opened(broker.port)
    _wakes(session)


def test_stop_wakes_a_reader_that_waits_for_a_dumb_server(opened: Opened) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        _wakes(opened(dumb.getsockname()[1], connect=False))


def test_acknowledgements_are_still_sent_after_stop(broker: Broker, opened: Opened) -> None:
    session = opened(broker.port)
    publish(broker, numbered(0, 20))
    deliveries = until(session, lambda found: sum(len(d.arrivals) for d in found) == 20, acknowledge=False)
    session.stop()
    assert session.receive(PATIENCE_S) is None
    for delivery in deliveries:
        session.acknowledge(delivery.generation, delivery.tokens)
    session.close()
    session.close()
    publish(broker, [b"marker"])
    assert [arrival.payload for arrival in received(opened(broker.port), 1)] == [b"marker"]


def _wakes(session: Session) -> None:
    reader = threading.Thread(target=session.receive, args=(10 * PATIENCE_S,), daemon=True)
    reader.start()
    time.sleep(0.2)  # it is waiting by now; if not, stop must end it all the same
    session.stop()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
