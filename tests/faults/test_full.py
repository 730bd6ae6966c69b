"""A disk that is full under ledger or key store: what is done to keys is whole or refused, and goes on with room."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.netns import missing

PATIENCE_S = 300


@pytest.mark.parametrize("where", ["ledger", "keys"])
def test_on_a_full_disk_what_is_done_to_keys_is_whole_or_refused(where: str) -> None:
    if why := missing():
        pytest.skip(f"NOT RUN: a small disk is mounted in a namespace, which cannot be made here: {why}")
    command = [sys.executable, "-m", "tests.faults.full", where]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr[-4_000:]
    told = json.loads(done.stdout)
    assert told["faults"] == ["Unreachable"], told
    assert told["done_and_not_there"] == 0, told
    assert told["refused_and_there"] <= 1, "one may stand whose outcome found no more room; it is noted later"
    erased, of_the_erased, of_another = told["at_first"]
    assert erased == "Unreachable", told
    assert where == "keys" or of_the_erased == of_another == 1, "without a ledger nothing is done to keys"
    assert told["then"] == ["", None, 1], told
