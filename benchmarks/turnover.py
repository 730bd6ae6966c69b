"""Turnover of a million keys: keys a second, and whether memory stays flat while they go by.

    python -m benchmarks.turnover --keys 1000000 --json

A key store on SQLite with a file custodian is filled with customers of one device each, a key a class (three with the
shipped policy); that is not measured. Then a process of its own turns all of it over, and its resident memory is looked
at throughout. `--month` lets a month expire first, so that every key of readings is ratcheted too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from gateway.clock import Clock, SystemClock
from gateway.control.enrolment import Enrolment, enrol
from gateway.control.ledger import Ledger
from gateway.control.pages import Step
from gateway.control.role import Control
from gateway.control.turnover import Turnovers
from gateway.keys.custodian import FileCustodian
from gateway.keystore.database import KeyStore
from gateway.model.ids import epoch_of, epoch_start, parse_controller, parse_customer, parse_device
from gateway.policy.load import load_policy
from gateway.runtime.config import resource as shipped

CONTROLLER = parse_controller("bench")
_MONTH = 32 * 86_400 * 10**9


class Later(SystemClock):
    """The machine's clocks, a month on."""

    def wall(self) -> int:
        """UTC ns since 1970."""
        return epoch_start(epoch_of(super().wall()) + 1) + 86_400 * 10**9


def main() -> None:
    """Fill, turn over, tell."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as directory:
        state = arguments.state or Path(directory)
        if not (state / "keys.db").exists():
            _fill(state, arguments.keys)
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            told = pool.apply(measured, (state,), {"month": arguments.month})
    print(json.dumps(told) if arguments.json else "\n".join(f"{name}: {value}" for name, value in told.items()))


def measured(state: Path, *, month: bool) -> dict[str, Any]:
    """One whole pass in this process."""
    clock = Later() if month else SystemClock()
    turnovers = _turnovers(state, clock)
    looks = Looks()
    peaks: dict[str, float] = {}

    def seen(step: Step, _done: int, _total: int) -> None:
        peaks[step] = max(peaks.get(step, 0.0), looks.rss())

    with looks:
        before, cpu = looks.rss(), time.process_time()
        turned = turnovers.run(CONTROLLER, on_progress=seen)
        spent = time.process_time() - cpu
    rewrapping = looks.of(Step.REWRAPPING, peaks)
    return {
        "keys": turned.rewrapped,
        "ratcheted": turned.ratcheted,
        "seconds": round(turned.seconds, 2),
        "cpu_seconds": round(spent, 2),
        "keys_per_second": round(turned.rewrapped / turned.seconds),
        "keys_per_cpu_second": round(turned.rewrapped / spent),
        "rss_mb": {"before": round(before, 1), "peak": round(rewrapping, 1)},
    }


class Looks:
    """Resident memory of this process, looked at ten times a second."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def rss(self) -> float:
        """MB now."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def of(self, _step: Step, peaks: dict[str, float]) -> float:
        """The most that was seen."""
        return max(self.peak, *peaks.values())

    def _look(self) -> None:
        while not self._done.wait(0.1):
            self.peak = max(self.peak, self.rss())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def _turnovers(state: Path, clock: Clock) -> Turnovers:
    keystore = KeyStore.open("sqlite:///keys.db", state=state)
    control = Control(keystore, Ledger(state / "ledger", clock), clock)
    return Turnovers(control, FileCustodian(state / "kek"), load_policy(shipped("policy.toml")), {})


def _fill(state: Path, keys: int) -> None:
    clock, policy = SystemClock(), load_policy(shipped("policy.toml"))
    keystore = KeyStore.open("sqlite:///keys.db", state=state)
    control = Control(keystore, Ledger(state / "ledger", clock), clock)
    classes = len({*policy.key_classes, "identity"})
    enrol(control, FileCustodian(state / "kek"), policy, _lines(-(-keys // classes), clock.wall()))
    keystore.close()


def _lines(customers: int, now: int) -> Iterator[Enrolment]:
    for number in range(customers):
        yield Enrolment(
            line=number,
            controller=CONTROLLER,
            customer=parse_customer(f"customer-{number}"),
            device=parse_device(f"device-{number}"),
            area="SE3",
            valid_from=now,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--state", type=Path, help="a state directory that is kept, and used again")
    parser.add_argument("--month", action="store_true", help="let a month expire")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
