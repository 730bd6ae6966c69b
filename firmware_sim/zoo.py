"""Messages that no gateway may store, each as some device in the field has sent it, with the reason to refuse it.

Every one has exactly one thing wrong, so that there is exactly one right reason. Wrong topics still match a
subscription to `glomska/+/+/readings`: what does not match never reaches a gateway and would be missing in its books.
None of `ZOO` is larger than 12 kB, so that a broker with a small limit passes it on; OVERSIZED is what it says.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import msgspec

from firmware_sim.fleet import Kind, Message

NESTING = 5000
CLOCK_RESET = 946_684_800_000  # 2000-01-01, Unix ms: where a clock without a battery starts again
CLOCK_AHEAD = 4_070_908_800_000  # 2099-01-01, Unix ms
OVERSIZE = 300_000  # bytes: more than the 262,144 that a gateway takes unless it is told otherwise
OVERLONG = 200  # bytes; an identifier has at most 128

Body = Callable[[Message, random.Random], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of broken message: its name, the reason to refuse it, and how a valid message becomes one."""

    name: str
    reason: str
    payload: Body
    content_type: str | None = None
    topic: Callable[[Message, random.Random], str] | None = None

    def spoil(self, message: Message, rng: random.Random) -> Message:
        """What the device sends instead, or beside."""
        return msgspec.structs.replace(
            message,
            topic=message.topic if self.topic is None else self.topic(message, rng),
            payload=self.payload(message, rng),
            content_type=self.content_type,
            kind=Kind.MALFORMED,
            fault=self.name,
            reason=self.reason,
        )


def _flat(body: str) -> Body:
    """Flat JSON at the valid message's time."""
    return lambda message, _: b'{"time":%d,%s}' % (message.time, body.encode())


def _at(time: int) -> Body:
    """A good reading within the hour after another time, Unix ms."""
    return lambda _, rng: b'{"time":%d,"temperature":21.50}' % (time + rng.randrange(3_600_000))


def _senml(quantity: str, unit: str) -> Body:
    """One SenML record."""
    record = '[{"bn":"urn:dev:ser:","bt":%d,"n":"%s","u":"%s","v":21.50}]'
    return lambda message, _: (record % (message.time // 1000, quantity, unit)).encode()


def _cut(message: Message, rng: random.Random) -> bytes:
    """A full buffer: the end of the payload is missing."""
    return message.payload[: rng.randrange(1, len(message.payload))]


def _garbage(message: Message, rng: random.Random) -> bytes:
    """Erased flash read as text, with some bits of noise."""
    return b"\xff" * 16 + rng.randbytes(len(message.payload))


def _latin1(message: Message, _: random.Random) -> bytes:
    """A room's name typed into firmware that knows ISO 8859-1; JSON is UTF-8 throughout (RFC 8259, 8.1)."""
    return b'{"time":%d,"temperature":21.50,"room":"K\xf6k"}' % message.time


def _nested(message: Message, _: random.Random) -> bytes:
    """A serialiser caught in a cycle."""
    return b'{"time":%d,"temperature":%s%s}' % (message.time, b"[" * NESTING, b"]" * NESTING)


def _same(message: Message, _: random.Random) -> bytes:
    return b'{"time":%d,"temperature":21.50}' % message.time


@cache
def _dump() -> bytes:
    """A device that sends its whole log where a reading was asked for; one object for all, as it is large."""
    return b'{"time":0,"log":"' + b"boot ok; " * (OVERSIZE // 9) + b'"}'


def _levels(message: Message, device: str) -> str:
    site, controller, _, last = message.topic.split("/")
    return f"{site}/{controller}/{device}/{last}"


_JSON = "application/json"
_SENML = "application/senml+json"

OVERSIZED = Fault(name="oversized", reason="too_large", payload=lambda _, __: _dump())

ZOO = (
    Fault(name="truncated", reason="malformed", payload=_cut),
    Fault(name="not_a_number", reason="non_finite", payload=_flat('"temperature":NaN'), content_type=_JSON),
    Fault(name="overflow", reason="non_finite", payload=_flat('"power":1e999')),
    Fault(name="empty", reason="malformed", payload=lambda _, __: b""),
    Fault(name="garbage", reason="malformed", payload=_garbage),
    Fault(name="invalid_utf8", reason="malformed", payload=_latin1, content_type=_JSON),
    Fault(name="deep_nesting", reason="malformed", payload=_nested, content_type=_JSON),
    Fault(name="sensor_fault", reason="range", payload=_flat('"temperature":327.67')),  # 0x7fff hundredths
    Fault(name="sensor_missing", reason="range", payload=_flat('"humidity":655.3')),  # 0xffff hundredths
    Fault(name="unknown_quantity", reason="unknown_quantity", payload=_flat('"co2":612'), content_type=_JSON),
    Fault(name="fahrenheit", reason="unit", payload=_senml("temperature", "degF"), content_type=_SENML),
    Fault(name="swapped_unit", reason="unit", payload=_senml("humidity", "Cel"), content_type=_SENML),
    Fault(name="no_time", reason="no_time", payload=lambda _, __: b'{"temperature":21.50}', content_type=_JSON),
    Fault(name="clock_reset", reason="too_old", payload=_at(CLOCK_RESET)),
    Fault(name="clock_ahead", reason="future", payload=_at(CLOCK_AHEAD)),
    Fault(name="no_device", reason="topic", payload=_same, topic=lambda message, _: _levels(message, "")),
    Fault(
        name="overlong_device", reason="topic", payload=_same, topic=lambda message, _: _levels(message, "0" * OVERLONG)
    ),
    Fault(
        name="not_enrolled",
        reason="unknown_device",
        payload=_same,
        topic=lambda message, rng: _levels(message, f"TH9-2601-{rng.randrange(10_000_000):07}"),
    ),
)
