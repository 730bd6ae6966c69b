"""One place to store for each implementation, on its real server, that can be opened, taken away and given back."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from benchmarks.servers import InfluxDB1, VictoriaMetrics
from gateway.model.sealed import Reason
from gateway.transport.store import Login, Store, open_store
from tests.conformance.documented import ORGANISATION, TOKEN, Documented
from tests.conformance.influxdb2 import PROGRAM, InfluxDB2
from tests.conformance.points import NOW, Make, Traits

SQLITE_TIMEOUT_S = 1.0  # a test waits for it
HTTP_TIMEOUT_S = 10.0
_databases = (f"conformance{n}" for n in itertools.count())


class Place(Protocol):
    """Where a store keeps its points."""

    traits: Traits

    def open(self) -> Store: ...
    def down(self) -> None: ...
    def up(self) -> None: ...


class SqlitePlace:
    """A file; down: another process holds it."""

    traits = Traits(tells_time=False)

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._blocker: sqlite3.Connection | None = None

    def open(self) -> Store:
        return open_store("sqlite:///readings.db", state=self._directory, timeout_s=SQLITE_TIMEOUT_S)

    def down(self) -> None:
        self._blocker = sqlite3.connect(self._directory / "readings.db", isolation_level=None)
        self._blocker.execute("BEGIN IMMEDIATE")

    def up(self) -> None:
        assert self._blocker is not None
        self._blocker.close()
        self._blocker = None


class InfluxPlace:
    """A database; down: the server was killed."""

    traits = Traits()

    def __init__(self, server: InfluxDB1, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self._url = f"influxdb1+{server.http_url}/{next(_databases)}"

    def open(self) -> Store:
        return open_store(self._url, state=self._directory, timeout_s=HTTP_TIMEOUT_S)

    def down(self) -> None:
        self._server.kill()

    def up(self) -> None:
        self._server.start()


class Influx2Place:
    """A bucket; down: the server was killed."""

    traits = Traits()

    def __init__(self, server: Documented | InfluxDB2, directory: Path) -> None:
        self._server = server
        self._directory = directory
        self._bucket = next(_databases)
        server.create_bucket(self._bucket)

    def open(self) -> Store:
        url = f"influxdb2+{self._server.http_url}/{ORGANISATION}/{self._bucket}"
        login = Login(token=TOKEN.encode())
        return open_store(url, state=self._directory, timeout_s=HTTP_TIMEOUT_S, login=login)

    def down(self) -> None:
        self._server.kill()

    def up(self) -> None:
        self._server.start()


class VictoriaPlace:
    """A server; down: it was killed. It drops what is more than two days ahead."""

    traits = Traits(
        numbers_only=True,
        tick=1_000_000,
        earliest=1_000_000,
        latest=NOW + 7 * 86_400_000_000_000,
        too_late=Reason.FUTURE,
        rounding=1e-12,
        last_stays=False,
    )

    def __init__(self, server: VictoriaMetrics, directory: Path) -> None:
        self._server = server
        self._directory = directory

    def open(self) -> Store:
        return open_store(f"victoriametrics+{self._server.url}", state=self._directory, timeout_s=HTTP_TIMEOUT_S)

    def down(self) -> None:
        self._server.kill()

    def up(self) -> None:
        self._server.start()


@pytest.fixture(scope="session")
def influxdb() -> Iterator[InfluxDB1]:
    with InfluxDB1() as server:
        yield server


@pytest.fixture(scope="session")
def victoriametrics() -> Iterator[VictoriaMetrics]:
    with VictoriaMetrics() as server:
        yield server


@pytest.fixture(scope="session")
def documented() -> Iterator[Documented]:
    with Documented() as server:
        yield server


@pytest.fixture(scope="session")
def influxdb2() -> Iterator[InfluxDB2]:
    with InfluxDB2() as server:
        yield server


PLACES = ["sqlite", "influxdb1", "victoriametrics", "influxdb2-as-documented", *(["influxdb2"] if PROGRAM else [])]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    if request.param == "influxdb1":
        return InfluxPlace(request.getfixturevalue("influxdb"), tmp_path)
    if request.param == "victoriametrics":
        return VictoriaPlace(request.getfixturevalue("victoriametrics"), tmp_path)
    server = "documented" if request.param == "influxdb2-as-documented" else "influxdb2"
    return Influx2Place(request.getfixturevalue(server), tmp_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not run is said, whether it was asked for or not."""
    if not PROGRAM:
        terminalreporter.write_line(
            "conformance: no real InfluxDB 2 was run; GLOMSKA_TEST_INFLUXDB2=/path/to/influxd runs the suite on one",
            yellow=True,
        )


@pytest.fixture
def make(place: Place) -> Make:
    return Make(place.traits)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with closing(place.open()) as opened:
        yield opened
