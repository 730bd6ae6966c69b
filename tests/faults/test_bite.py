"""The books of a soak tell when the gateway lacks a defence: some acts, at once. All of them are in `bite`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.faults.acts import ACTS
from tests.faults.decisive import BITES, TESTS
from tests.faults.without import DEFENCES
from tests.netns import missing

PATIENCE_S = 600
SOME = ("gateway killed", "fsync fails", "store refuses")


def test_books_tell_of_a_gateway_that_lacks_what_survives_it() -> None:
    if why := missing():
        pytest.skip(f"NOT RUN: what breaks stands in namespaces, which cannot be made here: {why}")
    command = [sys.executable, "-m", "tests.faults.bite", "--lacking-only", "--json"]
    command += [word for name in SOME for word in ("--only", name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr[-4_000:]
    found = json.loads(done.stdout)
    assert [(one["act"], one["lacking"]["lost"] > 0) for one in found] == [(name, True) for name in SOME]


def test_every_act_has_a_defence_that_is_taken_out() -> None:
    assert {name.partition(":")[0] for name in BITES} == ACTS.keys()
    assert {bite.without for bite in BITES.values()} | set(TESTS.values()) == DEFENCES.keys()
