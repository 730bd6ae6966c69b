"""A world for whoever asks, and a look for canaries after every test: in the world's files and in what was printed."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import Postgres
from tests.world import CANARY, SQLITE, World

# The same examples in every run, so that what fails fails again; `make explore` looks for others.
settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")

# Started in the background, a shell would have us and the commands that we start ignore Ctrl-C, which tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for whoever asks; `postgres.database()` is an empty database. Fast, so not durable."""
    with Postgres() as server:
        yield server


@pytest.fixture
def keys_url(request: pytest.FixtureRequest) -> str:
    """The key store of `world`: a file, and for tests marked `both_key_stores` a PostgreSQL database after it."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return SQLITE
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`@pytest.mark.both_key_stores`: once for each; with a defence taken out, on the first."""
    if metafunc.config.getoption("--without-defence"):
        return
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "both_key_stores" in marks and "one_key_store" not in marks and "keys_url" in metafunc.fixturenames:
        metafunc.parametrize("keys_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def world(tmp_path: Path, keys_url: str) -> Iterator[World]:
    """A whole gateway in an empty directory. Whatever a test does in it, no file may hold an identifier afterwards."""
    made = World(tmp_path / "state", keys=keys_url)
    yield made
    made.close()
    assert made.leaks() == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test whose output shows a canary has failed, whatever it asserts."""
    report = yield
    if report.passed and any(CANARY in text for _name, text in report.sections):
        report.outcome = "failed"
        report.longrepr = "an identifier stands in what this test printed or logged"
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    """See tests/attacks."""
    parser.addoption("--without-defence", metavar="NN:NAME", help="run with one defence against attack NN taken out")
