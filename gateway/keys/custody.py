"""What holds W_e, the wrapping key of one KEK. Destroying W_e destroys KEK_e and every row under it, copies included.

A custodian makes, uses and destroys wrapping keys and never gives one out. `keys.keyfile` keeps them in files,
`keys.token` on a PKCS#11 token, `keys.recovery` in two places at once; `keys.custodian` opens the one that is
configured. Every call may be repeated: creating what exists and destroying what is absent change nothing.

    custodian.create(controller, 2)
    wrapped = custodian.wrap(controller, 2, kek)
    custodian.unwrap(controller, 2, wrapped)    # the same 32 bytes, for as long as W_2 exists
    custodian.destroy(controller, 1)            # says what it can answer for

Beside the keys lies a mark: how far the ledger had come when the key store last committed an act. It only moves
forward, so that a key store that was restored together with its ledger is behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from gateway.model.ids import Controller


@dataclass(frozen=True, slots=True, kw_only=True)
class Destruction:
    """What a custodian answers for, once W_e is gone. A W_e that was absent counts as destroyed.

    `kind` names the custodian, `attested` says whether it holds keys in a way that lets it speak for every copy, and
    `residue` is what may still hold one, in words for a certificate; empty when nothing is known.
    """

    kind: str
    attested: bool
    residue: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Sequence and hash (hexadecimal) of the newest intent whose transaction committed."""

    seq: int
    hash: str


class Custodian(Protocol):
    """Keeps wrapping keys and never gives one out.

    Every method raises CustodianFault when W_e or its keeper is not as it must be, and Unreachable when it does not
    answer now and may later.
    """

    kind: ClassVar[str]

    def create(self, controller: Controller, e: int) -> None:
        """Make W_e, durable when this returns; nothing happens when it exists."""

    def exists(self, controller: Controller, e: int) -> bool:
        """Whether W_e is there, whole or not."""

    def wrap(self, controller: Controller, e: int, kek: bytes) -> bytes:
        """KEK_e under W_e."""

    def unwrap(self, controller: Controller, e: int, wrapped: bytes) -> bytes:
        """KEK_e, 32 bytes. Raises CustodianFault when W_e is missing, readable by others, or not the right one."""

    def destroy(self, controller: Controller, e: int) -> Destruction:
        """Make W_e unrecoverable, as far as this custodian reaches, before this returns."""

    def mark(self, ledger: bytes) -> Mark | None:
        """The newest mark of the key store whose ledger has this id (16 bytes), or None before the first."""

    def set_mark(self, ledger: bytes, mark: Mark) -> None:
        """Move the mark forward, durable when this returns; one that is not ahead changes nothing."""
