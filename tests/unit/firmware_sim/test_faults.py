"""Faults are what they are said to be, and leave the valid messages as they were."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from firmware_sim.faults import Faults, with_faults
from firmware_sim.fleet import Firmware, Kind, Message, thermostats
from firmware_sim.homes import Window, simulate_messages
from firmware_sim.tally import Tally
from firmware_sim.zoo import ZOO

REASONS = {
    *("malformed", "topic", "too_large", "unknown_device", "erased", "suspended", "unknown_quantity", "unit"),
    *("non_finite", "range", "no_time", "too_old", "future", "rate", "no_purpose", "store"),
}
HOMES = thermostats(20, seed=1, senml=0.3)
ALL = Faults(duplicates=0.2, disorder=0.1, bursts=0.3, malformed=0.1)
WINDOW = Window(start=1_768_000_000_000, interval=900, steps=500)


@pytest.fixture(scope="module")
def valid() -> list[Message]:
    return list(simulate_messages(HOMES, WINDOW, seed=1))


def tallied(messages: list[Message]) -> Tally:
    tally = Tally()
    for message in messages:
        tally.settled(message, accepted=True)
    return tally


def test_the_same_seed_gives_the_same_faults(valid: list[Message]) -> None:
    first = list(with_faults(valid, ALL, seed=1))
    assert first == list(with_faults(valid, ALL, seed=1))
    assert first != list(with_faults(valid, ALL, seed=2))


def test_no_valid_message_is_lost_or_changed(valid: list[Message]) -> None:
    published = [message for message in with_faults(valid, ALL, seed=1) if message.kind is Kind.VALID]
    assert published != valid
    assert sorted(published, key=lambda m: (m.time, m.topic)) == sorted(valid, key=lambda m: (m.time, m.topic))


def test_without_faults_nothing_happens(valid: list[Message]) -> None:
    assert list(with_faults(valid, Faults(), seed=1)) == valid


def test_a_duplicate_is_the_same_bytes_after_its_original_and_only_of_valid_ones(valid: list[Message]) -> None:
    seen: dict[tuple[str, bytes], Message] = {}
    duplicates = 0
    for message in with_faults(valid, ALL, seed=1):
        if message.kind is Kind.DUPLICATE:
            original = seen[message.topic, message.payload]
            assert (original.kind, original.content_type) == (Kind.VALID, message.content_type)
            duplicates += 1
        elif message.kind is Kind.VALID:
            seen[message.topic, message.payload] = message
    assert duplicates == pytest.approx(0.2 * len(valid), rel=0.1)


def test_disorder_is_within_a_device(valid: list[Message]) -> None:
    messages = list(with_faults(valid, Faults(disorder=0.1), seed=1))
    assert tallied(messages).out_of_order == pytest.approx(0.1 * len(valid), rel=0.1)
    assert tallied(valid).out_of_order == 0


def test_bursts_are_runs_of_one_device_in_its_order(valid: list[Message]) -> None:
    messages = list(with_faults(valid, Faults(bursts=0.3), seed=1))
    assert tallied(messages).out_of_order == 0
    late = runs = 0
    for before, message in pairwise(messages):
        late += before.topic == message.topic  # 20 devices report in turn: two in a row are a burst
        runs += message.time < before.time
    assert late == pytest.approx(0.3 * len(valid), rel=0.15)
    assert runs > 10


def test_malformed_messages_are_counted_by_kind_and_by_reason(valid: list[Message]) -> None:
    messages = list(with_faults(valid, ALL, seed=1))
    tally = tallied(messages)
    broken = [message for message in messages if message.kind is Kind.MALFORMED]
    assert tally.faults == Counter(message.fault for message in broken)
    assert tally.refused_expected == Counter(message.reason for message in broken)
    assert len(broken) == pytest.approx(0.1 * len(valid), rel=0.1)
    assert set(tally.faults) == {fault.name for fault in ZOO}
    assert max(tally.faults.values()) - min(tally.faults.values()) <= 1
    assert set(tally.refused_expected) <= REASONS
    assert tally.published == len(valid) + len(broken)
    assert tally.deliveries == len(messages)


def test_malformed_messages_never_look_like_a_valid_one(valid: list[Message]) -> None:
    good = {(message.topic, message.payload) for message in valid}
    enrolled = {home.topic for home in HOMES}
    by_fault = defaultdict(list)
    for message in with_faults(valid, Faults(malformed=1.0), seed=1):
        if message.kind is Kind.MALFORMED:
            assert (message.topic, message.payload) not in good
            assert len(message.payload) < 12_000
            by_fault[message.fault].append(message)
    for fault in ("no_device", "overlong_device", "not_enrolled"):
        for message in by_fault[fault]:
            assert message.topic not in enrolled
            assert message.topic.count("/") == 3  # still matches glomska/+/+/readings


def test_what_is_too_large_is_so_and_comes_only_when_asked_for(valid: list[Message]) -> None:
    messages = list(with_faults(valid, Faults(malformed=0.1, oversized=0.02), seed=1))
    large = [message for message in messages if len(message.payload) > 12_000]
    assert {(message.fault, message.reason, len(message.payload) > 262_144) for message in large} == {
        ("oversized", "too_large", True)
    }
    assert len(large) == pytest.approx(0.02 * len(valid), rel=0.2)
    rest = [message for message in messages if message.fault != "oversized"]
    assert rest == list(with_faults(valid, Faults(malformed=0.1), seed=1))


def test_what_has_no_time_is_neither_doubled_nor_out_of_order_nor_lost() -> None:
    homes = thermostats(20, seed=1, shares={Firmware.UNTIMED: 0.5})
    messages = list(simulate_messages(homes, WINDOW, seed=1))
    untimed = [message for message in messages if message.kind is Kind.UNTIMED]
    faulty = list(with_faults(messages, ALL, seed=1))
    assert Counter(message.payload for message in faulty if message.kind is Kind.UNTIMED) == Counter(
        message.payload for message in untimed
    )
    tally = tallied(faulty)
    assert tally.summary()["untimed"] == len(untimed) > 1000
    assert tally.published == len(messages) + tally.kinds[Kind.MALFORMED]
    assert tally.deliveries == tally.published + tally.kinds[Kind.DUPLICATE]
    clockless = {message.topic for message in untimed}
    assert all(message.topic not in clockless for message in faulty if message.kind is Kind.DUPLICATE)


def test_when_a_hub_is_offline_all_its_homes_are() -> None:
    homes = thermostats(20, seed=1, hubs=1.0)
    messages = list(with_faults(simulate_messages(homes, WINDOW, seed=1), Faults(bursts=0.3), seed=1))
    newest: dict[str, int] = {}
    for message in messages:
        assert message.time >= newest.get(message.sender, 0), "a home got through while its hub was away"
        newest[message.sender] = message.time
    assert any(later.time < earlier.time for earlier, later in pairwise(messages))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Faults(duplicates=share)
