"""Who looks over the store's shoulder: when each point was accepted, and in the end, whether every message is there.

    watched = Watched(store)        # handed to the worker in the store's place
    reckoning = reckon(house, fleets, watched)

The books are not taken from the gateway's counters. Every home is read back through the door that every reader takes,
and each message that its device published is looked for: device, time, and all values. Then the rows of the store are
counted: what is more than these messages is there twice, or should not be there at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from firmware_sim.fleet import Home
from gateway.model.ids import parse_controller, parse_customer
from gateway.model.sealed import Outcome, SealedPoint
from gateway.model.table import Table
from gateway.runtime.wiring import House
from gateway.transport.store import Health, Store

_SECOND = 1_000_000_000
_KEPT = 500  # points of the home that is followed
END_OF_TIME = 2**63 - 1
PURPOSE = "provision"


class Watched:
    """A store, watched: `latencies` in ms of points dated after `live_from` (ns), `pseudonyms` of all that was written.

    `asked` are the pseudonyms of the newest query; set as `followed`, their points are kept, by time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.live_from = END_OF_TIME
        self.latencies: list[float] = []
        self.pseudonyms: set[str] = set()
        self.asked: frozenset[str] = frozenset()
        self.followed: frozenset[str] = frozenset()
        self.kept: dict[int, SealedPoint] = {}

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """As the store."""
        outcome = self._store.write(points)
        now = time.time_ns()
        for point in points:
            self.pseudonyms.add(point.series.pseudonym)
            # A reading of a whole second is of a meter or of a clock that counts no finer: it says nothing of latency.
            if point.time > self.live_from and point.time % _SECOND:
                self.latencies.append((now - point.time) / 1e6)
            elif point.series.pseudonym in self.followed:
                self._keep(point)
        return outcome

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """As the store."""
        self.asked = frozenset(pseudonyms)
        return self._store.query(measurement, pseudonyms, start, end)

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """As the store."""
        return self._store.delete(measurements, pseudonyms)

    def health(self) -> Health:
        """As the store."""
        return self._store.health()

    def close(self) -> None:
        """As the store."""
        self._store.close()

    def rows(self, measurements: Iterable[str]) -> int:
        """How many points lie in the store, under any pseudonym that was ever written."""
        names = sorted(self.pseudonyms)
        return sum(1 for name in measurements for _ in self._store.query(name, names, 0, END_OF_TIME))

    def _keep(self, point: SealedPoint) -> None:
        self.kept[point.time] = point
        if len(self.kept) > _KEPT:
            del self.kept[next(iter(self.kept))]


class Entry(msgspec.Struct):
    """One line of a fleet's record."""

    topic: str
    time: int
    kind: str
    payload: str = ""


_decode_entry = msgspec.json.Decoder(Entry).decode


class Tail:
    """What a fleet publishes for one device, while it writes its record: Unix ms to payload, the newest ones."""

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        self._read = 0
        self._rest = b""
        self.sent: dict[int, str] = {}

    def look(self) -> None:
        """Take in what has been written since; nothing where the file is not there yet."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        wanted = self._topic.encode()
        for line in lines:
            if wanted in line and (entry := _decode_entry(line)).kind == "valid":
                self.sent[entry.time] = entry.payload
        for old in list(self.sent)[:-_KEPT]:
            del self.sent[old]


@dataclass(slots=True)
class Reckoning:
    """Distinct valid messages published and found in the store, and the rows there."""

    valid: int = 0
    found: int = 0
    rows: int = 0


def read_home(house: House, home: Home, *, start: int = 0) -> Table:
    """All readings of a home from `start` (ns) on. Raises as `Access.read`."""
    controller, customer = parse_controller(home.controller), parse_customer(home.customer)
    end = house.clock.wall() + house.policy.future_window_s * _SECOND
    return house.access.read(controller, customer, purpose=PURPOSE, start=start, end=end)


def reckon(
    house: House, watched: Watched, homes: Iterable[Home], records: Iterable[Path], check: Callable[[], None]
) -> Reckoning:
    """Look for every valid message of the records in the store. Raises as `Access.read` and `check`, called often."""
    sent = _sent(records)
    result = Reckoning()
    for home in homes:
        messages = sent.pop(home.topic, {})
        table = read_home(house, home)
        there = dict(zip(zip(table.time.tolist(), table.quantity, strict=True), table.value.tolist(), strict=True))
        result.valid += len(messages)
        result.found += sum(
            all(there.get((at * 1_000_000, quantity)) == value for quantity, value in values.items())
            for at, values in messages.items()
        )
        check()
    result.valid += sum(map(len, sent.values()))  # of homes that nobody has heard of: none of it was found
    result.rows = watched.rows(house.policy.key_classes)
    return result


def _sent(records: Iterable[Path]) -> dict[str, dict[int, dict[str, float]]]:
    """Topic to time (Unix ms) to quantity to value, of all valid messages."""
    sent: dict[str, dict[int, dict[str, float]]] = {}
    for path in records:
        for line in path.read_bytes().splitlines():
            entry = _decode_entry(line)
            if entry.kind == "valid":
                sent.setdefault(entry.topic, {})[entry.time] = _values(entry.payload)
    return sent


def _values(payload: str) -> dict[str, float]:
    """Quantity to value, as the device wrote them: flat JSON or SenML, read by other means than the gateway's."""
    body = msgspec.json.decode(payload)
    if isinstance(body, list):
        return {record["n"]: float(record["v"]) for record in body}
    return {quantity: float(value) for quantity, value in body.items() if quantity != "time"}
