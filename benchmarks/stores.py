"""The stores of the rig, as it sees them: where a pipeline writes, how far it has come, how many messages are in.

Progress is asked of the store's own counters, which cost it nothing; the count at the end is a query over what is
there.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlencode

from benchmarks.free import FreeStore
from benchmarks.servers import InfluxDB1, Server, VictoriaMetrics, http

DATABASE = "glomska"


class StoreSide(Protocol):
    """One fresh store."""

    name: str

    def url(self, port: int | None = None) -> str:
        """For the pipeline; `port` instead of the store's own when something stands in front."""

    def upstream(self) -> int | None:
        """Port of its HTTP interface, if it has one."""

    def written(self) -> int:
        """Messages written so far, rewritten ones counted again; cheap."""

    def count(self) -> int:
        """Messages that a query finds."""

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and remove."""


class _Served:
    """A store that is a server."""

    server: Server

    def upstream(self) -> int | None:
        return self.server.port

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()


class InfluxSide(_Served):
    """InfluxDB 1.6: a message is one point, with one sealed field or four plain ones."""

    name = "influxdb 1.6"

    def __init__(self, fields: int = 1) -> None:
        """Not started; `fields` are those of a message."""
        self.server: InfluxDB1 = InfluxDB1(database=DATABASE)
        self._fields = fields

    def url(self, port: int | None = None) -> str:
        """As the gateway's configuration wants it."""
        return f"influxdb1+http://127.0.0.1:{port or self.server.port}/{DATABASE}"

    def written(self) -> int:
        """`pointsWrittenOK` of the HTTP service."""
        services = json.loads(http(f"{self.server.http_url}/debug/vars"))
        return sum(s["values"].get("pointsWrittenOK", 0) for s in _named(services, "httpd"))

    def count(self) -> int:
        """Sum of COUNT over all fields of all measurements, by the fields of a message."""
        result = json.loads(self.server.query("SELECT COUNT(*) FROM /.*/", DATABASE))["results"][0]
        return int(sum(sum(series["values"][0][1:]) for series in result.get("series", ())) // self._fields)


class FreeSide(_Served):
    """A store that costs next to nothing: it answers like InfluxDB 1.x, counts lines and keeps none."""

    name = "free store"

    def __init__(self) -> None:
        """Not started."""
        self.server: FreeStore = FreeStore()

    def url(self, port: int | None = None) -> str:
        """As the gateway's configuration wants it."""
        return f"influxdb1+http://127.0.0.1:{port or self.server.port}/{DATABASE}"

    def written(self) -> int:
        """Lines that it has acknowledged."""
        return int(http(f"{self.server.http_url}/count"))

    def count(self) -> int:
        """The same: nothing else is there to be asked."""
        return self.written()


class VictoriaSide(_Served):
    """VictoriaMetrics: a message is four values, one in each of four metrics."""

    name = "victoriametrics 1.79"
    fields = ("temperature", "humidity", "power", "energy")

    def __init__(self) -> None:
        """Not started."""
        self.server: VictoriaMetrics = VictoriaMetrics()

    def url(self, port: int | None = None) -> str:
        """As influxdb-client wants it."""
        return f"http://127.0.0.1:{port or self.server.port}"

    def written(self) -> int:
        """`vm_rows_inserted_total`, all values of a message."""
        found = re.search(rb'vm_rows_inserted_total\{type="influx"\} (\d+)', http(f"{self.server.url}/metrics"))
        return int(found[1]) // len(self.fields) if found else 0

    def count(self) -> int:
        """Samples of the rarest of the four metrics."""
        self.server.flush()
        return min(self._samples(f"telemetry_{field}") for field in self.fields)

    def _samples(self, metric: str) -> int:
        form = urlencode({"query": f"sum(count_over_time({metric}[30d]))"})
        found = json.loads(http(f"{self.server.url}/api/v1/query", data=form.encode()))["data"]["result"]
        return int(found[0]["value"][1]) if found else 0


class SqliteSide:
    """The gateway's embedded store, a file in its state directory."""

    name = "sqlite"

    def __init__(self, state: Path) -> None:
        """`state` is the pipeline's state directory."""
        self._path = state / "readings.db"

    def url(self, port: int | None = None) -> str:
        """Relative to the state directory."""
        assert port is None, "nothing can stand in front of a file"
        return f"sqlite:///{self._path.name}"

    def upstream(self) -> int | None:
        """None."""
        return None

    def written(self) -> int:
        """The same as `count`."""
        return self.count()

    def count(self) -> int:
        """Rows; a message is one."""
        with sqlite3.connect(f"file:{self._path}?mode=ro", uri=True) as database:
            rows = int(database.execute("SELECT COUNT(*) FROM point").fetchone()[0])
        database.close()
        return rows

    def __enter__(self) -> Self:
        """Nothing to start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The directory goes with the run."""


def _named(services: dict[str, object], name: str) -> list[dict[str, dict[str, int]]]:
    return [s for s in services.values() if isinstance(s, dict) and s.get("name") == name]
