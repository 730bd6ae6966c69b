"""A plaintext InfluxDB as history: read by windows of time with InfluxQL, which 1.x and 2.x both answer, and purged.

What is there when an import begins is read: for each measurement up to its last time of then. A window is a page, so
what is in memory is bounded by how much was measured in it; windows grow and shrink with what they bring, and gaps are
passed over. A position is the number of the measurement, the time to go on from, how many values were read so far, and
the last time of each measurement.

Two values of one device, time and quantity, from series that other tags tell apart, contradict each other: the second
is handed on as a row that is none, so that it is refused. `where` or a finer `device_tag` in the mapping mend that.

A purge deletes what was read and proves it: it counts before, and stops when the source holds more or less than was
read, and counts again afterwards. It stops too where deleting would take what was not read: fields that the mapping
does not know, and in 1.x other retention policies, since servers delete by measurement, tags and time alone. In 2.x it
deletes in the one bucket that was read, see `bucket`.

Source: InfluxQL reference; behaviour seen on InfluxDB 1.6.7. Reading 2.x is the same request, which the conformance
suite of stores makes too where it is given an InfluxDB 2.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence

from gateway.errors import Refused, Unreachable, UsageFault
from gateway.transport.history.bucket import Bucket
from gateway.transport.history.mapping import HistoryMapping, InfluxKind, MappingFault
from gateway.transport.history.playback import Page, Position
from gateway.transport.history.translate import Row, influx_row
from gateway.transport.http import Server, Speech
from gateway.transport.influxql import InfluxQL, Rows, quoted
from gateway.transport.store import TIMEOUT_S, Login, StoreUnreachable

WINDOW_ROWS = 20_000
"""Rows that a window shall bring."""

_FIRST_WINDOW, _LEAST_WINDOW = 3_600 * 10**9, 10**9  # ns
_STEP = 4  # by how much a window grows or shrinks at most
_URL = re.compile(
    r"influxdb([12])\+"
    r"(https?://(?:\[[0-9A-Fa-f:]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?)/"
    r"(?P<names>[^?#@\s]+?)/?(?:\?rp=(?P<policy>[^&#\s]+))?"
)
_PORT_MAX = 65_535
_LOGIN = (
    "give --username and --password-file, or --token-file, of a user who may read the source, and delete to purge it"
)
_SPEECH = Speech(hints={401: _LOGIN, 403: _LOGIN}, refusals={}, faults={})
_ADDRESS = "influxdb1+http://HOST:PORT/DATABASE?rp=POLICY, or influxdb2+http://HOST:PORT/ORGANISATION/BUCKET"
Value = int | float | str | bool | None


class SourceUnreachable(Unreachable):
    """The source does not answer, or not now: repeat the import, and it goes on."""

    hint = "see that --influxdb names a server that runs; repeat the import then, and it goes on"


class InfluxHistory:
    """Measurements of one database. Nothing is asked of the server before `judge`."""

    def __init__(
        self, mapping: HistoryMapping, url: str, *, login: Login | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Raises UsageFault, MappingFault."""
        version, server, self._organisation, self._database, self._policy = _parsed(url)
        self.kind = f"influxdb{version}"
        self.values = 0
        self._url = url
        self._kinds = mapping.influxdb
        if not self._kinds:
            raise MappingFault("the mapping has no table [[influxdb]]")
        self._server = Server(server, name="the source", speech=_SPEECH, timeout_s=timeout_s, login=login)
        self._influxql = InfluxQL(self._server, database=self._database)

    @property
    def identity(self) -> list[object]:
        """The database; nobody is in its name."""
        return [self._url]

    def judge(self) -> None:
        """Whether measurements, fields and tags of the mapping are there. Raises MappingFault, SourceUnreachable."""
        faults = []
        for number, kind in enumerate(self._kinds):
            fields, tags = self._named("FIELD", kind), self._named("TAG", kind)
            wanted = {quantity.column for quantity in kind.quantities.values()}
            if not fields:
                faults.append(f"influxdb[{number}].measurement: the source has none of this name")
                continue
            lacking = sorted({kind.device_tag, kind.controller_tag, *kind.where} - {None} - tags, key=str)
            faults += [f"influxdb[{number}]: the measurement has no field {name}" for name in sorted(wanted - fields)]
            faults += [f"influxdb[{number}]: the measurement has no tag {name}" for name in lacking]
        if faults:
            raise MappingFault("\n  ".join(faults))

    def pages(self, position: Position | None) -> Iterator[Page]:
        """Everything after `position`. Raises SourceUnreachable."""
        if position is None:
            lasts = [self._time(kind, "DESC") for kind in self._kinds]
            position = [0, -1, 0, *(-1 if last is None else last for last in lasts)]
        number, start, self.values, *lasts_read = position
        for place in range(number, len(self._kinds)):
            kind, last = self._kinds[place], lasts_read[place]
            if start < 0:
                first = self._time(kind, "ASC") if last >= 0 else None
                start = last + 1 if first is None else first
            for rows, after, share in self._windows(kind, start, last):
                done = (place + share) / len(self._kinds)
                yield Page(rows, [place, after, self.values, *lasts_read], done)
            start = -1
        self._lasts = lasts_read

    def purge(self) -> int:
        """Delete what `pages` gave, all of which is settled; how many values that were.

        Raises:
            Refused: something would be deleted that was not read, or something was not deleted. The message says what.
            SourceUnreachable: part of it may be deleted.
        """
        bucket = self._bucket() if self.kind == "influxdb2" else None
        self._require_read_alone(others=self._other_policies() if bucket is None else [])
        found = self._count()
        if found != self.values:
            raise Refused(
                f"the source has {found} values where {self.values} were read: nothing was deleted",
                hint="see that nothing writes there any more, then import again",
            )
        for kind, last in zip(self._kinds, self._lasts, strict=True):
            if bucket is None:
                where = _condition(kind, None, last)
                list(self._ask(f"DELETE FROM {quoted(kind.measurement)} WHERE {where}"))  # noqa: S608 - quoted
            else:
                with _told():
                    bucket.delete(kind.measurement, kind.where, last)
        left = self._count()
        if left:
            raise Refused(
                f"{left} of {found} values are still in the source", hint="see that nothing writes there any more"
            )
        return found

    def close(self) -> None:
        """Close the pooled connections."""
        self._server.close()

    def _windows(self, kind: InfluxKind, start: int, last: int) -> Iterator[tuple[list[Row], int, float]]:
        """(rows, where to go on, share that is done) of each window up to `last`."""
        length, first = _FIRST_WINDOW, start
        while start <= last:
            end = min(start + length - 1, last)
            rows = self._rows(kind, start, end)
            start = end + 1
            if not rows and start <= last:
                following = self._time(kind, "ASC", start=start)
                start = last + 1 if following is None else following
            yield rows, start, (start - first) / (last + 1 - first)
            factor = min(max(WINDOW_ROWS / (len(rows) or 1), 1 / _STEP), _STEP)
            length = max(int(length * factor), _LEAST_WINDOW)

    def _rows(self, kind: InfluxKind, start: int, end: int) -> list[Row]:
        """The rows of one window; `values` counts along."""
        columns = sorted({quantity.column for quantity in kind.quantities.values()})
        said: dict[tuple[str, str, int], dict[str, Value]] = {}
        found = []
        for series in self._select(columns, kind, start, end, "GROUP BY *"):
            device = series.tags.get(kind.device_tag, "")
            controller = series.tags.get(kind.controller_tag or "", "")
            for row in series.values:
                values = {name: value for name, value in zip(columns, row[1:], strict=True) if value is not None}
                time = int(row[0] or 0)
                self.values += len(values)
                before = said.setdefault((controller, device, time), {})
                made = influx_row(kind, series.tags, time, values)
                contradicts = any(before.setdefault(name, value) != value for name, value in values.items())
                found.append(Row(made.topic, b"") if contradicts else made)
        return found

    def _time(self, kind: InfluxKind, order: str, *, start: int | None = None) -> int | None:
        """The first (ASC) or last (DESC) time of a measurement, from `start` on; None when there is nothing."""
        columns = sorted({quantity.column for quantity in kind.quantities.values()})
        found = self._select(columns, kind, start, None, f"ORDER BY time {order} LIMIT 1")
        return next((int(row[0] or 0) for rows in found for row in rows.values), None)

    def _count(self) -> int:
        """Values that are there of what was read."""
        total = 0
        for kind, last in zip(self._kinds, self._lasts, strict=True):
            columns = sorted({quantity.column for quantity in kind.quantities.values()})
            answer = self._select(columns, kind, None, last, call="COUNT")
            total += sum(int(count or 0) for rows in answer for row in rows.values for count in row[1:])
        return total

    def _bucket(self) -> Bucket:
        """What of an InfluxDB 2 was read. Raises Refused, SourceUnreachable."""
        with _told():
            return Bucket.read_as(self._server, self._organisation, self._database, self._policy)

    def _other_policies(self) -> list[str]:
        """Retention policies that were not read."""
        policies = [
            row for rows in self._ask(f"SHOW RETENTION POLICIES ON {quoted(self._database)}") for row in rows.named()
        ]
        return [
            str(row["name"]) for row in policies if row["name"] != self._policy and (self._policy or not row["default"])
        ]

    def _require_read_alone(self, *, others: Sequence[str]) -> None:
        """Raises Refused where a delete would take what was not read."""
        for number, (kind, last) in enumerate(zip(self._kinds, self._lasts, strict=True)):
            where = _condition(kind, None, last)
            alike = [k for k in self._kinds if (k.measurement, k.where) == (kind.measurement, kind.where)]
            known = {quantity.column for k in alike for quantity in k.quantities.values()}.union(
                *(k.ignore for k in alike)
            )
            unknown = sorted(self._counted(self._policy, kind, where) - known)
            if unknown:
                raise Refused(
                    f"influxdb[{number}]: deleting would take fields that were not read: {', '.join(unknown)}",
                    hint="name them in `ignore`, if they may go with the rest",
                )
            if any(self._counted(policy, kind, where) for policy in others):
                raise Refused(
                    f"influxdb[{number}]: deleting would take it from other retention policies too",
                    hint="everything was imported: drop what may go yourself",
                )

    def _counted(self, policy: str, kind: InfluxKind, where: str) -> set[str]:
        """Fields of which there is something."""
        source = f"{quoted(policy)}.{quoted(kind.measurement)}" if policy else quoted(kind.measurement)
        answer = self._ask(f"SELECT COUNT(*) FROM {source} WHERE {where}")  # noqa: S608 - quoted
        return {
            name.removeprefix("count_")
            for rows in answer
            for row in rows.values
            for name, count in zip(rows.columns[1:], row[1:], strict=True)
            if count
        }

    def _named(self, what: str, kind: InfluxKind) -> set[str]:
        """Names of the FIELDs or TAGs of a measurement."""
        answer = self._ask(f"SHOW {what} KEYS FROM {self._source(kind)}")
        return {str(row[0]) for rows in answer for row in rows.values}

    def _select(  # noqa: PLR0913 - the parts of a statement
        self,
        columns: Sequence[str],
        kind: InfluxKind,
        start: int | None,
        end: int | None,
        tail: str = "",
        *,
        call: str = "",
    ) -> Iterator[Rows]:
        wanted = ", ".join(f"{call}({quoted(column)})" if call else quoted(column) for column in columns)
        where = _condition(kind, start, end)
        condition = f"WHERE {where}" if where else ""
        return self._ask(f"SELECT {wanted} FROM {self._source(kind)} {condition} {tail}")  # noqa: S608 - quoted

    def _source(self, kind: InfluxKind) -> str:
        return f"{quoted(self._policy)}.{quoted(kind.measurement)}" if self._policy else quoted(kind.measurement)

    def _ask(self, statement: str) -> Iterator[Rows]:
        with _told():
            yield from self._influxql.ask(statement)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """A server's fault as one of the source, whose hint is another one than a store's."""
    try:
        yield
    except StoreUnreachable as fault:
        raise SourceUnreachable(str(fault), hint=fault.hint if fault.hint == _LOGIN else None) from None


def _condition(kind: InfluxKind, start: int | None, end: int | None) -> str:
    """Times from start to end, both included, ns, and the tags of `where`."""
    parts = [f"{quoted(tag)} = {_text(value)}" for tag, value in kind.where.items()]
    parts += [] if start is None else [f"time >= {start}"]
    parts += [] if end is None else [f"time <= {end}"]
    return " AND ".join(parts)


def _text(value: str) -> str:
    """An InfluxQL string."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _parsed(url: str) -> tuple[str, str, str, str, str]:
    """Version, address, organisation, database and retention policy. Raises UsageFault."""
    found = _URL.fullmatch(url)
    names = found["names"].split("/") if found else []
    if found is None or len(names) != int(found[1]) or not all(names) or not 0 < int(found["port"] or 1) <= _PORT_MAX:
        raise UsageFault("--influxdb: this is no address of an InfluxDB", hint=f"write {_ADDRESS}, without a login")
    return found[1], found[2], names[0], names[-1], found["policy"] or ""
