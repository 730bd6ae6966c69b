"""The key of the ledger changes: an act like any other, whose outcome the key before signs and so vouches for the next.

rotate(control, key)                # the new key is in use from the next line on, which it signs: a checkpoint
rotate(control, key, lost=True)     # the key before is gone: nobody vouches, and every verifier is told so
"""

from __future__ import annotations

from typing import Protocol

from gateway.control.chain import CHECKPOINT, ROTATE, Chain
from gateway.control.ledger import Ledger
from gateway.control.role import Control


class Rotates(Protocol):
    """The signing key, as its rotation needs it."""

    def prepare(self) -> str:
        """The key that comes next, durable; its public half. Raises CustodianFault."""

    def require(self, public: str) -> None:
        """Take it into use. Raises CustodianFault."""


def rotate(control: Control, signer: Rotates, *, lost: bool = False) -> str:
    """The new public key. Raises CustodianFault, IntegrityStop, Refused, Unreachable: the key before stays in use."""
    control.check()
    public = signer.prepare()
    with control.act(ROTATE, **({"lost": public} if lost else {})) as act:
        act.outcome |= {"key": public} | ({"lost": "yes"} if lost else {})
    signer.require(public)
    if not lost:  # else it has signed its own act
        with control.act(CHECKPOINT):  # that it is named proves nothing to who trusts it alone
            pass
    return public


def public_keys(ledger: Ledger) -> list[str]:
    """Every key that this ledger was ever signed with, oldest first. Raises IntegrityStop, VerificationFailed."""
    chain, found = Chain(), []
    with ledger.locked():
        for raw in ledger.lines():
            key = chain.follow(raw).next_key
            found += [key] if key else []
    return found
