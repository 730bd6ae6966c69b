"""Numbered messages: what number n says, of which device and time, can be computed again from n alone, and n from its
time, which is no other message's: so a point tells which it is, though its device has another name.

Devices take turns, one reading a second each; times end in the recent past. One in `BAD` messages must be refused, each
time for another reason. Run as a program it publishes them as a fleet would, over sessions that survive whatever
happens, and prints how many the broker has acknowledged.

    python -m tests.faults.stream --url mqtt://127.0.0.1:1883 --count 10000 --start-ms 1760000000000 --rate 2000
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from firmware_sim.connection import Broker
from firmware_sim.fleet import Kind, Message
from firmware_sim.publish import publish

CONTROLLER = "heat-co"
DEVICES = 200
DEVICES_PER_CUSTOMER = 10
_APART_MS = 1000 // DEVICES
BAD = 101  # no divisor of DEVICES, so that each device's turn comes
REASONS = ("malformed", "unknown_quantity", "range", "non_finite")
PATIENCE_S = 3_600.0  # the fleet outlives every fault
_TIME = re.compile(rb'"time": (\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Messages 0 to `count` - 1; the first of each device is of `start_ms`, UTC ms since 1970."""

    count: int
    start_ms: int

    def topic(self, number: int) -> str:
        """Where it is published."""
        return f"glomska/{CONTROLLER}/sparrow-{number % DEVICES:03}/readings"

    def time_ms(self, number: int) -> int:
        """Its event time."""
        return self.start_ms + number // DEVICES * 1000 + number % DEVICES * _APART_MS

    def at(self, time_ms: int) -> int | None:
        """Which message is of this time; None when none of this stream is."""
        row, rest = divmod(time_ms - self.start_ms, 1000)
        number = row * DEVICES + rest // _APART_MS
        return number if 0 <= number < self.count and self.time_ms(number) == time_ms else None

    def reason(self, number: int) -> str | None:
        """Why it must be refused, if it must."""
        return REASONS[number // BAD % len(REASONS)] if number % BAD == BAD - 1 else None

    def values(self, number: int) -> tuple[float, float, int, float]:
        """Temperature, humidity, power, energy."""
        return 5 + number % 2999 / 100, 20 + number % 601 / 10, number % 9973, number // DEVICES / 1000

    def message(self, number: int) -> Message:
        """As it goes over the wire."""
        time, reason = self.time_ms(number), self.reason(number)
        temperature, humidity, power, energy = self.values(number)
        rest = {
            None: f'"temperature": {temperature:.2f}, "humidity": {humidity:.1f}, "power": {power}, '
            f'"energy": {energy:.3f}',
            "malformed": '"temperature": ',
            "unknown_quantity": '"colour": 7',
            "range": '"temperature": 999999',
            "non_finite": '"temperature": 1e999',
        }[reason]
        payload = f'{{"time": {time}, {rest}}}'.encode()
        kind = Kind.VALID if reason is None else Kind.MALFORMED
        return Message(topic=self.topic(number), payload=payload, time=time, kind=kind, reason=reason or "")

    def number(self, topic: str, payload: bytes) -> int | None:
        """Which message this is; None when it is not of this stream."""
        found = _TIME.search(payload)
        if found is None or not topic.startswith(f"glomska/{CONTROLLER}/sparrow-"):
            return None
        return self.at(int(found[1]))

    def valid(self) -> int:
        """How many must be stored."""
        return self.count - self.count // BAD

    def messages(self) -> Iterator[Message]:
        """All of them."""
        return map(self.message, range(self.count))


def customer(device: int) -> str:
    """Whose device this is."""
    return f"finch-{device // DEVICES_PER_CUSTOMER:02}"


def enrolment() -> str:
    """The enrolment file of all devices."""
    rows = [f"{CONTROLLER},{customer(d)},sparrow-{d:03},11122,2000-01-01" for d in range(DEVICES)]
    return "\n".join(["controller,customer,device,postal_code,valid_from", *rows, ""])


def main() -> None:
    """Publish; the tally on stdout."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.stream")
    options.add_argument("--url", required=True)
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--start-ms", type=int, required=True)
    options.add_argument("--rate", type=float, default=0.0)
    given = options.parse_args()
    stream = Stream(count=given.count, start_ms=given.start_ms)
    tally = publish(
        stream.messages(),
        Broker.at(given.url),
        client_id="faulty-fleet",
        connections=4,
        rate=given.rate,
        patience=PATIENCE_S,
    )
    print(json.dumps({"deliveries": tally.deliveries, "unacknowledged": tally.unacknowledged}))


if __name__ == "__main__":
    main()
