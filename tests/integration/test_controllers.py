"""One connection for each controller: none holds up another, new ones get theirs, and a topic is bound to its own."""

from __future__ import annotations

import functools
import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.servers import Mosquitto
from firmware_sim.connection import Broker
from firmware_sim.fleet import Message
from firmware_sim.publish import publish
from gateway.clock import SystemClock
from gateway.errors import Unreachable
from gateway.transport.ingest import Delivery, Session, Sessions
from tests.commands import Gateway, Stack, await_, flat
from tests.fronts import Guarded
from tests.integration.test_fleet import COLUMNS, NOW

PATIENCE_S = 120.0
WINDOW = 50
VERSIONS = ["5", "3.1.1"]


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


def topic_of(controller: str) -> str:
    return f"glomska/{controller}/thermostat-1/readings"


def send(broker: Mosquitto, controller: str, *payloads: bytes) -> None:
    messages = [Message(topic=topic_of(controller), payload=payload, time=0) for payload in payloads]
    assert publish(messages, Broker.at(broker.url)).deliveries == len(payloads)


def session_of(broker: Mosquitto, version: str, controller: str, *, pattern: str = "") -> Session:
    return Session(
        "127.0.0.1",
        broker.port,
        f"glomska-test-{controller}",
        [pattern or f"glomska/{controller}/+/readings"],
        receive_maximum=WINDOW,
        keep_alive_s=30,
        session_expiry_s=600,
        max_packet_bytes=65_536,
        clock=SystemClock(),
        on_state=lambda _: None,
        version=version,
    )


def bound(controller: str, topic: str) -> bool:
    return topic.split("/")[1] == controller


@pytest.fixture
def opened(broker: Mosquitto) -> Iterator[Callable[..., Sessions]]:
    made: list[Sessions] = []

    def make(known: list[str], version: str, *, pattern: str = "") -> Sessions:
        sessions = Sessions(
            functools.partial(session_of, broker, version, pattern=pattern), known=lambda: known, bound=bound
        )
        made.append(sessions)
        sessions.connect()
        return sessions

    yield make
    for sessions in made:
        sessions.close()


def taken(sessions: Sessions, until: bytes, *, acknowledge: Callable[[Delivery], bool]) -> list[bytes]:
    """Payloads up to and with `until`; what `acknowledge` says yes to is acknowledged."""
    found: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_S
    while until not in found:
        assert time.monotonic() < deadline, f"{len(found)} came, and not the one that was awaited"
        if delivery := sessions.receive(0.2):
            found += [arrival.payload for arrival in delivery.arrivals]
            if acknowledge(delivery):
                sessions.acknowledge(delivery.generation, delivery.tokens)
    return found


def everything(_: Delivery) -> bool:
    return True


def test_one_whose_messages_wait_holds_up_nobody(broker: Mosquitto, opened: Callable[..., Sessions]) -> None:
    sessions = opened(["flood", "quiet"], "5")
    send(broker, "flood", *[b"f"] * 10 * WINDOW)
    send(broker, "quiet", b"q")
    found = taken(sessions, b"q", acknowledge=lambda d: d.arrivals[0].payload == b"q")
    assert found.count(b"f") <= WINDOW, "its own window is full"
    send(broker, "quiet", b"again")
    taken(sessions, b"again", acknowledge=everything)


@pytest.mark.parametrize("version", VERSIONS)
def test_acknowledgements_find_their_own_session(
    version: str, broker: Mosquitto, opened: Callable[..., Sessions]
) -> None:
    """The numbers are the same in both: only one's are acknowledged, and only the other's come again."""
    sessions = opened(["one", "two"], version)
    send(broker, "one", b"1", b"1", b"1")
    send(broker, "two", b"2", b"2", b"2")
    found: list[bytes] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < 6:
        assert time.monotonic() < deadline
        if delivery := sessions.receive(0.2):
            found += [arrival.payload for arrival in delivery.arrivals]
            if delivery.arrivals[0].payload == b"1":
                sessions.acknowledge(delivery.generation, delivery.tokens)
    sessions.close()
    again = opened(["one", "two"], version)
    send(broker, "one", b"marker")
    came = taken(again, b"marker", acknowledge=everything)
    while came.count(b"2") < 3:
        assert time.monotonic() < deadline
        if delivery := again.receive(0.2):
            came += [arrival.payload for arrival in delivery.arrivals]
    assert sorted(came) == [b"2", b"2", b"2", b"marker"]


def test_a_new_controller_gets_its_connection_and_losing_one_does_not_end_the_others(
    broker: Mosquitto, opened: Callable[..., Sessions]
) -> None:
    known = ["one"]
    sessions = opened(known, "5")
    known.append("two")
    deadline = time.monotonic() + PATIENCE_S
    while len(sessions._lines) < 2 or not sessions._lines[1].session.generation:
        assert time.monotonic() < deadline
        sessions.receive(0.1)
    send(broker, "two", b"new")
    assert taken(sessions, b"new", acknowledge=everything) == [b"new"]
    broker.restart()
    while min(line.session.generation for line in sessions._lines) < 2:
        assert time.monotonic() < deadline
        sessions.receive(0.1)
    send(broker, "one", b"back")
    assert taken(sessions, b"back", acknowledge=everything) == [b"back"]
    assert sessions.counters.reconnects == 2


def test_what_the_broker_should_not_have_sent_is_counted_and_settled(
    broker: Mosquitto, opened: Callable[..., Sessions]
) -> None:
    sessions = opened(["one"], "5", pattern="glomska/#")
    send(broker, "other", b"strange")
    deadline = time.monotonic() + PATIENCE_S
    while not (delivery := sessions.receive(0.2)):
        assert time.monotonic() < deadline
    assert (delivery.arrivals, delivery.malformed, delivery.tokens) == ([], [1], [1])
    sessions.acknowledge(delivery.generation, delivery.tokens)


def test_a_broker_that_is_away_at_the_start_is_a_clear_error(
    broker: Mosquitto, opened: Callable[..., Sessions]
) -> None:
    broker.stop()
    with pytest.raises(Unreachable, match="connection refused"):
        opened(["one"], "5")


def test_one_that_the_broker_forbids_keeps_no_other_waiting(tmp_path: Path) -> None:
    """At the start as later; it is said, and tried again. Where every one is forbidden, that is an error."""
    with Guarded(allowed=["glomska/one/+/readings"]) as broker:
        gateway = Gateway(tmp_path, Stack(broker, "sqlite:///readings.db"), mqtt__connection_per="controller")
        gateway.enrol(f"{COLUMNS}\nanother,c-1,d-1,11122,2000-01-01\n")
        gateway.call("run", code=4)
        assert "refuses the subscription" in gateway.said[-1]
        gateway.enrol(f"{COLUMNS}\none,c-1,d-1,11122,2000-01-01\n")
        with gateway.run() as running:
            reading = flat("glomska/one/d-1/readings", int(NOW * 1000), battery=50)
            assert publish([reading], Broker.at(broker.url)).deliveries == 1
            gateway.await_points(1)
            await_(lambda: "refuses the subscription" in running.text, lambda: running.text)
            assert running.stop()["stored"] == 1


def test_a_controller_enrolled_while_the_gateway_runs_is_received(broker: Mosquitto, tmp_path: Path) -> None:
    on = Stack(broker, "sqlite:///readings.db")
    gateway = Gateway(tmp_path, on, mqtt__connection_per="controller", mqtt__controllers='["waiting"]')
    gateway.enrol(f"{COLUMNS}\none,c-1,d-1,11122,2000-01-01\n")
    with gateway.run() as running:
        gateway.enrol(f"{COLUMNS}\ntwo,c-1,d-1,11122,2000-01-01\n")
        await_(lambda: len(running.events("broker")) == 3, lambda: running.text)
        for name in ("one", "two", "waiting"):
            reading = flat(f"glomska/{name}/d-1/readings", int(NOW * 1000), battery=50)
            assert publish([reading], Broker.at(broker.url)).deliveries == 1
        gateway.await_points(2)
        books = running.stop()
    assert books["stored"] == 2


def test_the_doctor_asks_for_what_each_controller_is_asked_for_and_no_more(tmp_path: Path) -> None:
    """A broker whose access list knows controllers refuses the wildcard over all of them."""
    with Guarded(allowed=["glomska/one/+/readings"]) as broker:
        gateway = Gateway(tmp_path, Stack(broker, "sqlite:///readings.db"), mqtt__connection_per="controller")
        assert "nothing is subscribed to" in gateway.call("doctor")
        gateway.enrol(f"{COLUMNS}\none,c-1,d-1,11122,2000-01-01\n")
        assert "takes the subscription of 1 controller(s) with QoS 1" in gateway.call("doctor")
        gateway.enrol(f"{COLUMNS}\ntwo,c-1,d-1,11122,2000-01-01\n")
        assert "refuses the subscription with QoS 1" in gateway.call("doctor", code=4).replace("\n", " ")


def test_what_is_known_of_topics_does_not_grow_with_their_length(
    broker: Mosquitto, opened: Callable[..., Sessions]
) -> None:
    """Who may publish can make up ever new topics of 60 kB."""
    sessions = opened(["flood"], "5")
    fill = "x" * 60_000
    tracemalloc.start()
    try:
        for number in range(3):
            topics = [f"glomska/flood/{fill}{number}-{each}/readings" for each in range(WINDOW)]
            publish([Message(topic=topic, payload=b"f", time=0) for topic in topics], Broker.at(broker.url))
            send(broker, "flood", b"end%d" % number)
            taken(sessions, b"end%d" % number, acknowledge=everything)
            del topics
        gc.collect()
        kept = [trace for trace in tracemalloc.take_snapshot().traces if trace.size > len(fill)]
    finally:
        tracemalloc.stop()
    assert len(kept) < WINDOW
