"""Every test of every attack is seen to fail when a defence is taken out."""

from __future__ import annotations

import ast
import multiprocessing
import os
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.attacks.mutations import CONTROLS, MUTATIONS, Mutation

HERE = Path(__file__).parent
FAILED = 1  # pytest: tests ran, and some failed
PATIENCE_S = 300
ROOT = HERE.parents[1]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["hypothesis", "pytest", "tests.attacks.mutations", "tests.world"])
OUTCOME = re.compile(r"^(FAILED|PASSED) \S+?::(\w+)", re.MULTILINE)
BROKEN = re.compile(
    r"^FAILED .* - \w*(AttributeError|ImportError|IntegrityStop|NameError|TypeError|UnicodeEncodeError)\b.*",
    re.MULTILINE,
)


def files_of(attack: str) -> dict[str, Path]:
    """Test functions of an attack, each with its file: an attack may be about several rooms."""
    return {test: file for file in sorted(HERE.glob(f"test_{attack}_*.py")) for test in functions_in(file)}


def functions_in(file: Path) -> set[str]:
    """Names of its test functions."""
    functions = (node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def mutated(name: str, mutation: Mutation, said: Path) -> int:
    """The exit code of the tests that a mutation must kill, under that mutation; what they print goes to a file."""
    files = files_of(mutation.attack)
    wanted = [f"{files[test]}::{test}" for test in (kill.removesuffix("[*]") for kill in mutation.kills)]
    options = ["-q", "--tb=short", "-rfp", "--no-header", "-p", "no:cacheprovider", "--without-defence", name]
    process = FORKS.Process(target=run_apart, args=([*wanted, *options], said))
    process.start()
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def run_apart(arguments: list[str], said: Path) -> None:
    """Pytest, in a process that has imported everything and run nothing."""
    os.environ |= {"COLUMNS": "400", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins take half a start
    with said.open("w") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    sys.stdout = sys.stderr = os.fdopen(1, "w", closefd=False)
    os.chdir(ROOT)
    code = pytest.main(arguments)
    sys.stdout.flush()
    os._exit(code)


@pytest.mark.parametrize("attack", sorted({path.name[5:7] for path in HERE.glob("test_[0-9][0-9]_*.py")}))
def test_every_test_is_to_be_killed_or_said_to_be_a_control(attack: str) -> None:
    killed = {
        test.removesuffix("[*]")
        for mutation in MUTATIONS.values()
        if mutation.attack == attack
        for test in mutation.kills
    }
    controls = CONTROLS.get(attack, {}).keys()
    assert killed | controls == files_of(attack).keys()
    assert not killed & controls


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_bites(name: str, tmp_path: Path) -> None:
    code = mutated(name, MUTATIONS[name], tmp_path / "said")
    said = (tmp_path / "said").read_text()
    assert code == FAILED, said[-4000:]
    assert not BROKEN.findall(said), said[-4000:]
    outcomes = [(match[2], match[1]) for match in OUTCOME.finditer(said)]
    failed, passed = (Counter(test for test, outcome in outcomes if outcome == o) for o in ("FAILED", "PASSED"))
    survivors = {t for t in MUTATIONS[name].kills if not failed[t.removesuffix("[*]")]}
    survivors |= {t for t in MUTATIONS[name].kills if t.endswith("[*]") and passed[t.removesuffix("[*]")]}
    assert not survivors, said[-2000:]
