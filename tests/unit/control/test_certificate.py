"""Certificates of an erasure: what they say, that others can check them, and what a forger can do."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.control.certificate import EFFECTIVE, FINAL, Certificates
from gateway.control.rotation import rotate
from gateway.control.verification import TYPE, pem, read_certificate, verify
from gateway.errors import KeyDestroyed, Unreachable, VerificationFailed
from gateway.keys import signing
from gateway.keystore import acts, lineages, rows
from gateway.model.ids import parse_controller
from tests import conformance
from tests.world import CANARY, CONTROLLER, World

(HERE,) = conformance.__path__
VERIFIER = Path(HERE) / "verifier.py"


def claims(world: World, erasure: bytes, kind: str) -> dict[str, Any]:
    raw = world.certificates.path(erasure, kind).read_bytes()
    return read_certificate(raw, str(world.ledger.key)).claims


def by_somebody_else(world: World, file: Path) -> subprocess.CompletedProcess[str]:
    """A verifier that imports nothing of ours, started in a directory where nothing of ours is."""
    public = world.directory.parent / "public.pem"
    public.write_text(pem(str(world.ledger.key)))
    command = [sys.executable, "-I", str(VERIFIER), str(file), str(public)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=file.parent, timeout=60)


def report_destroyed(world: World, e: int) -> None:
    """What a turnover notes when the custodian has destroyed W_e."""
    report = world.custodian.destroy(parse_controller(CONTROLLER), e)
    with world.keystore.act() as tx:
        lineages.add_wrapping(
            tx,
            rows.Wrapping(
                controller=parse_controller(CONTROLLER),
                e=e,
                custodian=report.kind,
                attested=int(report.attested),
                residue=report.residue,
                destroyed=world.clock.wall(),
            ),
        )


def finalised(world: World, customer: str = "anna") -> bytes:
    world.enrol(customer, f"meter-{customer}")
    world.publish(f"meter-{customer}", temperature=21.5)
    world.ring.leave()
    world._registered = False
    erasure = world.erase(customer).erasure
    report_destroyed(world, 1)
    assert world.finality.finalise(parse_controller(CONTROLLER)) == [erasure]
    return erasure


@pytest.mark.both_key_stores
def test_the_first_says_what_was_destroyed_and_what_it_does_not_cover(world: World) -> None:
    world.enrol("anna", "meter-1", "meter-2")
    world.publish("meter-1", temperature=21.5)
    erased = world.erase("anna")
    assert erased.certificate == world.certificates.path(erased.erasure, EFFECTIVE)
    said = claims(world, erased.erasure, EFFECTIVE)
    assert (said["v"], said["kind"], said["controller"]) == (1, EFFECTIVE, CONTROLLER)
    assert sorted(key["class"] for key in said["keys"]) == ["billing", "identity", "telemetry"]
    assert all(len(key["commitment"]) == 64 and len(key["key_id"]) == 32 for key in said["keys"])
    assert said["fences"] == 3
    assert [party["accounted"] for party in said["parties"] if len(party["party"]) == 32] == ["acknowledged"]
    sought = said["keystore"]["traces_sought"]
    assert sought == 0 if world.keystore.residue else sought > 3, "what was not scanned is not said to have been"
    assert {"copies of memory and swap that were made while the keys were in use"} <= set(said["not_covered"])
    assert all({"what", "until"} == set(residual) for residual in said["residuals"])
    line = json.loads((world.directory / "ledger" / "ledger.jsonl").read_text().splitlines()[said["ledger"]["seq"]])
    assert (line["hash"], line["act"], line["state"]) == (said["ledger"]["head"], "erase", "effective")
    assert not any(CANARY in json.dumps(value) for value in said.values())


@pytest.mark.both_key_stores
def test_the_second_names_the_first_and_what_the_custodian_reported(world: World) -> None:
    erasure = finalised(world)
    said = claims(world, erasure, FINAL)
    with world.keystore.snapshot() as tx:
        row = acts.find_erasure(tx, erasure)
    assert row is not None
    first = subprocess.run(
        ["sha256sum"], input=world.certificates.path(erasure, EFFECTIVE).read_bytes().strip(), capture_output=True,
        check=True,
    )  # fmt: skip
    assert said["first"] == row.certified == first.stdout.decode().split()[0]
    assert said["stores"] == {"sqlite": {"accepted": "deleted twice", "rows_seen_after": 0}}
    assert said["recipients"] == []
    (report,) = said["custodian"]["reported"]
    assert (report["e"], report["custodian"], report["attested"]) == (1, "file", False)
    (copies,) = (r for r in said["residuals"] if "copies of the key file's medium" in r["what"])
    assert copies["until"].startswith("made before 2")
    assert world.finality.finalise(parse_controller(CONTROLLER)) == []


@pytest.mark.both_key_stores
def test_not_final_before_the_wrapping_key_is_reported_destroyed(world: World) -> None:
    world.enrol("anna", "meter-1")
    erasure = world.erase("anna").erasure
    assert world.finality.finalise(parse_controller(CONTROLLER)) == []
    with world.keystore.snapshot() as tx:
        row = acts.find_erasure(tx, erasure)
        assert row is not None
        assert world.finality.missing(tx, row) == ["the next turnover, which destroys the wrapping key"]
    assert not world.certificates.path(erasure, FINAL).exists()


@pytest.mark.both_key_stores
def test_somebody_else_can_check_certificates_and_ledger(world: World) -> None:
    erasure = finalised(world)
    for kind in (EFFECTIVE, FINAL):
        done = by_somebody_else(world, world.certificates.path(erasure, kind))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == claims(world, erasure, kind)
    rotate(world.control, world.signing_key)
    done = by_somebody_else(world, world.ledger.path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["head"] == world.ledger.head.hash
    assert len(VERIFIER.read_text().splitlines()) < 90


def changed(part: int, change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    def forge(text: str) -> str:
        parts = text.strip().split(".")
        content = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
        change(content)
        parts[part] = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
        return ".".join(parts)

    return forge


def resigned(text: str) -> str:
    """By a forger with a key of their own, who names the true one."""
    part = text.strip().rpartition(".")[0]
    made = Ed25519PrivateKey.generate().sign(part.encode())
    return f"{part}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "forge",
    [
        changed(1, lambda said: said.update(effective="2020-01-01T00:00:00Z")),
        changed(1, lambda said: said["keys"].pop()),
        changed(0, lambda head: head.update(alg="none")),
        changed(0, lambda head: head.update(typ="JWT")),
        resigned,
        lambda text: text.strip()[:-1] + ("A" if text.strip()[-1] != "A" else "B"),
        lambda text: text.rpartition(".")[0] + ".",
        lambda text: "",
        lambda text: "no certificate",
        lambda text: ".".join([base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()] * 2) + ".AAAA",
    ],
    ids=["date", "keys", "no algorithm", "type", "other signer", "last bit", "no signature", "empty", "text", "deep"],
)
def test_a_forged_certificate_is_refused_here_and_by_somebody_else(world: World, forge: Callable[[str], str]) -> None:
    world.enrol("anna", "meter-1")
    file = world.certificates.path(world.erase("anna").erasure, EFFECTIVE)
    forged = world.directory.parent / "forged.jws"
    forged.write_text(forge(file.read_text()))
    with pytest.raises(VerificationFailed) as refusal:
        verify(forged, str(world.ledger.key))
    assert refusal.value.exit_code == 8
    assert by_somebody_else(world, forged).returncode != 0
    assert by_somebody_else(world, file).returncode == 0


@pytest.mark.parametrize("missing", ["ledger", "effective"])
def test_a_signed_certificate_that_lacks_what_it_must_say_is_refused(world: World, missing: str) -> None:
    world.enrol("anna", "meter-1")
    public, file = str(world.ledger.key), world.directory / "short.jws"
    claims: dict[str, object] = {"v": 1, "kind": EFFECTIVE, "effective": "2026-01-01T00:00:00Z", "ledger": {}}
    claims["ledger"] = {"id": "", "seq": 0, "head": ""}
    del claims[missing]
    part = signing.signed_part(json.dumps(claims).encode(), public=public, typ=TYPE)
    file.write_text(f"{part}.{world.signing_key.sign(public, part.encode())}")
    with pytest.raises(VerificationFailed, match="lacks what one of its kind says"):
        verify(file, public)


def test_a_certificate_of_another_ledger_is_told(world: World, tmp_path: Path) -> None:
    world.enrol("anna", "meter-1")
    file = world.certificates.path(world.erase("anna").erasure, EFFECTIVE)
    public = str(world.ledger.key)
    assert verify(file, public, ledger=world.ledger.path).kind == EFFECTIVE
    other = tmp_path / "ledger.jsonl"
    other.write_bytes(b"".join(world.ledger.path.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(VerificationFailed, match="does not have"):
        verify(file, public, ledger=other)


@pytest.mark.both_key_stores
def test_erased_twice_tells_where_the_certificate_is(world: World) -> None:
    world.enrol("anna", "meter-1")
    place = world.erase("anna").certificate
    with pytest.raises(KeyDestroyed) as destroyed:
        world.erase("anna")
    assert str(place) in destroyed.value.hint


@pytest.mark.both_key_stores
def test_what_was_not_written_is_written_later_and_never_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enrol("anna", "meter-1")

    def fails(*_args: object) -> None:
        raise Unreachable("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Certificates, "issue", fails)
        with pytest.raises(Unreachable, match="no room"):
            world.erase("anna")
    with world.keystore.snapshot() as tx:
        (row,) = acts.all_erasures(tx)
        erasure = row.erasure
    assert not world.certificates.path(erasure, EFFECTIVE).exists()
    world.erasures.resume()
    before = world.certificates.path(erasure, EFFECTIVE).read_bytes()
    world.erasures.resume()
    world.certificates.issue(erasure, EFFECTIVE, {"other": "claims"})
    assert world.certificates.path(erasure, EFFECTIVE).read_bytes() == before


@pytest.mark.both_key_stores
def test_certificates_and_ledger_name_nobody(world: World) -> None:
    finalised(world)
    assert world.leaks("anna", "meter-anna") == []
