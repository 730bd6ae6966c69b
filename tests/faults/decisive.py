"""The acts of the soak, made so that they hit at the first try, and the defence that survives each: see `bite`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.acts import ACTS, Act
from tests.faults.site import Site

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Bite:
    """An act, the defence that survives it, and which of the books is not 0 without it."""

    act: Act
    without: str
    shows: str
    workers: int = 1
    seconds: int = 14  # of messages; for an act that begins by starting the gateway again, more
    forgives: bool = False  # what a broker loses by itself when it is killed


def until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Wait; not for ever, since a gateway that lacks something may never get there, or must not."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


def at_work(site: Site, acknowledged: int = 400) -> None:
    """Wait until it has acknowledged so many more."""
    before = sum(site.tap.acknowledged)
    until(lambda: sum(site.tap.acknowledged) >= before + acknowledged)


def unanswered(then: Act) -> Act:
    """While the store has not answered, and will not."""

    def act(site: Site, chance: random.Random) -> None:
        site.front.delay_s, site.front.answer = 1.5, 503
        time.sleep(chance.uniform(0.5, 1.0))
        then(site, chance)
        time.sleep(1.6)
        site.front.delay_s, site.front.answer = 0.0, None

    return act


def cut(line: str, seconds: float, meanwhile: Act = lambda _site, _chance: None) -> Act:
    """For long enough that connections are given up."""

    def act(site: Site, chance: random.Random) -> None:
        site.lines[line].cut()
        meanwhile(site, chance)
        time.sleep(seconds)
        site.lines[line].mend()

    return act


def store_away(site: Site, _chance: random.Random) -> None:
    site.store.kill()
    time.sleep(2)
    site.store.start()


def store_silent(site: Site, _chance: random.Random) -> None:
    site.front.silent.set()
    time.sleep(5)
    site.front.silent.clear()


def store_too_slow(site: Site, _chance: random.Random) -> None:
    """Slower than its deadline, so that batches wait in the spool; once in a while one is drained in time."""
    site.front.delay_s = 2.5
    time.sleep(5)
    site.front.answer = 503  # what was given up must not be carried out all the same
    time.sleep(3)
    site.front.delay_s, site.front.answer = 0.0, None


def small_requests(site: Site, _chance: random.Random) -> None:
    site.front.most_bytes = 2_000
    time.sleep(2)
    site.front.most_bytes = 0


def disk_full(site: Site, _chance: random.Random) -> None:
    site.front.answer = 503
    time.sleep(0.5)
    site.disk.fill()
    time.sleep(2)
    site.disk.free()
    site.front.answer = None


def fsync_fails(site: Site, _chance: random.Random) -> None:
    site.front.answer = 503
    time.sleep(0.5)
    with site.fsync_failing():
        time.sleep(2)
    site.front.answer = None


def forgotten_with_a_batch_under_way(site: Site, chance: random.Random) -> None:
    """The broker gives out the same packet ids again, the store answers for the old ones, and the gateway is killed."""
    site.gateway.environment |= {"GLOMSKA_STORE__TIMEOUT_S": "40", "GLOMSKA_SPOOL__PATIENCE_S": "40"}
    ACTS["gateway killed"](site, chance)  # so that it comes back with patience for a store that is slow
    ACTS["broker forgets"](site, chance)  # from here on ids count from 1
    at_work(site, 20)
    site.front.delay_s = 16
    time.sleep(0.5)
    ACTS["broker forgets"](site, chance)
    given, settled = sum(site.tap.given), sum(site.tap.acknowledged)
    until(lambda: sum(site.tap.given) > given + 20)
    until(lambda: sum(site.tap.acknowledged) > settled, 24)
    site.front.answer = 503
    ACTS["gateway killed"](site, chance)
    time.sleep(16.5)
    site.front.delay_s, site.front.answer = 0.0, None


BITES: dict[str, Bite] = {
    "gateway killed": Bite(unanswered(ACTS["gateway killed"]), "acknowledged_before_it_is_stored", "lost"),
    "worker killed": Bite(unanswered(ACTS["worker killed"]), "acknowledged_before_it_is_stored", "lost", workers=2),
    "worker stopped beyond its lease": Bite(
        ACTS["worker stopped beyond its lease"], "a_lease_once_over_stays_over", "lost_by_broker"
    ),
    "broker killed": Bite(ACTS["broker killed"], "a_lost_connection_ends_it", "crashed", forgives=True),
    "broker restarted": Bite(cut("broker", 3, ACTS["broker restarted"]), "a_new_session_each_time", "lost_by_broker"),
    "broker forgets": Bite(
        forgotten_with_a_batch_under_way, "acknowledged_over_any_connection", "lost", seconds=90, forgives=True
    ),
    "store killed": Bite(store_away, "whatever_the_store_says", "lost"),
    "store refuses": Bite(ACTS["store refuses"], "whatever_the_store_says", "lost"),
    "store wants small requests": Bite(small_requests, "too_large_is_refused", "lost"),
    "store silent": Bite(store_silent, "deadlines_are_far", "lost_by_broker"),
    "store slow": Bite(store_too_slow, "drained_before_it_is_stored", "lost"),
    "broker line cut": Bite(cut("broker", 9), "a_new_session_each_time", "lost_by_broker"),
    "store line cut": Bite(cut("store", 4), "whatever_the_store_says", "lost"),
    "disk full": Bite(disk_full, "full_and_silent", "lost"),
    "fsync fails": Bite(fsync_fails, "fsync_is_not_looked_at", "lost"),
}

TESTS: dict[str, str] = {
    "tests/faults/test_kills.py::test_killed_in_turnover_and_erasure_it_is_old_or_new_and_converges": (
        "the_custodian_comes_first"
    ),
    "tests/integration/test_bad_input.py::test_what_a_store_will_never_take_becomes_dead_letters_and_can_be_replayed": (
        "refused_and_not_kept"
    ),
    "tests/integration/test_two_machines.py::test_one_cut_off_from_its_keys_emits_nothing_and_the_other_goes_on": (
        "leases_hold_for_ever"
    ),
    "tests/integration/test_transports.py::test_a_certificate_that_expired_while_connected_is_mended_on_disk": (
        "certificates_are_read_once"
    ),
}
"""Lines of the table of faults without an act, and without a test in tests/attacks, where each is seen to fail."""
