"""All that devices in the field do, at once, through the real commands: all formats, hubs, power cuts, wrong clocks."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections import defaultdict
from pathlib import Path

import cbor2
import pytest

from gateway.runtime.config import resource
from tests.commands import Gateway, deliver, flat, fleet, stack

FIELD = (
    *("simulate", "--homes", "40", "--controller", "home", "--seed", "11", "--hours", "24", "--hubs", "0.3"),
    *("--senml", "0.1", "--untimed", "0.1", "--cbor", "0.1", "--senml-cbor", "0.1"),
    *("--zigbee2mqtt", "0.15", "--tasmota", "0.15", "--power-cuts", "120", "--clock-drift", "50"),
    *("--malformed", "0.05", "--oversized", "0.003", "--duplicates", "0.05", "--disorder", "0.05", "--bursts", "0.1"),
)
SPOKEN = {
    *(("glomska", kind) for kind in (None, "application/json", "application/senml+json")),
    *(("glomska", kind) for kind in ("application/cbor", "application/senml+cbor")),
    *(("zigbee2mqtt", None), ("tele", None)),
}
MAPPINGS = [resource(f"mappings/{name}.toml") for name in ("zigbee2mqtt", "tasmota")]
ENERGY = re.compile(r'"(?:energy|Total)":([0-9.]+)|"n":"energy","u":"kWh","v":([0-9.]+)')


@pytest.mark.parametrize("name", ["embedded", "servers"])
def test_a_fleet_of_all_kinds_is_stored_as_its_books_say(name: str, tmp_path: Path) -> None:
    with stack(name) as on:
        gateway = Gateway(tmp_path, on, mqtt__mappings=json.dumps([str(file) for file in MAPPINGS]))
        fleet(*FIELD, "--dry-run", "--enrolment", tmp_path / "fleet.csv")
        enrolment = (tmp_path / "fleet.csv").read_text()
        gateway.enrol(f"{enrolment}marker,last,last,11122,2000-01-01\n")
        with gateway.run() as running:
            told = fleet(*FIELD, "--url", on.broker.url, "--messages", tmp_path / "record")
            entries = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
            deliver(on, flat("glomska/marker/last/readings", max(entry["time"] for entry in entries), battery=50))
            gateway.await_points(told["valid"] + told["untimed"] + 1)
            books = running.stop()
        assert (books["stored"], books["untimed"]) == (told["deliveries"] - told["malformed"] + 1, told["untimed"])
        assert books["refused"] == told["refused_expected"]
        spoken = {(entry["topic"].split("/")[0], entry["content_type"]): entry for entry in entries if good(entry)}
        assert spoken.keys() == SPOKEN
        assert told["refused_expected"]["too_large"] > 0
        said = counters(entries)
        customers = {row["device"]: row["customer"] for row in csv.DictReader(io.StringIO(enrolment))}
        for device in map(device_of, spoken.values()):
            rows = gateway.read(f"home/{customers[device]}")
            assert {float(found["value"]) for found in rows if found["quantity"] == "energy"} == said[device]


def good(entry: dict[str, str]) -> bool:
    return entry["kind"] != "malformed"


def device_of(entry: dict[str, str]) -> str:
    levels = entry["topic"].split("/")
    return levels[2] if levels[0] == "glomska" else levels[1]


def counters(entries: list[dict[str, str]]) -> dict[str, set[float]]:
    """What each device has said that its counter showed, read without the gateway."""
    said = defaultdict(set)
    for entry in entries:
        if not good(entry):
            continue
        if "payload" in entry:
            (found,) = ENERGY.findall(entry["payload"])
            said[device_of(entry)].add(float(found[0] or found[1]))
        else:
            document = cbor2.loads(base64.b64decode(entry["payload_base64"]))
            (value,) = (
                [document["energy"]] if isinstance(document, dict) else [r[2] for r in document if r[0] == "energy"]
            )
            said[device_of(entry)].add(value)
    return said
