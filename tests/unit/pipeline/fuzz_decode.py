"""Payloads nobody would send, and the books that decode must balance over them: JSON, CBOR, and on mapped topics.

`python -m tests.unit.pipeline.fuzz_decode 1000000` is the long form; the suite runs a short one. One seed gives the
same payloads on every machine.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from zoneinfo import ZoneInfo

import cbor2
import numpy as np

from gateway.model.clear import Readings, Refusals
from gateway.model.ids import Controller
from gateway.model.sealed import REVISION_TAKEN
from gateway.pipeline import cbor, senml
from gateway.pipeline.decode import Decoder
from gateway.pipeline.mapped import Clock, Mapping, Scale, TimeFormat, Wanted
from gateway.pipeline.times import NS_MAX
from gateway.pipeline.topics import TopicPattern
from gateway.policy.rules import Mode, Quantity

MAX_PAYLOAD = 4096
NOW = 1_714_564_800_000_000_000
BATCH = 500
_UNITS = {
    "temperature": "Cel", "target_temperature": "Cel", "humidity": "%RH", "power": "W", "energy": "kWh",
    "outdoor_temperature": "Cel", "valve": "%", "battery": "%",
}  # fmt: skip
QUANTITIES = [
    Quantity(
        name=name, number=number, unit=unit, decimals=2, minimum=-100, maximum=1e6,
        key_class="telemetry", mode=Mode.SEALED, wide=name == "energy",
    )
    for number, (name, unit) in enumerate(_UNITS.items())
]  # fmt: skip


SCALES = {"C": Scale(), "F": Scale(zero=32, factor=5 / 9)}


@dataclass(frozen=True)
class Message:
    """What decode sees of an arrival."""

    payload: bytes
    content_type: str | None = None
    topic: str = "glomska/nordhem/thermostat-7/readings"


MAPPED = ("tele/plug-1/SENSOR", "zigbee2mqtt/valve-1")
MAPPINGS = [
    Mapping(
        pattern=TopicPattern("tele/{device}/SENSOR", Controller("home")),
        wanted=(
            Wanted(number=0, at=(("AM2301", "Temperature"), ("DS", "1")), unit_at=("TempUnit",), units=SCALES),
            Wanted(number=3, at=(("ENERGY", "Power"), ("ENERGY", "Power", "1"))),
            Wanted(number=4, at=(("ENERGY", "Total"),), scale=Scale(zero=1, factor=1e300)),
        ),
        clock=Clock(
            at=("Time",),
            formats=(TimeFormat.RFC3339, TimeFormat.LOCAL, TimeFormat.UNIX_S),
            zone=ZoneInfo("Europe/Stockholm"),
        ),
    ),
    Mapping(
        pattern=TopicPattern("zigbee2mqtt/{device}", Controller("home")),
        wanted=(Wanted(number=6, at=(("valve",), ("temperature",))), Wanted(number=0, at=((),))),
        clock=Clock(at=("time",), formats=(TimeFormat.UNIX_MS, TimeFormat.LOCAL), required=False),
    ),
]


def decoded(*payloads: bytes, content_type: str | None = None) -> tuple[Readings, Refusals]:
    """One batch through a decoder of the shipped quantities."""
    refusals = Refusals()
    decoder = Decoder(QUANTITIES, MAX_PAYLOAD)
    return decoder([Message(payload, content_type) for payload in payloads], NOW, refusals), refusals


def audit(messages: list[Message], readings: Readings, refusals: Refusals) -> None:
    """Every message is rows or a refusal and never both, and every row is one that sealing can take."""
    n = len(readings.message)
    assert readings.values.shape == (n, len(QUANTITIES))
    assert readings.values.dtype == np.float64
    assert len(readings.time) == len(readings.revision) == n
    assert readings.message == sorted(readings.message)
    assert set(readings.message) | refusals.message.keys() == set(range(len(messages)))
    assert not set(readings.message) & refusals.message.keys()
    assert not np.isinf(readings.values).any()
    assert not np.isnan(readings.values).all(axis=1).any()
    assert all(type(t) is int and 0 <= t <= NS_MAX for t in readings.time)
    assert all(type(r) is int and 0 <= r <= REVISION_TAKEN for r in readings.revision)
    names = set(zip(readings.message, readings.time, readings.revision, strict=True))
    assert len(names) == n, "two rows of one message share a point's name"
    assert readings.untimed <= set(readings.message)
    assert sum(refusals.readings.values()) >= len(refusals.message)
    assert set(refusals.message.values()) <= refusals.readings.keys()


def agree(decoder: Decoder, messages: list[Message], readings: Readings) -> int:
    """Single objects of which all was taken read the same with care; how many there were."""
    single = [
        row
        for row, i in enumerate(readings.message)
        if messages[i].payload.lstrip()[:1] == b"{" and messages[i].topic not in MAPPED
    ]
    for row in single:
        found = decoder._read_with_care(messages[readings.message[row]], NOW).settle()
        values = {number: float(v) for number, v in enumerate(readings.values[row]) if not np.isnan(v)}
        assert found == {(readings.time[row], readings.revision[row]): values}
    return len(single)


def payloads(seed: int) -> Iterator[Message]:
    """Messages without end: valid ones, mutations of them, JSON, CBOR and SenML of any shape, mapped ones, noise."""
    rng = random.Random(seed)
    text: list[Callable[[random.Random], bytes]] = [*[_flat] * 5, _flat_list, *[_senml] * 3, _any_json, _noise, _deep]
    makers = [*text, *[_cbor] * 5, _any_cbor, _deep_cbor, *[_mapped] * 5]
    types = [*[None] * 9, "application/json", "application/senml+json", "Application/SenML+JSON; v=1", "text/plain"]
    types += ["application/cbor", "application/senml+cbor"]
    while True:
        maker = rng.choice(makers)
        payload = maker(rng)
        for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 1, 3))):
            payload = _mutated(rng, payload)
        topic = rng.choice(MAPPED) if maker is _mapped or rng.random() < 0.05 else Message.topic
        yield Message(payload, rng.choice(types), topic)


def run(count: int, seed: int) -> Counter[str]:
    """Decode and audit `count` messages; how they ended: as rows, or refused by reason."""
    source, decoder, ends = payloads(seed), Decoder(QUANTITIES, MAX_PAYLOAD, MAPPINGS), Counter[str]()
    for start in range(0, count, BATCH):
        messages = list(islice(source, min(BATCH, count - start)))
        refusals = Refusals()
        readings = decoder(messages, NOW, refusals)
        audit(messages, readings, refusals)
        ends["mapped"] += len({i for i in readings.message if messages[i].topic in MAPPED})
        ends["read twice"] += agree(decoder, messages, readings)
        ends["rows of messages"] += len(set(readings.message))
        ends.update(reason.value for reason in refusals.message.values())
    return ends


_NUMBERS = (
    "0", "-0", "-0.0", "1", "21.5", "1250", "12345.678", "1e3", "1E-3", "1e308", "1e309", "-1e999", "1e-999", "NaN",
    "Infinity", "-Infinity", "0.1", "1e99999999999999999999", "9" * 40, "9" * 400, "9" * 5000, "0." + "3" * 400,
    "18446744073709551615", "-9223372036854775809", "4294967295", "4294967296",
)  # fmt: skip
_TIMES = (
    "1714564800250", "0", "-1", "9223372036854", "9223372036855", "1e12", "1714564800250.0", "null", "true", "{}",
    '"2024-05-01T12:00:00Z"', '"2024-05-01t12:00:00.123456789z"', '"2024-05-01T12:00:00.5+02:00"',
    '"1969-12-31T23:59:59Z"', '"9999-12-31T23:59:59Z"', '"0000-01-01T00:00:00Z"', '"2016-12-31T23:59:60Z"',
    '"2024-02-30T00:00:00Z"', '"now"', '""', '"2024-05-01T12:00:00.' + "7" * 300 + '-23:59"', '"2024-05-01T12:00:00"',
    '"2024-05-01"',
)  # fmt: skip
_OTHERS = ("null", "true", "false", '"21.5"', '""', "[]", "{}", "[1]", '{"v":1}', '"\\ud800"', '"\\u0000"')
_SECONDS = (
    "0",
    "-5",
    "60",
    "1.276020076001e9",
    "1714564800.123456789123",
    "268435455",
    "268435456",
    "1e999",
    "-1e18",
    "NaN",
)
_SENML_VALUES: dict[str, tuple[str, ...]] = {
    "bn": ('"urn:dev:ow:10e2073a0108006:"', '"a/"', '""', "1", "null", '"å"'),
    "bt": _SECONDS, "t": _SECONDS, "ut": _SECONDS, "s": _NUMBERS, "bs": _NUMBERS, "bv": _NUMBERS, "v": _NUMBERS,
    "bu": ('"Cel"', '"W"', '""', "3"), "u": ('"Cel"', '"%RH"', '"kWh"', '"W"', "null", '"F"'),
    "bver": ("5", "10", "11", "0", "1.0", '"10"'), "n": (*(f'"{name}"' for name in _UNITS), '"x"', '""', '"-a"', "7"),
    "vs": ('"on"', "1"), "vb": ("true", "0"), "vd": ('"aGkgCg"', "[]"), "must_": ("1",), "l": ('"link"',),
}  # fmt: skip


def _flat(rng: random.Random) -> bytes:
    names = rng.sample([*_UNITS], rng.randrange(0, 5)) + rng.choices(
        ["mood", "n", "time", "rev"], k=rng.choice((0, 0, 0, 1))
    )
    members = [(name, _number(rng)) for name in names]
    if rng.random() < 0.9:
        members.append(
            ("time", rng.choice(_TIMES) if rng.random() < 0.2 else str(NOW // 1_000_000 + rng.randrange(10**6)))
        )
    if rng.random() < 0.3:
        members.append(("rev", rng.choice((*_NUMBERS[:6], "4294967295", "4294967296", "true", "null"))))
    rng.shuffle(members)
    return _object(members)


def _flat_list(rng: random.Random) -> bytes:
    return b"[" + b",".join(_flat(rng) for _ in range(rng.randrange(0, 4))) + b"]"


def _senml(rng: random.Random) -> bytes:
    records = []
    for _ in range(rng.choice((0, 1, 1, 2, 3, 4))):
        labels = {"n", "v"} if rng.random() < 0.8 else set()
        labels.update(rng.choices(("bn", "bt", "t", "u"), k=rng.randrange(3)))
        labels.update(rng.choices([*_SENML_VALUES], k=rng.choice((0, 0, 0, 1, 3))))
        members = [(label, _likely(rng, _SENML_VALUES[label])) for label in sorted(labels)]
        records.append(_object(members))
    return b"[" + b",".join(records) + b"]"


def _any_json(rng: random.Random) -> bytes:
    def value(depth: int) -> object:
        kind = rng.randrange(6 if depth < 4 else 4)
        if kind == 4:
            return [value(depth + 1) for _ in range(rng.randrange(4))]
        if kind == 5:
            return {rng.choice([*_UNITS, *_SENML_VALUES, "time"]): value(depth + 1) for _ in range(rng.randrange(4))}
        return rng.choice(
            [None, True, 0, -1, 1.5, 10**30, float("nan"), float("inf"), "", "temperature", "\x00", "\ud800"]
        )

    return json.dumps(value(0)).encode()


def _cbor(rng: random.Random) -> bytes:
    """What would be a message in JSON, in CBOR; numbers as floats or decimal fractions, labels as integers."""
    number = rng.choice((float, float, Decimal))
    try:
        item = json.loads(rng.choice((_flat, _flat, _flat_list, _senml))(rng), parse_float=number)
        if rng.random() < 0.9:
            item = _with_numbers_for_labels(item)
        return cbor2.dumps(item, indefinite_containers=rng.random() < 0.2)
    except (
        ValueError,
        ArithmeticError,
        cbor2.CBOREncodeError,
    ):  # 5000 digits, 1e99999999999999999999, half a surrogate
        return cbor2.dumps({"time": NOW // 1_000_000, "power": 1})


def _with_numbers_for_labels(item: object) -> object:
    if not isinstance(item, list):
        return item
    labels = {name: label for label, name in senml._LABELS.items()}
    return [{labels.get(k, k): v for k, v in record.items()} for record in item]


def _any_cbor(rng: random.Random) -> bytes:
    def value(depth: int) -> object:
        kind = rng.randrange(8 if depth < 4 else 5)
        if kind == 5:
            return [value(depth + 1) for _ in range(rng.randrange(4))]
        if kind == 6:
            return {key(depth): value(depth + 1) for _ in range(rng.randrange(4))}
        if kind == 7:
            return cbor2.CBORTag(rng.choice((*cbor._TAGS, 6, 24, 70_000)), value(depth + 1))
        return rng.choice(
            (None, True, -1, 10**30, 1.5, float("nan"), "", b"", cbor2.undefined, cbor2.CBORSimpleValue(7))
        )

    def key(depth: int) -> object:
        return rng.choice((0, 2, -2, -1, 6, "time", "power", b"n", None, True, 1.5, (1, depth), cbor2.undefined))

    return cbor2.dumps(value(0))


def _deep_cbor(rng: random.Random) -> bytes:
    opening = rng.choice(
        (b"\x81", b"\x9f", b"\xa1\x00", b"\xc4\x82", b"\xd8\x1c\x81", b"\xbfdtime", b"\x9b" + b"\xff" * 8)
    )
    return opening * rng.choice((1, 2, 3, 5, 50, MAX_PAYLOAD // len(opening))) + b"\x00" * rng.randrange(2)


def _mapped(rng: random.Random) -> bytes:
    """What Tasmota or Zigbee2MQTT might say, and what neither would."""
    power = rng.choice((_number(rng), f"[{_number(rng)},{_number(rng)}]"))
    members = [
        (
            "Time",
            rng.choice(_TIMES) if rng.random() < 0.3 else f'"2025-{_digits(rng, 12)}-{_digits(rng, 31)}T02:30:00"',
        ),
        ("time", rng.choice(_TIMES)),
        ("AM2301", f'{{"Temperature":{_number(rng)},"Humidity":{_number(rng)}}}'),
        ("ENERGY", f'{{"Power":{power},"Total":{_number(rng)}}}'),
        ("TempUnit", rng.choice(('"C"', '"F"', '"K"', *_OTHERS))),
        ("valve", _number(rng)),
        ("temperature", _number(rng)),
        ("DS", f"[{_number(rng)},{_number(rng)}]"),
    ]
    return _object(rng.sample(members, k=rng.randrange(len(members) + 1)))


def _digits(rng: random.Random, most: int) -> str:
    return f"{rng.randint(1, most):02}"


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 2, 7, 40, 200)))


def _deep(rng: random.Random) -> bytes:
    opening = rng.choice((b"[", b'{"a":', b'{"time":', b'[{"n":"x","v":', b'{"temperature":['))
    depth = rng.choice((3, 50, MAX_PAYLOAD // len(opening), MAX_PAYLOAD))
    return opening * depth + b"1" * rng.randrange(2)


def _likely(rng: random.Random, values: tuple[str, ...]) -> str:
    """One of `values`, mostly of the first three, which are harmless."""
    return rng.choice(values[:3] if rng.random() < 0.8 else values)


def _number(rng: random.Random) -> str:
    if rng.random() < 0.8:
        return f"{rng.uniform(-40, 3000):.{rng.randrange(4)}f}"
    return rng.choice((*_NUMBERS, *_OTHERS))


def _object(members: list[tuple[str, str]]) -> bytes:
    return ("{" + ",".join(f'"{name}":{value}' for name, value in members) + "}").encode()


def _mutated(rng: random.Random, payload: bytes) -> bytes:
    if not payload:
        return b"\xef\xbb\xbf" + payload
    at, to = sorted((rng.randrange(len(payload)), rng.randrange(len(payload))))
    foreign = rng.choice(
        (b'"', b"\\u00", b"\xff", b"\xed\xa0\x80", b"NaN", b"_", b"\x00", b"}", b"]", b" ", b"\xef\xbb\xbf")
    )
    head, middle, end = payload[:at], payload[at:to], payload[to:]
    flipped = bytes([payload[at] ^ 1 << rng.randrange(8)])
    return rng.choice((
        head + flipped + payload[at + 1 :], head + end, head + middle + middle + end, head, payload + foreign,
        foreign + payload, head + foreign + middle + end, payload + payload,
    ))  # fmt: skip


def main() -> None:
    """Run as many messages as the first argument says, and print how they ended."""
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8428
    started = time.perf_counter()
    ends = run(count, seed)
    sys.stdout.write(
        f"{count} messages, seed {seed}, {time.perf_counter() - started:.0f} s: {dict(ends.most_common())}\n"
    )


if __name__ == "__main__":
    main()
