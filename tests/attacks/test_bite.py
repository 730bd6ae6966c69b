"""Every test of every attack is seen to fail when a defence is taken out."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attacks.mutations import CONTROLS, MUTATIONS, Mutation

HERE = Path(__file__).parent
FAILED = 1  # pytest: tests ran, and some failed
AT_ONCE = 2
OUTCOME = re.compile(r"^(FAILED|PASSED) \S+?::(\w+)", re.MULTILINE)
BROKEN = re.compile(
    r"^FAILED .* - \w*(AttributeError|ImportError|IntegrityStop|NameError|TypeError|UnicodeEncodeError)\b.*",
    re.MULTILINE,
)


def file_of(attack: str) -> Path:
    (file,) = HERE.glob(f"test_{attack}_*.py")
    return file


def functions_in(file: Path) -> set[str]:
    """Names of its test functions."""
    functions = (node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def mutated(name: str, mutation: Mutation) -> subprocess.CompletedProcess[str]:
    """The tests that a mutation must kill, under that mutation."""
    wanted = [f"{file_of(mutation.attack)}::{test.removesuffix('[*]')}" for test in mutation.kills]
    options = ["-q", "--tb=short", "-rfp", "--no-header", "-p", "no:cacheprovider", "--without-defence", name]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *wanted, *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"COLUMNS": "400", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # plugins take half a start
    )


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str]]]]:
    """All that were asked for, under way."""
    asked = [item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")]
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {name: pool.submit(mutated, name, MUTATIONS[name]) for name in asked if name in MUTATIONS}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("attack", sorted(path.name[5:7] for path in HERE.glob("test_[0-9][0-9]_*.py")))
def test_every_test_is_to_be_killed_or_said_to_be_a_control(attack: str) -> None:
    killed = {
        test.removesuffix("[*]")
        for mutation in MUTATIONS.values()
        if mutation.attack == attack
        for test in mutation.kills
    }
    controls = CONTROLS.get(attack, {}).keys()
    assert killed | controls == functions_in(file_of(attack))
    assert not killed & controls


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_bites(name: str, runs: dict[str, Future[subprocess.CompletedProcess[str]]]) -> None:
    done = runs[name].result()
    assert done.returncode == FAILED, done.stdout[-2000:] + done.stderr[-2000:]
    assert not BROKEN.findall(done.stdout), done.stdout[-4000:]
    outcomes = [(match[2], match[1]) for match in OUTCOME.finditer(done.stdout)]
    failed, passed = (Counter(test for test, outcome in outcomes if outcome == o) for o in ("FAILED", "PASSED"))
    survivors = {t for t in MUTATIONS[name].kills if not failed[t.removesuffix("[*]")]}
    survivors |= {t for t in MUTATIONS[name].kills if t.endswith("[*]") and passed[t.removesuffix("[*]")]}
    assert not survivors, done.stdout[-2000:]
