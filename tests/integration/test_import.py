"""History through the real command: everything once in effect, whenever it is killed, interrupted or erased under.

The books are the files themselves, counted and summed by another hand (`firmware_sim.meters`), and the store's own
count of what it holds.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import firmware_sim
from benchmarks.servers import EmbeddedBroker
from firmware_sim.meters import read_meter
from gateway.runtime.config import resource
from tests.commands import PATIENCE_S, Gateway, Stack, await_

ROWS, POINTS = 116_307, 116_268
"""Of the five shipped files: lines, and distinct times. 39 rows are there twice."""
SAMPLES = Path(firmware_sim.__file__).parent / "data"
SHIPPED = ("--csv", str(SAMPLES), "--mapping", str(resource("meters.toml")), "--json")
ENROLMENT = """\
controller,customer,device,postal_code,valid_from
demo,anna,sample-0,111 22,2012-01-01
demo,bo,sample-1,111 22,2012-01-01
demo,cia,sample-2,111 22,2012-01-01
demo,anna,tempC-sample-0,111 22,2012-01-01
demo,bo,tempC-sample-1_2,111 22,2012-01-01
"""
CANARY = "zq7-canary-"
MINUTES = 300_000
LEASHED = """
import os, signal, sys, threading, time
from pathlib import Path
from gateway.cli.start import main
from gateway.runtime import importing

rows, rest, remember = int(sys.argv[1]), sys.argv[2], importing._remember
sys.argv[1:] = sys.argv[3:]

def remembered(path, position, metrics):
    remember(path, position, metrics)
    if position[0] >= rows:
        reached()

def reached():
    global rows
    if rest != "slowly":  # by a thread of its own: anywhere within a page
        rows = sys.maxsize
        threading.Timer(float(rest), os.kill, (os.getpid(), signal.SIGSTOP)).start()
    elif not Path("go").exists():
        time.sleep(0.02)

importing._remember = remembered
if rows < 0:
    reached()
main()
"""
MAPPING = """\
[[csv]]
files = '(?P<device>.+)\\.csv'
controller = "demo"
time = { column = "time", format = "unix_s" }
[csv.quantity.power]
column = "watts"
unit = "W"
"""


def gateway(directory: Path, *, months: int = 24) -> Gateway:
    """A gateway without a broker, whose policy keeps readings for so long."""
    policy = resource("policy.toml").read_text().replace("retention_months = 24 ", f"retention_months = {months} ")
    (directory / "policy.toml").write_text(policy)
    nobody = Stack(EmbeddedBroker(), "sqlite:///readings.db")
    return Gateway(directory, nobody, policy=str(directory / "policy.toml"))


@contextlib.contextmanager
def begun(of: Gateway, *words: str, leash: tuple[int, float | str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """`glomska import`, started; killed unless it has ended.

    `leash`: after so many rows it stops by itself so many seconds later, or goes on slowly until there is a file `go`.
    A test that is late itself would find it at its end.
    """
    program = [str(Path(sys.executable).with_name("glomska"))]
    if leash is not None:
        program = [sys.executable, "-P", "-c", LEASHED, *map(str, leash)]
    with subprocess.Popen(
        [*program, "import", *words],
        env=of.environment,
        cwd=of.config.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def remembered(of: Gateway) -> int:
    """How many rows the import under way has settled; -1 before it says so."""
    for file in (of.state / "imports").glob("*.json"):
        try:
            return int(json.loads(file.read_bytes())["position"][0])
        except FileNotFoundError:
            break
    return -1


def is_stopped(process: subprocess.Popen[str]) -> bool:
    """By SIGSTOP."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def ended_at(of: Gateway, rows: int, how: signal.Signals, *words: str) -> int:
    """The exit code of an import that got a signal after so many rows."""
    with begun(of, *words, leash=(rows, random.Random(rows).uniform(0, 0.1))) as process:
        await_(lambda: is_stopped(process) or process.poll() is not None, lambda: "the import does not move")
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        of.said += process.communicate(timeout=PATIENCE_S)
        return process.returncode


@pytest.fixture
def minutes(tmp_path: Path) -> tuple[str, ...]:
    """The words that import a file with a reading a minute, under a device that nobody may see."""
    now = int(time.time()) // 60 * 60
    lines = "".join(f"{now - 60 * n},{n % 5000}\n" for n in range(MINUTES, 0, -1))
    (tmp_path / f"{CANARY}1.csv").write_text("time,watts\n" + lines)
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return ("--csv", f"{CANARY}1.csv", "--mapping", "mapping.toml", "--json")


def readings(of: Gateway, customer: str) -> dict[tuple[str, str, str], float]:
    """(device, time, quantity) → value of everything of a customer."""
    words = ("--purpose", "provision", "--from", "2012-01-01", "--to", "2023-01-01", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(of.call("read", "-", *words, stdin=f"demo/{customer}"))))
    found = {(row["device"], row["time"], row["quantity"]): float(row["value"]) for row in rows}
    assert len(found) == len(rows), "a reading is there twice"
    return found


def test_killed_at_random_and_run_again_all_meter_files_are_there_once(tmp_path: Path) -> None:
    of = gateway(tmp_path, months=240)
    of.enrol(ENROLMENT)
    targets = [-1, *sorted(random.Random(7).sample(range(ROWS - 20_000), 3))]
    codes = [ended_at(of, target, signal.SIGKILL, *SHIPPED) for target in targets]
    assert codes == [-signal.SIGKILL] * len(targets)
    before = of.points()
    assert 0 < before < POINTS
    books = json.loads(of.call("import", *SHIPPED))
    assert books.pop("resumed") > targets[-1]
    assert books == {"read": ROWS, "stored": ROWS, "refused": {}, "refused_readings": {}}
    assert of.points() == POINTS
    for sample, customer in enumerate(("anna", "bo", "cia")):
        meter, found = read_meter(sample), readings(of, customer)
        times = [stamp(end) for end in meter.end.tolist()]
        for quantity, expected in (("energy", (meter.energy / 1000).tolist()), ("power", meter.power.tolist())):
            wanted = {(f"sample-{sample}", at, quantity): value for at, value in zip(times, expected, strict=True)}
            assert {key: value for key, value in found.items() if key[2] == quantity} == wanted
    again = json.loads(of.call("import", *SHIPPED))
    assert again == {**books, "resumed": 0}
    assert of.points() == POINTS
    assert list((of.state / "imports").iterdir()) == []


def stamp(seconds: int) -> str:
    """As `read` writes a time of whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def test_ctrl_c_ends_it_and_the_next_call_goes_on(tmp_path: Path, minutes: tuple[str, ...]) -> None:
    of = gateway(tmp_path)
    of.enrol(f"controller,customer,device,postal_code,valid_from\ndemo,anna,{CANARY}1,111 22,2012-01-01\n")
    assert ended_at(of, 10_000, signal.SIGINT, *minutes) == 130
    assert json.loads(of.said[-2])["error"]["code"] == "interrupted"
    done = remembered(of)
    assert json.loads(of.call("import", *minutes)) == {
        "read": MINUTES,
        "stored": MINUTES,
        "refused": {},
        "refused_readings": {},
        "resumed": done,
    }
    assert of.points() == MINUTES


def test_who_is_erased_meanwhile_stays_erased(tmp_path: Path, minutes: tuple[str, ...]) -> None:
    of = gateway(tmp_path)
    of.enrol(f"controller,customer,device,postal_code,valid_from\ndemo,anna,{CANARY}1,111 22,2012-01-01\n")
    with begun(of, *minutes, leash=(10_000, "slowly")) as process:
        await_(lambda: remembered(of) >= 10_000, lambda: "the import does not move")
        erased = json.loads(of.call("erase", "-", "--yes", "--json", stdin="demo/anna"))
        assert erased["state"] == "effective"
        (tmp_path / "go").touch()
        said, _ = process.communicate(timeout=PATIENCE_S)
    books = json.loads(said)
    assert books["stored"] >= 10_000
    assert books["refused"] == {"erased": MINUTES - books["stored"]}
    assert books["refused"]["erased"] > 0
    of.refused("read", "-", "--purpose", "provision", code=7, stdin="demo/anna")
    assert json.loads(of.call("import", *minutes, code=5))["refused"] == {"erased": MINUTES}


def test_nobody_is_named_in_what_it_leaves(tmp_path: Path, minutes: tuple[str, ...]) -> None:
    of = gateway(tmp_path)
    of.enrol(f"controller,customer,device,postal_code,valid_from\ndemo,{CANARY}x,{CANARY}1,111 22,2012-01-01\n")
    ended_at(of, 10_000, signal.SIGKILL, *minutes)
    assert remembered(of) >= 10_000
    assert leaks(of) == []
    of.call("import", *minutes)
    acts = [json.loads(line) for line in (of.state / "ledger" / "ledger.jsonl").read_text().splitlines()]
    said = [act for act in acts if act["act"] == "import" and act["phase"] == "intent"]
    assert [(act["state"], act.get("source")) for act in said] == [
        ("begun", "csv"),
        ("begun", "csv"),
        ("complete", None),
    ]
    assert (said[-1]["read"], said[-1]["stored"], said[-1]["refused"]) == (MINUTES, MINUTES, 0)
    assert leaks(of) == []


def leaks(of: Gateway) -> list[str]:
    """State files and outputs that hold a device or customer."""
    needle = CANARY.encode()
    files = [str(path) for path in of.state.rglob("*") if path.is_file() and needle in path.read_bytes()]
    return files + [said for said in of.said if CANARY in said]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"--mapping": "nowhere.toml"}, 3, "nowhere.toml: cannot be read: no such file or directory"),
        ({"--csv": "nowhere.csv"}, 2, "file 1: it cannot be read: no such file or directory"),
        ({"--csv": "mapping.toml"}, 2, "file 1: the mapping has no [[csv]] whose `files` fits its name"),
        ({"--csv": "empty"}, 2, "there is no CSV file"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(
    tmp_path: Path, minutes: tuple[str, ...], change: dict[str, str], code: int, message: str
) -> None:
    of = gateway(tmp_path)
    (tmp_path / "empty").mkdir()
    words: dict[str, Any] = {"--csv": minutes[1], "--mapping": "mapping.toml"} | change
    said = of.refused("import", *(word for option in words.items() for word in option), code=code)
    assert message in said
    assert CANARY not in said
    assert not (of.state / "ledger").exists()


def test_rows_that_cannot_be_taken_are_counted_by_reason(tmp_path: Path) -> None:
    of = gateway(tmp_path)
    of.enrol(ENROLMENT.replace("demo,cia,sample-2,111 22,2012-01-01\n", ""))
    books = json.loads(of.call("import", *SHIPPED, code=5))
    assert books == {
        "read": ROWS,
        "stored": 0,
        "refused": {"too_old": ROWS - 35_468, "unknown_device": 35_468},
        "refused_readings": {"too_old": 2 * (23_508 + 22_536) + 23_508 + 11_287, "unknown_device": 2 * 35_468},
        "resumed": 0,
    }
    said = of.call("import", *SHIPPED[:-1], code=5)
    assert said.splitlines()[0] == "116,307 rows read, 0 stored, 116,307 refused"
