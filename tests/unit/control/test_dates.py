"""What goes by its date: legal holds, fences, backups. On the date, by a clock that agrees, and not before."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import Mosquitto
from gateway.control.verification import verify
from gateway.errors import KeyDestroyed, UnknownSubject
from gateway.keys.backup import LOCK
from gateway.keys.lifecycle import KeyState
from gateway.keystore import accounts, acts, lineages, rows, subjects, turnovers
from gateway.model.ids import epoch_of, epoch_start
from gateway.model.sealed import Reason
from gateway.policy.load import load_policy
from gateway.runtime.config import load_settings, resource
from gateway.runtime.wiring import House, opened
from gateway.transport.broker import free_port
from tests.postgres import PASSWORD
from tests.unit.control.test_erasure import subject
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import DAY, ShiftedClock, World, ns

pytestmark = pytest.mark.both_key_stores

START = ns("2026-03-10T12:00:00+00:00")
LAW = "Book-keeping Act (1999:1078)"


def policy_file(directory: Path, *, hold: str = "") -> Path:
    """The shipped policy, which keeps everything for one month only and may have a hold of two."""
    text = resource("policy.toml").read_text(encoding="utf-8")
    text = re.sub(r"^retention_months = \d+", "retention_months = 1", text, flags=re.MULTILINE)
    if hold:
        text += f'\n[hold.{hold}]\nmonths = 2\nlaw = "{LAW}"\n'
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return file


class Site:
    """A world whose clock is ours, and the house that its turnovers are made in, as `run` builds it."""

    def __init__(self, directory: Path, keys_url: str, *, hold: str = "") -> None:
        file = policy_file(directory, hold=hold)
        self.clock = ShiftedClock(START)
        self.world = World(directory / "state", clock=self.clock, policy=load_policy(file), keys=keys_url)
        self._environ = {
            "STATE": str(self.world.directory), "POLICY": str(file), "KEYS__URL": keys_url,
            "MQTT__URL": f"mqtt://127.0.0.1:{free_port()}",
        }  # fmt: skip
        if keys_url.startswith("postgresql"):
            secret = directory / "keys.password"
            secret.write_text(PASSWORD)
            secret.chmod(0o600)
            self._environ["KEYS__PASSWORD_FILE"] = str(secret)

    @contextlib.contextmanager
    def house(self) -> Iterator[House]:
        environ = {f"GLOMSKA_{name}": value for name, value in self._environ.items()}
        with opened(load_settings(environ=environ), clock=self.clock) as house:
            yield house

    def at_broker(self, broker: Mosquitto) -> None:
        self._environ["MQTT__URL"] = broker.url

    def at_key_store(self, url: str) -> None:
        self._environ["KEYS__URL"] = url

    def turn(self, *, days: int = 0) -> str:
        """A pass, so many days later; what it was held back by."""
        self.clock.advance(days * DAY)
        with self.house() as house:
            return house.turnovers.run(HEAT_CO).held_back

    def daily(self, until: int) -> None:
        """Passes on the way to a time, never further apart than the guard takes for a leap."""
        while self.clock.wall() < until:
            self.turn(days=min(28, max(1, (until - self.clock.wall()) // DAY + 1)))

    def erasures(self) -> list[rows.Erasure]:
        with self.world.keystore.snapshot() as tx:
            return acts.all_erasures(tx)

    def fences(self) -> list[rows.Fence]:
        with self.world.keystore.snapshot() as tx:
            return subjects.all_fences(tx)


@pytest.fixture
def site(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = Site(tmp_path, keys_url)
    yield made
    made.world.close()


@pytest.fixture
def holding(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = Site(tmp_path, keys_url, hold="telemetry")
    yield made
    made.world.close()


def by_class(world: World) -> dict[str, str]:
    return {str(name): str(state) for name, state in world.sql("SELECT key_class, state FROM keys")}


def erased(site: Site) -> None:
    """Anna, with a reading of each of two devices."""
    world = site.world
    world.enrol("anna", "meter-1", "meter-2")
    world.publish("meter-1", temperature=21.5)
    world.publish("meter-2", temperature=22.5)
    world.ring.leave()
    world._registered = False
    world.erase("anna")


def test_a_hold_ends_at_its_date_and_what_it_kept_goes_as_everything_else_went(holding: Site) -> None:
    site, world = holding, holding.world
    erased(site)
    until = epoch_start(epoch_of(START) + 3)
    assert by_class(world) == {"identity": "destroyed", "billing": "destroyed", "telemetry": "deactivated"}
    assert len(world.points()) == 2, "what the law keeps"
    base = world.sql("SELECT base FROM keys WHERE key_class = 'telemetry'")
    site.daily(until - 5 * DAY)
    assert by_class(world)["telemetry"] == KeyState.DEACTIVATED, "a few days before"
    assert world.sql("SELECT base FROM keys WHERE key_class = 'telemetry'") == base, "nor was it ratcheted"
    assert len(world.points()) == 2
    assert len(site.erasures()) == 1
    with Mosquitto() as broker:
        site.at_broker(broker)
        site.daily(until)
        assert by_class(world)["telemetry"] == KeyState.DESTROYED
        assert world.points() == []
        first, second = site.erasures()
        assert (first.incarnation, second.step) == (second.incarnation, "purged")
        with world.keystore.snapshot() as tx:
            (hold,) = accounts.holds_of(tx, first.erasure)
        assert hold.released == second.erasure
        assert world.sql("SELECT count(*) FROM records") == [(0,)], "device ids of the held class too"
        site.turn(days=1)
    first, second = site.erasures()
    assert (first.final is not None, second.final is not None) == (True, True)
    said = verify(world.certificates.path(second.erasure, "final"), str(world.ledger.key)).claims
    assert said["stores"] == {"sqlite": {"accepted": "deleted twice", "rows_seen_after": 0}}
    begun = [line for line in ledger(world) if line["act"] == "erase" and "released" in line]
    assert [line["released"] for line in begun] == [[hold.key_id.hex()]]
    world.ledger.verify()


def test_a_hold_whose_end_is_in_the_ledger_alone_is_ended_once(holding: Site) -> None:
    site, world = holding, holding.world
    erased(site)
    site.clock.advance(120 * DAY)
    (first,) = site.erasures()
    with world.keystore.snapshot() as tx:
        (hold,) = accounts.holds_due(tx, HEAT_CO, now=site.clock.wall())
    body = {"erasure": "ab" * 16, "incarnation": first.incarnation.hex(), "access": "0" * 64}
    for _ in range(2):  # two processes asked, and neither came to do it
        with world.ledger.locked():
            world.ledger.append("erase", "intent", released=[hold.key_id.hex()], **body)
        body["erasure"] = "cd" * 16
    assert world.erasures.release(HEAT_CO) == [], "the first of them is it"
    for _ in range(3):
        world.erasures.resume()
    assert [one.erasure for one in site.erasures()] == [first.erasure, bytes.fromhex("ab" * 16)]
    assert by_class(world)["telemetry"] == KeyState.DESTROYED
    world.control.check()


def test_a_hold_does_not_end_by_a_clock_that_only_claims_to_be_later(holding: Site) -> None:
    erased(holding)
    for _ in range(3):  # each of them writes its own time into the ledger
        assert "ledger" in holding.turn(days=100)
    assert by_class(holding.world)["telemetry"] == KeyState.DEACTIVATED
    assert len(holding.world.points()) == 2


def test_what_was_brought_under_a_newer_key_on_its_way_out_is_final_when_that_goes(site: Site) -> None:
    """A turnover finds keys `erasing` and wraps them once more; the erasure ends before the purge key's turn comes."""
    world = site.world
    world.enrol("anna", "meter-1")
    erasure = world.erasures.begin(*subject("anna"))
    found = world.turnovers.begin(HEAT_CO)
    while world.sql("SELECT DISTINCT e FROM keys") == [(1,)]:
        world.turnovers.advance(found)
        with world.keystore.snapshot() as tx:
            found = turnovers.find(tx, HEAT_CO, 2)
    assert world.erasures.resume() == [erasure]
    world.turnovers.run(HEAT_CO)
    assert world.finality.finalise(HEAT_CO) == [], "a backup of this pass has them, under W of e = 2"
    world.turnovers.run(HEAT_CO)
    assert world.finality.finalise(HEAT_CO) == [erasure]
    said = verify(world.certificates.path(erasure, "final"), str(world.ledger.key)).claims
    assert [report["e"] for report in said["custodian"]["reported"]] == [1, 2]


def ledger(world: World) -> list[dict[str, object]]:
    return [json.loads(line) for line in world.ledger.path.read_text().splitlines()]


def test_fences_are_dated_a_horizon_after_what_may_still_come(site: Site) -> None:
    world = site.world
    erased(site)
    moved_in = site.clock.wall()
    assert enrol_again(site, moved_in)
    site.turn(days=1)
    effective, late = epoch_start(epoch_of(START) + 2), epoch_start(epoch_of(START) + 3)
    assert {fence.expires for fence in site.fences()} == {effective}
    site.turn(days=28)
    assert list(world.publish("meter-2", START - DAY, temperature=1).refusals.message.values()) == [Reason.ERASED]
    world.ring.poll()
    world.ring.leave()
    world._registered = False
    site.turn()
    ends = {fence.ends is None and fence.kind == "device": fence.expires for fence in site.fences()}
    assert ends == {True: late, False: effective}, "an open one from the last message that it refused on"


def enrol_again(site: Site, since: int) -> bool:
    """Somebody else has meter-1 from then on, which bounds its fence."""
    return site.world.enrol("bert", "meter-1", since=since).enrolled == 1


def test_a_fence_goes_at_its_date_with_its_secret_and_its_line_in_the_fence_file(site: Site) -> None:
    world = site.world
    erased(site)
    site.turn(days=1)
    (date,) = {fence.expires for fence in site.fences()}
    assert date is not None
    site.daily(date - 3 * DAY)
    assert len(site.fences()) == len(world.ledger.read_fences()) == 3
    assert world.enrol("anna", "meter-1", since=site.clock.wall()).refused == [(2, "erased")]
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    site.daily(date)
    assert site.fences() == []
    assert world.ledger.read_fences() == []
    with world.keystore.snapshot() as tx:
        assert lineages.find_secrets(tx, HEAT_CO, "fence") == []
    with pytest.raises(UnknownSubject):
        world.read("anna")
    assert world.enrol("anna", "meter-1", since=site.clock.wall()).enrolled == 1


def test_a_fence_does_not_go_by_a_clock_that_only_claims_to_be_later(site: Site) -> None:
    erased(site)
    site.turn(days=1)
    for _ in range(3):
        assert "ledger" in site.turn(days=100)
    assert len(site.fences()) == 3
    for _ in range(5):
        assert site.turn(days=5), "nor while the ledger's leap is fresh"
    assert len(site.fences()) == 3
    assert site.turn(days=5) == ""
    assert site.fences() == [], "a clock that has gone on for four weeks is believed"


@pytest.mark.parametrize("wrong_for", [0, 50], ids=["at once", "later"])
def test_a_leap_ends_when_the_clock_is_put_right(site: Site, wrong_for: int) -> None:
    """Else one act under a clock of 2099 would keep what is due until then."""
    site.world.enrol("anna", "meter-1")
    assert site.turn(days=1) == ""
    assert "ledger" in site.turn(days=20_000)
    for _ in range(wrong_for // 10):
        site.turn(days=10)
    site.clock.advance(-20_000 * DAY)
    assert "before the last line" in site.turn(days=1)
    if wrong_for:  # by the ledger alone that is a leap, too, and a small one
        assert "leapt ahead" in site.turn(days=1)
        site.daily(site.clock.wall() + 28 * DAY)
    assert site.turn(days=1) == ""


def test_a_backup_is_not_locked_out_by_a_clock_that_only_claims_to_be_later(site: Site) -> None:
    site.world.enrol("anna", "meter-1")
    with site.house() as house:
        house.forgetting.backups.take(days=2)
    day = START // DAY + 2
    site.turn(days=1)
    for _ in range(2):
        assert site.turn(days=100)
    assert site.world.custodian.exists(LOCK, day)
    site.daily(site.clock.wall() + 29 * DAY)
    assert not site.world.custodian.exists(LOCK, day)
