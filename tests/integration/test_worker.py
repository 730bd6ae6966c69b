"""The worker on real brokers and stores: what was acknowledged is stored, and everything is stored once."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from paho.mqtt import client as paho
from paho.mqtt import publish as paho_publish

from benchmarks.servers import EmbeddedBroker, InfluxDB1, Mosquitto
from gateway.clock import SystemClock
from gateway.errors import KeyDestroyed
from gateway.runtime.config import load_settings
from gateway.runtime.log import Log
from gateway.runtime.wiring import House
from gateway.runtime.worker import Worker
from tests.unit.control import processes
from tests.unit.control.processes import CONTEXT, ended, start
from tests.unit.control.test_erasure import subject
from tests.world import Message, World, message

PATIENCE = 120.0
DEVICES = 20
MS = 1_000_000


@dataclass
class Servers:
    """A broker, and the store's URL; `influxdb` where that is a server."""

    broker: Mosquitto | EmbeddedBroker
    store_url: str
    influxdb: InfluxDB1 | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GLOMSKA_MQTT__PORT": str(self.broker.port),
            "GLOMSKA_MQTT__URL": "mqtt://127.0.0.1:1883",
            "GLOMSKA_MQTT__KEEP_ALIVE_S": "5",
            "GLOMSKA_STORE__URL": self.store_url,
            "GLOMSKA_STORE__TIMEOUT_S": "1",
        }

    def points(self, state: Path) -> int:
        """Distinct points, counted by the store itself."""
        if self.influxdb is None:
            with contextlib.closing(sqlite3.connect(state / "readings.db", timeout=PATIENCE)) as db:
                return int(db.execute("SELECT count(*) FROM point").fetchone()[0])
        answer = json.loads(self.influxdb.query("SELECT COUNT(*) FROM telemetry", "glomska"))
        return sum(n or 0 for s in answer["results"][0].get("series", []) for row in s["values"] for n in row[1:])


@contextlib.contextmanager
def embedded() -> Iterator[Servers]:
    with EmbeddedBroker() as broker:
        yield Servers(broker, "sqlite:///readings.db")


@contextlib.contextmanager
def debian() -> Iterator[Servers]:
    with Mosquitto() as broker, InfluxDB1(database="glomska") as influxdb:
        yield Servers(broker, influxdb.url, influxdb)


@pytest.fixture(params=[embedded, debian])
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    with request.param() as running:
        yield running


@dataclass
class Served:
    """A gateway at work, and what it has logged."""

    house: House
    worker: Worker
    said: io.StringIO

    @property
    def stored(self) -> int:
        return self.worker.metrics.stored

    def wait(self, stored: int) -> None:
        until(lambda: self.stored >= stored, lambda: f"{self.stored} of {stored}: {self.said.getvalue()}")


NO_SPOOL = {"GLOMSKA_SPOOL__MAX_BYTES": "0"}


@contextlib.contextmanager
def working(servers: Servers, state: Path, **more: str) -> Iterator[Served]:
    """A gateway as `run` builds it, in threads of this process; it must end by itself when told to."""
    said = io.StringIO()
    house = House(load_settings(environ={"GLOMSKA_STATE": str(state), **servers.environment, **more}), SystemClock())
    worker = house.worker(Log(stream=said))
    ready, faults = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            worker.run(ready.set)
        except BaseException as fault:  # noqa: BLE001 - asserted below
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(PATIENCE), said.getvalue()
        yield Served(house, worker, said)
    finally:
        worker.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        house.close()
    assert faults == []


def patient(servers: Servers, state: Path) -> House:
    """Another process of the gateway, as far as its state can tell: one for whom the store may take its time."""
    environ = {"GLOMSKA_STATE": str(state), **servers.environment, "GLOMSKA_STORE__TIMEOUT_S": "60"}
    return House(load_settings(environ=environ), SystemClock())


def publish(servers: Servers, messages: list[Message]) -> None:
    """Returns when the broker has acknowledged all."""
    paho_publish.multiple(
        [(m.topic, m.payload, 1, False) for m in messages], "127.0.0.1", servers.broker.port, protocol=paho.MQTTv5
    )


class Load:
    """Messages, 500 after 500, in a thread, until the `with` ends: whatever is done meanwhile is done under load.

    Of a fixed number, a busy machine may have stored all before the test has looked twice.
    """

    def __init__(self, servers: Servers, made: Callable[[int, int], list[Message]]) -> None:
        """`made`: messages from a number to another one."""
        self.sent = 0
        self._servers, self._made = servers, made
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._over.is_set():
            publish(self._servers, self._made(self.sent, self.sent + 500))
            self.sent += 500


def fleet(world: World, first: int, last: int) -> list[Message]:
    """Messages `first` to `last` of a fleet: each its own reading, one point."""
    begin = world.clock.wall() // (60_000 * MS) * 60_000 * MS - 3_600_000 * MS
    return [message(f"meter-{n % DEVICES}", begin + n * MS, temperature=20.0, power=n) for n in range(first, last)]


def until(condition: Callable[[], object], otherwise: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)


@pytest.fixture
def enrolled(world: World) -> World:
    world.enrol("anna", *(f"meter-{n}" for n in range(DEVICES)))
    return world


def test_everything_is_stored_then_acknowledged(servers: Servers, enrolled: World) -> None:
    state = enrolled.directory
    with working(servers, state) as served:
        publish(servers, fleet(enrolled, 0, 3000))
        served.wait(3000)
        assert servers.points(state) == 3000
    with working(servers, state) as served:
        publish(servers, fleet(enrolled, 3000, 3001))
        served.wait(1)
        assert served.worker.metrics.books() == {"stored": 1, "refused": {}, "untimed": 0, "redelivered": 0}, (
            "nothing came again"
        )
        with contextlib.closing(patient(servers, state)) as other:
            read = other.access.read(*subject("anna"), purpose="provision", start=0, end=2**62)
        assert sorted(v for v, q in zip(read.value.tolist(), read.quantity, strict=True) if q == "power") == list(
            range(3001)
        )


def test_what_was_published_to_a_gateway_that_was_stopped_under_load_is_stored_once(
    servers: Servers, enrolled: World
) -> None:
    state = enrolled.directory
    with ExitStack() as stack, working(servers, state):
        load = stack.enter_context(Load(servers, partial(fleet, enrolled)))
        until(lambda: servers.points(state) > 500)
    publish(servers, fleet(enrolled, load.sent, total := load.sent + 1))
    assert servers.points(state) < total, "it was stopped too late to show anything"
    with working(servers, state):
        until(lambda: servers.points(state) >= total, lambda: f"{servers.points(state)} of {total}")
    assert servers.points(state) == total


def test_killed_under_load_a_second_one_finishes(servers: Servers, enrolled: World) -> None:
    state, stored, load = enrolled.directory, 0, Load(servers, partial(fleet, enrolled))
    with ExitStack() as stack:
        for kill in range(3):
            ready = CONTEXT.Event()
            child = start(processes.serve, state, servers.environment, ready)
            assert ready.wait(PATIENCE)
            if kill == 0:
                stack.enter_context(load)
            until(partial(more_than, servers, state, stored))
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            assert ended(child) == -signal.SIGKILL
            stored = servers.points(state)
    with working(servers, state):
        until(
            lambda: servers.points(state) >= load.sent,
            lambda: f"{servers.points(state)} of {load.sent}",
        )
    assert servers.points(state) == load.sent


def test_a_store_that_is_killed_under_load_and_comes_back(enrolled: World) -> None:
    with debian() as servers:
        assert servers.influxdb is not None
        state = enrolled.directory
        with working(servers, state, **NO_SPOOL) as served:
            publish(servers, fleet(enrolled, 0, 1000))
            served.wait(1000)
            servers.influxdb.kill()
            for part in range(40):  # one chunk each, so that the queue fills and reading stops
                publish(servers, fleet(enrolled, 1000 + 50 * part, 1050 + 50 * part))
            until(lambda: "waiting: storing" in served.said.getvalue())
            time.sleep(9)  # longer than one and a half keep-alives, after which a broker hangs up on who is silent
            assert served.stored == 1000
            servers.influxdb.start()
            served.wait(3000)
            assert served.worker._session.counters.reconnects == 0
        assert servers.points(state) == 3000
        assert served.worker.metrics.redelivered == 0


def test_a_store_file_that_another_process_holds_locked(enrolled: World) -> None:
    with embedded() as servers, working(servers, enrolled.directory, **NO_SPOOL) as served:
        publish(servers, fleet(enrolled, 0, 10))
        served.wait(10)
        with contextlib.closing(
            sqlite3.connect(enrolled.directory / "readings.db", isolation_level=None, timeout=PATIENCE)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            publish(servers, fleet(enrolled, 10, 300))
            until(lambda: "waiting: storing" in served.said.getvalue())
            assert served.stored == 10
            other.execute("ROLLBACK")
        served.wait(300)
        assert servers.points(enrolled.directory) == 300


def test_a_customer_is_erased_under_load(servers: Servers, world: World) -> None:
    world.enrol("anna", *(f"meter-{n}" for n in range(0, DEVICES, 2)))
    world.enrol("bo", *(f"meter-{n}" for n in range(1, DEVICES, 2)))
    state = world.directory
    with working(servers, state) as served:
        with Load(servers, partial(fleet, world)) as load:
            served.wait(500)
            other = patient(servers, state)
            other.erasures.erase(*subject("anna"))
            with pytest.raises(KeyDestroyed):
                other.access.read(*subject("anna"), purpose="provision", start=0, end=2**62)
        publish(servers, fleet(world, load.sent, total := load.sent + 500))
        until(lambda: served.stored + sum(served.worker.metrics.refused.values()) == total)
        assert set(served.worker.metrics.refused) == {"erased"}
        until(lambda: step_of(world) == "purged")  # by the worker, once its longest request is over
        read = other.access.read(*subject("bo"), purpose="provision", start=0, end=2**62)
        assert len(read) == 2 * (total // 2)
        other.close()
    assert servers.points(state) == total // 2


def more_than(servers: Servers, state: Path, stored: int) -> bool:
    return servers.points(state) > stored


def step_of(world: World) -> str:
    with world.keystore.snapshot() as tx:
        return str(tx.exec_driver_sql("SELECT step FROM erasures").scalar())
