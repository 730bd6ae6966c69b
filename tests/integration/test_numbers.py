"""A policy that seals nothing, into VictoriaMetrics: stored once, killed in the middle or not, and read back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.servers import Mosquitto, VictoriaMetrics, http
from firmware_sim.connection import Broker
from firmware_sim.fleet import Kind
from firmware_sim.publish import publish
from gateway.runtime.config import resource
from tests.commands import Gateway, Stack, await_
from tests.integration.test_fleet import (
    await_everything,
    enrolment,
    entry,
    interrupted,
    nothing_waits,
    reads_back,
    small_fleet,
)

ALL = "/api/v1/export?match%5B%5D=%7Bmeasurement%3D%22telemetry%22%7D&start=0&end=9999999999"


@dataclass
class Numbers(Stack):
    """Mosquitto and VictoriaMetrics."""

    server: VictoriaMetrics | None = None

    def points(self, state: Path) -> int:
        """Distinct points, by series and time; a sample that is there twice counts as wrong."""
        assert self.server is not None
        series = [json.loads(line) for line in http(self.server.url + ALL).splitlines()]
        for one in series:
            assert len(set(one["timestamps"])) == len(one["timestamps"])
        return len({(one["metric"]["series"], time) for one in series for time in one["timestamps"]})


@pytest.fixture
def on() -> Iterator[Numbers]:
    with Mosquitto() as broker, VictoriaMetrics() as server:
        yield Numbers(broker, f"victoriametrics+{server.url}", server=server)


def test_gateway_and_store_killed_in_the_middle_nothing_is_lost_or_doubled(on: Numbers, tmp_path: Path) -> None:
    homes, stream = small_fleet()
    policy = tmp_path / "clear.toml"
    policy.write_text(resource("policy.toml").read_text().replace('mode = "sealed"', 'mode = "clear"'))
    gateway = Gateway(tmp_path, on, policy=str(policy), store__batch_points=200)
    gateway.enrol(enrolment(homes))
    with contextlib.ExitStack() as lives:
        running = lives.enter_context(gateway.run())

        def kill() -> None:
            await_(lambda: gateway.points() > 0, lambda: "nothing is stored")
            running.kill()

        def begin() -> None:
            nonlocal running
            running = lives.enter_context(gateway.run())

        def kill_store() -> None:
            assert on.server is not None
            on.server.kill()
            on.server.start()

        acts = {0.3: [kill, begin], 0.5: [kill_store], 0.7: [kill_store, kill, begin], 0.9: [kill_store]}
        tally = publish(interrupted(stream, acts), Broker.at(on.broker.url))
        await_everything(gateway, on, tally.kinds[Kind.VALID])
        running.stop()
    reads_back(gateway, [(home.controller, home.customer, home.device) for home in homes], [entry(m) for m in stream])
    nothing_waits(gateway, on)


def test_a_policy_that_seals_does_not_start(on: Numbers, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, on)
    assert "holds numbers only" in gateway.refused("run", code=3)
    assert gateway.points() == 0
