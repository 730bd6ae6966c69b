"""One home in every format: the same series, the same points, byte for byte, through look-up and all four stages."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model.sealed import SealedPoint
from gateway.pipeline import senml
from gateway.pipeline.chain import Chain
from gateway.pipeline.topics import Topics
from gateway.policy.load import load_policy
from gateway.runtime.config import resource
from gateway.runtime.mappings import load_mappings
from tests.world import CANARY, CONTROLLER, DAY, SECOND, Message, World, topic

POLICY = load_policy(resource("policy.toml"))
UNITS = {quantity.name: quantity.unit for quantity in POLICY.quantities}
LABELS = {name: label for label, name in senml._LABELS.items()}
OURS = topic("meter-1")
ZIGBEE, TASMOTA = f"zigbee2mqtt/{CANARY}meter-1", f"tele/{CANARY}meter-1/SENSOR"
ZIGBEE_NAMES = {
    "temperature": "local_temperature", "target_temperature": "occupied_heating_setpoint", "humidity": "humidity",
    "power": "power", "energy": "energy", "valve": "pi_heating_demand", "battery": "battery",
}  # fmt: skip
TASMOTA_PLACES = {
    "temperature": ("AM2301", "Temperature"), "humidity": ("AM2301", "Humidity"), "power": ("ENERGY", "Power"),
    "energy": ("ENERGY", "Total"),
}  # fmt: skip

Home = dict[str, Decimal]
Writer = Callable[[Home, int], Message | None]


def _json(value: object) -> bytes:
    return json.dumps(value, default=float).encode()


def _utc(second: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(second, dt.UTC)


def _records(home: Home, second: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [{"n": name, "u": UNITS[name], "v": value} for name, value in home.items()]
    records[0] = {"bn": "urn:dev:ow:10e2073a0108006:", "bt": second, **records[0]}
    return records


def _labelled(records: list[dict[str, Any]]) -> list[dict[int, Any]]:
    return [{LABELS[label]: value for label, value in record.items()} for record in records]


def _floats(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_floats(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _floats(inner) for key, inner in value.items()}
    return float(value) if isinstance(value, Decimal) else value


def _zigbee(home: Home, last_seen: object) -> Message | None:
    if not home.keys() <= ZIGBEE_NAMES.keys():
        return None
    said = {ZIGBEE_NAMES[name]: value for name, value in home.items()}
    return Message(ZIGBEE, _json({**said, "linkquality": 120, "last_seen": last_seen}))


def _tasmota(home: Home, time: object) -> Message | None:
    if not home.keys() <= TASMOTA_PLACES.keys():
        return None
    said: dict[str, Any] = {"Time": time, "TempUnit": "C"}
    for name, value in home.items():
        sensor, key = TASMOTA_PLACES[name]
        said.setdefault(sensor, {})[key] = value
    return Message(TASMOTA, _json(said))


def _stockholm(second: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(second, ZoneInfo("Europe/Stockholm"))


def _comes_twice(second: int) -> bool:
    local = _stockholm(second)
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


TIMED: dict[str, Writer] = {
    "flat": lambda home, at: Message(OURS, _json({"time": at * 1000, **home})),
    "flat, declared": lambda home, at: Message(OURS, _json({"time": at * 1000, **home}), "application/json"),
    "flat, RFC 3339": lambda home, at: Message(OURS, _json({"time": _utc(at).isoformat(), **home})),
    "flat, list": lambda home, at: Message(OURS, _json([{"time": at * 1000, "rev": 0, **home}])),
    "flat, apart": lambda home, at: Message(OURS, _json([{"time": at * 1000, name: v} for name, v in home.items()])),
    "SenML": lambda home, at: Message(OURS, _json(_records(home, at))),
    "SenML, declared": lambda home, at: Message(OURS, _json(_records(home, at)), "application/senml+json"),
    "CBOR": lambda home, at: Message(OURS, cbor2.dumps(_floats({"time": at * 1000, **home}))),
    "CBOR, declared": lambda home, at: Message(
        OURS, cbor2.dumps(_floats({"time": at * 1000, **home})), "application/cbor"
    ),
    "CBOR, fractions": lambda home, at: Message(OURS, cbor2.dumps([{"time": _utc(at).isoformat(), **home}])),
    "SenML CBOR": lambda home, at: Message(OURS, cbor2.dumps(_floats(_labelled(_records(home, at))))),
    "SenML CBOR, declared": lambda home, at: Message(
        OURS, cbor2.dumps(_labelled(_records(home, at)), indefinite_containers=True), "application/senml+cbor"
    ),
    "Zigbee2MQTT, ISO_8601": lambda home, at: _zigbee(home, f"{_utc(at):%FT%T}.000Z"),
    "Zigbee2MQTT, ISO_8601_local": lambda home, at: _zigbee(home, _stockholm(at).isoformat()),
    "Zigbee2MQTT, epoch": lambda home, at: _zigbee(home, at * 1000),
    "Tasmota": lambda home, at: None if _comes_twice(at) else _tasmota(home, f"{_stockholm(at):%FT%T}"),
    "Tasmota, SetOption52": lambda home, at: _tasmota(home, _stockholm(at).isoformat()),
}
UNTIMED: dict[str, Writer] = {
    "SenML": lambda home, _: Message(OURS, _json(_records(home, 0))),
    "SenML CBOR": lambda home, _: Message(OURS, cbor2.dumps(_floats(_labelled(_records(home, 0))))),
    "Zigbee2MQTT": lambda home, _: _zigbee(home, None),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with the shipped mappings, for devices of the world's own controller."""
    directory = tmp_path_factory.mktemp("world")
    files = []
    for name in ("zigbee2mqtt", "tasmota"):
        files.append(directory / f"{name}.toml")
        text = resource(f"mappings/{name}.toml").read_text(encoding="utf-8")
        files[-1].write_text(text.replace('controller = "home"', f'controller = "{CONTROLLER}"'), encoding="utf-8")
    patterns = ["glomska/{controller}/{device}/readings"]
    mappings = load_mappings(files, POLICY, patterns)
    world = World(directory)
    world.chain = Chain(POLICY, max_payload_bytes=262_144, mappings=mappings)
    world.ring._parse = Topics(patterns, [mapping.pattern for mapping in mappings]).parse
    world.enrol("anna", "meter-1")
    world.register()
    yield world
    world.close()


def _points(world: World, message: Message, now: int) -> tuple[list[SealedPoint], int]:
    """The points of a message that arrived at `now`, and how many messages of it are untimed. Nothing is refused."""
    with world.ring.using():
        done = world.chain([message], world.ring.resolve([message.topic]), now)
    assert (done.refusals.message, done.refusals.readings) == ({}, {})
    return done.points, done.untimed


def _values(name: str) -> st.SearchStrategy[Decimal]:
    quantity = POLICY.by_name[name]
    low, high = max(quantity.minimum, -1_000_000), min(quantity.maximum, 1_000_000)
    return st.decimals(str(low), str(high), places=quantity.decimals)


homes = st.sets(st.sampled_from(sorted(UNITS)), min_size=1).flatmap(
    lambda names: st.fixed_dictionaries({name: _values(name) for name in sorted(names)})
)
plugs = st.sets(st.sampled_from(sorted(TASMOTA_PLACES)), min_size=1).flatmap(
    lambda names: st.fixed_dictionaries({name: _values(name) for name in sorted(names)})
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(home=homes | plugs, ago=st.integers(0, 20 * 86_400), late=st.integers(0, 86_400))
def test_a_home_is_the_same_points_in_every_format(world: World, home: Home, ago: int, late: int) -> None:
    second = world.clock.wall() // SECOND - ago
    now = (second + late) * SECOND
    (expected,), untimed = _points(world, Message(OURS, _json({"time": second * 1000, **home})), now)
    assert (expected.time, untimed) == (second * SECOND, 0)
    written = {name: writer(home, second) for name, writer in TIMED.items()}
    found = {name: _points(world, message, now) for name, message in written.items() if message is not None}
    assert found == dict.fromkeys(found, ([expected], 0))
    assert {"flat", "SenML", "CBOR", "SenML CBOR"} <= found.keys()
    assert ("Tasmota, SetOption52" in found) == (home.keys() <= TASMOTA_PLACES.keys())


@settings(deadline=None, max_examples=20)
@given(home=homes | plugs)
def test_without_a_time_it_is_the_same_but_for_the_arrivals_time(world: World, home: Home) -> None:
    now = world.clock.wall() // SECOND * SECOND
    (expected,), _ = _points(world, Message(OURS, _json({"time": now // 1_000_000, **home})), now)
    for writer in UNTIMED.values():
        message = writer(home, 0)
        if message is not None:
            assert _points(world, message, now) == ([expected], 1)


def test_what_is_read_back_is_what_was_published_in_each_format(world: World) -> None:
    home = {"temperature": Decimal("21.57"), "humidity": Decimal("40.1"), "energy": Decimal("12345.678")}
    start = world.clock.wall() // SECOND - DAY // SECOND
    while _comes_twice(start) or _comes_twice(start + len(TIMED)):
        start -= 3600
    for number, writer in enumerate(TIMED.values()):
        message = writer(home, start + number)
        assert message is not None
        world.store.write(world.process(message).points)
    rows = world.read("anna", start=start * SECOND)
    assert rows.time.tolist() == [(start + number) * SECOND for number in range(len(TIMED)) for _ in home]
    assert rows.value.tolist() == [float(home[name]) for name in sorted(home)] * len(TIMED)
    assert world.leaks() == []
