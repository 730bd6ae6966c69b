"""A batch as the gateway sees it, without servers and key store: for the micro benchmarks and the profile.

The shipped policy, `messages.DEVICES` devices with random keys of their own, arrivals as the MQTT codec decodes them.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import mqtt5

from benchmarks import messages, wire
from gateway.keys.handle import Common, Device, Span, SubjectKey
from gateway.model.ids import Incarnation, KeyId, epoch_of, new_id, parse_controller, parse_device
from gateway.policy.load import load_policy
from gateway.policy.rules import Policy

POINTS = 5000
MAX_PAYLOAD_BYTES = 262_144
_FOREVER = 2**63 - 1


class Batch:
    """`count` messages and what is needed to process them.

    stream    the PUBLISH packets as bytes          arrivals  the same, decoded
    devices   the device of each arrival            now       wall time in ns
    """

    def __init__(self, count: int = POINTS) -> None:
        """Keys are drawn anew each time."""
        self.policy: Policy = load_policy(Path(__file__).parent.parent / "config" / "policy.toml")
        self.now = time.time_ns()
        sent = messages.messages(count, last_ms=self.now // 1_000_000)
        packets = [wire.publish(topic, payload, i + 1) for i, (topic, payload) in enumerate(sent)]
        self.stream = b"".join(packets)
        self.arrivals = [_decoded(packet) for packet in packets]
        known = {messages.topic(i): self._device(i) for i in range(messages.DEVICES)}
        self.devices = [known[arrival.topic] for arrival in self.arrivals]

    def _device(self, number: int) -> Device:
        keys = tuple(self.new_key(kept.name) for kept in self.policy.classes_of_readings)
        permitted = self.policy.mask(self.policy.by_name)
        span = Span(starts=0, ends=_FOREVER, keys=keys, area="SE3", permitted=permitted)
        return Device(parse_device(f"device-{number:04}"), [span], Common())

    def new_key(self, key_class: str) -> SubjectKey:
        """A key of a customer of its own."""
        return SubjectKey(
            secrets.token_bytes(32),
            controller=parse_controller(messages.CONTROLLER),
            incarnation=Incarnation(new_id()),
            key_class=key_class,
            version=1,
            base=epoch_of(self.now) - 1,
            key_id=KeyId(new_id()),
        )


def _decoded(packet: bytes) -> mqtt5.PublishPacket:
    decoded, _ = mqtt5.read(memoryview(packet))
    assert isinstance(decoded, mqtt5.PublishPacket)
    return decoded
