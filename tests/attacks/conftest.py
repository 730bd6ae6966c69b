"""`--without-defence NN:name`: run tests of attack NN with one defence taken out, to see that they bite."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Iterator

import pytest
from hypothesis import Phase, settings

from tests.attacks.mutations import MUTATIONS
from tests.world import KEY_STORES

FAILED: set[tuple[str, str]] = set()  # test functions, each with its key store
WAITING = ("tests.unit.runtime.test_worker", "tests.unit.runtime.line")


def pytest_configure(config: pytest.Config) -> None:
    """Whoever only wants to see a test fail does not wait for the smallest example."""
    if config.getoption("--without-defence"):
        settings.register_profile("mutated", phases=(Phase.explicit, Phase.generate), database=None)
        settings.load_profile("mutated")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Who says that an attack is on both key stores is on both."""
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "both_key_stores" in marks and "one_key_store" not in marks and "keys_url" not in metafunc.fixturenames:
        pytest.fail(f"{metafunc.definition.nodeid}: asks for no key store, so it has one", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        FAILED.add((item.originalname, store_and_part(item)[0]))
    return report


def store_and_part(item: pytest.Function) -> tuple[str, str]:
    """The key store that a case is about, by name, if it is one of two, and whatever else its id says."""
    case = item.callspec.id if hasattr(item, "callspec") else ""
    store = next((name for name in KEY_STORES if re.match(rf"{name}\b", case)), "")
    return store, case.removeprefix(store).removeprefix("-")


@pytest.fixture(autouse=True)
def _without_defence(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of a test that has failed on this key store no other case is wanted, unless all of them are to fail."""
    wanted, item = request.config.getoption("--without-defence"), request.node
    if wanted:
        store, part = store_and_part(item)
        if (item.originalname, store) in FAILED and f"{item.originalname}[*]" not in MUTATIONS[wanted].kills:
            pytest.skip("seen to fail")
        for module in map(sys.modules.get, WAITING):
            if module is not None:
                monkeypatch.setattr(module, "PATIENCE", 5.0)  # what is lost does not come
        MUTATIONS[wanted].take_out(monkeypatch, part)
    return iter([None])
