"""One place to store for each implementation, on its real server, that can be opened, taken away and given back."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from benchmarks.servers import InfluxDB1
from gateway.transport.store import Store, open_store

SQLITE_TIMEOUT_S = 1.0  # a test waits for it
HTTP_TIMEOUT_S = 10.0
_databases = (f"conformance{n}" for n in itertools.count())


class Place(Protocol):
    """Where a store keeps its points."""

    def open(self) -> Store: ...
    def down(self) -> None: ...
    def up(self) -> None: ...


class SqlitePlace:
    """A file; down: another process holds it."""

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


@pytest.fixture(scope="session")
def influxdb() -> Iterator[InfluxDB1]:
    with InfluxDB1() as server:
        yield server


@pytest.fixture(params=["sqlite", "influxdb1"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    return InfluxPlace(request.getfixturevalue("influxdb"), tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with closing(place.open()) as opened:
        yield opened
