"""What is stored is never read as another number, however a policy that would comes to be used.

Through the real commands: a reload refuses it, and so do a plain start, whoever reads, imports or checks. A worker that
is killed meanwhile goes on with what its fellows have, and the policy's owner has a way out: another schema number.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.runtime.config import resource
from tests.commands import Gateway, Running, Stack, await_, deliver, flat, stack
from tests.integration.test_bad_input import enrolled

SHIPPED = resource("policy.toml").read_text(encoding="utf-8")
COARSER = SHIPPED.replace("decimals = 2", "decimals = 1", 1)
FAULTY = SHIPPED + "\nnonsense = 1\n"
BEGIN = int(time.time() * 1000) - 3_600_000
HISTORY = '[file]\ntime = "time"\ndevice = "device"\n'


@pytest.fixture(scope="module")
def on() -> Iterator[Stack]:
    with stack("servers") as servers:
        yield servers


def send(on: Stack, first: int, last: int) -> None:
    topic = "glomska/heat-co/meter-1/readings"
    deliver(on, *(flat(topic, BEGIN + 1000 * n, temperature=21.57) for n in range(first, last)))


def kill_worker(running: Running, number: int) -> None:
    """One worker, and wait until its place is taken again."""
    before = len(running.events("worker ended"))
    for task in Path(f"/proc/{running.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if f"--worker\0{number}\0".encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
    await_(lambda: len(running.events("worker ended")) > before, lambda: "it is not missed")


def values(gateway: Gateway) -> Counter[str]:
    return Counter(row["value"] for row in gateway.read("heat-co/anna"))


def test_a_policy_that_would_misread_is_refused_by_all_and_stops_nobody(on: Stack, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(SHIPPED)
    gateway = enrolled(Gateway(tmp_path, on, policy=str(policy)))
    with gateway.run("--workers", "2") as running:
        send(on, 0, 40)
        gateway.await_points(40)
        for changed in (COARSER, FAULTY):
            before = len(running.events("reload refused"))
            policy.write_text(changed)
            os.kill(running.pid, signal.SIGHUP)
            await_(lambda: len(running.events("reload refused")) == before + 2, lambda: "it is taken")  # noqa: B023
            kill_worker(running, 1)
            kill_worker(running, 2)
        send(on, 40, 1040)
        gateway.await_points(1040)  # also the shares of those that were killed
        assert {event["code"] for event in running.events("worker ended")} == {-signal.SIGKILL}
        running.stop()
    policy.write_text(SHIPPED)
    assert values(gateway) == {"21.57": 1040}
    policy.write_text(COARSER)
    for words in (["run"], ["run", "--workers", "2"], ["policy", "check"]):
        said = gateway.refused(*words, code=3)
        assert "quantity.temperature.decimals: found 1; allowed under this schema: 2" in said
        assert "give the policy a new schema number, or put these back" in said
    reading = ("read", "-", "--purpose", "provision", "--from", "-1d", "--to", "now")
    assert "allowed under this schema: 2" in gateway.refused(*reading, stdin="heat-co/anna", code=3)
    csv, mapping = tmp_path / "old.csv", tmp_path / "history.toml"
    csv.write_text("time,device\n")
    mapping.write_text(HISTORY)
    importing = ("import", "--mapping", str(mapping), "--csv", str(csv))
    assert "allowed under this schema: 2" in gateway.refused(*importing, code=3)
    policy.write_text(COARSER.replace("schema = 1", "schema = 2", 1))
    with gateway.run() as running:
        send(on, 2000, 2010)
        gateway.await_points(1050)
        running.stop()
    policy.write_text(SHIPPED)
    assert "valid, schema 1" in gateway.call("policy", "check")
