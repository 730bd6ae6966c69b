"""The ledger: an append-only, signed file, outside the key store and its backups, of what was done to keys.

What a line is, and how its hash and signature are made, stands in `control.chain`. Line 0 is the act "ledger" and
carries the ledger's random id and its public key. An intent is durable before what it announces; its outcome follows,
and is signed: each outcome is a checkpoint of everything before it. An intent that another process may carry on with is
signed too: the line alone has it done. A ledger of before signatures gets its key with the
next act. No line holds an identifier or a hash of one: incarnations and route ids are random. Beside it, `fences.jsonl`
holds each fence and the wrapped secret it was made under, so that a restored key store can be told of them again.

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import rfc8785

from gateway.clock import Clock
from gateway.control.chain import CARRIED_ON, ROTATE, ZERO, Chain, Line, Value, chained, parse, verify
from gateway.control.guard import is_back, is_leap, ns_of
from gateway.disk import sync_directory
from gateway.errors import IntegrityStop, Unreachable, VerificationFailed
from gateway.keys.fencing import fence_of, secret_of
from gateway.model.ids import new_id

LOCK_S = 60.0  # a page of a turnover on a slow disk takes seconds, and others wait in line
_PAUSE_S = 0.005
_OUTCOME = -1  # where intents are named by their sequences


class Signer(Protocol):
    """The key that lines are signed with. Every method raises CustodianFault when it is not as it must be."""

    def begin(self) -> str:
        """The public key of a ledger that has none yet."""

    def require(self, public: str) -> None:
        """Whether its private half is at hand."""

    def sign(self, public: str, data: bytes) -> str:
        """A signature that `public` verifies."""


class Ledger:
    """An open ledger. Several processes of one machine may have it open; they take turns by a file lock."""

    def __init__(self, directory: Path, clock: Clock, signer: Signer | None = None) -> None:
        """Without a signer it is read, and written only while it is not signed yet."""
        self._clock = clock
        self._signer = signer
        self.path = directory / "ledger.jsonl"
        self.fences_path = directory / "fences.jsonl"
        self._locks = directory / "turn", directory / "lock"
        self._offset = 0
        self._last: Line | None = None
        self.time = 0  # of the newest line, ns
        self.leapt: int | None = None  # time (ns) of a line that lies far ahead of the one before it
        self._before_leap = 0
        self.key: str | None = None
        self.newest_intent: Line | None = None
        self.newest_outcome: Line | None = None  # by its intent: one of a long act comes after those of later ones
        self.late: set[int] = set()  # intents of outcomes that came after another intent; whoever looked empties it
        self.open_intents: dict[int, Line] = {}
        self.torn = 0
        self._unproven: dict[int, tuple[Line, str]] = {}  # what others wrote, and its key: newest outcome, open intents
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
                _lock(*(_opened(held, path) for path in self._locks))
                self._catch_up()
                if self._last is None:
                    self.cut_torn()  # of a first line that was never whole
            except OSError as fault:
                message = f"the ledger cannot be read: {fault.strerror}"
                raise Unreachable(message, hint="check owner and mode of ledger.path") from None
            if self._last is None:
                self._id = new_id()
                self.append("ledger", "outcome", ledger=self._id.hex(), **self._first_key())
            yield

    def append(self, act: str, phase: str, **body: Value) -> int:
        """Write one line, durable when this returns; its sequence. Within `locked`.

        Raises:
            CustodianFault: the key that it is to be signed with is not at hand; an intent is refused for it already.
            Unreachable: it cannot be written.
        """
        if self.key is None and self._last is not None and (first := self._first_key()):
            self._append(ROTATE, "outcome", first)
        return self._append(act, phase, body).seq

    def _append(self, act: str, phase: str, body: dict[str, Value]) -> Line:
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
        return line

    def append_fences(self, lines: list[dict[str, Value]]) -> None:
        """Fences of an erasure, durable when this returns. Raises Unreachable.

        A torn last line is cut: this did not return then, so no key store has heard of that fence.
        """
        try:
            whole, torn = self._fence_lines()
            if torn:
                os.truncate(self.fences_path, len(whole))
            self._write(self.fences_path, b"".join(rfc8785.dumps(line) + b"\n" for line in lines))
        except OSError as fault:
            message = f"the fence file cannot be written: {fault.strerror}; nothing was erased"
            raise Unreachable(message, hint="free some space beside the ledger, then repeat") from None

    def rewrite_fences(self, lines: list[dict[str, Value]]) -> None:
        """Put these fences in the place of all that the file held; whole or not at all. Within `locked`.

        Raises Unreachable: the old file stands.
        """
        fresh = self.fences_path.with_suffix(".new")
        try:
            fresh.unlink(missing_ok=True)
            self._write(fresh, b"".join(rfc8785.dumps(line) + b"\n" for line in lines))
            fresh.replace(self.fences_path)
            sync_directory(self.fences_path.parent)
        except OSError as fault:
            message = f"the fence file cannot be rewritten: {fault.strerror}"
            raise Unreachable(message, hint="free some space beside the ledger, then repeat") from None

    def read_fences(self) -> list[dict[str, Value]]:
        """Every whole fence in the file. Raises IntegrityStop, Unreachable."""
        found = self._fences()
        if None in found:
            message = f"the fence file is damaged at line {found.index(None) + 1}"
            hint = "bring it back from its copy; without one, take the damaged lines out, and what they held is missed"
            raise IntegrityStop(message, hint=hint)
        return [line for line in found if line is not None]

    def legible_fences(self) -> list[dict[str, Value]]:
        """The same without what is damaged, for whoever has a key store that knows better. Raises Unreachable."""
        return [line for line in self._fences() if line is not None]

    def _fences(self) -> list[dict[str, Value] | None]:
        try:
            return [_fence(raw) for raw in self._fence_lines()[0].splitlines()]
        except OSError as fault:
            raise Unreachable(f"the fence file cannot be read: {fault.strerror}") from None

    def _fence_lines(self) -> tuple[bytes, bytes]:
        """Whole lines, and what a power cut left of the last one. Raises OSError."""
        raw = self.fences_path.read_bytes() if self.fences_path.exists() else b""
        end = raw.rfind(b"\n") + 1
        return raw[:end], raw[end:]

    def cut_torn(self) -> None:
        """Remove a torn last line. Within `locked`, once it is known that the key store has never heard of it."""
        if self.torn:
            os.truncate(self.path, self._offset)
            self.torn = 0

    def verify(self, progress: Callable[[int], None] = lambda _lines: None) -> int:
        """Read the whole chain again, signatures too; the number of lines. Raises IntegrityStop, VerificationFailed."""
        with self.locked():
            chain = Chain()
            for raw in self.lines():
                chain.follow(raw)
                progress(chain.lines)
        return chain.lines

    def lines(self) -> Iterator[bytes]:
        """All lines as they stand, oldest first. Within `locked`."""
        with self.path.open("rb") as stream:
            yield from stream

    def hash_at(self, seq: int) -> str | None:
        """The hash of a line, None beyond the end. Within `locked`. The newest intent is at hand, others are sought."""
        if self.newest_intent is not None and self.newest_intent.seq == seq:
            return self.newest_intent.hash
        for number, raw in enumerate(self.lines()):
            if number == seq:
                return str(json.loads(raw)["hash"])
        return None

    def outcome_of(self, intent: int) -> Line | None:
        """The outcome of an act that is done. Within `locked`. It is sought among all lines."""
        for raw in () if intent in self.open_intents else self.lines():
            body = json.loads(raw)
            if body.get("intent") == intent and body.get("result") == "done":
                return Line(int(body["seq"]), str(body["act"]), "outcome", str(body["hash"]), body)
        return None

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
                line = parse(raw, self._last, number=0 if self._last is None else self._last.seq + 2)
                self._doubt(line)
                self._note(line)
                self._offset += len(raw)
        self._require_signed()

    def _doubt(self, line: Line) -> None:
        """A line that another process wrote: what of it is to be proven when all is read."""
        key = line.signer(self.key)
        if line.phase == "outcome":
            self._unproven.pop(line.intent, None)
            if key is not None:
                self._unproven[_OUTCOME] = line, key
        elif line.is_signed:
            self._unproven[line.seq] = line, key or ""
        if self.key is not None and line.next_key is not None:  # else a stranger's key would sign what follows
            self._unproven[line.seq] = line, key or ""
            if line.is_unvouched and not self._is_announced(line):
                message = f"line {line.seq + 1} of the ledger brings a key that no act announced: it was forged"
                raise IntegrityStop(message, hint="keep the file; bring back the ledger from its copy")

    def _is_announced(self, line: Line) -> bool:
        """The key store is asked for an intent that has its outcome: it knows each rotation that there was."""
        intent = self.open_intents.get(line.intent)
        return intent is not None and intent.act == ROTATE and intent.body.get("lost") == line.next_key

    def _require_signed(self) -> None:
        """What a signature answers for is all before it: whoever signed had read that, and asked the same of it."""
        try:
            for line, key in self._unproven.values():
                verify(line, key)
        except VerificationFailed as fault:
            raise IntegrityStop(str(fault), hint=fault.hint) from None
        self._unproven.clear()

    def _note(self, line: Line) -> None:
        time = ns_of(str(line.body["time"]))
        if self._last is not None and is_leap(self.time, time):
            self.leapt, self._before_leap = time, self.time
        elif self.leapt is not None and is_back(self.leapt, time):
            self.leapt = time if is_leap(self._before_leap, time) else None
        self.time = time
        if line.seq == 0:
            self._id = bytes.fromhex(str(line.body["ledger"]))
        elif line.phase == "intent":
            self.open_intents[line.seq] = self.newest_intent = line
        else:
            self.open_intents.pop(line.intent, None)
            if line.body.get("result") != "abandoned" and line.intent >= 0:  # the key store has never heard of those
                self._note_outcome(line)
        self.key = line.next_key or self.key
        self._last = line

    def _note_outcome(self, line: Line) -> None:
        if self.newest_outcome is None or line.intent > self.newest_outcome.intent:
            self.newest_outcome = line
        if self.newest_intent is not None and line.intent < self.newest_intent.seq:
            self.late.add(line.intent)

    def _first_key(self) -> dict[str, Value]:
        return {} if self._signer is None else {"key": self._signer.begin()}

    def _chained(self, act: str, phase: str, body: dict[str, Value]) -> Line:
        seq, prev = (0, ZERO) if self._last is None else (self._last.seq + 1, self._last.hash)
        full: dict[str, Value] = {**body, "seq": seq, "time": self._now(), "act": act, "phase": phase, "prev": prev}
        signer, lost = self._signer, act == ROTATE and "lost" in body
        key = body.get("key") if self.key is None or lost else self.key
        if signer is None or key is None:
            return chained(full)
        if phase == "intent" and act not in CARRIED_ON:
            signer.require(str(self.key))
            return chained(full)
        return chained(full, lambda data: signer.sign(str(key), data))

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
            sync_directory(path.parent)


def _fence(raw: bytes) -> dict[str, Value] | None:
    """A line of the fence file; None for one that is damaged."""
    try:
        line: dict[str, Value] = json.loads(raw)
        fence_of(line), secret_of(line, now=0)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return line


def _write_whole(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _opened(held: contextlib.ExitStack, path: Path) -> int:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    held.callback(os.close, descriptor)
    return descriptor


def _lock(turn: int, lock: int) -> None:
    """The file lock, which nobody holds for longer than one transaction. Raises Unreachable when somebody does.

    Who waits for it holds the turn. So a process that lets go and asks again at once, such as a long enrolment, comes
    after the one that waits, such as an erasure.
    """
    deadline = time.monotonic() + LOCK_S
    _wait_for(turn, deadline)
    _wait_for(lock, deadline)
    fcntl.flock(turn, fcntl.LOCK_UN)


def _wait_for(descriptor: int, deadline: float) -> None:
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
