"""A witness in the line between broker and gateway: which messages the gateway was given, and which it acknowledged.

"Acknowledged means durable" is judged by what is seen here. Whatever the gateway has acknowledged must be stored, or
kept as a dead letter; what the broker forgot when it was killed was never acknowledged here, and is the broker's.

    with Tap(stream, upstream=broker.port, host="10.77.1.1") as tap:
        run(tap.url)
    tap.acknowledged[number]
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from array import array
from collections.abc import Callable
from types import TracebackType
from typing import Self

import mqtt5

from tests.faults.stream import Stream

_READ = 256 * 1024


class Tap:
    """A TCP port in front of a broker's. `given` and `acknowledged` have a byte a message of the stream: 0 or 1.

    `acknowledged_s`: when it was, last, in seconds since the start. `under_way` is of the newest connection, another
    object for each: messages given and not acknowledged, by packet id.
    """

    def __init__(self, stream: Stream, *, upstream: int, host: str = "127.0.0.1") -> None:
        self.given = bytearray(stream.count)
        self.acknowledged = bytearray(stream.count)
        self.acknowledged_s = array("f", bytes(4 * stream.count))
        self.started = time.monotonic()
        self.subscribed = threading.Event()  # the gateway has been, once
        self.again = 0  # deliveries of what had been given before
        self.under_way: dict[int, int | None] = {}
        self._stream = stream
        self._upstream = upstream
        self._listener = socket.create_server((host, 0))
        self.url = f"mqtt://{host}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                try:
                    far = socket.create_connection(("127.0.0.1", self._upstream), timeout=10)
                except OSError:  # the broker is down
                    near.close()
                    continue
                far.settimeout(None)
                _Connection(self, near, far).start()

    def give(self, packet: mqtt5.PublishPacket) -> int | None:
        """A message on its way to the gateway; its number."""
        number = self._stream.number(packet.topic, bytes(packet.payload))
        if number is not None:
            self.again += self.given[number]
            self.given[number] = 1
        return number


class _Connection:
    """One connection of the gateway: two threads that pass on what they have looked at."""

    def __init__(self, tap: Tap, near: socket.socket, far: socket.socket) -> None:
        self._tap, self._near, self._far = tap, near, far
        self._numbers: dict[int, int | None] = {}  # by packet id
        tap.under_way = self._numbers

    def start(self) -> None:
        for source, sink, look in (
            (self._far, self._near, self._from_broker),
            (self._near, self._far, self._from_gateway),
        ):
            threading.Thread(target=self._pump, args=(source, sink, look), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, look: Callable[[mqtt5.Packet], None]) -> None:
        rest = b""
        try:
            while chunk := source.recv(_READ):
                rest = _packets(rest + chunk, look)
                sink.sendall(chunk)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _from_broker(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PublishPacket) and packet.packet_id:
            self._numbers[packet.packet_id] = self._tap.give(packet)
        elif isinstance(packet, mqtt5.SubAckPacket):
            self._tap.subscribed.set()

    def _from_gateway(self, packet: mqtt5.Packet) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            number = self._numbers.pop(packet.packet_id, None)
            if number is not None:
                self._tap.acknowledged[number] = 1
                self._tap.acknowledged_s[number] = time.monotonic() - self._tap.started


def _packets(data: bytes, look: Callable[[mqtt5.Packet], None]) -> bytes:
    """Look at every whole packet of `data`; what is left."""
    view, offset = memoryview(data), 0
    while offset < len(view):
        try:
            packet, size = mqtt5.read(view[offset:])
        except IndexError:
            break
        look(packet)
        offset += size
    return bytes(view[offset:])
