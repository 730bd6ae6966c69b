"""What can go wrong at a site, by name: each act breaks something under load, waits, and mends it.

Every fault that docs/operations.md promises to survive has an act here, or is in test_clock.py or test_kills.py.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable

from tests.faults.site import LEASE_S, Site

Act = Callable[[Site, random.Random], None]
PATIENCE_S = 30.0


def gateway_killed(site: Site, _chance: random.Random) -> None:
    """The whole gateway, supervisor and workers, at once."""
    pid = site.pid
    if pid is not None:
        for one in (pid, *site.worker_pids()):
            _signal(one, signal.SIGKILL)


def worker_killed(site: Site, chance: random.Random) -> None:
    """One process that takes messages in."""
    pids = site.worker_pids()
    if pids:
        _signal(chance.choice(pids), signal.SIGKILL)


def worker_stopped(site: Site, chance: random.Random) -> None:
    """SIGSTOP for longer than a lease."""
    pids = site.worker_pids()
    if pids:
        pid = chance.choice(pids)
        _signal(pid, signal.SIGSTOP)
        time.sleep(LEASE_S * chance.uniform(1.1, 1.5))
        _signal(pid, signal.SIGCONT)


def policy_reloaded(site: Site, chance: random.Random) -> None:
    """SIGHUP with a policy that is faulty, which changes nothing, and with one that is not."""
    for more in ("[faulty", f"# {chance.random()}\n"):
        if (pid := site.ready_pid()) is not None:
            site.write_policy(more)
            _signal(pid, signal.SIGHUP)
            time.sleep(chance.uniform(0.2, 1))
    site.write_policy()


def workers_changed(site: Site, chance: random.Random) -> None:
    """Stopped in good order and started with more or fewer: what waits for those who have gone is for who is there."""
    if (pid := site.ready_pid()) is not None:
        site.workers = chance.choice([count for count in (1, 2, 3) if count != site.workers])
        _signal(pid, signal.SIGTERM)
        until(lambda: site.pid != pid)


def broker_killed(site: Site, chance: random.Random) -> None:
    """It loses what it has not saved yet; that is the broker's loss, and measured."""
    site.broker.kill()
    time.sleep(chance.uniform(0, 0.5))
    site.broker.start()


def broker_restarted(site: Site, _chance: random.Random) -> None:
    """In good order, with its persistence: it loses nothing."""
    site.broker.restart()


def broker_forgets(site: Site, _chance: random.Random) -> None:
    """Killed, and its persistence lost: sessions, subscriptions, and every message that waits."""
    site.broker.kill()
    (site.broker.directory / "mosquitto.db").unlink(missing_ok=True)
    site.broker.start()


def store_killed(site: Site, chance: random.Random) -> None:
    """Away for a while."""
    site.store.kill()
    time.sleep(chance.uniform(0, 3))
    site.store.start()


def store_refuses(site: Site, chance: random.Random) -> None:
    """It answers, and takes nothing for a while."""
    site.front.answer = chance.choice((401, 403, 404, 408, 429, 500, 502, 503))
    time.sleep(chance.uniform(0.2, 1.5))
    site.front.answer = None


def store_wants_small_requests(site: Site, chance: random.Random) -> None:
    """413 for what is longer than a few points."""
    site.front.most_bytes = chance.choice((2_000, 20_000, 200_000))
    time.sleep(chance.uniform(0.2, 1.5))
    site.front.most_bytes = 0


def store_silent(site: Site, chance: random.Random) -> None:
    """It takes what it is sent and does not say so."""
    site.front.silent.set()
    time.sleep(chance.uniform(0.2, 3))
    site.front.silent.clear()


def store_slow(site: Site, chance: random.Random) -> None:
    """Every request takes long."""
    site.front.delay_s = chance.uniform(0.2, 1.5)
    time.sleep(chance.uniform(0.5, 3))
    site.front.delay_s = 0.0


def line_cut(name: str) -> Act:
    """One cable: connections stay open and fall silent."""

    def act(site: Site, chance: random.Random) -> None:
        site.lines[name].cut()
        time.sleep(chance.uniform(0.1, 2 if chance.random() < 0.9 else 8))
        site.lines[name].mend()

    return act


def disk_full(site: Site, chance: random.Random) -> None:
    """Under spool, dead letters, key store and ledger alike, while the store is away so that the spool is needed."""
    site.disk.fill()
    site.front.answer = chance.choice((None, 503))
    time.sleep(chance.uniform(0.2, 2))
    site.front.answer = None
    site.disk.free()


def fsync_fails(site: Site, chance: random.Random) -> None:
    """Nothing can be made durable, while the store is away so that the spool is needed."""
    with site.fsync_failing():
        site.front.answer = chance.choice((None, 503))
        time.sleep(chance.uniform(0.2, 2))
    site.front.answer = None


def until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    """Wait; not for ever, since a gateway that lacks something may never get there, or must not. Whether it did."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


ACTS: dict[str, Act] = {
    "gateway killed": gateway_killed,
    "worker killed": worker_killed,
    "worker stopped beyond its lease": worker_stopped,
    "policy reloaded": policy_reloaded,
    "workers changed": workers_changed,
    "broker killed": broker_killed,
    "broker restarted": broker_restarted,
    "broker forgets": broker_forgets,
    "store killed": store_killed,
    "store refuses": store_refuses,
    "store wants small requests": store_wants_small_requests,
    "store silent": store_silent,
    "store slow": store_slow,
    "broker line cut": line_cut("broker"),
    "store line cut": line_cut("store"),
    "fleet line cut": line_cut("fleet"),
    "disk full": disk_full,
    "fsync fails": fsync_fails,
}


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
