"""Attack 10: a key in a core dump, a `repr` (and so in a log), or something that was pickled.

Core dumps are off, and nobody else's debugger gets in. Every object of the gateway's that is alive while keys are in
use is shown and written down: none of it holds a byte of a key. (Tracebacks:
tests/unit/keys/test_handle.py. What stays in freed memory: docs/threat-model.md.)
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import pickle
import resource
import secrets as system
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.keys import lineage
from gateway.keys.handle import Redacted
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened
from tests.world import World, disguises

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
