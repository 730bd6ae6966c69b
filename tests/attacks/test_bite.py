"""Every test of every attack is seen to fail when a defence is taken out, on each key store that it runs on."""

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
from tests.conftest import new_key_store
from tests.postgres import Postgres
from tests.world import KEY_STORES

HERE = Path(__file__).parent
FAILED = 1  # pytest: tests ran, and some failed
PATIENCE_S = 300
ROOT = HERE.parents[1]
OF_KEYS = {*range(1, 11), 12, 16, 22, 24, 25, 27, 33, 34}
MARKS = {"both_key_stores", "one_key_store"}
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["hypothesis", "pytest", "tests.attacks.mutations", "tests.world"])
OUTCOME = re.compile(r"^(FAILED|PASSED) \S+?::(\w+)(?:\[(sqlite|postgresql)\b)?", re.MULTILINE)
ROW = re.compile(r"^\| `(test_\w+\.py)` \| (both|SQLite|PostgreSQL) \| (.*)\|$", re.MULTILINE)
BROKEN = re.compile(
    r"^FAILED .* - \w*(AttributeError|ImportError|IntegrityStop|NameError|TypeError|UnicodeEncodeError)\b.*",
    re.MULTILINE,
)


def files_of(attack: str) -> dict[str, Path]:
    """Test functions of an attack, each with its file: an attack may be about several rooms."""
    return {test: file for file in sorted(HERE.glob(f"test_{attack}_*.py")) for test in stores_in(file)}


def stores_in(file: Path) -> dict[str, tuple[str, ...]]:
    """Its test functions, each with the key stores that it runs on by name; one that has no choice runs on ""."""
    body = ast.parse(file.read_text()).body
    everywhere = {mark for node in body if isinstance(node, ast.Assign) for mark in marks_of(node.value)}
    functions = (node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))
    marks = {f.name: everywhere | {mark for made in f.decorator_list for mark in marks_of(made)} for f in functions}
    return {name: KEY_STORES if is_on_both(given) else ("",) for name, given in marks.items()}


def marks_of(node: ast.expr) -> set[str]:
    """`pytest.mark.both_key_stores` is called so."""
    return {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)} & MARKS


def is_on_both(marks: set[str]) -> bool:
    """See conftest.py, which refuses such a mark where there is no key store."""
    return marks == {"both_key_stores"}


def mutated(name: str, mutation: Mutation, said: Path, *options: str) -> int:
    """The exit code of the tests that a mutation must kill, under that mutation; what they print goes to a file."""
    files = files_of(mutation.attack)
    wanted = [f"{files[test]}::{test}" for test in names_of(mutation)]
    given = ["-q", "--tb=short", "-rfp", "--no-header", "-p", "no:cacheprovider", "--without-defence", name]
    given += ["-p", "no:unraisableexception"]  # what fails leaves connections open
    process = FORKS.Process(target=run_apart, args=([*wanted, *given, *options], said))
    process.start()
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def names_of(mutation: Mutation) -> list[str]:
    """Of test functions."""
    return [test.removesuffix("[*]") for test in mutation.kills]


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


def test_the_threat_model_tells_what_runs_on_one_key_store() -> None:
    told = {}
    for row in ROW.finditer((ROOT / "docs/threat-model.md").read_text()):
        told[row[1]] = row[2] == "both", set(re.findall(r"`(test_\w+)`", row[3]))
    found = {}
    for file in sorted(HERE.glob("test_[0-9][0-9]_*.py")):
        stores = stores_in(file)
        on_one = {test for test, on in stores.items() if on != KEY_STORES}
        if file.name in told or on_one != stores.keys():
            found[file.name] = on_one != stores.keys(), on_one
    assert told == found
    assert {int(file[5:7]) for file in told} >= OF_KEYS


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_bites(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    mutation, options = MUTATIONS[name], list[str]()
    stores = {test: stores_in(file)[test] for test, file in files_of(mutation.attack).items()}
    if any(stores[test] == KEY_STORES for test in names_of(mutation)):
        server: Postgres = request.getfixturevalue("postgres")
        new_key_store(server)
        options = ["--postgres", str(server.directory)]
    code = mutated(name, mutation, tmp_path / "said", *options)
    said = (tmp_path / "said").read_text()
    assert code == FAILED, said[-4000:]
    assert not BROKEN.findall(said), said[-4000:]
    seen = Counter((match[1], match[2], match[3] or "") for match in OUTCOME.finditer(said))
    survivors = {
        (kill, store)
        for kill, test in zip(mutation.kills, names_of(mutation), strict=True)
        for store in stores[test]
        if not seen["FAILED", test, store] or (kill.endswith("[*]") and seen["PASSED", test, store])
    }
    assert not survivors, said[-2000:]
