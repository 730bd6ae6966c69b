"""InfluxDB 2.x: written, deleted and set up through influxdb-client, read with InfluxQL.

The client's generated services are called, not its conveniences: they pass our line protocol on as it is, in one
request that is tried once, and let redirections be forbidden, which would carry the token elsewhere.

An answer to a write means that the batch is on disk, as in 1.x. 400 refuses a request as a whole and 422 stores what it
can; both are halved alike until the offending points are alone, and what was stored is stored again. A delete is by
measurement and series, one request each: its predicates know no OR.

Reading asks `/query` for a database of the bucket's name, which InfluxDB 2 maps to the bucket by itself.

Source: InfluxDB 2 API reference; influxdb-client 1.50. Which of it ran against a real InfluxDB 2: docs/stores.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NoReturn

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain.bucket import Bucket
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.delete_predicate_request import DeletePredicateRequest
from influxdb_client.domain.post_bucket_request import PostBucketRequest
from influxdb_client.rest import ApiException
from influxdb_client.service.buckets_service import BucketsService
from influxdb_client.service.delete_service import DeleteService
from influxdb_client.service.organizations_service import OrganizationsService
from influxdb_client.service.write_service import WriteService

from gateway.errors import ConfigurationFault
from gateway.model.sealed import ACCEPTED, Outcome, SealedPoint
from gateway.transport.http import (
    NO_CONTENT,
    NOT_FOUND,
    REFUSALS,
    TOO_LARGE,
    UNPROCESSABLE,
    Server,
    Speech,
    retry_after,
    time_of,
)
from gateway.transport.influxql import GROUP, InfluxQL, checked, grouped
from gateway.transport.lineprotocol import render
from gateway.transport.pools import POOLS
from gateway.transport.retention import kept, mismatch, older_than
from gateway.transport.store import TIMEOUT_S, Health, Login, Portion, StoreUnreachable, without

_BEGIN, _END = "1677-09-21T00:12:43.145224194Z", "2262-04-11T23:47:16.854775806Z"  # all that it can hold
_ONCE = {"redirect": False}
_TEXT = "text/plain; charset=utf-8"
_SPEECH = Speech(
    hints={
        401: "give store.token_file of a token that may read and write this bucket",
        404: "see that store.url names an organisation and a bucket that exist; `glomska init` makes the bucket",
        429: "it is asked too much; it is tried again later",
    },
    refusals={
        b"field type conflict": ("a field exists there with another type", "write into a bucket of the gateway's own"),
        b"beyond retention policy": (
            "points are older than its bucket keeps",
            "make that retention as long as `glomska doctor` says",
        ),
    },
    faults={},
)


class Influx2Store:
    """One bucket of one organisation. Implements `Store`."""

    def __init__(  # noqa: PLR0913 - what names a bucket, and how it is used
        self,
        url: str,
        *,
        organisation: str,
        bucket: str,
        login: Login | None = None,
        keep_days: int = 0,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`url` is scheme, host and port; `login` is a token.

        `keep_days` is how long the bucket shall keep points; 0: for ever, and what it does is not judged.
        """
        token = "" if login is None else login.token.decode()
        self._server = Server(url, name="InfluxDB", speech=_SPEECH, timeout_s=timeout_s, login=login)
        self._portion = Portion()
        self._influxql = InfluxQL(self._server, database=bucket)
        self._client = InfluxDBClient(url, token, org=organisation, timeout=round(timeout_s * 1000))
        self._client.api_client.rest_client.pool_manager.pool_classes_by_scheme = POOLS
        self._organisation, self._bucket, self._keep_days = organisation, bucket, keep_days

    def write(self, points: Sequence[SealedPoint]) -> Outcome:
        """See `Store`. Where the server finds a batch too large, or some of it too old, the rest is kept."""
        sent, kept = self._portion.of(points)
        body, refused = render(sent)
        try:
            if body:
                self._post(body)
                self._portion.taken()
        except ApiException as error:
            if error.status == TOO_LARGE:
                return self._portion.too_large(points, len(sent))
            if error.status == UNPROCESSABLE and b"beyond retention policy" in _said(error):
                too_old = older_than(points, self._kept_hours())
                if too_old:
                    return without(points, too_old)
            if error.status in REFUSALS:
                return self._portion.refused(points, len(sent), self._server.refusal(error.status, _said(error)))
            self._failed(error)
        return Outcome(rejected=refused, kept=kept) if refused or kept else ACCEPTED

    def query(self, measurement: str, pseudonyms: Sequence[str], start: int, end: int) -> Iterator[SealedPoint]:
        """See `Store`. A piece of an answer is in memory at most."""
        return self._influxql.points(measurement, pseudonyms, start, end)

    def delete(self, measurements: Iterable[str], pseudonyms: Sequence[str]) -> int:
        """See `Store`. Counts, deletes, and counts again: what is left then is a fault."""
        names = sorted(set(measurements))
        if not names:
            return 0
        gone = 0
        for group in grouped(sorted(set(pseudonyms)), GROUP):
            seen = self._influxql.count(names, group)
            for measurement, pseudonym in product(names, checked(group)):
                self._delete_one(measurement, pseudonym)
            if self._influxql.count(names, group):
                self._server.came_back()
            gone += seen
        return gone

    def prepare(self) -> str:
        """See `Store`. Creates the bucket."""
        bucket = self._find_bucket()
        if bucket is None:
            rules = [BucketRetentionRules(type="expire", every_seconds=self._keep_days * 86_400)]
            with self._faults():
                request = PostBucketRequest(name=self._bucket, org_id=self._organisation_id(), retention_rules=rules)
                BucketsService(self._client.api_client).post_buckets(request, urlopen_kw=_ONCE)
        health = self.health()
        if not health.ok:
            raise ConfigurationFault(health.detail, hint=health.hint)
        made = "made" if bucket is None else "is there already"
        return f"bucket {self._bucket} {made}, keeps points {kept(self._keep_days * 24)}"

    def health(self) -> Health:
        """It is a 2.x, lets us in, and has the bucket, which keeps points as long as the policy says."""
        try:
            said = self._server.request("GET", "/ping").headers
            version = said.get("X-Influxdb-Version", "of unknown version")
            detail = f"{self._server.where}, {version}, bucket {self._bucket}"
            if version.removeprefix("v").startswith("1."):
                return Health(ok=False, detail=detail, hint="write influxdb1+… in store.url for a server of version 1")
            bucket = self._find_bucket()
            if bucket is None:
                return Health(ok=False, detail=f"{detail} is not there", hint="`glomska init` makes it")
            next(self._influxql.ask("SHOW MEASUREMENTS LIMIT 1"), None)  # it can be read as well
        except StoreUnreachable as fault:
            return Health(ok=False, detail=str(fault), hint=fault.hint)
        wrong = mismatch(_hours(bucket), self._keep_days)
        hint = (
            f"look at what that deletes, then give the bucket a retention of {self._keep_days * 24}h" if wrong else ""
        )
        return Health(ok=not wrong, detail=f"{detail} {wrong}".rstrip(), hint=hint, time=time_of(said))

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()
        self._server.close()

    def _post(self, body: bytes) -> None:
        """Raises ApiException for an answer, StoreUnreachable for none, or for a success that is not InfluxDB's."""
        with self._server.guarded(), self._server.deadline():
            _, status, _ = WriteService(self._client.api_client).post_write_with_http_info(
                org=self._organisation,
                bucket=self._bucket,
                body=body,
                precision="ns",
                content_type=_TEXT,
                urlopen_kw=_ONCE,
            )
        if status != NO_CONTENT:  # the library takes any 2xx, as of a proxy that has a page for logging in
            self._server.foreign()

    def _delete_one(self, measurement: str, pseudonym: str) -> None:
        name = measurement.replace("\\", "\\\\").replace('"', '\\"')
        predicate = f'_measurement="{name}" AND "series"="{pseudonym}"'  # without quotes the second is a keyword
        request = DeletePredicateRequest(start=_BEGIN, stop=_END, predicate=predicate)
        with self._faults():
            DeleteService(self._client.api_client).post_delete(
                request, org=self._organisation, bucket=self._bucket, urlopen_kw=_ONCE
            )

    def _find_bucket(self) -> Bucket | None:
        with self._faults():
            try:
                found = BucketsService(self._client.api_client).get_buckets(
                    name=self._bucket, org=self._organisation, urlopen_kw=_ONCE
                )
            except ApiException as error:
                if error.status == NOT_FOUND and b"bucket" in _said(error):
                    return None
                raise
            return next((bucket for bucket in found.buckets if bucket.name == self._bucket), None)

    def _organisation_id(self) -> str:
        found = OrganizationsService(self._client.api_client).get_orgs(org=self._organisation, urlopen_kw=_ONCE)
        return str(found.orgs[0].id)

    def _kept_hours(self) -> int | None:
        bucket = self._find_bucket()
        return None if bucket is None else _hours(bucket)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turns what the library raises into our own."""
        try:
            with self._server.guarded():
                yield
        except ApiException as error:
            self._failed(error)
        except (AttributeError, IndexError, TypeError, ValueError):  # it could not make its objects of the answer
            self._server.foreign()

    def _failed(self, error: ApiException) -> NoReturn:
        if not error.status:  # the library's word for a TLS connection that did not come about
            self._server.unable("be trusted", "see that its certificate is of an authority that this system knows")
        self._server.fail(error.status, _said(error), retry_after=retry_after(error.headers or {}))


def _said(error: ApiException) -> bytes:
    return str(error.body or "").encode()


def _hours(bucket: Bucket) -> int:
    """How long it keeps points; 0 for ever."""
    return sum(int(rule.every_seconds or 0) for rule in bucket.retention_rules or [] if rule.type == "expire") // 3600
