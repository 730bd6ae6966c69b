"""Attack 3: a message that comes after the erasure brings the customer back.

A broker delivers again what was not acknowledged, and what it retains; a device that slept for a week sends what it
kept. After an erasure each of these is `erased`: counted, acknowledged, and nothing else.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from paho.mqtt import client as paho
from paho.mqtt import publish as paho_publish

from benchmarks.servers import Mosquitto
from gateway.keystore import schema
from gateway.model.sealed import Reason
from gateway.runtime.log import Log
from gateway.runtime.metrics import Metrics
from gateway.runtime.worker import Worker
from gateway.transport.ingest import Delivery, Session
from tests.unit.runtime.test_spooling import spooled
from tests.unit.runtime.test_worker import until
from tests.world import DAY, SECOND, Message, World, message

pytestmark = pytest.mark.both_key_stores

PATIENCE_S = 120.0


def counts(world: World) -> dict[str, int]:
    """Rows that would have to grow for anybody to come back."""
    with world.keystore.snapshot() as tx:
        return {
            table.name: tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in (schema.incarnations, schema.keys, schema.routes, schema.records)
        }


def test_redelivered_after_erasure(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    now = world.clock.wall()
    messages = [message(f"meter-{1 + n % 2}", now - n * 60 * 10**9, temperature=21.5, energy=n) for n in range(200)]
    world.store.write(world.process(*messages).points)
    assert len(world.points()) == len(messages)

    world.erase("anna")
    before = counts(world)
    again = world.process(*messages, message("meter-1", now - 3 * DAY, power=900))

    assert again.points == []
    late = Message(messages[0].topic, b"{cut off")
    assert world.refuse(*messages, late) == [], "nor does the customer come back as a dead letter"
    assert again.refusals.readings == {Reason.ERASED: 2 * len(messages) + 1}
    assert set(again.refusals.message.values()) == {Reason.ERASED}
    assert len(again.refusals.message) == len(messages) + 1
    assert counts(world) == before
    assert before["routes"] == before["records"] == 0
    assert world.points() == []


def test_a_new_process_refuses_too(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.erase("anna")
    other = World(world.directory)
    assert other.publish("meter-1", temperature=21.5).refusals.readings == {Reason.ERASED: 1}
    other.close()


def test_enrolment_does_not_bring_back(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.erase("anna")
    before = counts(world)
    assert world.enrol("anna", "meter-1").refused == [(2, "erased")]
    assert world.enrol("anna", "meter-3").refused == [(2, "erased")]
    assert world.enrol("bert", "meter-1").refused == [(2, "erased")]  # for a time when it was anna's
    assert counts(world) == before


def test_next_tenant_gets_only_what_is_theirs(world: World) -> None:
    world.enrol("anna", "meter-1")
    before_moving = world.clock.wall() - DAY
    world.erase("anna")
    moved_in = world.clock.wall()
    assert world.enrol("bert", "meter-1", since=moved_in).enrolled == 1
    assert world.publish("meter-1", before_moving, temperature=20).refusals.readings == {Reason.ERASED: 1}
    assert len(world.publish("meter-1", moved_in + 10**9, temperature=20).points) == 1
    assert len(world.read("bert")) == 1


def session_at(broker: Mosquitto, world: World, client_id: str) -> Session:
    return Session(
        "127.0.0.1",
        broker.port,
        client_id,
        ["glomska/+/+/readings"],
        receive_maximum=1000,
        keep_alive_s=30,
        session_expiry_s=600,
        max_packet_bytes=4096,
        clock=world.clock,
        on_state=lambda _: None,
    )


def waited_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


@contextmanager
def gateway_at(broker: Mosquitto, directory: Path, client_id: str) -> Iterator[Metrics]:
    """A new process of the gateway, as far as key store, store and broker can tell; drained at the end."""
    world = World(directory)
    session, log = session_at(broker, world, client_id), Log(stream=io.StringIO(), level="info")
    worker = Worker(
        session, world.ring, world.chain, world.store, world.clock, log, batch_points=500, batch_ms=20, poll_ms=20
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker.metrics
    finally:
        worker.stop()
        thread.join(PATIENCE_S)
        world.close()
    assert not thread.is_alive()


def publish(broker: Mosquitto, world: World, device: str, count: int, *, retain: bool = False) -> None:
    """QoS 1; of retained messages the broker keeps the last."""
    now = world.clock.wall()
    sent = [message(device, now - n * 60 * 10**9, temperature=21.5) for n in range(count)]
    paho_publish.multiple(
        [(each.topic, each.payload, 1, retain) for each in sent], "127.0.0.1", broker.port, protocol=paho.MQTTv5
    )


def received(session: Session, count: int) -> list[Delivery]:
    """That many messages, none of them acknowledged."""
    deliveries: list[Delivery] = []

    def have() -> bool:
        delivery = session.receive(0.1)
        deliveries.extend([delivery] if delivery else [])
        return sum(len(d.arrivals) for d in deliveries) >= count

    waited_for(have)
    return deliveries


def test_a_broker_delivers_again_and_retains_in_vain(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    with Mosquitto() as broker:
        first = session_at(broker, world, "gateway")
        first.connect()
        publish(broker, world, "meter-1", 30)
        publish(broker, world, "meter-2", 1, retain=True)
        for delivery in received(first, 31):  # it stores them and ends before it acknowledges
            arrivals = [Message(arrival.topic, bytes(arrival.payload)) for arrival in delivery.arrivals]
            world.store.write(world.process(*arrivals).points)
        first.close()
        assert len(world.points()) == 31
        publish(broker, world, "meter-1", 5)  # which wait for it in the broker

        world.erase("anna")
        before = counts(world)

        with gateway_at(broker, world.directory, "gateway") as again:
            waited_for(lambda: sum(again.refused.values()) + again.stored >= 36)
        assert (again.stored, again.refused, again.refused_readings) == (0, {Reason.ERASED: 36}, {Reason.ERASED: 36})
        assert again.redelivered == 31

        with gateway_at(broker, world.directory, "another") as new:
            waited_for(lambda: sum(new.refused.values()) + new.stored >= 1)
        assert (new.stored, new.refused) == (0, {Reason.ERASED: 1})  # what the broker retained

        assert counts(world) == before
        assert before["routes"] == before["records"] == 0
        assert world.points() == []

        with gateway_at(broker, world.directory, "gateway") as last:  # all of it was acknowledged
            publish(broker, world, "meter-1", 1)
            waited_for(lambda: sum(last.refused.values()) + last.stored >= 1)
        assert last.refused == {Reason.ERASED: 1}


def test_what_waited_in_a_spool_is_not_replayed(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.lease._length = SECOND  # it is left to run out, since requests were given up
    with spooled(world) as run:
        run.store.open.clear()
        run.put(1, 10)
        run.line.wait(10)
    with closing(World(world.directory)) as eraser:  # of which no file of the spool is in reach
        eraser.erase("anna")
    before = counts(world)
    with closing(World(world.directory)) as restarted, spooled(restarted) as run:
        until(lambda: run.spooling.counted.erased == 10 or run.spooling.counted.drained > 0)
        until(lambda: run.spools.size() == 0)
    assert (run.spooling.counted.drained, run.spooling.counted.erased) == (0, 10)
    assert world.points() == []
    assert counts(world) == before
