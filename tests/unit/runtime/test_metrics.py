"""The books: numbers by reason."""

from __future__ import annotations

import json

from gateway.model.sealed import Reason
from gateway.runtime.metrics import Metrics


def test_the_books_are_json_in_a_stable_order() -> None:
    metrics = Metrics(stored=3, untimed=1, redelivered=2)
    for reason in (Reason.TOO_OLD, Reason.ERASED, Reason.TOO_OLD):
        metrics.refuse(reason)
    metrics.refuse(Reason.RATE, 0)
    assert json.dumps(metrics.books()) == (
        '{"stored": 3, "refused": {"erased": 1, "too_old": 2}, "untimed": 1, "redelivered": 2}'
    )


def test_readings_are_counted_apart_from_messages() -> None:
    metrics = Metrics()
    metrics.refuse_readings({Reason.RANGE: 2})
    metrics.refuse_readings({Reason.RANGE: 1, Reason.UNIT: 4})
    assert metrics.refused_readings == {Reason.RANGE: 3, Reason.UNIT: 4}
    assert metrics.refused == {}
