"""The books of a run: what the fleet published, what the gateway acknowledged, and what is there afterwards, message by
message and digit by digit, as `glomska read` shows it.

    published = stored + refused + lost by broker + lost by store + lost by gateway        lost by gateway = 0

What is not there the store has lost if it had acknowledged it; else the gateway, if it had; else the broker, which
forgot it before the gateway could take it. A witness stands in either line: `tap` and `ledger`.
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
    letters         of these, by reason
    lost            valid, acknowledged by the gateway, never by the store, and not there
    lost_by_store   valid, acknowledged by the store, and not there
    lost_by_broker  valid, acknowledged by neither, and not there
    logs_cut        how often the store found its own log damaged when it started, and cut it
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
    letters: dict[str, int]
    lost: int
    lost_by_store: int
    lost_by_broker: int
    logs_cut: int
    again: int
    lost_at: list[float]


def balance(site: Site) -> Books:
    """Read everything back. The gateway must have come to rest."""
    stream = site.stream
    whole, wrong = _read_back(site)
    valid = [number for number in range(stream.count) if stream.reason(number) is None]
    missing = [number for number in valid if number not in whole]
    by_store = [number for number in missing if site.taken[number]]
    lost = [number for number in missing if site.tap.acknowledged[number] and not site.taken[number]]
    bad, letters = stream.count - len(valid), site.letters()
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
        kept=sum(letters.values()),
        letters=letters,
        lost=len(lost),
        lost_by_store=len(by_store),
        lost_by_broker=len(missing) - len(lost) - len(by_store),
        logs_cut=site.store.logs_cut(),
        again=site.tap.again,
        lost_at=sorted({round(site.tap.acknowledged_s[n], 1) for n in lost}),
    )


def _read_back(site: Site) -> tuple[set[int], int]:
    """Numbers of the messages that are there, and how many of their readings are not as published."""
    stored: set[int] = set()
    wrong = 0
    for name in sorted({customer(device) for device in range(DEVICES)}):
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for row in site.gateway.read(f"{CONTROLLER}/{name}"):
            time = int(dt.datetime.fromisoformat(row["time"]).timestamp() * 1000)
            number = site.stream.at(time)
            assert number is not None
            assert number % DEVICES == int(row["device"].rpartition("-")[2])
            found[number][row["quantity"]] = row["value"]
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
