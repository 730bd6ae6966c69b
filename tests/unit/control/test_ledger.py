"""The ledger's file: the chain, its last line, several writers, and what is told when it was touched."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import IO

import pytest
import rfc8785

from gateway.clock import SystemClock
from gateway.control.chain import ZERO
from gateway.control.ledger import Ledger
from gateway.errors import IntegrityStop, Refused, Unreachable
from gateway.keystore import acts
from tests.unit.control import processes
from tests.unit.control.processes import CONTEXT, ended, start
from tests.unit.control.test_erasure import ledger_lines
from tests.world import World


def path(world: World) -> Path:
    return world.directory / "ledger" / "ledger.jsonl"


def reopened(world: World) -> World:
    return World(world.directory)


def do_nothing(world: World, times: int = 1, **body: str) -> None:
    for _ in range(times):
        with world.control.act("enrol", **body):
            pass


def test_the_lines_are_a_chain_that_others_can_check(world: World) -> None:
    world.enrol("anna", "meter-1")
    lines = ledger_lines(world.directory)
    assert [(line["seq"], line["act"], line["phase"]) for line in lines] == [
        (0, "ledger", "outcome"),
        (1, "enrol", "intent"),
        (2, "enrol", "outcome"),
    ]
    before = ZERO
    for line, raw in zip(lines, path(world).read_bytes().splitlines(), strict=True):
        assert raw == rfc8785.dumps(line)  # type: ignore[arg-type]  # what it is made of is canonical already
        claimed = line.pop("hash")
        assert line["prev"] == before
        assert claimed == sha256(rfc8785.dumps(line)).hexdigest()  # type: ignore[arg-type]
        before = str(claimed)
    assert world.ledger.verify() == 3
    assert path(world).stat().st_mode & 0o777 == 0o600


def test_outcomes_name_incarnations_and_routes_and_nobody(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    outcome = ledger_lines(world.directory)[-1]
    assert len(outcome["incarnations"]) == 1  # type: ignore[arg-type]
    assert len(outcome["routes"]) == 2  # type: ignore[arg-type]
    assert world.leaks("anna", "meter-1") == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda raw: raw.replace(b'"act":"enrol"', b'"act":"erase"', 1), "damaged at line 2"),
        (lambda raw: b"\n".join([*raw.split(b"\n")[:1], *raw.split(b"\n")[2:]]), "chain is broken at line 2"),
        (lambda raw: b"\n".join([raw.split(b"\n")[i] for i in (0, 2, 1, 3, 4, 5)]), "chain is broken at line 2"),
        (lambda raw: raw[: raw.index(b"\n") + 1] + b"not json\n" + raw[raw.index(b"\n") + 1 :], "damaged at line 2"),
        (lambda raw: b"[]\n" + raw, "damaged at line 1"),
        (lambda raw: raw.replace(b"\n", b"\r\n", 1).replace(b"}", b"]", 1), "damaged at line 1"),
        (lambda raw: b"\0" * 512 + b"\n" + raw, "damaged at line 1"),
    ],
)
def test_an_edited_ledger_is_not_opened(world: World, damage: Callable[[bytes], bytes], said: str) -> None:
    do_nothing(world, 2)
    raw = path(world).read_bytes()
    path(world).write_bytes(damage(raw))
    with pytest.raises(IntegrityStop, match=said):
        reopened(world)
    path(world).write_bytes(raw)


@pytest.mark.both_key_stores
def test_a_cut_ledger_is_refused(world: World) -> None:
    do_nothing(world, 3)
    raw = path(world).read_bytes()
    path(world).write_bytes(b"".join(raw.splitlines(keepends=True)[:3]))
    with pytest.raises(IntegrityStop, match="shorter than it was"):
        do_nothing(world)
    fresh = reopened(world)
    with pytest.raises(IntegrityStop, match="was cut") as stop:
        fresh.control.check()
    assert stop.value.exit_code == 9
    with pytest.raises(IntegrityStop, match="was cut"):
        fresh.enrol("anna", "meter-1")
    fresh.close()
    path(world).write_bytes(raw)
    do_nothing(world)


def test_a_forked_ledger_is_refused_by_who_saw_the_other_branch(world: World) -> None:
    do_nothing(world, 1)
    shutil.copytree(world.directory, world.directory.parent / "fork")
    do_nothing(world, 1)
    fork = World(world.directory.parent / "fork")
    do_nothing(fork, 3)
    shutil.copy(path(fork), path(world))
    with pytest.raises(IntegrityStop):
        do_nothing(world)
    fork.close()


def test_a_torn_last_line_is_cut_and_the_chain_goes_on(world: World) -> None:
    do_nothing(world, 2)
    whole = path(world).read_bytes()
    for torn in (b"{", whole.splitlines()[-1][:-1], b"\0" * 700, whole.splitlines()[-1]):
        path(world).write_bytes(whole + torn)
        fresh = reopened(world)
        assert fresh.ledger.torn == len(torn)
        fresh.control.check()
        assert path(world).read_bytes() == whole
        fresh.close()
    do_nothing(world, 1)
    world.ledger.verify()


@pytest.mark.both_key_stores
def test_a_torn_last_line_that_the_key_store_knows_is_a_cut(world: World) -> None:
    do_nothing(world, 1)
    whole = path(world).read_bytes()
    with world.keystore.act() as tx:
        acts.record_intent(tx, seq=3, act="enrol", now=1)
    path(world).write_bytes(whole + b'{"act":"enr')
    fresh = reopened(world)
    with pytest.raises(IntegrityStop, match="was cut"):
        fresh.control.check()
    assert path(world).read_bytes() == whole + b'{"act":"enr', "evidence is left as it is"
    fresh.close()


def test_a_first_line_that_was_never_whole_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_bytes(b'{"act":"led')
    assert Ledger(tmp_path, SystemClock()).verify() == 1


def test_a_line_that_could_not_be_made_durable_is_not_found_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_nothing(world, 1)
    before = path(world).read_bytes()

    def fails(_descriptor: int) -> None:
        raise OSError(5, os.strerror(5))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(Unreachable, match="the ledger cannot be written: Input/output error; nothing was done"):
            world.enrol("anna", "meter-1")
    assert path(world).read_bytes() == before
    assert world.enrol("anna", "meter-1").enrolled == 1
    world.ledger.verify()


@pytest.mark.both_key_stores
def test_several_processes_append_in_turn(world: World) -> None:
    do_nothing(world)
    begin = CONTEXT.Barrier(4)
    children = [start(processes.append_lines, world.directory, 15, begin) for _ in range(4)]
    assert [ended(child) for child in children] == [0] * 4
    do_nothing(world)
    assert world.ledger.verify() == 1 + 2 * (4 * 15 + 2)


def test_a_removed_ledger_is_seen_while_it_is_open(world: World) -> None:
    do_nothing(world)
    raw = path(world).read_bytes()
    path(world).unlink()
    with pytest.raises(IntegrityStop, match="gone while it was in use"):
        do_nothing(world)
    path(world).write_bytes(raw)


@pytest.mark.both_key_stores
def test_another_ledger_refuses_the_role(world: World) -> None:
    do_nothing(world)
    shutil.move(world.directory / "ledger", world.directory / "ledger.mine")
    fresh = reopened(world)
    for act in (fresh.control.check, lambda: fresh.enrol("anna", "meter-1"), fresh.erasures.resume):
        with pytest.raises(Refused, match="another ledger") as refusal:
            act()
        assert refusal.value.exit_code == 5
    fresh.close()


def test_a_ledger_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file")
    with pytest.raises(Unreachable, match="the ledger cannot be opened"):
        Ledger(tmp_path / "ledger", SystemClock())
    (tmp_path / "closed").mkdir()
    ledger = Ledger(tmp_path / "closed", SystemClock())
    shutil.rmtree(tmp_path / "closed")
    with pytest.raises(Unreachable, match="the ledger cannot be read"), ledger.locked():
        pass


FULL = """
import resource, sys
from pathlib import Path
from gateway.errors import Unreachable
from tests.world import World
world = World(Path(sys.argv[1]))
size = (world.directory / "ledger" / "ledger.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    world.erase("anna") if sys.argv[3] == "erase" else world.enrol("bo", "meter-2")
except Unreachable as fault:
    print(fault)
"""


@pytest.mark.parametrize("act", ["erase", "enrol"])
@pytest.mark.parametrize("room", [0, 40])
def test_on_a_full_disk_nothing_is_done(world: World, act: str, room: int) -> None:
    """The limit on the size of a file stands for the disk; the ledger is longer than the key store's log in pages."""
    world.enrol("anna", "meter-1")
    do_nothing(world, 12, note="x" * 10_000)
    size = path(world).stat().st_size
    assert size > 100_000
    before = path(world).read_bytes()
    command = [sys.executable, "-c", FULL, str(world.directory), str(room), act]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "nothing was done" in done.stdout
    assert path(world).read_bytes() == before
    assert len(world.read("anna")) == 0
    assert world.enrol("bo", "meter-2").enrolled == 1


def test_a_lock_that_is_never_let_go_is_told_and_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped within an act holds it; whoever comes next must not hang without a word."""
    ledger = world.ledger
    monkeypatch.setattr("gateway.control.ledger.LOCK_S", 0.05)
    with (ledger.path.parent / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unreachable, match=r"another process has held the ledger for 0 s"), ledger.locked():
            pass
        fcntl.flock(other, fcntl.LOCK_UN)
    with ledger.locked():
        assert ledger.append("enrol", "intent") == ledger.head.seq


def test_who_waits_comes_before_who_asks_again(world: World) -> None:
    """An erasure beside an enrolment of many: each page lets go of the lock, and must not get it back at once."""
    other, waited, again = Ledger(world.ledger.path.parent, SystemClock()), threading.Event(), 0

    def wait() -> None:
        with other.locked():
            waited.set()

    waiting = threading.Thread(target=wait)
    with (world.ledger.path.parent / "turn").open() as turn:
        with world.ledger.locked():
            waiting.start()
            while is_free(turn):
                time.sleep(0.001)
        while not waited.is_set():
            with world.ledger.locked():
                again += 1
    waiting.join()
    assert again <= 1


def is_free(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


def test_a_fence_that_a_power_cut_tore_is_cut_and_no_erasure_stops_at_it(world: World) -> None:
    for name in ("anna", "bo"):
        world.enrol(name, f"meter-of-{name}")
    world.erase("anna")
    fences = world.directory / "ledger" / "fences.jsonl"
    whole = world.ledger.read_fences()
    with fences.open("ab") as torn:
        torn.write(b'{"erasure":"12')
    assert world.ledger.read_fences() == whole
    world.erase("bo")
    assert world.ledger.read_fences()[: len(whole)] == whole
    assert len(world.ledger.read_fences()) == 2 * len(whole)
