"""Attack 10, memory: a worker has let a customer go, and their keys still stand in what it has given back.

A real worker seals for forty homes in a process of its own, all of whose memory is read meanwhile: that finds the keys
that are in use, and once the customer is erased none of theirs; after a turnover, neither KEK nor route secret of
before. Nothing is promised of swap, of images of the machine's memory, and of what Python puts where on the way to a
key: docs/threat-model.md. The keys are this process's own, derived once more.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from gateway.crypto import derive
from gateway.crypto.derive import STORE_DOMAIN, Use
from gateway.keystore import subjects
from gateway.model.ids import DeviceId, Incarnation, epoch_of
from tests.attacks.mutations import MUTATIONS
from tests.unit.control.processes import CONTEXT, ended, start
from tests.unit.control.test_erasure import lineage_and_incarnation, subject
from tests.unit.runtime.test_worker import running
from tests.world import CANARY, World, message

pytestmark = pytest.mark.both_key_stores

HOMES = 40
ERASED = range(7, 17)  # at one look, which is more than what is written meanwhile covers by itself
NOT_OURS = ("[vvar]", "[vvar_vclock]", "[vsyscall]")  # of the kernel's, which gives them to nobody


def seal_for_all(directory: Path, ready: Event, stop: Event, without: str) -> None:
    """A worker, once it has sealed a reading of each home."""
    if without:  # a mutation takes out the defence here too: see `mutations`
        MUTATIONS[without].take_out(pytest.MonkeyPatch(), "")
    world = World(directory)
    with running(world) as run:
        for number in range(HOMES):
            run.put([number + 1], message(f"meter-{number}", world.clock.wall(), temperature=21.5))
        run.line.wait(HOMES)
        ready.set()
        stop.wait()
    world.close()


@contextlib.contextmanager
def worker(world: World, without: str) -> Iterator[int]:
    """Its process id."""
    for number in range(HOMES):
        world.enrol(f"home-{number}", f"meter-{number}")
    ready, stop = CONTEXT.Event(), CONTEXT.Event()
    process = start(seal_for_all, world.directory, ready, stop, without)
    try:
        assert ready.wait(120)
        assert process.pid is not None
        yield process.pid
    finally:
        stop.set()
        assert ended(process) == 0


@pytest.fixture
def without(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--without-defence") or ""


def keys_of(world: World, number: int) -> dict[str, bytes]:
    """What is held, or was on the way, for one home's readings of this month."""
    lineage, incarnation = lineage_and_incarnation(world, f"home-{number}")
    with world.keystore.snapshot() as tx:
        (row,) = [r for r in subjects.find_keys(tx, [Incarnation(incarnation)]) if r.key_class == "telemetry"]
    csk, month = lineage._csk(row), epoch_of(world.clock.wall())
    now = derive.ratchet(csk, month - row.base)
    naming, sealing = (
        derive.subkey(
            now, use=use, controller=lineage.controller, version=row.version, domain=STORE_DOMAIN, epoch=month
        )
        for use in (Use.PSEUDONYM, Use.SEAL)
    )
    series = derive.series_key(sealing, derive.pseudonym(naming, DeviceId(f"{CANARY}meter-{number}")))
    return {"csk": csk, "csk of the month": now, "naming": naming, "sealing": sealing, "series": series}


def found_in(process: int, needles: dict[str, bytes]) -> set[str]:
    """Those that stand anywhere in the memory of a process."""
    found = set()
    with Path(f"/proc/{process}/maps").open() as maps, Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_rest, name = line.split() if line.rstrip().endswith("]") else [*line.split()[:2], ""]
            if "r" in rights and name not in NOT_OURS:
                first, end = (int(part, 16) for part in span.split("-"))
                with contextlib.suppress(OSError):  # it was given back meanwhile
                    memory.seek(first)
                    data = memory.read(end - first)
                    found |= {name for name, needle in needles.items() if needle in data}
    return found


def test_no_key_of_the_erased_is_in_a_worker_s_memory(world: World, without: str) -> None:
    with worker(world, without) as process:
        needles = {f"{name} {n}": key for n in ERASED for name, key in keys_of(world, n).items()}
        assert found_in(process, needles) >= {f"{name} {n}" for n in ERASED for name in ("csk", "series")}
        os.kill(process, signal.SIGSTOP)
        erasures = [world.erasures.begin(*subject(f"home-{number}")) for number in ERASED]
        os.kill(process, signal.SIGCONT)
        for erasure in erasures:
            world.erasures.finish(erasure, started=world.clock.boottime())
        assert found_in(process, needles) == set()


def test_nor_what_wrapped_it_once_keys_are_turned_over(world: World, without: str) -> None:
    with worker(world, without) as process:
        lineage, _incarnation = lineage_and_incarnation(world, "home-7")
        needles = {"KEK": bytes(lineage._keks[1]), "R": bytes(lineage._routes[0])}
        assert found_in(process, needles) == needles.keys()
        world.turn_over()
        assert found_in(process, needles) == set()
