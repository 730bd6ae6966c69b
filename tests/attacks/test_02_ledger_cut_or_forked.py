"""Attack 2: the ledger is cut, or forked, so that an act is forgotten or another story is told.

The key store knows the sequences of its acts, and the custodian the hash of the newest: neither is within the ledger's
reach. And who reads it with the public key alone believes no outcome that is not signed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.control.verification import verify
from gateway.crypto.signing import decode
from gateway.errors import IntegrityStop, VerificationFailed
from tests.conformance import verifier
from tests.copies import imaged
from tests.unit.control.test_erasure import ledger_lines
from tests.unit.control.test_signed_ledger import rechained
from tests.world import World

pytestmark = pytest.mark.both_key_stores


def path(world: World) -> Path:
    return world.directory / "ledger" / "ledger.jsonl"


@pytest.mark.parametrize("lines", [1, 2, 4, 5])
def test_a_cut_ledger_is_refused(world: World, lines: int) -> None:
    world.enrol("anna", "meter-1")
    world.erase("anna")
    whole = path(world).read_bytes()
    path(world).write_bytes(b"".join(whole.splitlines(keepends=True)[:lines]))
    fresh = World(world.directory)
    with pytest.raises(IntegrityStop) as stop:
        fresh.control.check()
    assert stop.value.exit_code == 9
    fresh.close()
    path(world).write_bytes(whole)


def test_a_fork_of_the_same_length_is_refused(world: World) -> None:
    """Signed by the same key, chained whole, as long as the true one: another story told after a restore."""
    world.enrol("anna", "meter-1")
    other = World(imaged(world, world.directory.parent / "fork"))
    with other.control.act("enrol"):
        pass
    with world.control.act("purge-source"):
        pass
    whole = path(world).read_bytes()
    assert len(path(other).read_bytes().splitlines()) == len(whole.splitlines())
    shutil.copy(path(other), path(world))
    fresh = World(world.directory)
    with pytest.raises(IntegrityStop, match="forked"):
        fresh.control.check()
    fresh.close()
    other.close()
    path(world).write_bytes(whole)


@pytest.mark.one_key_store  # which is not asked: whoever reads has the ledger and a public key
@pytest.mark.parametrize("act", ["final", "ledger-key"])
def test_an_outcome_that_calls_the_key_lost_is_not_believed_unsigned(world: World, act: str) -> None:
    """Appended by who can write the file and count hashes, and cannot sign: an erasure that never became final."""
    world.enrol("anna", "meter-1")
    lines, public = ledger_lines(world.directory), str(world.ledger.key)
    told = {"act": act, "phase": "outcome", "intent": 1, "result": "done", "lost": "yes", "seq": len(lines)}
    forged = world.directory.parent / "forged.jsonl"
    forged.write_bytes(rechained([*lines, {**told, "time": lines[-1]["time"]}]))
    with pytest.raises(VerificationFailed, match="signature of line 4 of the ledger does not hold"):
        verify(forged, public)
    with pytest.raises(KeyError, match="signature"):
        verifier.ledger(
            forged.read_bytes().splitlines(keepends=True), Ed25519PublicKey.from_public_bytes(decode(public))
        )
