"""`glomska trace` beside a running gateway: each way to be silent is told from the others, and no value is shown."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import Mosquitto
from firmware_sim.fleet import Message
from tests.commands import PATIENCE_S, Gateway, Stack, deliver, flat

COLUMNS = "controller,customer,device,postal_code,valid_from"
DEVICES = (("anna", "meter-1"), ("anna", "meter-2"), ("bo", "meter-3"))
ENROLMENT = "\n".join([COLUMNS, *(f"home,{customer},{device},11122,2000-01-01" for customer, device in DEVICES), ""])
SENTINEL = 23.4567
Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def on() -> Iterator[Stack]:
    with Mosquitto() as broker:
        yield Stack(broker, "sqlite:///readings.db")


@pytest.fixture
def gateway(tmp_path: Path, on: Stack) -> Gateway:
    made = Gateway(tmp_path, on)
    made.enrol(ENROLMENT)
    return made


@pytest.fixture
def started(gateway: Gateway, tmp_path: Path) -> Iterator[Started]:
    """`glomska trace`, started; it is killed at the end unless it ended before."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str, subject: str = "home/anna") -> subprocess.Popen[str]:
        (tmp_path / "subject").write_text(subject)
        process = subprocess.Popen(
            [Path(sys.executable).parent / "glomska", "trace", "@subject", *options],
            env=gateway.environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def reading(device: str, **readings: float) -> Message:
    return flat(f"glomska/home/{device}/readings", time.time_ns() // 1_000_000, **readings)


def watching(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert process.stderr.readline().startswith("watching")


def line_with(process: subprocess.Popen[str], *words: str) -> str:
    """The next line; it must have these words."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert all(word in line for word in words), line
    return line


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    said, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, said + errors
    return said


def interrupted(process: subprocess.Popen[str]) -> str:
    """Its summary, after Ctrl-C."""
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(PATIENCE_S) == 130, rest
    return rest


def acts(gateway: Gateway) -> list[dict[str, Any]]:
    lines = (gateway.state / "ledger" / "ledger.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["act"] == "trace"]


def accesses(gateway: Gateway) -> list[tuple[str, int]]:
    with contextlib.closing(sqlite3.connect(gateway.state / "keys.db")) as database:
        return database.execute("SELECT purpose, readings FROM accesses ORDER BY rowid").fetchall()


def test_a_home_that_is_silent(gateway: Gateway, started: Started) -> None:
    found = json.loads(ended(started("--seconds", "1", "--json")))
    assert [(d["device"], d["from"], d["to"], d["newest"], d["fences"]) for d in found["devices"]] == [
        ("meter-1", "2000-01-01T00:00:00Z", None, None, []),
        ("meter-2", "2000-01-01T00:00:00Z", None, None, []),
    ]
    assert found["keys"] == {"telemetry": "active"}
    assert [found[name] for name in ("messages", "sealed", "stored", "refused")] == [0, 0, 0, {}]
    said = ended(started("--seconds", "1"))
    assert said.endswith("nothing arrived in 1 s: the device, its network or the broker\n")
    assert [(a["phase"], a.get("purpose"), a.get("seconds")) for a in acts(gateway)] == [
        ("intent", "support", 1),
        ("outcome", None, None),
    ] * 2
    assert accesses(gateway) == [("support", 0)] * 4


def test_what_is_stored_and_what_is_refused(on: Stack, gateway: Gateway, started: Started) -> None:
    with gateway.run() as running:
        trace = started("--seconds", "900")
        watching(trace)
        line_with(trace, "meter-1: from 2000-01-01", "none stored in 31 days")
        line_with(trace, "meter-2: from 2000-01-01", "none stored in 31 days")
        line_with(trace, "keys: telemetry active")
        deliver(on, reading("meter-3", temperature=20.5))  # another home's
        deliver(on, reading("meter-1", temperature=SENTINEL, humidity=41))
        said = line_with(trace, "meter-1", "temperature, humidity", "sealed, in the store")
        deliver(on, reading("meter-1", temperature=9999))
        said += line_with(trace, "meter-1", "temperature", "refused: range")
        deliver(on, reading("meter-2", colour=3))
        said += line_with(trace, "meter-2", "nothing that could be read", "refused: unknown_quantity")
        rest = interrupted(trace)
        assert rest.startswith("3 messages arrived; 2 refused: ")
        assert rest.endswith("; 1 sealed, 1 in the store\n")
        running.stop()
        assert gateway.points() == 2  # what the other home sent is stored, and what was copied is not stored twice
    assert accesses(gateway) == [("support", 0), ("support", 3)]
    assert "meter-3" not in said + rest
    assert "23.4" not in said + rest
    kept = [path for path in gateway.state.rglob("*") if path.is_file()]
    assert not [path.name for path in kept if str(SENTINEL).encode() in path.read_bytes()]
    again = json.loads(ended(started("--seconds", "1", "--json", subject="home/anna/meter-1")))
    assert [device["newest"] is not None for device in again["devices"]] == [True]


def test_what_no_gateway_stores(on: Stack, started: Started) -> None:
    trace = started("--seconds", "900", subject="home/anna/meter-2")
    watching(trace)
    line_with(trace, "meter-2: from")
    line_with(trace, "keys:")
    deliver(on, reading("meter-1", temperature=20), reading("meter-2", temperature=20))
    line_with(trace, "meter-2", "sealed, not in the store")
    assert "1 messages arrived; 1 sealed, 0 in the store; not all are stored" in interrupted(trace)


def test_a_device_that_is_another_customers_now(on: Stack, gateway: Gateway, started: Started) -> None:
    gateway.call("hand-over", "--csv", "-", stdin=f"{COLUMNS}\nhome,bo,meter-1,11122,2020-01-01\n")
    trace = started("--seconds", "900")
    watching(trace)
    line_with(trace, "meter-1: from 2000-01-01T00:00:00Z to 2020-01-01T00:00:00Z")
    line_with(trace, "meter-2: from")
    line_with(trace, "keys:")
    deliver(on, reading("meter-1", temperature=9999), reading("meter-2", temperature=9999))
    line_with(trace, "meter-2", "refused: range")
    assert interrupted(trace) == "1 messages arrived, all refused: range 1\n"
    said = ended(started(subject="home/anna/meter-1"))
    assert said.endswith("no device is this customer's now: nothing that arrives is theirs\n")


def test_a_reading_from_before_the_device_was_theirs_is_not_shown(
    on: Stack, gateway: Gateway, started: Started
) -> None:
    gateway.call("hand-over", "--csv", "-", stdin=f"{COLUMNS}\nhome,bo,meter-1,11122,\n")
    trace = started("--seconds", "900", subject="home/bo/meter-1")
    watching(trace)
    line_with(trace, "meter-1: from")
    line_with(trace, "keys:")
    an_hour_ago = time.time_ns() // 1_000_000 - 3_600_000
    deliver(on, flat("glomska/home/meter-1/readings", an_hour_ago, temperature=20))  # sealed under the former owner's
    deliver(on, reading("meter-1", temperature=9999))
    line_with(trace, "meter-1", "refused: range")
    assert interrupted(trace).startswith("1 messages arrived, all refused")


def test_a_customer_who_is_erased_meanwhile(gateway: Gateway, started: Started) -> None:
    trace = started("--seconds", "900")
    watching(trace)
    gateway.call("erase", "-", "--yes", stdin="home/anna")
    assert "nothing arrived" not in ended(trace, code=7)
    assert accesses(gateway) == [("support", 0)] * 2


@pytest.mark.parametrize(
    ("subject", "purpose", "code"),
    [("home/anna", "marketing", 5), ("home/anna/meter-3", "support", 6), ("home/anna/meter-1/x", "support", 2)],
)
def test_who_may_not_be_traced(gateway: Gateway, started: Started, subject: str, purpose: str, code: int) -> None:
    ended(started("--purpose", purpose, subject=subject), code)
    assert acts(gateway) == []
    assert accesses(gateway) == []
