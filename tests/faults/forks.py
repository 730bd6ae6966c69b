"""`glomska` commands as processes of their own that are quickly there: forked from a server that has imported them.

with Command(["keys", "turnover"], environment, folder) as command:
    command.await_begun()                 # it is in the act
    command.kill()                        # SIGKILL; True unless it had ended before
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.cli.main import call
from gateway.control import pages
from gateway.control.erasure import Erasures, open_count
from gateway.control.turnover import Turnovers
from gateway.errors import GlomskaError, KeyDestroyed
from gateway.keystore import lineages, turnovers
from gateway.model.ids import Controller, parse_customer
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import House, opened

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
PATIENCE_S = 120.0
MS = 1_000_000
SMALL_PAGE = 4  # so that a turnover of few keys has many pages


class Command:
    """One process of a command. A context manager, at whose end it is killed unless it ended before."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], folder: Path, *, stdin: str = "") -> None:
        self._begun, theirs = CONTEXT.Pipe(duplex=False)
        self._said = folder / "said"
        self._process = CONTEXT.Process(target=_run, args=(arguments, dict(environment), self._said, stdin, theirs))
        self._process.start()
        theirs.close()

    def await_begun(self) -> bool:
        """Wait until its act has begun; False when it ended before."""
        assert self._begun.poll(PATIENCE_S), "it has not begun"
        try:
            return bool(self._begun.recv_bytes())
        except EOFError:
            return False

    def kill(self) -> bool:
        """SIGKILL at this moment; False when it had ended."""
        self._process.kill()
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Its exit code."""
        self._process.join(PATIENCE_S)
        code = self._process.exitcode
        assert code is not None, "it does not end"
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
        self._begun.close()


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


def _run(arguments: list[str], environment: dict[str, str], said: Path, stdin: str, begun: Connection) -> None:
    """In the child."""
    os.environ.clear()
    os.environ.update(environment)
    _announce(Turnovers, "run", begun)
    _announce(Erasures, "erase", begun)
    pages.KEYS = pages.ROUTES = SMALL_PAGE
    output = said.open("w")
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.stdout = sys.stderr = output
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    code = call(arguments)
    output.flush()
    os._exit(code)


def _announce(owner: type, name: str, begun: Connection) -> None:
    """Say so when the act begins."""
    act = getattr(owner, name)

    def announced(*arguments: object, **named: object) -> object:
        begun.send_bytes(b"1")
        return act(*arguments, **named)

    setattr(owner, name, announced)


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
    try:
        table = house.access.read(controller, parse_customer(name), purpose="provision", start=start * MS, end=end * MS)
    except KeyDestroyed:
        return None
    except GlomskaError as fault:
        return type(fault).__name__
    return [(int(t) // MS, q, float(v)) for t, q, v in zip(table.time, table.quantity, table.value, strict=True)]
