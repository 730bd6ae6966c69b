"""Turnover: rotation, retention and final shredding in one pass over a controller's keys, from under e - 1 to under e.

    0. before      pending erasures are carried on with
    1. begun       W_e made; intent; one transaction: current = e, KEK_e, R_e, the new horizons, generation + 1
       released    every worker has acknowledged: expiring epochs are `too_old`, nothing is wrapped under e - 1 any more
    2. captured    series of the expiring epochs, sealed under a purge key
       purged_once their rows deleted from every store, and again when no late write can arrive (`control.expiry`)
    3. rewrapping  pages: keys ratcheted to the horizon and rewrapped, routes rehashed, secrets rewrapped
       rewrapped   nothing is left under an older e: KEK_e-1 and R_e-1 forgotten, generation + 1
    4. alone       every worker has acknowledged: the old KEK is in no process any more
    5. backed_up   every standby that is named has replayed all of it; a backup under e was taken, and opened again
    6. done        fence file rewritten; W_e-1 and all older ones destroyed at the custodian, which is recorded; outcome
    7.             erasures whose conditions hold are final

Every step is recorded and may be repeated, by several processes at once: end one anywhere and `resume` converges. The
control role is held for one page, never while waiting; ingest goes on. A row that does not open stops the pass when all
others are done, until an operator gives it up as lost: W_e-1 might still open it.

    turnovers.run(controller)        # one whole pass
    turnovers.tick()                 # a little of whatever is due or open: called by `run` once a second
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.control import customer as customers
from gateway.control.chain import Line
from gateway.control.expiry import Expiry
from gateway.control.guard import Verdict, judge, still_due
from gateway.control.letting_go import LettingGo
from gateway.control.pages import Pages, Step
from gateway.control.purge import Eraser
from gateway.control.role import TURNOVER, Control
from gateway.control.shredding import Shredding
from gateway.errors import CustodianFault, GlomskaError, Refused, Unreachable, VerificationFailed
from gateway.keys.custodian import Custodian
from gateway.keys.lifecycle import KeyState, move
from gateway.keys.recovery import require_at_hand, require_medium
from gateway.keystore import acts, lineages, rows, subjects, turnovers, workers
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, KeyEpoch, epoch_of
from gateway.policy.rules import Policy

_NOT_OURS = (Unreachable, VerificationFailed, CustodianFault)
"""A store, a customer's damaged row or another controller's wrapping key: erasures wait for it, and that is all."""
NICE = 5
"""By how much a process that does nothing else should step back: a pass has time, and readings have not."""
_PAUSE = 0.01  # seconds between looks at the workers
_BREATH = 0.1  # of a page's time, in which others get at the key store
_TICK_S = 0.25  # seconds of work in a tick: ingest in the same process has the rest of the second
_SULK_S = 60.0  # seconds before something that failed in a tick is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """What came of a pass. `held_back` says why no horizon could move; empty when none had to be held."""

    controller: Controller
    e: int
    rewrapped: int
    ratcheted: int
    expired: int
    finalised: int
    seconds: float
    held_back: str = ""


Progress = Callable[[Step, int, int], None]


class Turnovers:
    """Passes over one key store, its ledger, custodian, and the stores that expiring rows are deleted from."""

    def __init__(  # noqa: PLR0913 - what wiring hands to it
        self,
        control: Control,
        custodian: Custodian,
        policy: Callable[[], Policy],
        inventory: Mapping[str, Eraser],
        *,
        store_time: Callable[[], int | None] = lambda: None,
        before: Callable[[], object] = lambda: None,
        backup: Callable[[Controller], object] = lambda _controller: None,
        standbys: Sequence[str] = (),
        finalise: Callable[[], int] = lambda: 0,
        every_h: float = 24.0,
    ) -> None:
        self._control = control
        self._keystore = control.keystore
        self._clock = control.clock
        self._custodian = custodian
        self._policy = policy
        self._store_time = store_time
        self._before = before
        self._finalise = finalise
        self._every = int(every_h * 3600 * 10**9)
        self.on_trouble: Callable[[GlomskaError, Controller | None], None] | None = None
        self.on_turned: Callable[[rows.Turnover, int], object] = lambda _found, _finalised: None
        self._letting_go = LettingGo(control.keystore, control.clock)
        self._expiry = Expiry(control, custodian, inventory, self._letting_go)
        self._pages = Pages(control, custodian)
        self.release_lost = self._pages.release_lost
        self._shredding = Shredding(control, custodian, self._pages, backup=backup, standbys=standbys)
        self.conclude = self._shredding.conclude
        self._sulking_until: dict[Controller | None, int] = {}  # None: what is of all of them
        self._work: dict[Step, Callable[[rows.Turnover], bool]] = {
            Step.BEGUN: self._wait_for_workers,
            Step.RELEASED: self._capture,
            Step.CAPTURED: self._purge,
            Step.PURGED_ONCE: self._purge_again,
            Step.REWRAPPING: self._pages.turn,
            Step.REWRAPPED: self._wait_for_workers,
            Step.ALONE: self._shredding.back_up,
            Step.BACKED_UP: self._shredding.destroy,
            Step.DONE: lambda _found: True,
        }

    def run(
        self,
        controller: Controller,
        *,
        until: KeyEpoch | None = None,
        on_progress: Progress = lambda _step, _done, _total: None,
    ) -> Turned:
        """One whole pass, or the rest of the one that is under way.

        Args:
            until: an operator lets every month before it go, despite the clock guard; a pass under way ends first.
            on_progress: told the step, and how many rows of how many are done.

        Raises:
            UnknownSubject, KeyDestroyed: there is no such controller, or it has left.
            IntegrityStop: rows that do not open are in quarantine; everything else is done.
            CustodianFault, Refused, Unreachable: what was done so far stands, and `resume` goes on.
        """
        started = self._clock.boottime()
        verdict = self.verdict()
        if until is not None and self._is_under_way(controller):
            self.run(controller, on_progress=on_progress)
        found = self.begin(controller, verdict=verdict, until=until)
        self._pages.look_again(controller)
        with self._keystore.snapshot() as tx:
            total = found.rewrapped + turnovers.left_behind(tx, controller, e=found.e)["keys"]
        while found.step != Step.DONE:
            begun = time.monotonic()
            if not self.advance(found):
                time.sleep(_PAUSE)
            held = time.monotonic() - begun
            found = self._found(found)
            on_progress(Step(found.step), found.rewrapped, total)
            if found.step == Step.REWRAPPING:
                time.sleep(held * _BREATH)
        self.conclude(found)
        return Turned(
            controller=controller,
            e=found.e,
            rewrapped=found.rewrapped,
            ratcheted=found.ratcheted,
            expired=found.expired,
            finalised=self._finalise(),
            seconds=(self._clock.boottime() - started) / 1e9,
            held_back=verdict.why if until is None else "",
        )

    def tick(self) -> None:
        """A little of whatever is open, and the beginning of what is due. Called by `run` once a second.

        A controller whose pass fails rests for a while, and holds up no other.

        Raises what `run` raises, where nobody was named to be told of trouble instead.
        """
        with self._apart(None):
            self._control.check()
            end = time.monotonic() + _TICK_S
            for controller in self._waiting():
                with self._apart(controller):
                    self._resume_intents(controller)
                    self._a_little(controller, end)
                if time.monotonic() > end:
                    return

    @contextlib.contextmanager
    def _apart(self, controller: Controller | None) -> Iterator[None]:
        """What fails is told, and rests: a controller's own pass, or all of them where no server answers."""
        try:
            yield
        except GlomskaError as fault:
            if self.on_trouble is None:
                raise
            whose = None if isinstance(fault, Unreachable) else controller
            if not self._rests(whose):
                self.on_trouble(fault, whose)
            self._sulking_until[whose] = self._clock.boottime() + int(_SULK_S * 10**9)

    def _rests(self, controller: Controller | None) -> bool:
        return self._clock.boottime() < self._sulking_until.get(controller, 0)

    def _waiting(self) -> list[Controller]:
        """Whose pass is due, open, or without its outcome, and who does not rest. What is not needed is forgotten."""
        with self._keystore.snapshot() as tx:
            every = lineages.all_controllers(tx)
            newest = {controller: turnovers.newest(tx, controller) for controller in every}
            due = {controller for controller, found in newest.items() if self._is_due(tx, controller, found)}
            due |= {found.controller for found in self._expiry.waiting(tx)}
        self._pages.forget_but([(c, found.e) for c, found in newest.items() if found and found.step == Step.REWRAPPING])
        due |= {Controller(str(line.body["controller"])) for line in self._intents()}
        turn = {c: (found.step == Step.ALONE, found.started) for c, found in newest.items() if found}
        waiting = [c for c in sorted(due) if not self._rests(None) and not self._rests(c)]
        # whose began longest ago first, lest the last starve; who waits for a backup last, since one serves them all
        return sorted(waiting, key=lambda controller: turn.get(controller, (False, 0)))

    def _a_little(self, controller: Controller, end: float) -> None:
        with self._keystore.snapshot() as tx:
            if not self._is_due(tx, controller, turnovers.newest(tx, controller)):
                return
        found = self.begin(controller)
        if self._sulking_until.pop(controller, None):
            self._pages.look_again(controller)
        while found.step != Step.DONE and self.advance(found):
            found = self._found(found)
            if found.step == Step.ALONE or (time.monotonic() > end and found.step != Step.DONE):
                return
        found = self._found(found)
        if found.step == Step.DONE:
            self.conclude(found)
            self.on_turned(found, self._finalise())

    def _is_due(self, tx: Transaction, controller: Controller, found: rows.Turnover | None) -> bool:
        if lineages.has_left(tx, controller):
            return False
        if found is not None and found.finished is None:
            return True
        last = lineages.created(tx, controller) if found is None else found.started
        return not 0 <= self._clock.wall() - last < self._every  # one of the future says nothing

    def verdict(self) -> Verdict:
        """Whether the times that this gateway knows agree. Raises Unreachable."""
        with self._control.ledger.locked():
            written, leapt = self._control.ledger.time, self._control.ledger.leapt
        store_time = None
        with contextlib.suppress(Unreachable):
            store_time = self._store_time()
        return judge(self._policy(), self._clock.wall(), ledger_time=written, store_time=store_time, leapt=leapt)

    def begin(
        self, controller: Controller, *, verdict: Verdict | None = None, until: KeyEpoch | None = None
    ) -> rows.Turnover:
        """Steps 0 and 1, up to the transaction; or the pass that is under way. Raises as `run`."""
        self._control.check()
        self._resume_intents(controller)
        with self._keystore.snapshot() as tx:
            found = turnovers.unfinished(tx, controller)
        if found is not None and until is not None:
            raise Refused("another process has just begun a turnover, under the horizons that it found", hint="repeat")
        if found is not None:
            return found
        with contextlib.suppress(*_NOT_OURS):
            self._before()
        verdict = verdict or self.verdict()
        with self._keystore.snapshot() as tx:
            e = customers.open_lineage(tx, self._custodian, controller).e + 1
            wrapped = lineages.find_keks(tx, controller)[e - 1]
            stored, moved_at = lineages.find_horizons(tx, controller), lineages.horizons_moved(tx, controller)
        moves = verdict.horizons(stored, moved_at, until=until)
        require_at_hand(self._custodian, controller, e - 1, wrapped)
        self._custodian.create(controller, e)
        body = [f"{name}={epoch}" for name, epoch in sorted(moves.items())]
        with (
            contextlib.suppress(_Overtaken),
            self._control.begin(TURNOVER, controller=controller, e=e, horizons=body) as act,
        ):
            self._turn(act.tx, act.seq, controller, e=e, moves=moves)
            if verdict.plausible:
                now = self._clock.wall()
                turnovers.drop_fences(act.tx, controller, now=now, month=epoch_of(now))
        with self._keystore.snapshot() as tx:
            return turnovers.find(tx, controller, lineages.current_e(tx, controller) or e)

    def _turn(
        self, tx: Transaction, seq: int, controller: Controller, *, e: int, moves: Mapping[str, KeyEpoch]
    ) -> None:
        lineage = customers.open_lineage(tx, self._custodian, controller)
        lineage.hold(tx)
        if lineage.e != e - 1:
            raise _Overtaken("another process has begun this turnover")
        now = self._clock.wall()
        for key_id, valid_from in turnovers.coming_of_age(tx, now).items():
            subjects.move_key(tx, key_id, state=move(KeyState.PRE_ACTIVATION, KeyState.ACTIVE), now=valid_from)
        for name, epoch in moves.items():
            lineages.move_horizon(tx, controller, name, epoch=epoch, now=now)
        lineage.turn(tx, now=now)
        begun = rows.Turnover(
            controller=controller,
            e=e,
            seq=seq,
            step=Step.BEGUN,
            generation=workers.raise_generation(tx),
            started=now,
            finished=None,
            cursor=None,
            purge_key=None,
            purge_due=None,
            purge_boot=None,
            expired=0,
            ratcheted=0,
            rewrapped=0,
        )
        turnovers.begin(tx, begun)

    def advance(self, found: rows.Turnover) -> bool:
        """One piece of work of a pass, a page at most; False when there is something to wait for first.

        Raises as `run`.
        """
        if found.step != Step.REWRAPPING:
            self._pages.forget_but([])
        return self._work[Step(found.step)](found)

    def _wait_for_workers(self, found: rows.Turnover) -> bool:
        if self._letting_go.of(found.generation) is None:
            return False
        self._note(found, Step.RELEASED if found.step == Step.BEGUN else Step.ALONE)
        return True

    def _capture(self, found: rows.Turnover) -> bool:
        moved = self._expiry.moved(found)
        if not (moved and self._expiry.capture_page(found, moved)):
            self._note(found, Step.CAPTURED)
        return True

    def _purge(self, found: rows.Turnover) -> bool:
        self._note(found, Step.PURGED_ONCE if self._expiry.purge_once(found) else Step.REWRAPPING)
        return True

    def _purge_again(self, found: rows.Turnover) -> bool:
        if not self._expiry.requests_are_over(found):
            return False
        self._expiry.purge_again(found)
        self._note(found, Step.REWRAPPING)
        return True

    def _intents(self) -> list[Line]:
        return [line for line in self._control.ledger.open_intents.values() if line.act == TURNOVER]

    def _resume_intents(self, controller: Controller) -> None:
        """Step 1 of intents the key store has not heard of, outcomes of passes that are done, expiry that waited."""
        self._expiry.catch_up(controller)
        for line in [line for line in self._intents() if line.body["controller"] == controller]:
            with self._keystore.snapshot() as tx:
                found = turnovers.of_intent(tx, line.seq)
            if found is None and not self._resume_intent(line):
                self._control.conclude(TURNOVER, line.seq, result="abandoned")
            elif found is not None and found.step == Step.DONE:
                self.conclude(found)

    def _resume_intent(self, line: Line) -> bool:
        """Whether the intent is a pass now; False when another has taken its place, or its controller has left."""
        body, controller = line.body, Controller(str(line.body["controller"]))
        e, now = int(str(body["e"])), self._clock.wall()
        with self._keystore.snapshot() as tx:
            if lineages.has_left(tx, controller):
                return False
            require_medium(tx, self._custodian)
        self._custodian.create(controller, e)
        try:
            with self._control.step() as tx:
                if turnovers.of_intent(tx, line.seq) is not None or line.seq not in self._control.ledger.open_intents:
                    return True
                if acts.find_act(tx, line.seq) is None:
                    acts.record_intent(tx, seq=line.seq, act=TURNOVER, now=now)
                stored = lineages.find_horizons(tx, controller)
                moves = still_due(self._policy(), now, stored, body["horizons"])
                self._turn(tx, line.seq, controller, e=e, moves=moves)
        except _Overtaken:
            return False
        return True

    def _is_under_way(self, controller: Controller) -> bool:
        with self._keystore.snapshot() as tx:
            return turnovers.unfinished(tx, controller) is not None

    def _found(self, found: rows.Turnover) -> rows.Turnover:
        with self._keystore.snapshot() as tx:
            return turnovers.find(tx, found.controller, found.e)

    def _note(self, found: rows.Turnover, step: Step) -> None:
        """The next step, unless another process has come further."""
        with self._control.step() as tx:
            if turnovers.find(tx, found.controller, found.e).step == found.step:
                turnovers.update(tx, found, step=step)


class _Overtaken(Refused):
    """Another process has begun the pass that this one was about to begin."""
