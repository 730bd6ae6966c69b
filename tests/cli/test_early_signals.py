"""Signals before `run` listens: SIGTERM ends it as later, and SIGHUP does not end it but reloads."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.commands import Gateway, Running, await_, stack

ENROLMENT = "controller,customer,device,postal_code,valid_from\nheat-co,anna,meter-1,11122,2000-01-01\n"


def opened(fifo: Path, running: Running) -> int:
    """The writing end, once the gateway has come as far as reading the other one."""
    found: list[int] = []

    def attempt() -> bool:
        try:
            found.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            assert running.alive, running.text
        return bool(found)

    await_(attempt, lambda: "nobody reads the configuration")
    return found[0]


def asked_to_end(running: Running) -> bool:
    """Whether it still runs. Asked again: one that comes just before a read that blocks is heard when that returns."""
    if running.alive:
        os.kill(running.pid, signal.SIGTERM)
    return running.alive


@pytest.mark.parametrize("workers", [(), ("--workers", "1")], ids=["alone", "workers"])
def test_sigterm_while_it_starts_ends_it_with_0_and_sighup_does_not(tmp_path: Path, workers: tuple[str, ...]) -> None:
    with stack("embedded") as servers:
        gateway = Gateway(tmp_path, servers)
        gateway.config.unlink()
        os.mkfifo(gateway.config)
        with Running(gateway, *workers) as running:
            end = opened(gateway.config, running)
            os.kill(running.pid, signal.SIGHUP)
            await_(lambda: not asked_to_end(running), lambda: "it does not end")
            assert running.wait() == 0, running.text
            os.close(end)


def test_a_reload_that_is_asked_for_while_it_starts_comes_once_it_listens(tmp_path: Path) -> None:
    with stack("embedded") as servers:
        gateway = Gateway(tmp_path, servers)
        gateway.enrol(ENROLMENT)
        text = gateway.config.read_bytes()
        gateway.config.unlink()
        os.mkfifo(gateway.config)
        with Running(gateway) as running:
            end = opened(gateway.config, running)
            os.kill(running.pid, signal.SIGHUP)
            gateway.config.unlink()
            gateway.config.write_bytes(text)  # for the reload
            os.write(end, text)
            os.close(end)
            running.await_event("ready")
            running.await_event("reload")
            running.stop()
