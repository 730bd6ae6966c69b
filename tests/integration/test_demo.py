"""The demo as a user has it: its books balance, its refusal stands, Ctrl-C leaves nothing, its files name nobody."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.fleet import Home, meters, thermostats
from gateway.cli.demo import balanced
from gateway.cli.fleet import HOMES, LIVE, METERS
from gateway.cli.witness import Reckoning, Watched, reckon
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened

COMMAND = [sys.executable, "-m", "gateway.cli.main", "demo"]
SIMULATED = 12
PATIENCE_S = 120.0
NUMBERS = ("published", "stored", "lost", "duplicated", "redelivered", "untimed", "read_before_erase")


@dataclass(frozen=True)
class Played:
    """One demo that was played to its end."""

    result: dict[str, Any]
    said: str
    directory: Path

    @property
    def records(self) -> list[Path]:
        return [self.directory / "fleet" / f"{name}.jsonl" for name in (METERS, HOMES, LIVE)]

    def fleet_books(self) -> list[dict[str, Any]]:
        return [json.loads((self.directory / "fleet" / f"{name}.json").read_text()) for name in (METERS, HOMES, LIVE)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    directory = tmp_path_factory.mktemp("demo") / "kept"
    words = ["--seconds", "5", "--homes", str(SIMULATED), "--json", "--keep", str(directory)]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return Played(json.loads(done.stdout), done.stdout, directory)


def test_one_object_as_the_contract_has_it(played: Played) -> None:
    result = played.result
    assert list(result) == [
        *("published", "stored", "refused", "lost", "duplicated", "redelivered", "untimed", "messages_per_second"),
        *("cpu_us_per_message", "latency_ms", "erase_ms", "read_before_erase", "read_after_erase"),
    ]
    assert all(type(result[name]) is int for name in NUMBERS)
    assert result["messages_per_second"] > 0
    assert result["cpu_us_per_message"] > 0
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    assert result["erase_ms"] > 0


def test_the_books_balance_with_those_of_the_fleets(played: Played) -> None:
    result, fleets = played.result, played.fleet_books()
    assert result["published"] == result["stored"] + sum(result["refused"].values()) + result["lost"]
    assert (result["lost"], result["duplicated"]) == (0, 0)
    assert result["published"] == sum(fleet["published"] for fleet in fleets) > 5_000
    assert result["stored"] == sum(fleet["valid"] for fleet in fleets)
    expected: Counter[str] = Counter()
    for fleet in fleets:
        expected.update(fleet["refused_expected"])
    assert result["refused"] == dict(expected)
    assert len(expected) >= 9
    for fault in ("duplicate", "out_of_order", "malformed"):
        assert sum(fleet[fault] for fleet in fleets) > 50, "the fleets were not faulty"


def test_what_was_read_cannot_be_read_again(played: Played) -> None:
    assert played.result["read_before_erase"] > 3 * 48
    assert played.result["read_after_erase"] == "key_destroyed"
    home = shown_home()
    read = ["--config", str(played.directory / "gateway.toml"), "read", "-", "--purpose", "provision", "--json"]
    done = subprocess.run(
        [*COMMAND[:-1], *read],
        input=f"{home.controller}/{home.customer}",
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (7, "key_destroyed")


def test_no_file_of_the_gateway_and_no_result_names_anybody(played: Played) -> None:
    with (played.directory / "fleet" / "enrolment.csv").open() as file:
        homes = list(csv.DictReader(file))
    assert len(homes) == 3 + SIMULATED
    names = {home[column].encode() for home in homes for column in ("customer", "device")}
    searched = [played.directory / "gateway.log", *(played.directory / "state").rglob("*")]
    contents = {path: path.read_bytes() for path in searched if path.is_file()}
    assert {path.name for path in contents} >= {"gateway.log", "keys.db", "readings.db"}
    assert any("ledger" in path.parts for path in contents)
    assert all(contents[path] for path in contents if path.suffix == ".db")
    found = [path.name for path, content in contents.items() if any(name in content for name in names)]
    assert found == []
    assert not any(name.decode() in played.said for name in names)


def shown_home() -> Home:
    return meters(3, seed=0, controller=METERS)[1]


def living_homes() -> list[Home]:
    """All but the one that was erased."""
    simulated = thermostats(SIMULATED // 2, seed=0, controller=HOMES, senml=0.2)
    live = thermostats(SIMULATED // 2, seed=0, controller=LIVE)
    return [home for home in (*meters(3, seed=0, controller=METERS), *simulated, *live) if home != shown_home()]


def reckoned(played: Played, records: list[Path]) -> Reckoning:
    with opened(load_settings(played.directory / "gateway.toml", environ={})) as house:
        watched = Watched(house.store)
        house.store = watched
        with sqlite3.connect(played.directory / "state" / "readings.db") as rows:
            watched.pseudonyms = {name for (name,) in rows.execute("SELECT pseudonym FROM series")}
        rows.close()
        return reckon(house, watched, living_homes(), records, lambda: None)


def test_the_reckoning_sees_what_is_lost_changed_or_there_twice(played: Played, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    gone = f'"topic": "{shown_home().topic}"'
    entries = [
        line
        for path in played.records
        for line in path.read_text().splitlines()
        if gone not in line and '"kind": "valid"' in line
    ]
    record.write_text("\n".join(entries))
    whole = reckoned(played, [record])
    assert (whole.valid, whole.found, whole.rows) == (len(entries), len(entries), len(entries))

    changed = json.loads(entries[0])
    changed["payload"] = re.sub(r'"power":(\d+)', lambda m: f'"power":{int(m[1]) + 1}', changed["payload"])
    late = json.loads(entries[1])
    late["time"] += 1
    stranger = json.loads(entries[2]) | {"topic": "glomska/meters/EM0-0000-0000000/readings"}
    record.write_text("\n".join([*entries[3:], *map(json.dumps, (changed, late, stranger))]))
    wrong = reckoned(played, [record])
    assert (wrong.valid, wrong.found) == (len(entries), len(entries) - 3)
    assert wrong.rows == len(entries)

    record.write_text("\n".join(entries[3:]))
    more = reckoned(played, [record])
    assert more.rows - more.found == 3, "rows beyond the messages are seen"


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"lost": 1, "stored": 6}, False),
        ({"duplicated": 1}, False),
        ({"stored": 8}, False),
        ({"refused": {"range": 2}}, False),
    ],
)
def test_the_exit_code_stands_on_the_books(change: dict[str, Any], good: bool) -> None:
    books = {"published": 10, "stored": 7, "refused": {"range": 1, "topic": 2}, "lost": 0, "duplicated": 0}
    assert balanced(books | change) is good


def test_it_runs_without_a_terminal_in_plain_lines(tmp_path: Path) -> None:
    words = ["--seconds", "1", "--homes", "2", "--keep", str(tmp_path / "kept")]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    acts = ["enrolled", "stored", "One home is read", "power, W", "It is erased", "It is read again", "The books"]
    places = [done.stdout.index(act) for act in acts]
    assert places == sorted(places)
    assert "key_destroyed" in done.stdout
    tried = done.stdout.rsplit("try: glomska ", 1)[1].split()
    then = subprocess.run([*COMMAND[:-1], *tried], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert then.returncode == 0, f"what it says to try does not work: {then.stdout}{then.stderr}"


@pytest.mark.parametrize("words", [("--seconds", "0"), ("--homes", "1"), ("--keep", __file__)])
def test_what_cannot_be_played_is_said(words: tuple[str, ...]) -> None:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("glomska: ")
    assert "Traceback" not in done.stderr


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = subprocess.run(
        [*COMMAND, "--keep", str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, "not empty" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def in_session(session: int) -> dict[int, str]:
    """Processes of a session, zombies left out: pid to command."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().rsplit(") ", 1)
        except OSError:
            continue  # it ended while we looked
        state, _parent, _group, its_session, *_ = rest.split()
        if int(its_session) == session and state != "Z":
            found[int(stat.parent.name)] = name.split(" (", 1)[1]
    return found


@contextmanager
def on_terminal(directory: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The demo in a session of its own with a terminal of its own; temporary files go to `directory`."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TMPDIR": str(directory), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def heard(terminal: int, until: bytes | None = None) -> bytes:
    """What is shown until `until`, or until the terminal closes."""
    shown = b""
    deadline = time.monotonic() + PATIENCE_S
    while until is None or until not in shown:
        assert time.monotonic() < deadline, "nothing more is shown"
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 65_536)
            except OSError:  # closed on the other side
                assert until is None, "it ended before"
                return shown
    return shown


MOMENTS = {
    "before the broker": (b"forget", 0.0),
    "while the broker starts": (b"forget", 0.15),
    "while homes are enrolled": (b"its broker", 0.0),
    "when the fleet starts": (b"replayed", 0.0),
    "while the fleet starts": (b"replayed", 0.6),
    "while readings flow": (b" median, ", 0.0),
    "when all is settled": (b"all settled", 0.0),
    "while homes are read back": (b"reading every", 0.1),
    "before the erasure": (b"One home is read", 0.0),
    "during the erasure": (b"It is erased", 0.0),
}


def interrupted(directory: Path, sign: bytes, pause: float) -> tuple[int, bytes, int]:
    """A demo that gets Ctrl-C so long after a sign: its process, what it has shown, its exit code."""
    with on_terminal(directory, "--seconds", "3", "--homes", "20") as (process, terminal):
        shown = heard(terminal, sign)
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C: the whole foreground group gets it
        shown += heard(terminal)
        return process.pid, shown, process.wait(PATIENCE_S)


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_leaves_cleanly_at_any_moment(moment: str, tmp_path: Path) -> None:
    shown, code = b"", 0
    for _ in range(5):  # on a busy machine the demo may be over before the key is pressed
        process, shown, code = interrupted(tmp_path, *MOMENTS[moment])
        assert in_session(process) == {}
        assert list(tmp_path.iterdir()) == []
        assert b"Traceback" not in shown
        if code != 0:
            break
    assert code == 130
    assert b"glomska: interrupted" in shown
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h"), "the cursor is left hidden"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ends_are_as_clean_and_haste_changes_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with on_terminal(tmp_path, "--seconds", "3", "--homes", "20") as (process, terminal):
        heard(terminal, b" median, ")
        for _ in range(5):
            process.send_signal(number)
            time.sleep(0.05)
        shown = heard(terminal)
        assert process.wait(PATIENCE_S) == 130
    assert in_session(process.pid) == {}
    assert list(tmp_path.iterdir()) == []
    assert b"Traceback" not in shown
