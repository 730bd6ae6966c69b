"""Erasure: destroy a customer's keys, and prove it at every step.

    1. intent     in the ledger, durable
    2. fenced     one transaction: keys `erasing`; fences; what is to be deleted, captured under a purge key;
                  generation + 1
    3. released   every worker has acknowledged the generation, or its lease is over
    4. effective  wrapped keys, routes and records deleted, and the key store's files scanned for them
    5. purged     rows deleted from every store by captured pseudonym, at once and again when everybody is accounted for
                  and the longest request that a worker may have had under way is over; then the purge key and the
                  capture go too, scanned for as well. Nobody is told elsewhere: no recipient was ever given anything
    6. final      every wrapping key that ever covered the keys is reported destroyed: see `control.final`

Effective and final each have a certificate. A class that a law keeps stays, with its key `deactivated`, until the law's
date: then an erasure of its own ends it, by the same steps.

Every step is recorded and may be repeated, by several processes at once: end one anywhere and `resume` converges.
Before step 4 is done nothing is reported as erased. A worker that is stopped or cut off delays step 3 by its lease, on
another machine plus 10 %, and no more. Step 5 waits until it goes on, has ended, or is declared lost: see
`control.accounting`.

    erasure = erasures.erase(controller, customer)      # steps 1 to 4, and the first purge
    erasures.resume()                                   # whatever is open: called by `run` once a second

One that cannot be carried on with, as where a row of its customer does not open, holds up no other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from gateway.control import accounting
from gateway.control import customer as customers
from gateway.control.certificate import EFFECTIVE, FINAL, Certificates
from gateway.control.chain import Line
from gateway.control.destroying import Destroying
from gateway.control.purge import Eraser, Purging, Queue, Retained, Step, find
from gateway.control.role import ERASE, Act, Control
from gateway.control.withdrawal import Withdrawal
from gateway.errors import GlomskaError, IntegrityStop, KeyDestroyed, Unreachable, VerificationFailed
from gateway.keys.custodian import Custodian
from gateway.keys.lifecycle import KeyState
from gateway.keys.lineage import Kind, Lineage
from gateway.keystore import accounts, acts, rows, subjects
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, CustomerId, Incarnation, KeyId, new_id
from gateway.policy.rules import Policy

__all__ = ["Erased", "Eraser", "Erasures", "Queue", "Retained", "Step", "open_count"]

_PAUSE = 0.01  # seconds between looks at the workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What came of an erasure. `effective_ms` counts from the request; `workers` were registered then."""

    erasure: bytes
    step: Step
    effective_ms: float
    rows: int | None
    workers: int
    final: bool
    certificate: Path | None


class Erasures:
    """The erasure protocol over one key store, its ledger, and an inventory of stores."""

    def __init__(  # noqa: PLR0913 - what wiring hands to it
        self,
        control: Control,
        custodian: Custodian,
        inventory: Mapping[str, Eraser],
        queues: Mapping[str, Queue] = MappingProxyType({}),
        *,
        policy: Callable[[], Policy],
        retained: Retained | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self._control = control
        self._clock = control.clock
        self._custodian = custodian
        self.purging = Purging(control, custodian, inventory, queues, retained)
        self._certificates = certificates
        self._destroying = Destroying(control, self.purging, certificates)
        self._withdrawal = Withdrawal(control, custodian, policy)

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
        erasure = self.begin(controller, customer)
        on_step(Step.FENCED)
        return self.finish(erasure, started=started, on_step=on_step)

    def begin(self, controller: Controller, customer: CustomerId) -> bytes:
        """Steps 1 and 2, for who erases many and then waits once. Raises as `erase`."""
        with self._control.keystore.snapshot() as tx:
            lineage = customers.open_lineage(tx, self._custodian, controller)
            incarnation = self._living(tx, lineage, customer)
            begun = acts.erasure_of(tx, incarnation)
        return begun.erasure if begun else self._fence(lineage, incarnation)

    def finish(self, erasure: bytes, *, started: int, on_step: Callable[[Step], None] = lambda _step: None) -> Erased:
        """Steps 3 and 4 and the first purge, of an erasure that was asked for at boot time `started` (ns)."""
        done, faults = self.finish_all([erasure], started=started, on_step=lambda _erasure, step: on_step(step))
        for fault in faults.values():
            raise fault
        return done[0]

    def finish_all(
        self,
        begun: Collection[bytes],
        *,
        started: int,
        on_deleted: Callable[[], None] = lambda: None,
        on_step: Callable[[bytes, Step], None] = lambda _erasure, _step: None,
    ) -> tuple[list[Erased], dict[bytes, GlomskaError]]:
        """The same of many, whose keys are sought in the key store's files together; and what stood in one's way.

        All keys are deleted before any erasure is effective. Ended in between, each is carried on with.
        """
        deleted, faults = dict[bytes, int](), dict[bytes, GlomskaError]()
        for erasure in begun:
            with _alone(erasure, faults):
                while (counted := self._destroying.delete(erasure)) is None:
                    time.sleep(_PAUSE)
                deleted[erasure] = counted
            on_deleted()
        done = list[Erased]()
        for erasure, at in self._proven(deleted, faults).items():
            with _alone(erasure, faults):
                on_step(erasure, Step.EFFECTIVE)
                with contextlib.suppress(Unreachable):  # then step 5 stays open
                    self.purging.run(erasure, partial(on_step, erasure))
                done.append(self._erased(erasure, workers=deleted[erasure], effective_ms=(at - started) / 1e6))
        return done, faults

    def _erased(self, erasure: bytes, *, workers: int, effective_ms: float) -> Erased:
        found = find(self._control, erasure)
        return Erased(
            erasure=erasure,
            step=Step(found.step),
            effective_ms=effective_ms,
            rows=found.rows_first,
            workers=workers,
            final=found.final is not None,
            certificate=self.certificate(found),
        )

    def _proven(self, deleted: Mapping[bytes, int], faults: dict[bytes, GlomskaError]) -> dict[bytes, int]:
        """Those whose keys are gone from the key store's files too; each with its boot time when that was signed."""
        sought, effective = dict[bytes, list[bytes]](), dict[bytes, int]()
        for erasure in deleted:
            with _alone(erasure, faults):
                sought |= self._destroying.traces(erasure)
        self._destroying.prove(sought)
        for erasure in [one for one in deleted if one not in faults]:
            with _alone(erasure, faults):
                self._destroying.tell(erasure, deleted[erasure])
                effective[erasure] = self._clock.boottime()
        return effective

    def resume(self) -> list[bytes]:
        """Carry on with every erasure that is not done, without waiting; those that are done now.

        Raises:
            Refused, IntegrityStop, Unreachable: the key store's or the ledger's; one of a store leaves the purges for
                the next call.
            CustodianFault, VerificationFailed: the first that one could not be carried on for; the others were.
        """
        done, faults = self.carry_on()
        for fault in faults.values():
            raise fault
        return done

    def carry_on(self) -> tuple[list[bytes], dict[bytes, GlomskaError]]:
        """The same; and, by erasure, what stood in the way of one."""
        self._control.check()
        faults = self._resume_intents()
        with self._control.keystore.snapshot() as tx:
            waiting, bare = acts.open_erasures(tx, done=Step.PURGED), acts.uncertified(tx)
        for found in bare:  # whoever was to write it ended first
            with _alone(found.erasure, faults):
                self._destroying.certify(found.erasure)
        deleted, done = dict[bytes, int](), list[bytes]()
        for found in waiting:
            with _alone(found.erasure, faults):
                counted = self._destroying.delete(found.erasure)
                deleted |= {} if counted is None else {found.erasure: counted}
        effective = [*self._proven(deleted, faults)]
        with contextlib.suppress(Unreachable):  # a store, which answers for the others neither
            for erasure in effective:
                with _alone(erasure, faults):
                    done += [erasure] if self.purging.run(erasure) is Step.PURGED else []
        return done, faults

    def seconds_to_purge(self, erasure: bytes) -> float:
        """How long until the second purge of an erasure may be done; 0 when it may, or is."""
        return self.purging.seconds_left(find(self._control, erasure))

    def owing(self, erasure: bytes) -> list[rows.Account]:
        """Who has still to be accounted for before rows are deleted again. Raises Unreachable."""
        with self._control.keystore.snapshot() as tx:
            return accounting.owing(tx, erasure)

    def certificate(self, found: rows.Erasure) -> Path | None:
        """Where the newest certificate of an erasure is."""
        if self._certificates is None or found.certified is None:
            return None
        return self._certificates.path(found.erasure, EFFECTIVE if found.final is None else FINAL)

    def release(self, controller: Controller) -> list[bytes]:
        """End every legal hold whose date has come: erasures of what it kept, begun here, carried on by `resume`.

        Whoever calls this has judged the clock: a turnover, under its guard. Raises as `resume`.
        """
        self._control.check()
        self._resume_intents()  # first: one of them may end the same hold. What stands in their way `resume` tells
        now = self._clock.wall()
        with self._control.keystore.snapshot() as tx:
            due = accounts.holds_due(tx, controller, now=now)
            lineage = customers.open_lineage(tx, self._custodian, controller) if due else None
            first = {hold.erasure: acts.find_erasure(tx, hold.erasure) for hold in due}
        begun, faults = list[bytes](), dict[bytes, GlomskaError]()
        for erasure, found in first.items():
            if found is not None and lineage is not None:
                keys = [hold.key_id for hold in due if hold.erasure == erasure]
                with _alone(erasure, faults):
                    begun.append(self._release(lineage, found.incarnation, keys))
        for fault in faults.values():
            raise fault
        return begun

    def _release(self, lineage: Lineage, incarnation: Incarnation, keys: list[KeyId]) -> bytes:
        erasure, ids = new_id(), [key.hex() for key in keys]
        with self._control.begin(ERASE, erasure=erasure.hex(), incarnation=incarnation.hex(), released=ids) as act:
            self._withdrawal.of_held(act, lineage, incarnation, erasure, keys)
        return erasure

    def _living(self, tx: Transaction, lineage: Lineage, customer: CustomerId) -> Incarnation:
        """Raises UnknownSubject, KeyDestroyed: it names the certificate, of the last life where there were several."""
        try:
            return customers.find_incarnation(tx, lineage, customer)
        except KeyDestroyed as destroyed:
            fences = subjects.find_fences(tx, lineage.fence_hashes(Kind.CUSTOMER, customer))
            lives = [found for fence in fences if (found := acts.find_erasure(tx, fence.erasure))]
            place = self.certificate(max(lives, key=lambda found: found.seq)) if lives else None
            if place is not None:
                gone = "" if place.exists() else ", which is gone: bring it back from its copy"
                raise KeyDestroyed(str(destroyed), hint=f"the certificate of it is {place}{gone}") from None
            raise

    def _fence(self, lineage: Lineage, incarnation: Incarnation) -> bytes:
        """Steps 1 and 2; the erasure that is under way, of this process or of one that came first."""
        erasure, holds = new_id(), self._withdrawal.holds()
        try:
            with self._control.begin(ERASE, erasure=erasure.hex(), incarnation=incarnation.hex(), **holds) as act:
                self._withdrawal.of_customer(act, lineage, incarnation, erasure, holds)
        except KeyDestroyed:
            with self._control.keystore.snapshot() as tx:
                begun = acts.erasure_of(tx, incarnation)
            if begun is None:
                raise
            return begun.erasure
        return erasure

    def _resume_intents(self) -> dict[bytes, GlomskaError]:
        """Step 2 of what the key store has never heard of; by erasure, what stood in the way of one."""
        faults = dict[bytes, GlomskaError]()
        with self._control.keystore.snapshot() as tx:
            unheard = unheard_of(tx, self._control)
        for line in unheard:
            with _alone(_erasure(line), faults):
                try:
                    begun = self._resume_intent(line)
                except VerificationFailed as fault:
                    message = f"an erasure that was asked for cannot begin: {fault}"
                    raise VerificationFailed(message, hint=fault.hint) from fault
                if not begun:
                    self._control.conclude(ERASE, line.seq, result="abandoned")
        return faults

    def _resume_intent(self, line: Line) -> bool:
        """Whether the intent is an erasure now, or settled; False when there is nothing left to erase."""
        wanted = of_whom(line)
        with self._control.step() as tx:
            if line.seq not in self._control.ledger.open_intents or acts.find_erasure(tx, _erasure(line)) is not None:
                return True  # another process came first
            if acts.find_act(tx, line.seq) is None:
                acts.record_intent(tx, seq=line.seq, act=ERASE, now=self._clock.wall())
            key_rows, named = subjects.find_keys(tx, [wanted]), _released(line)
            held = [row.key_id for row in key_rows if row.key_id in named and row.state == KeyState.DEACTIVATED]
            if not key_rows or (named and not held) or (acts.erasure_of(tx, wanted) is not None and not named):
                return False
            act = Act(tx=tx, seq=line.seq, time=str(line.body["time"]))
            try:  # it says so before it writes anything
                lineage = customers.open_lineage(tx, self._custodian, key_rows[0].controller)
                if named:
                    self._withdrawal.of_held(act, lineage, wanted, _erasure(line), held)
                else:
                    self._withdrawal.of_customer(act, lineage, wanted, _erasure(line), line.body)
            except KeyDestroyed:  # its controller has left, or its keys were given up as lost
                return False
            return True


def open_count(tx: Transaction) -> int:
    """Erasures that are not done."""
    return len(acts.open_erasures(tx, done=Step.PURGED))


def unheard_of(tx: Transaction, control: Control) -> list[Line]:
    """Intents of erasures that the key store does not know: who began them ended before step 2."""
    intents = [line for line in control.ledger.open_intents.values() if line.act == ERASE]
    return [line for line in intents if acts.find_erasure(tx, _erasure(line)) is None]


def of_whom(line: Line) -> Incarnation:
    """Whose erasure it is the intent of."""
    return Incarnation(bytes.fromhex(str(line.body["incarnation"])))


@contextlib.contextmanager
def _alone(erasure: bytes, faults: dict[bytes, GlomskaError]) -> Iterator[None]:
    """What one erasure fails by is noted, and the next has its turn; what is of all of them stops at once."""
    try:
        yield
    except (IntegrityStop, Unreachable):
        raise
    except GlomskaError as fault:
        faults.setdefault(erasure, fault)


def _erasure(line: Line) -> bytes:
    return bytes.fromhex(str(line.body["erasure"]))


def _released(line: Line) -> list[KeyId]:
    """The held keys that an erasure ends; none for the erasure of a customer."""
    found = line.body.get("released")
    return [KeyId(bytes.fromhex(one)) for one in found] if isinstance(found, list) else []
