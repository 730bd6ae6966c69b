"""Bytes to packets, without I/O: the broker's stream in, a chunk of packets out, wherever the network cut it.

The caller writes received bytes into `room()` and calls `decode(n)`. Three rules:

- A PUBLISH longer than `max_packet_bytes` is never buffered: its packet id is read and its bytes are dropped as they
  come, so memory does not depend on what a device sends. (A Maximum Packet Size in CONNECT would make the broker drop
  such a message silently, and nobody could count it.)
- A PUBLISH that has an intact frame and that the codec refuses is set aside in the same way. Ending the connection, as
  MQTT 5 suggests, would make the broker send it again for ever: one message could stop the line.
- Everything else that is wrong raises Malformed: the stream is of no use from there on.

    >>> reader = Reader(max_packet_bytes=1024)
    >>> reader.room()[:2] = bytes.fromhex("d000")
    >>> reader.decode(2).control
    [PingRespPacket()]
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import mqtt5

READ_BYTES = 512 * 1024
_PUBLISH_HEAD_BYTES = 5 + 2 + 65_535 + 2  # fixed header, topic length, topic, packet id: the most that must be at hand
_PUBLISH = 0x30
_TYPE = 0xF0
_DUP = 0x08
_QOS_2 = 0x04  # set for QoS 2 and for the forbidden QoS 3
_QOS_1 = 0x02
_PLAIN = _PUBLISH | _QOS_1  # neither delivered before nor retained: nearly all there is
_PUBACK = b"\x40\x02\x00\x00"  # type 4, two bytes to come, the packet id; no reason code means success


class Malformed(ValueError):
    """The stream is not MQTT 5, or not what was agreed with the broker."""


@dataclass(slots=True)
class Chunk:
    """What one read held.

    `packet_ids[i]` belongs to `arrivals[i]` and is 0 for QoS 0; `oversized` and `malformed` hold the packet ids (0 for
    QoS 0) of messages that were dropped, `dropped` each of these ids behind the number of arrivals before it; `control`
    holds all other packets.
    """

    arrivals: list[mqtt5.PublishPacket] = field(default_factory=list)
    packet_ids: list[int] = field(default_factory=list)
    oversized: list[int] = field(default_factory=list)
    malformed: list[int] = field(default_factory=list)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    control: list[mqtt5.Packet] = field(default_factory=list)
    redelivered: int = 0

    @property
    def has_messages(self) -> bool:
        """Whether there is anything to settle."""
        return bool(self.arrivals or self.dropped)

    @property
    def tokens(self) -> list[int]:
        """Packet ids of everything, in the order in which it came and must be acknowledged (MQTT 5, 4.6)."""
        tokens = list(self.packet_ids)
        for position, packet_id in reversed(self.dropped):
            tokens.insert(position, packet_id)
        return tokens


class Reader:
    """The receiving half of one connection's stream. Start a new one for every connection."""

    def __init__(self, max_packet_bytes: int) -> None:
        self._max = max_packet_bytes
        self._buffer = bytearray(READ_BYTES + max(max_packet_bytes, _PUBLISH_HEAD_BYTES))
        self._view = memoryview(self._buffer)
        self._kept = 0  # bytes at the front of the buffer: the beginning of a packet
        self._to_drop = 0  # bytes still to come of a message that is being dropped
        self._dropping = (0, False)  # its packet id, and whether it was too long

    def room(self) -> memoryview:
        """Where the next bytes go: READ_BYTES of the buffer, which is used again and again."""
        return self._view[self._kept : self._kept + READ_BYTES]

    def decode(self, size: int) -> Chunk:
        """Take the first `size` bytes of `room()`. Raises Malformed."""
        chunk = Chunk()
        offset, end = 0, self._kept + size
        while True:
            offset = self._drop(offset, end, chunk)
            offset = self._packets(offset, end, chunk)
            if not self._set_aside(offset, end):
                break
        self._kept = end - offset
        self._view[: self._kept] = self._view[offset:end]
        return chunk

    def _packets(self, offset: int, end: int, chunk: Chunk) -> int:
        """Decode until `end`, or up to a packet that is incomplete, too long or refused; where it begins.

        The hot loop: 0.3 us a message, of which the codec takes 0.24. It copies payloads out of the buffer.
        """
        buffer, view, read, longest = self._buffer, self._view, mqtt5.read, self._max
        arrived, numbered = chunk.arrivals.append, chunk.packet_ids.append
        redelivered = 0
        while offset < end:
            try:
                packet, size = read(view[offset:end])
            except (IndexError, ValueError):
                break
            except BaseException as error:  # a panic of the codec (a topic that is no UTF-8) is not an Exception
                if type(error).__module__ != "pyo3_runtime":
                    raise
                break
            if size > longest:
                break
            head = buffer[offset]
            if head == _PLAIN:
                arrived(packet)  # type: ignore[arg-type]  # the head says what it is
                numbered(packet.packet_id)  # type: ignore[arg-type, union-attr]
            elif isinstance(packet, mqtt5.PublishPacket) and not head & _QOS_2:
                arrived(packet)
                numbered(packet.packet_id or 0)
                if head & _DUP:
                    redelivered += 1
            else:
                chunk.control.append(packet)
            offset += size
        chunk.redelivered += redelivered
        return offset

    def _set_aside(self, offset: int, end: int) -> bool:
        """Begin to drop the message at `offset`, unless all is well and more bytes are needed. Raises Malformed."""
        size = _packet_size(self._view[offset : min(end, offset + 5)])
        if size is None or (offset + size > end and size <= self._max):
            return False
        packet_id = _packet_id(self._view[offset:end], size)
        if packet_id is None:
            return False
        self._to_drop = size
        self._dropping = packet_id, size > self._max
        return True

    def _drop(self, offset: int, end: int, chunk: Chunk) -> int:
        """Skip what has come of the message being dropped; report it once its last byte has come."""
        if not self._to_drop:
            return offset
        dropped = min(self._to_drop, end - offset)
        self._to_drop -= dropped
        if not self._to_drop:
            packet_id, oversized = self._dropping
            (chunk.oversized if oversized else chunk.malformed).append(packet_id)
            chunk.dropped.append((len(chunk.arrivals), packet_id))
        return offset + dropped


def pubacks(packet_ids: Sequence[int]) -> bytes:
    """PUBACK, reason success, for each packet id in order; 0 (QoS 0) has none. Source: MQTT 5, 3.4."""
    ids = array("H", filter(None, packet_ids))
    if sys.byteorder == "little":
        ids.byteswap()
    packets, octets = bytearray(_PUBACK * len(ids)), ids.tobytes()
    packets[2::4], packets[3::4] = octets[::2], octets[1::2]
    return bytes(packets)


def _packet_size(view: memoryview) -> int | None:
    """Bytes of the packet that begins here, fixed header included; None when more are needed. Source: MQTT 5, 1.5.5."""
    size = 0
    for i, byte in enumerate(view[1:5]):
        size |= (byte & 0x7F) << 7 * i
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return i + 2 + size
    if len(view) == 5:  # noqa: PLR2004 - type and four bytes of length
        raise Malformed("a packet length of more than four bytes")
    return None


def _packet_id(view: memoryview, size: int) -> int | None:
    """Packet id (0 for QoS 0) of the PUBLISH of `size` bytes at the front; None when more bytes are needed.

    Raises Malformed for any other packet and for a PUBLISH without room for its id. Source: MQTT 5, 3.3.
    """
    if view[0] & (_TYPE | _QOS_2) != _PUBLISH:
        raise Malformed("a packet that cannot be read")
    if not view[0] & _QOS_1:
        return 0
    topic = 1 + next(i for i in range(1, 5) if view[i] < 0x80)  # noqa: PLR2004 - the continuation bit
    id_end = topic + 2 + int.from_bytes(view[topic : topic + 2]) + 2 if len(view) >= topic + 2 else topic + 4
    if id_end > size:
        raise Malformed("a message that is shorter than its topic")
    return int.from_bytes(view[id_end - 2 : id_end]) if id_end <= len(view) else None
