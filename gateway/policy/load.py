"""`policy.toml` to a `Policy`: what may stand in the file, and every fault in it at once.

Tables are judged one by one and then together, so that one wrong key hides no other fault. Sources: contract.md
("Quantities of the shipped policy"), model.sealed (grammar of field names), cryptography.md ("What is stored").

    >>> load_policy(Path("config/policy.toml")).schema
    1

`check` says what is allowed but should be known: a quantity that nothing will store, a class that a consent holds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from gateway.errors import PolicyFault
from gateway.policy.document import Faults, Table, read_toml, shown
from gateway.policy.rules import IDENTITY, NUMBER_MAX, Basis, Category, Hold, Mode, Policy, Purpose, Quantity, assemble

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
RESERVED = frozenset({"time", "rev", "series", "area"})
"""What flat JSON and stored points call other things; a quantity of that name could not be told from them."""
INT32_MAX, EXACT_MAX = 2**31 - 1, 2**53
"""The largest packed numbers: int32, and int64 as far as float64 counts exactly."""
MONTHS_MAX = 1200
MEANING = ("name", "unit", "decimals", "wide", "key_class")
"""What must stay of a quantity while readings of its number are to be read."""

Names = list[str]


class _Top(Table):
    schema_: Annotated[int, Field(alias="schema", ge=1, le=255)]
    future_window_s: Annotated[int, Field(ge=0, le=86_400)] = 300
    key_classes: Names
    quantity: dict[str, Any]
    category: Annotated[dict[str, Any], Field(default_factory=dict)]
    purpose: dict[str, Any]
    hold: Annotated[dict[str, Any], Field(default_factory=dict)]


class _Hold(Table):
    months: Annotated[int, Field(ge=1, le=MONTHS_MAX)]
    law: Annotated[str, Field(min_length=1, max_length=200)]


class _Quantity(Table):
    number: Annotated[int, Field(ge=0, le=NUMBER_MAX)]
    unit: Annotated[str, Field(pattern=r"^[!-~]{1,16}$")]
    decimals: Annotated[int, Field(ge=0, le=9)]
    minimum: float
    maximum: float
    key_class: str
    mode: Literal["sealed", "clear", "drop"] = "sealed"
    wide: bool = False


class _Category(Table):
    key_class: str
    description: str = ""


class _Purpose(Table):
    basis: Literal["consent", "contract", "legal_obligation", "legitimate_interest"]
    quantities: Annotated[Names, Field(default_factory=list)]
    categories: Annotated[Names, Field(default_factory=list)]
    resolution: Annotated[int, Field(ge=0, le=31 * 86_400)] = 0
    retention_months: Annotated[int, Field(ge=1, le=MONTHS_MAX)]
    recipients: Annotated[Names, Field(default_factory=list)]
    description: str = ""


def load_policy(path: Path) -> Policy:
    """The policy in the TOML file at `path`. Raises PolicyFault with every fault found."""
    return parse_policy(read_toml(path, PolicyFault), str(path))


def parse_policy(document: Mapping[str, Any], where: str) -> Policy:
    """The policy in a TOML document; `where` names it in messages. Raises PolicyFault with every fault found."""
    faults = Faults(where)
    top = faults.parse(_Top, (), document)
    names = {kind: _table(document, kind) for kind in ("quantity", "category", "purpose")}
    quantities = _each(faults, "quantity", _Quantity, names["quantity"])
    categories = _each(faults, "category", _Category, names["category"])
    purposes = _each(faults, "purpose", _Purpose, names["purpose"])
    classes = document.get("key_classes")
    if isinstance(classes, list):
        _judge_classes(faults, [c for c in classes if isinstance(c, str)], quantities, categories)
    _judge_numbers(faults, quantities)
    for name, quantity in quantities.items():
        _judge_quantity(faults, f"quantity.{name}", name, quantity)
    for name in names["category"].keys() & names["quantity"].keys():
        faults.add(f"category.{name}", found="the name of a quantity", allowed="a name of its own")
    for name, purpose in purposes.items():
        _judge_purpose(faults, f"purpose.{name}", purpose, names)
    holds = _each(faults, "hold", _Hold, _table(document, "hold"))
    for name in holds:
        if name == IDENTITY or name not in (classes or ()):
            allowed = f"a key class other than {IDENTITY}, which ends with the customer"
            faults.add(f"hold.{name}", found=f"the name {shown(name)}", allowed=allowed)
    faults.settle(PolicyFault)
    if top is None:  # cannot be: its faults were raised; said for the type checker
        raise AssertionError
    return assemble(
        schema=top.schema_,
        future_window_s=top.future_window_s,
        quantities=[_quantity(name, q) for name, q in quantities.items()],
        categories=[Category(name=name, **c.model_dump()) for name, c in categories.items()],
        purposes=[_purpose(name, p) for name, p in purposes.items()],
        key_classes=top.key_classes,
        holds={name: Hold(months=hold.months, law=hold.law) for name, hold in holds.items()},
    )


def meanings(policy: Policy) -> dict[int, dict[str, object]]:
    """What stored readings of each quantity's number mean under a policy."""
    return {q.number: {key: getattr(q, key) for key in MEANING} for q in policy.quantities}


def misread(written: Mapping[int, Mapping[str, object]], policy: Policy) -> list[str]:
    """Where a policy gives another meaning to numbers whose readings were written, under its schema, with these."""
    faults = []
    for quantity in policy.quantities:
        for key, was in written.get(quantity.number, {}).items():
            if (found := getattr(quantity, key)) != was:
                now = f"quantity.{quantity.name}.{key}: found {shown(found)}"
                faults.append(f"{now}; allowed under this schema: {shown(was)}")
    return faults


def check(policy: Policy) -> list[tuple[Literal["warning", "note"], str]]:
    """What a valid policy's owner should know, as (level, text): for `glomska policy check`."""
    used = frozenset[str]().union(*(p.quantities | p.categories for p in policy.purposes.values()))
    found: list[tuple[Literal["warning", "note"], str]] = []
    for quantity in policy.quantities:
        if quantity.mode is not Mode.DROP and quantity.name not in used:
            found.append(("warning", f"quantity.{quantity.name}: no purpose uses it, so it is never stored"))
        if quantity.mode is Mode.DROP and quantity.name in used:
            found.append(("warning", f"quantity.{quantity.name}: a purpose uses it, but its mode drops it"))
        if quantity.mode is Mode.CLEAR:
            text = "it is stored in clear: whoever reads the store sees how it changes, and erasure by key misses it"
            found.append(("warning", f"quantity.{quantity.name}: {text}"))
    unused = sorted(policy.categories.keys() - used)
    found += [("warning", f"category.{name}: no purpose uses it, so it is never stored") for name in unused]
    found += [("warning", f"purpose.{p.name}: no description") for p in policy.purposes.values() if not p.description]
    for name, hold in policy.holds.items():
        text = f"key class {name}: kept {hold.months} months after an erasure, for {hold.law}"
        found.append(("note", text))
    for kept in policy.key_classes.values():
        if kept.ratchets:
            found.append(_about_retention(policy, kept.name))
    return found


def _about_retention(policy: Policy, key_class: str) -> tuple[Literal["warning", "note"], str]:
    kept = policy.key_classes[key_class]
    if not kept.held_by:
        return "warning", f"key class {key_class}: no purpose keeps it: all in it is out of retention"
    text = f"key class {key_class}: kept {kept.retention_months} months, for {kept.held_by}"
    if policy.purposes[kept.held_by].basis in {Basis.CONSENT, Basis.LEGITIMATE_INTEREST}:
        return "warning", f"{text}: also of customers who refuse that purpose, since a class has one horizon"
    return "note", text


AnyTable = TypeVar("AnyTable", bound=Table)


def _table(document: Mapping[str, Any], kind: str) -> dict[str, Any]:
    found = document.get(kind)
    return found if isinstance(found, dict) else {}


def _each(faults: Faults, kind: str, table: type[AnyTable], entries: Mapping[str, Any]) -> dict[str, AnyTable]:
    parsed = {}
    for name, entry in entries.items():
        _judge_name(faults, f"{kind}.{name}", name)
        one = faults.parse(table, (kind, name), entry)
        if one is not None:
            parsed[name] = one
    return parsed


def _judge_name(faults: Faults, key: str, name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        allowed = "a lower-case letter, then up to 63 lower-case letters, digits and '_'"
        faults.add(key, found=f"the name {shown(name)}", allowed=allowed)


def _judge_classes(
    faults: Faults, declared: list[str], quantities: Mapping[str, _Quantity], categories: Mapping[str, _Category]
) -> None:
    for name in declared:
        _judge_name(faults, "key_classes", name)
    if IDENTITY not in declared:
        faults.add("key_classes", found=f'no "{IDENTITY}"', allowed="a list with it, for device ids and contact data")
    _judge_repeated(faults, "key_classes", declared)
    allowed = ", ".join(declared)
    for kind, entries in (("quantity", quantities), ("category", categories)):
        for name, entry in entries.items():
            if entry.key_class not in declared:
                faults.add(f"{kind}.{name}.key_class", found=shown(entry.key_class), allowed=allowed)


def _judge_numbers(faults: Faults, quantities: Mapping[str, _Quantity]) -> None:
    first: dict[int, str] = {}
    for name, quantity in quantities.items():
        other = first.setdefault(quantity.number, name)
        if other != name:
            found = f"{quantity.number}, which {other} has too"
            faults.add(f"quantity.{name}.number", found=found, allowed="a number that no quantity has or ever had")


def _judge_quantity(faults: Faults, key: str, name: str, quantity: _Quantity) -> None:
    if name in RESERVED or name.startswith("s_") or re.search(r"_r[0-9]+$", name):
        allowed = f"a name without 's_' in front or '_r' and digits behind, and none of {', '.join(sorted(RESERVED))}"
        faults.add(key, found=f"the name {shown(name)}", allowed=allowed)
    if quantity.key_class == IDENTITY:
        allowed = "a class that is ratcheted, because readings go out of retention month by month"
        faults.add(f"{key}.key_class", found=shown(IDENTITY), allowed=allowed)
    if quantity.minimum >= quantity.maximum:
        faults.add(f"{key}.minimum", found=shown(quantity.minimum), allowed=f"less than maximum, {quantity.maximum:g}")
    largest = (EXACT_MAX if quantity.wide else INT32_MAX) / 10**quantity.decimals
    for bound in ("minimum", "maximum"):
        value = getattr(quantity, bound)
        if abs(value) > largest:
            more = "" if quantity.wide else ", or wide = true"
            allowed = f"-{largest:.15g} to {largest:.15g} at {quantity.decimals} decimals{more}"
            faults.add(f"{key}.{bound}", found=shown(value), allowed=allowed)


def _judge_purpose(faults: Faults, key: str, purpose: _Purpose, names: Mapping[str, Mapping[str, Any]]) -> None:
    if not purpose.quantities and not purpose.categories:
        faults.add(key, found="neither quantities nor categories", allowed="at least one: a purpose needs data")
    for kind, used in (("quantity", purpose.quantities), ("category", purpose.categories)):
        here = f"{key}.{'quantities' if kind == 'quantity' else 'categories'}"
        for name in sorted(set(used) - names[kind].keys()):
            allowed = ", ".join(names[kind]) or f"nothing, since no {kind} is declared"
            faults.add(here, found=shown(name), allowed=allowed)
        _judge_repeated(faults, here, used)
    for recipient in purpose.recipients:
        _judge_name(faults, f"{key}.recipients", recipient)
    _judge_repeated(faults, f"{key}.recipients", purpose.recipients)


def _judge_repeated(faults: Faults, key: str, names: list[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            faults.add(key, found=f"{shown(name)} {times} times", allowed="each name once")


def _quantity(name: str, table: _Quantity) -> Quantity:
    return Quantity(name=name, **table.model_dump() | {"mode": Mode(table.mode)})


def _purpose(name: str, table: _Purpose) -> Purpose:
    return Purpose(
        name=name,
        basis=Basis(table.basis),
        quantities=frozenset(table.quantities),
        categories=frozenset(table.categories),
        resolution=table.resolution,
        retention_months=table.retention_months,
        recipients=tuple(table.recipients),
        description=table.description,
    )
