"""Dead letters, sealed and opened: whose key each is under.

    sealer = LetterSealer(ring, parse=topics.parse)
    letter = sealer.seal(topic, device, Reason.RANGE, arrived, plaintext)      # within ring.using()
    plain = open_letters(ring, letters)                                        # within ring.using()

A letter of an enrolled device is a record of kind `dead-letter` under that customer's key of the first class of
readings, of the month in which it arrived; so it goes when the customer is erased, and waits where they are suspended.
Every other letter is under the day's operations key: of the controller that the topic names, and where this key store
has no such controller, or the topic names none, of the controller that was there first, since whose gateway it is
answers for what nobody else does. Where there is none either, nothing is kept, and so nothing is acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from gateway.errors import CustodianFault, GlomskaError, KeyDestroyed, KeyMissing, Refused, Unreachable
from gateway.keys.handle import Device, SubjectKey
from gateway.keys.lineage import Lineage
from gateway.keystore import rows, subjects
from gateway.keystore.database import Transaction
from gateway.model.dead import DeadLetter, LetterKind, day_of
from gateway.model.ids import Controller, DeviceId, KeyId, RecordId, epoch_of, new_id
from gateway.model.sealed import Reason

if TYPE_CHECKING:
    from gateway.keys.ring import Ring

RECORD = "dead-letter"
SPARED_S = 10.0
Parse = Callable[[str], tuple[Controller, DeviceId] | None]


class LetterSealer:
    """Seals what was refused, with the keys of one ring."""

    def __init__(self, ring: Ring, *, parse: Parse) -> None:
        self._ring = ring
        self._parse = parse
        self._full: dict[KeyId, float] = {}
        self.unkept = 0

    def spare(self, key_ids: Collection[KeyId]) -> None:
        """For SPARED_S, seal nothing of a flood under these keys: it would find no room. `unkept` counts that."""
        now = time.monotonic()
        self._full = {key_id: end for key_id, end in self._full.items() if end > now}
        self._full |= dict.fromkeys(key_ids, now + SPARED_S)

    def _spared(self, key_id: KeyId, reason: Reason) -> bool:
        if reason is not Reason.RATE or not self._full or self._full.get(key_id, 0.0) < time.monotonic():
            return False
        self.unkept += 1
        return True

    def seal(
        self, topic: str, device: Device | Reason, reason: Reason, arrived: int, plaintext: bytes
    ) -> DeadLetter | None:
        """One letter; None where it is not kept: its customer is erased, or see `spare`. `arrived`: wall time, ns.

        Raises:
            NoOperationsKey, GenerationMoved, Unreachable: it cannot be kept now.
        """
        key = device.letter_key(arrived) if isinstance(device, Device) else None
        if key is Reason.ERASED:
            return None
        if isinstance(key, SubjectKey) and epoch_of(arrived) >= key.base:
            if self._spared(key.key_id, reason):
                return None
            return _of_customer(key, reason, arrived, plaintext)
        return self._of_nobody(topic, reason, arrived, plaintext)

    def _of_nobody(self, topic: str, reason: Reason, arrived: int, plaintext: bytes) -> DeadLetter | None:
        named = self._parse(topic)
        key = self._ring.operations_key(None if named is None else named[0], day_of(arrived))
        if self._spared(key.key_id, reason):
            return None
        letter_id = new_id()
        return DeadLetter(
            letter_id=letter_id,
            kind=LetterKind.UNATTRIBUTED,
            reason=reason,
            arrived=arrived,
            controller=key.controller,
            key_id=key.key_id,
            dead=b"" if named is None else key.dead_hash(*named),
            sealed=key.seal(plaintext, letter=letter_id),
        )


def _of_customer(key: SubjectKey, reason: Reason, arrived: int, plaintext: bytes) -> DeadLetter:
    letter_id = new_id()
    sealed = key.seal_record(plaintext, kind=RECORD, record_id=RecordId(letter_id), epoch=epoch_of(arrived))
    return DeadLetter(
        letter_id=letter_id,
        kind=LetterKind.MESSAGE,
        reason=reason,
        arrived=arrived,
        controller=key.controller,
        key_id=key.key_id,
        sealed=sealed,
    )


def open_letters(ring: Ring, letters: Sequence[DeadLetter]) -> list[bytes | GlomskaError]:
    """The plaintext of each message, or why it does not open now. Within `ring.using()`.

    Raises:
        GenerationMoved, CustodianFault, Unreachable: none of them was opened.
    """
    with ring.current() as tx:
        found = subjects.find_keys_by_id(tx, {letter.key_id for letter in letters})
        return [_opened(ring, tx, found.get(letter.key_id), letter) for letter in letters]


def _opened(ring: Ring, tx: Transaction, row: rows.Key | None, letter: DeadLetter) -> bytes | GlomskaError:
    try:
        return open_letter(tx, ring.lineage(tx, Controller(letter.controller)), row, letter)
    except (CustodianFault, Unreachable):
        raise
    except GlomskaError as fault:
        return fault


def open_letter(tx: Transaction, lineage: Lineage | None, row: rows.Key | None, letter: DeadLetter) -> bytes:
    """The plaintext of a message. `row` is the key it is under, None of one under an operations key.

    Raises:
        KeyDestroyed: its key is gone: the customer was erased, or the day's key has had its days.
        KeyMissing: the key store has never heard of its key.
        Refused: the customer is suspended.
        VerificationFailed: it was changed or moved.
    """
    if lineage is not None and row is not None:
        key = lineage.open(row)
        record_id = RecordId(letter.letter_id)
        return key.open_record(letter.sealed, kind=RECORD, record_id=record_id, epoch=epoch_of(letter.arrived))
    if letter.kind is LetterKind.MESSAGE:
        raise KeyMissing("the key store knows nothing of the key of this dead letter")
    days = [] if lineage is None else lineage.operations_keys(tx, day_of(letter.arrived))
    if lineage is not None and lineage.suspended:
        raise Refused("this controller, or the whole gateway, is suspended: its keys open nothing now")
    for operations in days:
        if operations.key_id == letter.key_id:
            return operations.open(letter.sealed, letter=letter.letter_id)
    raise KeyDestroyed("the key of this dead letter is gone", hint="letters of nobody known are kept for a few days")
