"""Attack 30: an acknowledgement from an earlier connection settles another message, which is then lost.

Packet ids count from 1 in every new session of the broker, so an id alone says nothing about which message it means.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from paho.mqtt import client as paho
from paho.mqtt import publish as paho_publish

from benchmarks.servers import Mosquitto
from gateway.clock import SystemClock
from gateway.transport.ingest import Delivery, Session
from gateway.transport.ingest.legacy import LegacyConnection

PATIENCE_S = 120.0


pytestmark = pytest.mark.parametrize("version", ["5", "3.1.1"])


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    """Without persistence: it forgets sessions, and the numbers in them, when it restarts."""
    with Mosquitto() as running:
        yield running


def session_at(broker: Mosquitto, version: str, *, worker: int = 0) -> Session:
    session = Session(
        "127.0.0.1",
        broker.port,
        f"glomska-test-{worker}",
        ["$share/glomska/glomska/#" if worker else "glomska/#"],
        receive_maximum=100,
        keep_alive_s=30,
        session_expiry_s=600,
        max_packet_bytes=1024,
        clock=SystemClock(),
        on_state=lambda _: None,
        version=version,
    )
    session.connect()
    return session


def publish(broker: Mosquitto, *payloads: str) -> None:
    topic = "glomska/acme/meter/readings"
    paho_publish.multiple(
        [(topic, payload, 1, False) for payload in payloads], "127.0.0.1", broker.port, protocol=paho.MQTTv5
    )


def delivered(session: Session, count: int) -> list[Delivery]:
    deliveries: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE_S
    while sum(len(delivery.arrivals) for delivery in deliveries) < count:
        assert time.monotonic() < deadline, "nothing more came"
        if delivery := session.receive(0.1):
            deliveries.append(delivery)
    return deliveries


def payloads(deliveries: list[Delivery]) -> list[bytes]:
    return [arrival.payload for delivery in deliveries for arrival in delivery.arrivals]


def test_an_old_acknowledgement_does_not_settle_the_message_that_has_its_number_now(
    broker: Mosquitto, version: str
) -> None:
    session = session_at(broker, version)
    publish(broker, "old")
    [old] = delivered(session, 1)
    broker.restart()
    deadline = time.monotonic() + PATIENCE_S
    while session.generation == 1:
        assert time.monotonic() < deadline
        session.receive(0.1)
    publish(broker, "new")
    [new] = delivered(session, 1)
    assert new.tokens == old.tokens, "the attack needs the broker to use the number again"

    session.acknowledge(old.generation, old.tokens)

    session.close()
    again = session_at(broker, version)
    publish(broker, "marker")
    came: list[bytes] = []
    while b"marker" not in came:
        came += payloads(delivered(again, 1))
    assert came == [b"new", b"marker"]
    assert session.counters.stale_acknowledgements == 1
    again.close()


def test_batches_in_flight_over_many_reconnects_are_delivered_until_acknowledged_in_their_own(
    broker: Mosquitto, version: str
) -> None:
    session = session_at(broker, version)
    sent = [str(number) for number in range(60)]
    publish(broker, *sent)
    for cut in range(1, 4):
        held = delivered(session, len(sent))
        assert session.generation == cut
        assert session._live is not None
        connection = session._live[1]
        sock = connection._socket() if isinstance(connection, LegacyConnection) else connection._sock
        assert sock is not None
        sock.shutdown(socket.SHUT_RDWR)
        while session.generation == cut:
            session.receive(0.0)
        for batch in held:
            session.acknowledge(batch.generation, batch.tokens)
        assert session.counters.stale_acknowledgements == cut * len(sent)
    last = delivered(session, len(sent))
    assert sorted(payloads(last)) == sorted(text.encode() for text in sent)
    for batch in last:
        session.acknowledge(batch.generation, batch.tokens)
    session.close()
    again = session_at(broker, version)
    publish(broker, "marker")
    assert payloads(delivered(again, 1)) == [b"marker"]
    again.close()


def held_by_both(workers: list[Session], count: int) -> list[list[Delivery]]:
    """What each has, once they have so many together, and each at least one."""
    held: list[list[Delivery]] = [[] for _ in workers]
    deadline = time.monotonic() + PATIENCE_S
    while sum(len(payloads(one)) for one in held) < count:
        assert time.monotonic() < deadline, "nothing more came"
        for worker, deliveries in zip(workers, held, strict=True):
            if delivery := worker.receive(0.05):
                deliveries.append(delivery)
    assert all(held), "the broker shares them out"
    return held


def test_two_workers_of_a_shared_subscription_settle_only_what_they_hold_now(broker: Mosquitto, version: str) -> None:
    workers = [session_at(broker, version, worker=number) for number in (1, 2)]
    old, new = ([f"{age} {number}" for number in range(40)] for age in ("old", "new"))
    publish(broker, *old)
    before = held_by_both(workers, len(old))
    broker.restart()
    deadline = time.monotonic() + PATIENCE_S
    while 1 in {worker.generation for worker in workers}:
        assert time.monotonic() < deadline
        for worker in workers:
            worker.receive(0.05)
    publish(broker, *new)
    now = held_by_both(workers, len(new))
    for worker, stale, current in zip(workers, before, now, strict=True):
        tokens = {token for delivery in current for token in delivery.tokens}
        assert tokens & {token for delivery in stale for token in delivery.tokens}, "the broker uses numbers again"
        for delivery in stale:
            worker.acknowledge(delivery.generation, delivery.tokens)
        worker.close()
    again = [session_at(broker, version, worker=number) for number in (1, 2)]
    came = held_by_both(again, len(new))
    assert sorted(payloads([one for deliveries in came for one in deliveries])) == sorted(map(str.encode, new))
    for worker in again:
        worker.close()
