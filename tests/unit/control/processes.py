"""Processes of one gateway, for tests that need several of them or need one to be killed.

Children come from a fork server that has imported everything once: about 10 ms each.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import ParamSpec, TypeVar

from gateway.clock import Clock
from gateway.control.certificate import Certificates
from gateway.control.chain import Value
from gateway.control.controllers import Controllers
from gateway.control.erasure import open_count
from gateway.control.ledger import Ledger
from gateway.errors import KeyDestroyed, UnknownSubject
from gateway.keys.custodian import FileCustodian
from gateway.keystore.database import KeyStore, Transaction
from gateway.model.ids import parse_controller
from gateway.runtime.config import load_settings
from gateway.runtime.log import Log
from gateway.runtime.wiring import opened
from gateway.transport.sqlite import SqliteStore
from tests.world import CONTROLLER, SECOND, World

P = ParamSpec("P")
R = TypeVar("R")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def start(act: Callable[..., None], *args: object) -> multiprocessing.process.BaseProcess:
    """`act(*args)` in a process of its own."""
    process = CONTEXT.Process(target=act, args=args)
    process.start()
    return process


def ended(process: multiprocessing.process.BaseProcess, seconds: float = 60.0) -> int:
    """Its exit code, negative for a signal."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("it did not end")
    return process.exitcode


def erase_until(directory: Path, customer: str, boundary: int) -> None:
    """Erase, and be killed at one of the boundaries between what lasts and what does not, counted from 1."""
    world = World(directory)
    kill_at(boundary)
    world.erase(customer)
    world.close()


def erase_until_noted(directory: Path, customer: str, clock: Clock | None = None) -> None:
    """Erase, and be killed when the fences are in their file and nothing of them is committed."""
    world, append = World(directory, clock=clock), Ledger.append_fences

    def killed(self: Ledger, lines: list[dict[str, Value]]) -> None:
        append(self, lines)
        os.kill(os.getpid(), signal.SIGKILL)

    Ledger.append_fences = killed  # type: ignore[method-assign]
    world.erase(customer)


def exit_until(directory: Path, boundary: int) -> None:
    """The world's controller leaves, until this process is killed at a boundary."""
    world = World(directory)
    kill_at(boundary)
    Controllers(world.control, world.custodian, lambda: world.policy, world.certificates).exit(
        parse_controller(CONTROLLER)
    )
    world.close()


def resume_until(directory: Path, boundary: int) -> None:
    """Carry on with whatever is open, and be killed at a boundary."""
    world = World(directory)
    kill_at(boundary)
    world.erasures.resume()
    world.close()


def kill_at(boundary: int) -> Callable[[], int]:
    """SIGKILL at a write of the ledger, a transaction, its commit, a scrub, a deletion, an act of the custodian.

    What comes back tells how many of them were passed.
    """
    passed = 0

    def cross() -> None:
        nonlocal passed
        passed += 1
        if passed == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(wrapped: Callable[P, R]) -> Callable[P, R]:
        def call(*args: P.args, **named: P.kwargs) -> R:
            cross()
            result = wrapped(*args, **named)
            cross()
            return result

        return call

    act = KeyStore.act

    @contextlib.contextmanager
    def crossed(self: KeyStore) -> Iterator[Transaction]:
        cross()
        with act(self) as tx:
            yield tx
            cross()
        cross()

    KeyStore.act = crossed  # type: ignore[method-assign]
    KeyStore.scrub = around(KeyStore.scrub)  # type: ignore[method-assign]
    SqliteStore.delete = around(SqliteStore.delete)  # type: ignore[method-assign]
    Certificates._write = around(Certificates._write)  # type: ignore[method-assign]
    Ledger._write = staticmethod(around(Ledger._write))  # type: ignore[method-assign]
    FileCustodian.create = around(FileCustodian.create)  # type: ignore[method-assign]
    FileCustodian.destroy = around(FileCustodian.destroy)  # type: ignore[method-assign]
    return lambda: passed


def work(directory: Path, ready: Event, stop: Event, lease_s: float, *, stopped: bool = False) -> None:
    """A worker that does nothing but keep its lease and let go of what it must.

    `stopped`: it stops itself as soon as it has its lease, so that it is never stopped while it holds the key store.
    """
    world = World(directory)
    world.lease._length = int(lease_s * SECOND)
    world.register()
    ready.set()
    if stopped:
        os.kill(os.getpid(), signal.SIGSTOP)
    while not stop.wait(0.05):
        world.ring.poll()
    world.close()


def await_stopped(process: multiprocessing.process.BaseProcess) -> None:
    """Return when SIGSTOP has stopped it."""
    deadline = time.monotonic() + 60
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "it does not stop"
        time.sleep(0.005)


def write_late(directory: Path, clock: Clock, device: str, at: int, sealed: Event, go: Event) -> None:
    """Seal a reading as a worker does; write it when told to, and go on for ever as a worker that has nothing to do."""
    world = World(directory, clock=clock)
    points = world.process_one(device, at, temperature=1.5).points
    sealed.set()
    go.wait(60)
    world.store.write(points)
    while True:
        world.ring.poll()
        time.sleep(0.01)


def enrol_all(directory: Path, customer: str, devices: list[str], begin: Barrier) -> None:
    """One customer claims devices, one act a device."""
    world = World(directory)
    begin.wait()
    for device in devices:
        world.enrol(customer, device)
    world.close()


def enrol_again_and_again(directory: Path, customers: list[str], begin: Barrier, stop: Event) -> None:
    """Claims every customer of a list until told to stop."""
    world = World(directory)
    begin.wait()
    while not stop.is_set():
        for customer in customers:
            world.enrol(customer, f"meter-{customer}")
    world.close()


def erase_one(directory: Path, customer: str, begin: Barrier, result: Queue[tuple[str, int | None]]) -> None:
    """Erases, and tells the erasure's id or the refusal's name."""
    world = World(directory)
    begin.wait()
    try:
        erased = world.erase(customer)
        result.put((erased.erasure.hex(), erased.rows))
    except (KeyDestroyed, UnknownSubject) as refusal:
        result.put((type(refusal).__name__, None))
    world.close()


def resume_all(directory: Path, begin: Barrier) -> None:
    """What a worker does once a second, until nothing is open."""
    world = World(directory)
    begin.wait()
    deadline = time.monotonic() + 60
    while open_erasures(world) and time.monotonic() < deadline:
        world.erasures.resume()
    world.close()


def open_erasures(world: World) -> int:
    """Erasures that are not done."""
    with world.keystore.snapshot() as tx:
        return open_count(tx)


def append_lines(directory: Path, count: int, begin: Barrier) -> None:
    """Acts that do nothing but stand in the ledger."""
    world = World(directory)
    begin.wait()
    for _ in range(count):
        with world.control.act("enrol"):
            pass
    world.close()


def serve(directory: Path, environment: dict[str, str], ready: Event) -> None:
    """A whole gateway as `run` builds it, until it is killed."""
    settings = load_settings(environ={"GLOMSKA_STATE": str(directory), **environment})
    with opened(settings) as house, Path(os.devnull).open("w") as nowhere:
        house.worker(Log(stream=nowhere)).run(ready.set)
