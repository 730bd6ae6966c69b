"""Certificates: signed statements of what was done to one customer's keys and data, and of what is not covered.

`effective`: no key is left in the key store and no process can use one. `final`: every wrapping key that ever covered
them is reported destroyed too, rows were deleted twice, and everybody is accounted for; it names the first by its hash.
`exit`: a controller has left, and every key and wrapping key that it ever had is destroyed. Each is a compact JWS
(docs/formats/certificates.md), written once to `state/certificates`, and names no one.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import secrets
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import rfc8785

from gateway.control import accounting
from gateway.control.chain import Line, Value
from gateway.control.ledger import Ledger, Signer
from gateway.control.verification import TYPE
from gateway.disk import sync_directory
from gateway.errors import Unreachable
from gateway.keys.signing import signed_part
from gateway.keystore import accounts, departures, rows
from gateway.keystore.database import Transaction

EFFECTIVE, FINAL, EXIT = "effective", "final", "exit"
DAY = 86_400 * 10**9
LETTERS_DAYS = 7
"""How long a dead letter that belongs to nobody known is kept at most."""
NOT_COVERED = [
    "copies of memory and swap that were made while the keys were in use",
    "keys or readings that were taken before the erasure",
    "what was read, exported or handed on before the erasure",
    "statistics that were released before the erasure",
]


class Certificates:
    """Where they are, and how they are signed."""

    def __init__(self, directory: Path, ledger: Ledger, signer: Signer) -> None:
        self._directory = directory
        self._ledger = ledger
        self._signer = signer

    def path(self, erasure: bytes, kind: str) -> Path:
        """Where one is, or will be."""
        return self._directory / f"{erasure.hex()}-{kind}.jws"

    def issue(self, erasure: bytes, kind: str, claims: dict[str, Any]) -> str:
        """Sign and write one, unless it is there; hexadecimal SHA-256 of the one that is there then.

        Raises:
            CustodianFault: the signing key is not at hand.
            Unreachable: it cannot be written.
        """
        return self._write(self.path(erasure, kind), {"kind": kind, "erasure": erasure.hex(), **claims})

    def exit_path(self, seq: int) -> Path:
        """Where the one of an exit is, or will be; `seq` is its intent's, which another ledger has too."""
        return self._directory / f"{self._ledger.id.hex()}-{seq}-{EXIT}.jws"

    def issue_exit(self, seq: int, claims: dict[str, Any]) -> Path:
        """Sign and write the one of an exit, unless it is there; where. Raises as `issue`."""
        place = self.exit_path(seq)
        if not place.exists():
            with self._ledger.locked():
                before = self._ledger.outcome_of(seq)
            repeated = {} if before is None else {"repeated": named(before)}
            self._write(place, {"kind": EXIT, "intent": seq, **repeated, **claims})
        return place

    def _write(self, place: Path, claims: dict[str, Any]) -> str:
        with self._ledger.locked():
            head, key = self._ledger.head, str(self._ledger.key)
            named = {"id": self._ledger.id.hex(), "seq": head.seq, "head": head.hash}
        body = {"v": 1, **claims, "ledger": named}
        part = signed_part(rfc8785.dumps(body), public=key, typ=TYPE)
        try:
            _write_once(place, f"{part}.{self._signer.sign(key, part.encode())}\n".encode())
            return _digest(place)
        except OSError as fault:
            message = f"the certificate cannot be written: {fault.strerror}"
            raise Unreachable(
                message, hint="free some space in the state directory; it is written with the next look"
            ) from None


def lost(directory: Path, found: rows.Erasure) -> list[Path]:
    """Certificates of an erasure that were written to this directory, and are gone from it or are others now.

    They are not written again: who was given one would hold another than the one here. Raises OSError.
    """
    written = ((EFFECTIVE, found.certified), (FINAL, found.certified_final))
    places = {directory / f"{found.erasure.hex()}-{kind}.jws": digest for kind, digest in written if digest is not None}
    return [place for place, digest in places.items() if not place.exists() or _digest(place) != digest]


def _digest(place: Path) -> str:
    return sha256(place.read_bytes().strip()).hexdigest()


def effective_claims(tx: Transaction, found: rows.Erasure, *, residue: str) -> dict[str, Any]:
    """What the first certificate says. `residue`: where the key store may still hold deleted rows."""
    evidence = evidence_of(found)
    keeps = [_hold(hold) for hold in accounts.holds_of(tx, found.erasure)]
    return {
        "controller": found.controller,
        "incarnation": found.incarnation.hex(),
        "requested": requested(found),
        "effective": rfc3339(found.effective or 0),
        **_repeated(evidence),
        "keys": evidence["keys"],
        "held": keeps,
        "fences": evidence["fences"],
        "generation": found.generation,
        "parties": accounting.claims(tx, found.erasure),
        "keystore": {"traces_sought": evidence.get("traces", 0), "found": 0, "residue": residue},
        "custodian": {"kind": evidence["custodian"], "reported": []},
        "residuals": [
            {"what": "copies of the key store of before, with the custodian's live key", "until": "the next turnover"},
            *_residuals(found, keeps),
        ],
        "not_covered": NOT_COVERED,
    }


def final_claims(tx: Transaction, found: rows.Erasure, reports: list[rows.Wrapping]) -> dict[str, Any]:
    """What the second one says. `reports`: of every wrapping key that ever covered a key of this erasure."""
    evidence = evidence_of(found)
    keeps = [_hold(hold) for hold in accounts.holds_of(tx, found.erasure)]
    return {
        "controller": found.controller,
        "incarnation": found.incarnation.hex(),
        "effective": rfc3339(found.effective or 0),
        "final": rfc3339(found.final or 0),
        **_repeated(evidence),
        "first": found.certified,
        "parties": accounting.claims(tx, found.erasure),
        "stores": {} if _capture_lost(found) else evidence.get("stores", {}),
        "recipients": [],
        "custodian": {"kind": evidence["custodian"], "reported": [_report(report) for report in reports]},
        "residuals": [*_copies(reports), *_residuals(found, keeps)],
        "not_covered": NOT_COVERED,
    }


def exit_claims(
    tx: Transaction, found: rows.Departure, reports: list[rows.Wrapping], *, residue: str
) -> dict[str, Any]:
    """What the one of an exit says. `reports`: of every wrapping key that the controller ever had."""
    account = departures.account_of(found.seq)
    return {
        "controller": found.controller,
        "requested": rfc3339(found.requested),
        "effective": rfc3339(found.effective or 0),
        "exit": rfc3339(max(report.destroyed for report in reports)),
        "keys": found.keys,
        "holds_ended": _ended(accounts.ended_holds(tx, account)),
        "generation": found.generation,
        "parties": accounting.claims(tx, account),
        "keystore": {"residue": residue},
        "custodian": {"kind": reports[-1].custodian, "reported": [_report(report) for report in reports]},
        "residuals": [
            *_copies(reports),
            {"what": "rows in the stores, which no key that exists opens", "until": None},
            {"what": "messages that the broker still holds: refused when they come", "until": None},
        ],
        "not_covered": NOT_COVERED,
    }


def requested(found: rows.Erasure) -> str:
    """When it was asked for, by its intent in the ledger: a recovery repeats the erasure and not the request."""
    return str(evidence_of(found).get("requested") or rfc3339(found.requested))


def named(line: Line) -> dict[str, Value]:
    """A line of the ledger as a certificate names it."""
    return {"seq": line.seq, "hash": line.hash, "time": line.body["time"]}


def evidence_of(found: rows.Erasure) -> dict[str, Any]:
    """What the steps have found."""
    known: dict[str, Any] = json.loads(found.evidence or "{}")
    return known


def rfc3339(ns: int) -> str:
    """UTC, whole seconds."""
    return dt.datetime.fromtimestamp(ns // 10**9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _repeated(evidence: dict[str, Any]) -> dict[str, Any]:
    """The outcome that it had before, with a key store that was lost: there may be certificates of then, too."""
    return {name: said for name, said in evidence.items() if name == "repeated"}


def _residuals(found: rows.Erasure, keeps: list[dict[str, str]]) -> list[dict[str, str | None]]:
    letters = (found.effective or 0) + LETTERS_DAYS * DAY
    held = [f"the key of class {hold['class']}, for {hold['law']}" for hold in keeps]
    dated: list[dict[str, str | None]] = [
        {"what": "messages of these devices that the broker still holds: refused when they come", "until": None},
        {"what": "dead letters that could not be told to be this customer's", "until": rfc3339(letters)},
        {"what": "fences: who holds the fence secret can confirm a guessed id", "until": "a horizon later"},
    ]
    if _capture_lost(found):
        dated.append({"what": "rows in the stores and retained messages, whose names were lost", "until": None})
    dated += [{"what": what, "until": hold["until"]} for what, hold in zip(held, keeps, strict=True)]
    return dated


def _capture_lost(found: rows.Erasure) -> bool:
    """Whether what was to be deleted was given up as lost, so that nothing was."""
    return evidence_of(found).get("capture") == "lost"


def _copies(reports: list[rows.Wrapping]) -> list[dict[str, str | None]]:
    """What a custodian cannot speak for."""
    return [
        {"what": f"{report.residue}, of e = {report.e}", "until": f"made before {rfc3339(report.destroyed)}"}
        for report in reports
        if report.residue
    ]


def _hold(hold: rows.Hold) -> dict[str, str]:
    return {"key_id": hold.key_id.hex(), "class": hold.key_class, "until": rfc3339(hold.until), "law": hold.law}


def _ended(holds: list[rows.Hold]) -> list[dict[str, Any]]:
    """Legal holds that an exit has ended, before their dates or after: how many keys of each class, for each law."""
    each = {(hold.key_class, hold.law): hold.until for hold in holds}  # the last date, as they are in its order
    count = Counter((hold.key_class, hold.law) for hold in holds)
    return [
        {"class": name, "law": law, "keys": count[name, law], "until": rfc3339(until)}
        for (name, law), until in each.items()
    ]


def _report(report: rows.Wrapping) -> dict[str, Any]:
    destroyed = rfc3339(report.destroyed)
    return {"e": report.e, "custodian": report.custodian, "attested": bool(report.attested), "destroyed": destroyed}


def _write_once(place: Path, data: bytes) -> None:
    """Whole or not there; the first one stays. Raises OSError."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = place.with_name(f"{place.name}.{secrets.token_hex(8)}.new")
    try:
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            place.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)
    sync_directory(place.parent)
