"""`glomska run --workers N`: N processes that share one subscription, kept alive by this small one.

It reads no configuration, opens no key and imports none of the rooms below: `run` has checked everything, then this
program takes its place, with the same process id. To its workers it is what systemd is to a service (see `notify`):

    READY=1                 subscribed; when all are, one line `ready` is written
    WATCHDOG=1              alive; who is silent for longer than WATCHDOG_S, before that START_S, is killed
    X_GLOMSKA_BOOKS=…       their books so far; the sum of all, of those that were killed too, is the line `stopped`

A worker that ends is started again after a random part of 0.5 s, 1 s, 2 s … 30 s. Before the first `ready` any failure
ends them all with its exit code, as with a process alone. Later only broken integrity does (8, 9), and a command line
that is wrong (2). What else a person has to mend (3, 5) is said as an error at each try, and the others go on, but for
what the broker hands to it: that waits there. It may be a mapping that a reload has refused, or a spool that somebody
drains. A policy that was refused stops none: workers begin with the one that was accepted last (see `accepted`).

SIGTERM and SIGINT go to all workers as SIGTERM: each drains, then this ends with 0 or 130. The second one ends
everything at once. SIGHUP goes to all as it is. When this process is killed, the kernel tells its workers to drain.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.runtime.bond import SUPERVISOR
from gateway.runtime.log import Level, Log
from gateway.runtime.notify import BOOKS, SOCKET, WATCHDOG, WATCHDOG_PID, Listener, Notifier

WATCHDOG_S = 60.0
FIRST_BACK_OFF_S, BACK_OFF_S = 0.5, 30.0
STEADY_S = 60.0  # a worker that lived for so long is started again as if it had never failed
START_S = 600.0  # from its start to READY=1: keys of many devices may come from a slow key store or token
FINAL = frozenset({2, 8, 9})  # exit codes that end all, whenever they come
MENDED = frozenset({3, 5})  # exit codes that a person mends while the others go on
_ITS_SHARE = "mend what it says; until it starts, its share of what is published waits at the broker"
_DOUBLED = 16  # times at most: tries go on for months
_TICK_S = 0.2
_INTERRUPTED = 130
_ENDING = (signal.SIGTERM, signal.SIGINT)


@dataclass(slots=True)
class _Worker:
    """One place among the workers, and the process that has it now."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    reload: bool = False  # whether a SIGHUP waits until it is ready: before that it would end it
    heard: float = 0.0  # when it spoke last
    begun: float = 0.0
    again: float = 0.0  # when to start it, while there is no process
    failures: int = 0
    books: dict[str, Any] = field(default_factory=dict)


class Supervisor:
    """Runs until all workers have ended."""

    def __init__(self, command: Sequence[str], count: int, log: Log, above: Notifier, about: Mapping[str, Any]) -> None:
        """`command` is run with `--worker NUMBER` behind it; `above`: who supervises us; `about`: said when ready."""
        self._command, self._log, self._above, self._about = list(command), log, above, about
        self._workers = [_Worker(number) for number in range(1, count + 1)]
        self._listener = Listener()
        self._past: list[dict[str, Any]] = []  # books of processes that have ended
        self._restarts = 0
        self._announced = False
        self._ending: int | None = None  # the exit code, once it is clear that all shall end
        self._signals: list[int] = []
        self._beaten = 0.0

    def run(self) -> int:
        """The exit code."""
        for number in (*_ENDING, signal.SIGHUP):
            signal.signal(number, self._noted)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_ENDING, signal.SIGHUP))  # held back by who became this
        for worker in self._workers:
            self._start(worker)
        while self._ending is None or any(worker.process for worker in self._workers):
            self._hear(_TICK_S)
            self._obey()
            for worker in self._workers:
                self._look_after(worker)
            self._beat()
        self._log.event("stopped", **self._books(), workers=len(self._workers), restarts=self._restarts)
        self._listener.close()
        return self._ending

    def _noted(self, number: int, _frame: object) -> None:
        """A signal handler, so it does little. The next SIGTERM or SIGINT ends us, and the kernel tells the workers."""
        self._signals.append(number)
        if number in _ENDING:
            for ending in _ENDING:
                signal.signal(ending, signal.SIG_DFL)

    def _start(self, worker: _Worker) -> None:
        environment = os.environ | {SOCKET: self._listener.address, WATCHDOG: str(int(WATCHDOG_S * 1e6))}
        environment[SUPERVISOR] = str(os.getpid())
        environment.pop(WATCHDOG_PID, None)
        command = [*self._command, "--worker", str(worker.number)]
        worker.ready, worker.books = False, {}
        worker.begun = worker.heard = time.monotonic()
        try:
            # A group of its own: Ctrl-C at a terminal is for us, and a worker that got it twice would not drain.
            worker.process = subprocess.Popen(  # noqa: S603 - our own command
                command, env=environment, stdin=subprocess.DEVNULL, process_group=0
            )
        except OSError as fault:  # no memory, or no more processes: perhaps later
            self._again_later(worker, "worker not started", "error", why=fault.strerror)

    def _hear(self, wait_s: float) -> None:
        """What workers have said, and say within `wait_s` s."""
        deadline = time.monotonic() + wait_s
        while not self._signals:
            told = self._listener.next(max(deadline - time.monotonic(), 0.0))
            if told is None:
                return
            pid, said = told
            worker = next((w for w in self._workers if w.process and w.process.pid == pid), None)
            if worker is not None:
                self._noted_of(worker, said)
            if not self._announced and all(w.ready for w in self._workers):
                self._announce()

    def _noted_of(self, worker: _Worker, said: dict[str, str]) -> None:
        worker.heard = time.monotonic()
        worker.ready = worker.ready or said.get("READY") == "1"
        if BOOKS in said:
            worker.books = json.loads(said[BOOKS])
        if worker.ready and worker.reload and worker.process is not None:
            worker.reload = False
            worker.process.send_signal(signal.SIGHUP)

    def _announce(self) -> None:
        self._announced = True
        self._log.event("ready", **self._about, workers=len(self._workers))
        self._above.say("READY=1", f"STATUS={len(self._workers)} workers subscribed")

    def _obey(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGHUP:
                self._above.reloading()
                for worker in self._workers:
                    worker.reload = True
                    self._noted_of(worker, {})
                self._above.say("READY=1")
            else:
                self._log.event("stopping", signal=signal.Signals(number).name)
                self._end(_INTERRUPTED if number == signal.SIGINT else 0)

    def _end(self, code: int) -> None:
        if self._ending is None:
            self._ending = code
            self._above.say("STOPPING=1")
            for worker in self._workers:
                if worker.process is not None:
                    worker.process.send_signal(signal.SIGTERM)

    def _look_after(self, worker: _Worker) -> None:
        now = time.monotonic()
        if worker.process is None:
            if self._ending is None and now >= worker.again:
                self._start(worker)
        elif (code := worker.process.poll()) is not None:
            self._ended(worker, code)
        elif now - worker.heard > (WATCHDOG_S if worker.ready else START_S):
            self._log.event("worker silent", level="error", worker=worker.number)
            worker.process.kill()

    def _ended(self, worker: _Worker, code: int) -> None:
        self._hear(0.0)  # what it said last
        worker.process = None
        if worker.books:
            self._past.append(worker.books)
            worker.books = {}
        if self._ending is not None:
            return
        if code in FINAL or (code > 0 and not self._announced):
            self._log.event("worker ended", level="error", worker=worker.number, code=code, again=False)
            self._end(code)
            return
        if code in MENDED:
            self._again_later(worker, "worker ended", "error", code=code, hint=_ITS_SHARE)
        else:
            self._again_later(worker, "worker ended", "warning", code=code)

    def _again_later(self, worker: _Worker, event: str, level: Level, **why: str | int | None) -> None:
        now = time.monotonic()
        worker.failures = 1 if now - worker.begun > STEADY_S else min(worker.failures + 1, _DOUBLED)
        longest = min(BACK_OFF_S, FIRST_BACK_OFF_S * 2 ** (worker.failures - 1))
        wait = random.uniform(0, longest)  # noqa: S311 - no secret
        worker.again = now + wait
        self._restarts += 1
        self._log.event(event, level=level, worker=worker.number, **why, again=True, wait_s=round(wait, 1))

    def _beat(self) -> None:
        if self._above.within_s and time.monotonic() - self._beaten > self._above.within_s / 3:
            self._beaten = time.monotonic()
            self._above.say("WATCHDOG=1")

    def _books(self) -> dict[str, Any]:
        """Sums over all processes there were; reasons in alphabetical order."""
        total: Counter[str] = Counter()
        reasons: dict[str, Counter[str]] = {}
        for books in (*self._past, *(worker.books for worker in self._workers)):
            for name, value in books.items():
                if isinstance(value, dict):
                    reasons.setdefault(name, Counter()).update(value)
                elif value is not None:
                    total[name] += value
        whole = dict.fromkeys(("stored", "refused", "untimed", "redelivered"), 0) | total
        return whole | {"refused": {}} | {name: dict(sorted(counted.items())) for name, counted in reasons.items()}


def main() -> int:
    """Entry point of the program that `run` becomes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--level", default="info")
    parser.add_argument("--form", default="json")
    parser.add_argument("--about", type=json.loads, default={}, help="fields of the line `ready`")
    asked = parser.parse_args()
    command = [sys.executable, "-P", "-m", "gateway.cli.start", "run", "--workers", str(asked.workers)]
    log = Log(level=asked.level, form=asked.form)
    return Supervisor(command, asked.workers, log, Notifier.of(os.environ), asked.about).run()


if __name__ == "__main__":
    sys.exit(main())
