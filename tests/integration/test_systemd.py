"""What systemd is told by the real `run`, alone and with workers: ready, alive, reloading, ending, by its own process.

tests/unit/runtime/test_supervisor.py has what a supervisor makes of workers that hang, fail or say nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.runtime.config import resource
from gateway.runtime.notify import SOCKET, WATCHDOG, Listener
from tests.commands import Gateway, Running, Stack, await_, deliver, stack
from tests.integration.test_bad_input import enrolled, good

WITHIN_S = 4  # within which systemd wants to hear something; half of it is what a service aims at


class Systemd:
    """Hears everything, as systemd does: (process, what it said) in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, dict[str, str]]] = []
        self._listener, self._over = Listener(), threading.Event()
        self.address = self._listener.address
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def count(self, name: str) -> int:
        return sum(name in said for _process, said in list(self.heard))

    def names(self) -> list[str]:
        """What was said besides that it is alive."""
        return [
            name for _process, said in list(self.heard) for name in said if name in {"READY", "RELOADING", "STOPPING"}
        ]

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()

    def _listen(self) -> None:
        while not self._over.is_set():
            if (said := self._listener.next(0.2)) is not None:
                self.heard.append(said)


@pytest.fixture(scope="module")
def on() -> Iterator[Stack]:
    with stack("servers") as started:
        yield started


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    listening = Systemd()
    yield listening
    listening.close()


def goes_on(systemd: Systemd) -> None:
    """It says that it is alive, some times more."""
    before = systemd.count("WATCHDOG")
    await_(lambda: systemd.count("WATCHDOG") >= before + 2, lambda: "it is taken for hung")


def reloads(running: Running, systemd: Systemd, event: str) -> None:
    """SIGHUP; it says that it reloads, what came of that, and that it is ready again."""
    before = len(systemd.names())
    os.kill(running.pid, signal.SIGHUP)
    running.await_event(event)
    await_(lambda: systemd.names()[before:] == ["RELOADING", "READY"], lambda: str(systemd.names()))


def workers_of(running: Running) -> list[int]:
    return [int(word) for word in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()]


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["alone", "two workers"])
def test_systemd_hears_that_it_is_ready_alive_reloading_and_ending(
    on: Stack, tmp_path: Path, systemd: Systemd, arguments: tuple[str, ...]
) -> None:
    policy = tmp_path / "policy.toml"
    shutil.copy(resource("policy.toml"), policy)
    gateway = enrolled(Gateway(tmp_path, on, policy=str(policy)))
    gateway.environment |= {SOCKET: systemd.address, WATCHDOG: str(WITHIN_S * 1_000_000)}
    with gateway.run(*arguments) as running:
        await_(lambda: systemd.names() == ["READY"], lambda: str(systemd.names()))
        goes_on(systemd)
        reloads(running, systemd, "reload")
        policy.write_text(policy.read_text().replace('unit = "W"', 'unit = "horse"'))
        reloads(running, systemd, "reload refused")
        policy.write_text(resource("policy.toml").read_text())
        if arguments:
            os.kill(workers_of(running)[0], signal.SIGKILL)
            running.await_event("worker ended")
        deliver(on, *map(good, range(40)))
        gateway.await_points(40)
        goes_on(systemd)
        assert systemd.names() == ["READY", "RELOADING", "READY", "RELOADING", "READY"], "a worker is not the service"
        running.stop()
    assert systemd.names()[5:] == ["STOPPING"]
    assert {process for process, _said in systemd.heard} == {running.pid}
    assert all(said.get("MONOTONIC_USEC", "").isdigit() for _process, said in systemd.heard if "RELOADING" in said)
