"""What InfluxDB 2 documents of its HTTP interface, over a real InfluxDB 1.6 that holds the points.

It is not InfluxDB 2 and proves nothing about one. It is there so that our side of that interface runs at every test:
requests, tokens, errors, predicates, buckets. `GLOMSKA_TEST_INFLUXDB2` runs the same suite against a real one.

Source: InfluxDB 2 API reference: /api/v2/write, /api/v2/delete, /api/v2/buckets, /api/v2/dbrps, /api/v2/orgs, /query,
/ping.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import threading
import urllib.error
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from benchmarks.servers import InfluxDB1, free_port, http

ORGANISATION, TOKEN = "home", "token-of-the-test"
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_RULE = re.compile(rf"(?:{_QUOTED}|([A-Za-z_]\w*))={_QUOTED}")
_PREDICATE = re.compile(rf"{_RULE.pattern}(?: AND {_RULE.pattern})*")  # no OR
_ESCAPED = re.compile(r"\\(.)")
_HOURS = re.compile(r"(\d+)h")


class Documented:
    """A server that answers as InfluxDB 2 does. `bucket` is one that exists."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mappings: list[dict[str, Any]] = []
        self._influxdb = InfluxDB1()
        self._http: ThreadingHTTPServer | None = None

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._influxdb.start()
        handler = type("Handler", (_Handler,), {"influxdb": self._influxdb, "mappings": self.mappings})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def kill(self) -> None:
        """SIGKILL to what holds the points; nobody listens any more."""
        self._influxdb.kill()
        self._end()

    def create_bucket(self, name: str) -> None:
        self._influxdb.create_database(name)

    def map(self, database: str, policy: str, bucket: str, *, default: bool) -> None:
        """A mapping that somebody made."""
        leads = {"database": database, "retention_policy": policy, "bucketID": _id_of(bucket)}
        self.mappings.append({**leads, "default": default})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._influxdb.stop()

    def _end(self) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None


class _Handler(BaseHTTPRequestHandler):
    influxdb: InfluxDB1
    mappings: list[dict[str, Any]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer_to(b"")

    def do_POST(self) -> None:
        self._answer_to(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Tests say what they found by themselves."""

    def _answer_to(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        if path == "/ping":
            return self._give(204, headers={"X-Influxdb-Version": "v2.0.0-documented"})
        if self.headers["Authorization"] != f"Token {TOKEN}":
            return self._refuse(401, "unauthorized", "unauthorized access")
        routes = {
            "/query": self._query,
            "/api/v2/write": self._write,
            "/api/v2/delete": self._delete,
            "/api/v2/orgs": self._orgs,
            "/api/v2/buckets": self._buckets,
            "/api/v2/dbrps": self._dbrps,
        }
        return routes[path](asked, body)

    def _query(self, _asked: dict[str, str], body: bytes) -> None:
        try:
            self._give(200, http(f"{self.influxdb.http_url}/query", data=body))
        except urllib.error.HTTPError as error:
            self._refuse(error.code, "invalid", error.read().decode())

    def _write(self, asked: dict[str, str], body: bytes) -> None:
        if not self._has(asked):
            return self._refuse(404, "not found", f'bucket "{asked["bucket"]}" not found')
        try:
            http(f"{self.influxdb.http_url}/write?db={asked['bucket']}&precision={asked['precision']}", data=body)
        except urllib.error.HTTPError as error:
            said = error.read().decode()
            if "partial write" in said:
                return self._refuse(422, "unprocessable entity", f"failure writing points to database: {said}")
            return self._refuse(error.code, "invalid", said)
        return self._give(204)

    def _delete(self, asked: dict[str, str], body: bytes) -> None:
        wanted = json.loads(body)
        if _PREDICATE.fullmatch(wanted["predicate"]) is None or (bucket := self._bucket_asked(asked)) is None:
            return self._refuse(400, "invalid", "invalid request; error parsing request json: bad logical expression")
        rules = {_plain(key or name): _plain(value) for key, name, value in _RULE.findall(wanted["predicate"])}
        measurement = _as_name(rules.pop("_measurement"))
        parts = [f"{_as_name(tag)} = {_as_text(value)}" for tag, value in rules.items()]
        parts += [f"time >= {_ns(wanted['start'])}", f"time <= {_ns(wanted['stop'])}"]
        self.influxdb.query(f"DELETE FROM {measurement} WHERE {' AND '.join(parts)}", bucket)  # noqa: S608 - quoted
        return self._give(204)

    def _dbrps(self, asked: dict[str, str], _body: bytes) -> None:
        """Those that a server makes up of the names of buckets, and those that the test adds."""
        names = [name for name in self._names() if asked.get("db") in {None, name.partition("/")[0]}]
        made_up = ((*name.split("/"), "autogen")[:2] for name in names)
        content = [
            {"database": database, "retention_policy": policy, "default": True, "bucketID": _id_of(name)}
            for name, (database, policy) in zip(names, made_up, strict=True)
        ]
        self._give_json(200, {"content": [*self.mappings, *content]})

    def _orgs(self, _asked: dict[str, str], _body: bytes) -> None:
        self._give_json(200, {"orgs": [{"id": "0123456789abcdef", "name": ORGANISATION}]})

    def _buckets(self, asked: dict[str, str], body: bytes) -> None:
        if body:
            wanted = json.loads(body)
            seconds = wanted["retentionRules"][0]["everySeconds"]
            duration = f"{seconds // 3600}h" if seconds else "INF"
            self.influxdb.query(f'CREATE DATABASE "{wanted["name"]}" WITH DURATION {duration}')
            return self._give_json(201, self._bucket(wanted["name"]))
        names = [asked["name"]] if self._has({"bucket": asked["name"], "org": asked["org"]}) else []
        return self._give_json(200, {"buckets": [self._bucket(name) for name in names]})

    def _bucket(self, name: str) -> dict[str, Any]:
        (row,) = _rows(self.influxdb.query(f'SHOW RETENTION POLICIES ON "{name}"'))
        hours = _HOURS.match(str(row[1]))
        seconds = int(hours[1]) * 3600 if hours else 0
        rules = [{"type": "expire", "everySeconds": seconds}] if seconds else []
        return {"id": _id_of(name), "orgID": "0123456789abcdef", "name": name, "retentionRules": rules}

    def _has(self, asked: dict[str, str]) -> bool:
        return asked["org"] == ORGANISATION and asked["bucket"] in self._names()

    def _bucket_asked(self, asked: dict[str, str]) -> str | None:
        """The bucket that a delete names, by name or id."""
        wanted = asked.get("bucketID") or _id_of(asked["bucket"])
        return next((name for name in self._names() if _id_of(name) == wanted), None)

    def _names(self) -> list[str]:
        return [str(name) for (name,) in _rows(self.influxdb.query("SHOW DATABASES"))]

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._give_json(status, {"code": code, "message": message})

    def _give_json(self, status: int, content: object) -> None:
        self._give(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})

    def _give(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _rows(answer: bytes) -> list[list[Any]]:
    series = json.loads(answer)["results"][0].get("series", [])
    return [row for one in series for row in one.get("values", [])]


def _id_of(bucket: str) -> str:
    return hashlib.sha256(bucket.encode()).hexdigest()[:16]


def _plain(quoted: str) -> str:
    return _ESCAPED.sub(lambda match: {"n": "\n"}.get(match[1], match[1]), quoted)


def _as_name(plain: str) -> str:
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _as_text(plain: str) -> str:
    return "'" + plain.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _ns(stamp: str) -> int:
    """RFC 3339 with up to nine digits of a second."""
    whole, _, part = stamp.removesuffix("Z").partition(".")
    seconds = dt.datetime.fromisoformat(whole + "+00:00") - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (seconds.days * 86_400 + seconds.seconds) * 10**9 + int(part.ljust(9, "0") or 0)
