"""Who publishes, and how each firmware generation writes a message."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from firmware_sim.enrolment import write_enrolment
from firmware_sim.fleet import PLAIN, Firmware, Kind, meters, thermostats
from firmware_sim.payloads import encode, message
from firmware_sim.places import POSTAL_CODES, area_of

READINGS = [("temperature", "21.50"), ("humidity", "40.1"), ("power", "1250"), ("energy", "12345.678")]
MOMENT = 1_767_225_600_250  # 2026-01-01T00:00:00.250Z


def test_the_same_seed_gives_the_same_homes_and_another_seed_others() -> None:
    assert thermostats(50, seed=1) == thermostats(50, seed=1)
    assert not {home.device for home in thermostats(50, seed=1)} & {home.device for home in thermostats(50, seed=2)}


def test_identities_are_distinct_over_both_fleets() -> None:
    homes = (*meters(500, seed=1), *thermostats(500, seed=1))
    assert len({home.device for home in homes}) == len({home.customer for home in homes}) == 1000
    assert all(len(home.postal_code) == 5 and home.postal_code.isdigit() for home in homes)


def test_a_share_speaks_senml_and_the_others_mix_their_ways_to_write_time() -> None:
    generations = [home.firmware for home in thermostats(1000, seed=1, senml=0.25)]
    assert 200 < generations.count(Firmware.SENML) < 300
    assert set(generations) == {*PLAIN, Firmware.SENML}
    assert {home.firmware for home in thermostats(1000, seed=1)} == set(PLAIN)
    with pytest.raises(ValueError, match="more than 1"):
        thermostats(1, seed=1, senml=0.6, shares={Firmware.CBOR: 0.5})
    everything = {firmware: 0.1 for firmware in Firmware if firmware not in PLAIN}
    shared = [home.firmware for home in thermostats(1000, seed=1, shares=everything)]
    assert all(70 < shared.count(firmware) < 130 for firmware in everything)


def test_a_share_of_the_homes_is_behind_hubs_each_with_a_device_of_its_own() -> None:
    homes = thermostats(3000, seed=1, hubs=0.4)
    hubs = defaultdict(list)
    for home in homes:
        if home.hub:
            hubs[home.hub].append(home)
    assert sum(map(len, hubs.values())) == pytest.approx(0.4 * 3000, rel=0.1)
    assert {len(carried) for carried in hubs.values()} == set(range(2, 13))
    for hub, carried in hubs.items():
        assert [home.device for home in carried] == [f"{hub}-{n:02}" for n in range(1, len(carried) + 1)]
        assert len({(home.client, home.postal_code, home.firmware, home.phase) for home in carried}) == 1
    assert len({home.device for home in homes}) == len({home.customer for home in homes}) == 3000
    assert all(home.client == f"demo/{home.device}" for home in homes if not home.hub)
    assert {bool(home.hub) for home in thermostats(100, seed=1, hubs=1.0)} == {True}


def test_homes_stand_in_all_areas_as_the_gateway_knows_them() -> None:
    with (Path(__file__).parents[3] / "config/areas.csv").open() as file:
        ranges = [row for row in csv.reader(file) if row and row[0].isdigit()]
    for code in POSTAL_CODES:
        assert [row[2] for row in ranges if row[0] <= code <= row[1]] == [f"SE{area_of(code) + 1}"]


@pytest.mark.parametrize(
    ("firmware", "payload"),
    [
        (
            Firmware.MILLIS,
            b'{"time":1767225600250,"temperature":21.50,"humidity":40.1,"power":1250,"energy":12345.678}',
        ),
        (
            Firmware.UTC,
            b'{"time":"2026-01-01T00:00:00.250Z","temperature":21.50,"humidity":40.1,"power":1250,"energy":12345.678}',
        ),
        (
            Firmware.OFFSET,
            b'{"time":"2026-01-01T01:00:00.250+01:00","temperature":21.50,"humidity":40.1,"power":1250,"energy":12345.678}',
        ),
        (
            Firmware.SENML,
            (
                b'[{"bn":"urn:dev:ser:X1:","bu":"Cel","bt":1767225600,"n":"temperature","v":21.50},'
                b'{"n":"humidity","u":"%RH","v":40.1},{"n":"power","u":"W","v":1250},{"n":"energy","u":"kWh","v":12345.678}]'
            ),
        ),
        (
            Firmware.ZIGBEE2MQTT,
            (
                b'{"energy":12345.678,"humidity":40.1,"last_seen":"2026-01-01T00:00:00.250Z","linkquality":120,'
                b'"local_temperature":21.50,"power":1250}'
            ),
        ),
        (
            Firmware.TASMOTA,
            (
                b'{"Time":"2026-01-01T01:00:00+01:00","AM2301":{"Temperature":21.50,"Humidity":40.1},"ENERGY":'
                b'{"TotalStartTime":"2024-01-01T00:00:00","Total":12345.678,"Power":1250},"TempUnit":"C"}'
            ),
        ),
        (
            Firmware.UNTIMED,
            (
                b'[{"bn":"urn:dev:ser:X1:","bu":"Cel","n":"temperature","v":21.50},{"n":"humidity","u":"%RH","v":40.1},'
                b'{"n":"power","u":"W","v":1250},{"n":"energy","u":"kWh","v":12345.678}]'
            ),
        ),
    ],
)
def test_payload_of_each_generation(firmware: Firmware, payload: bytes) -> None:
    assert encode(firmware, "X1", [(MOMENT, READINGS)]) == payload
    msgspec.json.decode(payload)


@pytest.mark.parametrize(
    ("firmware", "payload"),
    [
        (  # {"time": 1767225600250, "power": 7, "temperature": 21.5}, keys by length and then by letter
            Firmware.CBOR,
            "a3 64 74696d65 1b 0000019b76daa8fa 65 706f776572 07 6b 74656d7065726174757265 f9 4d60",
        ),
        (  # [{0: "temperature", 2: 21.5, -2: "urn:dev:ser:X1:", -3: 1767225600, -4: "Cel"}, {0: "power", 1: "W", 2: 7}]
            Firmware.SENML_CBOR,
            (
                "82 a5 00 6b 74656d7065726174757265 02 f9 4d60 21 6f 75726e3a6465763a7365723a58313a 22 1a 6955b900 "
                "23 63 43656c a3 00 65 706f776572 01 61 57 02 07"
            ),
        ),
    ],
)
def test_cbor_is_deterministic_and_in_its_shortest_form(firmware: Firmware, payload: str) -> None:
    """Written down by hand from RFC 8949 and RFC 8428 table 4."""
    log = [(MOMENT, [("temperature", "21.50"), ("power", "7")])]
    assert encode(firmware, "X1", log).hex() == payload.replace(" ", "")


@pytest.mark.parametrize(
    ("firmware", "payload"),
    [
        (Firmware.MILLIS, b'[{"time":1767225600250,"power":7},{"time":1767226500250,"power":8,"battery":90}]'),
        (
            Firmware.SENML,
            (
                b'[{"bn":"urn:dev:ser:X1:","bu":"Cel","bt":1767225600,"n":"power","u":"W","v":7},'
                b'{"bt":1767226500,"n":"power","u":"W","v":8},{"n":"battery","u":"%","v":90}]'
            ),
        ),
        (
            Firmware.UNTIMED,
            (
                b'[{"bn":"urn:dev:ser:X1:","bu":"Cel","bt":-900,"n":"power","u":"W","v":7},'
                b'{"bt":0,"n":"power","u":"W","v":8},{"n":"battery","u":"%","v":90}]'
            ),
        ),
    ],
)
def test_several_readings_in_one_payload(firmware: Firmware, payload: bytes) -> None:
    log = [(MOMENT, [("power", "7")]), (MOMENT + 900_000, [("power", "8"), ("battery", "90")])]
    assert encode(firmware, "X1", log) == payload
    msgspec.json.decode(payload)


def test_senml_counts_whole_seconds_and_says_so_in_the_event_time() -> None:
    (home,) = thermostats(1, seed=1, senml=1.0)
    said = message(home, MOMENT, READINGS)
    assert said.time == 1_767_225_600_000
    assert said.content_type == "application/senml+json"
    assert said.topic == f"glomska/demo/{home.device}/readings"
    foreign = {
        home.firmware: (home.topic.replace(home.device, "DEVICE"), message(home, MOMENT, READINGS).time % 1000)
        for home in thermostats(50, seed=1, shares={Firmware.ZIGBEE2MQTT: 0.5, Firmware.TASMOTA: 0.5})
    }
    assert foreign == {
        Firmware.ZIGBEE2MQTT: ("zigbee2mqtt/DEVICE", 250),
        Firmware.TASMOTA: ("tele/DEVICE/SENSOR", 0),
    }
    assert (said.kind, said.sender) == (Kind.VALID, home.client)


def test_enrolment_names_every_home_once_and_from_2000_on(tmp_path: Path) -> None:
    homes = thermostats(20, seed=1, controller="north")
    write_enrolment(homes, tmp_path / "fleet.csv")
    with (tmp_path / "fleet.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["controller", "customer", "device", "postal_code", "valid_from"]
    assert rows[1:] == [["north", h.customer, h.device, h.postal_code, "2000-01-01T00:00:00Z"] for h in homes]
