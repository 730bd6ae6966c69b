"""What is compared: for each pipeline, its store, what has to be there before it starts, and its command.

A name on the command line is `pipeline` or `pipeline:store`; the first store of a pipeline is its default.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from benchmarks import messages
from benchmarks.foreign import NodeRed, Telegraf, Vector
from benchmarks.places import Place, Start
from benchmarks.program import ProgramFault
from benchmarks.stores import FreeSide, InfluxSide, SqliteSide, StoreSide, VictoriaSide

ENROL_SECONDS = 900
ENROLLED_BEFORE = dt.timedelta(days=2)
_GLOMSKA = str(Path(sys.executable).with_name("glomska"))


class Contender(Protocol):
    """One row of the result."""

    pipeline: str
    store: str

    def missing(self) -> str:
        """How to get what it needs and this machine lacks; nothing when all is there."""

    def open_store(self, state: Path) -> StoreSide | None:
        """A fresh store, not started; None when the pipeline stores nothing."""

    def prepare(self, place: Place) -> None:
        """Once in each fresh state directory, before the first start."""

    def start(self, place: Place) -> Start:
        """How its process is started."""


class Glomska:
    """The real command, on a key store and a custodian of its own."""

    def __init__(self, store: str, *, workers: int = 1, limited: bool = True) -> None:
        """`influxdb`, `free` or `sqlite`; more than one worker shares the subscription.

        `limited` as it is shipped; otherwise one device may send as fast as it can.
        """
        self._limited = limited
        self.pipeline = "glomska" if workers == 1 else f"glomska, {workers} workers"
        self.store = store
        self._workers = workers

    def missing(self) -> str:
        """Only what a gateway without workers lacks."""
        if self._workers == 1:
            return ""
        told = subprocess.run([_GLOMSKA, "run", "--help"], capture_output=True, text=True, check=False).stdout
        return "" if "--workers" in told else "this gateway runs no workers"

    def open_store(self, state: Path) -> StoreSide | None:
        """A server, or a file for `sqlite`."""
        if self.store == "sqlite":
            return SqliteSide(state)
        return FreeSide() if self.store == "free" else InfluxSide()

    def prepare(self, place: Place) -> None:
        """Enrol every device. Raises ProgramFault."""
        self.enrol(place, messages.DEVICES)

    def enrol(self, place: Place, devices: int, since: dt.timedelta = ENROLLED_BEFORE) -> None:
        """Enrol so many, each a customer of its own, from so long ago on. Raises ProgramFault."""
        table = place.state / "enrolment.csv"
        begin = dt.datetime.now(dt.UTC) - since
        messages.write_enrolment(table, begin.strftime("%Y-%m-%dT%H:%M:%SZ"), devices)
        done = self.command(place, "enrol", "--csv", str(table), "--json")
        if done["enrolled"] != devices:
            raise ProgramFault(f"glomska enrol took {done['enrolled']} of {devices} devices")

    def command(self, place: Place, *words: str, said: str = "") -> Any:  # noqa: ANN401 - as it answers
        """What another command on the same state answers with `--json`. Raises ProgramFault."""
        done = subprocess.run(
            [_GLOMSKA, *words],
            env={**os.environ, **self.start(place).environment},
            input=said,
            capture_output=True,
            text=True,
            timeout=ENROL_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ProgramFault(
                f"glomska {words[0]} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
            )
        return json.loads(done.stdout)

    def start(self, place: Place) -> Start:
        """`glomska run`, configured by the environment on top of the shipped configuration."""
        configuration = Path(__file__).parent.parent / "config" / "gateway.toml"
        environment = {
            "GLOMSKA_CONFIG": str(configuration),
            "GLOMSKA_STATE": str(place.state),
            "GLOMSKA_MQTT__URL": f"mqtt://127.0.0.1:{place.broker_port}",
            "GLOMSKA_STORE__URL": place.store_url,
            **({} if self._limited else {"GLOMSKA_LIMITS__DEVICE_RATE": "0"}),
        }
        many = ["--workers", str(self._workers)] if self._workers > 1 else []
        return Start([_GLOMSKA, "run", *many], environment)


class _Peer:
    """A program of `benchmarks.peers`."""

    def missing(self) -> str:
        """Nothing."""
        return ""

    def prepare(self, place: Place) -> None:
        """Nothing to do."""


class Plain(_Peer):
    """See `benchmarks.peers.plain`."""

    pipeline, store = "plain", "victoriametrics"

    def open_store(self, state: Path) -> StoreSide | None:  # noqa: ARG002 - it keeps no state
        """A server."""
        return VictoriaSide()

    def start(self, place: Place) -> Start:
        """Broker and store by option."""
        command = [sys.executable, "-m", "benchmarks.peers.plain", "--port", str(place.broker_port)]
        return Start([*command, "--store", place.store_url])


class Idle(_Peer):
    """See `benchmarks.peers.idle`."""

    pipeline, store = "idle-subscriber", "none"

    def open_store(self, state: Path) -> StoreSide | None:  # noqa: ARG002 - it keeps no state
        """None."""
        return None

    def start(self, place: Place) -> Start:
        """Broker by option."""
        command = [sys.executable, "-m", "benchmarks.peers.idle", "--port", str(place.broker_port)]
        return Start([*command, "--messages", str(place.messages)])


ALL: dict[str, Contender] = {
    "glomska": Glomska("influxdb"),
    "glomska:free": Glomska("free"),
    "glomska:sqlite": Glomska("sqlite"),
    "glomska:workers": Glomska("influxdb", workers=2),
    "plain": Plain(),
    "node-red": NodeRed(),
    "telegraf": Telegraf(),
    "vector": Vector(),
    "idle-subscriber": Idle(),
}
FOREIGN = ("node-red", "telegraf", "vector")
DEFAULT = ("glomska", "glomska:free", "glomska:workers", "plain", *FOREIGN, "idle-subscriber")


def by_name(name: str) -> Contender:
    """The contender. Raises KeyError with the names there are."""
    with contextlib.suppress(KeyError):
        return ALL[name]
    raise KeyError(f"no pipeline {name!r}; there are: {', '.join(ALL)}")
