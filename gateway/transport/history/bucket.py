"""The bucket of an InfluxDB 2 that InfluxQL reads a database from, and deleting in it what an import has read.

InfluxQL asks for a database and a retention policy, which mappings (DBRP) lead to a bucket: such that somebody made,
and one that the server makes up of each bucket's name. A purge has to delete in the very bucket that was read, so where
more than one could be meant, or none is told, that is refused and nothing is deleted.

    bucket = Bucket.read_as(server, "home", "plain", "")
    bucket.delete("thermostats", {"floor": "1"}, last)

A predicate knows `=` and AND alone, which is all that a mapping of history has.

Source: InfluxDB 2 API reference, /api/v2/dbrps, /api/v2/buckets, /api/v2/delete; dbrp/service.go and
http/delete_handler.go of its source: mappings that a server makes up are listed with the others, both ends of the time
are included, and names in double quotes are taken as they are.
"""

from __future__ import annotations

import datetime as dt
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from gateway.errors import Refused
from gateway.transport.http import NO_CONTENT, NOT_FOUND, OK, Server
from gateway.transport.influxql import quoted

_FIRST = "1677-09-21T00:12:43.145224194Z"  # the earliest time that it can hold
_UNNAMED = "autogen"  # the retention policy of a bucket whose name has none
_JSON = {"Content-Type": "application/json"}
_BY_HAND = "everything was imported: delete what may go yourself, with `influx delete`"
_SECOND = 10**9
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

T = TypeVar("T", bound=msgspec.Struct)


class _Leads(msgspec.Struct):
    database: str
    retention_policy: str
    default: bool
    bucketID: str  # noqa: N815 - its name there


class _Mappings(msgspec.Struct):
    content: list[_Leads] | None = None


class _Named(msgspec.Struct):
    id: str
    name: str


class _Buckets(msgspec.Struct):
    buckets: list[_Named] = []


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of one organisation, by its id."""

    server: Server
    organisation: str
    id: str

    @classmethod
    def read_as(cls, server: Server, organisation: str, database: str, policy: str) -> Bucket:
        """The one that is read under these names; without `policy`, the default one.

        Raises Refused where that cannot be told for certain, StoreUnreachable.
        """
        listed = _asked(server, "/api/v2/dbrps", {"org": organisation, "db": database}, _Mappings).content or []
        alike = (one for one in listed if one.database == database)
        meant = {one.bucketID for one in alike if (one.retention_policy == policy if policy else one.default)}
        names = {f"{database}/{policy or _UNNAMED}"} | ({database} if policy in {"", _UNNAMED} else set())
        for name in sorted(names):
            there = _asked(server, "/api/v2/buckets", {"org": organisation, "name": name}, _Buckets).buckets
            meant |= {one.id for one in there if one.name == name}
        if len(meant) != 1:
            what = "these names may mean several buckets" if meant else "no bucket has these names"
            raise Refused(f"{what}: nothing was deleted from the source", hint=_BY_HAND)
        return cls(server, organisation, meant.pop())

    def delete(self, measurement: str, tags: Mapping[str, str], last: int) -> None:
        """Everything of a measurement that has these tags, up to and with `last` ns. Raises StoreUnreachable."""
        parts = {"_measurement": measurement} | dict(tags)
        predicate = " AND ".join(f"{quoted(name)}={quoted(value)}" for name, value in parts.items())
        body = json.dumps({"start": _FIRST, "stop": _written(last), "predicate": predicate}).encode()
        where = urllib.parse.urlencode({"org": self.organisation, "bucketID": self.id})
        answer = self.server.request("POST", f"/api/v2/delete?{where}", body=body, headers=_JSON)
        if answer.status != NO_CONTENT:
            self.server.failed(answer)


def _asked(server: Server, path: str, query: Mapping[str, str], shape: type[T]) -> T:
    """One document; an empty one where the server knows nothing of that name."""
    answer = server.request("GET", f"{path}?{urllib.parse.urlencode(query)}")
    if answer.status == NOT_FOUND:
        return shape()
    if answer.status != OK:
        server.failed(answer)
    try:
        return msgspec.json.decode(answer.data, type=shape)
    except msgspec.DecodeError:
        server.foreign()


def _written(time: int) -> str:
    second = _EPOCH + dt.timedelta(seconds=time // _SECOND)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{time % _SECOND:09}Z"
