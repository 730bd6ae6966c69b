"""What an erasure still has to delete once the keys are gone: gathered while they can still be opened.

    capture = JSON {"devices": [id …], "measurements": [class …], "pseudonyms": [P …], "key_ids": [hex …],
                    "dead": [hex …], "traces": [hex …]}, sealed under a purge key that goes when the capture goes

`traces` are the first 13 bytes (format and random nonce) of what was wrapped and sealed: not secret, and enough to
prove by a scan that the rows have left the key store's files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from gateway.errors import IntegrityStop, VerificationFailed
from gateway.keys.custodian import Custodian
from gateway.keys.lifecycle import KeyState
from gateway.keys.lineage import IDENTITY, Lineage
from gateway.keys.operations import OperationsKey
from gateway.keys.subject import Subject, find_devices, open_subject
from gateway.keystore import lineages, rows, subjects
from gateway.keystore.database import Transaction
from gateway.model.ids import DeviceId, Incarnation, KeyEpoch, epoch_of

_TRACE_BYTES = 13


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """See the module's grammar. Device ids are in it for messages that a broker retains; its repr shows nothing.

    They are of the devices that are this customer's to the end: what a broker retains of one that was handed over is
    another's.
    """

    devices: tuple[str, ...]
    measurements: tuple[str, ...]
    pseudonyms: tuple[str, ...]
    key_ids: tuple[str, ...]
    dead: tuple[str, ...]
    traces: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Capture of {len(self.pseudonyms)} pseudonyms>"

    def encode(self) -> bytes:
        """Bytes to seal."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, plain: bytes) -> Capture:
        """The capture of `encode`. Raises msgspec.ValidationError for what no version wrote."""
        return msgspec.json.decode(plain, type=cls)

    def trace_bytes(self) -> list[bytes]:
        """What must no longer be found in the key store's files."""
        return [bytes.fromhex(trace) for trace in self.traces]


def collect(  # noqa: PLR0913 - what there is to delete, and what stays
    tx: Transaction,
    subject: Subject,
    key_rows: Sequence[rows.Key],
    *,
    newest: int,
    operations: Sequence[OperationsKey],
    held: Collection[str] = (),
    devices: Sequence[DeviceId] | None = None,
) -> Capture:
    """Everything of a subject, up to event times of `newest` (ns): devices x classes x versions x live epochs.

    `operations` are the operations keys that letters of these devices may be under: see `letter_keys`. Not what is
    `held`: those classes stay. `devices` are named where no identity key knows them any more.
    """
    controller = next(key.controller for versions in subject.keys.values() for key in versions)
    theirs: Sequence[DeviceId] = ()
    if devices is None:
        owned = find_devices(tx, subject)
        devices = tuple(dict.fromkeys(one.device for one in owned))
        routes = subjects.routes_of(tx, subject.incarnation)
        gone = {route.route_id for route in routes if route.valid_to is not None and route.valid_to <= newest}
        theirs = tuple(dict.fromkeys(one.device for one in owned if one.route_id not in gone))
    key_rows = [row for row in key_rows if row.key_class not in held]
    classes = [name for name in subject.keys if name != IDENTITY and name not in held]
    last = epoch_of(newest)
    pseudonyms = [
        name
        for key_class in classes
        for key in subject.keys[key_class]
        for epoch in range(key.base, last + 1)
        for name in key.pseudonyms(devices, KeyEpoch(epoch))
    ]
    kinds = ("customer", "device", "choice", "held-device")
    records = [r.sealed for kind in kinds for r in _records(tx, subject, kind) if r.key_class not in held]
    wrapped = [row.wrapped for row in key_rows if row.wrapped is not None]
    return Capture(
        devices=tuple(theirs),
        measurements=tuple(classes),
        pseudonyms=tuple(pseudonyms),
        key_ids=tuple(row.key_id.hex() for row in key_rows),
        dead=tuple(key.dead_hash(controller, device).hex() for key in operations for device in devices),
        traces=tuple(trace(blob).hex() for blob in (*wrapped, *records)),
    )


def letter_keys(tx: Transaction, custodian: Custodian, lineage: Lineage) -> list[OperationsKey]:
    """Operations keys that letters of this controller's devices may be under.

    Also those of the controller that was there first: before this one was known, its devices' letters went there.
    """
    keys = lineage.operations_keys(tx)
    first = lineages.first_controller(tx)
    if first is not None and first != lineage.controller:
        owner = Lineage.load(tx, custodian, first)
        keys += [] if owner is None else owner.operations_keys(tx)
    return keys


def expired_series(
    tx: Transaction,
    lineage: Lineage,
    incarnation: Incarnation,
    key_rows: Sequence[rows.Key],
    horizons: Mapping[str, KeyEpoch],
) -> list[str]:
    """Pseudonyms of a customer's devices in epochs that lie before the horizon of their class.

    Held keys keep theirs, and keys that an erasure has begun on are in its own capture. Nothing is found with a key
    that does not open; the pass will put it into quarantine.
    """
    kept = (KeyState.DEACTIVATED, KeyState.ERASING, KeyState.DESTROYED)
    try:
        identity = [row for row in key_rows if row.key_class == IDENTITY and row.state != KeyState.DESTROYED]
        known = find_devices(tx, open_subject(lineage, incarnation, identity, to_end=True))
        devices = sorted({one.device for one in known})
        return [
            name
            for row in key_rows
            if row.state not in kept and row.base < horizons.get(row.key_class, 0)
            for key in (lineage.open_at_base(row),)
            for epoch in range(row.base, horizons[row.key_class])
            for name in key.pseudonyms(devices, KeyEpoch(epoch))
        ]
    except (VerificationFailed, IntegrityStop, KeyError):
        return []


def trace(blob: bytes) -> bytes:
    """What shows in a file that something wrapped or sealed is still in it."""
    return blob[:_TRACE_BYTES]


def _records(tx: Transaction, subject: Subject, kind: str) -> list[rows.Record]:
    return subjects.find_records(tx, [subject.incarnation], kind)
