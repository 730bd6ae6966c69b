"""A few kills in turnover and erasure under traffic, seeded. Many are in `make soak`."""

from __future__ import annotations

import json
import subprocess
import sys

PATIENCE_S = 600


def test_killed_in_turnover_and_erasure_it_is_old_or_new_and_converges() -> None:
    command = [sys.executable, "-m", "tests.faults.kills", "--json", "--seed", "5", "--moments", "12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode in {0, 1}, done.stderr[-4_000:]
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    assert told["moments"] >= 12
    assert set(told["kills"]) >= {"turnover", "erase"}
    assert sum(told["steps"].values()) == told["kills"]["turnover"] + told["kills"]["erase"]
    assert len(told["steps"]) > 3, "moments fall into many steps"
    assert told["returned"] > 0
    assert told["readings"] > 1_000
