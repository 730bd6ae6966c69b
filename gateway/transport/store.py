"""The contract of a store of sealed points, and which store a URL names. One conformance suite runs over all of them.

A store is asked to write again what it already has, and nothing changes: series, time and field name a point. It never
raises for a point's sake: what it could not take is in the outcome. What a server's answer means:

    401, 403, 404, 408, 429, 5xx, none   all of it is kept: `StoreUnreachable`, with how long to leave the store alone
    413                                  too much at once: less with each request, for a while; one point alone is kept,
                                         unless it is larger than any reading: then it is rejected
    400, 422                             something in it will never be taken: halved until that is alone, and rejected;
                                         what a server stored of such a batch is stored again, which changes nothing

A store may be used by several threads at once; the iterator of one `query` belongs to one of them.

    with closing(open_store("sqlite:///readings.db", state=Path("/var/lib/glomska"))) as store:
        outcome = store.write(points)
"""

from __future__ import annotations

import base64
import re
import sys
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypedDict

from gateway.errors import ConfigurationFault, Unreachable
from gateway.model.sealed import Outcome, Reason, SealedPoint

TIMEOUT_S = 10.0
STORE_URLS = (
    "sqlite:///FILE, influxdb1+http://HOST:PORT/DATABASE?rp=POLICY, influxdb2+http://HOST:PORT/ORGANISATION/BUCKET, "
    "victoriametrics+http://HOST:PORT, and each with +https://"
)
_PORTS = {"influxdb1": 8086, "influxdb2": 8086, "victoriametrics": 8428}
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class StoreUnreachable(Unreachable):
    """The store does not answer, or not now. `retry_after`: seconds it asked to be left alone, when it said so.

    `answered`: it said that it does not do what it was asked; else that may still be under way.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, retry_after: float | None = None, answered: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after, self.answered = retry_after, answered


class StoreRefused(StoreUnreachable):
    """The store answers, and will not do what it is asked (400, 422), or is set up so that it would lose points."""

    code: ClassVar[str] = "store_refused"
    hint = "see the store's own log for the reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a store can take points now, in words, with a next step when it cannot.

    `time` is its own clock, ns since 1970, where it has one that is not this machine's: a witness for the clock guard.
    """

    ok: bool
    detail: str
    hint: str = ""
    time: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who the gateway is to a store's server: a token, or a user with a password. Never shown."""

    username: str = ""
    password: bytes = field(default=b"", repr=False)
    token: bytes = field(default=b"", repr=False)

    def header(self) -> str:
        """The value of `Authorization`. Source: RFC 7617; InfluxDB 2 API reference."""
        if self.token:
            return f"Token {self.token.decode()}"
        return "Basic " + base64.b64encode(self.username.encode() + b":" + self.password).decode()


class Store(Protocol):
    """Where sealed points are written, read back, and deleted by pseudonym."""

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """Durable when it returns. Raises StoreUnreachable: then all points are kept."""

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """Stored fields, one a point, of these series with start <= time < end (ns), by pseudonym, time and field.

        Raises StoreUnreachable, VerificationFailed.
        """

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """Remove all points of these series; stored fields seen before and gone after. Raises StoreUnreachable.

        Raising means that something may be left: the call can be made again.
        """

    def health(self) -> Health:
        """Reachable, and set up so that it can hold what we write, for as long as the policy says?"""

    def close(self) -> None:
        """Let go of connections and files."""


class Installable(Store, Protocol):
    """What `open_store` gives: a store that can also be set up."""

    def prepare(self) -> str:
        """Make what is missing, with the retention that the policy asks for; what was done, in words.

        What is there already is not changed. Raises ConfigurationFault when it is not as it must be, StoreUnreachable.
        """


_UNSUSPECTED = 1 << 17  # points: more than a batch has
_READING_BYTES = 4096  # more than 64 numbers take, which is all that one holds
_ENOUGH = 16  # requests that a server takes before it is tried with larger ones
REQUEST_WAITS = 3
"""How many times its time-out a request with points may take: to connect, to be sent, to be answered."""


class Portion:
    """How many points a server is sent in one request, learned from its refusals.

    A write is one request, so that whoever erases knows how long one may be under way, and a worker asks for its lease
    before each: what does not fit is kept, and comes again with the next write. What a server finds too large is halved
    and doubled after some successes, since a proxy before it may say so only for a moment; what it refuses for the sake
    of a point is halved until that is alone, and doubled with each success.
    """

    def __init__(self) -> None:
        self._most = sys.maxsize
        self._suspects = sys.maxsize
        self._taken = 0  # requests since one was too large, or `_most` has grown

    def of(self, points: Sequence[SealedPoint]) -> tuple[Sequence[SealedPoint], range]:
        """The points to send now, and the indices of those that are kept."""
        sent = points[: min(self._most, self._suspects)]
        return sent, range(len(sent), len(points))

    def taken(self) -> None:
        """The server has taken what `of` gave."""
        if self._suspects < sys.maxsize:
            self._suspects = _doubled(self._suspects)
        if self._most < sys.maxsize:
            self._taken += 1
            if self._taken >= _ENOUGH:
                self._most, self._taken = _doubled(self._most), 0

    def too_large(self, points: Sequence[SealedPoint], sent: int) -> Outcome:
        """The server has refused the first `sent`: half of it next time.

        Several threads may write at once, so `of` may give another number by now. Raises StoreUnreachable where that is
        one reading: a proxy that refuses all there is may be mended, and no reading is to blame for it.
        """
        if sent == 1 and len(points[0].to_bytes()) > _READING_BYTES:
            why = "a point is too large for the store by itself"
            return Outcome(rejected={0: Reason.STORE}, kept=range(1, len(points)), why=why)
        if sent == 1:
            message = "the store finds one reading too large (413)"
            hint = "raise the limit on requests, its or a proxy's"
            raise StoreUnreachable(message, hint=hint, answered=True)
        self._most, self._taken = min(self._most, sent // 2), 0
        return Outcome(kept=range(len(points)))

    def refused(self, points: Sequence[SealedPoint], sent: int, fault: StoreRefused) -> Outcome:
        """Something in the first `sent` will never be taken; alone, it is rejected."""
        if sent == 1:
            return Outcome(rejected={0: Reason.STORE}, kept=range(1, len(points)), why=f"{fault}; {fault.hint}")
        self._suspects = sent // 2
        return Outcome(kept=range(len(points)))


def _doubled(points: int) -> int:
    return points * 2 if points < _UNSUSPECTED else sys.maxsize


def without(points: Sequence[SealedPoint], refused: Mapping[int, Reason]) -> Outcome:
    """Some points of a batch are refused, and nothing was written: the others are kept."""
    return Outcome(rejected=refused, kept=[index for index in range(len(points)) if index not in refused])


class Unsettled:
    """Points that a store takes in parts: `points` are left, at `places` among all; `rejected` is by such a place."""

    __slots__ = ("places", "points", "rejected")

    def __init__(self, points: Sequence[SealedPoint]) -> None:
        self.points = points
        self.places: Sequence[int] = range(len(points))
        self.rejected: dict[int, Reason] = {}

    def settle(self, outcome: Outcome) -> None:
        """Take out what the store accepted or rejected of `points`; what it kept stays."""
        self.rejected |= {self.places[i]: reason for i, reason in outcome.rejected.items()}
        kept = sorted(outcome.kept)
        self.points = [self.points[i] for i in kept]
        self.places = [self.places[i] for i in kept]


def write_all(store: Store, points: Sequence[SealedPoint]) -> Outcome:
    """Write until nothing is kept: for whoever needs no lease between requests. Raises as `Store.write`."""
    left, why = Unsettled(points), ""
    while left.points:
        outcome = store.write(left.points)
        why = why or outcome.why
        left.settle(outcome)
    return Outcome(rejected=left.rejected, why=why)


def numbers_only(url: str) -> bool:
    """Whether the store that `url` names can hold numbers alone, so that nothing can be sealed into it."""
    return url.startswith("victoriametrics+")


def open_store(
    url: str, *, state: Path, timeout_s: float = TIMEOUT_S, login: Login | None = None, keep_days: int = 0
) -> Installable:
    """The store that `url` names; a relative SQLite file lies under `state`. `timeout_s`: for each request or lock.

    `keep_days`: how long a server shall keep points by itself; 0: for ever, and what it does is not judged.
    Raises ConfigurationFault; for SQLite also StoreUnreachable. A server is not asked for anything yet.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "sqlite":
        return _open_sqlite(parts, state, timeout_s)
    kind, _, scheme = parts.scheme.partition("+")
    if kind not in _PORTS or scheme not in {"http", "https"}:
        raise ConfigurationFault(f"store.url: no store goes by this scheme; allowed are {STORE_URLS}")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationFault("store.url: a login does not belong into a URL; other users of the machine may see it")
    terms = _Terms(timeout_s=timeout_s, login=login, keep_days=keep_days)
    if kind == "influxdb1":
        return _open_influxdb1(parts, terms)
    return _open_influxdb2(parts, terms) if kind == "influxdb2" else _open_victoriametrics(parts, terms)


class _Terms(TypedDict):
    """What every server's store takes."""

    timeout_s: float
    login: Login | None
    keep_days: int


def _open_sqlite(parts: urllib.parse.SplitResult, state: Path, timeout_s: float) -> Installable:
    from gateway.transport.sqlite import SqliteStore  # noqa: PLC0415 - it imports this module

    if parts.netloc or len(parts.path) <= 1 or parts.query or parts.fragment:
        raise ConfigurationFault(
            "store.url: write sqlite:///FILE for one in the state directory, sqlite:////PATH/FILE for one elsewhere"
        )
    return SqliteStore(state / urllib.parse.unquote(parts.path[1:]), timeout_s=timeout_s)


def _open_influxdb1(parts: urllib.parse.SplitResult, terms: _Terms) -> Installable:
    from gateway.transport.influx1 import Influx1Store  # noqa: PLC0415 - it imports this module

    options = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    database = parts.path.strip("/") or "glomska"
    retention_policy = options.pop("rp", "")
    server = _server(parts)
    if not server or options or parts.fragment or not all(map(_NAME.fullmatch, (database, retention_policy or "-"))):
        raise ConfigurationFault(
            "store.url: write influxdb1+http://HOST:PORT/DATABASE?rp=POLICY; names are of A-Z, a-z, 0-9, _ and -"
        )
    return Influx1Store(server, database=database, retention_policy=retention_policy, **terms)


def _open_influxdb2(parts: urllib.parse.SplitResult, terms: _Terms) -> Installable:
    from gateway.transport.influx2 import Influx2Store  # noqa: PLC0415 - only who uses it waits for its library

    organisation, _, bucket = urllib.parse.unquote(parts.path.strip("/")).partition("/")
    server = _server(parts)
    if not server or parts.query or parts.fragment or not organisation or not _NAME.fullmatch(bucket):
        raise ConfigurationFault(
            "store.url: write influxdb2+http://HOST:PORT/ORGANISATION/BUCKET; a bucket's name is of A-Z, a-z, 0-9, _, -"
        )
    return Influx2Store(server, organisation=organisation, bucket=bucket, **terms)


def _open_victoriametrics(parts: urllib.parse.SplitResult, terms: _Terms) -> Installable:
    from gateway.transport.victoria import VictoriaStore  # noqa: PLC0415 - it imports this module

    server = _server(parts)
    if not server or parts.query or parts.fragment or parts.path.strip("/"):
        raise ConfigurationFault("store.url: write victoriametrics+http://HOST:PORT, without a path")
    return VictoriaStore(server, **terms)


def _server(parts: urllib.parse.SplitResult) -> str:
    """Scheme, host and port for HTTP; empty when they are off."""
    kind, _, scheme = parts.scheme.partition("+")
    try:
        port = _PORTS[kind] if parts.port is None else parts.port
    except ValueError:
        port = 0
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{scheme}://{host}:{port}" if host and port else ""
