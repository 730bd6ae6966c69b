"""`glomska run`: one ingesting process, from its first subscription to its last acknowledgement.

    SIGTERM   drain, exit 0
    SIGINT    drain, exit 130
    SIGHUP    said to be without effect in this version; it must not end the process
    twice     the second SIGTERM or SIGINT ends it at once; what was not acknowledged comes again

A thread of its own waits for them: a handler would run between two instructions of the reading thread, perhaps within a
lock that stopping needs. Holding signals back and sigwait(3) do not do: threads that libraries began would get them.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from gateway.cli.failure import INTERRUPTED
from gateway.cli.options import Config
from gateway.errors import GlomskaError
from gateway.runtime.config import Settings, load_settings
from gateway.runtime.log import Log
from gateway.runtime.wiring import opened

if TYPE_CHECKING:
    from gateway.runtime.worker import Worker

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
_HEARD = _ENDING | {signal.SIGHUP}


def run(config: Config = None) -> int:
    """Take readings in, seal and store them, until it is told to stop.

    Writes one line to stderr when subscribed ("ready") and one at the end ("stopped") with the books.
    """
    settings = load_settings(config)
    log = Log(level=settings.log.level, form=settings.log.format)
    with opened(settings) as house:
        worker = house.worker(log)
        ears = _Ears(worker, log)
        ears.listen()
        try:
            worker.run(on_ready=lambda: log.event("ready", **_about(settings)))
        except GlomskaError:
            if ears.heard is None:  # else it was stopped before it could begin
                raise
        finally:
            metrics = worker.metrics
            readings = {str(reason): metrics.refused_readings[reason] for reason in sorted(metrics.refused_readings)}
            spool = None if worker.spooled is None else worker.spooled.books()
            books = {**metrics.books(), "refused_readings": readings, "points": metrics.points}
            log.event("stopped", **books, spool=spool, dead_letters=metrics.letters)
    return INTERRUPTED if ears.heard == signal.SIGINT else 0


def _about(settings: Settings) -> dict[str, Any]:
    return {
        "client_id": settings.mqtt.client_id,
        "subscriptions": len(settings.mqtt.topics) + len(settings.mqtt.mappings),
        "store": settings.store.url.partition(":")[0],
        "batch_points": settings.store.batch_points,
        "lease_s": settings.keys.lease_s,
    }


class _Ears:
    """Signals, waited for. `heard` is the one that ended the process, if one did."""

    def __init__(self, worker: Worker, log: Log) -> None:
        self.heard: signal.Signals | None = None
        self._worker = worker
        self._log = log
        self._numbers, self._told = os.pipe()

    def listen(self) -> None:
        """To be called by the main thread. Source: signal.set_wakeup_fd."""
        os.set_blocking(self._told, False)
        signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
        for number in _HEARD:
            signal.signal(number, _once)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def _wait(self) -> None:
        while self.heard is None:
            number = signal.Signals(os.read(self._numbers, 1)[0])
            if number is signal.SIGHUP:
                self._log.event("reload", level="warning", message="not in this version: restart to reload")
            else:
                self.heard = number
        self._log.event("stopping", signal=self.heard.name)
        self._worker.stop()


def _once(number: int, _frame: object) -> None:
    """Runs in the main thread, wherever that is, so it takes no lock: the next one ends the process as usual."""
    if number in _ENDING:
        for ending in _ENDING:
            signal.signal(ending, signal.SIG_DFL)
