"""Everything that is counted as published has arrived, on a real broker, whatever happens to it."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from benchmarks.servers import Mosquitto, free_port
from firmware_sim.connection import Broker, Connection
from firmware_sim.errors import Unreachable, UsageFault
from firmware_sim.faults import Faults, with_faults
from firmware_sim.fleet import Message, thermostats
from firmware_sim.homes import Window, simulate_messages
from firmware_sim.publish import publish
from firmware_sim.tally import Tally
from tests.unit.firmware_sim.witness import ConfiguredMosquitto, Witness


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    window = Window(start=1_768_000_000_000, interval=900, steps=150)
    valid = simulate_messages(thermostats(20, seed=1, senml=0.3), window, seed=1)
    faults = Faults(duplicates=0.1, disorder=0.1, bursts=0.2, malformed=0.05)
    return list(with_faults(valid, faults, seed=1))


@pytest.mark.parametrize("how", [("5", 1, 500), ("5", 4, 7), ("3.1.1", 3, 100)])
def test_every_delivery_arrives_in_the_order_of_its_device(
    broker: Mosquitto, witness: Witness, messages: list[Message], how: tuple[str, int, int]
) -> None:
    version, connections, window = how
    to = Broker.at(broker.url, version=version, window=window)
    tally = publish(messages, to, connections=connections)
    heard = witness.wait_for(len(messages))
    sent = [(m.topic, m.payload, m.content_type if version == "5" else None) for m in messages]
    assert Counter(heard) == Counter(sent)
    for topic in {message.topic for message in messages}:
        assert [entry for entry in heard if entry[0] == topic] == [entry for entry in sent if entry[0] == topic]
    assert tally.deliveries == len(messages)
    assert (tally.rejected, tally.unacknowledged, tally.resent) == (0, 0, 0)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_broker_that_hangs_dies_and_comes_back_gets_everything(
    broker: Mosquitto, messages: list[Message], version: str
) -> None:
    acts = iter((lambda: os.kill(broker.pid, signal.SIGSTOP), lambda: None, broker.kill, broker.start))

    def disturb(tally: Tally) -> None:
        if 0 < tally.deliveries < len(messages):
            next(acts, lambda: None)()

    to = Broker.at(broker.url, version=version, window=50)
    tally = publish(messages, to, rate=3000, connections=2, on_progress=disturb)
    assert next(acts, None) is None, "the broker was not disturbed"
    assert tally.deliveries == len(messages)
    assert tally.resent > 0
    assert tally.unacknowledged == 0


def test_a_silent_broker_is_lost_after_patience_and_the_books_are_kept(
    broker: Mosquitto, messages: list[Message]
) -> None:
    tally = Tally()

    def hang(tally: Tally) -> None:
        if tally.deliveries:
            os.kill(broker.pid, signal.SIGSTOP)

    try:
        with pytest.raises(Unreachable, match="has not answered for 4 seconds"):
            publish(messages, Broker.at(broker.url, window=50), rate=1000, patience=4, tally=tally, on_progress=hang)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    assert 0 < tally.deliveries < len(messages)
    assert tally.unacknowledged == 50


def test_no_broker_is_told_at_once(messages: list[Message]) -> None:
    with pytest.raises(Unreachable, match=r"no broker answers at 127\.0\.0\.1"):
        publish(messages, Broker.at(f"mqtt://127.0.0.1:{free_port()}"))


def test_stop_lets_what_is_under_way_be_acknowledged(broker: Mosquitto, messages: list[Message]) -> None:
    stop = threading.Event()
    taken = 0

    def counted() -> Iterator[Message]:
        nonlocal taken
        for message in messages:
            taken += 1
            if taken == 1000:
                stop.set()
            yield message

    tally = publish(counted(), Broker.at(broker.url, window=20), stop=stop)
    assert 0 < tally.deliveries < len(messages)
    assert tally.unacknowledged == 0
    assert taken - tally.deliveries in {0, 1}  # one message waits at the head


def test_live_publishes_nothing_before_its_event_time(broker: Mosquitto, messages: list[Message]) -> None:
    early = []

    class Watch(Tally):
        def settled(self, message: Message, accepted: bool) -> None:
            early.append(time.time_ns() < message.time * 1_000_000)
            super().settled(message, accepted)

    now = time.time_ns() // 1_000_000
    ahead = [msgspec.structs.replace(message, time=now + 20 * n) for n, message in enumerate(messages[:25])]
    publish(ahead, Broker.at(broker.url), live=True, tally=Watch())
    assert early == [False] * 25


def test_the_brokers_receive_maximum_is_kept(messages: list[Message]) -> None:
    with ConfiguredMosquitto("max_inflight_messages 3\n") as broker:
        connection = Connection(Broker.at(broker.url, window=500), "window", lambda *_: None)
        connection.open()
        connection.write()
        assert connection.sock is not None
        assert select.select([connection.sock], [], [], 60)[0]
        connection.read()
        assert connection.room == 3
        connection.close()
        assert publish(messages[:300], Broker.at(broker.url, window=500)).deliveries == 300


@pytest.fixture
def strict(messages: list[Message]) -> Iterator[Mosquitto]:
    """Takes only what the first message's device publishes; answers others "not authorized" and hangs up."""
    running = ConfiguredMosquitto("acl_file {directory}/acl\n")
    (running.directory / "acl").write_text(f"topic write {messages[0].topic}\n")
    with running:
        yield running


def test_what_the_broker_rejects_is_not_counted_as_published(strict: Mosquitto, messages: list[Message]) -> None:
    allowed = [message for message in messages if message.topic == messages[0].topic][:4]
    denied = [message for message in messages if message.topic != messages[0].topic][:3]
    mixed = [*allowed[:2], *denied, *allowed[2:]]
    tally = publish(mixed, Broker.at(strict.url, window=1))
    assert (tally.deliveries, tally.rejected) == (4, 3)


def test_a_broker_that_hangs_up_on_every_message_is_lost(strict: Mosquitto, messages: list[Message]) -> None:
    denied = [message for message in messages if message.topic != messages[0].topic]
    tally = Tally()
    with pytest.raises(Unreachable, match="has not answered for 4 seconds"):
        publish(denied, Broker.at(strict.url, window=500), patience=4, tally=tally)
    assert tally.deliveries == 0
    assert tally.unacknowledged > 0


@pytest.mark.parametrize(
    ("url", "version", "window", "message"),
    [
        ("http://127.0.0.1", "5", 1, "not mqtt://host:port"),
        ("127.0.0.1:1883", "5", 1, "not mqtt://host:port"),
        ("mqtt://127.0.0.1:99999", "5", 1, "the port is no number"),
        ("mqtt://name:secret@127.0.0.1", "5", 1, "not mqtt://host:port"),
        ("mqtt://127.0.0.1", "4", 1, "5 or 3.1.1"),
        ("mqtt://127.0.0.1", "5", 0, "from 1 to 65535"),
    ],
)
def test_what_is_no_broker_is_said(url: str, version: str, window: int, message: str) -> None:
    with pytest.raises(UsageFault, match=message) as caught:
        Broker.at(url, version=version, window=window)
    assert "secret" not in str(caught.value)
