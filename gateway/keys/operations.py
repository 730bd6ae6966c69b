"""Operations keys: the day's key for dead letters that belong to nobody known, and for the hashes they are found by.

Random, one a controller and UTC day, made by the control role before the day begins and destroyed a few days after it
(`control.operations`); the data plane never makes one. What is under it cannot be read from then on by anyone.
"""

from __future__ import annotations

from gateway.crypto import derive, envelope
from gateway.errors import Unreachable
from gateway.keys.handle import Redacted
from gateway.model.ids import Controller, DeviceId, KeyId


class NoOperationsKey(Unreachable):
    """There is no key for today's dead letters, so what would become one is not acknowledged."""

    hint = (
        "`glomska run` makes it as soon as key store and ledger can be written and a controller is enrolled; "
        "`glomska doctor` tells which of them is missing"
    )


class OperationsKey(Redacted):
    """O_day of one controller."""

    __slots__ = ("_secret", "controller", "day", "key_id")

    def __init__(self, secret: bytes, *, controller: Controller, day: int, key_id: KeyId) -> None:
        self._secret = secret
        self.controller = controller
        self.day = day
        self.key_id = key_id

    def seal(self, plaintext: bytes, *, letter: bytes) -> bytes:
        """One dead letter. `letter` is its id, 16 bytes."""
        return envelope.seal_letter(self._secret, plaintext, controller=self.controller, day=self.day, letter=letter)

    def open(self, sealed: bytes, *, letter: bytes) -> bytes:
        """Raises VerificationFailed when it was changed or moved."""
        return envelope.open_letter(self._secret, sealed, controller=self.controller, day=self.day, letter=letter)

    def dead_hash(self, controller: Controller, device: DeviceId) -> bytes:
        """By which an erasure finds a device's letters of this day; `controller` is the one that the topic names."""
        return derive.dead_hash(self._secret, controller=controller, device=device)
