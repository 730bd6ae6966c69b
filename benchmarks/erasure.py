"""How long until an erasure is effective, with workers alive or stopped, over histories of several lengths.

    python -m benchmarks.erasure --workers 4 --readings 1000 10000 100000
    python -m benchmarks.erasure --workers 4 --stopped 1 --lease 10         # one of them by SIGSTOP
    python -m benchmarks.erasure --workers 4 --postgresql                   # on a durable cluster, made for it

Workers are processes that hold keys and look every quarter of a lease, which of one second is as often as `run` does.
Whoever is stopped has used up part of its lease, so that what is waited for is at most the lease and 10 %. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import tempfile
from pathlib import Path

from gateway.control.erasure import Step
from gateway.model.ids import parse_controller, parse_customer
from tests.postgres import Postgres
from tests.unit.control import processes
from tests.unit.control.processes import CONTEXT, ended, start
from tests.world import CANARY, CONTROLLER, World, message

_MINUTE = 60 * 10**9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--readings", type=int, nargs="+", default=[1_000, 10_000, 40_000])
    parser.add_argument("--stopped", type=int, default=0, help="so many of them are stopped before the erasure")
    parser.add_argument("--lease", type=float, default=1.0, help="seconds")
    parser.add_argument("--postgresql", action="store_true", help="the key store is there")
    parser.add_argument("--json", action="store_true", help="as it does anyway")
    wanted = parser.parse_args()
    with contextlib.ExitStack() as lives:
        server = lives.enter_context(Postgres(durable=True)) if wanted.postgresql else None
        rows = [_measured(count, wanted.workers, wanted.stopped, wanted.lease, server) for count in wanted.readings]
    print(json.dumps({"workers": wanted.workers, "stopped": wanted.stopped, "lease_s": wanted.lease, "rows": rows}))


def _measured(readings: int, workers: int, stopped: int, lease_s: float, server: Postgres | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory) / "state", keys=server.database() if server else None)
        world.enrol("anna", "meter-1")
        now = world.clock.wall()
        for first in range(0, readings, 5_000):
            numbers = range(first, min(first + 5_000, readings))
            world.store.write(world.process(*(message("meter-1", now - n * _MINUTE, power=n) for n in numbers)).points)
        world.ring.leave()
        stop = CONTEXT.Event()
        ready = [CONTEXT.Event() for _ in range(workers)]
        children = [start(processes.work, world.directory, event, stop, lease_s) for event in ready]
        assert all(event.wait(60) for event in ready)
        asleep = [child.pid for child in children[:stopped] if child.pid is not None]
        for pid in asleep:
            os.kill(pid, signal.SIGSTOP)
        steps: list[Step] = []
        subject = parse_controller(CONTROLLER), parse_customer(f"{CANARY}anna")
        erased = world.erasures.erase(*subject, on_step=steps.append)
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
        stop.set()
        assert [ended(child) for child in children] == [0] * workers
        assert Step.EFFECTIVE in steps
        world.store.close()
        world.keystore.close()
        return {"readings": readings, "effective_ms": round(erased.effective_ms, 1)}


if __name__ == "__main__":
    main()
