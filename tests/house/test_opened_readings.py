"""Readings are opened in `control/access.py` and by the handles themselves, nowhere else (wall 3).

Contracts say which module may import which; this says what is done with what was handed on. It sees names, calls and
attributes, also by way of `getattr`. Whoever hides a name from a reader hides it from this too.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACCESS, HANDLE = "control/access.py", "keys/handle.py"
OPEN_ARGUMENTS = 4  # SeriesKey.open(field, time, revision, value): no other `open` takes as many

# What opens a reading or gives one that can; where it stands today, and may.
PLACES = {
    "SeriesKey": {HANDLE, "pipeline/pseudonymise.py", ACCESS},  # the pipeline writes it in types only
    "SubjectKey": {HANDLE, "keys/letters.py", "keys/lineage.py", "keys/ring.py", "keys/subject.py", ACCESS},
    "_cipher": {HANDLE},  # a series' own, which opens as it seals
    "_made_cipher": {HANDLE},
    "_decrypt": {"crypto/aead.py"},
    "decode_value": {"crypto/envelope.py"},
    "decode_values": {"crypto/envelope.py", HANDLE},
    "open_rows": {HANDLE, ACCESS},
    "open_subject": {  # a trace takes devices and pseudonyms of it, as erasure does
        "keys/subject.py",
        "keys/ring.py",
        ACCESS,
        "control/enrolment.py",
        "control/withdrawal.py",
        "control/trace.py",
        "control/choices.py",  # to seal a choice under the customer's own key
        "control/rekey.py",  # whose new keys wrap what the old ones wrapped
        "keys/capture.py",  # devices, whose retained messages an erasure deletes at the broker
    },
    "open_record": {
        "crypto/envelope.py",
        HANDLE,
        "keys/fencing.py",
        "keys/holding.py",
        "keys/letters.py",
        "keys/rewrap.py",  # devices and routes, which a turnover hashes anew
        "keys/subject.py",
    },
    "open_letters": {"keys/letters.py", "runtime/replay.py"},  # into the stages again, not out to anyone
    "open_letter": {"crypto/envelope.py", "keys/letters.py", "keys/operations.py", ACCESS},
    "unpack": {"model/clear.py", ACCESS},
    "open": set(),  # one by one: for tests
    "series()": {HANDLE, ACCESS},
}
BY_NAME = PLACES.keys() - {"open", "series()"}


def openings(source: str) -> set[str]:
    """Which keys of PLACES are named or done in a module."""
    tree = ast.parse(source)
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found |= _attribute(node, called.get(id(node)))
        elif isinstance(node, ast.Call):
            found |= _by_string(node)
        elif isinstance(node, ast.Name):
            found |= BY_NAME & {node.id}
        elif isinstance(node, ast.alias | ast.FunctionDef | ast.ClassDef):
            found |= BY_NAME & {node.name}
    return found


def _attribute(node: ast.Attribute, call: ast.Call | None) -> set[str]:
    if node.attr == "open":
        return {"open"} if call is None or _may_open(call) else set()
    if node.attr == "series":
        return {"series()"} if call is not None else set()
    return BY_NAME & {node.attr}


def _may_open(call: ast.Call) -> bool:
    if ast.unparse(call.func) == "KeyStore.open":  # which has as many arguments, and opens no reading
        return False
    unknown = any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)
    return unknown or len(call.args) + len(call.keywords) >= OPEN_ARGUMENTS


def _by_string(call: ast.Call) -> set[str]:
    """`getattr(key, "open")`, `attrgetter("open")`, `methodcaller("series", …)`."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name not in {"getattr", "attrgetter", "methodcaller"}:
        return set()
    texts = {a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return {key for key in PLACES if key.removesuffix("()") in texts}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("key.open(field, time, revision, value)", {"open"}),
        ("window.series[0].open(field, time, revision=0, value=v)", {"open"}),
        ("key.open(*place)", {"open"}),
        ("key.open(**place)", {"open"}),
        ("opener = key.open", {"open"}),
        ("map(key.open, fields, times, revisions, values)", {"open"}),
        ("getattr(key, 'open')(f, t, r, v)", {"open"}),
        ("operator.methodcaller('open', f, t, r, v)(key)", {"open"}),
        ("key.series(device, epoch, area='')", {"series()"}),
        ("from gateway.keys.handle import SeriesKey as Key", {"SeriesKey"}),
        ("handle.SubjectKey(csk)", {"SubjectKey"}),
        ("open_subject(lineage, incarnation, rows)", {"open_subject"}),
        ("key._cipher.decrypt(nonce, sealed, aad)", {"_cipher"}),
        ("key._made_cipher()", {"_made_cipher"}),
        ("clear.unpack(plain, scales, dtype)", {"unpack"}),
    ],
)
def test_an_opening_is_seen(source: str, found: set[str]) -> None:
    assert openings(source) == found


@pytest.mark.parametrize(
    "source",
    [
        "path.open('rb')",
        "os.open(path, os.O_RDONLY, 0o600)",
        "Connection.open(terms, wake, clock)",
        "KeyStore.open(url, state=state, create=True, password=password)",
        "point.series.area",
    ],
)
def test_other_openings_are_not_meant(source: str) -> None:
    assert openings(source) == set()


@pytest.mark.parametrize("name", PLACES)
def test_it_stands_where_it_may_and_nowhere_else(name: str) -> None:
    rooms = ROOT / "gateway"
    found = {p.relative_to(rooms).as_posix() for p in rooms.rglob("*.py") if name in openings(p.read_text())}
    assert found == PLACES[name]
