"""Finding a customer by id: the lineage that can open them, and their present incarnation."""

from __future__ import annotations

from gateway.errors import KeyDestroyed, UnknownSubject
from gateway.keys.custodian import Custodian
from gateway.keys.lineage import Kind, Lineage
from gateway.keys.subject import is_erased
from gateway.keystore import rows, subjects
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, CustomerId, Incarnation


def open_lineage(tx: Transaction, custodian: Custodian, controller: Controller) -> Lineage:
    """The controller's lineage. Raises UnknownSubject, CustodianFault."""
    lineage = Lineage.load(tx, custodian, controller)
    if lineage is None:
        message = "this key store has no such controller"
        raise UnknownSubject(message)
    return lineage


def find_incarnation(tx: Transaction, lineage: Lineage, customer: CustomerId) -> Incarnation:
    """The customer's present life.

    Raises:
        KeyDestroyed: the customer was erased and has not returned.
        UnknownSubject: there is and was no such customer, as far as anyone can tell.
    """
    for route in subjects.find_routes(tx, lineage.route_hashes(Kind.CUSTOMER, customer)):
        return route.incarnation
    if subjects.find_fences(tx, lineage.fence_hashes(Kind.CUSTOMER, customer)):
        message = "this customer's keys were destroyed"
        raise KeyDestroyed(message)
    message = "no such customer is enrolled"
    raise UnknownSubject(message)


def living_keys(tx: Transaction, incarnation: Incarnation) -> list[rows.Key]:
    """All keys of a customer of whom no erasure has begun. Raises KeyDestroyed."""
    found = subjects.find_keys(tx, [incarnation])
    if is_erased(found):
        message = "this customer's keys are being destroyed"
        raise KeyDestroyed(message)
    return found
