"""Which sessions this gateway has at its broker: one file each in `STATE/sessions`, written before it connects.

A broker keeps a session, and what comes for it, whether or not anybody means to come back. A gateway that is started
with fewer workers, or alone, or with a connection for each controller, leaves such sessions behind: a member of a
shared subscription is handed its share for ever, and nobody reads it (Mosquitto #1747, #2662). So the first worker
looks which sessions of the roll nobody has any more, unsubscribes and drains them, and strikes them off.

    seat = Seat(2, of=3)                     # the second of three workers; Seat() is a process alone
    seat.client_id("glomska-1")              'glomska-1-2'
    seat.shared("group", ["a/+"])            ('$share/group/a/+',)

Only sessions under the same `mqtt.client_id` at the same broker are touched: others may be another gateway's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gateway.errors import Unreachable


@dataclass(frozen=True, slots=True)
class Seat:
    """Which of how many workers a process is; `number` 0: it is alone, and shares no subscription."""

    number: int = 0
    of: int = 0

    @property
    def leads(self) -> bool:
        """Whether it does what is done once, not by each: housekeeping, sessions that were left behind."""
        return self.number <= 1

    def client_id(self, base: str) -> str:
        """Stable over restarts: the broker keeps what waits for it."""
        return f"{base}-{self.number}" if self.number else base

    def shared(self, group: str, filters: Sequence[str]) -> tuple[str, ...]:
        """What this worker subscribes to. Source: MQTT 5, 4.8.2."""
        return tuple(f"$share/{group}/{one}" for one in filters) if self.number else tuple(filters)


ALONE = Seat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One session. `base` is `mqtt.client_id`; `controller` whose it is, where each has one."""

    broker: str
    base: str
    client_id: str
    worker: int
    controller: str | None
    filters: tuple[str, ...]


class Roll:
    """The directory. Each file is written by the one process whose session it is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def enter(self, entry: Entry) -> tuple[str, ...]:
        """Before it connects; filters that this session may still have and is to give up. Raises Unreachable."""
        path = self._path(entry)
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            before = _read(path)
            if before == entry:
                return ()
            former = tuple(one for one in (before.filters if before else ()) if one not in entry.filters)
            # Until it has unsubscribed, what it may still have stands here too.
            _write(path, replace(entry, filters=(*entry.filters, *former)))
        except OSError as fault:
            message = f"the list of sessions cannot be written: {fault.strerror}"
            raise Unreachable(message, hint="see owner, mode and free space of the state directory") from None
        return former

    def strike(self, entry: Entry) -> None:
        """Its session is drained and gone."""
        self._path(entry).unlink(missing_ok=True)

    def left_behind(self, *, broker: str, base: str, seat: Seat, per_controller: bool) -> list[Entry]:
        """Sessions of this gateway that nobody has any more, with so many workers and connections of that kind."""
        seats = set(range(1, seat.of + 1)) if seat.of else {0}
        return [
            entry
            for entry in self._entries()
            if (entry.broker, entry.base) == (broker, base)
            and (entry.worker not in seats or (entry.controller is not None) != per_controller)
        ]

    def _entries(self) -> list[Entry]:
        found = [_read(path) for path in sorted(self._directory.glob("*.json"))]
        return [entry for entry in found if entry is not None]

    def _path(self, entry: Entry) -> Path:
        name = hashlib.sha256(json.dumps([entry.broker, entry.client_id]).encode()).hexdigest()[:32]
        return self._directory / f"{name}.json"


def _read(path: Path) -> Entry | None:
    """None for what is not there, and for what was cut while it was written the first time: it has not connected."""
    try:
        found = json.loads(path.read_bytes())
        return Entry(**(found | {"filters": tuple(found["filters"])}))
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _write(path: Path, entry: Entry) -> None:
    """Whole or not at all, and there after a power cut."""
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(asdict(entry), file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
