"""The messages every pipeline of a run gets: the same bytes, from one seed.

Flat JSON as contract.md's `Messages` has it, four quantities, one controller, `DEVICES` devices that take turns, one
reading a second and device, event times in the recent past: no two messages name the same point.

    >>> topic, payload = next(messages(1, last_ms=1_760_000_000_000))
    >>> topic
    'glomska/bench/device-0000/readings'
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

CONTROLLER = "bench"
DEVICES = 1000
FILTER = "glomska/+/+/readings"
SEED = 20_260_301


def topic(device: int) -> str:
    """Topic of device number 0 to DEVICES - 1."""
    return f"glomska/{CONTROLLER}/device-{device:04}/readings"


def payload(time_ms: int, chance: random.Random) -> bytes:
    """One message of about 110 bytes, as json.dumps writes it; `time_ms` is UTC ms since 1970."""
    temperature, humidity = round(chance.uniform(17, 24), 2), round(chance.uniform(25, 60), 1)
    power, energy = chance.randrange(200, 9000), round(chance.uniform(10_000, 90_000), 3)
    return (
        f'{{"time": {time_ms}, "rev": 0, "temperature": {temperature}, "humidity": {humidity}, "power": {power}, '
        f'"energy": {energy}}}'
    ).encode()


def messages(count: int, *, last_ms: int, devices: int = DEVICES, stride: int = 1) -> Iterator[tuple[str, bytes]]:
    """`count` of (topic, payload); the latest event time is `last_ms`, UTC ms since 1970. See `publisher --stride`."""
    chance = random.Random(SEED)
    first_ms = last_ms - (count - 1) // devices * 1000
    for i in range(count):
        yield topic(i % devices * stride), payload(first_ms + i // devices * 1000, chance)


def write_enrolment(path: Path, valid_from: str, devices: int = DEVICES) -> None:
    """CSV for `glomska enrol`: each device a customer of its own. `valid_from` is RFC 3339."""
    rows = (f"{CONTROLLER},customer-{i:04},device-{i:04},11120,{valid_from}\n" for i in range(devices))
    path.write_text("controller,customer,device,postal_code,valid_from\n" + "".join(rows))
