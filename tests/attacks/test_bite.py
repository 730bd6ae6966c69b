"""Every test of an attack is seen to fail when its defence is taken out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.mutations import MUTATIONS

HERE = Path(__file__).parent
FAILED = 1  # pytest: tests ran, and some failed


def test_every_attack_has_a_mutation() -> None:
    assert {path.name[5:7] for path in HERE.glob("test_[0-9][0-9]_*.py")} == MUTATIONS.keys()


@pytest.mark.parametrize("number", sorted(MUTATIONS))
def test_bites(number: str) -> None:
    (test,) = HERE.glob(f"test_{number}_*.py")
    command = [sys.executable, "-m", "pytest", str(test), "-q", "-x", "--no-header", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--without-defence", number], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == FAILED, done.stdout[-2000:] + done.stderr[-2000:]
    assert " failed" in done.stdout
