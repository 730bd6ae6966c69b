"""Erasure: destroy a customer's keys, and prove it at every step.

    1. intent     in the ledger, durable
    2. fenced     one transaction: keys `erasing`; fences; what is to be deleted, captured under a purge key;
    generation + 1 3. released   every worker has acknowledged the generation, or its lease is over 4. effective
    wrapped keys, routes and records deleted, and the key store's files scanned for them 5. purged     rows deleted
    from every store by captured pseudonym, at once and again when the longest request that a
                  worker may have had under way is over; then the purge key and the capture go too

Every step is recorded and may be repeated: end the process anywhere and `resume` converges. Before step 4 is done
nothing is reported as erased. A worker that is stopped or cut off delays step 3 by its lease plus 10 %, and no more.

    erasure = erasures.erase(controller, customer)      # steps 1 to 4, and the first purge
    erasures.resume()                                   # whatever is open: called by `run` once a second
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.control import customer as customers
from gateway.control.role import Act, Control
from gateway.errors import KeyDestroyed, Unreachable
from gateway.keys import lease
from gateway.keys.capture import Capture, collect
from gateway.keys.custodian import Custodian
from gateway.keys.fencing import fence_lines, fences_of
from gateway.keys.lifecycle import KeyState, move
from gateway.keys.lineage import Lineage
from gateway.keys.subject import open_subject
from gateway.keystore import acts, lineages, rows, subjects, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, CustomerId, Incarnation, new_id

ERASE = "erase"
PURGE = "purge"
_PAUSE = 0.01  # seconds between looks at the workers
_MARGIN = lease.SECOND  # between the last request's deadline and the second purge


class Step(enum.StrEnum):
    """How far an erasure has come."""

    FENCED = "fenced"
    DELETED = "deleted"  # committed, not yet proven
    EFFECTIVE = "effective"
    PURGED_ONCE = "purged_once"
    PURGED = "purged"


class Eraser(Protocol):
    """A store of the inventory, as erasure needs it."""

    def delete(self, measurements: Sequence[str], pseudonyms: Sequence[str]) -> int:
        """Remove all rows of these series; how many. Raises Unreachable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What came of an erasure. `effective_ms` counts from the request; None when it was effective before."""

    erasure: bytes
    step: Step
    effective_ms: float | None
    rows: int | None
    workers: int


class Erasures:
    """The erasure protocol over one key store, its ledger, and an inventory of stores."""

    def __init__(
        self, control: Control, custodian: Custodian, inventory: Mapping[str, Eraser], *, future_window_s: int
    ) -> None:
        self._control = control
        self._clock = control.clock
        self._custodian = custodian
        self._inventory = inventory
        self._future = future_window_s * lease.SECOND

    def erase(
        self,
        controller: Controller,
        customer: CustomerId,
        *,
        on_step: Callable[[Step], None] = lambda _step: None,
    ) -> Erased:
        """Steps 1 to 4 and the first purge; what is left of step 5 is done by whoever calls `resume` next.

        Raises:
            UnknownSubject, KeyDestroyed: there is nobody to erase, or nobody any more.
            CustodianFault, Refused, IntegrityStop, Unreachable: what was done so far stands, and `resume` goes on.
        """
        started = self._clock.boottime()
        with self._control.keystore.snapshot() as tx:
            lineage = customers.open_lineage(tx, self._custodian, controller)
            incarnation = customers.find_incarnation(tx, lineage, customer)
            begun = acts.erasure_of(tx, incarnation)
        erasure = begun.erasure if begun else self._fence(lineage, incarnation)
        counted = self._advance(erasure, on_step)
        effective_ms = (self._clock.boottime() - started) / 1e6
        found = self._purge_if_reachable(erasure, on_step)
        return Erased(
            erasure=erasure,
            step=Step(found.step),
            effective_ms=effective_ms,
            rows=found.rows_first,
            workers=counted,
        )

    def resume(self) -> list[bytes]:
        """Carry on with every erasure that is not done; those that are done now. Raises Unreachable and as `erase`."""
        self._resume_intents()
        with self._control.keystore.snapshot() as tx:
            waiting = acts.open_erasures(tx, done=Step.PURGED)
        done = []
        for erasure in waiting:
            self._advance(erasure.erasure, lambda _step: None)
            if Step(self._purge_if_reachable(erasure.erasure, lambda _step: None).step) is Step.PURGED:
                done.append(erasure.erasure)
        return done

    def seconds_to_purge(self, erasure: bytes) -> float:
        """How long until the second purge of an erasure may be done; 0 when it may, or is."""
        found = self._find(erasure)
        if found.purge_due is None or found.step == Step.PURGED or found.purge_boot != lease.boot_id():
            return 0.0
        return max(0.0, (found.purge_due - self._clock.boottime()) / lease.SECOND)

    def _fence(self, lineage: Lineage, incarnation: Incarnation) -> bytes:
        """Steps 1 and 2."""
        erasure = new_id()
        with self._control.begin(ERASE, erasure=erasure.hex(), incarnation=incarnation.hex()) as act:
            self._fence_within(act, lineage, incarnation, erasure)
        return erasure

    def _fence_within(self, act: Act, lineage: Lineage, incarnation: Incarnation, erasure: bytes) -> None:
        tx, now = act.tx, self._clock.wall()
        lineage.refresh(tx)
        key_rows = customers.living_keys(tx, incarnation)
        subject = open_subject(lineage, incarnation, key_rows)
        capture = collect(tx, subject, key_rows, newest=now + self._future)
        fences = fences_of(tx, lineage, subject, erasure=erasure, now=now)
        subjects.add_fences(tx, fences)
        self._control.ledger.append_fences(fence_lines(tx, lineage, fences))
        for key in key_rows:
            subjects.move_key(tx, key.key_id, state=move(KeyState(key.state), KeyState.ERASING), now=now)
        purge_key = lineage.add_purge_key(tx, now=now)
        row = rows.Erasure(
            erasure=erasure,
            controller=lineage.controller,
            incarnation=incarnation,
            seq=act.seq,
            step=Step.FENCED,
            generation=workers.raise_generation(tx),
            requested=now,
            effective=None,
            purge_due=None,
            purge_boot=None,
            purge_key=purge_key,
            capture=lineage.seal_capture(tx, purge_key, capture.encode(), erasure=erasure),
            rows_first=None,
            rows_second=None,
        )
        acts.add_erasure(tx, row)

    def _advance(self, erasure: bytes, on_step: Callable[[Step], None]) -> int:
        """Steps 3 and 4, from wherever they stand; the number of workers that were waited for."""
        on_step(Step.FENCED)
        counted = 0
        found = self._find(erasure)
        if found.step == Step.FENCED:
            counted = self._await_workers(found.generation)
            self._delete_keys(erasure)
            found = self._find(erasure)
        if found.step == Step.DELETED:
            self._control.keystore.scrub(self._capture(found).trace_bytes())
            self._note(erasure, was=Step.DELETED, step=Step.EFFECTIVE, effective=self._clock.wall())
        self._control.conclude(ERASE, found.seq, state="effective", workers=counted)
        on_step(Step.EFFECTIVE)
        return counted

    def _await_workers(self, generation: int) -> int:
        """Step 3. What a worker holds it lets go of when it acknowledges, or when its lease is over."""
        asked, boot = self._clock.boottime(), lease.boot_id()
        while True:
            with self._control.keystore.snapshot() as tx:
                found = workers.find_all(tx)
            now = self._clock.boottime()
            behind = [w for w in found if w.generation < generation]
            if all(lease.is_over(w, now=now, boot=boot, asked=asked) for w in behind):
                return len(found)
            time.sleep(_PAUSE)

    def _delete_keys(self, erasure: bytes) -> None:
        """Step 4, the transaction."""
        with self._control.step() as tx:
            found = acts.find_erasure(tx, erasure)
            if found is None or found.step != Step.FENCED:
                return  # another process came first
            now = self._clock.wall()
            for key in subjects.find_keys(tx, [found.incarnation]):
                if key.state == KeyState.ERASING:
                    subjects.destroy_key(tx, key.key_id)
                    subjects.move_key(tx, key.key_id, state=move(KeyState(key.state), KeyState.DESTROYED), now=now)
            subjects.delete_identity(tx, found.incarnation)
            longest = max((w.deadline for w in workers.find_all(tx)), default=None)
            due = self._clock.boottime() if longest is None else self._clock.boottime() + longest + _MARGIN
            acts.update_erasure(tx, erasure, step=Step.DELETED, purge_due=due, purge_boot=lease.boot_id())

    def _purge_if_reachable(self, erasure: bytes, on_step: Callable[[Step], None]) -> rows.Erasure:
        """Step 5, as far as it can be done now: a store that does not answer leaves it open."""
        found = self._find(erasure)
        try:
            if found.step == Step.EFFECTIVE:
                self._note(erasure, was=Step.EFFECTIVE, step=Step.PURGED_ONCE, rows_first=self._purge(found))
                on_step(Step.PURGED_ONCE)
            if self._find(erasure).step == Step.PURGED_ONCE and self.seconds_to_purge(erasure) == 0:
                self._purge_again(found)
                on_step(Step.PURGED)
        except Unreachable:
            return self._find(erasure)
        return self._find(erasure)

    def _purge_again(self, found: rows.Erasure) -> None:
        """The second purge, and the end of what it needed."""
        gone = self._purge(found)
        with self._control.act(PURGE, erasure=found.erasure.hex(), incarnation=found.incarnation.hex()) as act:
            act.outcome["rows"] = gone
            if found.purge_key is not None:
                lineages.delete_secret(act.tx, found.purge_key)
            acts.update_erasure(act.tx, found.erasure, step=Step.PURGED, rows_second=gone, capture=None, purge_key=None)

    def _purge(self, found: rows.Erasure) -> int:
        capture = self._capture(found)
        return sum(store.delete(capture.measurements, capture.pseudonyms) for store in self._inventory.values())

    def _capture(self, found: rows.Erasure) -> Capture:
        if found.purge_key is None or found.capture is None:
            message = "this erasure is done, and what it deleted is no longer known"
            raise KeyDestroyed(message)
        with self._control.keystore.snapshot() as tx:
            lineage = customers.open_lineage(tx, self._custodian, found.controller)
            plain = lineage.open_capture(tx, found.purge_key, found.capture, erasure=found.erasure)
        return Capture.decode(plain)

    def _resume_intents(self) -> None:
        """Erasures whose intent is in the ledger and which the key store has never heard of: do step 2 now."""
        with self._control.keystore.snapshot() as tx:
            unknown = [
                line
                for line in self._control.ledger.open_intents.values()
                if line.act == ERASE and acts.find_erasure(tx, bytes.fromhex(str(line.body["erasure"]))) is None
            ]
        for line in unknown:
            self._resume_intent(line.seq, bytes.fromhex(str(line.body["erasure"])), str(line.body["incarnation"]))

    def _resume_intent(self, seq: int, erasure: bytes, incarnation: str) -> None:
        wanted = Incarnation(bytes.fromhex(incarnation))
        with self._control.step() as tx:
            key_rows = subjects.find_keys(tx, [wanted])
            acts.record_intent(tx, seq=seq, act=ERASE, now=self._clock.wall())
            if key_rows and acts.erasure_of(tx, wanted) is None:
                lineage = customers.open_lineage(tx, self._custodian, key_rows[0].controller)
                self._fence_within(Act(tx=tx, seq=seq), lineage, wanted, erasure)

    def _find(self, erasure: bytes) -> rows.Erasure:
        with self._control.keystore.snapshot() as tx:
            found = acts.find_erasure(tx, erasure)
        if found is None:
            message = "there is no such erasure"
            raise KeyDestroyed(message)
        return found

    def _note(self, erasure: bytes, *, was: Step, **changes: object) -> None:
        with self._control.step() as tx:
            found = acts.find_erasure(tx, erasure)
            if found is not None and found.step == was:
                acts.update_erasure(tx, erasure, **changes)


def open_count(tx: Transaction) -> int:
    """Erasures that are not done."""
    return len(acts.open_erasures(tx, done=Step.PURGED))
