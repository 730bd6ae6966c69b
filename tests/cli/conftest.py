"""A gateway that has taken readings in, made once by the real commands; every test works on a copy of its directory."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.runtime.config import resource
from gateway.transport.broker import EmbeddedBroker, free_port

PROGRAMS = Path(sys.executable).parent
PATIENCE_S = 120.0
YESTERDAY = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
_FLEET = """\
controller,customer,device,postal_code,valid_from,purposes
demo,anna,meter-1,111 22,2000-01-01,
demo,bo,meter-2,211 20,2000-01-01,marketing
"""
_MESSAGES = (
    ("meter-3", {"time": f"{YESTERDAY}T12:00:00Z", "energy": 1}),
    ("meter-1", {"time": f"{YESTERDAY}T12:00:00Z", "temperature": 21.5, "power": 1250}),
    ("meter-1", {"time": f"{YESTERDAY}T12:15:00.25Z", "temperature": 21.123}),
    ("meter-1", {"time": f"{YESTERDAY}T12:15:00.25Z", "temperature": 21.0, "rev": 1}),
    ("meter-2", {"time": f"{YESTERDAY}T12:00:00Z", "energy": 12345.678}),
)


@dataclass
class Home:
    """A directory with a configuration and a state, and the environment in which commands see them."""

    directory: Path
    environment: dict[str, str] = field(repr=False)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def popen(self, *arguments: str, **how: object) -> subprocess.Popen[str]:
        """`glomska`, started."""
        settled = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
        command = [str(PROGRAMS / "glomska"), *arguments]
        process = subprocess.Popen(command, cwd=self.directory, env=self.environment, text=True, **settled)  # type: ignore[call-overload]
        self.started.append(process)
        return process  # type: ignore[no-any-return]

    def shell(self, line: str) -> tuple[str, int]:
        """What a line says, stdout and stderr together, and its exit code."""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
            encoding="utf-8",
        )
        return done.stdout, done.returncode

    def close(self) -> None:
        """Let go of what was started, and end what has not ended."""
        for process in self.started:
            with process:  # closes its pipes
                process.kill()


@dataclass
class Running:
    """`glomska run`, until `stop`."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def await_event(self, name: str) -> dict[str, object]:
        """Read on until this event comes."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("{") and json.loads(line)["event"] == name:
                return dict(json.loads(line))
        raise AssertionError(f"it ended without {name!r}: {''.join(self.lines)}")

    def end(self, number: signal.Signals) -> tuple[int, dict[str, object]]:
        """Exit code and books after this signal."""
        self.process.send_signal(number)
        books = self.await_event("stopped")
        assert self.process.stderr is not None
        self.lines += self.process.stderr  # what stopped it stands behind its books
        return self.process.wait(PATIENCE_S), books


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


def _home(directory: Path, broker: EmbeddedBroker) -> Home:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLOMSKA_")}
    environment |= {
        "PATH": f"{PROGRAMS}:{environment['PATH']}",
        "GLOMSKA_CONFIG": "gateway.toml",
        "GLOMSKA_MQTT__URL": broker.url,
        "NOBODY": f"127.0.0.1:{free_port()}",
        "YESTERDAY": str(YESTERDAY),
    }
    return Home(directory, environment)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, broker: EmbeddedBroker) -> Path:
    """A directory in which two customers are enrolled and their readings stored."""
    directory = tmp_path_factory.mktemp("prepared")
    shutil.copy(resource("policy.toml"), directory)
    (directory / "gateway.toml").write_text('state = "state"\n')
    (directory / "fleet.csv").write_text(_FLEET)
    home = _home(directory, broker)
    assert home.shell("glomska enrol --csv fleet.csv") == ("2 enrolled, 0 already there, 0 refused\n", 0)
    running = Running(home.popen("run"))
    running.await_event("ready")
    _publish(broker.port)
    _await_points(directory / "state" / "readings.db", 4)
    code, books = running.end(signal.SIGTERM)
    assert (code, books["stored"], books["refused"]) == (0, 4, {"unknown_device": 1})
    home.close()
    return directory


def _publish(port: int) -> None:
    """All messages, one by one, each acknowledged by the broker."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert connected.wait(PATIENCE_S)
    for device, payload in _MESSAGES:
        client.publish(f"glomska/demo/{device}/readings", json.dumps(payload), qos=1).wait_for_publish(PATIENCE_S)
    client.disconnect()
    client.loop_stop()


def _await_points(file: Path, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    with contextlib.closing(sqlite3.connect(file)) as store:
        while (found := store.execute("SELECT count(*) FROM point").fetchone()[0]) < count:
            assert time.monotonic() < deadline, f"{found} of {count} points are stored"
            time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path, prepared: Path, broker: EmbeddedBroker) -> Iterator[Home]:
    """A copy of what was prepared."""
    directory = tmp_path / "home"
    shutil.copytree(prepared, directory)
    made = _home(directory, broker)
    yield made
    made.close()
