"""The short form of fuzz_decode: the same payloads every time, a few thousand of each kind."""

from __future__ import annotations

import pytest

from gateway.model.clear import Readings, Refusals
from gateway.model.sealed import Reason
from tests.unit.pipeline.fuzz_decode import Message, audit, decoded, run

SEED = 8428
MESSAGES = 30_000


def test_no_payload_escapes_and_every_one_is_rows_or_a_refusal() -> None:
    ends = run(MESSAGES, SEED)
    assert ends["read twice"] > 1000
    assert ends["mapped"] > 500
    assert ends.total() - ends["read twice"] - ends["mapped"] == MESSAGES
    everything_but_admit = {"malformed", "too_large", "unknown_quantity", "unit", "non_finite", "no_time"}
    assert everything_but_admit | {"too_old", "future"} == ends.keys() - {"rows of messages", "read twice", "mapped"}


def test_the_same_seed_gives_the_same_end() -> None:
    assert run(1000, 7) == run(1000, 7) != run(1000, 8)


@pytest.mark.parametrize("fault", ["lost", "both", "infinite"])
def test_the_audit_notices(fault: str) -> None:
    readings, refusals = decoded(b'{"time":1714564800250,"power":1250}')
    messages = [Message(b"")]
    audit(messages, readings, refusals)
    if fault == "lost":
        readings, refusals = Readings([], [], [], readings.values[:0]), Refusals()
    elif fault == "both":
        refusals.add(0, Reason.MALFORMED)
    else:
        readings.values[0, 0] = float("inf")
    with pytest.raises(AssertionError):
        audit(messages, readings, refusals)
