"""Every format through a real broker, the real command and a real store: one home, told seven ways, is one point."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path

import cbor2
import pytest

from firmware_sim.fleet import Message
from gateway.runtime.config import resource
from tests.commands import STACKS, Gateway, deliver, flat, stack

ENROLMENT = "controller,customer,device,postal_code,valid_from\nhome,anna,meter-1,11122,2000-01-01\n"
SECOND = int(time.time()) - 60
HOME = {"temperature": 21.5, "humidity": 40.1, "power": 1250, "energy": 12345.678}
UNITS = {"temperature": "Cel", "humidity": "%RH", "power": "W", "energy": "kWh"}
UTC = dt.datetime.fromtimestamp(SECOND, dt.UTC)
FLAT = {"time": SECOND * 1000, **HOME}
SENML = [{"bt": SECOND, "n": name, "u": UNITS[name], "v": value} for name, value in HOME.items()]
LABELS = {"bt": -3, "n": 0, "u": 1, "v": 2}
TASMOTA = {
    "Time": UTC.isoformat(),
    "AM2301": {"Temperature": HOME["temperature"], "Humidity": HOME["humidity"]},
    "ENERGY": {"Power": HOME["power"], "Total": HOME["energy"]},
    "TempUnit": "C",
}
OURS = "glomska/home/meter-1/readings"


def message(payload: bytes, topic: str = OURS, content_type: str | None = None) -> Message:
    return Message(topic=topic, payload=payload, time=SECOND * 1000, content_type=content_type)


TOLD = [
    message(json.dumps(FLAT).encode()),
    message(json.dumps(SENML).encode(), content_type="application/senml+json"),
    message(cbor2.dumps(FLAT)),
    message(cbor2.dumps(FLAT), content_type="application/cbor"),
    message(
        cbor2.dumps([{LABELS[label]: value for label, value in record.items()} for record in SENML]),
        content_type="application/senml+cbor",
    ),
    message(json.dumps({**HOME, "last_seen": SECOND * 1000, "linkquality": 120}).encode(), "zigbee2mqtt/meter-1"),
    message(json.dumps(TASMOTA).encode(), "tele/meter-1/SENSOR"),
]


@pytest.mark.parametrize("name", STACKS)
def test_one_home_in_every_format_is_one_point(name: str, tmp_path: Path) -> None:
    mappings = json.dumps([str(resource(f"mappings/{firmware}.toml")) for firmware in ("zigbee2mqtt", "tasmota")])
    with stack(name) as on:
        gateway = Gateway(tmp_path, on, mqtt__mappings=mappings)
        gateway.enrol(ENROLMENT)
        with gateway.run() as running:
            deliver(on, *TOLD, flat(OURS, (SECOND + 1) * 1000, power=1))  # the last tells that all were stored
            gateway.await_points(2)
            books = running.stop()
        assert (books["stored"], books["refused"], books["untimed"]) == (len(TOLD) + 1, {}, 0)
        assert gateway.points() == 2
        *rows, last = [(row["quantity"], row["unit"], float(row["value"])) for row in gateway.read("home/anna")]
        assert rows == [(quantity, UNITS[quantity], HOME[quantity]) for quantity in sorted(HOME)]
        assert last == ("power", "W", 1)
