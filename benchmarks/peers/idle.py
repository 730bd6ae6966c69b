"""The idle subscriber: receives, acknowledges, does nothing else. What it gets is what the broker can deliver.

It reads up to 256 kB at a time, 10 ms after the last read so that chunks fill, and sends the PUBACKs of a chunk in one
write: of 5, 10 and 20 ms the pause at which a broker on the same two cores delivers most, since it spends little on
acknowledgements. `{"event": "received", "last_ns"}` follows the last message.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time

import mqtt5

from benchmarks import messages, wire

PAUSE_SECONDS = 0.01


def receive(port: int, count: int) -> None:
    """Subscribe, say ready, take `count` messages, say received, and stay until the connection ends."""
    sock, _ = wire.connect(port, "bench-idle")
    wire.subscribe(sock, messages.FILTER)
    _say("ready")
    buffer = memoryview(bytearray(2 * wire.READ_BYTES))
    filled = received = 0
    while read := sock.recv_into(buffer[filled : filled + wire.READ_BYTES]):
        filled += read
        acknowledgements, used = _take(buffer[:filled])
        sock.sendall(b"".join(acknowledgements))
        received += len(acknowledgements)
        buffer[: filled - used] = bytes(buffer[used:filled])
        filled -= used
        if received == count:
            _say("received", last_ns=time.time_ns())
        time.sleep(PAUSE_SECONDS)


def _take(data: memoryview) -> tuple[list[bytes], int]:
    """(PUBACKs, bytes used) of the whole packets in `data`."""
    acknowledgements, at, read, pubacks = [], 0, mqtt5.read, wire.PUBACKS
    try:
        while True:
            packet, size = read(data[at:])
            at += size
            if isinstance(packet, mqtt5.PublishPacket) and packet.packet_id is not None:
                acknowledgements.append(pubacks[packet.packet_id])
    except IndexError:  # the rest is incomplete
        return acknowledgements, at


def _say(event: str, **more: int) -> None:
    print(json.dumps({"event": event, **more}), file=sys.stderr, flush=True)


def main() -> None:
    """Run until SIGTERM."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.peers.idle")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--messages", type=int, required=True)
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    receive(given.port, given.messages)


if __name__ == "__main__":
    main()
