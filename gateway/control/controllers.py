"""Controllers: one is added, and one leaves. It loses its whole lineage, and with it everything of its customers.

    add    a lineage at e = 1, before anybody is enrolled
    exit   1. intent; one transaction: the controller is marked as leaving, generation + 1. Refused where a law still
              keeps something of an erased customer, unless it is told to end that too
           2. every worker has acknowledged, or its lease is over: its keys are in no process. What waits under them
              in this machine's spools and dead letters is deleted
           3. one transaction: wrapped keys, KEKs, secrets, routes, records and fences deleted, legal holds ended
           4. every W of the controller destroyed at the custodian, reports recorded; also one that a turnover had made
              and not come to use
           5. certificate and outcome, when every worker and every machine's queues are accounted for (`accounting`)

After step 4 no copy of the key store, of whatever age, opens anything of it. Nothing crosses controllers: each has a
lineage of its own, and a key or a hash of one is of no use for another. Rows in the stores stay, unreadable, until they
are dropped there: the names under which they stand can no longer be computed by anyone. Repeating converges; `run`
carries on with an exit that was interrupted or waits for somebody, also with one whose intent is all there is of it.
"""

from __future__ import annotations

import contextlib
import enum
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gateway.control import accounting
from gateway.control import customer as customers
from gateway.control.certificate import Certificates, exit_claims
from gateway.control.chain import Line, Value
from gateway.control.erasure import of_whom, unheard_of
from gateway.control.guard import ns_of
from gateway.control.letting_go import LettingGo
from gateway.control.purge import Queue, Step
from gateway.control.role import EXIT, Control
from gateway.errors import (
    CustodianFault,
    GlomskaError,
    IntegrityStop,
    KeyDestroyed,
    Refused,
    UnknownSubject,
    Unreachable,
)
from gateway.keys.custodian import Custodian, Mark
from gateway.keys.lineage import Lineage, note_destroyed
from gateway.keys.recovery import keepers
from gateway.keystore import accounts, acts, departures, lineages, rows, subjects, turnovers, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller
from gateway.policy.rules import Policy, horizon_epoch

_PAUSE_S = 0.01
_HELD = "`glomska erasures show` says for which law, until when; `--ends-holds` ends them before their date"


class Leaving(enum.StrEnum):
    """How far a controller's exit has come."""

    MARKED = "marked"
    DELETED = "deleted"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What came of an exit. `residue` is what may still hold a wrapping key, in the custodian's words.

    `holds` are the keys, by class, that laws still kept of erased customers: the exit ended that. There is no
    certificate while somebody is still `owing`.
    """

    controller: Controller
    keys: int
    holds: dict[str, int]
    wrappings: int
    attested: bool
    residue: str
    certificate: Path | None
    owing: tuple[str, ...]


class Controllers:
    """Over one key store, its ledger and custodian."""

    def __init__(
        self,
        control: Control,
        custodian: Custodian,
        policy: Callable[[], Policy],
        certificates: Certificates,
        queues: Mapping[str, Queue] = MappingProxyType({}),
    ) -> None:
        self._control = control
        self._keystore = control.keystore
        self._custodian = custodian
        self._policy = policy
        self._certificates = certificates
        self._queues = queues
        self._letting_go = LettingGo(control.keystore, control.clock)

    def add(self, controller: Controller) -> None:
        """A new lineage. Raises Refused for one that is there, KeyDestroyed for one that has left."""
        with self._keystore.snapshot() as tx:
            if Lineage.load(tx, self._custodian, controller) is not None:
                message = "this controller is there already"
                raise Refused(message, hint="`glomska keys status` shows it")
        with self._control.act("controller", controller=controller) as act:
            now = self._control.clock.wall()
            policy = self._policy()
            classes = {name: horizon_epoch(policy, name, now) for name in policy.key_classes}
            Lineage.create(act.tx, self._custodian, controller, classes=classes, now=now)

    def ending_holds(self, controller: Controller, *, allowed: bool) -> dict[str, int]:
        """How many keys, by class, a law keeps of its erased customers; an exit ends that before its date.

        Raises:
            Refused: there are some, it is not `allowed` to end them, and no exit is under way.
        """
        with self._keystore.snapshot() as tx:
            held, begun = accounts.open_holds(tx, controller), departures.find(tx, controller) is not None
        if held and not allowed and not begun:
            message = f"laws still keep keys of this controller's erased customers: {said_of(held)}"
            raise Refused(message, hint=_HELD)
        return held

    def exit(self, controller: Controller, *, ends_holds: bool = False) -> Gone:
        """All five steps, from wherever they stand; the last one only where nobody is owing.

        Raises:
            UnknownSubject: there is no such controller.
            Refused: a turnover or an erasure of it is under way, or a legal hold is in force and it is not to end it.
            CustodianFault, Unreachable: what was done so far stands; repeat.
        """
        with self._keystore.snapshot() as tx:
            found = departures.find(tx, controller)
        if found is None:
            self._mark(controller, ends_holds=ends_holds)
        while (left := self._found(controller)).step != Leaving.GONE:
            if not self._advance(left):
                time.sleep(_PAUSE_S)
        return self._conclude(left)

    def resume(self) -> None:
        """A little of every exit that is under way, without waiting; one that fails holds up no other.

        Raises as `exit`: the first that one could not be carried on for.
        """
        self._control.check()
        faults: list[GlomskaError] = []
        intents = [line for line in self._control.ledger.open_intents.values() if line.act == EXIT]
        for line in intents:
            with _alone(faults), contextlib.suppress(Refused):  # an erasure or a turnover comes first
                self._resume_intent(line, Controller(str(line.body["controller"])))
        with self._keystore.snapshot() as tx:
            marked = {found.controller: found for found in departures.under_way(tx, done=Leaving.GONE)}
            told = [departures.find(tx, Controller(str(line.body["controller"]))) for line in intents]
        for found in {**marked, **{found.controller: found for found in told if found is not None}}.values():
            with _alone(faults):
                self._carry_on(found)
        for fault in faults:
            raise fault

    def _carry_on(self, left: rows.Departure) -> None:
        while left.step != Leaving.GONE and self._advance(left):
            left = self._found(left.controller)
        if left.step == Leaving.GONE:
            self._conclude(left)

    def _resume_intent(self, line: Line, controller: Controller) -> None:
        """Step 1 of an intent that is no exit in the key store yet, of which a recovery may have told it.

        Abandoned where there is nothing to end, or a law keeps what it was not told to end.
        """
        with self._keystore.snapshot() as tx:
            begun = departures.find(tx, controller)
            if begun is not None and begun.seq == line.seq:
                return
            try:
                customers.open_lineage(tx, self._custodian, controller)
            except (UnknownSubject, KeyDestroyed):
                void = True
            else:
                void = _beyond(tx, controller, line.body.get("holds"))
        if void:
            self._control.conclude(EXIT, line.seq, result="abandoned")
            return
        with self._control.step() as tx:
            if departures.find(tx, controller) is None:
                self._require_still(tx, controller)
                if acts.find_act(tx, line.seq) is None:
                    acts.record_intent(tx, seq=line.seq, act=EXIT, now=self._control.clock.wall())
                mark(tx, controller, seq=line.seq, time=str(line.body["time"]), now=self._control.clock.wall())

    def _found(self, controller: Controller) -> rows.Departure:
        with self._keystore.snapshot() as tx:
            found = departures.find(tx, controller)
        if found is None:
            raise IntegrityStop("an exit that was begun is not in the key store")
        return found

    def _advance(self, found: rows.Departure) -> bool:
        """One step; False while a worker is to be waited for."""
        if found.step == Leaving.DELETED:
            self._destroy(found)
        elif self._letting_go.of(found.generation) is None:
            return False
        else:
            self._purge_queues(found.controller)
            self._delete(found)
        return True

    def _mark(self, controller: Controller, *, ends_holds: bool = False) -> None:
        with self._keystore.snapshot() as tx:
            customers.open_lineage(tx, self._custodian, controller)
            self._require_still(tx, controller)
        held = sum(self.ending_holds(controller, allowed=ends_holds).values())
        with self._control.begin(EXIT, controller=controller, holds=held) as act:
            self._require_still(act.tx, controller)
            if _beyond(act.tx, controller, held):
                message = "laws keep more keys of this controller's erased customers than a moment ago"
                raise Refused(message, hint="repeat the command")
            mark(act.tx, controller, seq=act.seq, time=act.time, now=self._control.clock.wall())

    def _require_still(self, tx: Transaction, controller: Controller) -> None:
        """What is under way needs the lineage to end. Raises Refused."""
        if turnovers.unfinished(tx, controller) is not None:
            message = "a turnover of this controller is under way"
            raise Refused(message, hint="`glomska keys turnover --controller NAME` finishes it; then repeat")
        asked_for = subjects.find_keys(tx, [of_whom(line) for line in unheard_of(tx, self._control)])
        begun = [found for found in acts.open_erasures(tx, done=Step.PURGED) if found.controller == controller]
        if begun or controller in {key.controller for key in asked_for}:
            message = "erasures of this controller's customers are under way"
            raise Refused(message, hint=_way_on(tx, begun))

    def _purge_queues(self, controller: Controller) -> None:
        """Those of this machine: what waits in them could only be refused."""
        with self._keystore.snapshot() as tx:
            key_ids = departures.key_ids(tx, controller)
        for queue in self._queues.values():
            queue.purge(key_ids, ())

    def _delete(self, found: rows.Departure) -> None:
        account = departures.account_of(found.seq)
        with self._control.step() as tx:
            now = self._control.clock.wall()
            accounts.settle(tx, account, accounting.ours(), how="purged", now=now)
            departures.delete_all(tx, found.controller, now=now)
            accounts.release_all(tx, found.controller, account=account)
            departures.update(tx, found.controller, step=Leaving.DELETED, effective=now)

    def _destroy(self, found: rows.Departure) -> None:
        controller = found.controller
        with self._keystore.snapshot() as tx:
            oldest, newest = lineages.oldest_e(tx, controller), lineages.current_e(tx, controller) or 0
        self._require_keeper(found, newest)
        unused = [newest + 1] if self._custodian.exists(controller, newest + 1) else []
        reports = {e: self._custodian.destroy(controller, e) for e in (*range(oldest, newest + 1), *unused)}
        now = self._control.clock.wall()
        with self._control.step() as tx:
            note_destroyed(tx, controller, reports, now=now)
            departures.update(tx, controller, step=Leaving.GONE)

    def _require_keeper(self, found: rows.Departure, newest: int) -> None:
        """Whether the keys are kept there: an empty mount point would report all of them destroyed.

        It has the newest of them, or a mark that tells of this exit, from when it had.
        """
        ledger = self._control.ledger
        with ledger.locked():
            told = Mark(found.seq, str(ledger.hash_at(found.seq)))
        for keeper in keepers(self._custodian):
            mark = keeper.mark(ledger.id)
            if mark is not None and mark.seq >= found.seq:
                continue
            if not keeper.exists(found.controller, newest):
                message = "the custodian has neither newest wrapping key nor mark of this exit: its medium may be away"
                raise CustodianFault(message, hint="mount or connect it, then repeat; nothing was destroyed there")
            keeper.set_mark(ledger.id, told)

    def _conclude(self, found: rows.Departure) -> Gone:
        late, _settled = accounting.look_again(self._control, departures.account_of(found.seq), found.generation)
        with self._keystore.snapshot() as tx:
            known = lineages.find_wrappings(tx, found.controller)
            reports = [known[e] for e in sorted(known)]
            claims = exit_claims(tx, found, reports, residue=self._keystore.residue)
            ended = accounts.ended_holds(tx, departures.account_of(found.seq))
        gone = Gone(
            controller=found.controller,
            keys=found.keys,
            holds=dict(Counter(hold.key_class for hold in ended)),
            wrappings=len(reports),
            attested=bool(reports[-1].attested),
            residue=reports[-1].residue,
            certificate=None if late else self._certificates.issue_exit(found.seq, claims),
            owing=tuple(account.party for account in late),
        )
        if not late:
            self._control.conclude(
                EXIT,
                found.seq,
                keys=gone.keys,
                wrappings=gone.wrappings,
                custodian=reports[-1].custodian,
                residue=gone.residue,
            )
        return gone


@contextlib.contextmanager
def _alone(faults: list[GlomskaError]) -> Iterator[None]:
    """What one exit fails by is noted, and the next has its turn; what is of all of them stops at once."""
    try:
        yield
    except (IntegrityStop, Unreachable):
        raise
    except GlomskaError as fault:
        faults.append(fault)


def _way_on(tx: Transaction, begun: list[rows.Erasure]) -> str:
    """How erasures come to their end: of those that are effective time alone may not do."""
    late = {a.party: a for found in begun if found.effective is not None for a in accounting.owing(tx, found.erasure)}
    if not late:
        return "`glomska erasures resume` finishes them; then repeat"
    return (
        f"they wait for {accounting.said(late.values())}: `glomska erasures resume` goes on when that is there; if it "
        "never comes back, say so with `glomska erasures declare-lost`, of each in `glomska erasures list`; then repeat"
    )


def said_of(held: Mapping[str, int]) -> str:
    """Keys that laws keep, by class, in words."""
    return ", ".join(f"{count} of class {name}" for name, count in held.items())


def _beyond(tx: Transaction, controller: Controller, told: Value) -> bool:
    """Whether a law keeps more than an intent was told to end; those of earlier versions did not say."""
    return isinstance(told, int) and sum(accounts.open_holds(tx, controller).values()) > told


def mark(tx: Transaction, controller: Controller, *, seq: int, time: str, now: int) -> None:
    """From here on the controller is leaving, and every worker has to let go of what is its. `time`: of the intent."""
    row = rows.Departure(
        controller=controller,
        seq=seq,
        step=Leaving.MARKED,
        generation=workers.raise_generation(tx),
        requested=ns_of(time),
        effective=None,
        keys=sum(lineages.count_states(tx, controller).values()),
    )
    departures.begin(tx, row)
    accounting.begin(tx, departures.account_of(seq), now=now, broker=False)
