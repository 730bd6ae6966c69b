"""The chain: every message of a batch is in the end stored in part, or refused with a reason."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model.sealed import Reason
from tests.world import DAY, Message, World, message, topic


def test_a_mixed_batch_settles_message_by_message(world: World) -> None:
    world.enrol("anna", "meter-1")
    now = world.clock.wall()
    done = world.process(
        message("meter-1", now, temperature=20.0),
        message("meter-9", now, temperature=20.0),
        Message(topic("meter-1"), b"{"),
        Message("elsewhere", message("meter-1", now, temperature=1).payload),
        message("meter-1", now + DAY, temperature=20.0),
        message("meter-1", now, temperature=2000.0, power=1),
        Message(topic("meter-1"), b'[{"n":"temperature","u":"Cel","v":21.0}]'),
        Message(topic("meter-1"), b'{"temperature":21.0}'),
        Message(topic("meter-1"), b" " * 300_000),
    )
    assert done.refusals.message == {
        1: Reason.UNKNOWN_DEVICE,
        2: Reason.MALFORMED,
        3: Reason.TOPIC,
        4: Reason.FUTURE,
        7: Reason.NO_TIME,
        8: Reason.TOO_LARGE,
    }
    assert sorted(done.owners) == [0, 5, 6]
    assert done.untimed == 1
    assert done.refusals.readings[Reason.RANGE] == 1


def test_one_message_may_give_points_in_many_months(world: World) -> None:
    world.enrol("anna", "meter-1", since=world.clock.wall() - 100 * DAY)
    now = world.clock.wall()
    rows = [{"time": (now - d * DAY) // 1_000_000, "power": d} for d in range(90)]
    done = world.process(Message(topic("meter-1"), json.dumps(rows).encode()))
    assert done.owners == [0] * 90
    assert len({p.series.pseudonym for p in done.points}) in {3, 4}


def test_an_empty_batch(world: World) -> None:
    done = world.process()
    assert (done.points, done.owners, done.refusals.message) == ([], [], {})


payloads = st.one_of(
    st.binary(max_size=40),
    st.fixed_dictionaries(
        {"time": st.sampled_from([0, 1, "now", "2999-01-01T00:00:00Z", None, "x"])},
        optional={
            "temperature": st.sampled_from([20.0, 1e9, None, "20"]),
            "power": st.integers(-5, 5),
            "rev": st.sampled_from([0, 1, -1, 2**40]),
            "shoe_size": st.just(43),
        },
    ),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.sampled_from(["meter-1", "meter-2", "meter-9"]), payloads), max_size=8))
def test_the_books_of_a_batch_balance(world: World, sent: list[tuple[str, object]]) -> None:
    if not len(world.ring):
        world.enrol("anna", "meter-1")
        world.enrol("bo", "meter-2")
    now = world.clock.wall() // 1_000_000

    def spelled(payload: object) -> bytes:
        if isinstance(payload, bytes):
            return payload
        assert isinstance(payload, dict)
        return json.dumps(payload | ({"time": now} if payload["time"] == "now" else {})).encode()

    done = world.process(*(Message(topic(device), spelled(payload)) for device, payload in sent))
    settled = Counter(set(done.owners)) + Counter(done.refusals.message.keys())
    assert settled == Counter(range(len(sent)))
    assert sum(done.refusals.readings.values()) >= len(done.refusals.message)
