"""Mapping files: the shipped ones on what the firmware really publishes, and every fault of a file at once."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationFault
from gateway.model.clear import Refusals
from gateway.pipeline.decode import Decoder
from gateway.pipeline.mapped import Mapping
from gateway.pipeline.times import from_text
from gateway.policy.load import load_policy
from gateway.runtime.config import load_settings, resource
from gateway.runtime.mappings import load_mappings
from gateway.runtime.wiring import opened
from tests.unit.pipeline.fuzz_decode import Message

POLICY = load_policy(resource("policy.toml"))
TOPICS = ("glomska/{controller}/{device}/readings",)
VECTORS = Path(__file__).parents[2] / "vectors" / "firmware"
SHIPPED = {name: resource(f"mappings/{name}.toml") for name in ("zigbee2mqtt", "tasmota")}
WHERE = {"zigbee2mqtt": "zigbee2mqtt/sensor-1", "tasmota": "tele/sensor-1/SENSOR"}
CASES = [(name, case) for name in SHIPPED for case in json.loads((VECTORS / f"{name}.json").read_text())]

GOOD = """
topic = "t/{device}"
controller = "home"
[time]
at = "/t"
formats = ["rfc3339"]
[quantity.power]
at = ["/p"]
unit = "W"
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(*files: Path) -> list[str]:
    with pytest.raises(ConfigurationFault) as raised:
        load_mappings(files, POLICY, TOPICS)
    return str(raised.value).split("\n  ")[1:]


def the_mapping(file: Path) -> Mapping:
    (mapping,) = load_mappings([file], POLICY, TOPICS)
    return mapping


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case['source']}" for name, case in CASES])
def test_the_shipped_mappings_read_what_the_firmware_publishes(name: str, case: dict[str, Any]) -> None:
    decoder = Decoder(POLICY.quantities, 10_000, load_mappings([*SHIPPED.values()], POLICY, TOPICS))
    message = Message(json.dumps(case["payload"]).encode(), topic=WHERE[name])
    refusals = Refusals()
    readings = decoder([message], case["arrival"] * 10**9, refusals)
    assert {reason.value: n for reason, n in refusals.readings.items()} == case.get("refused", {})
    expected = case.get("readings", {})
    assert bool(refusals.message) == (not expected)
    assert readings.time == ([from_text(case["time"])] if expected else [])
    assert readings.untimed == ({0} if case.get("untimed") else set())
    found = {q.name: value for row in readings.values for q in POLICY.quantities if (value := row[q.number]) == value}
    assert found == expected


def test_the_shipped_mappings_name_one_device_each() -> None:
    mappings = load_mappings([*SHIPPED.values()], POLICY, TOPICS)
    assert [mapping.pattern.parse(topic) for mapping, topic in zip(mappings, WHERE.values(), strict=True)] == [
        ("home", "sensor-1"),
        ("home", "sensor-1"),
    ]


def test_the_shipped_configuration_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = resource("gateway.toml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^# (mappings = .+)$", text, flags=re.MULTILINE)
    file = written(tmp_path / "gateway.toml", f"[mqtt]\n{line}")
    found = load_settings(file, environ={}).mqtt.mappings
    assert found == tuple(tmp_path / "mappings" / path.name for path in SHIPPED.values())
    by_variable = load_settings(file, environ={"GLOMSKA_MQTT__MAPPINGS": '["a.toml", "/b.toml"]'})
    assert by_variable.mqtt.mappings == (tmp_path / "a.toml", Path("/b.toml"))


def test_a_gateway_subscribes_to_mapped_topics_too_and_knows_whose_they_are(tmp_path: Path) -> None:
    files = json.dumps([str(path) for path in SHIPPED.values()])
    environ = {"GLOMSKA_STATE": str(tmp_path), "GLOMSKA_MQTT__MAPPINGS": files}
    with opened(load_settings(environ=environ)) as house:
        assert house.topics.filters == ("glomska/+/+/readings", "zigbee2mqtt/+", "tele/+/SENSOR")
        assert house.topics.parse("tele/sensor-1/SENSOR") == ("home", "sensor-1")
        assert [len(mapping.wanted) for mapping in house.mappings] == [7, 4]


def test_a_gateway_with_a_faulty_mapping_does_not_connect(tmp_path: Path) -> None:
    file = written(tmp_path / "m.toml", GOOD.replace('"W"', '"kW"'))
    environ = {"GLOMSKA_STATE": str(tmp_path), "GLOMSKA_MQTT__MAPPINGS": json.dumps([str(file)])}
    with (
        opened(load_settings(environ=environ)) as house,
        pytest.raises(ConfigurationFault, match=r"m\.toml: quantity\.power\.unit: found \"kW\""),
    ):
        house.receiving.sessions(print, known=set)


def test_units_are_converted_by_zero_and_factor(tmp_path: Path) -> None:
    text = GOOD.replace('unit = "W"', 'unit = "W"\nzero = 10\nfactor = 1000')
    (wanted,) = the_mapping(written(tmp_path / "m.toml", text)).wanted
    assert [wanted.value({}, written_value) for written_value in (10, Decimal("11.5"))] == [0.0, 1500.0]


def test_a_topic_may_name_the_controller(tmp_path: Path) -> None:
    text = GOOD.replace('controller = "home"', "").replace("t/{device}", "{controller}/{device}/state")
    mapping = the_mapping(written(tmp_path / "m.toml", text))
    assert mapping.pattern.parse("heat-co/meter-1/state") == ("heat-co", "meter-1")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('topic = "t/{device}"', "", "topic: found nothing; allowed: text"),
        ("t/{device}", "t/#", "topic: 't/#' has 0 levels {device}; exactly one must be there"),
        (
            "t/{device}",
            "{controller}/{device}",
            "topic: '{controller}/{device}' has a level {controller}, and a controller",
        ),
        ('"home"', '"a/b"', 'controller: found "a/b"; allowed: a name that can be a level of a topic'),
        (
            'controller = "home"',
            "",
            "controller: found nothing; allowed: whose devices these are, since the topic says it",
        ),
        ('at = "/t"', 'at = "t"', 'time.at: found "t"; allowed: a JSON pointer begins with'),
        ('at = "/t"', 'at = "/~2"', 'time.at: found "/~2"; allowed: a JSON pointer begins with'),
        ('at = "/t"', "", "time.at: found nothing; allowed: text"),
        ('["rfc3339"]', '["iso"]', 'time.formats: found "iso"; allowed: "rfc3339", "local", "unix_s", "unix_ms"'),
        ('["rfc3339"]', "[]", "time.formats: found a list; allowed: a list"),
        ('["rfc3339"]', '["unix_s", "unix_ms"]', 'time.formats: found "unix_s" and "unix_ms"; allowed: one of them'),
        ('["rfc3339"]', '["local"]', 'time.zone: found nothing; allowed: a zone such as "Europe/Stockholm"'),
        (
            '["rfc3339"]',
            '["local"]\nzone = "CET/Stockholm"',
            'time.zone: found "CET/Stockholm"; allowed: an IANA time zone',
        ),
        ('["rfc3339"]', '["local"]\nzone = "../etc/passwd"', 'time.zone: found "../etc/passwd"; allowed: an IANA time'),
        ('["rfc3339"]', '["local"]\nzone = "Europe"', 'time.zone: found "Europe"; allowed: an IANA time zone'),
        ('["rfc3339"]', '["local"]\nzone = ""', 'time.zone: found ""; allowed: an IANA time zone'),
        ('["rfc3339"]', '["rfc3339"]\nmissing = "skip"', 'time.missing: found "skip"; allowed: "refuse", "arrival"'),
        (
            "quantity.power",
            "quantity.heat",
            "quantity.heat: found no quantity of the policy; allowed: temperature, target_",
        ),
        ('["/p"]', '["p"]', 'quantity.power.at: found "p"; allowed: a JSON pointer'),
        ('["/p"]', '"/p"', 'quantity.power.at: found "/p"; allowed: a list'),
        (
            '"W"',
            '"kW"',
            'quantity.power.unit: found "kW"; allowed: "W", the policy\'s unit; zero and factor, or units, c',
        ),
        (
            '"W"',
            '"W"\nfactor = 0',
            "quantity.power.factor: found 0; allowed: another number, or every reading would be 0",
        ),
        ('"W"', '"W"\nfactor = "2"', 'quantity.power.factor: found "2"; allowed: a number'),
        ('"W"', '"W"\nfactor = inf', "quantity.power.factor: found Infinity; allowed: a number"),
        ('"W"', '"W"\nunit_at = "/u"', "quantity.power.units: found nothing; allowed: a value, since unit_at is given"),
        (
            '"W"',
            '"W"\nunits = {W = {}}',
            "quantity.power.unit_at: found nothing; allowed: a value, since units is given",
        ),
        (
            '"W"',
            '"W"\nzero = 1\nunit_at = "/u"\nunits = {W = {}}',
            "quantity.power.units: found units beside zero or factor",
        ),
        (
            '"W"',
            '"W"\nunit_at = "/u"\nunits = {W = {factor = 0}}',
            "quantity.power.units.W.factor: found 0; allowed: anot",
        ),
        (
            '"W"',
            '"W"\nunit_at = "/u"\nunits = {W = {by = 1}}',
            "quantity.power.units.W.by: found an unknown key; allowed: f",
        ),
        ('"W"', '"W"\nunit_at = "u"\nunits = {W = {}}', 'quantity.power.unit_at: found "u"; allowed: a JSON pointer'),
        ("[quantity.power]", "[quantity]", "quantity.at: found no quantity of the policy"),
        (
            '"home"',
            '"home"\nsurprise = 1',
            "surprise: found an unknown key; allowed: controller, quantity, time, topic",
        ),
        (
            "t/{device}",
            "glomska/{device}/x/readings",
            "topic: found what topic 'glomska/{controller}/{device}/readings' of",
        ),
    ],
)
def test_a_fault_names_file_key_what_was_found_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in GOOD
    file = written(tmp_path / "m.toml", GOOD.replace(old, new, 1))
    assert any(line.startswith(f"{file}: {told}") for line in faults_of(file)), faults_of(file)


def test_faults_of_all_files_are_reported_together(tmp_path: Path) -> None:
    bad = written(
        tmp_path / "bad.toml",
        'topic = "x"\n[time]\nat = "t"\nformats = ["local", "iso"]\n'
        '[quantity.heat]\nat = []\n[quantity.power]\nat = ["p", "q"]\nunit = "kW"\nfactor = 0\n'
        "[quantity.valve]\nunit = 3",
    )
    good, twin = written(tmp_path / "good.toml", GOOD), written(tmp_path / "twin.toml", GOOD)
    told = [line.split(": ")[:2] for line in faults_of(bad, good, twin)]
    assert told == [
        *[
            [str(bad), key]
            for key in (
                "controller", "time.at", "time.formats", "time.zone", "quantity.heat", "quantity.heat.at",
                "quantity.heat.unit", "quantity.power.at", "quantity.power.at", "quantity.power.factor",
                "quantity.power.unit", "quantity.valve.at", "quantity.valve.unit",
            )
        ],
        [str(twin), "topic"],
    ]  # fmt: skip


def test_a_key_that_is_missing_or_misspelt_hides_no_fault_of_another(tmp_path: Path) -> None:
    bad = written(
        tmp_path / "bad.toml",
        'topik = "x/{device}"\ncontroller = "a/b"\n[time]\nat = "t"\nzone = "Mars/Base"\n'
        '[quantity.power]\nto = ["/p"]\nunit = "kW"',
    )
    assert sorted(line.split(": ")[1] for line in faults_of(bad)) == [
        "controller", "quantity.power.at", "quantity.power.to", "quantity.power.unit",
        "time.at", "time.formats", "time.zone", "topic", "topik",
    ]  # fmt: skip


def test_a_mapping_without_quantities_is_a_fault(tmp_path: Path) -> None:
    (line,) = faults_of(written(tmp_path / "m.toml", 'topic = "t/{device}"\ncontroller = "c"\n[quantity]'))
    assert line.endswith("quantity: found no quantity; allowed: at least one, as [quantity.NAME]")


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match=r"absent\.toml: cannot be read: no such file"):
        load_mappings([tmp_path / "absent.toml"], POLICY, TOPICS)
    with pytest.raises(ConfigurationFault, match=r"m\.toml: not toml: "):
        load_mappings([written(tmp_path / "m.toml", "topic =")], POLICY, TOPICS)
