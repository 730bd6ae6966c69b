"""What a customer says about a purpose after enrolment: consent given or withdrawn, an objection. In the ledger, by id.

    choose(control, custodian, policy, controller, customer, purpose="marketing", granted=False)

The choice is a record under the customer's identity key; workers learn of it with the next generation.
"""

from __future__ import annotations

from gateway.control import customer as customers
from gateway.control.role import Control
from gateway.keys.custodian import Custodian
from gateway.keys.lineage import Lineage
from gateway.keys.subject import CHOICE, open_subject
from gateway.keystore import subjects, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, CustomerId, Incarnation
from gateway.policy.rules import Policy

CONSENT = "consent"


def choose(  # noqa: PLR0913 - what an act on keys needs, and what was said
    control: Control,
    custodian: Custodian,
    policy: Policy,
    controller: Controller,
    customer: CustomerId,
    *,
    purpose: str,
    granted: bool,
) -> None:
    """Note what a customer says from now on.

    Raises:
        Refused: the purpose is not declared.
        UnknownSubject, KeyDestroyed: there is nobody to say it, or nobody any more.
        CustodianFault, IntegrityStop, Unreachable: nothing was noted.
    """
    policy.purpose(purpose)
    with control.keystore.snapshot() as tx:
        lineage = customers.open_lineage(tx, custodian, controller)
        incarnation = customers.find_incarnation(tx, lineage, customer)
    now = control.clock.wall()
    said = {"purpose": purpose, "granted": "yes" if granted else "no", "effective": str(now)}
    with control.act(CONSENT, incarnation=incarnation.hex(), **said) as act:
        note_choice(act.tx, lineage, incarnation, purpose=purpose, granted=granted, effective=now)


def note_choice(  # noqa: PLR0913 - the parts of a choice
    tx: Transaction, lineage: Lineage, incarnation: Incarnation, *, purpose: str, granted: bool, effective: int
) -> None:
    """The record, and the generation that tells workers. Raises KeyDestroyed, Refused, VerificationFailed."""
    lineage.hold(tx)
    subject = open_subject(lineage, incarnation, customers.living_keys(tx, incarnation))
    body: dict[str, object] = {"purpose": purpose, "granted": granted, "effective": effective}
    subjects.add_records(tx, [subject.record(CHOICE, body)])
    workers.raise_generation(tx)
