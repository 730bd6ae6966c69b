"""Controllers: each has its own lineage, and one that leaves takes nothing of the others with it."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.control.controllers import Controllers, Leaving
from gateway.control.customer import open_lineage
from gateway.control.erasure import withdrawal_of
from gateway.control.recovery import Recovery
from gateway.control.verification import verify
from gateway.crypto.derive import Kind
from gateway.crypto.signing import decode
from gateway.errors import CustodianFault, IntegrityStop, KeyDestroyed, Refused, UnknownSubject, VerificationFailed
from gateway.keys.lineage import Lineage
from gateway.keys.subject import open_subject
from gateway.keystore import departures, lineages, subjects
from gateway.keystore.database import KeyStore
from gateway.model.ids import parse_controller
from gateway.model.sealed import Reason
from tests.conformance import verifier
from tests.unit.control.processes import ended, exit_until, start
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import CANARY, World, message, topic

OTHER = parse_controller("cool-co")
BOUNDARIES = 17


def controllers(world: World) -> Controllers:
    return Controllers(world.control, world.custodian, world.policy, world.certificates)


@pytest.fixture
def two(world: World) -> World:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    controllers(world).add(OTHER)
    return world


def test_one_is_added_once(two: World) -> None:
    with pytest.raises(Refused, match="this controller is there already"):
        controllers(two).add(OTHER)
    with two.keystore.snapshot() as tx:
        assert lineages.all_controllers(tx) == [OTHER, HEAT_CO]


def test_one_that_leaves_takes_all_that_was_its_and_nothing_else(two: World, tmp_path: Path) -> None:
    two.turn_over()
    copy = tmp_path / "copy"
    shutil.copytree(two.directory, copy, ignore=shutil.ignore_patterns("kek"))
    with two.polling():
        gone = controllers(two).exit(HEAT_CO)
    assert (gone.keys, gone.wrappings, gone.attested) == (3, 2, False)
    assert list(two.publish("meter-1", temperature=22.5).refusals.message.values()) == [Reason.UNKNOWN_DEVICE]
    with pytest.raises(KeyDestroyed, match="this controller has left"):
        two.read("anna")
    with pytest.raises(KeyDestroyed):
        two.enrol("anna", "meter-1")
    with two.keystore.snapshot() as tx:
        assert lineages.all_controllers(tx) == [OTHER]
        assert lineages.count_states(tx, HEAT_CO) == {"destroyed": 3}
        assert Lineage.load(tx, two.custodian, OTHER) is not None
    old = KeyStore.open("sqlite:///keys.db", state=copy)
    with old.snapshot() as tx, pytest.raises(CustodianFault):
        Lineage.load(tx, two.custodian, HEAT_CO)
    old.close()
    two.ledger.verify()
    assert two.ledger.open_intents == {}


def test_an_exit_that_was_interrupted_is_carried_on_with(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise CustodianFault("its medium is away")

    with monkeypatch.context() as patch, two.polling():
        patch.setattr(two.custodian, "destroy", away)
        with pytest.raises(CustodianFault):
            controllers(two).exit(HEAT_CO)
    with two.keystore.snapshot() as tx:
        found = departures.find(tx, HEAT_CO)
    assert found is not None
    assert found.step == Leaving.DELETED
    two.control.check()
    assert [line.act for line in two.ledger.open_intents.values()] == ["exit"]
    assert controllers(two).exit(HEAT_CO).wrappings == 1
    assert two.ledger.open_intents == {}
    assert controllers(two).exit(HEAT_CO).wrappings == 1, "again changes nothing"


def test_its_certificate_is_verified_by_anyone(two: World) -> None:
    two.turn_over()
    with two.polling():
        gone = controllers(two).exit(HEAT_CO)
    public = str(two.ledger.key)
    verdict = verify(gone.certificate, public, ledger=two.ledger.path)
    assert verdict.kind == "exit"
    claims = verdict.claims
    assert (claims["controller"], claims["keys"]) == (HEAT_CO, 3)
    assert [(w["e"], w["attested"]) for w in claims["custodian"]["reported"]] == [(1, False), (2, False)]
    assert f"made before {claims['exit']}" in [left["until"] for left in claims["residuals"]]
    key = Ed25519PublicKey.from_public_bytes(decode(public))
    assert verifier.certificate(gone.certificate.read_text(), key) == claims
    forged = gone.certificate.with_name("forged.jws")
    header, payload, signature = gone.certificate.read_text().strip().split(".")
    forged.write_text(f"{header}.{payload[:-2]}AA.{signature}")
    with pytest.raises(VerificationFailed):
        verify(forged, public)


@pytest.mark.parametrize("boundary", range(1, BOUNDARIES + 1))
def test_killed_at_a_boundary_what_run_does_once_a_second_ends_it(tmp_path: Path, boundary: int) -> None:
    directory = tmp_path / "state"
    made = World(directory)
    made.enrol("anna", "meter-1")
    controllers(made).add(OTHER)
    made.close()
    assert ended(start(exit_until, directory, boundary)) == (-signal.SIGKILL)
    world = World(directory)
    begun = b'"act":"exit"' in world.ledger.path.read_bytes()
    controllers(world).resume()
    with world.keystore.snapshot() as tx:
        assert lineages.all_controllers(tx) == ([OTHER] if begun else [OTHER, HEAT_CO])
        found = departures.find(tx, HEAT_CO)
    assert world.ledger.open_intents == {}
    assert world.custodian.exists(HEAT_CO, 1) == (not begun)
    if begun:
        assert found is not None
        assert found.step == Leaving.GONE
        assert verify(world.certificates.exit_path(found.seq), str(world.ledger.key)).kind == "exit"
    world.ledger.verify()
    world.close()


def test_the_boundaries_are_all_of_them(tmp_path: Path) -> None:
    made = World(tmp_path / "state")
    made.enrol("anna", "meter-1")
    made.close()
    assert ended(start(exit_until, tmp_path / "state", BOUNDARIES + 1)) == 0, "it has more steps than are killed"


def test_a_key_store_of_before_is_told_that_one_has_left(two: World, tmp_path: Path) -> None:
    two.ring.leave()
    two._registered = False
    two.keystore.scrub(())
    shutil.copy(two.directory / "keys.db", tmp_path / "keys.db")
    two.erase("anna")
    controllers(two).exit(HEAT_CO)
    two.close()
    for file in two.directory.glob("keys.db*"):
        file.unlink()
    shutil.copy(tmp_path / "keys.db", two.directory / "keys.db")
    back = World(two.directory)
    with pytest.raises(IntegrityStop):
        controllers(back).resume()
    withdrawal = withdrawal_of(back.control, back.custodian, back.policy)
    found = Recovery(back.control, back.custodian, withdrawal).run()
    assert (found.replayed["exit"], found.erased) == (1, 0)
    controllers(back).resume()
    with back.keystore.snapshot() as tx:
        assert lineages.all_controllers(tx) == [OTHER]
        assert lineages.count_states(tx, HEAT_CO) == {"destroyed": 3}
    back.control.check()
    back.ledger.verify()
    back.close()


def test_nothing_crosses_controllers(two: World) -> None:
    """The same names in both: other pseudonyms, other hashes, and neither's keys open what is the other's."""
    two.enrol("anna", "meter-1", controller=OTHER)
    now = two.clock.wall()
    own = two.process_one("meter-1", now, temperature=21.5).points
    theirs = two.process(replace(message("meter-1", now, temperature=21.5), topic=topic("meter-1", controller=OTHER)))
    assert own[0].series.pseudonym != theirs.points[0].series.pseudonym
    assert own[0].value != theirs.points[0].value
    with two.keystore.snapshot() as tx:
        ours, other = (open_lineage(tx, two.custodian, c) for c in (HEAT_CO, OTHER))
        for kind, name in ((Kind.CUSTOMER, f"{CANARY}anna"), (Kind.DEVICE, f"{CANARY}meter-1")):
            assert not set(ours.route_hashes(kind, name)) & set(other.route_hashes(kind, name))
        found = subjects.find_routes(tx, [other.route_hashes(Kind.CUSTOMER, f"{CANARY}anna")[0]])
        rows_of_theirs = subjects.find_keys(tx, [found[0].incarnation])
        with pytest.raises((KeyDestroyed, VerificationFailed, CustodianFault, IntegrityStop)):
            open_subject(ours, found[0].incarnation, rows_of_theirs)
    two.erase("anna", controller=OTHER)
    assert two.read("anna").value.tolist() == [21.5]
    with pytest.raises(KeyDestroyed):
        two.erase("anna", controller=OTHER)


def test_not_while_its_keys_are_turned_over(two: World) -> None:
    two.turnovers.begin(HEAT_CO)
    with pytest.raises(Refused, match="a turnover of this controller is under way"):
        controllers(two).exit(HEAT_CO)


def test_one_that_nobody_knows(two: World) -> None:
    with pytest.raises(UnknownSubject):
        controllers(two).exit(parse_controller("nobody"))
