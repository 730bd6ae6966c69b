"""What a law keeps of an erased customer: the key of a class, and under it the ids of the devices it is about.

    held-device  {"device": id}, of the held class, sealed at the month of the erasure

The ids are there for one purpose: to find, when the hold ends, what is still stored under that key.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.keys.subject import Subject, find_devices
from gateway.keystore import rows, subjects
from gateway.keystore.database import Transaction
from gateway.model.ids import DeviceId, KeyEpoch, RecordId, new_id

HELD_DEVICE = "held-device"


def reseal_devices(tx: Transaction, subject: Subject, classes: Iterable[str], *, epoch: KeyEpoch) -> list[rows.Record]:
    """Device ids under the newest key of each held class. Raises VerificationFailed."""
    devices = sorted({owned.device for owned in find_devices(tx, subject)})
    return [_record(subject, name, device, epoch) for name in classes for device in devices]


def held_devices(tx: Transaction, subject: Subject) -> list[DeviceId]:
    """The device ids of `reseal_devices`, by a subject of held keys alone. Raises VerificationFailed."""
    found = []
    for record in subjects.find_records(tx, [subject.incarnation], HELD_DEVICE):
        for key in subject.keys.get(record.key_class, ()):
            if key.version == record.version:
                epoch = KeyEpoch(record.epoch)
                plain = key.open_record(record.sealed, kind=record.kind, record_id=record.record_id, epoch=epoch)
                found.append(DeviceId(msgspec.json.decode(plain)["device"]))
    return sorted(set(found))


def _record(subject: Subject, key_class: str, device: DeviceId, epoch: KeyEpoch) -> rows.Record:
    record_id, key = RecordId(new_id()), subject.keys[key_class][-1]
    at = KeyEpoch(max(epoch, key.base))
    plain = msgspec.json.encode({"device": device})
    return rows.Record(
        record_id=record_id,
        incarnation=subject.incarnation,
        key_class=key_class,
        version=key.version,
        epoch=at,
        kind=HELD_DEVICE,
        sealed=key.seal_record(plain, kind=HELD_DEVICE, record_id=record_id, epoch=at),
    )
