"""VictoriaMetrics: `/api/v2/write` in, the export API out, `delete_series` to delete. Numbers only.

What differs from the other stores, by its nature:

- It drops text, and with it all that is sealed. A point with a sealed value is refused here (`store`); a policy that
  seals anything is refused before it comes to that.
- Times are kept to the millisecond. What lies between two is cut off, so of two readings of one quantity and device
  within a millisecond one is left.
- The same point written twice is two until it deduplicates: it must run with `-dedup.minScrapeInterval=1ms`. Of two
  values of one name and time either may be left; sealed or clear, ours are equal then, since a correction is another
  name.
- Numbers come back to 12 digits: it keeps them as decimals. Time 0 means now to it, and is refused.
- What lies outside `-retentionPeriod`, or more than two days ahead, it drops without a word. So it is refused here.
- An answer to a write says that it is in memory: seconds later it may be lost with the process. Neither waiting nor
  `/internal/force_flush` changes that, but making a snapshot writes all of it to disk first, index included. So every
  write and every delete ends with a snapshot, which is removed again. See ADR 0017.

A metric is `MEASUREMENT_FIELD`; the label `measurement` keeps the two apart, since both may contain `_`.

Source: VictoriaMetrics documentation; behaviour seen on 1.79.5.
"""

from __future__ import annotations

import re
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from gateway.errors import ConfigurationFault
from gateway.model.sealed import ACCEPTED, Outcome, Reason, SealedPoint
from gateway.transport.http import NO_CONTENT, OK, TOO_LARGE, Server, Speech, time_of
from gateway.transport.influxql import CHUNK_ROWS, GROUP, checked, grouped
from gateway.transport.lineprotocol import render
from gateway.transport.retention import mismatch, older_than
from gateway.transport.store import (
    TIMEOUT_S,
    Health,
    Login,
    Portion,
    StoreRefused,
    StoreUnreachable,
    without,
)

MS = 1_000_000
AHEAD_NS = 2 * 86_400 * 1_000 * MS - 3_600_000 * MS  # two days, less an hour for clocks that differ
_TIME_MS_MAX = 9_000_000_000_000  # of a selector; later than all that it keeps
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_SPEECH = Speech(hints={404: "see that store.url names a VictoriaMetrics of one node"}, refusals={}, faults={})
_FLAG = re.compile(rb'^flag\{name="(dedup\.minScrapeInterval|retentionPeriod)", ?value="([^"]*)"', re.MULTILINE)
_VERSION = re.compile(rb'^vm_app_version\{[^}]*short_version="([^"]*)"', re.MULTILINE)
_PERIOD = re.compile(r"(\d+(?:\.\d+)?)([hdwy]?)")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24, "": 31 * 24}


class _TooLarge(Exception):
    """The server will not take so much in one request."""


class _Exported(msgspec.Struct):
    metric: dict[str, str]
    values: list[float | None]
    timestamps: list[int]


class _Snapshot(msgspec.Struct):
    status: str
    snapshot: str = ""


_series = msgspec.json.Decoder(_Exported).decode
_snapshot = msgspec.json.Decoder(_Snapshot).decode


class VictoriaStore:
    """One server. Implements `Store`."""

    def __init__(
        self, url: str, *, login: Login | None = None, keep_days: int = 0, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`url` is scheme, host and port. `keep_days` is how long it shall keep points; 0: that is not judged."""
        self._server = Server(url, name="VictoriaMetrics", speech=_SPEECH, timeout_s=timeout_s, login=login)
        self._portion = Portion()
        self._keep_days = keep_days
        self._kept_hours = 0  # known and not 0 once it was asked how it is set up

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """See `Store`. On disk when it returns; the first write also asks whether it is set up for us."""
        if not points:
            return ACCEPTED
        if not self._kept_hours:
            self._kept_hours = self._settings()
        refused = {index: Reason.STORE for index, point in enumerate(points) if point.value or point.time < MS}
        refused |= older_than(points, self._kept_hours)
        ahead = time.time_ns() + AHEAD_NS
        refused |= {index: Reason.FUTURE for index, point in enumerate(points) if point.time > ahead}
        if refused:
            return without(points, refused)
        sent, kept = self._portion.of(points)
        try:
            rejected = self._send(sent)
        except _TooLarge:
            return self._portion.too_large(points, len(sent))
        except StoreRefused as fault:
            return self._portion.refused(points, len(sent), fault)
        self._portion.taken()
        if len(rejected) < len(sent):
            self._make_durable()
        return Outcome(rejected=rejected, kept=kept) if rejected or kept else ACCEPTED

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """See `Store`. The numbers of `GROUP` series are in memory."""
        first, last = max(-(-start // MS), 0), min((end - 1) // MS, _TIME_MS_MAX)
        if first > last:
            return
        for group in grouped(sorted(set(pseudonyms)), GROUP):
            found = [
                SealedPoint.parse(
                    measurement=measurement,
                    pseudonym=series.metric["series"],
                    area=series.metric.get("area", ""),
                    time=at * MS,
                    field=series.metric["__name__"].removeprefix(f"{measurement}_"),
                    value=value,
                )
                for series in self._export(measurement, group, first, last)
                for at, value in zip(series.timestamps, series.values, strict=True)
                if value is not None
            ]
            yield from sorted(found, key=lambda p: (p.series.pseudonym, p.time, p.clear[0][0], p.series.area))

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """See `Store`. Counts, deletes, and counts again: what is left then is a fault."""
        gone = 0
        for measurement in sorted(set(measurements)):
            for group in grouped(sorted(set(pseudonyms)), GROUP):
                seen = self._count(measurement, group)
                form = urllib.parse.urlencode({"match[]": _selector(measurement, group)}).encode()
                response = self._server.request("POST", "/api/v1/admin/tsdb/delete_series", body=form, headers=_FORM)
                if response.status not in {OK, NO_CONTENT}:
                    self._server.failed(response)
                self._make_durable()
                if self._count(measurement, group):
                    self._server.came_back()
                gone += seen
        return gone

    def prepare(self) -> str:
        """See `Store`: it has no databases, and how long it keeps points stands in its command line alone."""
        health = self.health()
        if not health.ok:
            raise ConfigurationFault(health.detail, hint=health.hint)
        return f"{health.detail} is set up"

    def health(self) -> Health:
        """It answers, deduplicates by the millisecond, and keeps points for as long as the policy says."""
        try:
            metrics, time = self._metrics()
            detail = f"{self._server.where}, {_version(metrics)}"
            hours = self._settings()
        except StoreUnreachable as fault:
            return Health(ok=False, detail=str(fault), hint=fault.hint)
        wrong = mismatch(hours, self._keep_days)
        hint = f"start it with -retentionPeriod={self._keep_days}d" if wrong else ""
        return Health(ok=not wrong, detail=f"{detail} {wrong}".rstrip(), hint=hint, time=time)

    def close(self) -> None:
        """Close the pooled connections."""
        self._server.close()

    def _send(self, points: Sequence[SealedPoint]) -> dict[int, Reason]:
        """One request a measurement, which has to be named beside the lines."""
        by_measurement: dict[str, list[int]] = defaultdict(list)
        for index, point in enumerate(points):
            by_measurement[point.series.measurement].append(index)
        rejected: dict[int, Reason] = {}
        for measurement, indexes in by_measurement.items():
            refused = self._send_one(measurement, [points[index] for index in indexes])
            rejected |= {indexes[index]: reason for index, reason in refused.items()}
        return rejected

    def _send_one(self, measurement: str, points: Sequence[SealedPoint]) -> Mapping[int, Reason]:
        body, refused = render(points)
        if body:
            label = urllib.parse.quote(f"measurement={measurement}", safe="")
            response = self._server.request("POST", f"/api/v2/write?precision=ns&extra_label={label}", body=body)
            if response.status == TOO_LARGE:
                raise _TooLarge
            if response.status != NO_CONTENT:
                self._server.failed(response)
        return refused

    def _make_durable(self) -> None:
        """All that it holds in memory goes to disk before a snapshot is made, and the snapshot goes again."""
        made = self._answer("/snapshot/create")
        if made.status != "ok":
            self._server.unable("make a snapshot", "see that its disk has room and that no -snapshotAuthKey is set")
        self._answer(f"/snapshot/delete?snapshot={urllib.parse.quote(made.snapshot)}")

    def _answer(self, path: str) -> _Snapshot:
        response = self._server.request("POST", path)
        if response.status != OK:
            self._server.failed(response)
        try:
            return _snapshot(response.data)
        except msgspec.DecodeError:
            self._server.foreign()

    def _export(self, measurement: str, pseudonyms: Sequence[str], first: int, last: int) -> Iterator[_Exported]:
        """Series with times in ms, first and last included."""
        form = {
            "match[]": _selector(measurement, pseudonyms),
            "start": f"{first / 1000:.3f}",
            "end": f"{last / 1000:.3f}",
            "max_rows_per_line": CHUNK_ROWS,  # else a line has all of a series
        }
        lines = self._server.lines("POST", "/api/v1/export", body=urllib.parse.urlencode(form).encode(), headers=_FORM)
        try:
            yield from map(_series, lines)
        except msgspec.DecodeError:
            self._server.foreign()

    def _count(self, measurement: str, pseudonyms: Sequence[str]) -> int:
        return sum(len(series.timestamps) for series in self._export(measurement, pseudonyms, 0, _TIME_MS_MAX))

    def _metrics(self) -> tuple[bytes, int | None]:
        """What it says of itself, and its time (ns)."""
        response = self._server.request("GET", "/metrics")
        if response.status != OK:
            self._server.failed(response)
        return response.data, time_of(response.headers)

    def _settings(self) -> int:
        """For how many hours it keeps points. Raises StoreRefused when it would not deduplicate them."""
        flags = {name: value.decode() for name, value in _FLAG.findall(self._metrics()[0])}
        period = _PERIOD.fullmatch(flags.get(b"retentionPeriod", ""))
        if period is None:
            self._server.foreign()
        if flags.get(b"dedup.minScrapeInterval") != "1ms":
            raise StoreRefused(
                f"{self._server.where} keeps a point that is written again twice",
                hint="start it with -dedup.minScrapeInterval=1ms",
            )
        return int(float(period[1]) * _HOURS[period[2]])


def _version(metrics: bytes) -> str:
    found = _VERSION.search(metrics)
    return (found[1].decode() if found else "") or "of unknown version"


def _selector(measurement: str, pseudonyms: Sequence[str]) -> str:
    """Of these series. Raises ValueError for what is no pseudonym."""
    names = "|".join(checked(pseudonyms))
    text = measurement.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{measurement="{text}",series=~"{names}"}}'
