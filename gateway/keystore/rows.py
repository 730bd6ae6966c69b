"""Rows of the key store as frozen values. Bytes are wrapped keys, sealed records, keyed hashes or random ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import CursorResult
from sqlalchemy.engine import Row as SqlRow

from gateway.model.ids import Controller, Incarnation, KeyId, RecordId, RouteId

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A route, fence, purge or operations key, wrapped under KEK_e."""

    key_id: KeyId
    controller: Controller
    kind: str
    version: int
    e: int
    wrapped: bytes
    created: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A CSK: `wrapped` at its base epoch, or None once destroyed."""

    key_id: KeyId
    incarnation: Incarnation
    controller: Controller
    key_class: str
    version: int
    base: int
    e: int
    wrapped: bytes | None
    commitment: bytes | None
    state: str
    valid_from: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A keyed hash of a customer or device id, leading to an incarnation for an interval of event time."""

    route_id: RouteId
    controller: Controller
    kind: str
    hash: bytes
    e: int
    incarnation: Incarnation
    area: str
    valid_from: int
    valid_to: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A small sealed document about a customer."""

    record_id: RecordId
    incarnation: Incarnation
    key_class: str
    version: int
    epoch: int
    kind: str
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Stops an erased identifier: a customer's enrolment, or a device's readings within an interval of event time."""

    fence_id: bytes
    controller: Controller
    kind: str
    hash: bytes
    month: int
    erasure: bytes
    starts: int
    ends: int | None
    expires: int | None
    refused: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """How far one erasure has come. See control.erasure for the steps."""

    erasure: bytes
    controller: Controller
    incarnation: Incarnation
    seq: int
    step: str
    generation: int
    requested: int
    effective: int | None
    purge_due: int | None
    purge_boot: str | None
    purge_key: KeyId | None
    capture: bytes | None
    rows_first: int | None
    rows_second: int | None
    final: int | None = None
    evidence: str | None = None
    certified: str | None = None
    certified_final: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who may still hold something of an erased customer: a worker, the queues of a machine, the broker."""

    erasure: bytes
    party: str
    kind: str
    process: str
    boot: str
    how: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A key that a law keeps until a date (ns), and the erasure (or exit, by its account) that ended it."""

    key_id: KeyId
    erasure: bytes
    controller: Controller
    key_class: str
    until: int
    law: str
    released: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One ingesting process: what it has acknowledged, and for how long it may still use keys."""

    worker: bytes
    boot: str
    generation: int
    lease: int
    deadline: int
    renewed: int
    name: str = ""
    process: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnover:
    """How far one pass has come: everything of a controller from under older e to under `e`. See control.turnover."""

    controller: Controller
    e: int
    seq: int
    step: str
    generation: int
    started: int
    finished: int | None
    cursor: Incarnation | None
    purge_key: KeyId | None
    purge_due: int | None
    purge_boot: str | None
    expired: int
    ratcheted: int
    rewrapped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """What the custodian reported when W_e was destroyed."""

    controller: Controller
    e: int
    custodian: str
    attested: int
    residue: str
    destroyed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """How far a controller's exit has come."""

    controller: Controller
    seq: int
    step: str
    generation: int
    requested: int
    effective: int | None
    keys: int


def one(kind: type[R], row: SqlRow[Any] | None) -> R | None:
    """A database row as `kind`, or None."""
    return None if row is None else kind(**row._mapping)  # noqa: SLF001 - the documented name


def many(kind: type[R], found: CursorResult[Any]) -> list[R]:
    """Database rows as `kind`; the names of the columns are asked for once, since a worker reads thousands of rows."""
    names = tuple(found.keys())
    return [kind(**dict(zip(names, row, strict=True))) for row in found]


def values(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Frozen rows as what an insert takes."""
    return [asdict(row) for row in rows]
