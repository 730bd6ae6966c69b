"""A batch settles per point; its messages settle with their points."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.model.ids import KeyId
from gateway.model.sealed import Outcome, Reason, SealedPoint
from gateway.pipeline.chain import Processed
from gateway.runtime.batch import Batch, Job
from gateway.runtime.writer import quiet_share
from tests.unit.runtime.line import delivery


def point(number: int, key: int = 0, field: str = "s_1d") -> SealedPoint:
    made = SealedPoint.parse(
        measurement="telemetry", pseudonym=f"p{number}", area="SE3", time=number, field=field, value="v"
    )
    series = type(made.series)("telemetry", made.series.pseudonym, "SE3", KeyId(bytes([key]) * 16))
    return type(made)(series, made.time, made.field, made.value, (("power", 1.0),) if key else ())


def job(points: list[SealedPoint], owners: list[int], generation: int = 1) -> Job:
    return Job(delivery([], []), Processed(points=points, owners=owners), generation)


def test_a_batch_is_as_old_as_its_oldest_delivery() -> None:
    assert Batch([job([], [], 7), job([point(1)], [0], 5)]).generation == 5


def test_places_are_kept_over_several_rounds() -> None:
    batch = Batch([job([point(n) for n in range(3)], [0, 0, 1]), job([point(n) for n in range(3, 6)], [0, 1, 1])])
    batch.settle(Outcome(rejected={0: Reason.STORE}, kept=[5, 1, 3]))
    assert [p.time for p in batch.points] == [1, 3, 5]
    batch.settle(Outcome(rejected={0: Reason.RANGE}, kept=[1]))
    assert [p.time for p in batch.points] == [3]
    batch.settle(Outcome())
    assert batch.points == []
    assert batch.refused_messages() == {Reason.STORE: 1}, "message 0 of the first delivery, by its first reason"
    assert batch.refused_readings() == {Reason.STORE: 4, Reason.RANGE: 4}
    assert batch.accepted == 4


def test_points_of_a_key_that_is_gone() -> None:
    batch = Batch([job([point(1, key=1), point(2, key=2), point(3, key=1)], [0, 0, 1])])
    batch.drop({KeyId(b"\1" * 16)}, {})
    assert [p.time for p in batch.points] == [2]
    batch.settle(Outcome())
    assert batch.refused_messages() == {Reason.ERASED: 1}
    assert batch.refused_readings() == {Reason.ERASED: 10}
    batch.drop({KeyId(b"\2" * 16)}, {})
    assert batch.accepted == 1


@given(st.data())
def test_each_point_settles_once(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    jobs, number = [], 0
    for size in sizes:
        owners = data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
        jobs.append(job([point(number + i) for i in range(size)], owners))
        number += size
    batch = Batch(jobs)
    fate: dict[int, str] = {}
    while batch.points:
        kept, rejected = [], {}
        for index, held in enumerate(batch.points):
            word = data.draw(st.sampled_from(["accepted", "rejected", "kept"] if len(fate) < 50 else ["accepted"]))
            if word == "kept":
                kept.append(index)
            else:
                assert held.time not in fate
                fate[held.time] = word
                if word == "rejected":
                    rejected[index] = Reason.STORE
        batch.settle(Outcome(rejected=rejected, kept=kept))
    assert len(fate) == number
    assert batch.accepted == Counter(fate.values())["accepted"]
    messages: dict[tuple[int, int], set[str]] = {}
    times = iter(range(number))
    for n, each in enumerate(jobs):
        for owner in each.done.owners:
            messages.setdefault((n, owner), set()).add(fate[next(times)])
    assert batch.refused_messages().total() == sum(words == {"rejected"} for words in messages.values())


def test_a_large_delivery_is_followed_by_another_and_a_small_one_is_written_early() -> None:
    assert quiet_share(5_000) == quiet_share(250) == 1.0
    assert quiet_share(1) == quiet_share(249) < 0.5
