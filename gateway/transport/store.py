"""The contract of a store of sealed points, and which store a URL names. One conformance suite runs over all of them.

A store is asked to write again what it already has, and nothing changes: series, time and field name a point. It never
raises for a point's sake: what it could not take is in the outcome. A server that does not answer, or answers an error
that may pass (401, 403, 404, 408, 429, 5xx, time-out), keeps the whole batch: `StoreUnreachable` is raised with what to
do, and the caller tries again. A 400 or 422 raises `StoreRefused`, until dead letters can take the offending points.

A store may be used by several threads at once; the iterator of one `query` belongs to one of them.

    with closing(open_store("sqlite:///readings.db", state=Path("/var/lib/glomska"))) as store:
        outcome = store.write(points)
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from gateway.errors import ConfigurationFault, Unreachable
from gateway.model.sealed import Outcome, SealedPoint

TIMEOUT_S = 10.0
STORE_URLS = "sqlite:///FILE, influxdb1+http://HOST:PORT/DATABASE?rp=POLICY, influxdb1+https://…"
_INFLUXDB1_PORT = 8086
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class StoreUnreachable(Unreachable):
    """The store does not answer, or not now. `retry_after`: seconds it asked to be left alone, when it said so."""

    def __init__(self, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class StoreRefused(StoreUnreachable):
    """The store answers, and will not take the batch (400, 422): reading stops until someone looks."""

    code: ClassVar[str] = "store_refused"
    hint = "see the store's own log for the reason; nothing was acknowledged, the broker keeps the messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a store can take points now, in words, with a next step when it cannot."""

    ok: bool
    detail: str
    hint: str = ""


class Store(Protocol):
    """Where sealed points are written, read back, and deleted by pseudonym."""

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """Durable when it returns. Raises StoreUnreachable or StoreRefused: then all points are kept."""

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """Stored fields, one a point, of these series with start <= time < end (ns), by pseudonym, time and field.

        Raises StoreUnreachable, VerificationFailed.
        """

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """Remove all points of these series; stored fields seen before and gone after. Raises StoreUnreachable.

        Raising means that something may be left: the call can be made again.
        """

    def health(self) -> Health:
        """Reachable, and set up so that it can hold what we write?"""

    def close(self) -> None:
        """Let go of connections and files."""


def open_store(url: str, *, state: Path, timeout_s: float = TIMEOUT_S) -> Store:
    """The store that `url` names; a relative SQLite file lies under `state`. `timeout_s`: for each request or lock.

    Raises ConfigurationFault; for SQLite also StoreUnreachable. A server is not asked for anything yet.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "sqlite":
        return _open_sqlite(parts, state, timeout_s)
    if parts.scheme in {"influxdb1+http", "influxdb1+https"}:
        return _open_influxdb1(parts, timeout_s)
    raise ConfigurationFault(f"store.url: no store goes by this scheme; allowed are {STORE_URLS}")


def _open_sqlite(parts: urllib.parse.SplitResult, state: Path, timeout_s: float) -> Store:
    from gateway.transport.sqlite import SqliteStore  # noqa: PLC0415 - it imports this module

    if parts.netloc or len(parts.path) <= 1 or parts.query or parts.fragment:
        raise ConfigurationFault(
            "store.url: write sqlite:///FILE for one in the state directory, sqlite:////PATH/FILE for one elsewhere"
        )
    return SqliteStore(state / urllib.parse.unquote(parts.path[1:]), timeout_s=timeout_s)


def _open_influxdb1(parts: urllib.parse.SplitResult, timeout_s: float) -> Store:
    from gateway.transport.influx1 import Influx1Store  # noqa: PLC0415 - it imports this module

    if parts.username is not None or parts.password is not None:
        raise ConfigurationFault("store.url: a login does not belong into a URL; other users of the machine may see it")
    options = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    database = parts.path.strip("/") or "glomska"
    retention_policy = options.pop("rp", "")
    names = [database, retention_policy or "autogen"]
    try:
        port = _INFLUXDB1_PORT if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not parts.hostname or not port or options or parts.fragment or not all(map(_NAME.fullmatch, names)):
        raise ConfigurationFault(
            "store.url: write influxdb1+http://HOST:PORT/DATABASE?rp=POLICY; names are of A-Z, a-z, 0-9, _ and -"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Influx1Store(
        f"{parts.scheme.partition('+')[2]}://{host}:{port}",
        database=database,
        retention_policy=retention_policy,
        timeout_s=timeout_s,
    )
