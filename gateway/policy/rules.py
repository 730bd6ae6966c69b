"""The privacy policy as one frozen tree: quantities, purposes, key classes, and questions about them.

A quantity is stored only while a purpose that uses it is live; a key class is kept as long as its longest purpose. This
module holds and answers; `load` reads and judges the file, `consent` says which purposes are live for one customer.

    >>> from pathlib import Path
    >>> from gateway.policy.load import load_policy
    >>> policy = load_policy(Path("config/policy.toml"))
    >>> policy.by_name["power"].number, policy.purpose("support").basis, policy.key_classes["telemetry"].held_by
    (3, <Basis.CONTRACT: 'contract'>, 'provision')

Nothing here knows the time: callers pass it in, as ns since 1970.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from gateway.errors import Refused
from gateway.model.ids import KeyEpoch, epoch_of

IDENTITY = "identity"
"""The key class of identity records: it stays at epoch 0 and is never ratcheted (cryptography.md, "Hierarchy")."""
NUMBER_MAX = 63
"""The highest quantity number: a mask of quantities is 64 bits."""


class Mode(enum.StrEnum):
    """How a quantity is stored."""

    SEALED = "sealed"
    CLEAR = "clear"
    DROP = "drop"


class Basis(enum.StrEnum):
    """Why a purpose is lawful: a letter of GDPR Art. 6(1)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    LEGITIMATE_INTEREST = "legitimate_interest"

    @property
    def article(self) -> str:
        """As lawyers cite it."""
        return f"Art. 6(1)({_LETTERS[self]})"


_LETTERS = {Basis.CONSENT: "a", Basis.CONTRACT: "b", Basis.LEGAL_OBLIGATION: "c", Basis.LEGITIMATE_INTEREST: "f"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a device measures.

    `number` is 0 to 63 and never reused; `unit` is a SenML unit name; `minimum` and `maximum` (inclusive) are in that
    unit; `decimals` digits after the point are kept. `wide` packs it as int64 where others take int32.
    """

    name: str
    number: int
    unit: str
    decimals: int
    minimum: float
    maximum: float
    key_class: str
    mode: Mode
    wide: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """Data other than readings, kept as records: contact, services, support, invoices."""

    name: str
    key_class: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """Why data is processed: which quantities and categories, how finely (`resolution` seconds, 0 = as measured)."""

    name: str
    basis: Basis
    quantities: frozenset[str]
    categories: frozenset[str]
    resolution: int
    retention_months: int
    recipients: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A law that keeps one key class for some months after a customer's erasure."""

    months: int
    law: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClass:
    """Data with one retention rule.

    `retention_months` is the longest of its purposes, `held_by` is that purpose's name (the first in alphabetical order
    where several are equal). Without a purpose they are 0 and empty: everything in the class is out of retention.
    """

    name: str
    retention_months: int
    held_by: str

    @property
    def ratchets(self) -> bool:
        """Whether its keys move with the horizon. `identity` ends with the customer instead."""
        return self.name != IDENTITY


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy, validated: construct it with `load_policy`. `schema` is the number in every sealed value.

    `quantities` are in ascending number. A reading more than `future_window_s` seconds ahead of wall time is refused.
    """

    schema: int
    future_window_s: int
    quantities: tuple[Quantity, ...]
    by_name: Mapping[str, Quantity] = field(hash=False)
    categories: Mapping[str, Category] = field(hash=False)
    purposes: Mapping[str, Purpose] = field(hash=False)
    key_classes: Mapping[str, KeyClass] = field(hash=False)
    holds: Mapping[str, Hold] = field(hash=False)

    @property
    def classes_of_readings(self) -> tuple[KeyClass, ...]:
        """Key classes that hold quantities, by name."""
        names = sorted({q.key_class for q in self.quantities})
        return tuple(self.key_classes[name] for name in names)

    def purpose(self, name: str) -> Purpose:
        """The purpose of that name. Raises Refused when it is not declared."""
        try:
            return self.purposes[name]
        except KeyError:
            raise Refused(
                f"this purpose is not declared; the policy declares: {', '.join(sorted(self.purposes))}"
            ) from None

    def mask(self, names: Iterable[str]) -> int:
        """The sum of 2^number over quantities of these names. Raises KeyError for a name that is not a quantity."""
        return sum(1 << self.by_name[name].number for name in set(names))


def horizon_epoch(policy: Policy, key_class: str, now_ns: int) -> KeyEpoch:
    """The oldest epoch of a key class that is still readable: epoch(now - retention); 0 for `identity`.

    A turnover stores and moves it; this is what it moves it towards. Raises KeyError for a class that is not declared.
    """
    kept = policy.key_classes[key_class]
    if not kept.ratchets:
        return KeyEpoch(0)
    return KeyEpoch(max(0, epoch_of(now_ns) - kept.retention_months))


def horizon_days(policy: Policy) -> int:
    """How old, in days, the oldest reading can be that is still readable: what a store must keep.

    An epoch is a calendar month, so at its end the first of the months that are kept lies one month further back than
    the retention. Which months are long changes with the year: the most that it can be.
    """
    months = 1 + max((kept.retention_months for kept in policy.classes_of_readings), default=0)
    return max((_month(start + months) - _month(start)).days for start in range(48))


def _month(number: int) -> dt.date:
    """The first day of a month, counted from January 2000, a leap year."""
    return dt.date(2000 + number // 12, number % 12 + 1, 1)


def assemble(  # noqa: PLR0913 - the parts of a policy
    *,
    schema: int,
    future_window_s: int,
    quantities: Iterable[Quantity],
    categories: Iterable[Category],
    purposes: Iterable[Purpose],
    key_classes: Iterable[str],
    holds: Mapping[str, Hold] = MappingProxyType({}),
) -> Policy:
    """A policy from parts that are already known to fit together; derives what each key class is kept for."""
    numbered = tuple(sorted(quantities, key=lambda q: q.number))
    categories, purposes = tuple(categories), tuple(purposes)
    class_of = {q.name: q.key_class for q in numbered} | {c.name: c.key_class for c in categories}
    return Policy(
        schema=schema,
        future_window_s=future_window_s,
        quantities=numbered,
        by_name=_named(numbered),
        categories=_named(categories),
        purposes=_named(purposes),
        key_classes=_named(_kept(name, class_of, purposes) for name in key_classes),
        holds=MappingProxyType(dict(holds)),
    )


_Named = TypeVar("_Named", Quantity, Category, Purpose, KeyClass)


def _named(things: Iterable[_Named]) -> Mapping[str, _Named]:
    return MappingProxyType({thing.name: thing for thing in things})


def _kept(key_class: str, class_of: Mapping[str, str], purposes: Iterable[Purpose]) -> KeyClass:
    holding = [p for p in purposes if any(class_of[n] == key_class for n in p.quantities | p.categories)]
    longest = min(holding, key=lambda p: (-p.retention_months, p.name), default=None)
    if longest is None:
        return KeyClass(name=key_class, retention_months=0, held_by="")
    return KeyClass(name=key_class, retention_months=longest.retention_months, held_by=longest.name)
