"""Several duties as one: what housekeeping does, each on its own, so that one that cannot be done hides no other."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import CustodianFault, GlomskaError, LeaseOver, Unreachable, VerificationFailed

WAITED_OUT = (Unreachable, LeaseOver, CustodianFault)
GONE_ON_WITH = (*WAITED_OUT, VerificationFailed)
"""What does not end a gateway when housekeeping meets it: it may pass, or is one customer's damaged row."""
AT_ONCE_S = 2.0
"""How long one that has much to do may go on before the others have their turn, and who stops the gateway is heard."""


def each_of(*duties: Callable[[], object]) -> Callable[[], None]:
    """All of them, whatever happens to one. In the end the first fault is raised, before it one that ends a gateway."""

    def all_of_them() -> None:
        faults: list[GlomskaError] = []
        for duty in duties:
            try:
                duty()
            except GlomskaError as fault:
                faults.append(fault)
        if faults:
            raise next((fault for fault in faults if not isinstance(fault, GONE_ON_WITH)), faults[0])

    return all_of_them
