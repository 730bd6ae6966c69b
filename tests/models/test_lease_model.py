"""Leases in every interleaving: no use of a key begins after `effective`, and without any one rule one does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("lease.pml")
RULES = ("PASSING", "EARLY", "LATE", "GENEROUS", "KEPT")


def checked(directory: Path, *definitions: str) -> str:
    """What spin's verifier says of the model."""
    for program in ("spin", "gcc"):
        assert shutil.which(program), f"{program} is missing: .ci/debian spin gcc libc6-dev"
    options = [f"-D{definition}" for definition in definitions]
    for command in (["spin", *options, "-a", str(MODEL)], ["gcc", "-O2", "-DSAFETY", "-o", "pan", "pan.c"]):
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
    done = subprocess.run(["./pan", "-m100000"], cwd=directory, check=True, capture_output=True, text=True)
    assert "max search depth too small" not in done.stdout
    return done.stdout


def test_after_effective_no_worker_begins_a_use_of_the_key(tmp_path: Path) -> None:
    told = checked(tmp_path)
    assert "errors: 0" in told
    reached = re.search(r"(\d+) states, stored", told)
    assert reached is not None
    assert int(reached[1]) > 10_000
    assert not re.search(r"lease\.pml:\d+.*(assert|effective|until)", told), (
        "a step that was never taken proves nothing"
    )


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_one_does(tmp_path: Path, rule: str) -> None:
    assert re.search(rf"#if(n?)def {rule}\b", MODEL.read_text())
    told = checked(tmp_path, rule)
    assert "assertion violated" in told
    assert "errors: 1" in told


def test_it_stays_small() -> None:
    assert len(MODEL.read_text().splitlines()) <= 80
