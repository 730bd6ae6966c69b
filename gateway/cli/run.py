"""`glomska run`: one ingesting process, or several under a supervisor, from first subscription to last acknowledgement.

    SIGTERM   drain, exit 0
    SIGINT    drain, exit 130
    SIGHUP    policy, mappings and certificates anew; what is faulty is refused, and the old one stays
    twice     the second SIGTERM or SIGINT ends it at once; what was not acknowledged comes again

A thread of its own waits for them: a handler would run between two instructions of the reading thread, perhaps within a
lock that stopping needs. Holding signals back and sigwait(3) do not do: threads that libraries began would get them.

With `--workers` this process checks the configuration, and then becomes the supervisor, which needs nothing of what was
loaded for that. The supervisor starts this command again as each of its workers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Annotated, Any

import typer

from gateway.cli.failure import INTERRUPTED
from gateway.cli.options import Config
from gateway.errors import GlomskaError, UsageFault
from gateway.runtime.config import Settings, load_settings
from gateway.runtime.log import Log
from gateway.runtime.notify import BOOKS, Notifier
from gateway.runtime.reloading import reload
from gateway.runtime.roll import Seat
from gateway.runtime.sole import claim
from gateway.runtime.wiring import House, opened
from gateway.runtime.worker import Worker

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
_HEARD = _ENDING | {signal.SIGHUP}
_BEAT_S = 2.0  # how often the books go to a supervisor, at least
_HUNG_S = 60.0  # a thread that should move all the time and has not for so long will not again


def run(
    config: Config = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="So many processes that share one subscription, under one supervisor."),
    ] = None,
    worker: Annotated[int, typer.Option(hidden=True, help="Which of them this is.")] = 0,
) -> int:
    """Take readings in, seal and store them, until it is told to stop.

    Writes one line to stderr when subscribed ("ready") and one at the end ("stopped") with the books. SIGTERM drains
    and ends it, SIGHUP has it read policy and certificates again. It tells systemd that it is ready, and alive.
    """
    settings = load_settings(config)
    if worker > (workers or 0):
        raise UsageFault("--worker is what the supervisor gives to those it starts")
    if workers and not worker:
        _become_supervisor(settings, workers)
    return _serve(settings, Seat(worker, workers or 0))


def _serve(settings: Settings, seat: Seat) -> int:
    log = Log(level=settings.log.level, form=settings.log.format, worker=seat.number)
    above = Notifier.of(os.environ)
    with opened(settings) as house:
        if not seat.number:  # else the supervisor holds it
            claim(settings.state, settings.mqtt.client_id)
        worker = house.worker(log, seat)
        ears = _Ears(house, worker, log, above)
        ears.listen()
        pulse = _Pulse(worker, above)

        def ready() -> None:
            if not seat.number:  # else the supervisor says it, once for all
                log.event("ready", **_about(settings, house))
            above.say("READY=1")
            pulse.start()

        try:
            worker.run(on_ready=ready)
        except GlomskaError:
            if ears.heard is None:  # else it was stopped before it could begin
                raise
        finally:
            pulse.stop()
            if not seat.number:
                log.event("stopped", **_books(worker))
    return INTERRUPTED if ears.heard == signal.SIGINT else 0


def _become_supervisor(settings: Settings, workers: int) -> None:
    """Does not return. Raises what is wrong with the configuration: each worker would only say it again."""
    with opened(settings) as house:
        house.self_test()
        about = _about(settings, house)
        hold = claim(settings.state, settings.mqtt.client_id)
        house.accepted.hand_on()
        os.set_inheritable(hold, True)
    os.environ["GLOMSKA_CONFIG"] = str(settings.file)
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)  # until the supervisor is there to hear them
    told = ["--level", settings.log.level, "--form", settings.log.format, "--about", json.dumps(about)]
    sys.stderr.flush()
    os.execv(  # noqa: S606 - no shell
        sys.executable,
        [sys.executable, "-P", "-m", "gateway.runtime.supervisor", "--workers", str(workers), *told],
    )


def _about(settings: Settings, house: House) -> dict[str, Any]:
    return {
        "client_id": settings.mqtt.client_id,
        "subscriptions": len(house.topics.filters),
        "store": settings.store.url.partition(":")[0],
        "batch_points": settings.store.batch_points,
        "lease_s": settings.keys.lease_s,
    }


def _books(worker: Worker) -> dict[str, Any]:
    metrics = worker.metrics
    readings = {str(reason): metrics.refused_readings[reason] for reason in sorted(metrics.refused_readings)}
    spool = None if worker.spooled is None else worker.spooled.books()
    books = {**metrics.books(), "refused_readings": readings, "points": metrics.points}
    unkept = {"unkept": metrics.unkept} if metrics.unkept else {}
    return {**books, "spool": spool, "dead_letters": metrics.letters, **unkept}


class _Pulse:
    """Tells whoever supervises us that the worker's threads move, and what it has counted."""

    def __init__(self, worker: Worker, above: Notifier) -> None:
        self._worker, self._above = worker, above
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        """From now on. Nobody listens, nothing is started."""
        if self._above.within_s:
            self._thread.start()

    def stop(self) -> None:
        """And the books once more."""
        self._over.set()
        self._above.say("STOPPING=1", f"{BOOKS}={json.dumps(_books(self._worker))}")

    def _beat(self) -> None:
        while not self._over.wait(min(_BEAT_S, self._above.within_s / 3)):
            if self._worker.silent_s() < _HUNG_S:
                self._above.say("WATCHDOG=1", f"{BOOKS}={json.dumps(_books(self._worker))}")


class _Ears:
    """Signals, waited for. `heard` is the one that ended the process, if one did."""

    def __init__(self, house: House, worker: Worker, log: Log, above: Notifier) -> None:
        self.heard: signal.Signals | None = None
        self._house, self._worker, self._log, self._above = house, worker, log, above
        self._numbers, self._told = os.pipe()

    def listen(self) -> None:
        """To be called by the main thread. Source: signal.set_wakeup_fd."""
        os.set_blocking(self._told, False)
        signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
        for number in _HEARD:
            signal.signal(number, _once)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)  # what came since `start` is heard now
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def _wait(self) -> None:
        while self.heard is None:
            number = signal.Signals(os.read(self._numbers, 1)[0])
            if number is signal.SIGHUP:
                self._reload()
            else:
                self.heard = number
        self._log.event("stopping", signal=self.heard.name)
        self._worker.stop()

    def _reload(self) -> None:
        self._above.reloading()
        try:
            reload(self._house, self._worker)
        except Exception as fault:  # noqa: BLE001 - whatever it is, what was in use before goes on
            self._log.error("reload refused", fault)
        else:
            self._log.event("reload")
        self._above.say("READY=1")


def _once(number: int, _frame: object) -> None:
    """Runs in the main thread, wherever that is, so it takes no lock: the next one ends the process as usual."""
    if number in _ENDING:
        for ending in _ENDING:
            signal.signal(ending, signal.SIG_DFL)
