"""Keys, fences, leases, erasures and turnovers in any order that hypothesis thinks of, against a small model.

Two workers of one gateway poll when they please, time goes on in jumps, and nothing that waits is waited for. Whatever
happens: once an erasure is effective nothing is sealed for that life and no key of it is left; whoever lives reads what
was published for them, and nobody else does; the ledger verifies.

    make model      # for long
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.clock import FixedClock
from gateway.control import withdrawal
from gateway.control.pages import Step as TurnoverStep
from gateway.control.purge import Step
from gateway.control.suspension import Suspensions
from gateway.errors import GlomskaError, KeyDestroyed, LeaseOver, Refused, UnknownSubject
from gateway.keys.ring import GenerationMoved
from gateway.keystore import acts, subjects, turnovers
from gateway.model.ids import parse_controller, parse_customer
from gateway.model.sealed import Reason
from tests.postgres import Postgres
from tests.world import CANARY, CONTROLLER, SECOND, SQLITE, World, message, ns

HEAT_CO = parse_controller(CONTROLLER)
PEOPLE = st.sampled_from(["anna", "bo"])
WORKERS = st.sampled_from([0, 1])
MILLISECOND = 1_000_000
SHORT = 10
EXAMPLES = int(os.environ.get("GLOMSKA_MODEL_EXAMPLES", str(SHORT)))
STEPS = 30
ENOUGH = 200


@dataclass
class Life:
    """What is to be expected of a customer's present life."""

    values: list[float] = field(default_factory=list)
    suspended: bool = False
    erasure: bytes | None = None


class Keys(RuleBasedStateMachine):
    """One gateway's keys, and what should be so."""

    def __init__(self, place: Callable[[], tuple[Path, str]]) -> None:
        super().__init__()
        directory, url = place()
        self.clock = FixedClock(ns("2026-05-05T12:00:00+00:00"), 10**15)
        self.workers = [World(directory, clock=self.clock, keys=url), World(directory, clock=self.clock)]
        self.world = self.workers[0]
        self.erasures, self.turnovers = self.world.erasures, self.world.turnovers
        self.lives: dict[str, Life] = {}
        self.numbers = itertools.count()

    def step_of(self, life: Life) -> Step | None:
        if life.erasure is None:
            return None
        with self.world.keystore.snapshot() as tx:
            found = acts.find_erasure(tx, life.erasure)
        assert found is not None
        return Step(found.step)

    @rule(who=PEOPLE, returning=st.booleans())
    def enrol(self, who: str, returning: bool) -> None:
        life = self.lives.get(who)
        done = self.world.enrol(who, f"meter-{who}", since=self.clock.wall(), returning=returning)
        if life is None or (returning and self.step_of(life) not in (None, Step.FENCED)):
            assert (done.enrolled, done.refused) == (1, [])
            self.lives[who] = Life()
        elif life.erasure is None and not life.suspended:
            assert done.already == 1
        else:
            assert done.refused == [(2, "suspended" if life.erasure is None else "erased")]

    @rule(number=WORKERS)
    def poll(self, number: int) -> None:
        worker = self.workers[number]
        worker.register()
        worker.ring.poll()

    @rule(seconds=st.sampled_from([1, 11, 31]))
    def time_goes_on(self, seconds: int) -> None:
        self.clock.advance(seconds * SECOND)

    @rule(number=WORKERS, who=PEOPLE)
    def publish(self, number: int, who: str) -> None:
        worker, life, value = self.workers[number], self.lives.get(who), float(next(self.numbers) % 40)
        worker.register()
        self.clock.advance(MILLISECOND)
        sent = message(f"meter-{who}", self.clock.wall(), temperature=value)
        fresh = worker.ring.generation == worker.lease.look()
        try:
            with worker.ring.using():
                done = worker.chain([sent], worker.ring.resolve([sent.topic]), self.clock.wall())
        except GenerationMoved:
            assert not fresh
            return
        except LeaseOver:
            assert not worker.lease.holds()
            return
        reasons = set(done.refusals.message.values())
        if done.points:
            assert life is not None
            assert self.step_of(life) in (None, Step.FENCED), "sealed after it was effective"
            assert not fresh or (life.erasure is None and not life.suspended)
            worker.store.write(done.points)
            if life.erasure is None:
                life.values.append(value)
        elif fresh and life is None:
            assert reasons == {Reason.UNKNOWN_DEVICE}
        elif fresh and life is not None:
            assert reasons == ({Reason.ERASED} if life.erasure is not None else {Reason.SUSPENDED})

    @rule(who=PEOPLE)
    def erase(self, who: str) -> None:
        life = self.lives.get(who)
        if life is None:
            with pytest.raises(UnknownSubject):
                self.erasures.begin(HEAT_CO, parse_customer(CANARY + who))
            return
        if life.erasure is None:
            life.erasure = self.erasures.begin(HEAT_CO, parse_customer(CANARY + who))

    @rule()
    def carry_on(self) -> None:
        self.erasures.resume()

    @rule(who=PEOPLE, on=st.booleans())
    def suspend_or_resume(self, who: str, on: bool) -> None:
        life = self.lives.get(who)
        if life is not None and life.erasure is None:
            suspensions = Suspensions(self.world.control, self.world.custodian)
            (suspensions.suspend if on else suspensions.resume)(HEAT_CO, parse_customer(CANARY + who))
            life.suspended = on

    @rule()
    def turn_over_a_little(self) -> None:
        if not self.lives:
            return
        with self.world.keystore.snapshot() as tx:
            found = turnovers.unfinished(tx, HEAT_CO)
        if found is None:
            self.turnovers.begin(HEAT_CO)
        elif found.step == TurnoverStep.DONE:
            self.turnovers.conclude(found)
        else:
            self.turnovers.advance(found)

    @rule(who=PEOPLE)
    def read(self, who: str) -> None:
        life = self.lives.get(who)
        if life is None:
            with pytest.raises(UnknownSubject):
                self.world.read(who)
        elif life.erasure is not None:
            with pytest.raises(KeyDestroyed):
                self.world.read(who)
        elif life.suspended:
            with pytest.raises(Refused):
                self.world.read(who)
        else:
            assert self.world.read(who).value.tolist() == life.values

    @invariant()
    def nothing_effective_has_a_key(self) -> None:
        left = self.world.sql(
            "SELECT keys.key_id FROM keys JOIN erasures ON erasures.incarnation = keys.incarnation "
            "WHERE erasures.step <> 'fenced' AND keys.wrapped IS NOT NULL"
        )
        assert left == []

    def teardown(self) -> None:
        """Everything comes to its end, and whoever lives reads."""
        for _ in range(ENOUGH):
            for number in (0, 1):
                self.poll(number)
            self.clock.advance(31 * SECOND)
            self.carry_on()
            with self.world.keystore.snapshot() as tx:
                open_pass = None if not self.lives else turnovers.unfinished(tx, HEAT_CO)
                waiting = acts.open_erasures(tx, done=Step.PURGED)
            if open_pass is not None:
                self.turn_over_a_little()
            elif not waiting:
                break
        else:
            raise AssertionError("it does not converge")
        for who in self.lives:
            self.read(who)
        self.world.ledger.verify()
        assert self.world.leaks() == []
        for worker in self.workers:
            worker.close()


def explored(place: Callable[[], tuple[Path, str]], examples: int, *, shrink: bool = False) -> None:
    machine = cast("type[RuleBasedStateMachine]", lambda: Keys(place))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        ),
    )


def files(tmp_path: Path) -> Callable[[], tuple[Path, str]]:
    numbers = itertools.count()
    return lambda: (tmp_path / f"{next(numbers)}" / "state", SQLITE)


def test_whatever_happens_in_a_file(tmp_path: Path) -> None:
    explored(files(tmp_path), EXAMPLES, shrink=EXAMPLES > SHORT)


def test_whatever_happens_in_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    place = files(tmp_path)
    explored(lambda: (place()[0], postgres.database()), EXAMPLES, shrink=EXAMPLES > SHORT)


def _nothing(*_args: object, **_named: object) -> None:
    return None


@pytest.mark.parametrize(
    ("where", "name", "instead"),
    [(subjects, "destroy_key", _nothing), (withdrawal, "fences_of", lambda *_, **__: [])],
    ids=["keys are not deleted", "no fences"],
)
def test_it_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str, instead: Callable[..., object]
) -> None:
    """With a defence taken out, some order of things is found to be wrong; for leases, see the model beside."""
    monkeypatch.setattr(where, name, instead)
    with pytest.raises((AssertionError, GlomskaError, Flaky, ExceptionGroup)):
        explored(files(tmp_path), 10 * SHORT)
