"""A broker that takes connections and never answers is waited for once, not by every open erasure in every round."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import Mosquitto
from gateway.control.accounting import BROKER
from gateway.transport.ingest import retained
from tests.unit.control.test_dates import Site
from tests.unit.control.test_erasure import subject
from tests.world import SECOND, SQLITE

CUSTOMERS = ("anna", "bo", "cia")


class Listener:
    """It listens, and that is all."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._socket.getsockname()[1]}"

    def asked(self) -> int:
        """How many have come since this was last looked at."""
        count = 0
        while select.select([self._socket], [], [], 0)[0]:
            self._socket.accept()[0].close()
            count += 1
        return count

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, SQLITE)
    for number, customer in enumerate(CUSTOMERS):
        made.world.enrol(customer, f"meter-{number}")
    yield made
    made.world.close()


def owing(site: Site) -> list[str]:
    erasures = site.world.erasures
    return [party.party for found in site.erasures() for party in erasures.owing(found.erasure)]


def test_it_is_asked_once_and_then_left_alone_for_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained, "PATIENCE_S", 0.2)
    with contextlib.closing(Listener()) as broker:
        site.at_broker(broker)  # type: ignore[arg-type] # its URL is all that is wanted
        with site.house() as house:
            for customer in CUSTOMERS:
                house.erasures.begin(*subject(customer))
            house.erasures.resume()
            assert broker.asked() == 1
            house.erasures.resume()
            assert broker.asked() == 0
            site.clock.advance(61 * SECOND)
            house.erasures.resume()
            assert broker.asked() == 1
    assert owing(site) == [BROKER] * 3


def test_one_that_is_down_is_asked_for_each_in_every_round(site: Site) -> None:
    """That takes no time, and it may be up again."""
    with Mosquitto() as broker:
        broker.kill()
        site.at_broker(broker)
        with site.house() as house:
            for customer in CUSTOMERS:
                house.erasures.begin(*subject(customer))
            house.erasures.resume()
            broker.start()
            house.erasures.resume()
            assert owing(site) == []
