"""Queues of a machine that has no ledger: an erasure or an exit waits for them, and the gateway there empties them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.control import accounting
from gateway.control.certificate import FINAL
from gateway.control.verification import verify
from gateway.keys import process
from gateway.keystore import workers
from gateway.model.sealed import Reason
from gateway.runtime.config import load_settings
from gateway.runtime.log import Log
from gateway.runtime.roll import ALONE
from gateway.runtime.wiring import House, opened
from gateway.transport.spool import Spools
from tests.postgres import PASSWORD, Postgres
from tests.unit.control.test_controllers import controllers
from tests.unit.control.test_erasure import row_of_worker, subject
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import SECOND, ShiftedClock, World, message

THERE = "another-machine"


class Two:
    """A world with the ledger, and another machine that shares its key store and has queues of its own."""

    def __init__(self, directory: Path, url: str, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.world = World(directory / "state", clock=ShiftedClock(SystemClock().wall()), keys=url)
        self.there = directory / "there"
        self.there.mkdir(mode=0o700)
        (self.there / "kek").symlink_to(directory / "state" / "kek")
        secret = directory / "keys.password"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        environ = {
            "STATE": str(self.there), "KEYS__URL": url, "KEYS__PASSWORD_FILE": str(secret), "LEDGER__ELSEWHERE": "true"
        }  # fmt: skip
        self._environ = {f"GLOMSKA_{name}": value for name, value in environ.items()}
        self.spools = Spools(self.there / "spool", max_bytes=1 << 20)

    def begun(self, *, acknowledged: bool = True) -> None:
        """Two customers; of each something waits on the other machine, whose worker may not let go."""
        world = self.world
        world.enrol("anna", "meter-1")
        world.enrol("bo", "meter-2")
        now = world.clock.wall()
        with closing(self.spools.open("glomska-9")) as spool:
            for device in ("meter-1", "meter-2"):
                spool.append(world.process(message(device, now, temperature=20.0)).points)
        world.ring.leave()
        world._registered = False
        generation = 99 if acknowledged else -1
        of = f"{THERE} then pid:[1] 1 1"
        with world.keystore.act() as tx:
            there = row_of_worker(renewed=0, boot="then", generation=generation, of=of)
            workers.register(tx, replace(there, deadline=0))

    @contextmanager
    def elsewhere(self) -> Iterator[House]:
        with self._patch.context() as patch, opened(load_settings(environ=self._environ)) as house:
            patch.setattr(process, "machine", lambda: THERE)
            yield house

    def waiting(self) -> int:
        return sum(one.points for one in self.spools.report())


@pytest.fixture
def two(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    made = Two(tmp_path, postgres.database(), monkeypatch)
    yield made
    made.world.close()


def test_an_erasure_waits_for_them_and_they_are_emptied_from_there(two: Two) -> None:
    two.begun()
    world = two.world
    erased = world.erase("anna")
    assert [one.party for one in world.erasures.owing(erased.erasure)] == [f"queues {THERE}"]
    assert world.erasures.resume() == []
    assert two.waiting() == 2
    with two.elsewhere() as house:
        ring, chain = house.ring(), house.chain()
        log = Log(stream=io.StringIO())
        left = house._leftovers(ring, log, ALONE)
        house._housekeeping(house.replay(ring, chain), log, left)()
    assert two.waiting() == 1, "the other customer's"
    assert world.erasures.owing(erased.erasure) == []
    assert isinstance(world.clock, ShiftedClock)
    world.clock.advance(2 * SECOND)  # the margin behind the last request
    assert world.erasures.resume() == [erased.erasure]
    world.turn_over()
    assert world.finality.finalise(HEAT_CO) == [erased.erasure]
    said = verify(world.certificates.path(erased.erasure, FINAL), str(world.ledger.key)).claims
    assert {"party": f"queues {THERE}", "accounted": "purged"} in said["parties"]


def test_not_while_a_worker_there_holds_on(two: Two) -> None:
    two.begun(acknowledged=False)
    world = two.world
    assert isinstance(world.clock, ShiftedClock)
    erasures = world.erasures
    erasure = erasures.begin(*subject("anna"))
    for moved in (0, 40 * SECOND):  # before and after its lease is over
        world.clock.advance(moved)
        erasures.resume()
        with two.elsewhere() as house:
            house.forgetting.emptying.run()
        assert two.waiting() == 2
    assert {one.how for one in erasures.owing(erasure)} == {"lease over", "waiting"}


def test_an_exit_waits_for_them_too(two: Two) -> None:
    two.begun()
    gone = controllers(two.world).exit(HEAT_CO)
    assert (gone.certificate, gone.owing) == (None, (f"queues {THERE}",))
    with two.elsewhere() as house:
        house.forgetting.emptying.run()
    assert two.waiting() == 0
    assert controllers(two.world).exit(HEAT_CO).certificate is not None


def left_in_order(two: Two, *, waiting: bool) -> None:
    """The gateway there ran, and was stopped: its workers have left, and something waits in a spool, or nothing."""
    world = two.world
    world.enrol("anna", "meter-1")
    world.enrol("bo", "meter-2")
    with two.elsewhere() as house, closing(two.spools.open("glomska-9")) as spool:
        ring = house.ring()
        ring.register()
        spool.append(world.process(message("meter-1", world.clock.wall(), temperature=20.0)).points)
        if not waiting:
            chunk = spool.oldest(1000)
            assert chunk is not None
            spool.settled(chunk)
        ring.leave()
    world.ring.leave()
    world._registered = False


def test_what_those_left_who_ended_in_order_is_asked_for(two: Two) -> None:
    left_in_order(two, waiting=True)
    world = two.world
    erased = world.erase("anna")
    assert [one.party for one in world.erasures.owing(erased.erasure)] == [f"queues {THERE}"]
    world.turn_over()
    world.erasures.resume()
    assert world.finality.finalise(HEAT_CO) == []
    with two.elsewhere() as house:
        house.forgetting.emptying.run()
    assert two.waiting() == 0
    world.erasures.resume()
    world.turn_over()
    assert world.finality.finalise(HEAT_CO) == [erased.erasure]


def test_a_machine_whose_queues_were_empty_at_the_end_is_asked_no_more(two: Two) -> None:
    left_in_order(two, waiting=False)
    assert two.world.erasures.owing(two.world.erase("anna").erasure) == []


def test_letters_that_wait_there_count_too(two: Two) -> None:
    with two.elsewhere() as house:
        assert not house.queues_hold()
        house.keep_points([], Reason.STORE)
        assert not house.queues_hold()
        two.world.enrol("anna", "meter-1")
        points = two.world.process(message("meter-1", two.world.clock.wall(), temperature=20.0)).points
        house.keep_points(points, Reason.STORE)
        assert house.queues_hold()


def test_queues_that_are_lost_are_lost_for_later_erasures_too(two: Two) -> None:
    left_in_order(two, waiting=True)
    world = two.world
    first = world.erase("anna").erasure
    accounting.declare_lost(world.control, first, f"queues {THERE}")
    assert world.erasures.owing(first) == []
    assert world.erasures.owing(world.erase("bo").erasure) == []
    with two.elsewhere() as house:  # and it came back all the same
        house.ring().register()
    with world.keystore.snapshot() as tx:
        assert workers.with_queues(tx) == {THERE}
