"""The stream is decoded the same wherever the network cuts it, and memory does not depend on what a broker sends."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator
from typing import Any

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import FixedClock, SystemClock
from gateway.errors import ConfigurationFault, Unreachable
from gateway.transport.ingest import CURTAILED, Session
from gateway.transport.ingest.connection import Fullness
from gateway.transport.ingest.stream import READ_BYTES, Chunk, Malformed, Reader, pubacks

LIMIT = 200
AT_LEAST_ONCE = mqtt5.QoS.AT_LEAST_ONCE


def publish(packet_id: int, payload: bytes = b"{}", *, topic: str = "a/b", duplicate: bool = False) -> bytes:
    qos = AT_LEAST_ONCE if packet_id else mqtt5.QoS.AT_MOST_ONCE
    return mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=packet_id or None, duplicate=duplicate).write()


def framed(head: int, body: bytes) -> bytes:
    """A packet by hand, for what the codec does not write."""
    assert len(body) < 128
    return bytes([head, len(body)]) + body


def refused(packet_id: int) -> bytes:
    """An intact frame with a property that does not exist."""
    return framed(0x32, b"\0\1a" + packet_id.to_bytes(2) + b"\x02\x7f\x00")


def fed(reader: Reader, stream: bytes, cuts: list[int]) -> Chunk:
    """All of `stream`, given to the reader in pieces, as one chunk."""
    total, at, turn = Chunk(), 0, 0
    while at < len(stream):
        size = min(cuts[turn % len(cuts)], len(reader.room()), len(stream) - at)
        reader.room()[:size] = stream[at : at + size]
        chunk = reader.decode(size)
        total.dropped += [(position + len(total.arrivals), number) for position, number in chunk.dropped]
        for name in ("arrivals", "packet_ids", "oversized", "malformed", "control", "redelivered"):
            setattr(total, name, getattr(total, name) + getattr(chunk, name))
        at, turn = at + size, turn + 1
    return total


def seen(chunk: Chunk) -> tuple[object, ...]:
    arrivals = [(p.topic, p.payload, p.duplicate) for p in chunk.arrivals]
    control = [type(p).__name__ for p in chunk.control]
    return arrivals, chunk.packet_ids, chunk.oversized, chunk.malformed, chunk.tokens, control, chunk.redelivered


packets = st.one_of(
    st.builds(publish, st.integers(0, 65_535), st.binary(max_size=400), duplicate=st.booleans()),
    st.builds(refused, st.integers(1, 65_535)),
    st.just(mqtt5.PingRespPacket().write()),
    st.just(mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write()),
)
cutting = st.lists(st.integers(1, 500), min_size=1, max_size=8)


@given(st.lists(packets, max_size=30), cutting)
def test_where_the_stream_is_cut_does_not_matter(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    whole = fed(Reader(LIMIT), stream, [READ_BYTES])
    assert seen(fed(Reader(LIMIT), stream, cuts)) == seen(whole)
    messages = [part for part in parts if part[0] & 0xF0 == 0x30]
    assert len(whole.arrivals) + len(whole.oversized) + len(whole.malformed) == len(messages) == len(whole.tokens)
    assert len(whole.oversized) == sum(len(part) > LIMIT for part in messages)


@given(st.lists(st.one_of(st.binary(max_size=60), packets), max_size=12), cutting)
def test_arbitrary_bytes_are_decoded_or_malformed_and_never_stall(parts: list[bytes], cuts: list[int]) -> None:
    stream, reader = b"".join(parts), Reader(LIMIT)
    with contextlib.suppress(Malformed):
        fed(reader, stream, cuts)
    assert len(reader.room()) == READ_BYTES


def test_messages_come_out_with_their_tokens_in_order() -> None:
    stream = publish(7) + publish(0) + publish(8, b"x" * LIMIT) + refused(9) + publish(10, duplicate=True)
    chunk = fed(Reader(LIMIT), stream, [READ_BYTES])
    assert chunk.packet_ids == [7, 0, 10]
    assert (chunk.oversized, chunk.malformed) == ([8], [9])
    assert chunk.tokens == [7, 0, 8, 9, 10]
    assert chunk.redelivered == 1


def test_a_payload_outlives_the_buffer() -> None:
    reader = Reader(LIMIT)
    first = fed(reader, publish(1, b"first"), [READ_BYTES])
    fed(reader, publish(2, b"other"), [READ_BYTES])
    assert first.arrivals[0].payload == b"first"


def test_a_message_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    fits = publish(1, b"x" * (LIMIT - len(publish(1, b"x" * 150)) + 150))
    assert len(fits) == LIMIT
    assert fed(Reader(LIMIT), fits, [READ_BYTES]).packet_ids == [1]
    assert fed(Reader(LIMIT - 1), fits, [READ_BYTES]).oversized == [1]


@pytest.mark.parametrize("cut", [1_000, READ_BYTES])
def test_a_long_message_is_not_buffered_and_is_reported_once_its_last_byte_came(cut: int) -> None:
    reader, long = Reader(LIMIT), publish(5, b"x" * 2_000_000, topic="t" * 60_000)
    before = fed(reader, long[:-1], [cut])
    assert not before.has_messages
    assert len(reader._buffer) < READ_BYTES + 70_000
    assert fed(reader, long[-1:] + publish(6), [cut]).tokens == [5, 6]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the codec panics, and prints that
def test_a_topic_that_is_no_utf8_is_one_malformed_message() -> None:
    chunk = fed(Reader(LIMIT), framed(0x32, b"\0\2\xff\xfe\0\5\0{}") + publish(6), [3])
    assert (chunk.malformed, chunk.packet_ids) == ([5], [6])


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="length of five bytes"),
        pytest.param(b"\x34\x07\0\1a\0\5\0x", id="QoS 2, too long"),
        pytest.param(b"\x36\x07\0\1a\0\5\0x", id="QoS 3"),
        pytest.param(b"\x32\x04\0\x09ab", id="shorter than its topic"),
        pytest.param(b"\x32\x00", id="empty PUBLISH"),
        pytest.param(b"\x00\x00", id="packet type 0"),
        pytest.param(b"\xd0\x01\x00", id="PINGRESP with a body"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n" * 20, id="another protocol"),
    ],
)
@pytest.mark.parametrize("cut", [1, READ_BYTES])
def test_a_broken_stream_is_malformed(stream: bytes, cut: int) -> None:
    limit = 6 if stream[0] == 0x34 else LIMIT
    with pytest.raises(Malformed):
        fed(Reader(limit), stream, [cut])


@given(st.lists(st.integers(0, 65_535), max_size=50))
def test_pubacks_are_what_the_codec_writes(packet_ids: list[int]) -> None:
    assert pubacks(packet_ids) == b"".join(mqtt5.PubAckPacket(number).write() for number in packet_ids if number)


def test_a_chunk_that_stops_growing_is_read_when_it_holds_what_chunks_held_lately() -> None:
    fullness = Fullness()
    assert fullness.reached(2_000)  # of the first nothing is known
    assert not fullness.reached(1_499)  # the broker has lost its core: more is to come
    assert fullness.reached(1_500)  # about what it sends until it is acknowledged: it waits for us
    fullness.learn(448_000)
    assert not fullness.reached(300_000)
    fullness.learn(1_000)  # it had all its time: the rate has fallen, and nobody waits for what does not come
    assert fullness.reached(750)


def test_a_small_window_is_waited_out_once_and_not_at_every_chunk() -> None:
    fullness, waits = Fullness(), 0
    fullness.learn(448_000)
    for window in [20 * 130, 20 * 115, 20 * 150, 20 * 120] * 25:
        if not fullness.reached(window):
            waits += 1
            fullness.learn(window)
    assert waits == 1


class Scripted:
    """A server on a real socket that says what a broker should never say; `heard` is what came in."""

    def __init__(self, *answers: bytes) -> None:
        """One answer to each read; what is in `heard` is answered already."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._cue, self._over, self._last = threading.Event(), threading.Event(), b""
        self._thread = threading.Thread(target=self._serve, args=(answers,))
        self._thread.start()

    def _serve(self, answers: tuple[bytes, ...]) -> None:
        sock, _ = self._listener.accept()
        with sock:
            for answer in answers:
                heard = sock.recv(65_536)
                sock.sendall(answer)
                self.heard.append(heard)
            self._cue.wait(120)
            sock.sendall(self._last)
            self._over.wait(120)

    def await_heard(self, count: int) -> None:
        """Until so many reads are answered."""
        while len(self.heard) < count:
            threading.Event().wait(0.01)

    def say(self, last: bytes) -> None:
        """Once more, without having been spoken to."""
        self._last = last
        self._cue.set()

    def close(self) -> None:
        self._cue.set()
        self._over.set()
        self._thread.join()
        self._listener.close()


CONNACK = mqtt5.ConnAckPacket().write()
SUBACK = mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]).write()


@contextlib.contextmanager
def session(port: int, **changes: object) -> Iterator[tuple[Session, list[str]]]:
    states: list[str] = []
    terms: dict[str, Any] = {
        "receive_maximum": 1000,
        "keep_alive_s": 10,
        "session_expiry_s": 60,
        "max_packet_bytes": LIMIT,
        "clock": SystemClock(),
        "on_state": states.append,
    }
    made = Session("127.0.0.1", port, "secret-client", ["a/#"], **(terms | changes))
    try:
        yield made, states
    finally:
        made.close()


def test_connack_refusal_is_named_without_credentials() -> None:
    server = Scripted(mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.NOT_AUTHORIZED).write())
    with session(server.port, username="someone", password=b"hunter2") as (made, _):
        with pytest.raises(Unreachable) as caught:
            made.connect()
        assert str(caught.value) == f"mqtt broker at 127.0.0.1:{server.port} refuses the connection: not_authorized"
        assert b"hunter2" in server.heard[0]
    server.close()


@pytest.mark.parametrize(
    ("suback", "word"),
    [
        (mqtt5.SubAckReasonCode.NOT_AUTHORIZED, "not_authorized"),
        (mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE, "granted_qos_at_most_once"),
        (mqtt5.SubAckReasonCode.GRANTED_QOS_EXACTLY_ONCE, "granted_qos_exactly_once"),
    ],
)
def test_anything_but_qos_1_is_not_a_subscription(suback: mqtt5.SubAckReasonCode, word: str) -> None:
    server = Scripted(CONNACK, mqtt5.SubAckPacket(1, [suback]).write())
    with session(server.port) as (made, _), pytest.raises(Unreachable, match=f"subscription with QoS 1: {word}$"):
        made.connect()
    server.close()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n" * 20, "the broker does not speak MQTT 5"),
        (b"\x20\x02\x00\x01", "the broker does not speak MQTT 5"),  # CONNACK of a broker that knows MQTT 3.1.1 only
        (SUBACK, "the broker sent a packet that was not agreed"),
        (mqtt5.ConnAckPacket(session_expiry_interval=0).write(), "keeps no session"),
    ],
)
def test_an_odd_answer_to_connect_is_a_clear_error(answer: bytes, text: str) -> None:
    server = Scripted(answer)
    with session(server.port) as (made, _), pytest.raises(Unreachable, match=text):
        made.connect()
    server.close()


@pytest.mark.parametrize(("granted_s", "said"), [(30, 1), (60, 0), (90, 0), (None, 0)])
def test_a_session_that_the_broker_keeps_for_less_than_was_asked_is_told_once(granted_s: int | None, said: int) -> None:
    connack = mqtt5.ConnAckPacket(session_expiry_interval=granted_s).write()
    before, after = Scripted(connack, SUBACK), Scripted(connack, SUBACK)
    with session(before.port) as (made, states):
        made.connect()
        made._terms = dataclasses.replace(made._terms, port=after.port)  # as if it had come back
        before.close()
        while made.generation < 2:
            made.receive(0.1)
        told = [state for state in states if state.startswith(CURTAILED)]
        assert len(told) == said
        assert all("30 s, not 60 s" in state and "lost" in state for state in told)
    after.close()


def test_messages_that_overtake_the_suback_are_delivered() -> None:
    server = Scripted(CONNACK + publish(1), publish(2) + SUBACK)
    with session(server.port) as (made, _):
        made.connect()
        deliveries = [made.receive(5.0), made.receive(5.0)]
        assert [d.tokens for d in deliveries if d] == [[1], [2]]
    server.close()


REFUSED = mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode.NOT_AUTHORIZED]).write()


@pytest.mark.parametrize(
    ("suback", "said"),
    [
        (SUBACK, ["connected"]),
        (REFUSED, ["connected", "lost: the broker refuses the subscription with QoS 1: not_authorized"]),
    ],
)
def test_a_suback_that_waits_for_acknowledgements_holds_nobody_up(suback: bytes, said: list[str]) -> None:
    server = Scripted(CONNACK, publish(1), suback)
    with session(server.port) as (made, states):
        made.connect()
        delivery = made.receive(5.0)
        assert delivery is not None
        made.acknowledge(delivery.generation, delivery.tokens)
        server.say(publish(2))
        while (delivery := made.receive(0.1)) is None and len(states) == 1:
            pass
        assert states[:2] == said
        assert (delivery is not None) == (suback == SUBACK)
    server.close()


@pytest.mark.parametrize(
    ("sent", "state"),
    [
        (b"\xff" * 6, "lost: the broker does not speak MQTT 5: a packet length of more than four bytes"),
        (
            mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER).write(),
            "lost: the broker disconnects: session_taken_over",
        ),
        (CONNACK, "lost: the broker sent a packet that was not agreed"),
        (
            mqtt5.PublishPacket("a/b", b"", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1).write(),
            "lost: the broker sent a packet that was not agreed",
        ),
    ],
)
def test_a_broker_that_misbehaves_is_left_and_the_reason_said(sent: bytes, state: str) -> None:
    server = Scripted(CONNACK, SUBACK)
    with session(server.port, clock=FixedClock(0, 1)) as (made, states):  # it stands still: no attempt to reconnect
        made.connect()
        server.say(publish(0) + sent)
        while len(states) < 2:
            made.receive(0.1)
        assert states == ["connected", state]
    server.close()


def test_a_disconnect_right_behind_the_suback_is_heard() -> None:
    server = Scripted(CONNACK, SUBACK + mqtt5.DisconnectPacket().write())
    with session(server.port, clock=FixedClock(0, 1)) as (made, states):
        made.connect()
        made.receive(0.0)
        assert states == ["connected", "lost: the broker disconnects: normal_disconnection"]
    server.close()


def test_ping_is_sent_when_due_and_silence_after_it_ends_the_connection() -> None:
    server = Scripted(CONNACK, SUBACK, mqtt5.PingRespPacket().write(), b"")
    clock = FixedClock(0, 1)
    with session(server.port, clock=clock) as (made, states):
        made.connect()
        made.keep_alive()
        clock.advance(5_000_000_000)
        made.keep_alive()  # due: half of 10 s passed
        server.await_heard(3)
        assert made.receive(0.1) is None  # the answer is there and is no delivery
        clock.advance(5_000_000_000)
        made.keep_alive()  # due again, and never answered
        clock.advance(9_000_000_000)
        made.receive(0.0)
        assert states == ["connected"]
        clock.advance(1_000_000_000)
        made.receive(0.0)
        assert states == ["connected", "lost: the broker is silent"]
    server.close()
    assert [heard[:2] for heard in server.heard[2:]] == [mqtt5.PingReqPacket().write()] * 2


def test_an_answer_that_waited_for_a_reader_held_back_is_no_silence() -> None:
    server = Scripted(CONNACK, SUBACK, publish(1) + mqtt5.PingRespPacket().write())
    clock = FixedClock(0, 1)
    with session(server.port, clock=clock) as (made, states):
        made.connect()
        clock.advance(5_000_000_000)
        made.keep_alive()
        server.await_heard(3)
        clock.advance(100_000_000_000)  # nobody reads meanwhile
        delivery = made.receive(5.0)
        assert delivery is not None
        assert delivery.tokens == [1]
        assert states == ["connected"]
    server.close()


def test_terms_that_mqtt_cannot_express_are_refused_together() -> None:
    with pytest.raises(ConfigurationFault, match="receive_maximum is not from 1 to 65535; keep_alive_s is not from 1"):
        Session(
            "127.0.0.1",
            1,
            "c",
            ["a"],
            receive_maximum=0,
            keep_alive_s=0,
            session_expiry_s=1,
            max_packet_bytes=1,
            clock=SystemClock(),
            on_state=print,
        )
