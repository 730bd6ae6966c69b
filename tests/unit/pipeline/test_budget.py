"""Budgets: who sends too much is refused what is over, and nobody else anything."""

from __future__ import annotations

import random
from collections import Counter

from gateway.keys.handle import Common, Device
from gateway.model.ids import Controller, DeviceId
from gateway.model.sealed import Reason
from gateway.pipeline.budget import FEW, REFUSED_BYTES, REFUSED_WEIGHS, WINDOW_S, Budget, Limits
from tests.world import Message

SECOND = 10**9
LIMITS = Limits(device_rate=5, device_burst=100, stranger_rate=1, stranger_burst=50)


def device(name: str, controller: str = "acme") -> Device:
    return Device(name, [], Common(controller=Controller(controller)))


def test_a_burst_passes_and_what_is_over_does_not() -> None:
    budget, one = Budget(LIMITS), device("one")
    assert sorted(budget.over([one] * 130, 0)) == list(range(100, 130))
    assert len(budget.over([one] * 30, SECOND)) == 30


def test_a_flooding_device_is_let_through_at_its_rate_and_leaves_others_alone() -> None:
    budget, bad, good = Budget(LIMITS), device("bad"), device("good")
    passed: Counter[str] = Counter()
    for second in range(600):
        batch = [bad] * 200 + [good] * 4
        random.Random(second).shuffle(batch)
        over = budget.over(batch, second * SECOND)
        passed["bad"] += sum(1 for i, d in enumerate(batch) if d is bad and i not in over)
        passed["good"] += sum(1 for i, d in enumerate(batch) if d is good and i not in over)
    assert passed["good"] == 600 * 4
    assert 100 + 5 * (600 - 2 * WINDOW_S) <= passed["bad"] <= 100 + 5 * 600


def test_all_topics_of_a_device_and_all_its_handles_share_one_bucket() -> None:
    budget, shared = Budget(LIMITS), Common(name_of=lambda topic: DeviceId(topic.rpartition("/")[2]))
    handles = [Device(topic, [], shared) for topic in ["a/one", "b/one", "a/one"]]
    assert len(budget.over(handles * 50, 0)) == 50
    other, elsewhere = Device("a/two", [], shared), Device("a/one", [], Common(controller=Controller("other")))
    assert not budget.over([other, elsewhere] * 100, 0)


def test_a_device_that_comes_back_after_hours_may_send_what_it_kept() -> None:
    budget, one = Budget(LIMITS), device("one")
    assert len(budget.over([one] * 100, 0)) == 0
    assert len(budget.over([one] * 100, 3600 * SECOND)) == 0


def test_strangers_share_one_bucket_however_many_they_are() -> None:
    budget, one = Budget(LIMITS), device("one")
    batch: list[Device | Reason] = [Reason.UNKNOWN_DEVICE, one, Reason.TOPIC] * 40
    over = budget.over(batch, 0)
    assert len(over) == 30
    assert all(batch[index] is not one for index in over)
    for _ in range(1000):
        budget.over([Reason.UNKNOWN_DEVICE] * 1000, SECOND)
    assert len(budget._strangers.levels) == 1


def test_what_is_refused_for_a_reason_of_its_own_is_not_counted() -> None:
    budget = Budget(LIMITS)
    assert not budget.over([Reason.SUSPENDED, Reason.ERASED] * 500, 0)


def test_a_controller_that_floods_leaves_another_alone() -> None:
    limits = Limits(device_rate=0, controller_rate=10, controller_burst=100)
    budget, ours, theirs = Budget(limits), device("a"), device("b", "other")
    batch = [ours] * 300 + [theirs] * 90
    over = budget.over(batch, 0)
    assert len(over) == 200
    assert all(batch[index] is ours for index in over)


def test_without_limits_nothing_is_counted() -> None:
    budget, one = Budget(Limits()), device("one")
    assert not budget.over([one] * 10**6, 0)
    assert not budget._devices.levels


def test_only_devices_of_the_last_windows_are_remembered() -> None:
    budget = Budget(LIMITS)
    many = [device(str(number)) for number in range(1000)]
    budget.over(many, 0)
    budget.over(many[:1], (WINDOW_S + 1) * SECOND)
    assert len(budget._devices.levels) == 1
    budget.over(many[:3], (WINDOW_S + 2) * SECOND)
    assert len(budget._devices.levels) == 3


def test_what_is_refused_weighs_more_so_that_nothing_but_poison_is_a_flood_soon() -> None:
    budget, bad, good = Budget(LIMITS), device("bad"), device("good")
    poison = [Message("t", bytes(REFUSED_BYTES * 9))] * 2
    assert not budget.over([bad, good], 0)
    budget.charge(poison, [bad, good], {0: Reason.MALFORMED})
    assert budget._devices.levels == {bad.mark: 1 + REFUSED_WEIGHS + 9, good.mark: 1}
    for _ in range(9):
        budget.charge(poison, [bad, good], {0: Reason.MALFORMED})
    over = budget.over([bad, good] * 2, 0)
    assert sorted(over) == [0, 2]
    budget.charge(poison * 2, [bad, good] * 2, dict.fromkeys(over, Reason.RATE))
    assert not budget.over([bad], 1000 * SECOND), "what was over weighs nothing"


def test_a_device_is_not_to_blame_for_a_customer_who_is_suspended_or_erased() -> None:
    budget, one = Budget(LIMITS), device("one")
    for second, reason in enumerate([Reason.SUSPENDED, Reason.ERASED] * 1000):
        assert not budget.over([one], second * SECOND // 4)  # 4 a second of 5
        budget.charge([Message("t", bytes(REFUSED_BYTES * 9))], [one], {0: reason})


def test_who_sends_lists_brings_no_more_readings_than_it_may_send_messages() -> None:
    budget, lists, good = Budget(LIMITS), device("lists"), device("good")
    batch: list[Device | Reason] = [lists, good, Reason.TOPIC]
    passed = 0
    for second in range(3000):
        over = budget.over(batch, second * SECOND)
        assert 1 not in over
        if 0 not in over:
            passed += 1
            budget.charge_lists(batch, {0: 1000 + FEW, 1: FEW, 2: 10**6})
    assert 15 <= passed <= 17, "15,000 readings in 3,000 s, and the burst"
    assert budget._devices.levels[good.mark] <= 2 * WINDOW_S


def test_what_is_refused_forgives_nothing_that_is_owed() -> None:
    budget, one = Budget(LIMITS), device("one")
    budget.charge_lists([one], {0: 1000 + FEW})
    budget.charge([Message("t", b"")], [one], {0: Reason.MALFORMED})
    assert budget._devices.levels[one.mark] == 1000


def test_large_messages_of_strangers_weigh_more() -> None:
    budget = Budget(LIMITS)
    assert not budget.over([Reason.UNKNOWN_DEVICE] * 5, 0)
    large = [Message("t", bytes(REFUSED_BYTES * 9))] * 5
    budget.charge(large, [Reason.UNKNOWN_DEVICE] * 5, dict.fromkeys(range(5), Reason.UNKNOWN_DEVICE))
    assert len(budget.over([Reason.UNKNOWN_DEVICE] * 5, 0)) == 5


def test_it_agrees_with_a_bucket_that_is_counted_message_by_message() -> None:
    dice, devices = random.Random(7), [device(str(number)) for number in range(5)]
    budget, plain, until = Budget(LIMITS), Counter[int](), WINDOW_S * SECOND
    now = 0
    for _ in range(400):
        now += dice.randrange(2 * SECOND)
        while now >= until:
            plain = Counter({n: level - 50 for n, level in plain.items() if level > 50})
            until += WINDOW_S * SECOND
        batch = dice.choices(range(5), weights=[1, 2, 4, 40, 80], k=dice.randrange(1, 60))
        expected = set()
        for index, number in enumerate(batch):
            if plain[number] >= 100:
                expected.add(index)
            else:
                plain[number] += 1
        assert set(budget.over([devices[number] for number in batch], now)) == expected
