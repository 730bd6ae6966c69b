"""Documents that can be wrong are checked: links, paths, decisions, tests that guarantees name, examples, lists."""

from __future__ import annotations

import ast
import importlib
import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.control.suspension import RESUME, SUSPEND
from gateway.model.sealed import Reason

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
THREAT_MODEL = (ROOT / "docs/threat-model.md").read_text()
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:gateway|firmware_sim|tests|config|benchmarks|docs)/[\w./-]+)`")
ROOM_PATH = re.compile(r"`((?:cli|control|crypto|keys|keystore|model|pipeline|policy|runtime|transport)/[\w/]+\.py)`")


def slugs(document: Path) -> set[str]:
    """Anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ +(.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def first_column(text: str, heading: str) -> list[str]:
    """What stands in code in the first cells of the table under a heading."""
    section = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def examples(document: str) -> list[dict[str, object]]:
    """Each line of a document's JSON examples."""
    found = re.findall(r"^```json\n(.*?)^```$", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    return [json.loads(line) for block in found for line in block.splitlines()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    dead = []
    for match in LINK.finditer(document.read_text()):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if "://" in target:
            continue
        path = (document.parent / target).resolve() if target else document
        if not path.exists() or (anchor and anchor not in slugs(path)):
            dead.append(match[0])
    assert dead == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    named = [*PATH.findall(text), *(f"gateway/{path}" for path in ROOM_PATH.findall(text))]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_decision_stands_in_the_index_and_in_order() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    assert re.findall(r"^\| \[\d{4}\]\((.+?)\)", index, flags=re.MULTILINE) == [path.name for path in DECISIONS]


def test_what_superseded_a_decision_is_said_by_both_and_in_the_index() -> None:
    status = {path.stem[:4]: path.read_text().splitlines()[2] for path in DECISIONS}
    said_by_the_old = {(old, new) for old, line in status.items() for new in re.findall(r"superseded by \[(\d+)", line)}
    said_by_the_new = {(old, new) for new, line in status.items() for old in re.findall(r"Supersedes \[(\d+)", line)}
    index = (ROOT / "docs/adr/README.md").read_text()
    in_the_index = set(re.findall(r"^\| \[(\d+)\].*\(superseded by (\d+)\) \|$", index, flags=re.MULTILINE))
    assert said_by_the_old == said_by_the_new == in_the_index


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_options_a_cost_and_one_page(decision: Path) -> None:
    text = decision.read_text()
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == ["Question", "Options", "Decision", "What it costs"]
    assert text.startswith(f"# {decision.stem[:4]}: ")
    assert len(text.splitlines()) <= 60


def test_the_threat_model_names_a_test_for_each_guarantee() -> None:
    protected = THREAT_MODEL.partition("## Protected")[2].partition("## ")[0]
    rows = re.findall(r"^\| \d+ \|.*$", protected, flags=re.MULTILINE)
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, len(rows) + 1)) != []
    assert [row for row in rows if not re.search(r"`tests/\w+/[\w/]+\.py`", row)] == []


def test_every_attack_that_is_tested_stands_in_the_threat_model() -> None:
    assert [p.name for p in (ROOT / "tests/attacks").glob("test_[0-9]*.py") if p.name not in THREAT_MODEL] == []


def test_what_is_not_protected_is_said_at_as_great_length_as_what_is() -> None:
    protected, _, rest = THREAT_MODEL.partition("## Protected")[2].partition("## Not protected")
    assert len(rest.partition("\n## ")[0]) >= len(protected) > 0


def test_reasons_of_refusal_are_all_explained() -> None:
    explained = first_column((ROOT / "docs/formats/readings.md").read_text(), "Refusals")
    assert explained == [str(reason) for reason in Reason]


def test_events_of_the_log_are_all_explained() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    said = set(re.findall(r'log\.(?:event|error)\("([^"]+)"', code))
    said |= {f"waiting: {where}" for where in re.findall(r'self\._watch\.trouble\("([^"]+)"', code)}
    explained = first_column((ROOT / "docs/operations.md").read_text(), "What the log says")
    assert {"ready", "stopped", "waiting: storing"} <= said
    assert said - set(explained) <= {"generation"}  # said at level debug alone


def acts_of(file: Path) -> set[str]:
    """Names of the acts that a module begins: the first arguments of `control.act` and `control.begin`."""
    tree = ast.parse(file.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    called = [call for call in calls if re.fullmatch(r"(.*\.)?_?(control|role)\.(act|begin)", ast.unparse(call.func))]
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    names = [ast.unparse(call.args[0]) for call in called if call.args]
    return {ast.literal_eval(name) if name[0] in "'\"" else vars(module).get(name, f"?{name}") for name in names}


def test_acts_in_the_ledger_are_all_explained() -> None:
    said = set[str]().union(*(acts_of(file) for file in (ROOT / "gateway").glob("[cr]*/*.py")))
    said = said - {"?name"} | {SUSPEND, RESUME}  # the two that are begun in one place, under either name
    assert {"enrol", "erase", "turnover"} < said
    assert said - set(first_column((ROOT / "docs/formats/ledger.md").read_text(), "Ledger")) == set()


def test_the_ledger_that_is_shown_is_a_chain() -> None:
    *lines, fence = examples("docs/formats/ledger.md")
    assert [(line["seq"], line["act"]) for line in lines] == list(
        enumerate(["ledger", "enrol", "enrol", "erase", "erase", "purge", "purge"])
    )
    before = "0" * 64
    for line in lines:
        rest = {name: value for name, value in line.items() if name != "hash"}
        canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))  # RFC 8785, of ASCII and integers
        assert (line["prev"], line["hash"]) == (before, sha256(canonical.encode()).hexdigest())
        before = str(line["hash"])
    told = first_column((ROOT / "docs/formats/ledger.md").read_text(), "Fence file")
    assert set(told) == set(fence)


def test_the_table_of_faults_names_what_is_there() -> None:
    table = (ROOT / "docs/faults.md").read_text()
    acts = re.findall(r"^    \"([a-z ]+)\": ", (ROOT / "tests/faults/acts.py").read_text(), flags=re.MULTILINE)
    assert len(acts) > 10
    assert set(re.findall(r"act `([^`]+)`", table)) == set(acts)
    tests = re.findall(r"`(tests/[^`:]+)::(test_\w+)`", table)
    assert len(tests) > 10
    assert [f"{file}::{name}" for file, name in tests if f"def {name}(" not in (ROOT / file).read_text()] == []
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| fault ")]
    assert [row for row in rows if "act `" not in row and "::test_" not in row] == []
    places = [*ROOT.glob("tests/attacks/mutations*.py"), ROOT / "tests/faults/without.py"]
    there = set(re.findall(r"^def (\w+)\(", "".join(file.read_text() for file in places), flags=re.MULTILINE))
    lacking = [set(re.findall(r"`(?:\d\d:)?([a-z]\w+)`", row)) for row in rows]
    assert [row for row, names in zip(rows, lacking, strict=True) if not names & there] == [
        row for row in rows if row.startswith("| one controller floods |")
    ]
    assert {name for names in lacking for name in names if "_" in name} <= there
