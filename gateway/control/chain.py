"""What a line of the ledger is, and when a chain of them holds. Pure: lines in, verdict out.

    line      = RFC 8785 form of one object, newline
    object    = {"seq", "time", "act", "phase": "intent" | "outcome", …, "prev", "hash"}, most with "signature"
    hash      = lower-case hex SHA-256 of the form without "hash"; the first "prev" is 64 zeros
    signature = base64url of Ed25519 over "glomska/1|ledger" ‖ SHA-256 of the form without "hash" and "signature"

Outcomes are signed, and intents of what another process carries on with: the line alone has it done. Of other intents
nothing comes but an outcome, `abandoned`. Earlier versions signed outcomes alone.

A line that carries `key` in a done outcome names the public key of what follows. The line itself is signed by the key
before it, which so vouches for the next; the first by its own, and so is a rotation that says that the key before was
`lost`, since nobody else can. No other line gets by without the key before it, whatever it carries.

    chain = Chain(public)               # None: whatever key the ledger names
    for raw in file: chain.follow(raw)
    chain.settle()                      # VerificationFailed unless `public` answers for all of it

To answer is to sign: a line by `public`, or by a key it vouched for. That a line names `public` says nothing; anybody
may write that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import rfc8785

from gateway.errors import IntegrityStop, VerificationFailed
from gateway.keys import signing

Value = str | int | None | list[str]
ZERO = "0" * 64
ROTATE = "ledger-key"
CHECKPOINT = "checkpoint"  # changes nothing, and is signed
ERASE = "erase"
TURNOVER = "turnover"
EXIT = "exit"
CARRIED_ON = frozenset({ERASE, TURNOVER, EXIT})  # never closed as abandoned: whoever comes next does the rest
_CONTEXT = b"glomska/1|ledger"


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

    @property
    def next_key(self) -> str | None:
        """The public key of what follows, where this line changes it."""
        if self.phase != "outcome" or self.body.get("result", "done") != "done" or "key" not in self.body:
            return None
        return str(self.body["key"])

    def signer(self, key: str | None) -> str | None:
        """The key that signs this line where one does, `key` being the one in use; None where none is yet."""
        return self.next_key if key is None or self.is_unvouched else key

    @property
    def is_signed(self) -> bool:
        """Whether it carries a signature, which may not hold: see `verify`."""
        return "signature" in self.body

    @property
    def is_unvouched(self) -> bool:
        """Whether it changes the key without the one before, which is lost: the one line that its own key signs."""
        return self.act == ROTATE and self.next_key is not None and "lost" in self.body


def chained(body: dict[str, Value], sign: Callable[[bytes], str] | None = None) -> Line:
    """A line of `body`, which has everything but signature and hash."""
    full = dict(body)
    if sign is not None:
        full["signature"] = sign(_signed(full))
    full["hash"] = sha256(rfc8785.dumps(full)).hexdigest()
    return _line(full)


def parse(raw: bytes, last: Line | None, *, number: int) -> Line:
    """The line that follows `last`; `number` names it, from 1. Raises IntegrityStop."""
    try:
        body = json.loads(raw)
        line: Line | None = _line(body)
        rest = {name: value for name, value in body.items() if name != "hash"}
        whole = sha256(rfc8785.dumps(rest)).hexdigest() == body["hash"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        line, whole = None, False
    if line is None or not whole:
        raise _damaged(number)
    if (line.seq, line.body["prev"]) != ((0, ZERO) if last is None else (last.seq + 1, last.hash)):
        message = f"the ledger's chain is broken at line {max(number, 1)}: lines were removed, added or exchanged"
        raise IntegrityStop(message, hint="keep the file; bring back the ledger from its copy")
    return line


class Chain:
    """A ledger as it is read from its first line: its head, its key, and how far signatures reach."""

    def __init__(self, public: str | None = None) -> None:
        self.lines = 0
        self.head: Line | None = None
        self.id = ""
        self.signed = 0  # lines, from the first, that a signature answers for
        self._wanted = public
        self._vouched = public is None  # whether the key in use is `public`, or one that is vouched for by it
        self._answered = public is None  # whether it, or one that it vouched for, has signed a line
        self._key: str | None = None

    def follow(self, raw: bytes) -> Line:
        """Take the next line. Raises IntegrityStop, VerificationFailed: it, or its signature, does not hold."""
        line = parse(raw, self.head, number=self.lines + 1)
        if (
            rfc8785.dumps(line.body) + b"\n" != raw
        ):  # names twice, or other white space: who reads it decides what it says
            raise _damaged(self.lines + 1)
        if line.seq == 0:
            self.id = str(line.body.get("ledger"))
        self._judge(line)
        self.head, self.lines = line, self.lines + 1
        return line

    def settle(self) -> None:
        """Raises VerificationFailed when `public` has signed nothing here, or not the newest."""
        if not self._answered:
            raise VerificationFailed(
                "nothing in this ledger is signed with that key",
                hint="give the ledger's public key: `glomska ledger public-key`",
            )

    def _judge(self, line: Line) -> None:
        key = line.signer(self._key)
        if key is not None and (line.phase == "outcome" or line.is_signed):
            verify(line, key)
            self.signed = self.lines + 1
            self._answered = self._answered or key == self._wanted or (self._vouched and key == self._key)
        elif line.is_signed:
            raise VerificationFailed(f"line {self.lines + 1} of the ledger is signed and may not be")
        if line.next_key is not None:
            if line.is_unvouched and self._wanted is not None and self._vouched:
                self._unvouched()
            self._key = line.next_key
            self._vouched = self._vouched or self._key == self._wanted

    def _unvouched(self) -> None:
        raise VerificationFailed(
            f"from line {self.lines + 1} on the ledger is signed with a key that the one given never vouched for",
            hint="its owner says that the key was lost; ask them why, and for the new public key",
        )


def verify(line: Line, key: str) -> None:
    """Raises VerificationFailed unless the holder of `key` signed this line, and with it all before."""
    body = {name: value for name, value in line.body.items() if name not in {"hash", "signature"}}
    try:
        signing.verify(key, str(line.body.get("signature")), _signed(body))
    except VerificationFailed:
        hint = "keep the file: lines were forged, or it was signed by something else"
        raise VerificationFailed(
            f"the signature of line {line.seq + 1} of the ledger does not hold", hint=hint
        ) from None


def _damaged(number: int) -> IntegrityStop:
    message = f"the ledger is damaged at line {max(number, 1)}"
    return IntegrityStop(message, hint="keep the file; bring back the ledger from its copy")


def _signed(body: dict[str, Value]) -> bytes:
    return _CONTEXT + sha256(rfc8785.dumps(body)).digest()


def _line(body: dict[str, Value]) -> Line:
    for name in ("time", "prev"):
        if not isinstance(body[name], str):
            raise TypeError(f"{name} is text")
    if body["phase"] not in {"intent", "outcome"}:
        raise ValueError("a line announces an act or ends one")
    return Line(_int(body["seq"]), str(body["act"]), str(body["phase"]), str(body["hash"]), body)


def _int(value: Value) -> int:
    if type(value) is not int:
        raise TypeError("a sequence is a number")
    return value
