"""Workers whose supervisor was killed drain by themselves, and who starts the gateway again need not know of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.commands import Gateway, await_, deliver, stack
from tests.fronts import StoreFront
from tests.integration.test_bad_input import enrolled, good


def test_a_start_right_behind_a_killed_supervisor_waits_for_its_workers(tmp_path: Path) -> None:
    """Their store is silent, so that they take as long as a request may."""
    with stack("servers") as on:
        assert on.influxdb is not None
        with StoreFront(on.influxdb.port) as front:
            gateway = enrolled(Gateway(tmp_path, on, store_url=front.url))
            with gateway.run("--workers", "2") as running:
                deliver(on, *map(good, range(50)))
                gateway.await_points(50)
                front.silent.set()
                deliver(on, *map(good, range(50, 1050)))
                running.await_event("spooling")
                await_(lambda: front.asked >= 3, lambda: "the spool is not drained")  # which may take ten seconds
                os.kill(running.pid, signal.SIGKILL)
                with gateway.run("--workers", "2") as again:
                    assert {event["code"] for event in again.events("waiting: starting")} <= {
                        "spool_held"
                    }  # none: it came late
                    front.silent.clear()
                    gateway.await_points(1050)
                    assert again.events("worker ended") == []
                    again.stop()
