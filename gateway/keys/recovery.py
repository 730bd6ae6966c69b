"""Two custodians that hold every KEK: the second is for the day on which the first is lost.

    KEK row = u8(3) LP(row of the first) LP(row of the second)

Each opens its own part, alone too: on that day `keys.custodian` is given what `keys.recovery` named, and nothing else
changes. Until then only the first is asked to unwrap. A key is destroyed when both have destroyed theirs, so both must
be reachable for that, as they must be to make one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar

from gateway.crypto import envelope
from gateway.errors import CustodianFault, Unreachable
from gateway.keys.custody import Custodian, Destruction, Mark
from gateway.keystore import lineages
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller

_HINT = "; should it be lost, give keys.custodian what keys.recovery names, and leave that out"


class PairedCustodian:
    """Everything is done with `first`, then with `second`."""

    kind: ClassVar[str] = "pair"

    def __init__(self, first: Custodian, second: Custodian) -> None:
        self._first, self._second = first, second
        self.both = (first, second)

    def create(self, controller: Controller, e: int) -> None:
        """Make both keys. Raises CustodianFault, Unreachable."""
        for custodian in self.both:
            custodian.create(controller, e)

    def exists(self, controller: Controller, e: int) -> bool:
        """Whether one of them has its key. Raises CustodianFault, Unreachable."""
        return any(custodian.exists(controller, e) for custodian in self.both)

    def wrap(self, controller: Controller, e: int, kek: bytes) -> bytes:
        """KEK_e under both. Raises CustodianFault, Unreachable."""
        return envelope.joined_kek([custodian.wrap(controller, e, kek) for custodian in self.both])

    def unwrap(self, controller: Controller, e: int, wrapped: bytes) -> bytes:
        """KEK_e, by the first. Raises CustodianFault, Unreachable."""
        with _first_is_lost():
            return self._first.unwrap(controller, e, wrapped)

    def destroy(self, controller: Controller, e: int) -> Destruction:
        """Destroy both. Raises CustodianFault, Unreachable; what was done stands, and is repeated."""
        told = [custodian.destroy(controller, e) for custodian in self.both]
        return Destruction(
            kind=" and ".join(each.kind for each in told),
            attested=all(each.attested for each in told),
            residue="; ".join(dict.fromkeys(each.residue for each in told if each.residue)),
        )

    def mark(self, ledger: bytes) -> Mark | None:
        """The newer of both. Raises CustodianFault, Unreachable."""
        with _first_is_lost():
            first = self._first.mark(ledger)
        marks = [mark for mark in (first, self._second.mark(ledger)) if mark is not None]
        return max(marks, key=lambda mark: mark.seq, default=None)

    def set_mark(self, ledger: bytes, mark: Mark) -> None:
        """Move both. Raises CustodianFault, Unreachable."""
        for custodian in self.both:
            custodian.set_mark(ledger, mark)


def keepers(custodian: Custodian) -> tuple[Custodian, ...]:
    """Each of those that keep keys: of two, one may be away while the other answers."""
    return custodian.both if isinstance(custodian, PairedCustodian) else (custodian,)


def require_at_hand(custodian: Custodian, controller: Controller, e: int, wrapped: bytes) -> None:
    """That each of those which the KEK row `wrapped` is under has its W_e.

    An empty mount point would make new keys, and report the older ones destroyed that lie on the medium.

    Raises:
        CustodianFault: one has not.
        Unreachable.
    """
    for keeper in keepers(custodian) if envelope.is_joined(wrapped) else keepers(custodian)[:1]:
        if not keeper.exists(controller, e):
            message = "a custodian does not have the newest wrapping key: its medium may be away"
            raise CustodianFault(message, hint="mount or connect it, then repeat; nothing was destroyed")


def require_medium(tx: Transaction, custodian: Custodian) -> None:
    """That each of them has a controller's newest W, if the key store says that it should: before one makes another.

    In an empty mount point a key would be made that the medium hides when it is back. One key that is there will do:
    another may be lost. The custodian of a key store without controllers is at its first use.

    Raises:
        CustodianFault: one has none.
        Unreachable.
    """
    newest = lineages.newest_keks(tx)
    for keeper in keepers(custodian):
        both = keeper is not keepers(custodian)[0]
        theirs = [(whose, e) for whose, e, wrapped in newest if envelope.is_joined(wrapped) or not both]
        if theirs and not any(keeper.exists(whose, e) for whose, e in theirs):
            message = "a custodian has no controller's newest wrapping key: its medium may be away"
            raise CustodianFault(message, hint="mount or connect it, then repeat; nothing was made there")


@contextlib.contextmanager
def _first_is_lost() -> Iterator[None]:
    """A fault of the first says what the second is for."""
    try:
        yield
    except (CustodianFault, Unreachable) as fault:
        fault.hint += _HINT
        raise
