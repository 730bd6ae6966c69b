"""A lease ends by boot time and by wall time, is refused while a generation is not acknowledged, and cannot outlive
what the eraser waits for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import FixedClock
from gateway.errors import LeaseOver
from gateway.keys import process
from gateway.keys.lease import EXTRA, Lease, boot_id, is_over
from gateway.keystore import rows, workers
from gateway.keystore.database import KeyStore
from tests.postgres import PASSWORD

pytestmark = pytest.mark.both_key_stores

SECOND = 10**9
LENGTH = 30 * SECOND


@pytest.fixture
def keystore(tmp_path: Path, keys_url: str) -> Iterator[KeyStore]:
    opened = KeyStore.open(keys_url, state=tmp_path, password=PASSWORD.encode())
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(wall_ns=1_780_000_000 * SECOND, boottime_ns=1000 * SECOND)


@pytest.fixture
def lease(keystore: KeyStore, clock: FixedClock) -> Lease:
    return Lease(keystore, clock, lease_s=30, deadline_s=10)


def only_worker(keystore: KeyStore) -> rows.Worker:
    with keystore.snapshot() as tx:
        (found,) = workers.find_all(tx)
    return found


def raise_generation(keystore: KeyStore) -> int:
    with keystore.act() as tx:
        return workers.raise_generation(tx)


def test_nothing_is_held_before_registration(lease: Lease) -> None:
    assert not lease.holds()
    with pytest.raises(LeaseOver) as caught:
        lease.require()
    assert str(caught.value) == "this worker's lease on keys has ended"
    assert caught.value.retryable


def test_registration(keystore: KeyStore, clock: FixedClock, lease: Lease) -> None:
    assert lease.register() == 1
    assert lease.holds()
    worker = only_worker(keystore)
    assert dataclasses.replace(worker, worker=b"") == rows.Worker(
        worker=b"",
        boot=boot_id(),
        generation=1,
        lease=LENGTH,
        deadline=10 * SECOND,
        renewed=clock.boottime(),
        process=process.own(),
    )


def test_a_process_is_gone_only_where_that_is_certain() -> None:
    machine, boot, space, pid, started = process.own().split(" ")
    assert not process.is_gone(process.own(), boot)
    assert process.is_gone(f"{machine} {boot} {space} {pid} 1", boot), "its PID was given again"
    assert process.is_gone(f"{machine} {boot} {space} 4194305 1", boot), "no PID is as high"
    assert process.is_gone(f"{machine} before {space} {pid} {started}", "before"), "its boot is over"
    assert not process.is_gone(f"another {boot} {space} 4194305 1", boot), "it cannot be seen from here"
    assert not process.is_gone(f"{machine} {boot} pid:[1] 4194305 1", boot), "nor from outside its container"
    assert process.is_gone("", "before")
    assert not process.is_gone("", boot)


def test_over_by_boot_time(clock: FixedClock, lease: Lease) -> None:
    lease.register()
    clock.boottime_ns += LENGTH - 1
    assert lease.holds()
    clock.boottime_ns += 1
    assert not lease.holds()


def test_over_by_wall_time_alone(clock: FixedClock, lease: Lease) -> None:
    lease.register()
    clock.wall_ns += LENGTH - 1
    assert lease.holds()
    clock.wall_ns += 1
    assert not lease.holds()


def test_a_wall_clock_set_back_does_not_lengthen_it(clock: FixedClock, lease: Lease) -> None:
    lease.register()
    clock.wall_ns -= 365 * 86_400 * SECOND
    clock.boottime_ns += LENGTH
    assert not lease.holds()


def test_renewal_is_due_after_a_third(keystore: KeyStore, clock: FixedClock, lease: Lease) -> None:
    lease.register()
    begun = clock.boottime()
    clock.advance(LENGTH // 3 - 1)
    lease.renew_if_due()
    assert only_worker(keystore).renewed == begun
    clock.advance(1)
    lease.renew_if_due()
    assert only_worker(keystore).renewed == begun + LENGTH // 3
    clock.advance(LENGTH - 1)
    assert lease.holds()
    clock.advance(1)
    assert not lease.holds()


def test_renewal_is_refused_until_the_generation_is_acknowledged(
    keystore: KeyStore, clock: FixedClock, lease: Lease
) -> None:
    lease.register()
    before = only_worker(keystore)
    generation = raise_generation(keystore)
    clock.advance(LENGTH // 2)
    lease.renew_if_due()
    assert only_worker(keystore) == before
    clock.advance(LENGTH // 2)
    assert not lease.holds(), "refused, it has run out"
    lease.renew_if_due()
    assert not lease.holds()
    assert lease.look() == generation == 2
    lease.acknowledge(generation)
    lease.renew_if_due()
    assert lease.holds()


@pytest.mark.parametrize("name", ["boottime_ns", "wall_ns"])
def test_it_counts_from_before_the_renewal_was_sent(
    keystore: KeyStore, clock: FixedClock, lease: Lease, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The key store takes 20 seconds to answer: they are gone from the lease, by either clock."""
    lease.register()
    clock.advance(LENGTH // 2)
    renew = workers.renew

    def pass_by(duration: int) -> None:
        setattr(clock, name, getattr(clock, name) + duration)

    def slow(*arguments: object, **named: object) -> bool:
        pass_by(20 * SECOND)
        return renew(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(workers, "renew", slow)
    asked = clock.boottime()
    lease.renew_if_due()
    assert only_worker(keystore).renewed == asked
    pass_by(10 * SECOND - 1)
    assert lease.holds()
    pass_by(1)
    assert not lease.holds()


def test_leaving_ends_it_and_takes_the_worker_off_the_list(keystore: KeyStore, lease: Lease) -> None:
    lease.register()
    lease.leave()
    assert not lease.holds()
    with keystore.snapshot() as tx:
        assert workers.find_all(tx) == []
    lease.renew_if_due()


@given(
    length=st.integers(1, 10**12),
    renewed=st.integers(0, 10**15),
    after_renewal=st.integers(0, 10**12),
    commit=st.integers(0, 10**9),
    waited=st.integers(0, 10**13),
    same_boot=st.booleans(),
)
@settings(deadline=None)
def test_the_eraser_never_thinks_over_what_a_worker_still_holds(  # the parts of one interleaving
    length: int, renewed: int, after_renewal: int, commit: int, waited: int, same_boot: bool
) -> None:
    """The last renewal happens before the commit; the clock of a worker under another boot may run 10 % slow."""
    asked = renewed + after_renewal + commit  # after the commit, hence after the renewal
    now = asked + waited
    boot = boot_id() if same_boot else "another boot"
    worker = rows.Worker(worker=b"w" * 16, boot=boot, generation=1, lease=length, deadline=0, renewed=renewed)
    if is_over(worker, now=now, boot=boot_id(), asked=asked):
        slowly = (now - renewed) / (1 if same_boot else EXTRA)  # what its clock has counted since the renewal was sent
        assert slowly >= length * (1 - 1e-12) - 1
    else:
        assert now < asked + length * (1 if same_boot else EXTRA)


def test_boot_times_of_another_boot_are_not_compared() -> None:
    long_ago = rows.Worker(worker=b"w" * 16, boot="another", generation=1, lease=LENGTH, deadline=0, renewed=0)
    now = 10**15
    assert not is_over(long_ago, now=now, boot=boot_id(), asked=now)
    assert is_over(dataclasses.replace(long_ago, boot=boot_id()), now=now, boot=boot_id(), asked=now)
    assert is_over(long_ago, now=now + int(LENGTH * EXTRA), boot=boot_id(), asked=now)
