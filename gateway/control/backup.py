"""Backups of the key store: taken, opened again, and useless on their date or after the next turnover.

    backups.take()          # a file in the directory of backups; it was opened again when this returns
    backups.expire()        # locks whose date has come are destroyed at the custodian
    restore(file, …)        # on a new machine with the custodian at hand; `keys recover` then tells what was done since

A backup is a key store in one SQLite file, also that of a PostgreSQL key store; it can be put back as either. It holds
rows under KEK_e, so that a turnover, which destroys W_e, ends it too. It is sealed under a key of its own date, so that
it ends then at the latest. The ledger is backed up apart, by copying its directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.control.role import Control
from gateway.disk import sync_directory
from gateway.errors import CustodianFault, IntegrityStop, Unreachable, UsageFault
from gateway.keys import backup as sealed
from gateway.keys.custodian import Custodian
from gateway.keys.lineage import Lineage
from gateway.keys.recovery import require_medium
from gateway.keystore import lineages
from gateway.keystore.copying import copy_rows
from gateway.keystore.database import KeyStore
from gateway.model.ids import Controller

BACKUP, EXPIRE = "backup", "backup-expired"
DAY = 86_400 * 10**9
KEEP_DAYS = 30
DUE_DAYS = 7
_KEPT = 3  # in the directory: what is older is of before a turnover
_ABANDONED_S = 3_600.0  # nothing here takes so long
_LATER = 1_000  # turnovers of one controller that another one may have had none beside
_TOLD = f'"act":"{BACKUP}'.encode()  # as a line of the ledger has it, also of EXPIRE
_PARTS = ("-wal", "-shm", "-journal")


class Backups:
    """Over one key store and its ledger."""

    def __init__(self, control: Control, custodian: Custodian, directory: Path) -> None:
        self._control = control
        self._clock = control.clock
        self._custodian = custodian
        self._directory = directory

    def take(self, to: Path | None = None, *, days: int = KEEP_DAYS) -> Path:
        """A new backup, opened again. In the ledger.

        Raises:
            UsageFault: there is such a file.
            CustodianFault, Refused, IntegrityStop, Unreachable: there is no new backup.
        """
        now = self._clock.wall()
        until = now // DAY + days
        with self._control.keystore.snapshot() as tx:
            require_medium(tx, self._custodian)
        with self._control.act(BACKUP, until=until) as act:
            seq = act.seq
        file = to or self._directory / f"{now // 10**9}-{seq}.backup"  # of two at once, each its own
        with self._copied() as copy, _faults():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
            try:
                ledger = self._control.ledger.id.hex()
                sealed.write(self._custodian, copy, fresh, ledger=ledger, seq=seq, made=now, until=until)
                self._open_again(fresh, copy)
                if file.exists():
                    raise UsageFault("there is such a file already", hint="give another name")
                _put(fresh, file)
            finally:
                fresh.unlink(missing_ok=True)
        self._prune(file)
        return file

    def expire(self) -> int:
        """Destroy the locks of dates that have come; how many. Whoever calls this has judged the clock."""
        today = self._clock.wall() // DAY
        over = [day for day in self._locks() if day <= today and self._custodian.exists(sealed.LOCK, day)]
        if over:
            with self._control.act(EXPIRE, days=[str(day) for day in over]):
                for day in over:
                    self._custodian.destroy(sealed.LOCK, day)
        return len(over)

    def _locks(self) -> list[int]:
        """The days whose locks were made and not destroyed since, by the ledger: however long ago that was."""
        made, ending = set[int](), dict[object, list[str]]()
        with self._control.ledger.locked():
            for body in (json.loads(raw) for raw in self._control.ledger.lines() if _TOLD in raw):
                if body["phase"] == "intent":
                    made |= {body["until"]} if body["act"] == BACKUP else set()
                    ending[body["seq"]] = body.get("days", [])
                elif body["result"] == "done":
                    made -= {int(day) for day in ending.pop(body["intent"], [])}
        return sorted(made)

    @contextlib.contextmanager
    def _copied(self) -> Iterator[Path]:
        """A copy of the key store as it is now, which goes again."""
        copy = self._directory / f"{secrets.token_hex(4)}.copy"
        try:
            with _faults():
                self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._tidy()
            self._control.keystore.copy_to(copy)
            yield copy
        finally:
            for leftover in self._directory.glob(f"{copy.name}*"):
                leftover.unlink()

    def _open_again(self, file: Path, copy: Path) -> None:
        """Raises VerificationFailed unless every byte comes back."""
        with copy.open("rb") as source:
            for piece in sealed.read(self._custodian, file):
                if source.read(len(piece)) != piece:
                    raise IntegrityStop("the backup does not hold what was written", hint="look at the medium")

    def _tidy(self) -> None:
        """What a process that was killed left here goes: whole key stores, without the lock of a date."""
        for name in ("*.copy*", "*.new"):
            for left in self._directory.glob(name):
                with contextlib.suppress(FileNotFoundError):  # another process tidies up, or has just used it
                    if left.stat().st_mtime < time.time() - _ABANDONED_S:
                        left.unlink()

    def _prune(self, fresh: Path) -> None:
        """By what the ledger had come to: a clock may have been wrong. What is no backup is left alone."""
        found = dict(_headers(self._directory))
        ours = self._control.ledger.id.hex()
        for file in sorted(found, key=lambda file: (file == fresh, found[file].ledger == ours, found[file].seq))[
            :-_KEPT
        ]:
            file.unlink(missing_ok=True)


def newest(directory: Path) -> int | None:
    """When (ns) the newest backup in a directory was made."""
    return max((header.made for _file, header in _headers(directory)), default=None)


def _headers(directory: Path) -> Iterator[tuple[Path, sealed.Header]]:
    for file in directory.glob("*.backup"):
        with contextlib.suppress(UsageFault):  # it is none, or another process has just pruned it
            yield file, sealed.read_header(file)


def restore(custodian: Custodian, file: Path, path: Path, opened: Callable[[Path], KeyStore]) -> sealed.Header:
    """Put a backup where a key store is to be. Its ledger is put back apart; then `keys recover`.

    Raises:
        UsageFault: there is a key store already, or this is no backup.
        CustodianFault: its date has come, a turnover has ended it, or this is not its custodian; nothing was put back.
        Unreachable: the custodian is away.
        VerificationFailed: it was cut or changed.
    """
    for there in (path, *(path.with_name(path.name + part) for part in _PARTS)):
        if there.exists():  # SQLite would bring an old log into what is put beside it
            raise UsageFault(f"there is a key store at {there}", hint="move it and its -wal away first, if it is dead")
    with _unsealed(custodian, file, path.parent, opened) as fresh, _faults():
        _put(fresh, path)
    return sealed.read_header(file)


def restore_rows(
    custodian: Custodian, file: Path, target: KeyStore, directory: Path, opened: Callable[[Path], KeyStore]
) -> sealed.Header:
    """The same into an empty PostgreSQL key store. Raises as `restore`."""
    with _unsealed(custodian, file, directory, opened) as fresh, contextlib.closing(opened(fresh)) as source:
        copy_rows(source, target)
    return sealed.read_header(file)


@contextlib.contextmanager
def _unsealed(custodian: Custodian, file: Path, directory: Path, opened: Callable[[Path], KeyStore]) -> Iterator[Path]:
    """The key store that a backup holds, with keys that the custodian opens, in a file that goes again."""
    fresh = directory / f"{secrets.token_hex(4)}.restored"
    with _faults():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
                for piece in sealed.read(custodian, file):
                    stream.write(piece)
                stream.flush()
                os.fsync(stream.fileno())
            _require_keys(custodian, opened(fresh))
            yield fresh
        finally:
            for leftover in directory.glob(f"{fresh.name}*"):
                leftover.unlink()


def _require_keys(custodian: Custodian, keystore: KeyStore) -> None:
    """Raises CustodianFault where a turnover has destroyed the wrapping keys since.

    A controller of which no wrapping key is left at all has left since; the ledger tells `keys recover` of it.
    """
    opened, left = list[Controller](), list[CustodianFault]()
    try:
        with keystore.snapshot() as tx:
            for controller in lineages.all_controllers(tx):
                try:
                    Lineage.load(tx, custodian, controller)
                    opened.append(controller)
                except CustodianFault as fault:
                    e = lineages.current_e(tx, controller) or 0
                    if any(custodian.exists(controller, later) for later in range(1, e + _LATER)):
                        raise
                    left.append(fault)
    finally:
        keystore.close()
    if left and not opened:
        raise left[0]


def _put(fresh: Path, place: Path) -> None:
    """Under its name, durably. Raises OSError."""
    fresh.replace(place)
    sync_directory(place.parent)


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        message = f"the backup cannot be read or written: {fault.strerror}"
        raise Unreachable(message, hint="check owner, mode and free space of both places") from None
