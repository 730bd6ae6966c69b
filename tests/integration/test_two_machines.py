"""Two gateways on two machines, with one broker and one PostgreSQL; then one of them cannot reach its keys any more."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.runtime.config import resource
from tests.netns import Net, missing
from tests.postgres import PASSWORD, Postgres

LEASE_S = 2
PATIENCE_S = 120.0
ROOT = Path(__file__).parents[2]
HOMES = """\
controller,customer,device,postal_code,valid_from
heat-co,anna,meter-1,111 22,2026-01-01
heat-co,bo,meter-2,211 22,2026-01-01
"""
CONFIGURATION = """\
state = "{state}"
policy = {policy}
[mqtt]
url = "mqtt://{broker}:1883"
allow_plaintext = true
client_id = "glomska-{name}"
[keys]
url = "postgresql://glomska@{keys}:{port}/{database}"
password_file = "{password}"
allow_plaintext = true
custodian = "file:{custodian}"
lease_s = {lease}
poll_ms = 100
[ledger]
elsewhere = {elsewhere}
[store]
batch_ms = 10
"""
PUBLISH = """
import json, sys, time
import paho.mqtt.publish as mqtt
messages = [
    {"topic": f"glomska/heat-co/{device}/readings", "qos": 1,
     "payload": json.dumps({"time": int(sys.argv[1]) + n, "temperature": 20.5})}
    for n in range(int(sys.argv[2])) for device in ("meter-1", "meter-2")
]
mqtt.multiple(messages, hostname="127.0.0.1")
"""


class Machine:
    """One gateway on one machine."""

    def __init__(self, net: Net, name: str, directory: Path, url: str, *, elsewhere: bool) -> None:
        self._net, self.name = net, name
        self.directory = directory / name
        self.state = self.directory / "state"
        self.state.mkdir(parents=True)
        self.config = self.directory / "gateway.toml"
        port, database = url.rpartition(":")[2].split("/")
        password = directory / "keys.password"
        password.write_text(PASSWORD)
        password.chmod(0o600)
        self.config.write_text(
            CONFIGURATION.format(
                state=self.state,
                policy=json.dumps(str(resource("policy.toml"))),
                broker=net.address(name, "broker"),
                name=name,
                keys=net.address(name, "keys"),
                port=port,
                database=database,
                password=password,
                custodian=directory / "kek",
                lease=LEASE_S,
                elsewhere=str(elsewhere).lower(),
            )
        )

    def command(self, *words: str) -> list[str]:
        return self._net.command(
            self.name, str(Path(sys.executable).with_name("glomska")), *words, "--config", str(self.config)
        )

    def call(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), input=stdin, text=True, capture_output=True, check=False, cwd=self.directory
        )

    def start(self) -> None:
        with (self.directory / "log").open("w") as log:
            self.process = subprocess.Popen(self.command("run"), stderr=log, cwd=self.directory)
        self.said("ready")

    def events(self) -> list[dict[str, Any]]:
        lines = (self.directory / "log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, event: str) -> None:
        """Wait until the log has such a line."""
        until(lambda: any(each["event"] == event for each in self.events()), self.said_last)

    def said_last(self) -> str:
        return (self.directory / "log").read_text()[-2000:]

    def stored(self) -> dict[str, int]:
        """Points by area, which tells the two homes apart."""
        if not (self.state / "readings.db").exists():
            return {}
        with sqlite3.connect(self.state / "readings.db") as db:
            query = "SELECT area, count(*) FROM point JOIN series ON series.id = point.series GROUP BY area"
            return dict(db.execute(query).fetchall())

    def stop(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0
        return self.events()[-1]


def until(holds: Callable[[], bool], told: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


@pytest.fixture
def net() -> Iterator[Net]:
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: two machines are network namespaces, which only root can make")
    if why := missing():
        pytest.skip(f"NOT RUN: two machines are network namespaces, which cannot be made here: {why}")
    with Net({"one": ["keys", "broker"], "two": ["keys", "broker"]}) as made:
        yield made


@pytest.fixture
def server(net: Net) -> Iterator[Postgres]:
    with Postgres(settings=("listen_addresses=*",), inside=net.command("hub")) as made:
        yield made


@pytest.fixture
def broker(net: Net, tmp_path: Path) -> Iterator[None]:
    config = tmp_path / "mosquitto.conf"
    config.write_text("listener 1883 0.0.0.0\nallow_anonymous true\nmax_queued_messages 0\nuser root\n")
    process = subprocess.Popen(net.command("hub", "mosquitto", "-c", str(config)), stderr=subprocess.DEVNULL)
    yield
    process.terminate()
    process.wait(PATIENCE_S)


def publish(net: Net, first: int, count: int) -> None:
    command = net.command("hub", sys.executable, "-c", PUBLISH, str(first), str(count))
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


def test_one_cut_off_from_its_keys_emits_nothing_and_the_other_goes_on(
    net: Net, server: Postgres, broker: None, tmp_path: Path
) -> None:
    url = server.database()
    one = Machine(net, "one", tmp_path, url, elsewhere=False)
    two = Machine(net, "two", tmp_path, url, elsewhere=True)
    (tmp_path / "homes.csv").write_text(HOMES)
    enrolled = one.call("enrol", "--csv", str(tmp_path / "homes.csv"), "--json")
    assert json.loads(enrolled.stdout)["enrolled"] == 2, enrolled.stderr
    assert two.call("enrol", "--csv", str(tmp_path / "homes.csv")).returncode == 5, "the ledger is elsewhere"
    try:
        one.start()
        two.start()
        now = time.time_ns() // 1_000_000
        publish(net, now, 3)
        until(lambda: one.stored() == two.stored() == {"SE3": 3, "SE4": 3})

        net.cut("two", "keys")
        two.said("waiting: key store")  # found out after 10 s of silence, when its lease has long been over
        publish(net, now + 100, 4)
        until(lambda: one.stored() == {"SE3": 7, "SE4": 7}, one.said_last)
        assert two.stored() == {"SE3": 3, "SE4": 3}, "without a lease nothing is emitted"

        erased = one.call("erase", "-", "--yes", "--json", stdin="heat-co/anna")
        assert json.loads(erased.stdout)["state"] == "effective", erased.stderr
        publish(net, now + 200, 2)
        until(lambda: one.stored().get("SE4") == 9, one.said_last)
        assert two.stored() == {"SE3": 3, "SE4": 3}

        net.mend("two", "keys")
        until(lambda: two.stored().get("SE4") == 9, two.said_last)
        assert two.stored()["SE3"] == 3, "the erasure has reached what waited for it"
        books = two.stop()
        assert books["refused"]["erased"] == 6
        assert one.stop()["refused"]["erased"] == 2
    finally:
        for machine in (one, two):
            if hasattr(machine, "process") and machine.process.poll() is None:
                machine.process.kill()
                machine.process.wait()
