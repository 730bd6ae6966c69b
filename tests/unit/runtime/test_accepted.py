"""What stored readings mean is remembered, and a policy that says otherwise is refused, whoever loads it."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault, PolicyFault, Unreachable
from gateway.runtime.accepted import NAME, Accepted
from gateway.runtime.config import resource
from tests.unit.transport.test_sqlite import as_ordinary_user

SHIPPED = resource("policy.toml").read_text(encoding="utf-8")
COARSER = SHIPPED.replace("decimals = 2", "decimals = 1", 1)
RENUMBERED = SHIPPED.replace("schema = 1", "schema = 2", 1)
BATTERY = SHIPPED[SHIPPED.index("[quantity.battery]") : SHIPPED.index("\n\n", SHIPPED.index("[quantity.battery]"))]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(SHIPPED, encoding="utf-8")
    return path


@pytest.fixture
def accepted(tmp_path: Path) -> Accepted:
    return Accepted(tmp_path / "state")


def load(accepted: Accepted, path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    accepted.load(path)


def test_before_anything_is_written_any_policy_is_right(accepted: Accepted, policy: Path) -> None:
    load(accepted, policy, COARSER)
    accepted.hand_on()
    load(accepted, policy, SHIPPED)
    assert stat.S_IMODE((policy.parent / "state" / NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("key", "was", "now"),
    [
        ("decimals", "decimals = 2", "decimals = 1"),
        ("unit", 'unit = "Cel"', 'unit = "K"'),
        ("name", "temperature", "warmth"),
        ("wide", "decimals = 2", "wide = true\ndecimals = 2"),
    ],
)
def test_another_meaning_is_refused_with_the_way_out(
    accepted: Accepted, policy: Path, key: str, was: str, now: str
) -> None:
    changed = re.sub(rf"\b{was}\b" if key == "name" else was, now, SHIPPED, count=0 if key == "name" else 1)
    assert changed != SHIPPED
    accepted.note(accepted.load(policy))
    with pytest.raises(PolicyFault, match=rf"quantity\.\w+\.{key}: found .*; allowed under this schema: ") as fault:
        load(accepted, policy, changed)
    assert fault.value.hint == "give the policy a new schema number, or put these back"
    load(accepted, policy, changed.replace("schema = 1", "schema = 2", 1))
    load(accepted, policy, SHIPPED)  # what was written under 1 is read with it


def test_each_schema_keeps_what_was_written_under_it(accepted: Accepted, policy: Path) -> None:
    accepted.note(accepted.load(policy))
    policy.write_text(RENUMBERED.replace("decimals = 2", "decimals = 1", 1), encoding="utf-8")
    accepted.note(accepted.load(policy))
    for refused in (COARSER, RENUMBERED):
        with pytest.raises(PolicyFault, match="allowed under this schema"):
            load(accepted, policy, refused)


def test_a_number_is_never_given_to_another_quantity(accepted: Accepted, policy: Path) -> None:
    """Not by way of a policy that has none of that number, either."""
    without = SHIPPED.replace(BATTERY, "").replace(', "battery"', "")
    accepted.note(accepted.load(policy))
    policy.write_text(without, encoding="utf-8")
    accepted.note(accepted.load(policy))
    with pytest.raises(PolicyFault, match=r'quantity\.fan\.name: found "fan"; allowed under this schema: "battery"'):
        load(accepted, policy, SHIPPED.replace("battery", "fan"))


def test_what_may_change_under_a_schema_may(accepted: Accepted, policy: Path) -> None:
    accepted.note(accepted.load(policy))
    load(accepted, policy, re.sub("^retention_months = .*", "retention_months = 30", SHIPPED, flags=re.MULTILINE))
    more = BATTERY.replace("battery", "fan").replace("number = 7", "number = 8")
    load(accepted, policy, SHIPPED.replace(BATTERY, f"{BATTERY}\n\n{more}"))


def test_workers_begin_with_what_was_handed_on_whatever_the_file_says_by_then(accepted: Accepted, policy: Path) -> None:
    assert accepted.handed_on() is None
    loaded = accepted.load(policy)
    accepted.hand_on()
    with pytest.raises(PolicyFault):
        load(accepted, policy, "nonsense = 1\n")
    assert Accepted(policy.parent / "state").handed_on() == loaded
    assert accepted.handed_on() == loaded


def test_what_did_not_change_is_not_written(accepted: Accepted, policy: Path) -> None:
    accepted.note(accepted.load(policy))
    before = (policy.parent / "state" / NAME).stat().st_ino
    accepted.note(accepted.load(policy))
    assert (policy.parent / "state" / NAME).stat().st_ino == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 2, "policy": null, "meanings": {}}'])
def test_one_that_does_not_tell_refuses_every_policy(accepted: Accepted, policy: Path, damage: bytes) -> None:
    accepted.note(accepted.load(policy))
    file = policy.parent / "state" / NAME
    file.write_bytes(damage)
    for act in (lambda: accepted.load(policy), accepted.handed_on, accepted.hand_on):
        with pytest.raises(ConfigurationFault, match="damaged, or of a newer version") as fault:
            act()
        assert "put a copy of it back" in fault.value.hint
    assert file.read_bytes() == damage


def test_a_meaning_that_lacks_a_word_is_damage(accepted: Accepted, policy: Path) -> None:
    accepted.note(accepted.load(policy))
    file = policy.parent / "state" / NAME
    kept = json.loads(file.read_text())
    del kept["meanings"]["1"]["0"]["unit"]
    file.write_text(json.dumps(kept))
    with pytest.raises(ConfigurationFault, match="damaged"):
        accepted.load(policy)


def test_where_it_cannot_be_written_or_read_that_is_said(accepted: Accepted, policy: Path) -> None:
    loaded = accepted.load(policy)
    state = policy.parent / "state"
    state.mkdir(mode=0o555)
    with as_ordinary_user(), pytest.raises(Unreachable, match="cannot be remembered"):
        accepted.note(loaded)
    assert list(state.iterdir()) == []
