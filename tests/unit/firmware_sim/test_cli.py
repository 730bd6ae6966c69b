"""The command as it is called: words, files, JSON, exit codes, Ctrl-C."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import Mosquitto, free_port
from tests.unit.firmware_sim.witness import Witness

COMMAND = [sys.executable, "-c", "from firmware_sim.cli import main; main()"]
ENVIRONMENT = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
START = "2026-01-01T00:00:00Z"


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


def record(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def payload(entry: dict[str, Any]) -> bytes:
    return base64.b64decode(entry["payload_base64"]) if "payload_base64" in entry else entry["payload"].encode()


@pytest.mark.parametrize(
    "words",
    [
        ("replay", "--limit", "200", "--homes", "5"),
        ("simulate", "--hours", "40", "--homes", "5", "--start", START, "--mqtt-version", "3.1.1"),
    ],
)
def test_the_books_balance_with_what_a_subscriber_hears(
    broker: Mosquitto, witness: Witness, words: tuple[str, ...]
) -> None:
    faults = ("--duplicates", "0.1", "--disorder", "0.1", "--bursts", "0.1", "--malformed", "0.1", "--senml", "0.4")
    done = call(*words, *faults, "--url", broker.url, "--connections", "2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    books = json.loads(done.stdout)
    assert books["published"] == books["valid"] + books["malformed"]
    assert books["deliveries"] == books["published"] + books["duplicate"]
    assert sum(books["refused_expected"].values()) == sum(books["faults"].values()) == books["malformed"] > 0
    assert books["untimed"] == books["rejected"] == books["unacknowledged"] == 0
    assert books["homes"] == books["devices"] == 5
    assert books["valid"] == {"replay": 5 * 200, "simulate": 5 * 160}[words[0]]
    assert len(witness.wait_for(books["deliveries"])) == books["deliveries"]


def test_the_record_is_what_is_published(broker: Mosquitto, witness: Witness, tmp_path: Path) -> None:
    words = ("simulate", "--hours", "20", "--malformed", "0.5", "--duplicates", "0.2", "--start", START)
    done = call(*words, "--url", broker.url, "--messages", str(tmp_path / "sent"), "--json")
    entries = record(tmp_path / "sent")
    heard = witness.wait_for(len(entries))
    assert heard == [(entry["topic"], payload(entry), entry["content_type"]) for entry in entries]
    books = json.loads(done.stdout)
    kinds = Counter(entry["kind"] for entry in entries)
    assert {kind: books[kind] for kind in kinds} == kinds
    assert books["refused_expected"] == Counter(entry["reason"] for entry in entries if entry["reason"])


def test_a_dry_run_writes_files_and_publishes_nothing(tmp_path: Path) -> None:
    files = ("--enrolment", str(tmp_path / "fleet.csv"), "--messages", str(tmp_path / "sent"))
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    done = call("replay", "--keep-times", "--limit", "3", "--dry-run", "--json", "--url", nobody, *files)
    books = json.loads(done.stdout)
    assert done.returncode == 0
    assert books["published"] == books["deliveries"] == 0
    lines = (tmp_path / "fleet.csv").read_text().splitlines()
    assert lines[0] == "controller,customer,device,postal_code,valid_from"
    assert {line.split(",")[2] for line in lines[1:]} == {e["topic"].split("/")[2] for e in record(tmp_path / "sent")}


def test_the_same_words_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        faults = ("--duplicates", "0.1", "--disorder", "0.1", "--bursts", "0.1", "--malformed", "0.1")
        call("simulate", *faults, "--dry-run", "--start", START, "--seed", "7", "--messages", str(tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert len(record(tmp_path / "one")) > 300


def test_an_unreachable_broker_is_exit_code_4() -> None:
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    done = call("replay", "--limit", "5", "--url", nobody)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f"firmware-sim: no broker answers at {nobody.removeprefix('mqtt://')}\n")
    done = call("replay", "--limit", "5", "--url", nobody, "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 4
    assert (answer["error"]["code"], answer["error"]["retryable"]) == ("unreachable", True)
    assert answer["published"] == 0


def test_all_that_wears_on_devices_at_once(broker: Mosquitto, witness: Witness, tmp_path: Path) -> None:
    field = ("--homes", "12", "--hours", "40", "--together", "4", "--untimed", "0.3", "--hubs", "0.5")
    wear = ("--power-cuts", "300", "--clock-drift", "50", "--oversized", "0.02")
    words = ("simulate", *field, *wear, "--start", START, "--messages", str(tmp_path / "sent"))
    done = call(*words, "--url", broker.url, "--connections", "3", "--json")
    books = json.loads(done.stdout)
    entries = record(tmp_path / "sent")
    assert (done.returncode, done.stderr) == (0, "")
    assert Counter(entry["kind"] for entry in entries) == {k: books[k] for k in ("valid", "untimed", "malformed")}
    assert books["published"] == books["valid"] + books["untimed"] + books["malformed"] == books["deliveries"]
    assert 0.7 * 12 * 40 < books["valid"] + books["untimed"] < 12 * 40, "four messages an hour, four in one, some cut"
    assert books["refused_expected"] == {"too_large": books["faults"]["oversized"]}
    assert sorted(witness.wait_for(len(entries))) == sorted(
        (entry["topic"], payload(entry), entry["content_type"]) for entry in entries
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--senml", "0.6", "--untimed", "0.6"), "the shares of devices are more than all together"),
        (("--url", "http://127.0.0.1"), "--url: this is not mqtt://host:port or mqtts://host:port"),
        (("--ca-file", "absent.crt"), "--url: certificates are for mqtts://host:port"),
        (
            ("--url", "mqtts://127.0.0.1", "--ca-file", "absent.crt"),
            "--ca-file, --certificate-file or --key-file: no such file or directory",
        ),
        (("--url", "mqtts://127.0.0.1", "--key-file", "a.key"), "--certificate-file and --key-file go together"),
        (("--password-file", "absent"), "--password-file: there is no --username"),
        (("--username", "demo", "--password-file", "absent"), "--password-file: it cannot be read"),
        (("--mqtt-version", "4"), "--mqtt-version: 5 or 3.1.1"),
        (("--homes", "0"), "invalid value for '--homes': Input should be greater than or equal to 1"),
        (("--no-such-option",), "no such option: --no-such-option"),
        (("--start", "yesterday"), "--start: this is no time as in 2026-01-31T12:00:00Z"),
        (("--enrolment", "/proc/none/fleet.csv"), "a file cannot be written: no such file or directory"),
    ],
)
def test_wrong_words_are_exit_code_2(words: tuple[str, ...], message: str) -> None:
    done = call("simulate", *words, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["message"] == message


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ((), "Usage: firmware-sim [OPTIONS] COMMAND"),
        (("replay", "-h"), "Usage: firmware-sim replay [OPTIONS]\n"),
        (("--version",), f"firmware-sim {version('glomska')}\n"),
    ],
)
def test_what_it_says_of_itself(words: tuple[str, ...], begins: str) -> None:
    done = call(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(begins)


def test_ctrl_c_settles_what_is_under_way_and_prints_the_books(broker: Mosquitto, witness: Witness) -> None:
    words = ("simulate", "--days", "300", "--rate", "500", "--url", broker.url, "--json")
    running = subprocess.Popen([*COMMAND, *words], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    witness.wait_for(100)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, b"")
    books = json.loads(out)
    assert books["unacknowledged"] == 0
    assert 100 <= books["deliveries"] < 3 * 96 * 300
    assert len(witness.wait_for(books["deliveries"])) == books["deliveries"]


def test_a_reader_gets_a_table(broker: Mosquitto) -> None:
    done = call("replay", "--limit", "5", "--malformed", "1", "--url", broker.url)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["published", "30"] in rows
    assert ["valid", "15"] in rows
    assert ["malformed", "15"] in rows


def test_live_homes_report_what_they_measure_now(broker: Mosquitto, witness: Witness, tmp_path: Path) -> None:
    before = time.time() * 1000
    words = ("--live", "--homes", "3", "--interval", "1", "--hours", str(2.5 / 3600))
    done = call("simulate", *words, "--url", broker.url, "--messages", str(tmp_path / "record"), "--json")
    after = time.time() * 1000
    assert json.loads(done.stdout)["valid"] == len(witness.wait_for(6)) == 6
    times = [entry["time"] for entry in record(tmp_path / "record")]
    assert times == sorted(times)
    assert before < times[0] < times[-1] <= after, "a reading was sent before it was measured"


def test_live_begins_now_and_at_no_other_time() -> None:
    done = call("simulate", "--live", "--start", START, "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "usage")


def test_a_hundred_thousand_homes_fit_into_the_memory_that_is_stated(tmp_path: Path) -> None:
    """The whole process, as docs/fleet.md states it, with some room for another Python or numpy."""
    files = ("--enrolment", str(tmp_path / "fleet.csv"), "--messages", os.devnull)
    done = call("simulate", "--homes", "100000", "--hours", "0.25", "--dry-run", "--json", *files)
    books = json.loads(done.stdout)
    assert (books["homes"], len((tmp_path / "fleet.csv").read_text().splitlines())) == (100_000, 100_001)
    assert 0 < books["memory_mib"] < 170
