"""A publisher that costs as little as possible, so that the rig measures the others: `python -m benchmarks.publisher`.

It prints `{"event": "ready"}` when connected and encoded, waits for a line on stdin, publishes with QoS 1, and prints
`{"event": "published", "first_ns", "last_ns"}`: wall times of the first byte sent and of the last PUBACK.

Without `--rate`, all packets are encoded beforehand and sent as fast as PUBACKs open the window. With it, each message
leaves at a whole millisecond that is also its event time.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import time
from collections.abc import Iterator

from benchmarks import messages, wire

CHUNK = 500
WINDOW = 10_000
IDS = 60_000  # packet ids 1 to IDS in turn: more than any window, so none is in use twice


class Acknowledgements:
    """Counts PUBACKs on a socket."""

    def __init__(self, sock: socket.socket) -> None:
        """Nothing is read yet."""
        self.count = 0
        self._sock = sock
        self._rest = b""

    def wait(self, count: int) -> None:
        """Read until `count` in all have come. Raises ConnectionError."""
        while self.count < count:
            data = self._sock.recv(wire.READ_BYTES)
            if not data:
                message = "the broker closed the publisher's connection"
                raise ConnectionError(message)
            self._take(self._rest + data)

    def _take(self, data: bytes) -> None:
        """Count whole packets, by their length byte: a PUBACK is 2 to 6 bytes behind two of header."""
        at, end = 0, len(data)
        if data[0:-3:4].count(0x40) == data[1:-2:4].count(2) == end // 4:  # the usual form, 4 bytes each
            self.count, self._rest = self.count + end // 4, data[end - end % 4 :]
            return
        while at + 2 <= end and at + 2 + data[at + 1] <= end:
            self.count += data[at] == 0x40
            at += 2 + data[at + 1]
        self._rest = data[at:]


def encoded(count: int, last_ms: int, devices: int, stride: int) -> list[bytes]:
    """The run's messages as chunks of `CHUNK` packets each."""
    packets = [
        wire.publish(topic, payload, i % IDS + 1)
        for i, (topic, payload) in enumerate(messages.messages(count, last_ms=last_ms, devices=devices, stride=stride))
    ]
    return [b"".join(packets[i : i + CHUNK]) for i in range(0, count, CHUNK)]


def flood(sock: socket.socket, chunks: list[bytes], count: int, window: int) -> tuple[int, int]:
    """(first, last) in wall ns: as fast as a window of `window` messages allows."""
    acknowledged = Acknowledgements(sock)
    first = time.time_ns()
    for i, chunk in enumerate(chunks):
        acknowledged.wait((i + 1) * CHUNK - window)
        sock.sendall(chunk)
    acknowledged.wait(count)
    return first, time.time_ns()


def pace(sock: socket.socket, count: int, rate: int) -> tuple[int, int]:
    """(first, last) in wall ns: `rate` (at most 1,000) messages a second, each at its event time."""
    chance = random.Random(messages.SEED)
    acknowledged = Acknowledgements(sock)
    first = time.time_ns()
    for i, due in enumerate(_milliseconds(first // 1_000_000 + 1, count, rate)):
        time.sleep(max(0, due / 1000 - time.time()))
        sock.sendall(wire.publish(messages.topic(i % messages.DEVICES), messages.payload(due, chance), i % IDS + 1))
        acknowledged.wait(i + 1 - WINDOW)
    acknowledged.wait(count)
    return first, time.time_ns()


def _milliseconds(start: int, count: int, rate: int) -> Iterator[int]:
    return (start + i * 1000 // rate for i in range(count))


def main() -> None:
    """Read the options, say ready, wait for the word, publish."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.publisher")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--messages", type=int, required=True)
    options.add_argument("--last-ms", type=int, default=time.time_ns() // 1_000_000)
    options.add_argument("--devices", type=int, default=messages.DEVICES)
    options.add_argument("--stride", type=int, default=1, help="only every so manieth device")
    options.add_argument("--rate", type=int)
    given = options.parse_args()
    sock, broker_window = wire.connect(given.port, "bench-publisher")
    chunks = [] if given.rate else encoded(given.messages, given.last_ms, given.devices, given.stride)
    print(json.dumps({"event": "ready"}), file=sys.stderr, flush=True)
    sys.stdin.readline()
    if given.rate:
        first, last = pace(sock, given.messages, given.rate)
    else:
        first, last = flood(sock, chunks, given.messages, min(WINDOW, broker_window))
    event = {"event": "published", "first_ns": first, "last_ns": last}
    print(json.dumps(event), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
