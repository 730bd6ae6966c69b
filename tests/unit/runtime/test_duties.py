"""Several duties as one: none hides another, and what ends a gateway is not hidden behind what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.errors import GlomskaError, IntegrityStop, Unreachable, VerificationFailed
from gateway.runtime.duties import each_of

DAMAGED, AWAY, OLDER = VerificationFailed("a row"), Unreachable("a store"), IntegrityStop("older than its ledger")


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([DAMAGED, AWAY], DAMAGED),
        ([AWAY, DAMAGED], AWAY),
        ([DAMAGED, AWAY, OLDER], OLDER),
        ([OLDER, DAMAGED], OLDER),
    ],
)
def test_all_are_done_and_the_worst_is_told(faults: list[GlomskaError], told: GlomskaError) -> None:
    done = []

    def failing(fault: GlomskaError) -> Callable[[], None]:
        def duty() -> None:
            done.append(fault)
            raise fault

        return duty

    with pytest.raises(type(told)) as caught:
        each_of(*map(failing, faults))()
    assert caught.value is told
    assert done == faults
