"""No identifier and no sealed value where it must not be: looked for in every file, every output and every process.

Canaries go through the real commands: enrolled, published, stored, read, erased, published again. Then everything that
this left behind is searched for them: the store's files and what it answers when asked for all it has, key store,
ledger and fences, what the commands printed (but for the readings that `read` is asked for), and arguments and
environment of every process while it ran. The broker's own files are not searched: readings come from there in the
clear, and it is the operator's.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from benchmarks.processes import tree
from benchmarks.servers import http
from firmware_sim.fleet import Message
from tests.commands import STACKS, Gateway, Stack, await_, deliver, flat, stack
from tests.world import disguises

CANARY = "zq7-canary-"  # in front of every customer and device; ASCII, so that JSON writes it as it is
ENERGY, POWER = 86_420_975.317, 987_654
SEALED = struct.pack(">iq", POWER, 86_420_975_317)
"""As they are packed before they are sealed."""
NEEDLES = (
    CANARY.encode(),
    *(str(value).encode() for value in (ENERGY, POWER, 86_420_975_317)),
    *(struct.pack(kind, 86_420_975_317) for kind in ("<q", ">q")),
    *(struct.pack(kind, ENERGY) for kind in ("<d", ">d")),
    *(struct.pack(kind, float(POWER)) for kind in ("<d", ">d")),
    SEALED,
)
FORMS = [form for needle in NEEDLES for form in disguises(needle)]
ENROLMENT = f"""\
controller,customer,device,postal_code,valid_from
heat-co,{CANARY}anna,{CANARY}meter-1,11122,2000-01-01
heat-co,{CANARY}bert,{CANARY}meter-2,11122,2000-01-01
"""
NOW = int(time.time() * 1000)


@pytest.fixture(params=STACKS)
def on(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with stack(request.param) as running:
        yield running


def test_no_identifier_and_no_value_is_left_anywhere(on: Stack, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, on, store__timeout_s=1, log__level="debug")
    with Watch() as watch:
        gateway.enrol(ENROLMENT)
        with gateway.run() as running:
            deliver(on, *readings("meter-1", 0), *readings("meter-2", 0), *refused())
            gateway.await_points(200)
            assert {row["value"] for row in gateway.read(f"heat-co/{CANARY}anna")} == {str(ENERGY), str(POWER)}
            assert found(gateway, on, watch) == []
            erased = json.loads(gateway.call("erase", "-", "--yes", "--json", stdin=f"heat-co/{CANARY}anna"))
            assert erased["state"] in {"effective", "final"}
            await_(lambda: gateway.points() <= 100, lambda: "her rows are not deleted")  # by `run`, if not by `erase`
            gateway.await_points(100)
            deliver(on, *readings("meter-1", 100), *readings("meter-2", 100))
            gateway.await_points(200)
            assert running.stop()["refused"] == {"erased": 100, "malformed": 2, "topic": 1, "unknown_device": 1}
        assert found(gateway, on, watch) == []
        with gateway.run() as running:
            deliver(on, *readings("meter-1", 200), *readings("meter-2", 200))
            gateway.await_points(300)
            assert running.stop()["refused"] == {"erased": 100}
        assert len(gateway.read(f"heat-co/{CANARY}bert")) == 600
        kept = json.loads(gateway.call("dead-letters", "list", "--json"))
        assert kept["by_reason"] == {"topic": 1, "unknown_device": 1}, "those of the erased are purged"
        gateway.refused("dead-letters", "show", kept["letters"][0]["id"], "--purpose", "marketing", code=5)
        gateway.call("dead-letters", "replay")
        said = gateway.refused("read", "-", "--purpose", "provision", code=7, stdin=f"heat-co/{CANARY}anna")
        assert said.startswith("glomska: ")
        gateway.refused("read", "-", "--purpose", "nothing", code=5, stdin=f"heat-co/{CANARY}bert")
        gateway.refused("read", "-", "--purpose", "provision", code=6, stdin=f"heat-co/{CANARY}carl")
        gateway.refused("erase", "-", "--yes", code=7, stdin=f"heat-co/{CANARY}anna")
    assert found(gateway, on, watch) == []
    assert {"run", "enrol", "read", "erase", "dead-letters"} <= watch.commands


def test_the_search_finds_what_is_planted(on: Stack, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, on)
    gateway.enrol("controller,customer,device,postal_code,valid_from\nheat-co,anna,meter-1,11122,2000-01-01\n")
    with gateway.run() as running:
        running.stop()
    plant_in_store(on, gateway.state, "harmless")  # it has files from the first write on
    name, number = CANARY + "dora", str(ENERGY)
    with Watch() as watch:
        assert found(gateway, on, watch) == []
        for planted in (name.encode(), number.encode(), SEALED):
            for form in (planted.hex().encode(), base64.b64encode(planted), base64.b64encode(b"." + planted)):
                gateway.said.append(form.decode())
                assert found(gateway, on, watch) == ["output"]
                gateway.said.clear()
        for folder in {gateway.state / "ledger", *on.folders(gateway.state)}:
            (folder / "planted").write_bytes(b"before" + SEALED + b"after")
            assert found(gateway, on, watch) == ["planted"]
            (folder / "planted").unlink()
    for arguments, environment in (([name], {}), ([], {"SUBJECT": name})):
        with Watch() as watch, idle(arguments, environment):
            await_(lambda: "processes" in found(gateway, on, watch), lambda: "not seen")
    plant_in_store(on, gateway.state, number)
    assert "store" in found(gateway, on, Watch())


class Watch:
    """Looks at every process below this one while it runs: arguments and environment, and which commands there were.

    A process that hides its environment from its own user (PR_SET_DUMPABLE) is looked at as far as it lets us.
    """

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    @property
    def commands(self) -> set[str]:
        """The words of all command lines."""
        return {word.decode(errors="replace") for block in list(self.seen) for word in block.split(b"\0")}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        own = os.getpid()
        while not self._over.wait(0.005):
            for pid in tree(own):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        self.seen.add(Path(f"/proc/{pid}/{name}").read_bytes())


def readings(device: str, first: int) -> list[Message]:
    """A hundred flat messages with the values that are looked for."""
    name = f"glomska/heat-co/{CANARY}{device}/readings"
    return [flat(name, NOW - 1000 * (first + number), power=POWER, energy=ENERGY) for number in range(100)]


def refused() -> list[Message]:
    """Messages that are not stored: what is said of them must not quote them."""
    own, payload = f"glomska/heat-co/{CANARY}meter-1/readings", b'{"%s": %r, "time": ' % (CANARY.encode(), ENERGY)
    return [
        Message(topic=own, payload=payload, time=NOW),
        Message(topic=own, payload=b"\xff" + payload, time=NOW, content_type="application/senml+json"),
        flat(f"glomska/heat-co/{CANARY}stranger/readings", NOW, energy=ENERGY),
        flat(f"glomska/heat-co/{CANARY}{'x' * 200}/readings", NOW, energy=ENERGY),
    ]


def found(gateway: Gateway, on: Stack, watch: Watch) -> list[str]:
    """Where a needle lies, in any disguise: names of files, `output`, `store`, `processes`."""
    folders = {gateway.state, *on.folders(gateway.state)}
    places = [(path.name, content(path)) for folder in folders for path in folder.rglob("*") if path.is_file()]
    places.append(("output", "".join(gateway.said).encode()))
    places.append(("store", everything(on, gateway.state)))
    places.append(("processes", b"\0".join(list(watch.seen))))
    return sorted({name for name, held in places if any(form in held for form in FORMS)})


def content(path: Path) -> bytes:
    """Of a file, less the megabytes of zeros that InfluxDB reserves at its end."""
    return path.read_bytes().rstrip(b"\0") + bytes(8)


def everything(on: Stack, state: Path) -> bytes:
    """All that the store answers: its files may be compressed."""
    if on.influxdb is None:
        with contextlib.closing(sqlite3.connect(state / "readings.db")) as database:
            return "\n".join(database.iterdump()).encode()
    asked = ("SELECT * FROM /.*/ GROUP BY *", "SHOW SERIES", "SHOW FIELD KEYS", "SHOW MEASUREMENTS", "SHOW DATABASES")
    return b"\n".join(on.influxdb.query(statement, "glomska") for statement in asked)


def plant_in_store(on: Stack, state: Path, text: str) -> None:
    if on.influxdb is None:
        with contextlib.closing(sqlite3.connect(state / "readings.db")) as database:
            database.execute("INSERT INTO field(name) VALUES(?)", (text,))
            database.commit()
    else:
        line = f'telemetry,series={text} s_18="{text}" 1700000000000000000'
        http(f"{on.influxdb.http_url}/write?db=glomska", data=line.encode())


@contextlib.contextmanager
def idle(arguments: list[str], environment: dict[str, str]) -> Iterator[None]:
    """A process that waits."""
    command = [sys.executable, "-c", "input()", *arguments]
    with subprocess.Popen(command, env=os.environ | environment, stdin=subprocess.PIPE) as process:
        yield
        process.communicate(b"\n")
