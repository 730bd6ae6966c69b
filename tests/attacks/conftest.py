"""`--without-defence NN`: run attack NN's test with its defence taken out, to see that it bites."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.mutations import MUTATIONS


@pytest.fixture(autouse=True)
def _without_defence(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    wanted = request.config.getoption("--without-defence")
    if wanted:
        MUTATIONS[wanted](monkeypatch)
    return iter([None])
