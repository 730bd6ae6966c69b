"""The access log: who was looked at, when, for what, and how much was handed out. A hash chain in the key store.

    entry hash = SHA-256(previous hash, RFC 8785 form of {"at", "purpose", "incarnation", "starts", "ends", "readings"})

The ledger's intents carry its head, so that entries before the newest act cannot be removed unnoticed.
"""

from __future__ import annotations

from hashlib import sha256

import rfc8785

from gateway.keystore import acts
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, Incarnation


def log_access(  # noqa: PLR0913 - the parts of an entry
    tx: Transaction,
    *,
    at: int,
    purpose: str,
    controller: Controller,
    incarnation: Incarnation,
    starts: int,
    ends: int,
    readings: int,
) -> None:
    """One entry, before anything is handed out. `at` in ns; `starts` and `ends` are event times in ns."""
    entry: dict[str, str | int] = {
        "at": str(at),
        "purpose": purpose,
        "incarnation": incarnation.hex(),
        "starts": str(starts),
        "ends": str(ends),
        "readings": readings,
    }
    acts.add_access(
        tx,
        at=at,
        purpose=purpose,
        controller=controller,
        incarnation=incarnation,
        starts=starts,
        ends=ends,
        readings=readings,
        entry_hash=sha256(acts.access_head(tx) + rfc8785.dumps(entry)).digest(),
    )
