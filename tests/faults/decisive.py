"""The acts of the soak, made so that they hit at the first try, and the defence that survives each: see `bite`."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.faults.acts import ACTS, Act, until
from tests.faults.site import Site
from tests.fronts import Gate

PATIENT = {"store__timeout_s": 200, "spool__patience_s": 200}  # with a store that does not answer
QUEUE = 1_400  # messages that a small broker keeps, and as many are under way


@dataclass(frozen=True, slots=True)
class Bite:
    """An act, the defence that survives it, and which of the books is not 0 without it."""

    act: Act
    without: str
    shows: str
    workers: int = 1
    seconds: int = 14  # of messages; for an act that begins by starting the gateway again, more
    forgives: bool = False  # what a broker loses by itself when it is killed
    queue: int = 0  # messages that the broker keeps; 0: all
    settings: Mapping[str, float] = field(default_factory=dict)  # of the gateway


def reached(condition: Callable[[], bool]) -> None:
    """Wait for what any gateway comes to; an act that did not get there has shown nothing."""
    assert until(condition, 120), "the act did not come to its moment"


def at_work(site: Site, acknowledged: int = 400) -> None:
    """Wait until it has acknowledged so many more."""
    before = sum(site.tap.acknowledged)
    until(lambda: sum(site.tap.acknowledged) >= before + acknowledged)


def unanswered(then: Act) -> Act:
    """While each worker waits for an answer of the store, which will not come."""

    def act(site: Site, chance: random.Random) -> None:
        gate = site.front.gate = Gate()
        reached(lambda: gate.arrived >= site.workers)
        then(site, chance)
        time.sleep(0.5)  # until it is dead
        site.front.gate = None
        gate.shut()

    return act


def cut(line: str, seconds: float, meanwhile: Act = lambda _site, _chance: None) -> Act:
    """For long enough that connections are given up, and one that is tried meanwhile, too: nothing of it comes late."""

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


def taken_and_not_told(site: Site, chance: random.Random) -> None:
    """The gateway is killed when the store has taken what the broker still holds, and delivers again."""
    before = sum(site.taken)
    site.front.silent.set()
    reached(lambda: sum(site.taken) > before and site.front.asked > 0)
    ACTS["gateway killed"](site, chance)
    site.front.silent.clear()


def forgotten_with_a_batch_under_way(site: Site, chance: random.Random) -> None:
    """A batch is at the store, the broker gives its packet ids to others, the store answers, the gateway is killed."""
    ACTS["broker forgets"](site, chance)  # from here on ids count from 1
    at_work(site, 20)
    gate = site.front.gate = Gate()
    reached(lambda: gate.arrived == 1 and len(site.tap.under_way) > 40)
    gate.let_one_through()
    reached(lambda: gate.arrived == 2)  # with all that came meanwhile
    before, last = site.tap.under_way, max(list(site.tap.under_way))
    ACTS["broker forgets"](site, chance)
    reached(lambda: site.tap.under_way is not before and last in site.tap.under_way)
    settled = sum(site.tap.acknowledged)
    gate.let_one_through()
    reached(lambda: gate.arrived == 3)  # it is through with that batch
    until(lambda: sum(site.tap.acknowledged) > settled, 2)  # and must not have acknowledged others for it
    killed = site.pid
    ACTS["gateway killed"](site, chance)
    reached(lambda: site.pid != killed)
    site.front.gate = None
    gate.shut()


def away_beyond_the_queue(site: Site, _chance: random.Random) -> None:
    """For longer than the broker could hold what comes."""
    before = sum(site.tap.acknowledged)
    site.store.kill()
    until(lambda: sum(site.tap.acknowledged) > before + 4 * QUEUE, 14)
    site.store.start()


def fleet_line_cut(site: Site, _chance: random.Random) -> None:
    """And what stands between devices and broker has forgotten their connections when it is mended."""
    site.lines["fleet"].cut()
    time.sleep(2)
    site.entrance.cut()
    site.lines["fleet"].mend()


def fewer_workers(site: Site, _chance: random.Random) -> None:
    """One of three goes for good, in good order."""
    reached(lambda: site.ready_pid() is not None)
    site.workers, killed = 2, site.pid
    assert killed is not None
    os.kill(killed, signal.SIGTERM)
    reached(lambda: site.pid != killed)


# By the name of an act, or that and what is special, behind a colon.
BITES: dict[str, Bite] = {
    "gateway killed": Bite(
        unanswered(ACTS["gateway killed"]), "acknowledged_before_it_is_stored", "lost", settings=PATIENT
    ),
    "gateway killed: when the store has taken what the broker is not told of": Bite(
        taken_and_not_told, "a_delivery_is_a_revision", "doubled"
    ),
    "worker killed": Bite(
        unanswered(ACTS["worker killed"]), "acknowledged_before_it_is_stored", "lost", workers=2, settings=PATIENT
    ),
    "worker stopped beyond its lease": Bite(
        ACTS["worker stopped beyond its lease"], "a_lease_once_over_stays_over", "lost_by_broker"
    ),
    "policy reloaded": Bite(ACTS["policy reloaded"], "nobody_hears_a_hangup", "crashed"),
    "workers changed": Bite(fewer_workers, "nobody_looks_for_who_has_gone", "lost_by_broker", workers=3),
    "broker killed": Bite(ACTS["broker killed"], "a_lost_connection_ends_it", "crashed", forgives=True),
    "broker restarted": Bite(cut("broker", 3, ACTS["broker restarted"]), "a_new_session_each_time", "lost_by_broker"),
    "broker forgets": Bite(
        forgotten_with_a_batch_under_way,
        "acknowledged_over_any_connection",
        "lost",
        seconds=40,
        forgives=True,
        settings=PATIENT,
    ),
    "store killed": Bite(store_away, "whatever_the_store_says", "lost"),
    "store killed: for longer than the broker's queue": Bite(
        away_beyond_the_queue,
        "no_spool",
        "lost_by_broker",
        seconds=30,
        queue=QUEUE,
        settings={"mqtt__receive_maximum": QUEUE},
    ),
    "store refuses": Bite(ACTS["store refuses"], "whatever_the_store_says", "lost"),
    "store wants small requests": Bite(small_requests, "too_large_is_refused", "lost"),
    "store silent": Bite(store_silent, "deadlines_are_far", "lost_by_broker"),
    "store slow": Bite(store_too_slow, "drained_before_it_is_stored", "lost"),
    "broker line cut": Bite(cut("broker", 9), "a_new_session_each_time", "lost_by_broker"),
    "store line cut": Bite(cut("store", 8), "whatever_the_store_says", "lost"),
    "fleet line cut": Bite(fleet_line_cut, "sent_is_delivered", "lost_by_broker"),
    "disk full": Bite(disk_full, "full_and_silent", "lost"),
    "fsync fails": Bite(fsync_fails, "fsync_is_not_looked_at", "lost"),
}

TESTS: dict[str, str] = {
    "tests/faults/test_kills.py::test_killed_in_turnover_and_erasure_it_is_old_or_new_and_converges": (
        "the_custodian_comes_first"
    ),
    "tests/faults/test_clock.py::test_a_clock_that_jumps_loses_nothing[3650]": "times_are_not_compared",
    "tests/faults/test_clock.py::test_a_clock_that_jumps_loses_nothing[-3650]": "refused_and_not_kept",
    "tests/faults/test_full.py::test_on_a_full_disk_what_is_done_to_keys_is_whole_or_refused[ledger]": (
        "the_ledger_is_not_looked_at"
    ),
    "tests/faults/test_full.py::test_on_a_full_disk_what_is_done_to_keys_is_whole_or_refused[keys]": (
        "the_key_store_is_not_looked_at"
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
