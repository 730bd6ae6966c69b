"""A certificate or a whole ledger, judged offline with a public key: nothing of this gateway is asked.

verify(Path("final.jws"), public)       # Verdict(kind="final", claims={…}), or VerificationFailed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.control.chain import Chain
from gateway.errors import IntegrityStop, UsageFault, VerificationFailed
from gateway.keys import signing

TYPE = "glomska-erasure+jws"
KINDS = ("effective", "final", "exit")
_LONGEST = 1 << 24  # bytes of a certificate


@dataclass(frozen=True, slots=True)
class Verdict:
    """What holds: `kind` is "effective", "final", "exit" or "ledger"."""

    kind: str
    claims: dict[str, Any]


def read_public(file: Path) -> str:
    """The public key in a PEM file. Raises UsageFault."""
    try:
        return signing.from_pem(file.read_bytes())
    except OSError as fault:
        raise UsageFault(f"the public key cannot be read: {(fault.strerror or '').lower()}") from None
    except ValueError:
        hint = "give the PEM that `glomska ledger public-key` prints"
        raise UsageFault("the file of the public key is not an Ed25519 public key in PEM", hint=hint) from None


def pem(public: str) -> str:
    """A public key as others read it."""
    return signing.to_pem(public)


def verify(
    file: Path, public: str, *, ledger: Path | None = None, progress: Callable[[int], None] = lambda _lines: None
) -> Verdict:
    """What the file is, and what it says. With `ledger`, a certificate must stand in that one too.

    Raises:
        VerificationFailed: forged, changed, or signed with another key.
        UsageFault: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            is_ledger = stream.read(1) == b"{"
        if is_ledger:
            return Verdict("ledger", _ledger(file, public, progress))
        verdict = read_certificate(file.read_bytes()[:_LONGEST], public)
        if ledger is not None:
            _stands_in(ledger, verdict.claims, progress)
        return verdict
    except OSError as fault:
        raise UsageFault(f"the file cannot be read: {(fault.strerror or '').lower()}") from None
    except IntegrityStop as fault:
        raise VerificationFailed(str(fault), hint=fault.hint) from None


def read_certificate(raw: bytes, public: str) -> Verdict:
    """A certificate's claims. Raises VerificationFailed."""
    claims = signing.open_jws(raw.decode("ascii", "replace").strip(), public=public, typ=TYPE)
    kind, stands = claims.get("kind"), claims.get("ledger")
    if claims.get("v") != 1 or kind not in KINDS:
        raise VerificationFailed("the certificate is of a version or kind that this program does not know")
    if kind not in claims or not isinstance(stands, dict) or not stands.keys() >= {"id", "seq", "head"}:
        raise VerificationFailed(
            "the certificate lacks what one of its kind says", hint="ask who signed it for a whole one"
        )
    return Verdict(str(kind), claims)


def _ledger(file: Path, public: str, progress: Callable[[int], None]) -> dict[str, Any]:
    chain = Chain(public)
    with file.open("rb") as stream:
        for raw in stream:
            chain.follow(raw)
            progress(chain.lines)
    chain.settle()
    if chain.head is None:
        raise VerificationFailed("the ledger is empty")
    return {
        "ledger": chain.id,
        "lines": chain.lines,
        "head": chain.head.hash,
        "time": chain.head.body["time"],
        "signed_lines": chain.signed,
    }


def _stands_in(file: Path, claims: dict[str, Any], progress: Callable[[int], None]) -> None:
    named, chain, hashes = claims["ledger"], Chain(), {}
    with file.open("rb") as stream:
        for raw in stream:
            line = chain.follow(raw)
            progress(chain.lines)
            if line.seq == named["seq"]:
                hashes[line.seq] = line.hash
    if (chain.id, hashes.get(named["seq"])) != (named["id"], named["head"]):
        hint = "compare with another copy of the ledger: one of the two was cut or forked"
        raise VerificationFailed("the certificate names a line that this ledger does not have", hint=hint)
