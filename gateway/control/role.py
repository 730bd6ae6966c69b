"""The control role: who may act on keys, one at a time, each act in the ledger before it happens.

    with control.act("enrol") as act:           # intent durable, then one transaction
        subjects.add_incarnation(act.tx, …)
        act.outcome["incarnations"] = […]       # goes into the outcome line

The lock is held for one transaction, never while waiting. Each transaction, a failed act's too, records the sequence of
its intent in the key store, so that a cut ledger or a restored key store is seen at the next act:

- the key store's acts are in another ledger: refuse the role.
- the key store knows a sequence that the ledger lacks: the ledger was cut; stop.
- an outcome in the ledger is of an intent that the key store does not know: the key store was restored; stop.
- the custodian's mark is ahead of the key store: it was restored, and its ledger with it; stop.
- the line that the custodian's mark names is another one here: the ledger was forked; stop.
- an erasure, turnover or exit is announced that the key store does not know and nobody signed: whoever can write to the
  file would have it done; stop. `disown` closes it as abandoned.

Then a torn last line is cut, and an intent whose process ended before its outcome is closed: `done` or `failed` when
the key store knows it, `abandoned` when not. Erasures, turnovers and exits are carried on with instead. What an outcome
says is noted in the transaction itself, so that it is all said then too: a recovery has nothing else to go by.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gateway.clock import Clock
from gateway.control.chain import CARRIED_ON, ERASE, EXIT, ROTATE, TURNOVER, Line, Value
from gateway.control.ledger import Ledger
from gateway.errors import CustodianFault, IntegrityStop, Refused, Unreachable
from gateway.keys.custody import Mark
from gateway.keys.lease import RECOVER
from gateway.keystore import acts
from gateway.keystore.database import KeyStore, Transaction

__all__ = ["CARRIED_ON", "ERASE", "EXIT", "FAILED", "TURNOVER", "Act", "Control", "require_current", "require_ledger"]

FAILED = " failed"  # behind the name of an act that the key store knows because it was rolled back


@dataclass(slots=True, kw_only=True)
class Act:
    """One act under way: its transaction, its intent, and what its outcome will say."""

    tx: Transaction
    seq: int
    time: str  # of its intent
    repeats: Line | None = None  # the outcome that it had in a key store that was lost
    outcome: dict[str, Value] = field(default_factory=dict)


class Marks(Protocol):
    """The custodian's memory of how far the key store had come. Both raise CustodianFault, Unreachable."""

    def mark(self, ledger: bytes) -> Mark | None:
        """The newest mark; None before the first."""

    def set_mark(self, ledger: bytes, mark: Mark) -> None:
        """Move it forward."""


class Control:
    """Key store and ledger together. Command line and `run` take the role the same way."""

    def __init__(self, keystore: KeyStore, ledger: Ledger, clock: Clock, marks: Marks | None = None) -> None:
        self.keystore = keystore
        self.ledger = ledger
        self.clock = clock
        self._marks = marks

    @contextlib.contextmanager
    def act(self, name: str, **body: Value) -> Iterator[Act]:
        """Intent, transaction, outcome. Raises Refused, IntegrityStop, Unreachable before anything was done."""
        with self._role():
            with self._begun(name, body) as act:
                yield act
            self.ledger.append(name, "outcome", intent=act.seq, result="done", **act.outcome)

    @contextlib.contextmanager
    def begin(self, name: str, **body: Value) -> Iterator[Act]:
        """Intent and transaction of an act whose outcome comes later, by `conclude`."""
        with self._role(), self._begun(name, body) as act:
            yield act

    @contextlib.contextmanager
    def recovery(self, name: str) -> Iterator[Act]:
        """The act that brings a key store which was set back to where its ledger is. Within `ledger.locked()`.

        One that fails is not noted there: a key store that knows the newest act of all passes for one that agrees.
        """
        with self._begun(name, {}, noted=False) as act:
            yield act
        self.ledger.append(name, "outcome", intent=act.seq, result="done", **act.outcome)

    @contextlib.contextmanager
    def step(self) -> Iterator[Transaction]:
        """A further transaction of an act that was begun."""
        with self._role(), self.keystore.act() as tx:
            acts.take_role(tx, self.ledger.id)
            yield tx

    def conclude(self, name: str, intent: int, *, result: str = "done", **body: Value) -> None:
        """The outcome of an act that was begun; nothing happens when it has one."""
        with self._role():
            if intent in self.ledger.open_intents:
                self.ledger.append(name, "outcome", intent=intent, result=result, **body)

    def check(self) -> None:
        """Whether key store and ledger belong together and agree. Raises Refused, IntegrityStop."""
        with self._role():
            pass

    def disown(self) -> list[str]:
        """Close as abandoned what is announced and nobody signed, on an operator's word that nobody here asked for it.

        The acts. Raises as `check`.
        """
        with self.ledger.locked():
            return [line.act for line in self._agree(disowning=True)]

    @contextlib.contextmanager
    def _role(self) -> Iterator[None]:
        with self.ledger.locked():
            self._agree()
            yield

    @contextlib.contextmanager
    def _begun(self, name: str, body: dict[str, Value], *, noted: bool = True) -> Iterator[Act]:
        with self.keystore.snapshot() as tx:
            anchor = acts.access_head(tx).hex()
        seq = self.ledger.append(name, "intent", access=anchor, **body)
        mark = Mark(seq, self.ledger.head.hash)
        try:
            with self.keystore.act() as tx:
                acts.take_role(tx, self.ledger.id)
                acts.record_intent(tx, seq=seq, act=name, now=self.clock.wall())
                act = Act(tx=tx, seq=seq, time=str(self.ledger.head.body["time"]))
                yield act
                acts.note_outcome(tx, seq, act.outcome)
        except BaseException:
            with self.keystore.act() as tx:
                committed = acts.find_act(tx, seq) is not None  # and only a server's answer to that was lost
                if noted and not committed:
                    acts.record_intent(tx, seq=seq, act=name + FAILED, now=self.clock.wall())
            if not committed:  # else the next act closes it as done
                self.ledger.append(name, "outcome", intent=seq, result="failed" if noted else "abandoned")
            raise
        self._mark(mark)

    def _agree(self, *, disowning: bool = False) -> list[Line]:
        """What nobody signed, where it is disowned."""
        with self.keystore.snapshot() as tx:
            owner, newest = acts.known_ledger(tx), acts.newest_known(tx)
            restored = bool(acts.unknown(tx, self._told_last()))
            mark = self._marks.mark(self.ledger.id) if self._marks else None
            restored = restored or (mark is not None and mark.seq > newest)
            known = acts.find_all(tx, self.ledger.open_intents)
        if owner is not None and owner != self.ledger.id:
            message = "the key store's acts are in another ledger than the one configured"
            raise Refused(message, hint="set ledger.path to the ledger that belongs to this key store")
        if newest > self.ledger.head.seq:
            message = "the ledger was cut: the key store knows acts that are not in it"
            raise IntegrityStop(message, hint="bring back the whole ledger from its copy")
        if restored:
            message = "the key store is older than its ledger or its custodian: it was restored from a copy"
            hint = "nothing is served from it before `glomska keys recover` has told it what was done since"
            raise IntegrityStop(message, hint=hint)
        if mark is not None and self.ledger.hash_at(mark.seq) != mark.hash:
            message = "the ledger was forked: the custodian has seen it go another way"
            raise IntegrityStop(message, hint="bring back the ledger that belongs to this custodian from its copy")
        still_open = [*self.ledger.open_intents.values()]
        unsigned = [line for line in still_open if is_unasked_for(line, known.get(line.seq, ("",))[0])]
        if unsigned and not disowning:
            raise not_asked_for(unsigned[0])
        self.ledger.late.clear()
        self.ledger.cut_torn()
        for line in still_open:
            if line.act == ROTATE and "lost" in line.body:
                self._finish_lost(line, known=line.seq in known)
                continue
            name, outcome = known.get(line.seq, ("", {}))
            result = "abandoned" if not name or line in unsigned else "failed" if name.endswith(FAILED) else "done"
            if line.act not in CARRIED_ON or result == "failed" or line in unsigned:
                told = {} if line.act == ROTATE else outcome  # the key before stays: the rotation is asked for again
                self.ledger.append(line.act, "outcome", intent=line.seq, result=result, **told)
        return unsigned

    def _finish_lost(self, line: Line, *, known: bool) -> None:
        """A rotation away from a lost key can only be ended as done: no other outcome has a key to sign it."""
        if not known:
            with self.keystore.act() as tx:
                acts.take_role(tx, self.ledger.id)
                acts.record_intent(tx, seq=line.seq, act=ROTATE, now=self.clock.wall())
        self.ledger.append(ROTATE, "outcome", intent=line.seq, result="done", key=line.body["lost"], lost="yes")

    def _told_last(self) -> set[int]:
        """Intents that a key store knows only if it knows all that have an outcome.

        They reach it in their order, but for those of long acts, which are carried on with also when it has never heard
        of them: it may know later ones before. Their outcomes come late, and each is asked for, once.
        """
        newest = self.ledger.newest_outcome
        return set() if newest is None else {newest.intent, *self.ledger.late}

    def _mark(self, mark: Mark) -> None:
        """Where the custodian is away, the mark stays behind: it refuses nothing, and moves with the next act."""
        if self._marks is not None:
            with contextlib.suppress(CustodianFault, Unreachable):
                self._marks.set_mark(self.ledger.id, mark)


def is_unasked_for(line: Line, known: str) -> bool:
    """Whether this open intent, `known` to the key store by that name, would have done what nobody asked for or signed.

    A signature was verified when the line was read. One of an earlier version has none; the key store knows it mostly.
    """
    return line.act in CARRIED_ON and not line.is_signed and known not in {line.act, line.act + FAILED}


def not_asked_for(line: Line) -> IntegrityStop:
    """What to say of it."""
    message = f"line {line.seq + 1} of the ledger announces an act ({line.act}) that nobody here signed: it was forged"
    hint = (
        "keep a copy of the file, and find out who can write to it; then `glomska ledger disown` closes that line as "
        "abandoned. Where an earlier version was ended in that very act: disown it, too, and repeat the act"
    )
    return IntegrityStop(message, hint=hint)


def require_current(keystore: KeyStore, marks: Marks) -> None:
    """For who has no ledger at hand: that the key store is not older than its custodian remembers.

    Raises:
        IntegrityStop: it was restored.
        CustodianFault, Unreachable.
    """
    with keystore.snapshot() as tx:
        ledger = acts.known_ledger(tx)
    mark = None if ledger is None else marks.mark(ledger)
    with keystore.snapshot() as tx:  # after the mark, which follows each act
        newest = acts.newest_known(tx)
    if mark is not None and mark.seq > newest:
        message = "the key store is older than its custodian: it was restored from a copy"
        raise IntegrityStop(message, hint=RECOVER)


def require_ledger(keystore: KeyStore, directory: Path) -> None:
    """That the ledger is not merely absent, as where its medium is not mounted: a new one would be begun in its place.

    Raises:
        Refused: the key store's acts are in a ledger, and none is there.
    """
    if (directory / "ledger.jsonl").exists():
        return
    with keystore.snapshot() as tx:
        if acts.known_ledger(tx) is not None:
            message = "the ledger is missing: the key store knows acts that were in it"
            raise Refused(message, hint="mount its medium, or bring it back from its copy; see ledger.path")
