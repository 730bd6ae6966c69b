"""The books of a run: what the fleet published, what the gateway acknowledged, and what is there afterwards, message by
message and digit by digit, as `glomska read` shows it.

    published = stored + refused + lost by the broker + lost by the gateway       lost by the gateway = 0

Lost by the gateway is what it acknowledged and nobody can find; what it was never given, or never acknowledged before
the broker forgot it, is lost by the broker.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass

from tests.faults.site import Site
from tests.faults.stream import CONTROLLER, DEVICES, Stream, customer


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Messages, of which each valid one holds four readings and makes one point.

    published       by the fleet, and acknowledged by the broker to it
    valid           of these, that must be stored
    stored          valid ones that are read back, each with its four readings as published
    wrong           readings that are read back and are not what was published
    doubled         points beyond one a message
    refused         acknowledged by the gateway, of those that must be refused
    kept            dead letters
    lost            valid, acknowledged by the gateway, and not there
    lost_by_broker  valid, never acknowledged by the gateway, and not there
    again           deliveries of what had been delivered before
    lost_at         when what is lost was acknowledged, in seconds since the start, to look it up in the log
    """

    published: int
    valid: int
    stored: int
    wrong: int
    doubled: int
    refused: int
    kept: int
    lost: int
    lost_by_broker: int
    again: int
    lost_at: list[float]


def balance(site: Site) -> Books:
    """Read everything back. The gateway must have come to rest."""
    stream = site.stream
    whole, wrong = _read_back(site)
    valid = [number for number in range(stream.count) if stream.reason(number) is None]
    missing = [number for number in valid if number not in whole]
    lost = sum(site.tap.acknowledged[number] for number in missing)
    bad = stream.count - len(valid)
    bad_acknowledged = sum(
        site.tap.acknowledged[number] for number in range(stream.count) if stream.reason(number) is not None
    )
    assert bad_acknowledged <= bad
    return Books(
        published=stream.count,
        valid=len(valid),
        stored=len(whole),
        wrong=wrong,
        doubled=site.points() - len(whole),
        refused=bad_acknowledged,
        kept=site.letters(),
        lost=lost,
        lost_by_broker=len(missing) - lost,
        again=site.tap.again,
        lost_at=sorted({round(site.tap.acknowledged_s[n], 1) for n in missing if site.tap.acknowledged[n]}),
    )


def _read_back(site: Site) -> tuple[set[int], int]:
    """Numbers of the messages that are there, and how many of their readings are not as published."""
    stored: set[int] = set()
    wrong = 0
    for name in sorted({customer(device) for device in range(DEVICES)}):
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for row in site.gateway.read(f"{CONTROLLER}/{name}"):
            time = int(dt.datetime.fromisoformat(row["time"]).timestamp() * 1000)
            second = (time - site.stream.start_ms) // 1000
            found[second * DEVICES + int(row["device"].rpartition("-")[2])][row["quantity"]] = row["value"]
        wrong += sum(_differ(site.stream, number, readings) for number, readings in found.items())
        stored |= found.keys()
    return stored, wrong


def _differ(stream: Stream, number: int, readings: dict[str, str]) -> int:
    """How many readings of a message are not what it said."""
    temperature, humidity, power, energy = stream.values(number)
    said = {
        "temperature": f"{temperature:.2f}",
        "humidity": f"{humidity:.1f}",
        "power": str(power),
        "energy": f"{energy:.3f}",
    }
    return sum(said.get(quantity) != value for quantity, value in readings.items()) + len(said.keys() - readings)
