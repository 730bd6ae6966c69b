"""Every fault that a policy can have is found, named by file and key, and reported together with the others."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import PolicyFault
from gateway.policy.load import check, load_policy, parse_policy

SHIPPED = Path(__file__).parents[3] / "config" / "policy.toml"
DOCUMENT = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))

REMOVED = object()

FAULTS = [
    ("schema", 0, "schema: found 0; allowed: a whole number from 1 to 255"),
    ("schema", REMOVED, "schema: found nothing; allowed: a whole number from 1 to 255"),
    ("future_window_s", -1, "future_window_s: found -1; allowed: a whole number from 0 to 86400"),
    ("surprise", 1, "surprise: found an unknown key; allowed: category, future_window_s, hold, key_classes,"),
    ("key_classes", REMOVED, "key_classes: found nothing; allowed: a list"),
    ("key_classes", ["telemetry", "billing"], 'key_classes: found no "identity"; allowed: a list with it'),
    ("key_classes", ["telemetry", "identity"], 'category.invoices.key_class: found "billing"; allowed: telemetry, ide'),
    ("key_classes", ["telemetry", "billing", "identity", "billing"], 'key_classes: found "billing" 2 times; allowed:'),
    ("key_classes", ["telemetry", "billing", "identity", "S p"], 'key_classes: found the name "S p"; allowed: a lower'),
    ("quantity", 3, "quantity: found 3; allowed: a table"),
    ("quantity.power", 3, "quantity.power: found 3; allowed: a table"),
    ("quantity.Power", DOCUMENT["quantity"]["power"], 'quantity.Power: found the name "Power"; allowed: a lower-case'),
    (
        "quantity.s_power",
        DOCUMENT["quantity"]["power"],
        'quantity.s_power: found the name "s_power"; allowed: a name w',
    ),
    ("quantity.power_r2", DOCUMENT["quantity"]["power"], 'quantity.power_r2: found the name "power_r2"; allowed: a na'),
    ("quantity.time", DOCUMENT["quantity"]["power"], 'quantity.time: found the name "time"; allowed: a name without'),
    ("quantity.power.number", 64, "quantity.power.number: found 64; allowed: a whole number from 0 to 63"),
    ("quantity.power.number", True, "quantity.power.number: found true; allowed: a whole number from 0 to 63"),
    ("quantity.power.number", "3", 'quantity.power.number: found "3"; allowed: a whole number from 0 to 63'),
    ("quantity.power.number", 4, "quantity.energy.number: found 4, which power has too; allowed: a number that no qu"),
    ("quantity.power.unit", "°C", 'quantity.power.unit: found "°C"; allowed: text like ^[!-~]{1,16}$'),
    ("quantity.power.decimals", 10, "quantity.power.decimals: found 10; allowed: a whole number from 0 to 9"),
    ("quantity.power.minimum", 1e6, "quantity.power.minimum: found 1000000.0; allowed: less than maximum, 1e+06"),
    ("quantity.power.minimum", float("nan"), "quantity.power.minimum: found NaN; allowed: a number"),
    ("quantity.power.maximum", 2147483648, "quantity.power.maximum: found 2147483648.0; allowed: -2147483647 to 2147"),
    ("quantity.energy.wide", False, "quantity.energy.maximum: found 1000000000.0; allowed: -2147483.647 to 2147483.64"),
    ("quantity.energy.maximum", 1e13, "quantity.energy.maximum: found 10000000000000.0; allowed: -9007199254740.99"),
    ("quantity.power.mode", "open", 'quantity.power.mode: found "open"; allowed: "sealed", "clear", "drop"'),
    ("quantity.power.key_class", "telemtry", 'quantity.power.key_class: found "telemtry"; allowed: telemetry, billin'),
    ("quantity.power.key_class", "identity", 'quantity.power.key_class: found "identity"; allowed: a class that is ra'),
    ("category.power", DOCUMENT["category"]["contact"], "category.power: found the name of a quantity; allowed: a nam"),
    ("purpose.support.basis", "consnt", 'purpose.support.basis: found "consnt"; allowed: "consent", "contract", "lega'),
    ("purpose.support.retention_months", REMOVED, "purpose.support.retention_months: found nothing; allowed: a whole"),
    ("purpose.support.retention_months", 0, "purpose.support.retention_months: found 0; allowed: a whole number from"),
    ("purpose.support.resolution", -1, "purpose.support.resolution: found -1; allowed: a whole number from 0 to"),
    ("purpose.support.quantities", ["powr"], 'purpose.support.quantities: found "powr"; allowed: temperature, target'),
    ("purpose.support.quantities", ["power", "power"], 'purpose.support.quantities: found "power" 2 times; allowed: e'),
    ("purpose.support.categories", ["mood"], 'purpose.support.categories: found "mood"; allowed: contact, services,'),
    ("purpose.statutory.categories", [], "purpose.statutory: found neither quantities nor categories; allowed: at le"),
    ("purpose.support.recipients", ["The Firm"], 'purpose.support.recipients: found the name "The Firm"; allowed: a l'),
    ("purpose.support.recipients", ["a", "a"], 'purpose.support.recipients: found "a" 2 times; allowed: each name on'),
    ("purpose.Support", DOCUMENT["purpose"]["support"], 'purpose.Support: found the name "Support"; allowed: a lower'),
]


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    for key, value in changes:
        *path, last = key.split(".")
        table = document
        for name in path:
            table = table[name]
        if value is REMOVED:
            del table[last]
        else:
            table[last] = copy.deepcopy(value)
    return document


def faults_of(document: dict[str, Any]) -> list[str]:
    with pytest.raises(PolicyFault) as raised:
        parse_policy(document, "policy.toml")
    head, *lines = str(raised.value).split("\n  ")
    assert head == ("1 fault found:" if len(lines) == 1 else f"{len(lines)} faults found:")
    return lines


def named(key: str, value: object) -> str:
    """The same in every process."""
    return f"{key}={'removed' if value is REMOVED else value}"[:40]


@pytest.mark.parametrize(("key", "value", "told"), FAULTS, ids=[named(key, value) for key, value, _ in FAULTS])
def test_a_fault_names_file_key_what_was_found_and_what_is_allowed(key: str, value: object, told: str) -> None:
    assert any(line.startswith(f"policy.toml: {told}") for line in faults_of(changed((key, value))))


def test_faults_of_all_tables_and_between_tables_are_reported_together() -> None:
    lines = faults_of(
        changed(
            ("schema", 0),
            ("quantity.temperature.mode", "open"),
            ("quantity.power.number", 4),
            ("category.contact.key_class", "secret"),
            ("purpose.support.retention_months", REMOVED),
            ("purpose.marketing.quantities", ["energi"]),
        )
    )
    keys = [line.split(": ")[1] for line in lines]
    assert sorted(keys) == [
        "category.contact.key_class",
        "purpose.marketing.quantities",
        "purpose.support.retention_months",
        "quantity.energy.number",
        "quantity.temperature.mode",
        "schema",
    ]


def test_a_purpose_that_names_a_faulty_quantity_is_not_blamed_for_it() -> None:
    assert len(faults_of(changed(("quantity.temperature.decimals", "two")))) == 1


def test_what_stands_under_an_unknown_key_is_never_shown() -> None:
    assert "hunter2" not in "".join(faults_of(changed(("password", "hunter2"), ("purpose.support.token", "hunter2"))))


def test_syntax_errors_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("schema = 1\nkey_classes = [\n[quantity", encoding="utf-8")
    with pytest.raises(PolicyFault, match=rf"^{re.escape(str(path))}: not toml: .*line 3") as raised:
        load_policy(path)
    assert raised.value.exit_code == 3


def test_a_table_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[quantity.power]\nnumber = 1\n[quantity.power]\nnumber = 2\n", encoding="utf-8")
    with pytest.raises(PolicyFault, match="line 3"):
        load_policy(path)


def test_missing_and_undecodable_files_are_faults_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(PolicyFault, match=r"absent\.toml: cannot be read: no such file") as raised:
        load_policy(tmp_path / "absent.toml")
    assert raised.value.hint == "create the file, or name another one"
    (tmp_path / "latin.toml").write_bytes(b"# \xe5r")
    with pytest.raises(PolicyFault, match=r"latin\.toml: byte 2 is not utf-8"):
        load_policy(tmp_path / "latin.toml")


def test_the_shipped_policy_has_no_warning() -> None:
    assert check(load_policy(SHIPPED)) == [
        ("note", "key class telemetry: kept 24 months, for provision"),
        ("note", "key class billing: kept 96 months, for statutory"),
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            [("quantity.co2", DOCUMENT["quantity"]["valve"] | {"number": 8})],
            "quantity.co2: no purpose uses it, so it is",
        ),
        ([("quantity.valve.mode", "drop")], "quantity.valve: a purpose uses it, but its mode drops it"),
        ([("quantity.valve.mode", "clear")], "quantity.valve: it is stored in clear: whoever reads the store sees"),
        ([("purpose.support.categories", [])], "category.support: no purpose uses it, so it is never stored"),
        ([("purpose.support.description", "")], "purpose.support: no description"),
        (
            [("purpose.development.retention_months", 60)],
            "key class telemetry: kept 60 months, for development: also of",
        ),
        ([("key_classes", ["telemetry", "billing", "identity", "video"])], "key class video: no purpose keeps it: all"),
    ],
)
def test_check_tells_what_is_allowed_but_should_be_known(changes: list[tuple[str, Any]], told: str) -> None:
    findings = check(parse_policy(changed(*changes), "policy.toml"))
    assert any(level == "warning" and text.startswith(told) for level, text in findings)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["schema", "key_classes", "quantity", "quantity.power", "category", "category.support", "purpose"]
KEYS += ["purpose.support", "quantity.power.number", "purpose.support.quantities", "purpose.support.recipients"]


@settings(deadline=None)
@given(st.sampled_from(KEYS), JSON)
def test_whatever_stands_there_is_a_policy_or_a_fault(key: str, value: object) -> None:
    try:
        told = repr(parse_policy(changed((key, value)), "policy.toml"))
    except PolicyFault as fault:
        told = str(fault)
    assert told.startswith("Policy(") or "\n  policy.toml: " in told
