"""One customer's keys and identity records, opened: device ids and choices about purposes.

Records of class `identity`, each a JSON object sealed under the customer's own identity key:

    customer  {"customer": id}
    device    {"device": id, "route": hex of the route id}
    choice    {"purpose": name, "granted": bool, "effective": ns}

Only `control.enrolment` writes them, and only `control.access` shows what is in them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.errors import KeyDestroyed, VerificationFailed
from gateway.keys.handle import SubjectKey
from gateway.keys.lifecycle import KeyState
from gateway.keys.lineage import IDENTITY, Lineage
from gateway.keystore import rows, subjects
from gateway.keystore.database import Transaction
from gateway.model.ids import DeviceId, Incarnation, RecordId, RouteId, new_id
from gateway.policy.consent import Choice

CUSTOMER = "customer"
DEVICE = "device"
CHOICE = "choice"
_DAMAGED = (
    "bring the row back from a backup made since the last turnover (`glomska keys restore`), then repeat; "
    "`glomska keys turnover` finds all such rows, and with --release-lost gives them up for ever"
)
_DAMAGED_RECORD = (
    "bring the row of table `records` back from a backup made since the last turnover (`glomska keys restore`), then "
    "repeat; until then what needs it is not done for this customer, and everything is for all others"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedDevice:
    """A device of one customer: its id, kept out of `repr`, and the route that leads to it."""

    device: DeviceId = field(repr=False)
    route_id: RouteId


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One incarnation's live keys by class, oldest version first; of a class in `lost` none is left."""

    incarnation: Incarnation
    keys: dict[str, tuple[SubjectKey, ...]]
    lost: frozenset[str] = frozenset()

    @property
    def identity(self) -> SubjectKey:
        """The key that the identity records are under."""
        return self.keys[IDENTITY][-1]

    def record(self, kind: str, body: dict[str, object]) -> rows.Record:
        """An identity record, sealed."""
        record_id = RecordId(new_id())
        key = self.identity
        return rows.Record(
            record_id=record_id,
            incarnation=self.incarnation,
            key_class=IDENTITY,
            version=key.version,
            epoch=0,
            kind=kind,
            sealed=key.seal_record(msgspec.json.encode(body), kind=kind, record_id=record_id),
        )

    def resealed(self, record: rows.Record, key: SubjectKey) -> rows.Record:
        """An identity record under another version of its key. Raises VerificationFailed."""
        sealed = key.seal_record(self.open_record(record), kind=record.kind, record_id=record.record_id)
        return dataclasses.replace(record, version=key.version, sealed=sealed)

    def devices(self, records: Iterable[rows.Record]) -> list[OwnedDevice]:
        """The devices in these records. Raises VerificationFailed."""
        opened = [self._open(r) for r in records]
        return [OwnedDevice(device=DeviceId(o["device"]), route_id=RouteId(bytes.fromhex(o["route"]))) for o in opened]

    def choices(self, records: Iterable[rows.Record]) -> list[Choice]:
        """What this customer said about purposes, in the order of the records. Raises VerificationFailed."""
        return [msgspec.convert(self._open(r), Choice) for r in records]

    def open_record(self, record: rows.Record) -> bytes:
        """What an identity record says: JSON. Raises VerificationFailed."""
        try:
            return self.identity.open_record(record.sealed, kind=record.kind, record_id=record.record_id)
        except VerificationFailed:
            message = f"this customer's record of kind {record.kind} does not open: it was changed, moved or damaged"
            raise VerificationFailed(message, hint=_DAMAGED_RECORD) from None

    def _open(self, record: rows.Record) -> dict[str, str]:
        decoded: dict[str, str] = msgspec.json.decode(self.open_record(record))
        return decoded


def open_subject(
    lineage: Lineage, incarnation: Incarnation, key_rows: Sequence[rows.Key], *, to_end: bool = False
) -> Subject:
    """Handles of all keys of one incarnation; `to_end` also of those that are suspended or held, for an erasure.

    A key that was given up as lost has none, and its customer goes on with the others.

    Raises KeyDestroyed, KeyMissing, Refused, VerificationFailed.
    """
    if not to_end and is_erased(key_rows):
        raise KeyDestroyed("this customer's key was destroyed")
    keys: dict[str, tuple[SubjectKey, ...]] = {}
    for row in key_rows:
        if row.state != KeyState.DESTROYED:
            try:
                opened = lineage.open_to_end(row) if to_end else lineage.open(row)
            except VerificationFailed as fault:
                message = f"this customer's key of class {row.key_class} does not open: {fault}"
                raise VerificationFailed(message, hint=_DAMAGED) from None
            keys[row.key_class] = (*keys.get(row.key_class, ()), opened)
    lost = frozenset(row.key_class for row in key_rows) - keys.keys()
    return Subject(incarnation=incarnation, keys=keys, lost=lost)


def minted_subject(incarnation: Incarnation, handles: dict[str, SubjectKey]) -> Subject:
    """The subject of keys that were minted just now."""
    return Subject(incarnation=incarnation, keys={name: (key,) for name, key in handles.items()})


def is_erased(key_rows: Sequence[rows.Key]) -> bool:
    """Whether an erasure of this incarnation has begun. A single class that was given up as lost is none."""
    identity = [row.state for row in key_rows if row.key_class == IDENTITY]
    erasing = any(row.state == KeyState.ERASING for row in key_rows)
    return erasing or (bool(identity) and all(state == KeyState.DESTROYED for state in identity))


def find_devices(tx: Transaction, subject: Subject) -> list[OwnedDevice]:
    """All devices of a subject, in a stable order. Raises VerificationFailed."""
    found = subject.devices(subjects.find_records(tx, [subject.incarnation], DEVICE))
    return sorted(found, key=lambda d: (d.device, d.route_id))


def find_choices(tx: Transaction, subject: Subject) -> list[Choice]:
    """All choices of a subject. Raises VerificationFailed."""
    return subject.choices(subjects.find_records(tx, [subject.incarnation], CHOICE))
