"""What a recovery brings back must work from then on: fences are dated, go on their date, and let a new life begin."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gateway.control.chain import Value
from gateway.control.handover import HAND_OVER
from gateway.control.ledger import Ledger
from gateway.control.recovery import Recovered
from gateway.errors import IntegrityStop, KeyDestroyed, VerificationFailed
from gateway.keystore import accounts, acts
from gateway.keystore.schema import keys, secrets
from gateway.model.sealed import Reason
from tests.copies import imaged, put_back
from tests.unit.control.processes import ended, erase_until_noted, start
from tests.unit.control.test_dates import START, Site, by_class, policy_file
from tests.unit.control.test_erasure import subject
from tests.unit.control.test_handover import handed
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import DAY, World

pytestmark = pytest.mark.both_key_stores


@pytest.fixture
def site(tmp_path: Path, keys_url: str) -> Iterator[Site]:
    made = site_with_a_copy(tmp_path, keys_url)
    yield made
    made.world.close()
    assert made.world.leaks() == []


def site_with_a_copy(directory: Path, keys_url: str) -> Site:
    """Bo is enrolled; the key store of then is what `copied` puts back."""
    made = Site(directory, keys_url)
    made.world.enrol("bo", "meter-2")
    copied(made)
    return made


def copy_of(site: Site) -> Path:
    return site.world.directory.parent / "copy"


def came_and_was_erased(site: Site, how: str) -> None:
    """Anna is enrolled and erased since the copy: wholly; as far as the key store; or as far as the fence file."""
    world = site.world
    world.enrol("anna", "meter-1")
    if how == "done":
        world.erase("anna")
    elif how == "begun":
        world.erasures.begin(*subject("anna"))
    else:
        assert ended(start(erase_until_noted, world.directory, "anna", site.clock)) == -signal.SIGKILL


def recovered(site: Site) -> Recovered:
    """The copy's key store in the place of the live one, recovered as the command does."""
    site.world.close()
    put_back(copy_of(site), site.world.directory)
    site.world = World(site.world.directory, clock=site.clock, policy=site.world.policy)
    site.at_key_store(site.world.keys)
    with site.house() as house:
        found = house.forgetting.recovery.run()
        house.erasures.resume()
    return found


def assert_fenced(site: Site) -> None:
    world = site.world
    with pytest.raises(KeyDestroyed):
        world.read("anna")
    assert world.enrol("anna", "meter-1", since=site.clock.wall()).refused == [(2, "erased")]
    assert world.publish("meter-1", START - DAY, temperature=1).refusals.readings == {Reason.ERASED: 1}
    world.ring.leave()
    world._registered = False


@pytest.mark.parametrize("how", ["done", "begun", "noted"])
def test_who_came_and_was_erased_since_is_fenced_until_a_new_life_or_the_date(site: Site, how: str) -> None:
    came_and_was_erased(site, how)
    for _ in range(2):  # of the same copy, the second time by what the first one wrote
        assert recovered(site).fences == 2
        assert_fenced(site)
        assert not site.world.ledger.open_intents
    assert site.world.enrol("anna", "meter-1", since=START - DAY, returning=True).refused == [(2, "erased")]
    site.turn(days=1)
    (date,) = {fence.expires for fence in site.fences()}
    assert date is not None
    site.daily(date - 3 * DAY)
    assert_fenced(site)
    site.daily(date)
    assert site.fences() == []
    assert site.world.ledger.read_fences() == []


def test_with_their_word_a_new_life_begins(site: Site) -> None:
    came_and_was_erased(site, "done")
    recovered(site)
    site.clock.advance(DAY)
    world = site.world
    assert world.enrol("anna", "meter-1", since=site.clock.wall(), returning=True).enrolled == 1
    assert len(world.publish("meter-1", temperature=21.5).points) == 1
    assert world.read("anna").value.tolist() == [21.5]


def test_a_recovery_of_earlier_versions_is_made_good_by_another(site: Site) -> None:
    """They brought the fence back and closed the erasure as one of whom nobody has heard."""
    came_and_was_erased(site, "begun")
    recovered(site)
    (erasure,) = site.erasures()
    with site.world.keystore.act() as tx:
        tx.exec_driver_sql("DELETE FROM erasures")
    with site.house() as house:
        assert house.forgetting.recovery.run().fences == 0
    (again,) = site.erasures()
    assert (again.erasure, again.incarnation) == (erasure.erasure, erasure.incarnation)


def test_its_proof_was_lost_and_it_says_so(site: Site) -> None:
    came_and_was_erased(site, "done")
    recovered(site)
    with site.house() as house, house.keystore.snapshot() as tx:
        (found,) = acts.all_erasures(tx)
        (missing,) = house.forgetting.finality.missing(tx, found)
        assert acts.erased_since(tx, 0) == {}, "no worker takes it for the one that raised its generation"
    assert "with a key store that was lost" in missing


def held(tmp_path: Path, keys_url: str) -> Site:
    """A law keeps what anna has in one class for two months."""
    site = Site(tmp_path, keys_url, hold="telemetry")
    site.world.enrol("anna", "meter-1")
    return site


def copied(site: Site) -> None:
    site.world.keystore.scrub(())
    imaged(site.world, copy_of(site))


@pytest.mark.parametrize("known", [True, False], ids=["held in the copy", "held since"])
def test_a_hold_that_was_ended_since_is_ended_again(tmp_path: Path, keys_url: str, known: bool) -> None:
    site = held(tmp_path, keys_url)
    if not known:
        copied(site)
    site.world.erase("anna")
    if known:
        copied(site)
    site.clock.advance(120 * DAY)
    assert len(site.world.erasures.release(HEAT_CO)) == 1
    site.world.erasures.resume()
    assert set(by_class(site.world).values()) == {"destroyed"}
    recovered(site)
    assert set(by_class(site.world).values()) == {"destroyed"}
    assert len(site.erasures()) == 2
    with site.world.keystore.snapshot() as tx:
        assert accounts.holds_due(tx, HEAT_CO, now=site.clock.wall()) == []
    site.world.close()


def test_a_hold_of_since_ends_when_it_was_to_end(
    tmp_path: Path, keys_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an earlier version did not say in its intent when that is."""
    append = Ledger.append

    def earlier(ledger: Ledger, act: str, phase: str, **body: Value) -> int:
        return append(
            ledger, act, phase, **{name: said for name, said in body.items() if name not in {"holds", "laws"}}
        )

    site = held(tmp_path, keys_url)
    copied(site)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", earlier)
        site.world.erase("anna")
    until = site.world.sql("SELECT until FROM holds")
    site.clock.advance(40 * DAY)
    recovered(site)
    assert by_class(site.world)["telemetry"] == "deactivated"
    assert site.world.sql("SELECT until FROM holds") == until
    site.world.close()


def test_what_was_given_up_for_ever_since_does_not_come_back(tmp_path: Path, keys_url: str) -> None:
    """Two rows that did not open, an identity key and another's telemetry, which the copy has whole."""
    site = Site(tmp_path, keys_url)
    site.world.enrol("anna", "meter-1")
    site.world.enrol("bo", "meter-2")
    copied(site)
    with site.world.keystore.act() as tx:
        identity = keys.c.key_class == "identity"
        damaged = tx.scalars(sa.select(keys.c.key_id).where(identity).order_by(keys.c.key_id).limit(1)).one()
        (whose,) = tx.scalars(sa.select(keys.c.incarnation).where(keys.c.key_id == damaged))
        tx.execute(keys.update().where(keys.c.key_id == damaged).values(wrapped=bytes(61)))
        other = sa.and_(keys.c.key_class == "telemetry", keys.c.incarnation != whose)
        tx.execute(keys.update().where(other).values(wrapped=bytes(61)))
    with pytest.raises(IntegrityStop):
        site.turn()
    with site.house() as house:
        house.turnovers.release_lost(HEAT_CO)
    lost = site.world.sql("SELECT key_id FROM keys WHERE state = 'destroyed' ORDER BY key_id")
    assert len(lost) == 4
    assert recovered(site).replayed["release"] == 1
    assert site.world.sql("SELECT key_id FROM keys WHERE wrapped IS NULL ORDER BY key_id") == lost
    assert len(site.world.sql("SELECT key_id FROM keys WHERE state = 'active'")) == 2
    site.world.close()


def test_a_hand_over_killed_before_its_outcome_is_not_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what the new owner's device sends would be sealed under the former owner's key."""
    append = Ledger.append

    def killed(ledger: Ledger, act: str, phase: str, **body: Value) -> int:
        if (act, phase) == (HAND_OVER, "outcome"):
            raise KeyboardInterrupt
        return append(ledger, act, phase, **body)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            handed(site.world, ("meter-2", "cia", START - DAY))
    site.world.control.check()
    found = recovered(site)
    assert (len(found.missing), found.routes) == (1, 1), "what was lost is named"
    refused = site.world.publish("meter-2", START, temperature=1).refusals.message
    assert list(refused.values()) == [Reason.UNKNOWN_DEVICE]


def test_what_a_law_keeps_and_how_long_is_as_it_was(tmp_path: Path, keys_url: str) -> None:
    """Whatever the policy says by then, and the calendar: it stands in the certificate."""
    site = Site(tmp_path, keys_url, hold="telemetry")
    site.world.enrol("anna", "meter-1")
    site.world.keystore.scrub(())
    imaged(site.world, copy_of(site))
    site.world.erase("anna")
    query = "SELECT key_class, until, law FROM holds"
    kept = site.world.sql(query), by_class(site.world)
    site.clock.advance(25 * DAY)
    policy_file(tmp_path, hold="billing")
    assert recovered(site).erased == 1
    assert (site.world.sql(query), by_class(site.world)) == kept
    site.world.close()


def test_a_fence_secret_that_does_not_open_comes_back_from_the_fence_file(site: Site) -> None:
    came_and_was_erased(site, "done")
    world = site.world
    (was,) = world.sql("SELECT wrapped FROM secrets WHERE kind = 'fence'")
    with world.keystore.act() as tx:
        tx.execute(sa.update(secrets).where(secrets.c.kind == "fence").values(wrapped=bytes(61)))
    with pytest.raises(VerificationFailed, match="fence secret does not open"):
        world.read("bo")
    with site.house() as house:
        found = house.forgetting.recovery.run()
        assert (found.mended, found.fences, found.erased, found.missing) == (1, 0, 0, [])
        assert house.forgetting.recovery.run().mended == 0
    assert world.sql("SELECT wrapped FROM secrets WHERE kind = 'fence'") == [was]
    assert len(world.read("bo")) == 0
    assert world.enrol("anna", "meter-1").refused == [(2, "erased")], "the fence holds"
    site.turn(days=1)
    world.control.check()
    world.ledger.verify()


def test_only_the_same_secret_is_taken_for_one_that_does_not_open(site: Site) -> None:
    """Anybody may write into the fence file; only who has the KEK can write what opens there."""
    came_and_was_erased(site, "done")
    world, file = site.world, site.world.ledger.path.with_name("fences.jsonl")
    before = file.read_text()
    for line in {line["secret"]: line for line in map(json.loads, before.splitlines())}.values():
        file.write_text(before.replace(line["secret"], bytes(61).hex()))
    with world.keystore.act() as tx:
        tx.execute(sa.update(secrets).where(secrets.c.kind == "fence").values(wrapped=bytes(61)))
    with site.house() as house:
        assert house.forgetting.recovery.run().mended == 0
    with pytest.raises(VerificationFailed, match="fence secret does not open"):
        world.read("bo")
