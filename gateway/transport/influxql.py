"""InfluxQL over `/query`: what InfluxDB 1.x and 2.x are both read with.

Nothing enters a statement unquoted but a pseudonym, which is checked. Answers come in pieces of `CHUNK_ROWS` rows, so
that a long history is never in memory at once.

    reader = InfluxQL(server, database="glomska", retention_policy="")
    points = list(reader.points("telemetry", [pseudonym], start, end))

Source: InfluxQL reference, and the 1.x HTTP API that InfluxDB 2 offers as well.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

import msgspec

from gateway.model.sealed import SealedPoint
from gateway.transport.http import Server
from gateway.transport.lineprotocol import TIME_MAX
from gateway.transport.store import StoreUnreachable

GROUP = 100  # pseudonyms in one statement
CHUNK_ROWS = 10_000  # rows in one piece of an answer: what a query holds in memory
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_PSEUDONYM = re.compile(r"[a-z2-7]{26}")

T = TypeVar("T")


class Rows(msgspec.Struct):
    """Rows of one series, or of one table that a SHOW gives."""

    columns: list[str]
    name: str = ""
    values: list[list[int | float | str | bool | None]] = []  # left out when there are none
    tags: dict[str, str] = {}

    def named(self) -> Iterator[dict[str, int | float | str | bool | None]]:
        """Each row by the names of its columns."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.values)


class _Result(msgspec.Struct):
    series: list[Rows] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result]


_decode = msgspec.json.Decoder(_Answer).decode


class InfluxQL:
    """Statements to one database (or bucket) of one server."""

    def __init__(self, server: Server, *, database: str, retention_policy: str = "") -> None:
        """Without `retention_policy` the database's default one is read."""
        self._server = server
        self._database = database
        self._policy = retention_policy

    def ask(self, statement: str) -> Iterator[Rows]:
        """What one statement gives, piece by piece. Raises StoreUnreachable, StoreRefused."""
        form = {"db": self._database, "epoch": "ns", "chunked": "true", "chunk_size": CHUNK_ROWS, "q": statement}
        lines = self._server.lines("POST", "/query", body=urllib.parse.urlencode(form).encode(), headers=_FORM)
        try:
            for line in chain([next(lines, b"")], lines):  # no answer at all is not an empty one
                yield from self._checked(_decode(line))
        except msgspec.DecodeError:
            self._server.foreign()

    def points(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """See `Store.query`. At most `CHUNK_ROWS` rows are in memory."""
        first, last = max(start, -TIME_MAX), min(end - 1, TIME_MAX)
        if first > last:  # one of them may not even be an int64 then
            return
        for group in grouped(sorted(set(pseudonyms)), GROUP):
            for rows in self.ask(
                f"SELECT * FROM {self._source(measurement)} WHERE ({any_of(group)})"  # noqa: S608 - quoted
                f' AND time >= {first} AND time <= {last} GROUP BY "series"'
            ):
                yield from _points(rows)

    def count(self, measurements: Sequence[str], pseudonyms: Sequence[str]) -> int:
        """How many fields these series have stored."""
        sources = ",".join(map(self._source, measurements))
        answer = self.ask(f"SELECT COUNT(*) FROM {sources} WHERE {any_of(pseudonyms)}")  # noqa: S608 - quoted
        return sum(int(n or 0) for rows in answer for row in rows.values for n in row[1:])  # row[0] is a time

    def _source(self, measurement: str) -> str:
        return f"{quoted(self._policy)}.{quoted(measurement)}" if self._policy else quoted(measurement)

    def _checked(self, answer: _Answer) -> Iterator[Rows]:
        errors = [result.error for result in answer.results if result.error]
        if all(error.startswith("database not found") for error in errors):  # then there is nothing to read or delete
            return chain.from_iterable(result.series for result in answer.results)
        raise StoreUnreachable(f"{self._server.where}: it could not carry out a statement; its own log says why")


def any_of(pseudonyms: Sequence[str]) -> str:
    """An InfluxQL condition. Raises ValueError for what is no pseudonym: nothing else enters a statement unquoted."""
    return " OR ".join(f"\"series\" = '{pseudonym}'" for pseudonym in checked(pseudonyms))


def checked(pseudonyms: Sequence[str]) -> Sequence[str]:
    """The same. Raises ValueError for what is no pseudonym."""
    if not all(map(_PSEUDONYM.fullmatch, pseudonyms)):
        raise ValueError("a pseudonym is 26 characters of base32")
    return pseudonyms


def quoted(name: str) -> str:
    """An InfluxQL identifier."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size`."""
    left = iter(items)
    while group := list(islice(left, size)):
        yield group


def _points(series: Rows) -> Iterator[SealedPoint]:
    if not series.values:
        return
    columns = list(zip(*series.values, strict=True))
    area_at = series.columns.index("area") if "area" in series.columns else -1
    areas = [str(area or "") for area in columns[area_at]] if area_at >= 0 else [""] * len(series.values)
    found = [  # column 0 is the time; a statement brings every field of the measurement, most of them empty here
        (name, column)
        for i, (name, column) in enumerate(zip(series.columns, columns, strict=True))
        if i not in {0, area_at} and column.count(None) < len(column)
    ]
    times = [int(time or 0) for time in columns[0]]
    if len(found) == 1 and None not in found[0][1] and areas.count(areas[0]) == len(areas):
        yield from SealedPoint.parse_column(  # as nearly always: what they share is looked at once
            measurement=series.name,
            pseudonym=series.tags["series"],
            area=areas[0],
            field=found[0][0],
            times=times,
            values=[value for value in found[0][1] if value is not None],
        )
        return
    for row, (time, area) in enumerate(zip(times, areas, strict=True)):
        for name, column in found:
            value = column[row]
            if value is not None:
                yield SealedPoint.parse(
                    measurement=series.name,
                    pseudonym=series.tags["series"],
                    area=area,
                    time=time,
                    field=name,
                    value=value,
                )
