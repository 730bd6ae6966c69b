"""Import: history through the worker of `run`, with a memory of how far it came, and a purge of the source at the end.

    history = MeterFiles(load_mapping(file, house.policy), paths)
    books = Import(house, history, log, beside=[…]).run(on_settled=print)

A source gives pages of rows; the worker stores or refuses each row and counts it. After every page the position and the
counts are written to `STATE/imports/….json`, whose name is a hash of inode numbers, sizes and times: neither name nor
content can name anyone. Killed at any moment and started again, an import goes on from the last page; rows of the page
that was under way are sealed again, to the same points. When it is complete the file goes: importing again begins anew,
and changes nothing in the store.

An import is in the ledger when it begins and when it is complete. It holds a lease like any worker, so that an erasure
waits for it, and what it reads of someone who was erased is refused as `erased`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.errors import Unreachable
from gateway.keys.lease import Lease
from gateway.keys.ring import Ring
from gateway.model.ids import new_id
from gateway.model.sealed import Reason
from gateway.pipeline.chain import Chain
from gateway.pipeline.topics import TopicPattern
from gateway.runtime.log import Log
from gateway.runtime.metrics import Metrics
from gateway.runtime.wiring import House
from gateway.runtime.worker import Worker
from gateway.transport.history.playback import Page, Playback, Position
from gateway.transport.history.translate import TOPIC
from gateway.transport.store import REQUEST_WAITS

ACT, PURGE = "import", "purge-source"
VERSION = 1
_PAYLOAD_BYTES = 1 << 20  # no row of numbers is that long


class History(Protocol):
    """A source of rows from before the gateway."""

    @property
    def kind(self) -> str:
        """What the ledger calls it."""

    @property
    def identity(self) -> list[object]:
        """What tells this source, as it is now, from others; of JSON, and without identifiers."""

    def pages(self, position: Position | None) -> Iterator[Page]:
        """Everything after `position`."""


class Purgeable(History, Protocol):
    """One that can be emptied of what `pages` gave."""

    def purge(self) -> int:
        """Delete all of it; how many values that were. Raises Refused, Unreachable."""


class Memory(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How far an import came: where to go on, and what was counted until there."""

    version: int
    position: Position
    stored: int
    points: int
    refused: dict[Reason, int]
    refused_readings: dict[Reason, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The books, in rows: read = stored + refused. `resumed` of `read` were done by a call before this one.

    `refused_readings` counts single readings, of stored rows too.
    """

    read: int
    stored: int
    refused: dict[str, int]
    refused_readings: dict[str, int]
    resumed: int


class Import:
    """One import of one source into one gateway."""

    def __init__(self, house: House, history: History, log: Log, *, beside: Sequence[object] = ()) -> None:
        """`beside`: what else, besides the source, makes a position hold: the mapping as it is now."""
        self._house, self._history, self._log = house, history, log
        settings = house.settings
        identity = [history.kind, history.identity, list(beside), settings.store.url, settings.keys.url]
        name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
        self._path = settings.state / "imports" / f"{name}.json"

    def run(self, on_settled: Callable[[Metrics, float], None]) -> Imported:
        """All of it, or what is left; told the counts and the share that is done after each page.

        Raises what the worker raises, and what the source raises; KeyboardInterrupt when it was interrupted.
        """
        memory = _recalled(self._path)
        house, run = self._house, new_id().hex()
        with house.control.act(ACT, source=self._history.kind, run=run, state="begun"):
            pass

        def settled(page: Page) -> None:
            _remember(self._path, page.after, worker.metrics)
            on_settled(worker.metrics, page.share)

        def ended() -> None:
            worker.stop()

        pages = self._history.pages(memory.position if memory else None)
        worker = _worker(house, Playback(pages, on_settled=settled, on_end=ended), self._log)
        resumed = _resume(worker.metrics, memory)
        worker.run()
        books = _books(worker.metrics, resumed)
        refused = sum(books.refused.values())
        with house.control.act(ACT, run=run, state="complete", read=books.read, stored=books.stored, refused=refused):
            self._path.unlink(missing_ok=True)
        return books


def purge_source(house: House, history: Purgeable) -> int:
    """Delete from a source what a complete import has read of it; how many values that were. Raises what `purge` does.

    To be called when every row was stored, or may go. In the ledger before and after, as the import itself.
    """
    with house.control.act(PURGE, source=history.kind, state="begun"):
        pass
    values = history.purge()
    with house.control.act(PURGE, source=history.kind, state="complete", values=values):
        return values


def _worker(house: House, playback: Playback, log: Log) -> Worker:
    """The worker of `run`, with history in place of a broker."""
    house.self_test()
    store, keys = house.settings.store, house.settings.keys
    lease = Lease(house.keystore, house.clock, lease_s=keys.lease_s, deadline_s=REQUEST_WAITS * store.timeout_s)
    parse = TopicPattern(TOPIC).parse
    house.accepted.note(house.policy)
    return Worker(
        playback,
        Ring(house.keystore, house.custodian, house.policy, lease, house.clock, parse=parse),
        Chain(house.policy, max_payload_bytes=_PAYLOAD_BYTES),
        house.store,
        house.clock,
        log,
        batch_points=store.batch_points,
        batch_ms=store.batch_ms,
        poll_ms=keys.poll_ms,
        housekeeping=house.erasures.resume,
    )


def read_rows(metrics: Metrics) -> int:
    """Rows that were settled."""
    return metrics.stored + sum(metrics.refused.values())


def _books(metrics: Metrics, resumed: int) -> Imported:
    return Imported(
        read=read_rows(metrics),
        stored=metrics.stored,
        refused={str(reason): metrics.refused[reason] for reason in sorted(metrics.refused)},
        refused_readings={str(reason): metrics.refused_readings[reason] for reason in sorted(metrics.refused_readings)},
        resumed=resumed,
    )


def _resume(metrics: Metrics, memory: Memory | None) -> int:
    """Count on from where the import was; how many rows that were."""
    if memory is not None:
        metrics.stored, metrics.points = memory.stored, memory.points
        metrics.refused, metrics.refused_readings = dict(memory.refused), dict(memory.refused_readings)
    return read_rows(metrics)


def _recalled(path: Path) -> Memory | None:
    """What an import that was ended has left; None when there is nothing that can be read, and it begins anew."""
    try:
        memory = msgspec.json.decode(path.read_bytes(), type=Memory)
    except (OSError, msgspec.DecodeError):
        return None
    return memory if memory.version == VERSION else None


def _remember(path: Path, position: Position, metrics: Metrics) -> None:
    """Replaced whole, never written over. Raises Unreachable."""
    memory = Memory(
        version=VERSION,
        position=position,
        stored=metrics.stored,
        points=metrics.points,
        refused=metrics.refused,
        refused_readings=metrics.refused_readings,
    )
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_bytes(msgspec.json.encode(memory))
        new.replace(path)
    except OSError as fault:
        message = f"how far the import came cannot be written: {(fault.strerror or 'unknown reason').lower()}"
        raise Unreachable(message, hint="free some space in the state directory, then repeat: it goes on") from None
