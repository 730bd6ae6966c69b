"""A key store that was set back is told what was done since, by a ledger that was not.

    recovered = Recovery(control, custodian, withdrawal).run()

The ledger must reach the custodian's mark, else nothing is done and the key store stays refused. Then every act that
the key store does not know is replayed, in the order of the ledger, in one transaction with the recovery itself, which
says who is lost. Controllers that have left leave again, hand-overs end routes, consents and objections are noted,
suspensions hold, a key that was replaced seals nothing, what was given up as lost stays so, erased customers are fenced
and their keys begin to be destroyed, and fences come back from the fence file.
A fence needs its erasure, by which it is dated and gives way to a new life: that of a customer who was enrolled since
too, or whose keys have ended another way, comes back as far as the ledger tells of it, with nothing left to do.
A fence secret that does not open is brought back from that file too, also where nothing else was lost. Where the file
has fewer fences of an erasure than its outcome says, that is reported: a copy of it, and another recovery, bring them.
What cannot be brought back is reported: keys and routes of customers who were enrolled since, which are random and were
in the lost key store alone. Those who were erased since, or whose controller has left, miss nothing.

An act that was under way, when the medium died, stands in the ledger without an outcome, and the custodian's mark may
be on it. Erasures, turnovers and exits are carried on with; what its intent says in full is done; of any other it is
reported that what came of it is not known.

A copy of before a turnover opens with no key that exists: only a backup since then can be recovered.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from gateway.control import customer as customers
from gateway.control import told
from gateway.control.chain import Chain, Line, Value
from gateway.control.choices import CONSENT, note_choice
from gateway.control.controllers import mark as mark_leaving
from gateway.control.enrolment import ENROL
from gateway.control.guard import ns_of
from gateway.control.handover import HAND_OVER
from gateway.control.pages import RELEASE
from gateway.control.purge import Step
from gateway.control.rekey import REKEY
from gateway.control.role import CARRIED_ON, ERASE, FAILED, TURNOVER, Act, Control
from gateway.control.suspension import RESUME, SUSPEND
from gateway.control.withdrawal import Withdrawal
from gateway.errors import CustodianFault, IntegrityStop, KeyDestroyed, Refused
from gateway.keys.custodian import Custodian, Mark
from gateway.keys.fencing import fence_of, secret_of
from gateway.keys.lifecycle import KeyState, move
from gateway.keys.lineage import Lineage
from gateway.keystore import accounts, acts, departures, lineages, rows, subjects, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, Incarnation, KeyId, RouteId

RECOVER = "recover"
Noted = dict[str, Value]  # a line of the fence file
_SETTLED = frozenset({"done", "failed"})
_SAID = frozenset({CONSENT, SUSPEND, RESUME, REKEY})  # acts whose intent says all that was done
_SECOND = 1_000_000_000


@dataclass(slots=True, kw_only=True)
class Recovered:
    """What was replayed, by act; what came back; and what is lost: incarnations without keys, routes without rows."""

    replayed: Counter[str] = field(default_factory=Counter)
    erased: int = 0
    fences: int = 0
    mended: int = 0  # fence secrets that did not open
    unfenced: list[str] = field(default_factory=list)  # erasures of since, of whose fences some did not come back
    missing: list[str] = field(default_factory=list)
    routes: int = 0
    replaced: list[str] = field(default_factory=list)
    untold: Counter[str] = field(default_factory=Counter)  # by act: under way, and what came of it is not known
    gone: AbstractSet[str] = frozenset()  # incarnations and controllers that have ended since

    def outcome(self) -> dict[str, Value]:
        """As the ledger has it: who asks later what was lost finds it there."""
        return {
            "replayed": sum(self.replayed.values()),
            "missing": self.missing,
            "routes": self.routes,
            "replaced": self.replaced,
            "unknown": [*self.untold.elements()],
            "mended": self.mended,
            "unfenced": self.unfenced,
        }


class Recovery:
    """Over one key store, and a ledger that it does not agree with yet."""

    def __init__(self, control: Control, custodian: Custodian, withdrawal: Withdrawal) -> None:
        self._control = control
        self._ledger = control.ledger
        self._clock = control.clock
        self._custodian = custodian
        self._withdrawal = withdrawal

    def run(self) -> Recovered:
        """Replay what the key store does not know, and note it in the ledger.

        Raises:
            IntegrityStop: the ledger does not reach the mark, or the key store is of before a turnover.
            Refused: it is another key store's ledger.
            CustodianFault, Unreachable: nothing was done.
        """
        found = Recovered()
        with self._ledger.locked():
            lines = self._lines()
            with self._control.keystore.snapshot() as tx:
                mark = self._require(tx, lines)
            noted = self._ledger.read_fences()
            self._ledger.cut_torn()
            self._say_what_was_left(found)
            with self._control.recovery(RECOVER) as act:
                self._replay(act.tx, lines, noted, found)
                self._under_way(act.tx, lines, mark, found)
                workers.raise_generation(act.tx)
                act.outcome |= found.outcome()
        return found

    def _say_what_was_left(self, found: Recovered) -> None:
        """Of a recovery that was ended when it had happened, and had still to say who is lost by it."""
        with self._control.keystore.snapshot() as tx:
            left = [line for line in self._ledger.open_intents.values() if line.act == RECOVER]
            left = [line for line in left if acts.find_act(tx, line.seq) == RECOVER]
            outcomes = [(line.seq, acts.find_outcome(tx, line.seq)) for line in left]
        for seq, outcome in outcomes:
            self._ledger.append(RECOVER, "outcome", intent=seq, result="done", **outcome)
            found.missing += outcome.get("missing", [])
            found.routes += outcome.get("routes", 0)
            found.replaced += outcome.get("replaced", [])
            found.unfenced += outcome.get("unfenced", [])
            found.untold.update(outcome.get("unknown", []))

    def _lines(self) -> list[Line]:
        chain = Chain()
        return [chain.follow(raw) for raw in self._ledger.lines() if raw.endswith(b"\n")]

    def _require(self, tx: Transaction, lines: list[Line]) -> Mark | None:
        owner, mark = acts.known_ledger(tx), self._custodian.mark(self._ledger.id)
        if owner is not None and owner != self._ledger.id:
            raise Refused("the key store's acts are in another ledger", hint="give the ledger that belongs to it")
        far = {line.seq: line.hash for line in lines}
        short = mark is not None and far.get(mark.seq) != mark.hash
        if short or acts.newest_known(tx) > lines[-1].seq:
            raise IntegrityStop(
                "this ledger does not reach what the custodian has seen, so it cannot say what was done since",
                hint="give a copy that does: `glomska keys recover --ledger DIRECTORY`; without one it stays shut",
            )
        return mark

    def _replay(self, tx: Transaction, lines: list[Line], noted: list[Noted], found: Recovered) -> None:
        outcomes = {line.intent: line for line in lines if line.phase == "outcome" and "result" in line.body}
        settled = {seq: outcome for seq, outcome in outcomes.items() if outcome.body["result"] in _SETTLED}
        unknown = [line for line in lines if line.phase == "intent" and acts.find_act(tx, line.seq) is None]
        done = [line for line in unknown if line.seq in settled]
        if any(line.act == TURNOVER and settled[line.seq].body["result"] == "done" for line in done):
            raise _of_before()  # also where the custodian would open it still: its horizons are of before
        found.fences, whole = self._fences(tx, noted, told.void(lines, outcomes))
        found.mended = self._mended(tx, noted)
        left = {Controller(str(line.body["controller"])): line for line in lines if told.is_exit(line, settled)}
        found.gone = left.keys() | {str(line.body["incarnation"]) for line in lines if told.is_erasure(line, outcomes)}
        for controller, line in left.items():  # first: nothing else of theirs opens, or is to be brought back
            if controller in lineages.all_controllers(tx):
                mark_leaving(tx, controller, seq=line.seq, time=str(line.body["time"]), now=self._clock.wall())
        for line in done:
            outcome = settled[line.seq]
            failed = outcome.body["result"] != "done"
            acts.record_intent(tx, seq=line.seq, act=line.act + (FAILED if failed else ""), now=self._clock.wall())
            if not failed:
                found.replayed[line.act] += 1
                self._act(tx, line, outcome, found)
        self._bare_erasures(tx, lines, outcomes)
        whole |= Counter(fence.erasure.hex() for fence in subjects.all_fences(tx))
        counts = told.fences(done, settled)
        found.unfenced += [erasure for erasure, count in counts.items() if whole[erasure] < count]

    def _under_way(self, tx: Transaction, lines: list[Line], mark: Mark | None, found: Recovered) -> None:
        """Intents without outcome, as far as the custodian's mark reaches: they were done, and no ledger says how far.

        What it does not reach is an intent and no more: it is carried on with, or abandoned, as by anybody.
        """
        ended = {line.intent for line in lines if line.phase == "outcome"}
        far = [line for line in lines if line.phase == "intent" and mark is not None and line.seq <= mark.seq]
        for line in [line for line in far if line.seq not in ended and acts.find_act(tx, line.seq) is None]:
            if line.act == TURNOVER:
                self._require_older(line)
            kept = line.act in CARRIED_ON or line.act in _SAID
            acts.record_intent(tx, seq=line.seq, act=line.act + ("" if kept else FAILED), now=self._clock.wall())
            if line.act in _SAID:
                found.replayed[line.act] += 1
                self._act(tx, line, line, found)
            elif not kept and line.act != RECOVER:
                found.untold[line.act] += 1

    def _require_older(self, line: Line) -> None:
        """That what opens this key store was not destroyed by a turnover that had no outcome yet."""
        controller, e = Controller(str(line.body["controller"])), int(str(line.body["e"]))
        if self._custodian.exists(controller, e) and not self._custodian.exists(controller, e - 1):
            raise _of_before()

    def _act(self, tx: Transaction, line: Line, outcome: Line, found: Recovered) -> None:
        match line.act:
            case name if name in {ENROL, HAND_OVER}:
                self._enrolled(tx, outcome, found)
            case name if name == CONSENT:
                self._chosen(tx, line)
            case name if name in {SUSPEND, RESUME}:
                self._suspended(tx, line)
            case name if name == REKEY:
                self._replaced(tx, line, found)
            case name if name == RELEASE:
                self._given_up(tx, outcome)
            case name if name == ERASE:
                found.erased += self._erased(tx, line, outcome)

    def _enrolled(self, tx: Transaction, outcome: Line, found: Recovered) -> None:
        began, routes = told.texts(outcome, "incarnations"), told.texts(outcome, "routes")
        whose = told.whose(outcome, len(began) + len(routes))
        for name, owner in zip(began, whose, strict=False):
            if not {name, owner} & found.gone and not subjects.find_keys(tx, [Incarnation(bytes.fromhex(name))]):
                found.missing.append(name)
        living = [name for name, owner in zip(routes, whose[len(began) :], strict=True) if owner not in found.gone]
        known = subjects.find_routes_by_id(tx, [RouteId(bytes.fromhex(name)) for name in living])
        found.routes += len(living) - len(known)
        ended = dict(zip(told.texts(outcome, "ended"), told.texts(outcome, "at"), strict=False))
        for route in subjects.find_routes_by_id(tx, [RouteId(bytes.fromhex(name)) for name in ended]):
            subjects.end_route(tx, dataclasses.replace(route, valid_to=int(ended[route.route_id.hex()])))

    def _chosen(self, tx: Transaction, line: Line) -> None:
        incarnation, body = told.incarnation(line), line.body
        owner = self._owner(tx, incarnation)
        if owner is None or departures.find(tx, owner) is not None:
            return
        lineage = customers.open_lineage(tx, self._custodian, owner)
        try:
            note_choice(
                tx,
                lineage,
                incarnation,
                purpose=str(body["purpose"]),
                granted=body["granted"] == "yes",
                effective=int(str(body["effective"])),
            )
        except (KeyDestroyed, Refused):  # erased or suspended since: nothing of theirs is served
            return

    def _suspended(self, tx: Transaction, line: Line) -> None:
        if "scope" in line.body:
            scope = "" if line.body["scope"] == "everything" else str(line.body["scope"])
            if line.act == SUSPEND:
                lineages.suspend(tx, Controller(scope), now=self._clock.wall())
            else:
                lineages.resume(tx, Controller(scope))
            return
        moves = {SUSPEND: (KeyState.ACTIVE, KeyState.SUSPENDED), RESUME: (KeyState.SUSPENDED, KeyState.ACTIVE)}
        self._move(tx, told.incarnation(line), *moves[line.act])

    def _replaced(self, tx: Transaction, line: Line, found: Recovered) -> None:
        """Its successor is lost: what it sealed is still read, and nothing new is sealed under it."""
        if self._move(tx, told.incarnation(line), KeyState.ACTIVE, KeyState.COMPROMISED):
            found.replaced.append(told.incarnation(line).hex())

    def _move(self, tx: Transaction, incarnation: Incarnation, was: KeyState, to: KeyState) -> int:
        keys = [key for key in subjects.find_keys(tx, [incarnation]) if key.state == was]
        for key in keys:
            subjects.move_key(tx, key.key_id, state=move(was, to), now=self._clock.wall())
        return len(keys)

    def _given_up(self, tx: Transaction, outcome: Line) -> None:
        """For ever, though this copy may have them whole. An earlier version named those alone who lost everything."""
        named = [KeyId(bytes.fromhex(name)) for name in told.texts(outcome, "keys")]
        whose = [Incarnation(bytes.fromhex(name)) for name in told.texts(outcome, "incarnations")]
        found = [*subjects.find_keys_by_id(tx, named).values(), *subjects.find_keys(tx, whose)]
        lost = {key.key_id for key in found if key.wrapped is not None}
        subjects.lose_keys(tx, lost, now=self._clock.wall())
        accounts.drop_holds(tx, lost)

    def _erased(self, tx: Transaction, line: Line, outcome: Line) -> bool:
        """Whether keys came back that were erased; then the steps of that erasure begin again."""
        incarnation, erasure = told.incarnation(line), told.erasure(line)
        owner = self._owner(tx, incarnation)
        if owner is None or departures.find(tx, owner) is not None or acts.find_erasure(tx, erasure) is not None:
            return False
        lineage = customers.open_lineage(tx, self._custodian, owner)
        act = Act(tx=tx, seq=line.seq, time=str(line.body["time"]), repeats=outcome)
        named = told.texts(line, "released")
        released = [key for key in subjects.find_keys(tx, [incarnation]) if key.key_id.hex() in named]
        try:
            if "released" in line.body:
                self._withdrawal.of_held(act, lineage, incarnation, erasure, [key.key_id for key in released])
            else:
                self._withdrawal.of_customer(act, lineage, incarnation, erasure, line.body)
        except KeyDestroyed:
            return False
        return True

    def _bare_erasures(self, tx: Transaction, lines: list[Line], outcomes: dict[int, Line]) -> None:
        """What fences here are of, where nothing is left to erase. An open one gets its outcome as others do.

        Its time is never before what it was: whoever has the device since then gets nothing of before.
        """
        whose = {fence.erasure: fence.controller for fence in subjects.all_fences(tx)}
        for line in lines:
            controller = whose.get(told.erasure(line)) if line.act == ERASE and line.phase == "intent" else None
            if controller is None or acts.find_erasure(tx, told.erasure(line)) is not None:
                continue
            if any(key.wrapped is not None for key in subjects.find_keys(tx, [told.incarnation(line)])):
                continue  # it is carried on with
            if acts.find_act(tx, line.seq) is None:
                acts.record_intent(tx, seq=line.seq, act=ERASE, now=self._clock.wall())
            ended = outcomes.get(line.seq)
            at = self._clock.wall() if ended is None else ns_of(str(ended.body["time"])) + _SECOND
            acts.add_erasure(tx, _bare(line, controller, generation=workers.generation(tx), at=at))

    def _fences(self, tx: Transaction, noted: list[Noted], void: AbstractSet[str]) -> tuple[int, Counter[str]]:
        """Those of the fence file that are not there, with the secrets that they were made under; none of `void`.

        How many came back, and by erasure how many the file has. What is under a key that no longer is, as in a copy of
        before a turnover, would open nothing, and shut its controller: it counts as lost.
        """
        added, whole = 0, Counter[str]()
        for line in noted:
            secret, fence = secret_of(line, now=self._clock.wall()), fence_of(line)
            keks = lineages.find_keks(tx, fence.controller)
            if keks and secret.e not in keks:
                continue
            whole[fence.erasure.hex()] += 1
            if not keks or subjects.has_fence(tx, fence.fence_id):
                continue
            if line["erasure"] in void:  # which left its lines there when it was rolled back
                continue
            if lineages.find_secret(tx, secret.key_id) is None:
                lineages.add_secret(tx, secret)
            subjects.add_fences(tx, [fence])
            added += 1
        return added, whole

    def _mended(self, tx: Transaction, noted: list[Noted]) -> int:
        """Fence secrets that did not open: without them nothing of their controller does."""
        found, mended = [secret_of(line, now=self._clock.wall()) for line in noted], 0
        for controller in lineages.all_controllers(tx):
            with contextlib.suppress(CustodianFault):  # one that has left since has no key there
                theirs = [secret for secret in found if secret.controller == controller]
                mended += Lineage.mend_fences(tx, self._custodian, controller, theirs)
        return mended

    @staticmethod
    def _owner(tx: Transaction, incarnation: Incarnation) -> Controller | None:
        found = subjects.find_keys(tx, [incarnation])
        return found[0].controller if found else None


def _of_before() -> IntegrityStop:
    message = "this key store is of before a turnover: no key that exists opens it"
    return IntegrityStop(message, hint="restore a backup since the last turnover: `glomska keys restore`")


def _bare(line: Line, controller: Controller, *, generation: int, at: int) -> rows.Erasure:
    """An erasure without evidence: its keys, and what was to be deleted, were in another key store alone."""
    return rows.Erasure(
        erasure=told.erasure(line),
        controller=controller,
        incarnation=told.incarnation(line),
        seq=line.seq,
        step=Step.CLEARED,
        generation=generation,
        requested=at,
        effective=at,
        purge_due=None,
        purge_boot=None,
        purge_key=None,
        capture=None,
        rows_first=None,
        rows_second=None,
    )
