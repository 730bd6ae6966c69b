"""InfluxDB 1.x: `/write` in, InfluxQL `/query` out, `DROP SERIES` to delete.

Asked of the server: an index on disk and no limit on series (`index-version = "tsi1"`, `max-values-per-tag = 0`,
`max-series-per-database = 0`), and the default `wal-fsync-delay = "0s"`, under which an answer to `/write` means that
the batch is on disk. The database is created by the first write that finds it missing.

`timeout_s` bounds connecting, and each wait for bytes of an answer; a request that was given up may still take effect.
What the server says about a fault is never passed on, because it quotes the line or the query: a known fault is
recognised and named in our words.

Source: InfluxDB 1.6 API reference and InfluxQL reference; behaviour seen on 1.6.7.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NoReturn, TypeVar

import msgspec
import urllib3

from gateway.model.sealed import ACCEPTED, Outcome, Reason, SealedPoint
from gateway.transport.lineprotocol import TIME_MAX, render
from gateway.transport.store import TIMEOUT_S, Health, StoreRefused, StoreUnreachable

CONNECTIONS = 4
GROUP = 100  # pseudonyms in one statement
CHUNK_ROWS = 10_000  # rows in one piece of an answer: what a query holds in memory
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_PSEUDONYM = re.compile(r"[a-z2-7]{26}")
_NO_CONTENT, _OK, _BAD_REQUEST, _NOT_FOUND, _TOO_LARGE, _UNPROCESSABLE = 204, 200, 400, 404, 413, 422

_LOGIN = "let the gateway in: it sends no login, so run this InfluxDB without authentication on a network of its own"
_HINTS = {
    401: _LOGIN,
    403: _LOGIN,
    404: "see that store.url names an InfluxDB 1.x and a database that may be created",
    429: "it is asked too much; it is tried again later",
}
_SERIES_LIMIT = "set max-values-per-tag = 0 and max-series-per-database = 0 in influxdb.conf, and restart it"
_REFUSALS = {  # what it says in a 400, our words, next step
    b"max-values-per-tag": ("its limit on values of a tag is reached", _SERIES_LIMIT),
    b"max-series-per-database": ("its limit on series is reached", _SERIES_LIMIT),
    b"field type conflict": ("a field exists there with another type", "write into a database of the gateway's own"),
    b"beyond retention policy": (
        "points are older than its retention policy",
        "make that retention at least as long as the longest in policy.toml",
    ),
}
_FAULTS = {  # the same, in a 5xx
    b"retention policy not found": ("it has no such retention policy", "create it, or correct ?rp= in store.url"),
}

T = TypeVar("T")


class _Series(msgspec.Struct):
    columns: list[str]
    name: str = ""
    values: list[list[int | float | str | bool | None]] = []  # left out when there are none
    tags: dict[str, str] = {}


class _Result(msgspec.Struct):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result]


_decode = msgspec.json.Decoder(_Answer).decode


class Influx1Store:
    """One database of one server. Implements `Store`."""

    def __init__(self, url: str, *, database: str, retention_policy: str = "", timeout_s: float = TIMEOUT_S) -> None:
        """`url` is scheme, host and port; without `retention_policy` the database's default one is used."""
        self._where = f"InfluxDB at {url}"
        self._database = database
        self._policy = retention_policy
        self._pool = urllib3.connection_from_url(
            url, maxsize=CONNECTIONS, timeout=urllib3.Timeout(total=timeout_s), retries=False
        )
        policy = f"&rp={retention_policy}" if retention_policy else ""
        self._write_path = f"/write?db={database}&precision=ns{policy}"

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """See `Store`. A batch that is too large for the server goes in halves."""
        body, refused = render(points)
        if body:
            response = self._request("POST", self._write_path, body=body)
            if response.status == _NOT_FOUND:
                list(self._ask(f"CREATE DATABASE {_quoted(self._database)}"))
                response = self._request("POST", self._write_path, body=body)
            if response.status == _TOO_LARGE:
                return self._write_halves(points)
            if response.status != _NO_CONTENT:
                self._fail(response)
        return Outcome(rejected=refused) if refused else ACCEPTED

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """See `Store`. At most `CHUNK_ROWS` rows are in memory."""
        first, last = max(start, -TIME_MAX), min(end - 1, TIME_MAX)
        if first > last:  # one of them may not even be an int64 then
            return
        for group in _grouped(sorted(set(pseudonyms)), GROUP):
            for series in self._ask(
                f"SELECT * FROM {self._source(measurement)} WHERE ({_any_of(group)})"  # noqa: S608 - quoted
                f' AND time >= {first} AND time <= {last} GROUP BY "series"'
            ):
                yield from _points(series)

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """See `Store`. Counts, drops, and counts again: what is left then is a fault."""
        names = sorted(set(measurements))
        if not names:
            return 0
        gone = 0
        for group in _grouped(sorted(set(pseudonyms)), GROUP):
            seen = self._count(names, group)
            list(self._ask(f"DROP SERIES FROM {','.join(map(_quoted, names))} WHERE {_any_of(group)}"))
            if self._count(names, group):
                raise StoreUnreachable(
                    f"{self._where}: points came back while they were deleted",
                    hint="see that nothing writes these series any more, then delete again",
                )
            gone += seen
        return gone

    def health(self) -> Health:
        """It answers, and neither its limits on series nor a missing retention policy will stop a write."""
        try:
            version = self._request("GET", "/ping").headers.get("X-Influxdb-Version", "of unknown version")
            databases = {str(name) for series in self._ask("SHOW DATABASES") for (name,) in series.values}
            exists = self._database in databases
            lacks_policy = exists and self._policy and self._policy not in self._policies()
            limits = self._limits()
        except StoreUnreachable as fault:
            return Health(ok=False, detail=str(fault), hint=fault.hint)
        detail = f"{self._where}, {version}, database {self._database}"
        if not exists:
            detail += " (the first write creates it)"
        if lacks_policy:
            detail += f" without retention policy {self._policy}"
            return Health(ok=False, detail=detail, hint="create it, or correct ?rp= in store.url")
        if limits:
            return Health(ok=False, detail=f"{detail}, limited by {' and '.join(limits)}", hint=_SERIES_LIMIT)
        return Health(ok=True, detail=detail)

    def close(self) -> None:
        """Close the pooled connections."""
        self._pool.close()

    def _write_halves(self, points: Sequence[SealedPoint]) -> Outcome:
        if len(points) == 1:
            return Outcome(rejected={0: Reason.STORE})
        middle = len(points) // 2
        rejected = dict(self.write(points[:middle]).rejected)
        rejected |= {middle + index: reason for index, reason in self.write(points[middle:]).rejected.items()}
        return Outcome(rejected=rejected) if rejected else ACCEPTED

    def _source(self, measurement: str) -> str:
        return f"{_quoted(self._policy)}.{_quoted(measurement)}" if self._policy else _quoted(measurement)

    def _count(self, measurements: Sequence[str], pseudonyms: Sequence[str]) -> int:
        sources = ",".join(map(self._source, measurements))
        answer = self._ask(f"SELECT COUNT(*) FROM {sources} WHERE {_any_of(pseudonyms)}")  # noqa: S608 - quoted
        return sum(int(n or 0) for series in answer for row in series.values for n in row[1:])  # row[0] is a time

    def _limits(self) -> list[str]:
        """Names of the limits on series that are in force."""
        named = ("max-series-per-database", "max-values-per-tag")
        return [
            name
            for series in self._ask("SHOW DIAGNOSTICS")
            if series.name == "config-data"
            for row in series.values
            for name, value in zip(series.columns, row, strict=True)
            if name in named and value
        ]

    def _policies(self) -> set[str]:
        answer = self._ask(f"SHOW RETENTION POLICIES ON {_quoted(self._database)}")
        return {str(row[0]) for series in answer for row in series.values}

    def _ask(self, statement: str) -> Iterator[_Series]:
        """The series of one statement's answer, piece by piece. Raises StoreUnreachable, StoreRefused."""
        form = {"db": self._database, "epoch": "ns", "chunked": "true", "chunk_size": CHUNK_ROWS, "q": statement}
        response = self._request("POST", "/query", body=urllib.parse.urlencode(form).encode(), stream=True)
        try:
            if response.status != _OK:
                self._fail(response)
            lines = iter(response)
            for line in chain([next(lines, b"")], lines):  # no answer at all is not an empty one
                yield from self._checked(_decode(line))
        except msgspec.DecodeError:
            raise StoreUnreachable(
                f"{self._where}: its answer is not InfluxDB 1.x's", hint="see that store.url names an InfluxDB 1.x"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._broken(error)
        finally:
            response.close()  # a caller may leave in the middle; after the end it is back in the pool already

    def _checked(self, answer: _Answer) -> Iterator[_Series]:
        errors = [result.error for result in answer.results if result.error]
        if all(error.startswith("database not found") for error in errors):  # then there is nothing to read or delete
            return chain.from_iterable(result.series for result in answer.results)
        raise StoreUnreachable(f"{self._where}: it could not carry out a statement; its own log says why")

    def _request(
        self, method: str, path: str, *, body: bytes | None = None, stream: bool = False
    ) -> urllib3.BaseHTTPResponse:
        """An answer of any status; with `stream` only its head has been read. Raises StoreUnreachable."""
        headers = _FORM if stream else None
        try:
            return self._pool.urlopen(
                method, path, body=body, headers=headers, redirect=False, preload_content=not stream
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._broken(error)

    def _broken(self, error: Exception) -> NoReturn:
        # Only the kind of error: its text may quote the request.
        raise StoreUnreachable(f"{self._where} does not answer: {type(error).__name__}") from None

    def _fail(self, response: urllib3.BaseHTTPResponse) -> NoReturn:
        """Raise what a status other than success means, see the contract in `store`."""
        status, said = response.status, response.data
        if status in {_BAD_REQUEST, _UNPROCESSABLE}:
            known = (words for mark, words in _REFUSALS.items() if mark in said)
            what, hint = next(known, ("for a reason that its own log tells", StoreRefused.hint))
            raise StoreRefused(f"{self._where} refuses the request ({status}): {what}", hint=hint)
        known = (words for mark, words in _FAULTS.items() if mark in said)
        what, hint = next(known, ("try later", _HINTS.get(status, StoreUnreachable.hint)))
        raise StoreUnreachable(
            f"{self._where} answers {status}: {what}", hint=hint, retry_after=_retry_after(response.headers)
        )


def _points(series: _Series) -> Iterator[SealedPoint]:
    pseudonym = series.tags["series"]
    area_at = series.columns.index("area") if "area" in series.columns else -1
    fields = [(i, name) for i, name in enumerate(series.columns) if i and i != area_at]  # column 0 is the time
    for row in series.values:
        area = str(row[area_at] or "") if area_at >= 0 else ""
        for i, name in fields:
            value = row[i]
            if value is not None:
                yield SealedPoint.parse(
                    measurement=series.name,
                    pseudonym=pseudonym,
                    area=area,
                    time=int(row[0] or 0),
                    field=name,
                    value=value,
                )


def _any_of(pseudonyms: Sequence[str]) -> str:
    """An InfluxQL condition. Raises ValueError for what is no pseudonym: nothing else enters a statement unquoted."""
    if not all(map(_PSEUDONYM.fullmatch, pseudonyms)):
        raise ValueError("a pseudonym is 26 characters of base32")
    return " OR ".join(f"\"series\" = '{pseudonym}'" for pseudonym in pseudonyms)


def _quoted(name: str) -> str:
    """An InfluxQL identifier."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while group := list(islice(left, size)):
        yield group


def _retry_after(headers: urllib3.HTTPHeaderDict) -> float | None:
    """Seconds, from either form of the header. Source: RFC 9110, section 10.2.3."""
    try:
        return urllib3.Retry().parse_retry_after(headers["Retry-After"])
    except (KeyError, urllib3.exceptions.InvalidHeader):
        return None
