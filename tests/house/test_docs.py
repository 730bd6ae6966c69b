"""Documents that can be wrong are checked: links, the index of decisions, and the tests that guarantees name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def slugs(document: Path) -> set[str]:
    """Anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ +(.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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


def test_every_decision_stands_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    decisions = [path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md")]
    assert [name for name in decisions if f"({name})" not in index] == []


def test_the_threat_model_names_tests_that_exist() -> None:
    named = set(re.findall(r"tests/attacks/(test_\d\d_\w+\.py)", (ROOT / "docs/threat-model.md").read_text()))
    assert named
    assert named <= {path.name for path in (ROOT / "tests/attacks").glob("test_*.py")}


def test_every_attack_that_is_tested_stands_in_the_threat_model() -> None:
    text = (ROOT / "docs/threat-model.md").read_text()
    assert [p.name for p in (ROOT / "tests/attacks").glob("test_[0-9]*.py") if p.name not in text] == []
