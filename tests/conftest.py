"""A world for whoever asks, and a look for canaries after every test: in the world's files and in what was printed."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gateway.keystore.database import KeyStore
from tests.postgres import PASSWORD, Postgres
from tests.world import CANARY, KEY_STORES, SQLITE, World

# The same examples in every run, so that what fails fails again; `make explore` looks for others. None of them may
# fail by how long it took: a busy machine takes as long as it likes.
settings.register_profile("seeded", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("seeded")

# Started in the background, a shell would have us and the commands that we start ignore Ctrl-C, which tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A PostgreSQL for whoever asks; `postgres.database()` is an empty database. Fast, so not durable."""
    there = request.config.getoption("--postgres")
    if there:
        yield Postgres.joined(Path(there))
        return
    with Postgres() as server:
        yield server


@pytest.fixture
def keys_url(request: pytest.FixtureRequest) -> str:
    """The key store of `world`: a file, and for tests marked `both_key_stores` a PostgreSQL database after it."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return SQLITE
    server: Postgres = request.getfixturevalue("postgres")
    return server.database(like=new_key_store(server))


def new_key_store(server: Postgres) -> str:
    """Of which others are copies: that takes half as long as to make each one."""
    if not server.has(url := server.url("new_key_store")):
        server.create(url)
        KeyStore.open(url, state=server.directory, password=PASSWORD.encode()).close()
    return url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`@pytest.mark.both_key_stores`: once for each."""
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "both_key_stores" in marks and "one_key_store" not in marks and "keys_url" in metafunc.fixturenames:
        metafunc.parametrize("keys_url", KEY_STORES, indirect=True)


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
    parser.addoption("--postgres", metavar="DIRECTORY", help="use the cluster that another run has started there")
