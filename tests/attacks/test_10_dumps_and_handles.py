"""Attack 10: a key in a core dump, a `repr` (and so in a log), or something that was pickled.

Core dumps are off, and nobody else's debugger gets in. Every object of the gateway's that is alive while keys are in
use is shown and written down: none of it holds a byte of a key. Whatever goes wrong while they are in use, what is
logged and printed of it tells neither a key nor a name, not even of a defect that quotes both. (Memory itself:
test_10_memory_after_erasure.py.)
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import json
import pickle
import resource
import secrets as system
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from gateway.cli import failure
from gateway.crypto import derive
from gateway.errors import GlomskaError
from gateway.keys import lineage
from gateway.keys.handle import Redacted
from gateway.keystore import schema
from gateway.runtime.config import load_settings
from gateway.runtime.log import Log
from gateway.runtime.wiring import opened
from tests.world import CANARY, World, disguises

pytestmark = pytest.mark.both_key_stores

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every secret that is made from here on."""
    known: list[bytes] = []

    def token_bytes(size: int) -> bytes:
        known.append(system.token_bytes(size))
        return known[-1]

    monkeypatch.setattr(lineage, "secrets", SimpleNamespace(token_bytes=token_bytes))
    return known


def forms(world: World, made: list[bytes]) -> list[bytes]:
    """Keys as they may be shown: raw, hexadecimal, base64, and as Python writes bytes."""
    keys = {key for key in made if len(key) == 32}
    keys |= {file.read_bytes() for file in (world.directory / "kek").rglob("*.key")}
    assert len(keys) > 4
    return [form for key in keys for form in (*disguises(key), repr(key)[2:-1].encode())]


def shown(thing: object) -> bytes:
    try:
        return repr(thing).encode()
    except Exception as fault:  # noqa: BLE001 - what it says is looked at too
        return str(fault).encode()


@pytest.mark.one_key_store  # it is about the process
def test_no_core_is_dumped(tmp_path: Path) -> None:
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    with opened(load_settings(environ={"GLOMSKA_STATE": str(tmp_path)})):
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        assert prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0


def test_nothing_alive_shows_a_key(world: World, made: list[bytes]) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.read("anna")
    needles = forms(world, made)
    alive = [thing for thing in gc.get_objects() if str(type(thing).__module__).startswith("gateway.")]
    assert any(isinstance(thing, Redacted) for thing in alive)
    told = {type(thing).__name__ for thing in alive for form in [shown(thing)] if any(n in form for n in needles)}
    assert told == set()


def test_no_handle_is_written_down(world: World, made: list[bytes]) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    needles = forms(world, made)
    handles = [thing for thing in gc.get_objects() if isinstance(thing, Redacted)]
    assert handles
    for handle in handles:
        written = b""
        with contextlib.suppress(TypeError):
            written = pickle.dumps(handle)
        assert not any(needle in written for needle in needles), type(handle).__name__


def damaged_keys(world: World, _patch: pytest.MonkeyPatch) -> None:
    with world.keystore.act() as tx:
        for row in tx.execute(sa.select(schema.keys.c.key_id, schema.keys.c.wrapped)).all():
            changed = schema.keys.update().where(schema.keys.c.key_id == row.key_id)
            tx.execute(changed.values(wrapped=row.wrapped[:-1] + bytes([row.wrapped[-1] ^ 1])))


def another_key(world: World, _patch: pytest.MonkeyPatch) -> None:
    with world.keystore.act() as tx:
        tx.execute(schema.keys.update().values(commitment=bytes(32)))


def wrong_key_file(world: World, _patch: pytest.MonkeyPatch) -> None:
    for file in (world.directory / "kek").glob("w-*.key"):
        file.write_bytes(system.token_bytes(32))


def erased(world: World, _patch: pytest.MonkeyPatch) -> None:
    world.erase("anna")


def one_id_twice(world: World, _patch: pytest.MonkeyPatch) -> None:
    """What the database says of it quotes the row."""
    with world.keystore.act() as tx:
        row = tx.execute(schema.keys.select()).first()
        assert row is not None
        tx.execute(schema.keys.insert().values(row._asdict()))


def a_defect_that_quotes(_world: World, patch: pytest.MonkeyPatch) -> None:
    def ratchet(csk: bytes, steps: int) -> bytes:
        message = f"the key {csk.hex()} of {CANARY}anna cannot go on by {steps}"
        raise ValueError(message)

    patch.setattr(derive, "ratchet", ratchet)


def fault_of(world: World, breaks: Callable[[World, pytest.MonkeyPatch], None]) -> Exception:
    with pytest.MonkeyPatch.context() as patch:
        try:
            breaks(world, patch)
            world.read("anna")
        except Exception as fault:  # noqa: BLE001 - whatever it is
            return fault
    raise AssertionError("nothing went wrong")


@pytest.mark.parametrize(
    "breaks",
    [damaged_keys, another_key, wrong_key_file, erased, one_id_twice, a_defect_that_quotes],
    ids=lambda breaks: breaks.__name__,
)
def test_no_fault_tells_a_key_or_a_name(
    world: World,
    made: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    breaks: Callable[[World, pytest.MonkeyPatch], None],
) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    needles = [*forms(world, made), *disguises(CANARY.encode()), json.dumps(CANARY)[1:-1].encode()]
    monkeypatch.setenv("GLOMSKA_DEBUG", "1")
    fault = fault_of(world, breaks)
    said = io.StringIO()
    Log(stream=said, level="debug").error("reading", fault)
    for as_json in (False, True):
        failure.report(fault, as_json=as_json)
    told = said.getvalue() + "".join(capsys.readouterr())
    if isinstance(fault, GlomskaError):  # of others nothing but type and place is told
        told += "".join(traceback.format_exception(fault))
    assert len(told) > 100
    assert not any(needle in told.encode() for needle in needles)
