"""A world for whoever asks, and a look for canaries after every test: in the world's files and in what was printed."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.world import CANARY, World

# Started in the background, a shell would have us and the commands that we start ignore Ctrl-C, which tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A whole gateway in an empty directory. Whatever a test does in it, no file may hold an identifier afterwards."""
    made = World(tmp_path / "state")
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
