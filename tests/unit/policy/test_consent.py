"""Which purposes live follows from basis and choices alone, and more yes never allows less."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.policy.consent import Choice, consents, in_force, may_read, permitted
from gateway.policy.load import load_policy
from gateway.policy.rules import Basis, Mode, Policy, Purpose, Quantity, assemble

SHIPPED = load_policy(Path(__file__).parents[3] / "config" / "policy.toml")


def quantity(number: int) -> Quantity:
    return Quantity(
        name=f"q{number}",
        number=number,
        unit="W",
        decimals=0,
        minimum=0,
        maximum=1,
        key_class="telemetry",
        mode=Mode.SEALED,
        wide=False,
    )


def policy_with(bases: Iterable[Basis]) -> Policy:
    """Purpose i has the i-th basis and uses quantity i alone, so that a mask shows which purposes live."""
    purposes = [
        Purpose(
            name=f"p{i}",
            basis=basis,
            quantities=frozenset({f"q{i}"}),
            categories=frozenset(),
            resolution=0,
            retention_months=1,
            recipients=(),
            description="",
        )
        for i, basis in enumerate(bases)
    ]
    quantities = [quantity(i) for i in range(len(purposes))]
    return assemble(
        schema=1,
        future_window_s=0,
        quantities=quantities,
        categories=[],
        purposes=purposes,
        key_classes=["telemetry", "identity"],
    )


ALL = policy_with([Basis.CONTRACT, Basis.LEGAL_OBLIGATION, Basis.LEGITIMATE_INTEREST, Basis.CONSENT])
NAMES = [f"p{i}" for i in range(4)]
CHOICES = st.dictionaries(st.sampled_from([*NAMES, "gone"]), st.booleans())
HISTORY = st.lists(
    st.builds(Choice, purpose=st.sampled_from(NAMES), granted=st.booleans(), effective=st.integers(0, 9)), max_size=12
)


@pytest.mark.parametrize(
    ("choices", "mask"),
    [
        ({}, 0b0111),
        ({"p3": True}, 0b1111),
        ({"p3": False}, 0b0111),
        ({"p2": False}, 0b0011),
        ({"p2": True}, 0b0111),
        (dict.fromkeys(NAMES, False), 0b0011),
    ],
)
def test_each_basis_lives_as_the_law_says(choices: dict[str, bool], mask: int) -> None:
    assert permitted(ALL, choices) == mask


@settings(deadline=None)
@given(CHOICES, st.sampled_from(NAMES))
def test_saying_yes_never_allows_less_and_saying_no_never_more(choices: dict[str, bool], name: str) -> None:
    no, yes = permitted(ALL, choices | {name: False}), permitted(ALL, choices | {name: True})
    silent = permitted(ALL, {n: c for n, c in choices.items() if n != name})
    assert no & silent == no
    assert silent & yes == silent


@settings(deadline=None)
@given(CHOICES)
def test_what_the_law_requires_and_the_contract_needs_cannot_be_withdrawn(choices: dict[str, bool]) -> None:
    assert permitted(ALL, choices) & 0b0011 == 0b0011


@settings(deadline=None)
@given(CHOICES)
def test_reading_for_a_purpose_is_allowed_exactly_when_its_quantities_are(choices: dict[str, bool]) -> None:
    mask = permitted(ALL, choices)
    for i, name in enumerate(NAMES):
        if mask >> i & 1:
            may_read(ALL, name, choices)
        else:
            with pytest.raises(Refused):
                may_read(ALL, name, choices)


def test_a_quantity_lives_while_any_of_its_purposes_does() -> None:
    everything = permitted(SHIPPED, {})
    assert everything == 0xFF
    assert permitted(SHIPPED, {"development": False, "marketing": False}) == everything


def test_a_quantity_without_purpose_is_never_permitted() -> None:
    lonely = assemble(
        schema=1, future_window_s=0, quantities=[quantity(5)], categories=[], purposes=[], key_classes=["telemetry"]
    )
    assert permitted(lonely, {"p0": True}) == 0


def test_refusals_say_whose_turn_it_is() -> None:
    with pytest.raises(Refused, match=r"^marketing: this customer has not consented$") as refused:
        may_read(SHIPPED, "marketing", {})
    assert refused.value.exit_code == 5
    with pytest.raises(Refused, match=r"^p2: this customer has objected$"):
        may_read(ALL, "p2", {"p2": False})
    with pytest.raises(Refused, match=r"^this purpose is not declared; the policy declares: p0, p1, p2, p3$"):
        may_read(ALL, "curiosity", {"curiosity": True})


def test_a_consent_covers_only_what_comes_after_it_and_ends_when_withdrawn() -> None:
    history = [
        Choice(purpose="p3", granted=True, effective=10),
        Choice(purpose="p3", granted=False, effective=20),
    ]
    assert in_force(history, 9) == {}
    assert in_force(history, 10) == {"p3": True}
    assert in_force(history, 20) == {"p3": False}
    assert in_force(history, 15, 25) == {"p3": False}  # measured under consent, came in after the withdrawal
    assert in_force(history, 5, 15) == {}  # measured before the consent was given


def test_at_one_instant_no_outweighs_yes() -> None:
    history = [Choice(purpose="p3", granted=granted, effective=1) for granted in (True, False, True)]
    assert in_force(history, 1) == {"p3": False}


@settings(deadline=None)
@given(HISTORY, st.integers(0, 9), st.integers(0, 9))
def test_two_times_allow_what_each_of_them_allows(history: list[Choice], one: int, two: int) -> None:
    both = permitted(ALL, in_force(history, one, two))
    assert both == permitted(ALL, in_force(history, one)) & permitted(ALL, in_force(history, two))


@settings(deadline=None)
@given(HISTORY.flatmap(lambda h: st.tuples(st.just(h), st.permutations(h))), st.integers(0, 9))
def test_the_order_in_which_choices_were_recorded_does_not_matter(
    histories: tuple[list[Choice], list[Choice]], time: int
) -> None:
    assert in_force(histories[0], time) == in_force(histories[1], time)


def test_consents_at_enrolment_are_declared_purposes_that_ask_for_one() -> None:
    assert consents(SHIPPED, ["marketing", "development"]) == {"marketing": True, "development": True}
    with pytest.raises(Refused, match=r"^provision: its basis is not consent; purposes that ask for consent: develop"):
        consents(SHIPPED, ["provision"])
    with pytest.raises(Refused, match="this purpose is not declared"):
        consents(SHIPPED, ["newsleter"])
