"""Floods, short, on a real broker: one device, one controller, ever new unknown devices; and without the limit, too."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.servers import Mosquitto
from gateway.model.ids import Pseudonym
from gateway.model.sealed import Outcome, SealedPoint
from gateway.pipeline.budget import WINDOW_S
from gateway.transport.ingest.many import _Line
from gateway.transport.sqlite import SqliteStore
from tests.integration.test_worker import MS, PATIENCE, Servers, embedded, publish, until, working
from tests.world import Message, World, message, topic

FLOOD, NORMAL = 2000, 100
SECOND = 10**9


@dataclass
class Limited(Servers):
    """The same servers, under limits."""

    limits: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {f"GLOMSKA_LIMITS__{name.upper()}": value for name, value in self.limits}


@dataclass(frozen=True)
class Counts:
    """What became of the messages; over how many windows, at most."""

    stored: int
    refused: dict[str, int]
    letters: int
    windows: int


def counted(world: World, messages: list[Message], **limits: float) -> Counts:
    """A gateway under these limits that has taken all messages."""
    with embedded() as servers:
        limited = Limited(servers.broker, servers.store_url, limits=tuple((k, str(v)) for k, v in limits.items()))
        begun = world.clock.boottime()
        with working(limited, world.directory) as served:
            publish(servers, messages)
            metrics = served.worker.metrics
            until(lambda: metrics.stored + sum(metrics.refused.values()) >= len(messages), served.said.getvalue)
        windows = 2 + (world.clock.boottime() - begun) // (WINDOW_S * SECOND)
    refused = {str(reason): count for reason, count in metrics.refused.items()}
    return Counts(metrics.stored, refused, letters(world.directory), windows)


def letters(state: Path) -> int:
    """How many dead letters are kept."""
    with contextlib.closing(sqlite3.connect(state / "letters.db")) as db:
        return int(db.execute("SELECT count(*) FROM letter").fetchone()[0])


def readings(world: World, device: str, count: int) -> list[Message]:
    begin = world.clock.wall() // MS * MS - 3600 * SECOND
    return [message(device, begin + number * MS, temperature=20.0) for number in range(count)]


@pytest.mark.parametrize("limited", [True, False])
def test_one_device_flooding(world: World, limited: bool) -> None:
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    flood, normal = readings(world, "meter-1", FLOOD), readings(world, "meter-2", NORMAL)
    every = FLOOD // NORMAL
    mixed = [one for n in range(NORMAL) for one in (*flood[n * every : (n + 1) * every], normal[n])]
    found = counted(world, mixed, device_rate=1 if limited else 0, device_burst=200)
    if limited:
        assert 200 + NORMAL <= found.stored <= 200 + NORMAL + found.windows * WINDOW_S
        assert found.refused == {"rate": len(mixed) - found.stored}
        assert found.letters == found.refused["rate"], "what was over waits to be replayed"
    else:  # the limit it is that holds it up
        assert (found.stored, found.refused) == (len(mixed), {})


@pytest.mark.parametrize("limited", [True, False])
def test_ever_new_unknown_devices(world: World, limited: bool) -> None:
    world.enrol("anna", "meter-1")
    flood = [readings(world, f"stranger-{number}", 1)[0] for number in range(FLOOD)]
    mixed = [*flood[: FLOOD // 2], *readings(world, "meter-1", NORMAL), *flood[FLOOD // 2 :]]
    found = counted(world, mixed, stranger_rate=1 if limited else 0, stranger_burst=200)
    assert found.stored == NORMAL
    if limited:
        assert 200 <= found.refused["unknown_device"] <= 200 + found.windows * WINDOW_S
        assert found.refused["rate"] == FLOOD - found.refused["unknown_device"]
    else:
        assert found.refused == {"unknown_device": FLOOD}
    assert found.letters == FLOOD


@pytest.mark.parametrize("per", ["controller", "gateway"])
def test_a_quiet_controller_does_not_wait_behind_the_flood_of_another(
    world: World, per: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By order, not by the clock: how much of the flood is stored before what the quiet one sent after all of it.

    Nothing is stored before the quiet one's connection has its message, which is late where threads are.
    """
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2", controller="quiet-co")
    order, arrived = list[Pseudonym](), threading.Event()
    write, untaken = SqliteStore.write, _Line._untaken

    def waiting(line: _Line) -> bool:
        if line.controller == "quiet-co" and line.waiting is not None:
            arrived.set()
        return untaken(line)

    def noted(store: SqliteStore, points: Sequence[SealedPoint]) -> Outcome:
        assert per == "gateway" or arrived.wait(PATIENCE)
        order.extend(point.series.pseudonym for point in points)
        return write(store, points)

    monkeypatch.setattr(_Line, "_untaken", waiting)
    monkeypatch.setattr(SqliteStore, "write", noted)
    few = {
        "GLOMSKA_MQTT__CONNECTION_PER": per,
        "GLOMSKA_MQTT__RECEIVE_MAXIMUM": "50",
        "GLOMSKA_STORE__BATCH_POINTS": "50",
    }
    with Mosquitto() as broker:
        servers = Servers(broker, "sqlite:///readings.db")
        with working(servers, world.directory, **few):
            pass  # its sessions are there, and the broker keeps what comes
        quiet = Message(topic("meter-2", controller="quiet-co"), readings(world, "meter-2", 1)[0].payload)
        publish(servers, [*readings(world, "meter-1", FLOOD), quiet])
        with working(servers, world.directory, **few) as served:
            served.wait(FLOOD + 1)
    (found,) = (at for at, name in enumerate(order) if order.count(name) == 1)
    assert len(order) == FLOOD + 1
    if per == "controller":
        assert found < FLOOD // 4, "the flood is queued behind it"
    else:  # it is the connection of its own that helps
        assert found == FLOOD


def test_nothing_but_malformed_input_then_good(world: World) -> None:
    """On a real broker; what one device sends as fast as it can is kept, and the next good messages are stored."""
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    poison = [Message(topic("meter-1"), b'{"temperature": ' + bytes(number % 50)) for number in range(FLOOD)]
    found = counted(world, [*poison, *readings(world, "meter-1", NORMAL), *readings(world, "meter-2", NORMAL)])
    assert found.stored == 2 * NORMAL
    assert found.refused == {"malformed": FLOOD}
    assert found.letters == FLOOD
