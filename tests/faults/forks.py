"""`glomska` commands as processes of their own that are quickly there: forked from a server that has imported them.

with Command(["keys", "turnover"], environment, folder) as command:
    command.await_step("rewrapping")      # it is in that step of the act, one of `STEPS`
    command.kill()                        # SIGKILL; True unless it had ended before
    command.spans()                       # how long each step before took; `command.step` is what it was in
"""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.cli.main import call
from gateway.control import pages
from gateway.control.destroying import Destroying
from gateway.control.erasure import Erasures, open_count
from gateway.control.final import Finality
from gateway.control.purge import Purging
from gateway.control.shredding import Shredding
from gateway.control.turnover import Turnovers
from gateway.errors import GlomskaError, KeyDestroyed, LeaseOver
from gateway.keystore import lineages, turnovers
from gateway.keystore.database import KeyStore
from gateway.model.ids import Controller, parse_customer
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
PATIENCE_S = 120.0
MS = 1_000_000
SMALL_PAGE = 4  # so that a turnover of few keys has many pages
_BEGINS: list[tuple[type, str, str]] = [
    (Turnovers, "begin", "beginning"),
    (Turnovers, "advance", ""),  # whatever the pass has come to
    (Shredding, "conclude", "concluding"),
    (Finality, "finalise", "finalising"),
    (Erasures, "begin", "fencing"),
    (Destroying, "_released", "waiting for workers"),
    (Destroying, "_delete_keys", "deleting keys"),
    (KeyStore, "scrub", "scanning"),
    (Destroying, "certify", "certifying"),
    (Purging, "_first", "purging"),
]
"""What is called at the beginning of a step, and the step's name."""
ENDED = "ended"
_OF_ERASURE = [name for owner, _method, name in _BEGINS if owner in {Erasures, Destroying, KeyStore, Purging}]
_OF_A_PASS = [step.value for step in pages.Step if step not in {pages.Step.PURGED_ONCE, pages.Step.DONE}]
STEPS = {"turnover": ["beginning", *_OF_A_PASS, "concluding", "finalising"], "erase": _OF_ERASURE}
"""Of an act, in order: but for the second purge of a month that is over, which is of one pass in thirty."""


class Command:
    """One process of a command. A context manager, at whose end it is killed unless it ended before."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], folder: Path, *, stdin: str = "") -> None:
        self._steps: list[tuple[str, float]] = []
        self._told, theirs = CONTEXT.Pipe(duplex=False)
        self._said = folder / "said"
        self._process = CONTEXT.Process(target=_run, args=(arguments, dict(environment), self._said, stdin, theirs))
        self._process.start()
        theirs.close()

    @property
    def step(self) -> str:
        """The last that it has told of; empty before the first."""
        return self._steps[-1][0] if self._steps else ""

    def spans(self) -> dict[str, float]:
        """Seconds of each step that is over."""
        return {name: after - at for (name, at), (_next, after) in itertools.pairwise(self._steps)}

    def await_step(self, wanted: str) -> bool:
        """Wait until it is in this step; False when it ended before."""
        while self.step != wanted:
            assert self._told.poll(PATIENCE_S), "it has not come so far"
            if not self._hear():
                return False
        return True

    def kill(self) -> bool:
        """SIGKILL at this moment; False when it had ended, or was about to."""
        self._process.kill()
        return self.end() == -signal.SIGKILL and self.step != ENDED

    def _hear(self) -> bool:
        try:
            self._steps.append(self._told.recv())
        except EOFError:
            return False
        return True

    def end(self) -> int:
        """Its exit code."""
        self._process.join(PATIENCE_S)
        code = self._process.exitcode
        assert code is not None, "it does not end"
        while self._told.poll() and self._hear():
            pass
        return code

    @property
    def said(self) -> str:
        """What it has printed."""
        return self._said.read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._told.close()


Window = tuple[str, int, int]  # a customer, and event times in ms


def look(environment: Mapping[str, str], windows: Sequence[Window], controller: Controller) -> Any:  # noqa: ANN401 - a dict of what `_look` says
    """What a process of its own sees of customers and of the key store: see `_look`."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_look, args=(dict(environment), list(windows), controller, theirs))
    process.start()
    theirs.close()
    try:
        assert ours.poll(PATIENCE_S), "nothing was seen"
        return ours.recv()
    finally:
        process.join(PATIENCE_S)
        ours.close()


def _run(arguments: list[str], environment: dict[str, str], said: Path, stdin: str, told: Connection) -> None:
    """In the child."""
    os.environ.clear()
    os.environ.update(environment)
    tell = _Teller(told)
    for owner, method, step in _BEGINS:
        _announce(owner, method, step, tell)
    pages.KEYS = pages.ROUTES = SMALL_PAGE
    output = said.open("w")
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.stdout = sys.stderr = output
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    code = call(arguments)
    output.flush()
    tell(ENDED)
    os._exit(code)


class _Teller:
    """Says in which step it is, and since when, once for each time that it comes to one."""

    def __init__(self, told: Connection) -> None:
        self._told, self._last = told, ""

    def __call__(self, step: str) -> None:
        if step != self._last:
            self._last = step
            self._told.send((step, time.monotonic()))


def _announce(owner: type, method: str, step: str, tell: Callable[[str], None]) -> None:
    """Say so when a step begins; where it has no name it is the one that the pass has come to."""
    does = getattr(owner, method)

    def announced(self: object, *arguments: Any, **named: object) -> object:  # noqa: ANN401
        tell(step or str(arguments[0].step))
        return does(self, *arguments, **named)

    setattr(owner, method, announced)


def _look(environment: dict[str, str], windows: list[Window], controller: Controller, answer: Connection) -> None:
    """Per window what reads back as (time, quantity, value), None when erased, or the name of a fault; what is mixed.

    `mixed` lists what contradicts "old or new": keys under another wrapping key than the one that a turnover which is
    done has left. `under_way` is the number of acts that are open.
    """
    os.environ.clear()
    os.environ.update(environment)
    with opened(load_settings(None), create=False) as house:
        told = [_read(house, controller, *window) for window in windows]
        fault = ""
        try:
            house.control.check()
            house.control.ledger.verify()
        except GlomskaError as raised:
            fault = type(raised).__name__
        with house.keystore.snapshot() as tx:
            newest = turnovers.newest(tx, controller)
            keks = sorted(lineages.find_keks(tx, controller))
            turning = newest is not None and newest.step != pages.Step.DONE
            behind = {} if newest is None or turning else turnovers.left_behind(tx, controller, e=newest.e)
            under_way = open_count(tx) + turning
        mixed = [f"{count} {what} left behind" for what, count in behind.items() if count]
        if newest is not None and keks not in ([newest.e], [newest.e - 1, newest.e][: 2 * turning]):
            mixed.append(f"wrapping keys {keks}, turnover {newest.e} is {newest.step}")
    answer.send({"read": told, "ledger": fault, "mixed": mixed, "under_way": under_way})


def _read(
    house: House, controller: Controller, name: str, start: int, end: int
) -> list[tuple[int, str, float]] | str | None:
    table, until = None, time.monotonic() + PATIENCE_S / 2
    while table is None:
        try:
            table = house.access.read(
                controller, parse_customer(name), purpose="provision", start=start * MS, end=end * MS
            )
        except KeyDestroyed:
            return None
        except GlomskaError as fault:
            if not isinstance(fault, LeaseOver) or time.monotonic() > until:  # it did not get to run for so long
                return type(fault).__name__
    return [(int(t) // MS, q, float(v)) for t, q, v in zip(table.time, table.quantity, table.value, strict=True)]
