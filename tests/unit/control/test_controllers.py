"""Controllers: each has its own lineage, and one that leaves takes nothing of the others with it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.clock import FixedClock
from gateway.control import accounting
from gateway.control.certificate import FINAL
from gateway.control.controllers import Controllers, Gone, Leaving
from gateway.control.customer import open_lineage
from gateway.control.enrolment import Enrolment, enrol
from gateway.control.purge import Queue
from gateway.control.recovery import Recovery
from gateway.control.verification import verify
from gateway.control.withdrawal import Withdrawal
from gateway.crypto.derive import Kind
from gateway.crypto.signing import decode
from gateway.errors import (
    CustodianFault,
    IntegrityStop,
    KeyDestroyed,
    Refused,
    UnknownSubject,
    Unreachable,
    UsageFault,
    VerificationFailed,
)
from gateway.keys import process
from gateway.keys.custodian import Destruction, FileCustodian, PairedCustodian
from gateway.keys.lineage import Lineage
from gateway.keys.subject import open_subject
from gateway.keystore import acts, departures, lineages, rows, subjects
from gateway.model.ids import Controller, DeviceId, parse_controller, parse_customer, parse_device
from gateway.model.sealed import Reason
from gateway.transport.spool import Spools
from tests.conformance import verifier
from tests.copies import imaged, opened, put_back
from tests.unit.control.processes import ended, exit_until, start
from tests.unit.control.test_erasure import accounts_of, lineage_and_incarnation
from tests.unit.control.test_turnover import HEAT_CO
from tests.world import CANARY, SECOND, Message, World, message, topic

pytestmark = pytest.mark.both_key_stores

OTHER = parse_controller("cool-co")
BOUNDARIES = 17
SAMPLED = 4  # of PostgreSQL's boundaries each fourth is taken: they are the same, and each takes a database


def spools(world: World) -> Spools:
    return Spools(world.directory / "spool", max_bytes=1 << 20)


def controllers(world: World) -> Controllers:
    queues: dict[str, Queue] = {"spool": spools(world), "dead letters": world.letters}
    return Controllers(world.control, world.custodian, lambda: world.policy, world.certificates, queues)


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
    copy = imaged(two, tmp_path / "copy", without="kek")
    with two.polling():
        gone = controllers(two).exit(HEAT_CO)
    assert (gone.keys, gone.wrappings, gone.attested) == (3, 2, False)
    assert list(two.publish("meter-1", temperature=22.5).refusals.message.values()) == [Reason.UNKNOWN_DEVICE]
    with pytest.raises(KeyDestroyed, match="this controller has left"):
        two.read("anna")
    assert two.enrol("anna", "meter-1").refused == [(2, "left")]
    with two.keystore.snapshot() as tx:
        assert lineages.all_controllers(tx) == [OTHER]
        assert lineages.count_states(tx, HEAT_CO) == {"destroyed": 3}
        assert Lineage.load(tx, two.custodian, OTHER) is not None
    old = opened(copy)
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


def test_one_that_cannot_be_ended_holds_up_no_other(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    two.ring.leave()
    two._registered = False
    destroy, broken = two.custodian.destroy, {OTHER, HEAT_CO}

    def damaged(controller: Controller, e: int) -> Destruction:
        if controller in broken:
            raise CustodianFault("its key cannot be destroyed")
        return destroy(controller, e)

    monkeypatch.setattr(two.custodian, "destroy", damaged)
    for controller in (OTHER, HEAT_CO):
        with pytest.raises(CustodianFault):
            controllers(two).exit(controller)
    broken.remove(HEAT_CO)
    with pytest.raises(CustodianFault, match="its key cannot be destroyed"):
        controllers(two).resume()
    with two.keystore.snapshot() as tx:
        (left,) = departures.under_way(tx, done=Leaving.GONE)
    assert left.controller == OTHER
    assert not two.custodian.exists(HEAT_CO, 1)


def test_its_certificate_is_verified_by_anyone(two: World) -> None:
    two.turn_over()
    with two.polling():
        gone = controllers(two).exit(HEAT_CO)
    public = str(two.ledger.key)
    assert gone.certificate is not None
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


def test_the_certificate_of_another_ledger_is_not_taken_for_its_own(two: World) -> None:
    """Key store and ledger begun anew in a state directory that still has the certificates of the ones before."""
    before = exit_at_once(two)
    anew = World(two.directory.parent / "anew")
    anew.enrol("anna", "meter-1")
    anew.publish("meter-1", temperature=21.5)
    controllers(anew).add(OTHER)
    shutil.copytree(before.parent, anew.directory / "certificates")
    its_own = exit_at_once(anew)
    assert departure(anew).seq == departure(two).seq, "the same line of another ledger"
    claims = verify(its_own, str(anew.ledger.key), ledger=anew.ledger.path).claims
    assert claims["ledger"]["id"] == anew.ledger.id.hex()
    assert verify(before, str(two.ledger.key), ledger=two.ledger.path).kind == "exit"
    anew.close()


def exit_at_once(world: World) -> Path:
    with world.polling():
        certificate = controllers(world).exit(HEAT_CO).certificate
    assert certificate is not None
    return certificate


@pytest.mark.parametrize(
    ("keys_url", "boundary"),
    [
        *(("sqlite", boundary) for boundary in range(1, BOUNDARIES + 1)),
        *(("postgresql", boundary) for boundary in range(1, BOUNDARIES + 1, SAMPLED)),
    ],
    indirect=["keys_url"],
)
@pytest.mark.one_key_store  # a case
def test_killed_at_a_boundary_what_run_does_once_a_second_ends_it(tmp_path: Path, keys_url: str, boundary: int) -> None:
    directory = tmp_path / "state"
    made = World(directory, keys=keys_url)
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


def test_the_boundaries_are_all_of_them(tmp_path: Path, keys_url: str) -> None:
    made = World(tmp_path / "state", keys=keys_url)
    made.enrol("anna", "meter-1")
    made.close()
    assert ended(start(exit_until, tmp_path / "state", BOUNDARIES + 1)) == 0, "it has more steps than are killed"


def test_a_key_store_of_before_is_told_that_one_has_left(two: World, tmp_path: Path) -> None:
    two.ring.leave()
    two._registered = False
    two.keystore.scrub(())
    copy = imaged(two, tmp_path / "copy")
    two.erase("anna")
    two.enrol("cia", "meter-3")
    lines = [
        line
        for who in (HEAT_CO, OTHER)
        for line in (homes(two, who, "dag", "meter-4"), homes(two, who, "eva", "meter-5"))
    ]
    assert enrol(two.control, two.custodian, two.policy, lines).enrolled == 4
    two.erase("eva", controller=OTHER)
    controllers(two).exit(HEAT_CO)
    two.close()
    put_back(copy, two.directory)
    back = World(two.directory)
    with pytest.raises(IntegrityStop):
        controllers(back).resume()
    withdrawal = Withdrawal(back.control, back.custodian, lambda: back.policy)
    found = Recovery(back.control, back.custodian, withdrawal).run()
    assert (found.replayed["exit"], found.erased) == (1, 0)
    assert (len(found.missing), found.routes) == (1, 2), "of who stays, and was not erased; not of who has left"
    controllers(back).resume()
    with back.keystore.snapshot() as tx:
        assert lineages.all_controllers(tx) == [OTHER]
        assert lineages.count_states(tx, HEAT_CO) == {"destroyed": 3}
    back.control.check()
    back.ledger.verify()
    back.close()


def homes(world: World, controller: Controller, customer: str, device: str) -> Enrolment:
    return Enrolment(
        line=2,
        controller=controller,
        customer=parse_customer(CANARY + customer),
        device=parse_device(CANARY + device),
        area="SE3",
        valid_from=world.clock.wall(),
        purposes=(),
    )


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


def asked_for(world: World) -> None:
    """Anna's erasure, of whose intent the key store has never heard."""
    _lineage, incarnation = lineage_and_incarnation(world, "anna")
    with world.ledger.locked():
        world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation=incarnation.hex(), access="0" * 64)


def test_not_while_an_erasure_is_asked_for_of_which_there_is_the_intent_alone(two: World) -> None:
    asked_for(two)
    with two.polling(), pytest.raises(Refused, match="erasures of this controller's customers are under way"):
        controllers(two).exit(HEAT_CO)
    assert [line.act for line in two.ledger.open_intents.values()] == ["erase"]
    for _ in range(3):
        two.erasures.resume()
        two.ring.poll()
    assert two.ledger.open_intents == {}, "which is the way on"


def test_what_an_erasure_waits_for_is_named_where_time_alone_does_not_end_it(two: World) -> None:
    """As a broker that is gone for good: `erasures resume` would be repeated for ever."""

    class Gone:
        def clear(self, _controller: Controller, _devices: Sequence[DeviceId]) -> int:
            raise Unreachable("the broker does not answer")

    erasures = two.erasures
    erasures.purging._retained = Gone()
    with two.polling():
        erasure = erasures.erase(HEAT_CO, parse_customer(CANARY + "anna")).erasure
    assert [account.party for account in erasures.owing(erasure)] == ["broker"]
    with pytest.raises(Refused, match="erasures of this controller's customers are under way") as refused:
        controllers(two).exit(HEAT_CO)
    assert "they wait for broker" in refused.value.hint
    assert "glomska erasures declare-lost" in refused.value.hint
    accounting.declare_lost(two.control, erasure, "broker")
    with pytest.raises(Refused) as refused:
        controllers(two).exit(HEAT_CO)
    assert refused.value.hint == "`glomska erasures resume` finishes them; then repeat", "when its requests are over"


def test_an_erasure_whose_controller_has_left_holds_up_no_other(two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for(two)
    two.enrol("bo", "meter-2", controller=OTHER)
    exits = controllers(two)
    monkeypatch.setattr(exits, "_require_still", lambda _tx, _controller: None)  # as it was, once
    with two.polling():
        exits.exit(HEAT_CO)
        assert two.erase("bo", controller=OTHER).certificate is not None
        for _ in range(3):
            two.erasures.resume()
    results = {line["intent"]: line["result"] for line in map(json.loads, two.ledger.lines()) if "result" in line}
    assert "abandoned" in results.values()
    two.control.check()


def exited(world: World, gone: Gone) -> dict[str, Any]:
    """What the certificate says."""
    assert gone.certificate is not None
    return verify(gone.certificate, str(world.ledger.key)).claims


def test_its_certificate_accounts_for_every_worker_and_queue(two: World) -> None:
    two.register()
    with two.polling():
        parties = exited(two, controllers(two).exit(HEAT_CO))["parties"]
    assert {party["party"]: party["accounted"] for party in parties} == {
        two.lease._worker.hex(): "acknowledged",
        f"queues {process.machine()}": "purged",
    }


def test_what_waits_under_its_keys_is_deleted_and_what_is_anothers_stays(two: World) -> None:
    two.enrol("bo", "meter-2", controller=OTHER)
    now = two.clock.wall()
    with closing(spools(two).open("glomska-7")) as spool:
        for owner in (HEAT_CO, OTHER):
            device = "meter-1" if owner == HEAT_CO else "meter-2"
            sent = replace(message(device, now, temperature=21.5), topic=topic(device, controller=owner))
            spool.append(two.process(sent).points)
    for device in ("meter-1", "meter-9"):  # of a customer, and of nobody known, under the key of the day
        assert len(two.refuse(Message(topic(device), b"{cut off"))) == 1
    with two.polling():
        controllers(two).exit(HEAT_CO)
    (waiting,) = spools(two).report()
    assert waiting.points == 1, "the other controller's"
    assert two.letters.level().letters == 0


def test_a_worker_that_holds_on_delays_the_certificate_and_no_key(two: World) -> None:
    two.ring.leave()
    two._registered = False
    clock = FixedClock(two.clock.wall(), 10**15)
    mine = World(two.directory, clock=clock)
    mine.register()
    exits = controllers(two)
    exits._letting_go._clock = clock
    exits._mark(HEAT_CO)
    exits.resume()
    assert departure(two).step == Leaving.MARKED, "its lease is not over"
    (account,) = (a for a in accounts_of(two, departures.account_of(departure(two).seq)) if a.kind == "worker")
    with pytest.raises(UsageFault, match="not destroyed yet"):
        accounting.declare_lost_of_exit(two.control, HEAT_CO, account.party)
    clock.advance(34 * SECOND)
    exits.resume()
    assert departure(two).step == Leaving.GONE
    assert not two.custodian.exists(HEAT_CO, 1)
    gone = exits.exit(HEAT_CO)
    assert (gone.certificate, gone.owing) == (None, (account.party,))
    assert [line.act for line in two.ledger.open_intents.values()] == ["exit"]
    exits.resume()
    assert not two.certificates.exit_path(departure(two).seq).exists()
    with pytest.raises(UsageFault, match="nobody of that name"):
        accounting.declare_lost_of_exit(two.control, HEAT_CO, "somebody")
    accounting.declare_lost_of_exit(two.control, HEAT_CO, account.party)
    exits.resume()
    assert two.ledger.open_intents == {}
    said = exited(two, exits.exit(HEAT_CO))["parties"]
    assert {"party": account.party, "accounted": "lost"} in said
    mine.keystore.close()


def test_what_was_erased_is_not_final_before_the_exit_has_destroyed_the_wrapping_key(two: World) -> None:
    two.ring.leave()
    two._registered = False
    erasure = two.erase("anna").erasure
    exits = controllers(two)
    exits._mark(HEAT_CO)
    assert two.custodian.exists(HEAT_CO, 1)
    assert two.finality.finalise(HEAT_CO) == []
    assert not two.certificates.path(erasure, FINAL).exists()
    with two.keystore.snapshot() as tx:
        row = acts.find_erasure(tx, erasure)
        assert row is not None
        assert two.finality.missing(tx, row) == ["its controller's exit, which destroys the wrapping key"]
    exits.exit(HEAT_CO)
    assert two.finality.finalise(HEAT_CO) == [erasure]
    claims = verify(two.certificates.path(erasure, FINAL), str(two.ledger.key)).claims
    assert [report["e"] for report in claims["custodian"]["reported"]] == [1]


def departure(world: World) -> rows.Departure:
    with world.keystore.snapshot() as tx:
        found = departures.find(tx, HEAT_CO)
    assert found is not None
    return found


def test_a_wrapping_key_that_no_turnover_has_come_to_use_goes_too(two: World) -> None:
    two.custodian.create(HEAT_CO, 2)  # and the process ended before anything else
    with two.polling():
        gone = controllers(two).exit(HEAT_CO)
    assert gone.wrappings == 2
    assert not two.custodian.exists(HEAT_CO, 2)
    assert [report["e"] for report in exited(two, gone)["custodian"]["reported"]] == [1, 2]


def test_a_turnover_whose_intent_is_all_there_is_of_it_makes_no_key_for_one_that_left(two: World) -> None:
    with two.ledger.locked():
        intent = {"controller": HEAT_CO, "e": 2, "horizons": list[str](), "access": "0" * 64}
        two.ledger.append("turnover", "intent", **intent)  # type: ignore[arg-type]
    with two.polling():
        controllers(two).exit(HEAT_CO)
    two.turnovers.tick()
    assert not two.custodian.exists(HEAT_CO, 2)
    assert two.ledger.open_intents == {}


def test_an_empty_mount_point_is_not_the_custodian(two: World, tmp_path: Path) -> None:
    exits = controllers(two)
    with two.polling():
        exits._mark(HEAT_CO)
        while departure(two).step == Leaving.MARKED:
            exits._advance(departure(two))
    kek, stick = two.directory / "kek", tmp_path / "stick"
    kek.rename(stick)
    kek.mkdir(mode=0o700)
    with pytest.raises(CustodianFault, match="its medium may be away"):
        exits.exit(HEAT_CO)
    assert departure(two).step == Leaving.DELETED
    kek.rmdir()
    stick.rename(kek)
    (away := tmp_path / "the other's mount point").mkdir(mode=0o700)
    exits._custodian = PairedCustodian(two.custodian, FileCustodian(away))
    with pytest.raises(CustodianFault, match="its medium may be away"):
        exits.exit(HEAT_CO)
    assert two.custodian.exists(HEAT_CO, 1)
    exits = controllers(two)
    for mark in kek.glob("mark-*"):
        mark.unlink()  # as where the process ended before it was set
    assert exits.exit(HEAT_CO).wrappings == 1
    assert not two.custodian.exists(HEAT_CO, 1)


def test_one_that_nobody_knows(two: World) -> None:
    with pytest.raises(UnknownSubject):
        controllers(two).exit(parse_controller("nobody"))
