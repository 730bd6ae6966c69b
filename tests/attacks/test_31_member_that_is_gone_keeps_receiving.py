"""Attack 31: a member of a shared subscription goes away, and the broker goes on handing it messages, which are lost.

With persistent sessions a broker cannot know who means to come back. Sources: Mosquitto #1747, #2662. rumqttd is
another matter: it takes who is away out of the group at once, and forgets the group with its last member; see
`transport.broker`.
"""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.servers import EmbeddedBroker, Mosquitto
from gateway.clock import SystemClock
from gateway.runtime.config import load_settings
from gateway.runtime.log import Log
from gateway.runtime.roll import Seat
from gateway.runtime.wiring import House
from gateway.runtime.worker import Worker
from tests.world import World, message

PATIENCE_S = 120.0
STALLED_S = 10.0  # nothing more came for so long: nothing more will
MS = 1_000_000
Broker = EmbeddedBroker | Mosquitto


class Crew:
    """So many workers of one gateway, each as `run --workers` has it, in threads of this process."""

    def __init__(self, state: Path, broker: Broker, seats: Sequence[Seat], *, version: str = "5") -> None:
        self.said = io.StringIO()
        environ = {"GLOMSKA_STATE": str(state), "GLOMSKA_MQTT__URL": f"mqtt://127.0.0.1:{broker.port}"}
        settings = load_settings(environ=environ | {"GLOMSKA_MQTT__VERSION": version})
        self._houses = [House(settings, SystemClock()) for _ in seats]
        self._workers = [
            house.worker(Log(stream=self.said), seat) for house, seat in zip(self._houses, seats, strict=True)
        ]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for worker in self._workers:
            ready = threading.Event()
            self._threads.append(threading.Thread(target=self._run, args=(worker, ready)))
            self._threads[-1].start()
            assert ready.wait(PATIENCE_S), self.said.getvalue()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        for thread, house in zip(self._threads, self._houses, strict=True):
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
            house.close()

    @staticmethod
    def _run(worker: Worker, ready: threading.Event) -> None:
        worker.run(ready.set)


class Load:
    """A device that publishes all the time, one reading after the other, while it is entered."""

    def __init__(self, broker: Broker, world: World) -> None:
        self.sent = 0
        self._broker = broker
        self._begin = world.clock.wall() // MS * MS - 3_600_000 * MS

    def __enter__(self) -> Self:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.connect("127.0.0.1", self._broker.port)
        self._client.loop_start()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self._client.disconnect()
        self._client.loop_stop()

    def more(self, count: int) -> None:
        """Wait until so many more are published."""
        wanted, deadline = self.sent + count, time.monotonic() + PATIENCE_S
        while self.sent < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _publish(self) -> None:
        while not self._stop.is_set():
            one = message("meter-1", self._begin + self.sent * MS, temperature=20.0)
            self._client.publish(one.topic, one.payload, qos=1).wait_for_publish(PATIENCE_S)
            self.sent += 1


def points(state: Path) -> int:
    with contextlib.closing(sqlite3.connect(state / "readings.db", timeout=PATIENCE_S)) as db:
        return int(db.execute("SELECT count(*) FROM point").fetchone()[0])


def await_points(state: Path, wanted: int) -> int:
    """How many there are: all, or those there were when nothing more came."""
    found, moved = points(state), time.monotonic()
    while found < wanted and time.monotonic() - moved < STALLED_S:
        time.sleep(0.05)
        if (now := points(state)) != found:
            found, moved = now, time.monotonic()
    return found


def members(state: Path) -> list[str]:
    return sorted(json.loads(file.read_text())["client_id"] for file in (state / "sessions").glob("*.json"))


def seats(count: int) -> list[Seat]:
    return [Seat(number, count) for number in range(1, count + 1)]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_three_two_three_workers_under_load_lose_nothing(world: World, version: str) -> None:
    world.enrol("anna", "meter-1")
    state = world.directory
    with Mosquitto() as broker:
        load = Load(broker, world)
        with Crew(state, broker, seats(3), version=version), load:
            load.more(200)
        with load:  # the three are away, and the broker keeps the share of each
            load.more(200)
        with Crew(state, broker, seats(2), version=version) as crew:
            with load:
                load.more(200)
            assert await_points(state, load.sent) == load.sent, f"what waited for the third: {crew.said.getvalue()}"
            deadline = time.monotonic() + PATIENCE_S
            while members(state) != ["glomska-1-1", "glomska-1-2"]:
                assert time.monotonic() < deadline, "the third session is still there"
                time.sleep(0.05)
            with load:
                load.more(200)
            assert await_points(state, load.sent) == load.sent, "the third, who is no more, is still handed its share"
        with load, Crew(state, broker, seats(3), version=version):
            load.more(200)
        with Crew(state, broker, seats(3), version=version):
            assert await_points(state, load.sent) == load.sent


def test_at_rumqttd_one_of_three_goes_and_comes_back_under_load(world: World) -> None:
    world.enrol("anna", "meter-1")
    state, three = world.directory, seats(3)
    with EmbeddedBroker() as broker, Crew(state, broker, three[:2]):
        load = Load(broker, world)
        with load:
            for _ in range(2):
                with Crew(state, broker, three[2:]):
                    load.more(200)
                load.more(200)
        assert await_points(state, load.sent) == load.sent
