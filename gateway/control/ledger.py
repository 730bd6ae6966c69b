"""The ledger: an append-only, hash-chained file, outside the key store and its backups, of what was done to keys.

    line = RFC 8785 form of one object, newline
    object = {"seq", "time", "act", "phase": "intent" | "outcome", …, "prev", "hash"}
    hash = lower-case hex SHA-256 of the form without "hash"; the first "prev" is 64 zeros

Line 0 is the act "ledger" and carries the ledger's random id. An intent is durable before what it announces; its
outcome follows. No line holds an identifier or a hash of one: incarnations and route ids are random. Beside it,
`fences.jsonl` holds each fence and the wrapped secret it was made under, so that a restored key store can be told of
them again.

Appends are made under `locked()`, by whoever holds the control role (see `control.role`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import rfc8785

from gateway.clock import Clock
from gateway.errors import IntegrityStop, Unreachable
from gateway.model.ids import new_id

Value = str | int | None | list[str]
ZERO = "0" * 64
LOCK_S = 10.0
_PAUSE_S = 0.005


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ledger: `body` is the whole object."""

    seq: int
    act: str
    phase: str
    hash: str
    body: dict[str, Value]

    @property
    def intent(self) -> int:
        """The sequence of the intent that this outcome belongs to."""
        found = self.body.get("intent")
        return found if isinstance(found, int) else -1


class Ledger:
    """An open ledger. Several processes of one machine may have it open; they take turns by a file lock."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._clock = clock
        self.path = directory / "ledger.jsonl"
        self.fences_path = directory / "fences.jsonl"
        self._lock_path = directory / "lock"
        self._offset = 0
        self._last: Line | None = None
        self.newest_outcome: Line | None = None
        self.open_intents: dict[int, Line] = {}
        self.torn = 0
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.locked():
                pass
        except OSError as fault:
            message = f"the ledger cannot be opened: {fault.strerror}"
            raise Unreachable(message, hint="check owner, mode and free space of ledger.path") from None

    @property
    def id(self) -> bytes:
        """The random id of this ledger."""
        return self._id

    @property
    def head(self) -> Line:
        """The newest line."""
        if self._last is None:
            message = "the ledger is empty although it was opened"
            raise IntegrityStop(message)
        return self._last

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file lock, with everything that others appended read and verified.

        Raises:
            IntegrityStop: the file was cut, edited, exchanged or removed.
            Unreachable: it cannot be read or locked.
        """
        with contextlib.ExitStack() as held:
            try:
                descriptor = os.open(self._lock_path, os.O_CREAT | os.O_RDWR, 0o600)
                held.callback(os.close, descriptor)
                _lock(descriptor)
                self._catch_up()
                if self._last is None:
                    self.cut_torn()  # of a first line that was never whole
            except OSError as fault:
                message = f"the ledger cannot be read: {fault.strerror}"
                raise Unreachable(message, hint="check owner and mode of ledger.path") from None
            if self._last is None:
                self._id = new_id()
                self.append("ledger", "outcome", ledger=self._id.hex())
            yield

    def append(self, act: str, phase: str, **body: Value) -> int:
        """Write one line, durable when this returns; its sequence. Within `locked`. Raises Unreachable."""
        line = self._chained(act, phase, body)
        data = rfc8785.dumps(line.body) + b"\n"
        try:
            self._write(self.path, data)
        except OSError as fault:
            then = "nothing was done" if phase == "intent" else "what was done stands, and is noted when there is room"
            message = f"the ledger cannot be written: {fault.strerror}; {then}"
            raise Unreachable(message, hint="without a ledger nothing is done to keys; free some space") from None
        self._offset += len(data)
        self._note(line)
        return line.seq

    def append_fences(self, lines: list[dict[str, Value]]) -> None:
        """Fences of an erasure, durable when this returns. Raises Unreachable."""
        try:
            self._write(self.fences_path, b"".join(rfc8785.dumps(line) + b"\n" for line in lines))
        except OSError as fault:
            message = f"the fence file cannot be written: {fault.strerror}; nothing was erased"
            raise Unreachable(message, hint="free some space beside the ledger, then repeat") from None

    def cut_torn(self) -> None:
        """Remove a torn last line. Within `locked`, once it is known that the key store has never heard of it."""
        if self.torn:
            os.truncate(self.path, self._offset)
            self.torn = 0

    def verify(self) -> int:
        """Read the whole chain again; the number of lines. Raises IntegrityStop naming the first bad line."""
        last: Line | None = None
        count = 0
        with self.locked(), self.path.open("rb") as stream:
            for count, raw in enumerate(stream, start=1):
                last = _parse(raw, last, number=count)
        return count

    def _catch_up(self) -> None:
        if not self.path.exists():
            if self._last is not None:
                message = "the ledger's file has gone while it was in use"
                raise IntegrityStop(message)
            return
        with self.path.open("rb") as stream:
            if stream.seek(0, os.SEEK_END) < self._offset:
                message = "the ledger is shorter than it was"
                raise IntegrityStop(message)
            stream.seek(self._offset)
            self.torn = 0
            for raw in stream:
                if not raw.endswith(b"\n"):
                    self.torn = len(raw)
                    break
                self._note(_parse(raw, self._last, number=0 if self._last is None else self._last.seq + 2))
                self._offset += len(raw)

    def _note(self, line: Line) -> None:
        if line.seq == 0:
            self._id = bytes.fromhex(str(line.body["ledger"]))
        elif line.phase == "intent":
            self.open_intents[line.seq] = line
        else:
            self.open_intents.pop(line.intent, None)
            if line.body.get("result") != "abandoned":  # the key store has never heard of those
                self.newest_outcome = line
        self._last = line

    def _chained(self, act: str, phase: str, body: dict[str, Value]) -> Line:
        seq, prev = (0, ZERO) if self._last is None else (self._last.seq + 1, self._last.hash)
        full: dict[str, Value] = {**body, "seq": seq, "time": self._now(), "act": act, "phase": phase, "prev": prev}
        full["hash"] = sha256(rfc8785.dumps(full)).hexdigest()
        return Line(seq, act, phase, str(full["hash"]), full)

    def _now(self) -> str:
        return dt.datetime.fromtimestamp(self._clock.wall() // 10**9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        new = not path.exists()
        descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            try:
                _write_whole(descriptor, data)
                os.fsync(descriptor)
            except OSError:  # who is told that it was not written must not find it there later
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if new:
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def _write_whole(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _lock(descriptor: int) -> None:
    """The file lock, which nobody holds for longer than one transaction. Raises Unreachable when somebody does."""
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                message = f"another process has held the ledger for {LOCK_S:.0f} s"
                hint = "see that no glomska process is stopped; end the one that is, its act is carried on or closed"
                raise Unreachable(message, hint=hint) from None
            time.sleep(_PAUSE_S)
        else:
            return


def _parse(raw: bytes, last: Line | None, *, number: int) -> Line:
    try:
        body = json.loads(raw)
        claimed = body["hash"]
        rest = {name: value for name, value in body.items() if name != "hash"}
        line = Line(body["seq"], body["act"], body["phase"], claimed, body)
        whole = sha256(rfc8785.dumps(rest)).hexdigest() == claimed
    except (ValueError, KeyError, TypeError):
        line, whole = None, False
    if line is None or not whole:
        message = f"the ledger is damaged at line {max(number, 1)}"
        raise IntegrityStop(message, hint="keep the file; bring back the ledger from its copy")
    if (line.seq, line.body["prev"]) != ((0, ZERO) if last is None else (last.seq + 1, last.hash)):
        message = f"the ledger's chain is broken at line {max(number, 1)}: lines were removed, added or exchanged"
        raise IntegrityStop(message, hint="keep the file; bring back the ledger from its copy")
    return line
