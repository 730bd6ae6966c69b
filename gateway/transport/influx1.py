"""InfluxDB 1.x: `/write` in, InfluxQL `/query` out, `DROP SERIES` to delete.

Asked of the server: an index on disk and no limit on series (`index-version = "tsi1"`, `max-values-per-tag = 0`,
`max-series-per-database = 0`), and the default `wal-fsync-delay = "0s"`, under which an answer to `/write` means that
the batch is on disk. The database is created by the first write that finds it missing; a second 404 is a fault.

Source: InfluxDB 1.6 API reference and InfluxQL reference; behaviour seen on 1.6.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from gateway.errors import ConfigurationFault
from gateway.model.sealed import ACCEPTED, Outcome, SealedPoint
from gateway.transport.http import BAD_REQUEST, NO_CONTENT, NOT_FOUND, REFUSALS, TOO_LARGE, Server, Speech, time_of
from gateway.transport.influxql import GROUP, InfluxQL, any_of, grouped, quoted
from gateway.transport.lineprotocol import render
from gateway.transport.retention import kept, mismatch, older_than
from gateway.transport.store import TIMEOUT_S, Health, Login, Portion, StoreUnreachable, without

_SERIES_LIMIT = "set max-values-per-tag = 0 and max-series-per-database = 0 in influxdb.conf, and restart it"
_CONFLICT = ("a field exists there with another type", "write into a database of the gateway's own")
_SPEECH = Speech(
    hints={
        404: "see that store.url names an InfluxDB 1.x and a database that may be created",
        429: "it is asked too much; it is tried again later",
    },
    refusals={
        b"max-values-per-tag": ("its limit on values of a tag is reached", _SERIES_LIMIT),
        b"max-series-per-database": ("its limit on series is reached", _SERIES_LIMIT),
        b"field type conflict": _CONFLICT,
        b"beyond retention policy": (
            "points are older than its retention policy",
            "make that retention as long as `glomska doctor` says",
        ),
    },
    faults={
        b"retention policy not found": ("it has no such retention policy", "create it, or correct ?rp= in store.url"),
    },
)
_HOURS = re.compile(r"(\d+)h(\d+)m(\d+)s")


class Influx1Store:
    """One database of one server. Implements `Store`."""

    def __init__(  # noqa: PLR0913 - what names a database, and how it is used
        self,
        url: str,
        *,
        database: str,
        retention_policy: str = "",
        login: Login | None = None,
        keep_days: int = 0,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`url` is scheme, host and port; without `retention_policy` the database's default one is used.

        `keep_days` is how long the server shall keep points; 0: for ever, and what it does is not judged.
        """
        self._server = Server(url, name="InfluxDB", speech=_SPEECH, timeout_s=timeout_s, login=login)
        self._influxql = InfluxQL(self._server, database=database, retention_policy=retention_policy)
        self._portion = Portion()
        self._just_created = False
        self._database = database
        self._policy = retention_policy
        self._keep_days = keep_days
        policy = f"&rp={retention_policy}" if retention_policy else ""
        self._write_path = f"/write?db={database}&precision=ns{policy}"

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """See `Store`. Where the server finds a batch too large, or some of it too old, the rest is kept."""
        sent, kept = self._portion.of(points)
        body, refused = render(sent)
        if body:
            response = self._server.request("POST", self._write_path, body=body)
            self._just_created = response.status == NOT_FOUND and not self._just_created
            if self._just_created:
                self._create_database()
                return Outcome(kept=range(len(points)))
            if response.status == TOO_LARGE:
                return self._portion.too_large(points, len(sent))
            if response.status == BAD_REQUEST and b"beyond retention policy" in response.data:
                too_old = older_than(points, self._kept_hours())
                if too_old:
                    return without(points, too_old)
            if response.status in REFUSALS:
                return self._portion.refused(points, len(sent), self._server.refusal(response.status, response.data))
            if response.status != NO_CONTENT:
                self._server.failed(response)
            self._portion.taken()
        return Outcome(rejected=refused, kept=kept) if refused or kept else ACCEPTED

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """See `Store`. A piece of an answer is in memory at most."""
        return self._influxql.points(measurement, pseudonyms, start, end)

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """See `Store`. Counts, drops, and counts again: what is left then is a fault."""
        names = sorted(set(measurements))
        if not names:
            return 0
        gone = 0
        for group in grouped(sorted(set(pseudonyms)), GROUP):
            seen = self._influxql.count(names, group)
            self._do(f"DROP SERIES FROM {','.join(map(quoted, names))} WHERE {any_of(group)}")
            if self._influxql.count(names, group):
                self._server.came_back()
            gone += seen
        return gone

    def prepare(self) -> str:
        """See `Store`. Creates the database, and the retention policy that `?rp=` names."""
        database, days = quoted(self._database), self._keep_days
        what = f"database {self._database}"
        if not self._exists():
            self._create_database()
            made = f"{what} made"
        elif self._policy and self._kept_hours() is None:
            duration = f"{days}d" if days else "INF"
            self._do(f"CREATE RETENTION POLICY {quoted(self._policy)} ON {database} DURATION {duration} REPLICATION 1")
            made = f"retention policy {self._policy} made in {what}"
        else:
            made = f"{what} is there already"
        health = self.health()
        if not health.ok:
            raise ConfigurationFault(health.detail, hint=health.hint)
        return f"{made}, keeps points {kept(days * 24)}"

    def health(self) -> Health:
        """It answers, and neither limits on series, nor how long it keeps points, nor how it writes them is wrong."""
        try:
            said = self._server.request("GET", "/ping").headers
            version = said.get("X-Influxdb-Version", "of unknown version")
            detail = f"{self._server.where}, {version}, database {self._database}"
            if not self._exists():
                detail += " (the first write creates it)"
                fault = ("", "")
            else:
                fault = self._retention_fault()
            fault = self._settings_fault() if not any(fault) else fault
        except StoreUnreachable as unreachable:
            return Health(ok=False, detail=str(unreachable), hint=unreachable.hint)
        what, hint = fault
        return Health(ok=not what, detail=detail + what, hint=hint, time=time_of(said))

    def close(self) -> None:
        """Close the pooled connections."""
        self._server.close()

    def _do(self, statement: str) -> None:
        for _rows in self._influxql.ask(statement):  # none that matter, however many there are
            pass

    def _create_database(self) -> None:
        """With its retention from the first moment on, or the policy that `?rp=` names as its default one."""
        parts = [f"CREATE DATABASE {quoted(self._database)}"]
        if self._keep_days:
            parts.append(f"WITH DURATION {self._keep_days}d")
            parts.append(f"NAME {quoted(self._policy)}" if self._policy else "")
        self._do(" ".join(parts))

    def _exists(self) -> bool:
        return any(self._database in row for rows in self._influxql.ask("SHOW DATABASES") for row in rows.values)

    def _kept_hours(self) -> int | None:
        """How long points are kept; 0 for ever, None when the retention policy is missing."""
        answer = self._influxql.ask(f"SHOW RETENTION POLICIES ON {quoted(self._database)}")
        for row in (row for rows in answer for row in rows.named()):
            if row["name"] == self._policy or (not self._policy and row["default"]):
                hours = _HOURS.match(str(row["duration"]))
                return int(hours[1]) if hours else 0
        return None

    def _retention_fault(self) -> tuple[str, str]:
        """What is wrong and what to do, or two empty strings."""
        hours = self._kept_hours()
        if hours is None:
            return f" without retention policy {self._policy}", "create it, or correct ?rp= in store.url"
        wrong = mismatch(hours, self._keep_days)
        policy, duration = quoted(self._policy or "autogen"), f"{self._keep_days}d SHARD DURATION 7d"
        alter = f"ALTER RETENTION POLICY {policy} ON {quoted(self._database)} DURATION {duration}"
        return (f" {wrong}", f"look at what that deletes, then give InfluxDB: {alter}") if wrong else ("", "")

    def _settings_fault(self) -> tuple[str, str]:
        """Limits on series, and a write that is answered before it is on disk."""
        named = ("max-series-per-database", "max-values-per-tag")
        answer = self._influxql.ask("SHOW DIAGNOSTICS")
        data = next((row for rows in answer if rows.name == "config-data" for row in rows.named()), {})
        limits = [name for name in named if data.get(name)]
        if limits:
            return f", limited by {' and '.join(limits)}", _SERIES_LIMIT
        if str(data.get("wal-fsync-delay", "0s")) != "0s":
            return ", answers before a write is on disk", 'set wal-fsync-delay = "0s" in influxdb.conf, and restart it'
        return "", ""
