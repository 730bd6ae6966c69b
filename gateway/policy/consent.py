"""Which purposes are live for one customer, and so what may be stored and read. Pure: choices come in as arguments.

A choice is what a customer said about a purpose: yes (consent given, objection taken back) or no (consent withdrawn,
objection). By legal basis (GDPR Art. 6(1), 7(3), 21):

    contract, legal_obligation    always live
    legitimate_interest           live unless the customer said no
    consent                       live only when the customer said yes

    mask = permitted(policy, {"development": True})     # quantities with a live purpose, sum of 2^number
    may_read(policy, "marketing", {})                   # raises Refused: nobody said yes

A choice about a purpose that is not in the policy, or one that cannot be chosen, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import Refused
from gateway.policy.rules import Basis, Policy, Purpose

Choices = Mapping[str, bool]
"""What one customer says now: purpose -> yes or no; a purpose that is absent was never spoken of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One entry of the consent ledger: from `effective` on (ns since 1970) `granted` holds for `purpose`."""

    purpose: str
    granted: bool
    effective: int


def in_force(history: Iterable[Choice], *times: int) -> dict[str, bool]:
    """The choices that hold at all of these times (ns): give event time and now, and the more careful one counts.

    So a reading from before a consent is not covered by it, and one from before a withdrawal that comes in later is not
    stored either. At one instant "no" outweighs "yes": the order of `history` does not matter.
    """
    entries = sorted(history, key=lambda c: (c.effective, not c.granted))
    views = [{c.purpose: c.granted for c in entries if c.effective <= time} for time in times]
    spoken = {purpose for view in views for purpose in view}
    lowest = {purpose: min((view.get(purpose) for view in views), key=_caution) for purpose in spoken}
    return {purpose: granted for purpose, granted in lowest.items() if granted is not None}


def is_live(purpose: Purpose, choices: Choices) -> bool:
    """Whether data may be processed for this purpose under these choices."""
    match purpose.basis:
        case Basis.CONTRACT | Basis.LEGAL_OBLIGATION:
            return True
        case Basis.LEGITIMATE_INTEREST:
            return choices.get(purpose.name, True)
        case Basis.CONSENT:
            return choices.get(purpose.name, False)


def permitted(policy: Policy, choices: Choices) -> int:
    """Quantities that some live purpose uses: the sum of 2^number. Without one, a reading is refused: `no_purpose`."""
    live = (purpose for purpose in policy.purposes.values() if is_live(purpose, choices))
    return policy.mask(name for purpose in live for name in purpose.quantities)


def may_read(policy: Policy, purpose: str, choices: Choices) -> None:
    """Raises Refused when the purpose is not declared, or is not live for this customer."""
    declared = policy.purpose(purpose)
    if is_live(declared, choices):
        return
    if declared.basis is Basis.CONSENT:
        raise Refused(
            f"{purpose}: this customer has not consented",
            hint="nothing is read for this purpose unless the customer consents to it",
        )
    raise Refused(
        f"{purpose}: this customer has objected",
        hint="nothing is read for this purpose unless the customer takes the objection back",
    )


def consents(policy: Policy, purposes: Iterable[str]) -> dict[str, bool]:
    """Consents given to these purposes, as choices. Raises Refused for one that is not declared or needs no consent."""
    given = {}
    for name in purposes:
        if policy.purpose(name).basis is not Basis.CONSENT:
            asked = sorted(p.name for p in policy.purposes.values() if p.basis is Basis.CONSENT)
            raise Refused(
                f"{name}: its basis is not consent; purposes that ask for consent: {', '.join(asked) or 'none'}",
                hint="leave it out: it needs no consent",
            )
        given[name] = True
    return given


def _caution(granted: bool | None) -> int:  # noqa: FBT001 - a sort key: no, then nothing said, then yes
    return 1 if granted is None else 2 * granted
