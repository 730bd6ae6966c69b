"""What the shipped policy says, and what follows from a policy."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from gateway.errors import Refused
from gateway.policy.load import load_policy
from gateway.policy.rules import Basis, Category, Mode, Policy, Purpose, assemble, horizon_days, horizon_epoch

SHIPPED = Path(__file__).parents[3] / "config" / "policy.toml"


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return load_policy(SHIPPED)


def at(year: int, month: int, day: int) -> int:
    return int(dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp()) * 1_000_000_000


def purpose(name: str, months: int, *, quantities: frozenset[str] = frozenset(), categories: str = "") -> Purpose:
    return Purpose(
        name=name,
        basis=Basis.CONTRACT,
        quantities=quantities,
        categories=frozenset(categories.split()),
        resolution=0,
        retention_months=months,
        recipients=(),
        description="",
    )


def test_shipped_quantities_have_the_published_numbers_units_and_precision(shipped: Policy) -> None:
    assert [(q.number, q.name, q.unit, q.decimals) for q in shipped.quantities] == [
        (0, "temperature", "Cel", 2),
        (1, "target_temperature", "Cel", 2),
        (2, "humidity", "%RH", 1),
        (3, "power", "W", 0),
        (4, "energy", "kWh", 3),
        (5, "outdoor_temperature", "Cel", 2),
        (6, "valve", "%", 0),
        (7, "battery", "%", 0),
    ]
    assert {(q.key_class, q.mode) for q in shipped.quantities} == {("telemetry", Mode.SEALED)}
    assert [q.name for q in shipped.quantities if q.wide] == ["energy"]


def test_shipped_policy_declares_the_six_published_purposes_with_one_basis_each(shipped: Policy) -> None:
    assert {name: p.basis.value for name, p in shipped.purposes.items()} == {
        "provision": "contract",
        "support": "contract",
        "development": "consent",
        "marketing": "consent",
        "security": "contract",
        "statutory": "legal_obligation",
    }


def test_solar_export_and_a_large_meter_count_are_inside_the_shipped_ranges(shipped: Policy) -> None:
    assert shipped.by_name["power"].minimum < -10_000
    assert shipped.by_name["energy"].maximum == 1e9


def test_key_classes_are_kept_for_their_longest_purpose(shipped: Policy) -> None:
    kept = {name: (c.retention_months, c.held_by, c.ratchets) for name, c in shipped.key_classes.items()}
    assert kept == {
        "telemetry": (24, "provision", True),
        "billing": (96, "statutory", True),
        "identity": (24, "provision", False),
    }
    assert [c.name for c in shipped.classes_of_readings] == ["telemetry"]


def test_equal_retentions_name_the_first_purpose_and_none_leaves_nothing() -> None:
    policy = assemble(
        schema=1,
        future_window_s=300,
        quantities=[],
        categories=[Category(name="invoices", key_class="billing", description="")],
        purposes=[purpose("b", 6, categories="invoices"), purpose("a", 6, categories="invoices")],
        key_classes=["identity", "billing", "telemetry"],
    )
    assert (policy.key_classes["billing"].retention_months, policy.key_classes["billing"].held_by) == (6, "a")
    assert (policy.key_classes["telemetry"].retention_months, policy.key_classes["telemetry"].held_by) == (0, "")


def test_the_horizon_lies_the_retention_back_in_calendar_months(shipped: Policy) -> None:
    july_2025 = 12 * 55 + 6
    assert horizon_epoch(shipped, "telemetry", at(2025, 7, 1)) == july_2025 - 24
    assert horizon_epoch(shipped, "telemetry", at(2025, 7, 1) - 1) == july_2025 - 25
    assert horizon_epoch(shipped, "billing", at(2025, 7, 31)) == july_2025 - 96
    assert horizon_epoch(shipped, "identity", at(2025, 7, 31)) == 0
    assert horizon_epoch(shipped, "billing", at(1970, 7, 31)) == 0


def test_an_undeclared_purpose_is_refused_without_repeating_what_was_typed(shipped: Policy) -> None:
    with pytest.raises(Refused) as refused:
        shipped.purpose("nordhem/customer-17")
    assert str(refused.value) == (
        "this purpose is not declared; the policy declares: "
        "development, marketing, provision, security, statutory, support"
    )


def test_a_mask_has_one_bit_a_quantity(shipped: Policy) -> None:
    assert shipped.mask(["temperature", "humidity", "power", "energy", "power"]) == 0x1D
    assert shipped.mask([]) == 0


def test_a_policy_is_frozen_all_the_way_down(shipped: Policy) -> None:
    with pytest.raises(AttributeError):
        shipped.schema = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        shipped.purposes["spying"] = shipped.purposes["support"]  # type: ignore[index]
    assert hash(shipped) == hash(load_policy(SHIPPED))
    assert shipped == load_policy(SHIPPED)


def test_bases_are_cited_by_their_letter() -> None:
    assert [b.article for b in sorted(Basis)] == ["Art. 6(1)(a)", "Art. 6(1)(b)", "Art. 6(1)(c)", "Art. 6(1)(f)"]


@pytest.mark.parametrize(("months", "days"), [(1, 62), (11, 366), (12, 397), (24, 762)])
def test_a_store_keeps_readings_for_as_long_as_one_can_be_readable(months: int, days: int) -> None:
    quantity = load_policy(SHIPPED).by_name["power"]
    policy = assemble(
        schema=1,
        future_window_s=300,
        quantities=[quantity],
        categories=[],
        purposes=[purpose("support", months, quantities=frozenset({"power"}))],
        key_classes=["telemetry", "identity"],
    )
    assert horizon_days(policy) == days
    for year in range(2024, 2029):  # the last moment of each month: what is readable then must be in the store
        for month in range(1, 13):
            end = at(year + month // 12, month % 12 + 1, 1) - 1
            first = horizon_epoch(policy, "telemetry", end)
            assert end - at(1970 + first // 12, first % 12 + 1, 1) < days * 86_400 * 10**9
