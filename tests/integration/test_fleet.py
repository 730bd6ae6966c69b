"""Every message of a faulty fleet is stored once or refused with its reason, and what is read back is what was sent.

The books are the fleet's record of what it published, and the store's own count of what it holds; the gateway's
counters are believed only where they agree with both.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware_sim.connection import Broker
from firmware_sim.faults import Faults, with_faults
from firmware_sim.fleet import Home, Kind, Message, meters, thermostats
from firmware_sim.homes import Window, simulate_messages
from firmware_sim.meters import Part, replay_messages
from firmware_sim.publish import publish
from firmware_sim.zoo import ZOO
from tests.commands import (
    STACKS,
    Gateway,
    Stack,
    await_,
    deliver,
    flat,
    fleet,
    fleet_process,
    stack,
    summary,
)
from tests.fronts import Relay, StoreFront

SEED = 7
NOW = dt.datetime.now(dt.UTC).timestamp()
FLEETS = {"replay": "--homes 4 --limit 1200", "simulate": "--homes 4 --days 12"}
FAULTY = "--seed 7 --senml 0.5 --duplicates 0.05 --disorder 0.05 --bursts 0.1 --malformed 0.06"
COLUMNS = "controller,customer,device,postal_code,valid_from"
MARKER = "marker,last,last"

Readings = dict[tuple[str, str], str]
"""(event time, quantity) -> digits: as published, or as read."""


@dataclass(frozen=True)
class Entry:
    """A line of the fleet's record."""

    topic: str
    payload: str
    kind: str
    reason: str
    content_type: str | None


@pytest.fixture(params=STACKS)
def on(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with stack(request.param) as running:
        yield running


def test_a_faulty_fleet_is_stored_once_or_refused_with_its_reason(on: Stack, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, on)
    subjects = enrol_fleets(gateway, tmp_path)
    with gateway.run() as running:
        told = [summary(fleet_process(*call(name, on, tmp_path))) for name in FLEETS]
        valid = sum(books["valid"] for books in told)
        await_everything(gateway, on, valid)
        books = running.stop()
    record = recorded(tmp_path)
    assert Counter(entry.kind for entry in record) == {
        kind: sum(books[kind] for books in told) for kind in ("valid", "duplicate", "malformed")
    }
    assert all(books["faults"].keys() == {fault.name for fault in ZOO} for books in told)
    assert all(books["out_of_order"] for books in told)
    balance(books, record)
    assert {entry.content_type for entry in record if entry.kind == "valid"} == {
        None,
        "application/json",
        "application/senml+json",
    }
    reads_back(gateway, subjects, record)
    nothing_waits(gateway, on)


def test_what_was_published_while_the_gateway_was_away_is_stored(on: Stack, tmp_path: Path) -> None:
    homes, stream = small_fleet()
    gateway = Gateway(tmp_path, on)
    gateway.enrol(enrolment(homes))
    with gateway.run() as first:  # subscribes, and leaves
        assert first.stop()["stored"] == 0
    tally = publish(stream, Broker.at(on.broker.url))
    with gateway.run() as running:
        await_everything(gateway, on, tally.kinds[Kind.VALID])
        books = running.stop()
    balance(books, [entry(message) for message in stream])
    nothing_waits(gateway, on)


def test_killed_and_cut_off_in_the_middle_nothing_is_lost_or_doubled(on: Stack, tmp_path: Path) -> None:
    homes, stream = small_fleet()
    with Relay(on.broker.port) as relay, contextlib.ExitStack() as lives:
        gateway = Gateway(tmp_path, on, broker_url=relay.url)
        gateway.enrol(enrolment(homes))
        running = lives.enter_context(gateway.run())

        def kill() -> None:
            await_(lambda: gateway.points() > 0, lambda: "nothing is stored")
            running.kill()

        def begin() -> None:
            nonlocal running
            running = lives.enter_context(gateway.run())

        def cut() -> None:
            assert relay.cut() > 0

        acts = {0.2: [cut], 0.3: [kill], 0.4: [begin], 0.5: [cut], 0.6: [kill, begin], 0.8: [cut, kill, begin]}
        tally = publish(interrupted(stream, acts), Broker.at(on.broker.url))
        await_everything(gateway, on, tally.kinds[Kind.VALID])
        running.stop()
        record = [entry(message) for message in stream]
        assert tally.kinds == Counter(message.kind for message in stream)
        reads_back(gateway, [(home.controller, home.customer, home.device) for home in homes], record)
        nothing_waits(gateway, on)


def test_stored_but_never_acknowledged_comes_again_and_changes_nothing(tmp_path: Path) -> None:
    """The moment between the store's answer and the acknowledgement: the store has everything, the gateway dies."""
    homes, stream = small_fleet()
    valid = sum(message.kind is Kind.VALID for message in stream)
    with stack("servers") as on:
        assert on.influxdb is not None
        with StoreFront(on.influxdb.port) as front:
            gateway = Gateway(tmp_path, on, store_url=front.url, spool__max_bytes=0)
            gateway.enrol(enrolment(homes))
            front.silent.set()
            with gateway.run() as running:
                publish(stream, Broker.at(on.broker.url))
                await_(lambda: front.asked > 0 and gateway.points() > 0, lambda: "nothing was written")
                running.kill()
            written = gateway.points()
            assert 0 < written <= valid
            front.silent.clear()
            with gateway.run() as running:
                await_everything(gateway, on, valid)
                books = running.stop()
        balance(books, [entry(message) for message in stream])
        assert books["redelivered"] >= written


def enrol_fleets(gateway: Gateway, directory: Path) -> list[tuple[str, str, str]]:
    """(controller, customer, device) of both fleets, enrolled from the files that they write."""
    rows = []
    for name, size in FLEETS.items():
        fleet(*f"{name} {size} {FAULTY} --dry-run --enrolment".split(), directory / f"{name}.csv")
        rows += (directory / f"{name}.csv").read_text().splitlines()[1:]
    gateway.enrol("\n".join([COLUMNS, *rows, f"{MARKER},11122,2000-01-01\n"]))
    return [(row[0], row[1], row[2]) for row in csv.reader(io.StringIO("\n".join(rows)))]


def enrolment(homes: Sequence[Home]) -> str:
    rows = [f"{home.controller},{home.customer},{home.device},{home.postal_code},2000-01-01" for home in homes]
    return "\n".join([COLUMNS, *rows, f"{MARKER},11122,2000-01-01\n"])


def call(name: str, on: Stack, directory: Path) -> list[str | Path]:
    """Arguments of a fleet's command."""
    return [*f"{name} {FLEETS[name]} {FAULTY} --url {on.broker.url} --messages".split(), directory / f"{name}.jsonl"]


def small_fleet() -> tuple[tuple[Home, ...], list[Message]]:
    """Two meters and two thermostats with every fault, in one stream."""
    counted, lived = meters(2, seed=SEED, senml=0.5), thermostats(2, seed=SEED, senml=0.5)
    window = Window(start=int(NOW - 900 * 900) * 1000, interval=900, steps=900)
    stream = [
        *replay_messages(counted, Part(limit=900, end=int(NOW * 1000))),
        *simulate_messages(lived, window, seed=SEED),
    ]
    stream.sort(key=lambda message: message.time)
    faults = Faults(duplicates=0.05, disorder=0.05, bursts=0.1, malformed=0.06)
    return counted + lived, list(with_faults(stream, faults, seed=SEED))


def interrupted(stream: list[Message], acts: Mapping[float, list[Callable[[], None]]]) -> Iterator[Message]:
    """The stream, with something done after each of these shares of it."""
    due = {int(share * len(stream)): doings for share, doings in acts.items()}
    for number, message in enumerate(stream):
        for do in due.get(number, ()):
            do()
        yield message


def await_everything(gateway: Gateway, on: Stack, valid: int) -> None:
    """Wait until everything published so far has settled: deliveries settle in order, and this one is the last."""
    deliver(on, marker(0))
    gateway.await_points(valid + 1)


def marker(number: int) -> Message:
    return flat("glomska/marker/last/readings", int(NOW * 1000) - number, battery=50)


def nothing_waits(gateway: Gateway, on: Stack) -> None:
    """Everything was acknowledged: another run gets what is published now, and nothing before it."""
    stored = gateway.points()
    deliver(on, marker(1))
    with gateway.run() as again:
        gateway.await_points(stored + 1)
        books = again.stop()
    assert (books["stored"], books["refused"]) == (1, {})


def recorded(directory: Path) -> list[Entry]:
    """What both fleets have published. A payload that is no UTF-8 is not needed: it belongs to no valid message."""
    texts = [(directory / f"{name}.jsonl").read_text(encoding="utf-8") for name in FLEETS]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    return [
        Entry(line["topic"], line.get("payload", ""), line["kind"], line["reason"], line["content_type"])
        for line in lines
    ]


def entry(message: Message) -> Entry:
    payload = message.payload.decode(errors="replace")
    return Entry(message.topic, payload, message.kind, message.reason, message.content_type)


def balance(books: Mapping[str, object], record: list[Entry]) -> None:
    """To the message: what the gateway says it stored and refused is what the fleet knows it has published."""
    stored = sum(entry.kind != "malformed" for entry in record)
    refused = Counter(entry.reason for entry in record if entry.kind == "malformed")
    assert (books["stored"], books["refused"], books["untimed"]) == (stored + 1, refused, 0)


def reads_back(gateway: Gateway, subjects: list[tuple[str, str, str]], record: list[Entry]) -> None:
    """`glomska read` gives each customer's readings to the last digit, no more and no fewer."""
    published: dict[str, Readings] = {device: {} for _controller, _customer, device in subjects}
    for line in record:
        if line.kind == "valid":
            published[line.topic.split("/")[2]] |= said(line)
    for controller, customer, device in subjects:
        rows = gateway.read(f"{controller}/{customer}")
        assert {row["device"] for row in rows} == {device}
        found = {(row["time"], row["quantity"]): row["value"] for row in rows}
        assert len(found) == len(rows)
        wrong = sum(published[device].get(key) != value for key, value in found.items())
        assert (len(found), wrong) == (len(published[device]), 0)


def said(line: Entry) -> Readings:
    """What a message says, read without the gateway: the digits of each reading, and its time in UTC."""
    document = json.loads(line.payload, parse_float=str, parse_int=str)
    if isinstance(document, list):
        time = dt.datetime.fromtimestamp(int(document[0]["bt"]), dt.UTC)
        return {(spelled(time), record["n"]): record["v"] for record in document}
    written = document.pop("time")
    if written.isdecimal():
        seconds, milliseconds = divmod(int(written), 1000)
        time = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(microsecond=milliseconds * 1000)
    else:
        time = dt.datetime.fromisoformat(written).astimezone(dt.UTC)
    return {(spelled(time), quantity): digits for quantity, digits in document.items()}


def spelled(time: dt.datetime) -> str:
    """As `glomska read` writes it: milliseconds only where there are some."""
    precision = "milliseconds" if time.microsecond else "seconds"
    return time.isoformat(timespec=precision).removesuffix("+00:00") + "Z"
