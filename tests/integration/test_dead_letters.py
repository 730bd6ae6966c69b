"""Dead letters through the real commands: kept before they are acknowledged, replayed on resume, erased, balanced."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import InfluxDB1, http
from firmware_sim.fleet import Message
from gateway.model.sealed import Reason
from gateway.runtime.replay import Replay
from gateway.transport.letters import EVERY
from gateway.transport.store import open_store
from tests.commands import STACKS, Gateway, Stack, await_, deliver, flat, stack
from tests.world import SECOND, World, message

ENROLMENT = """\
controller,customer,device,postal_code,valid_from
heat-co,anna,meter-1,11122,2000-01-01
heat-co,bert,meter-2,11122,2000-01-01
"""
NOW = int(time.time() * 1000)


@pytest.fixture(params=STACKS)
def on(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with stack(request.param) as running:
        yield running


@pytest.fixture
def gateway(on: Stack, tmp_path: Path) -> Gateway:
    made = Gateway(tmp_path, on)
    made.enrol(ENROLMENT)
    return made


def topic(device: str) -> str:
    return f"glomska/heat-co/{device}/readings"


def reading(device: str, number: int) -> Message:
    return flat(topic(device), NOW - 1000 * number, temperature=20 + number / 100)


def kept(gateway: Gateway) -> dict[str, Any]:
    return dict(json.loads(gateway.call("dead-letters", "list", "--json", "--limit", "1000")))


def await_kept(gateway: Gateway, number: int) -> None:
    """Looked at in the file itself: a command for each look would take the processor from the gateway."""

    def found() -> int:
        with contextlib.closing(sqlite3.connect(gateway.state / "letters.db")) as letters:
            return int(letters.execute("SELECT count(*) FROM letter").fetchone()[0])

    await_(lambda: found() == number, lambda: f"{number} letters were to be kept, not {found()}")


def test_what_is_suspended_waits_and_is_stored_by_a_running_gateway_once_it_is_resumed(
    on: Stack, gateway: Gateway
) -> None:
    with gateway.run() as running:
        gateway.call("keys", "suspend", "-", stdin="heat-co/anna")
        deliver(on, *(reading(device, n) for n in range(20) for device in ("meter-1", "meter-2")))
        gateway.await_points(20)
        await_kept(gateway, 20)
        assert kept(gateway)["by_reason"] == {"suspended": 20}
        gateway.refused("dead-letters", "show", kept(gateway)["letters"][0]["id"], "--purpose", "support", code=5)
        gateway.call("keys", "resume", "-", stdin="heat-co/anna")
        running.await_event("replayed")
        await_kept(gateway, 0)
        gateway.await_points(40)
        books = running.stop()
    assert (books["stored"], books["refused"], books["dead_letters"]) == (20, {"suspended": 20}, 20)
    assert len(gateway.read("heat-co/anna")) == 20


def test_killed_with_letters_on_its_disk_an_erasure_takes_hers_and_leaves_the_others(
    on: Stack, gateway: Gateway
) -> None:
    with gateway.run() as running:
        bad = [Message(topic=topic(f"meter-{1 + n % 3}"), payload=b"{cut off %d" % n, time=NOW) for n in range(30)]
        deliver(on, *bad, reading("meter-2", 0))
        gateway.await_points(1)
        deliver(on, reading("meter-2", 1))
        gateway.await_points(2)  # what came before is settled: else it would come again, and be kept again
        running.kill()
    assert kept(gateway)["by_reason"] == {"malformed": 30}
    gateway.call("erase", "-", "--yes", stdin="heat-co/anna")
    with gateway.run() as running:
        await_kept(gateway, 20)
        deliver(on, *bad)
        await_kept(gateway, 40)
        books = running.stop()
    assert books["refused"] == {"malformed": 30}
    assert books["dead_letters"] == 20, "hers are counted, and not kept"
    assert json.loads(gateway.call("dead-letters", "drop", "--all", "--yes", "--json")) == {"dropped": 40}


def test_one_letter_that_influxdb_will_not_have_stays_and_those_around_it_are_replayed(world: World) -> None:
    now = world.clock.wall()
    world.enrol("bo", "meter-9")
    bad = message("meter-1", now - 5 * SECOND, humidity=40.0)
    good = [message("meter-1", now - n * SECOND, temperature=20.0) for n in range(11)]
    world.refuse(*good[:5], bad, *good[5:])
    world.enrol("anna", "meter-1")
    (point,) = world.process(bad).points
    with InfluxDB1(database="d") as server, contextlib.closing(open_store(server.url, state=world.directory)) as store:
        there = f"{point.series.measurement},series=other {point.field}=1 {point.time}"  # a number, where ours is text
        http(f"{server.http_url}/write?db=d", data=there.encode())
        replayed = Replay(world.letters, world.ring, world.chain, store, world.clock).run(EVERY)
        stored = list(store.query("telemetry", [point.series.pseudonym], 0, 2**63 - 1))
    assert (replayed.stored, replayed.remaining) == (11, {"store": 1})
    assert len(stored) == 11
    assert [letter.reason for letter in world.letters.find(EVERY)] == [Reason.UNKNOWN_DEVICE]
