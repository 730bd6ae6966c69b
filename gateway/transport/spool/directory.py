"""All spools of one machine: `state/spool/NAME`, one for each worker, named after its client id.

    spools = Spools(state / "spool", max_bytes=…)
    spools.purge(key_ids, dead)      # by an erasure: overwritten wherever they wait, under living workers too
    spools.report()                  # what waits where, read without disturbing anybody

A spool whose worker has gone stays until it is opened under its name: by a worker of that name, or by a command.
"""

from __future__ import annotations

import fcntl
import os
import urllib.parse
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import Unreachable, UsageFault
from gateway.model.ids import KeyId
from gateway.transport.spool import segment
from gateway.transport.spool.record import VOID, Damage
from gateway.transport.spool.segment import Cursor
from gateway.transport.spool.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What one spool holds. `held`: a process has it; then the last bytes may be on their way and count as damage.

    `since`: wall time, ns; the oldest point that waits has waited since then or longer. None where nothing does.
    """

    worker: str
    held: bool
    points: int
    bytes: int
    damaged: int
    segments: int
    since: int | None


class Spools:
    """Every spool below one directory."""

    def __init__(self, root: Path, *, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes

    def open(self, worker: str, on_damage: Callable[[int], None] = lambda _bytes: None) -> Spool:
        """The spool of a worker, made when it is missing. Raises SpoolHeld, SpoolUnable."""
        return Spool.open(self._place(worker), max_bytes=self._max_bytes, on_damage=on_damage)

    def find(self, worker: str) -> str:
        """The name, when there is such a spool. Raises UsageFault."""
        if worker not in self.workers():
            message = "there is no spool of that name"
            raise UsageFault(message, hint="`glomska spool status` lists them")
        return worker

    def workers(self) -> list[str]:
        """Names of all that there are; other directories, as `lost+found`, are none. Raises Unreachable."""
        try:
            found = [
                (entry.name, urllib.parse.unquote(entry.name)) for entry in os.scandir(self._root) if entry.is_dir()
            ]
            return sorted(name for own, name in found if self._place(name).name == own and _is_spool(self._root / own))
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise _unreadable(fault) from None

    def purge(self, key_ids: Collection[KeyId], dead: Collection[bytes] = ()) -> int:  # noqa: ARG002 - has no hashes
        """Overwrite points of these keys, in every spool; how many. Raises Unreachable."""
        wanted = frozenset(key_ids)
        try:
            return sum(
                segment.overwrite(self._place(worker), number, wanted.intersection)
                for worker in self.workers()
                for number in segment.sizes(self._place(worker))
            )
        except OSError as fault:
            raise _unreadable(fault) from None

    def report(self, on_bytes: Callable[[int], None] = lambda _bytes: None) -> list[Waiting]:
        """Each spool, by name; told of bytes as they are read. Raises Unreachable."""
        try:
            return [self._waiting(worker, on_bytes) for worker in self.workers()]
        except OSError as fault:
            raise _unreadable(fault) from None

    def holds_any(self) -> bool:
        """Whether anything waits in any of them, by their sizes alone. Raises Unreachable."""
        try:
            return any(self._holds(self._place(worker)) for worker in self.workers())
        except OSError as fault:
            raise _unreadable(fault) from None

    @staticmethod
    def _holds(place: Path) -> bool:
        cursor = segment.read_cursor(place) or Cursor()
        return any(
            number >= cursor.segment and size > (cursor.offset if number == cursor.segment else 0)
            for number, size in segment.sizes(place).items()
        )

    def size(self) -> int:
        """Bytes of all of them. Raises Unreachable."""
        try:
            return sum(sum(segment.sizes(self._place(worker)).values()) for worker in self.workers())
        except OSError as fault:
            raise _unreadable(fault) from None

    def _place(self, worker: str) -> Path:
        name = urllib.parse.quote(worker, safe="")
        return self._root / (f"%2E{name[1:]}" if name.startswith(".") else name)

    def _waiting(self, worker: str, on_bytes: Callable[[int], None]) -> Waiting:
        place = self._place(worker)
        cursor, sizes = segment.read_cursor(place) or Cursor(), segment.sizes(place)
        points, damaged, since = 0, 0, None
        for number, size in sizes.items():
            on_bytes(size)
            start = cursor.offset if number == cursor.segment else 0
            if number < cursor.segment or start >= size:
                continue
            try:
                written = segment.path_of(place, number).stat().st_mtime_ns
                for found in segment.records(place, number, start):
                    damaged += isinstance(found, Damage)
                    points += not isinstance(found, Damage) and found.key_id != VOID
            except FileNotFoundError:  # drained meanwhile
                continue
            if points and since is None:
                since = written
        return Waiting(
            worker=worker,
            held=_is_held(place),
            points=points,
            bytes=sum(sizes.values()),
            damaged=damaged,
            segments=len(sizes),
            since=since,
        )


def _is_spool(place: Path) -> bool:
    """Whether there is a lock, or something to purge. One that cannot be looked into may be: that raises OSError."""
    try:
        (place / "lock").stat()
    except FileNotFoundError:
        return bool(segment.sizes(place))
    return True


def _is_held(place: Path) -> bool:
    try:
        file = os.open(place / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _unreadable(fault: OSError) -> Unreachable:
    return Unreachable(
        f"a spool cannot be read or overwritten: {(fault.strerror or 'unknown reason').lower()}",
        hint="see that its directory under `state` belongs to this user, then try again",
    )
