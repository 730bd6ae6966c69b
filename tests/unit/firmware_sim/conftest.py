"""A real broker, and a witness of what it delivers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.servers import Mosquitto
from tests.unit.firmware_sim.witness import Witness


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def witness(broker: Mosquitto) -> Iterator[Witness]:
    listening = Witness(broker.port)
    yield listening
    listening.close()
