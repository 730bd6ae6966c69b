"""`--without-defence NN:name`: run tests of attack NN with one defence taken out, to see that they bite."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from tests.attacks.mutations import MUTATIONS

WAITING = ("tests.unit.runtime.test_worker", "tests.unit.runtime.line")


def pytest_configure(config: pytest.Config) -> None:
    """Whoever only wants to see a test fail does not wait for the smallest example."""
    if config.getoption("--without-defence"):
        settings.register_profile("mutated", phases=(Phase.explicit, Phase.generate), database=None)
        settings.load_profile("mutated")


@pytest.fixture(autouse=True)
def _without_defence(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    wanted = request.config.getoption("--without-defence")
    if wanted:
        case = getattr(request.node, "callspec", None)
        for module in map(sys.modules.get, WAITING):
            if module is not None:
                monkeypatch.setattr(module, "PATIENCE", 5.0)  # what is lost does not come
        MUTATIONS[wanted].take_out(monkeypatch, case.id if case else "")
    return iter([None])
