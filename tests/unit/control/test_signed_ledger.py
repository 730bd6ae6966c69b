"""The ledger's signatures: who answers for which line, rotation, and what a forger can do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from gateway.clock import SystemClock
from gateway.control.chain import ROTATE, Value, chained
from gateway.control.ledger import Ledger
from gateway.control.rotation import public_keys, rotate
from gateway.control.verification import pem, read_public, verify
from gateway.errors import CustodianFault, IntegrityStop, UsageFault, VerificationFailed
from gateway.keys.signing import SigningKey
from gateway.keystore import acts
from tests.unit.control.test_erasure import ledger_lines, lineage_and_incarnation
from tests.world import World

VERIFIER = Path(__file__).parents[2] / "conformance" / "verifier.py"


def path(world: World) -> Path:
    return world.directory / "ledger" / "ledger.jsonl"


def do_nothing(world: World) -> None:
    with world.control.act("enrol"):
        pass


def rechained(lines: list[dict[str, Any]]) -> bytes:
    """What a forger writes who can count hashes and cannot sign."""
    written, prev = b"", "0" * 64
    for line in lines:
        body = {name: value for name, value in line.items() if name != "hash"} | {"prev": prev}
        prev = sha256(rfc8785.dumps(body)).hexdigest()
        written += rfc8785.dumps(body | {"hash": prev}) + b"\n"
    return written


def test_every_outcome_is_signed_and_the_public_key_verifies_them(world: World) -> None:
    do_nothing(world)
    lines = ledger_lines(world.directory)
    assert ["signature" in line for line in lines] == [True, False, True]
    assert public_keys(world.ledger) == [lines[0]["key"]]
    verdict = verify(path(world), str(lines[0]["key"]))
    assert (verdict.kind, verdict.claims["lines"], verdict.claims["signed_lines"]) == ("ledger", 3, 3)
    assert verdict.claims["head"] == lines[-1]["hash"]
    assert world.signing_key.file.stat().st_mode & 0o777 == 0o600


def test_another_key_verifies_nothing(world: World, tmp_path: Path) -> None:
    do_nothing(world)
    other = SigningKey(tmp_path / "other").begin()
    with pytest.raises(VerificationFailed, match="nothing in this ledger is signed with that key"):
        verify(path(world), other)


def test_a_key_that_is_only_named_has_answered_for_nothing(world: World, tmp_path: Path) -> None:
    """Whoever has the public key can write a ledger of their own that ends with a rotation to it."""
    do_nothing(world)
    public = SigningKey(tmp_path / "victim").begin()
    with world.control.act(ROTATE) as act:
        act.outcome["key"] = public
    pub = tmp_path / "pub.pem"
    pub.write_text(pem(public))
    with pytest.raises(VerificationFailed, match="nothing in this ledger is signed with that key"):
        verify(path(world), public)
    theirs = subprocess.run([sys.executable, VERIFIER, path(world), pub], capture_output=True, text=True, check=False)
    assert "not signed with this key" in theirs.stderr


def test_a_rotated_key_answers_at_once_to_who_trusts_it_alone(world: World, tmp_path: Path) -> None:
    do_nothing(world)
    second = rotate(world.control, world.signing_key)
    pub = tmp_path / "pub.pem"
    pub.write_text(pem(second))
    assert verify(path(world), second).claims["signed_lines"] == 7
    subprocess.run([sys.executable, VERIFIER, path(world), pub], capture_output=True, check=True)


def test_two_rotations_at_once_leave_a_key_that_signs(world: World) -> None:
    """The second prepares while the first stands between its own preparation and its act."""
    do_nothing(world)
    first = world.ledger.key

    class Late:
        """The first one's signer: another process prepares before it is taken into use."""

        def prepare(self) -> str:
            public = world.signing_key.prepare()
            SigningKey(world.signing_key.file).prepare()
            return public

        def require(self, public: str) -> None:
            world.signing_key.require(public)

    assert rotate(world.control, Late()) == world.ledger.key != first
    do_nothing(world)


def test_an_outcome_that_nobody_signed_stops_who_reads_it_and_who_comes_after(world: World) -> None:
    """Else somebody who may write the file could call an erasure off."""
    with world.ledger.locked():
        intent = world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation="cd" * 16, access="0" * 64)
        head = world.ledger.head
    body: dict[str, Value] = {"act": "erase", "phase": "outcome", "intent": intent, "result": "abandoned"}
    forged = chained({**body, "prev": head.hash, "seq": head.seq + 1, "time": "2026-03-10T12:00:00Z"})
    with path(world).open("ab") as file:
        file.write(rfc8785.dumps(forged.body) + b"\n")
    for _ in range(2):  # the second finds nothing new in the file
        with pytest.raises(IntegrityStop, match="signature of line 3 of the ledger does not hold"):
            do_nothing(world)
    with pytest.raises(IntegrityStop, match="signature of line 3"):
        Ledger(path(world).parent, SystemClock(), world.signing_key)


@pytest.mark.parametrize(
    "tail",
    [b'{"a":' + b"[" * 100_000 + b"\n", b"[1,2]\n", b"\0\n", b'{"seq":1' + b"0" * 5000 + b"}\n"],
    ids=["deep", "a list", "a zero", "a long number"],
)
def test_a_line_that_is_no_line_is_damage_and_nothing_else(world: World, tail: bytes) -> None:
    do_nothing(world)
    key = str(world.ledger.key)
    with path(world).open("ab") as file:
        file.write(tail)
    with pytest.raises(VerificationFailed, match="the ledger is damaged at line 4"):
        verify(path(world), key)


def test_a_line_that_says_a_thing_twice_is_not_as_it_was_written(world: World) -> None:
    do_nothing(world)
    whole = path(world).read_bytes()
    path(world).write_bytes(whole.replace(b'"act":"enrol"', b'"act":"erase","act":"enrol"', 1))
    with pytest.raises(VerificationFailed, match="the ledger is damaged at line 2"):
        verify(path(world), str(world.ledger.key))
    path(world).write_bytes(whole)


@pytest.mark.parametrize(
    "forge",
    [
        lambda lines: lines[2].update(result="failed"),
        lambda lines: lines[2].pop("signature"),
        lambda lines: lines[0].pop("signature"),
        lambda lines: lines.pop(1),
        lambda lines: lines.append(lines[2] | {"seq": 5}),
        lambda lines: lines[1].update(signature=lines[2]["signature"]),
        lambda lines: (lines[-1].pop("signature"), lines[-1].update(lost="yes")),
        lambda lines: (lines[-1].pop("signature"), lines[-1].update(act="ledger-key", lost="yes")),
    ],
    ids=["changed", "stripped", "first stripped", "removed", "copied", "moved", "said lost", "said key lost"],
)
def test_a_forger_who_counts_hashes_anew_is_found_out(world: World, forge: Callable[[Any], object]) -> None:
    do_nothing(world)
    do_nothing(world)
    whole, key = path(world).read_bytes(), str(ledger_lines(world.directory)[0]["key"])
    lines: Any = ledger_lines(world.directory)
    forge(lines)
    for number, line in enumerate(lines):
        line["seq"] = number
    path(world).write_bytes(rechained(lines))
    with pytest.raises(VerificationFailed, match=r"signature of line|signed and may not be"):
        verify(path(world), key)
    path(world).write_bytes(whole)


def test_a_ledger_of_before_signatures_opens_and_is_signed_from_its_next_act_on(tmp_path: Path) -> None:
    old = Ledger(tmp_path, SystemClock())
    with old.locked():
        intent = old.append("enrol", "intent", access="0" * 64)
        old.append("enrol", "outcome", intent=intent, result="done")
    before = old.path.read_bytes()
    signer = SigningKey(tmp_path / "signing.key")
    new = Ledger(tmp_path, SystemClock(), signer)
    with new.locked():
        new.append("enrol", "intent", access="0" * 64)
    assert new.path.read_bytes().startswith(before)
    assert new.newest_outcome is not None
    assert new.newest_outcome.intent == intent
    assert [line.get("act") for line in map(json.loads, new.path.read_text().splitlines())][3:] == [
        "ledger-key",
        "enrol",
    ]
    assert new.verify() == 5
    assert verify(new.path, str(new.key)).claims["signed_lines"] == 4


@pytest.mark.both_key_stores
def test_the_key_before_vouches_for_the_next(world: World) -> None:
    do_nothing(world)
    first = str(world.ledger.key)
    second = rotate(world.control, world.signing_key)
    do_nothing(world)
    assert public_keys(world.ledger) == [first, second]
    assert [verify(path(world), key).claims["lines"] for key in (first, second)] == [9, 9]
    world.ledger.verify()
    assert not world.signing_key.file.with_name("signing.key.next").exists()


@pytest.mark.both_key_stores
def test_a_rotation_that_was_ended_before_its_outcome_signs_on_with_the_key_before(world: World) -> None:
    do_nothing(world)
    first = world.ledger.key
    world.signing_key.prepare()
    do_nothing(world)
    assert world.ledger.key == first
    assert rotate(world.control, world.signing_key) != first


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.both_key_stores
def test_a_rotation_away_from_a_lost_key_that_was_ended_is_carried_on_with(world: World, *, known: bool) -> None:
    """No other outcome of it could be signed, and every later act has to close it first."""
    world.enrol("anna", "meter-1")
    world.signing_key.file.unlink()
    public = world.signing_key.prepare()
    with world.ledger.locked():
        seq = world.ledger.append(ROTATE, "intent", access="0" * 64, lost=public)
    if known:
        with world.keystore.act() as tx:
            acts.record_intent(tx, seq=seq, act=ROTATE, now=world.clock.wall())
    world.enrol("bo", "meter-2")
    assert ledger_lines(world.directory)[seq + 1]["lost"] == "yes"
    assert world.ledger.key == public
    assert world.ledger.verify() == len(ledger_lines(world.directory))


@pytest.mark.both_key_stores
def test_a_lost_key_is_told_and_nothing_is_done_without_one(world: World) -> None:
    do_nothing(world)
    first = str(world.ledger.key)
    world.signing_key.file.unlink()
    before = path(world).read_bytes()
    with pytest.raises(CustodianFault, match="is missing, or is not the one that the ledger names") as fault:
        world.enrol("anna", "meter-1")
    assert "--lost" in fault.value.hint
    assert path(world).read_bytes() == before
    second = rotate(world.control, world.signing_key, lost=True)
    assert world.enrol("anna", "meter-1").enrolled == 1
    assert verify(path(world), second).kind == "ledger"
    with pytest.raises(VerificationFailed, match="never vouched for"):
        verify(path(world), first)


def test_a_key_that_others_may_read_is_refused(world: World) -> None:
    do_nothing(world)
    world.signing_key.file.chmod(0o644)
    with pytest.raises(CustodianFault, match=r"readable by others \(mode 0644\)"):
        do_nothing(world)
    world.signing_key.file.chmod(0o600)


def test_a_public_key_is_read_as_pem_and_nothing_else(world: World, tmp_path: Path) -> None:
    do_nothing(world)
    file = tmp_path / "pub.pem"
    file.write_text(pem(str(world.ledger.key)))
    assert read_public(file) == world.ledger.key
    for wrong in (b"", b"-----BEGIN PUBLIC KEY-----", world.signing_key.file.read_bytes()):
        file.write_bytes(wrong)
        with pytest.raises(UsageFault, match="not an Ed25519 public key"):
            read_public(file)
    with pytest.raises(UsageFault, match="cannot be read: no such file"):
        read_public(tmp_path / "none")


def unsigned_erasure(world: World) -> int:
    """Announced as earlier versions did; its sequence."""
    _lineage, incarnation = lineage_and_incarnation(world, "anna")
    with pytest.MonkeyPatch.context() as patch, world.ledger.locked():
        patch.setattr("gateway.control.ledger.CARRIED_ON", frozenset())
        return world.ledger.append("erase", "intent", erasure="ab" * 16, incarnation=incarnation.hex(), access="0" * 64)


def by_a_stranger(world: World, tmp_path: Path) -> None:
    """Raises CalledProcessError."""
    pub = tmp_path / "pub.pem"
    pub.write_text(pem(str(world.ledger.key)))
    subprocess.run([sys.executable, VERIFIER, path(world), pub], capture_output=True, check=True)


@pytest.mark.both_key_stores
def test_what_an_earlier_version_began_and_the_key_store_knows_is_carried_on_with(world: World, tmp_path: Path) -> None:
    world.enrol("anna", "meter-1")
    seq = unsigned_erasure(world)
    with world.keystore.act() as tx:
        acts.record_intent(tx, seq=seq, act="erase", now=world.clock.wall())
    other = World(world.directory)
    other.erasures.resume()
    lines = ledger_lines(world.directory)
    assert "signature" not in lines[seq]
    assert lines[seq + 1]["state"] == "effective"
    assert verify(path(world), str(world.ledger.key)).claims["lines"] == len(lines) == world.ledger.verify()
    by_a_stranger(world, tmp_path)
    other.close()


@pytest.mark.both_key_stores
def test_what_nobody_signed_is_closed_on_an_operator_s_word(world: World, tmp_path: Path) -> None:
    world.enrol("anna", "meter-1")
    seq = unsigned_erasure(world)
    with world.keystore.act() as tx:  # the line of an act that the key store knows, exchanged: it was an enrolment
        acts.record_intent(tx, seq=seq, act="enrol", now=world.clock.wall())
    for _ in range(2):
        with pytest.raises(IntegrityStop, match=f"line {seq + 1} of the ledger announces an act"):
            do_nothing(world)
    assert world.control.disown() == ["erase"]
    assert world.control.disown() == []
    world.erasures.resume()
    do_nothing(world)
    assert ledger_lines(world.directory)[seq + 1]["result"] == "abandoned"
    assert world.ledger.verify() == len(ledger_lines(world.directory))
    by_a_stranger(world, tmp_path)
    assert world.enrol("anna", "meter-1").already == 1


def test_what_is_carried_on_with_is_signed(world: World, tmp_path: Path) -> None:
    world.enrol("anna", "meter-1")
    world.erase("anna")
    world.turn_over()
    told = {(line["act"], "signature" in line) for line in ledger_lines(world.directory) if line["phase"] == "intent"}
    assert {("enrol", False), ("erase", True), ("turnover", True)} <= told
    by_a_stranger(world, tmp_path)


def test_a_line_that_neither_announces_nor_ends_an_act_is_damage(world: World) -> None:
    """Else it would end one, and nobody would ask who signed it."""
    do_nothing(world)
    last = ledger_lines(world.directory)[-1]
    body = {"act": "erase", "phase": "over", "intent": 1, "seq": int(str(last["seq"])) + 1, "time": str(last["time"])}
    whole = path(world).read_bytes()
    path(world).write_bytes(rechained([*ledger_lines(world.directory), body]))
    with pytest.raises(IntegrityStop, match="damaged at line 4"):
        do_nothing(world)
    path(world).write_bytes(whole)
