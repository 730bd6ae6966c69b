"""A key store that nobody has opened before."""

from __future__ import annotations

import pytest

from tests.postgres import Postgres
from tests.world import SQLITE


@pytest.fixture
def keys_url(request: pytest.FixtureRequest) -> str:
    """A file that is not there, or an empty database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return SQLITE
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()
