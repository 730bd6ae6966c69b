"""`glomska spool`: what waits is seen, drained, or declared lost."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.cli.main import call
from gateway.keys import process
from gateway.transport.spool import Spools
from tests.world import World

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def spools(world: World, monkeypatch: pytest.MonkeyPatch) -> Spools:
    """Of a worker that has gone: ten readings of anna's wait, and ten of bert's."""
    monkeypatch.setenv("GLOMSKA_STATE", str(world.directory))
    world.enrol("anna", "meter-1")
    world.enrol("bert", "meter-2")
    now = world.clock.wall()
    made = Spools(world.directory / "spool", max_bytes=1 << 20)
    with closing(made.open("glomska-7")) as spool:
        for device in ("meter-1", "meter-2"):
            for step in range(10):
                spool.append(world.process_one(device, now - step * 10**9, temperature=20.0).points)
    return made


def answer(capsys: Printed, *words: str, code: int = 0) -> dict[str, object]:
    assert call(["spool", *words, "--json"]) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_status_says_what_waits_and_for_whom(spools: Spools, capsys: Printed) -> None:
    found = answer(capsys, "status")
    size = spools.size()
    (one,) = cast("list[dict[str, Any]]", found.pop("spools"))
    assert found == {"max_bytes": 1 << 30, "party": f"queues {process.machine()}"}
    assert abs(one.pop("since") - time.time_ns()) < 3600 * 10**9
    assert one == {"worker": "glomska-7", "held": False, "points": 20, "bytes": size, "damaged": 0, "segments": 1}
    assert call(["spool", "status"]) == 0
    printed = capsys.readouterr().out
    assert "glomska-7  no    20 points" in printed
    assert f"it says: queues {process.machine()}\n" in printed


def test_drained_it_is_in_the_store_and_the_spool_is_empty(spools: Spools, world: World, capsys: Printed) -> None:
    assert answer(capsys, "drain", "--all") == {
        "drained": [{"worker": "glomska-7", "taken": 0, "drained": 20, "refused": 0, "erased": 0, "damaged": 0}]
    }
    assert len(world.points()) == 20
    assert spools.size() == 0
    assert call(["spool", "drain", "glomska-7"]) == 0
    assert capsys.readouterr().out == "glomska-7: 0 points drained\n"


def test_what_is_of_the_erased_is_not_drained(spools: Spools, world: World, capsys: Printed) -> None:
    copy = next((world.directory / "spool" / "glomska-7").glob("*.seg"))
    before = copy.read_bytes()
    world.erase("anna")
    copy.write_bytes(before)  # somebody brings the file back from before the erasure
    books = answer(capsys, "drain", "glomska-7")["drained"][0]  # type: ignore[index]
    assert (books["drained"], books["erased"]) == (10, 10)
    assert len(world.points()) == 10
    assert spools.size() == 0


def test_a_spool_that_has_a_worker_is_left_to_it(spools: Spools, capsys: Printed) -> None:
    with closing(spools.open("glomska-7")):
        error = answer(capsys, "drain", "glomska-7", code=5)["error"]
        assert error["code"] == "spool_held"  # type: ignore[index]
        assert answer(capsys, "drain", "--all") == {"drained": []}
        assert answer(capsys, "drop", "glomska-7", "--yes", code=5)["error"]
    assert spools.report()[0].points == 20


def test_dropped_it_is_lost_and_the_ledger_says_so(spools: Spools, world: World, capsys: Printed) -> None:
    size = spools.size()
    assert answer(capsys, "drop", "glomska-7", "--yes") == {"worker": "glomska-7", "points": 20, "bytes": size}
    assert spools.size() == 0
    lines = [json.loads(line) for line in (world.directory / "ledger" / "ledger.jsonl").read_text().splitlines()]
    assert [(line["points"], line["bytes"]) for line in lines if line["act"] == "spool-lost" and "points" in line] == [
        (20, size)
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["drain"], "name the spools to drain, or give --all"),
        (["drain", "nobody"], "there is no spool of that name"),
        (["drop", "nobody", "--yes"], "there is no spool of that name"),
        (["drop", "glomska-7"], "this cannot be undone, and there is nobody to ask"),
    ],
)
def test_words_that_are_off_change_nothing(spools: Spools, capsys: Printed, words: list[str], said: str) -> None:
    assert answer(capsys, *words, code=2)["error"]["message"] == said  # type: ignore[index]
    assert spools.report()[0].points == 20


def test_a_store_that_is_away_leaves_the_spool_as_it_is(
    spools: Spools, capsys: Printed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GLOMSKA_STORE__URL", "influxdb1+http://127.0.0.1:9/glomska")
    assert answer(capsys, "drain", "--all", code=4)["error"]["retryable"]  # type: ignore[index]
    assert spools.report()[0].points == 20
