"""MQTT 5 on a blocking socket, as fast as Python goes: for the publisher and the idle subscriber.

No reconnect, no keep-alive pings (an hour is announced): a rig's client lives shorter than that.
"""

from __future__ import annotations

import socket

import mqtt5

KEEP_ALIVE_SECONDS = 3600
RECEIVE_MAXIMUM = 65535
READ_BYTES = 256 * 1024
PUBACKS = [b""] + [b"\x40\x02" + i.to_bytes(2, "big") for i in range(1, 65536)]
"""PUBACK with reason 0 (success, left out), by packet id. Source: MQTT 5, 3.4."""


class Refused(RuntimeError):
    """The broker said no."""


def connect(port: int, client_id: str) -> tuple[socket.socket, int]:
    """(socket, the broker's Receive Maximum) of a fresh session on loopback. Raises OSError or Refused."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    packet = mqtt5.ConnectPacket(
        client_id, clean_start=True, keep_alive=KEEP_ALIVE_SECONDS, receive_max=RECEIVE_MAXIMUM
    )
    sock.sendall(packet.write())
    answer = _answer(sock)
    if not isinstance(answer, mqtt5.ConnAckPacket) or answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
        message = f"CONNECT was answered with {answer}"
        raise Refused(message)
    return sock, answer.receive_max


def subscribe(sock: socket.socket, topic_filter: str) -> None:
    """QoS 1; returns when granted. Raises Refused."""
    wanted = mqtt5.TopicFilter(topic_filter, max_qos=mqtt5.QoS.AT_LEAST_ONCE)
    sock.sendall(mqtt5.SubscribePacket(1, [wanted]).write())
    answer = _answer(sock)
    granted = [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE]
    if not isinstance(answer, mqtt5.SubAckPacket) or answer.reason_codes != granted:
        message = f"SUBSCRIBE was answered with {answer}"
        raise Refused(message)


def publish(topic: str, payload: bytes, packet_id: int) -> bytes:
    """A PUBLISH of QoS 1, encoded."""
    return mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=packet_id).write()


def _answer(sock: socket.socket) -> mqtt5.Packet:
    data = b""
    while True:
        chunk = sock.recv(4096)
        if not chunk:
            message = "the broker closed the connection"
            raise Refused(message)
        data += chunk
        try:
            packet, _ = mqtt5.read(memoryview(data))
        except IndexError:  # incomplete
            continue
        return packet
