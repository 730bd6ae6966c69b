"""The real commands, as their users start them: processes with configuration, state and environment of their own.

    with stack("servers") as servers:
        gateway = Gateway(tmp_path, servers)
        gateway.enrol(CSV)
        with gateway.run() as running:
            fleet("simulate", "--url", servers.broker.url)
            gateway.await_points(96)
            books = running.stop()

What a command prints is kept in `Gateway.said`, for whoever looks for what must not stand there; what `read` prints on
stdout is the one thing that is not, since to show readings is what it is for.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.servers import EmbeddedBroker, InfluxDB1, Mosquitto
from firmware_sim.connection import Broker
from firmware_sim.fleet import Message
from firmware_sim.publish import publish
from gateway.runtime.config import resource

PATIENCE_S = 120.0
STACKS = ("embedded", "servers")
_PROGRAMS = Path(sys.executable).parent
_CONFIGURATION = """\
state = "state"
policy = {policy}
[mqtt]
url = "{broker}"
client_id = "glomska-test"
[store]
url = "{store}"
"""


@dataclass
class Stack:
    """A broker and where the gateway's store is; `influxdb` where that is a server."""

    broker: EmbeddedBroker | Mosquitto
    store_url: str
    influxdb: InfluxDB1 | None = None

    def points(self, state: Path) -> int:
        """Distinct points that are stored: asked of the store itself."""
        if self.influxdb is None:
            return _sqlite_points(state / "readings.db")
        answer = json.loads(self.influxdb.query("SELECT COUNT(*) FROM telemetry", "glomska"))
        rows = [row for series in answer["results"][0].get("series", []) for row in series["values"]]
        return sum(count or 0 for row in rows for count in row[1:])

    def folders(self, state: Path) -> list[Path]:
        """Where the store keeps its files."""
        return [state] if self.influxdb is None else [self.influxdb.directory / part for part in ("data", "wal")]


@contextlib.contextmanager
def stack(name: str) -> Iterator[Stack]:
    """`embedded`: rumqttd and SQLite, as in the demo; `servers`: Mosquitto and InfluxDB 1.6."""
    if name == "embedded":
        with EmbeddedBroker() as broker:
            yield Stack(broker, "sqlite:///readings.db")
    else:
        with Mosquitto() as mosquitto, InfluxDB1(database="glomska") as influxdb:
            yield Stack(mosquitto, influxdb.url, influxdb)


class Gateway:
    """One gateway: `directory` holds its configuration and its state."""

    def __init__(
        self,
        directory: Path,
        on: Stack,
        *,
        broker_url: str = "",
        store_url: str = "",
        within: Sequence[str] = (),
        **settings: str | float,
    ) -> None:
        """`settings` are keys as in the environment, `store__timeout_s=1`; URLs are the stack's unless given.

        `within` stands before every command: it says where to run it.
        """
        self.state = directory / "state"
        self.within = tuple(within)
        self.said: list[str] = []
        self._on = on
        self._directory = directory
        written = _CONFIGURATION.format(
            policy=json.dumps(str(resource("policy.toml"))),
            broker=broker_url or on.broker.url,
            store=store_url or on.store_url,
        )
        self.config = directory / "gateway.toml"
        self.config.write_text(written, encoding="utf-8")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("GLOMSKA_")}
        self.environment |= {f"GLOMSKA_{key.upper()}": str(value) for key, value in settings.items()}
        self.environment["GLOMSKA_CONFIG"] = str(self.config)

    def call(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Stdout of a command that must end with `code`."""
        done = subprocess.run(
            [*self.within, _PROGRAMS / "glomska", *arguments],
            input=stdin,
            env=self.environment,
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        self.said += [done.stderr] if arguments[0] == "read" else [done.stdout, done.stderr]
        assert done.returncode == code, f"{arguments[0]} ended with {done.returncode}: {done.stderr or done.stdout}"
        return done.stdout

    def refused(self, *arguments: str, code: int, stdin: str = "") -> str:
        """Stderr of a command that must fail with `code`."""
        self.call(*arguments, stdin=stdin, code=code)
        return self.said[-1]

    def enrol(self, enrolment: str) -> None:
        """All lines of an enrolment file, none of which may be refused."""
        result = json.loads(self.call("enrol", "--csv", "-", "--json", stdin=enrolment))
        assert (result["enrolled"], result["refused"]) == (len(enrolment.splitlines()) - 1, [])

    def read(self, subject: str) -> list[dict[str, str]]:
        """What `glomska read` shows of `controller/customer` in CSV: everything from about two years ago until now."""
        options = ("--purpose", "provision", "--from", "-730d", "--to", "now", "--format", "csv")
        return list(csv.DictReader(io.StringIO(self.call("read", "-", *options, stdin=subject))))

    def run(self, *arguments: str) -> Running:
        """`glomska run`, ready."""
        running = Running(self, *arguments)
        try:
            running.await_event("ready")
        except BaseException:
            running.kill()
            raise
        return running

    def points(self) -> int:
        """Distinct points in the store."""
        return self._on.points(self.state)

    def await_points(self, count: int) -> None:
        """Wait until the store holds `count` points, and fail when it holds more."""
        await_(lambda: self.points() >= count, lambda: f"{count} points were to be stored, {self.points()} are")
        assert self.points() == count


class Running:
    """A `glomska run` process. A context manager, at whose end it is killed unless it ended before."""

    def __init__(self, gateway: Gateway, *arguments: str) -> None:
        self._lines: list[str] = []
        self._gateway = gateway
        self._process = subprocess.Popen(
            [*gateway.within, _PROGRAMS / "glomska", "run", *arguments],
            env=gateway.environment,
            cwd=gateway.config.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [
            threading.Thread(target=self._listen, args=(stream,), daemon=True)
            for stream in (self._process.stdout, self._process.stderr)
            if stream is not None
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What it has logged so far, or all events of one name."""
        logged = [json.loads(line) for line in list(self._lines) if line.startswith("{")]
        return [event for event in logged if name in {"", event["event"]}]

    def await_event(self, name: str, **fields: object) -> dict[str, Any]:
        """The first event of this name and with these fields, as soon as it is there."""

        def find() -> dict[str, Any] | None:
            return next((e for e in self.events(name) if all(e.get(k) == v for k, v in fields.items())), None)

        await_(
            lambda: find() is not None or not self._hears(),
            lambda: f"no event {name!r} with {fields}; it said:\n{self.text}",
        )
        found = find()
        assert found is not None, f"it ended without an event {name!r} with {fields}; it said:\n{self.text}"
        return found

    @property
    def text(self) -> str:
        """Everything it has printed."""
        return "".join(list(self._lines))

    def stop(self) -> dict[str, Any]:
        """SIGTERM; the books that it prints when it has drained."""
        self._process.send_signal(signal.SIGTERM)
        assert self.wait() == 0, self.text
        (books,) = self.events("stopped")
        return books

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Its exit code."""
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end; it said:\n{self.text}") from None
        for thread in self._threads:
            thread.join(PATIENCE_S)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _hears(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _listen(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.append(line)
                self._gateway.said.append(line)


def await_(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Wait for a condition; fail with what `otherwise` says when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)


def fleet(*arguments: str | Path) -> dict[str, Any]:
    """The summary of a `firmware-sim` command that must succeed."""
    with fleet_process(*arguments) as process:
        return summary(process)


def fleet_process(*arguments: str | Path) -> subprocess.Popen[str]:
    """A `firmware-sim` command on its way."""
    return subprocess.Popen(
        [_PROGRAMS / "firmware-sim", *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def summary(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Its JSON object, once it has ended well."""
    said, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said + errors
    found: dict[str, Any] = json.loads(said)
    return found


def deliver(on: Stack, *messages: Message) -> None:
    """Return when the broker has acknowledged all of them."""
    tally = publish(messages, Broker.at(on.broker.url), client_id="device")
    assert tally.deliveries == len(messages)


def flat(topic: str, time_ms: int, **readings: float) -> Message:
    """One flat JSON message."""
    return Message(topic=topic, payload=json.dumps({"time": time_ms, **readings}).encode(), time=time_ms)


def _sqlite_points(path: Path) -> int:
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_S)) as database:
        if not database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'point'").fetchone()[0]:
            return 0
        return int(database.execute("SELECT count(*) FROM point").fetchone()[0])
