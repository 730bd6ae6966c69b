"""One controller's keys, opened once: KEK_e, route and fence secrets, horizons. Mints, unwraps, and hashes identifiers.

A lineage is loaded by whoever has the custodian's W_e; without it there is no lineage, and nothing can be read, written
or looked up. Enrolment is the only caller of `mint`: the data path never makes a key.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from gateway.crypto import derive, envelope
from gateway.crypto.derive import KEY_BYTES, Kind
from gateway.crypto.envelope import RowKind, RowPlace
from gateway.errors import ConfigurationFault, IntegrityStop, KeyDestroyed, KeyMissing, Refused
from gateway.keys.custodian import Custodian
from gateway.keys.handle import Redacted, SubjectKey
from gateway.keys.lifecycle import OPENS, KeyState
from gateway.keystore import lineages, rows
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, Incarnation, KeyEpoch, KeyId, epoch_of, new_id

__all__ = ["IDENTITY", "Kind", "Lineage"]

IDENTITY = "identity"


class Lineage(Redacted):
    """The unwrapped keys of one controller at its current e; lives as long as the process."""

    def __init__(self, controller: Controller, e: int, kek: bytes) -> None:
        self.controller = controller
        self.e = e
        self._kek = kek
        self._routes: list[bytes] = []
        self._fences: dict[int, bytes] = {}
        self.horizons: dict[str, KeyEpoch] = {}

    @classmethod
    def create(
        cls, tx: Transaction, custodian: Custodian, controller: Controller, *, classes: Mapping[str, KeyEpoch], now: int
    ) -> Lineage:
        """A new controller at e = 1. `classes` gives each key class its horizon. Raises CustodianFault."""
        custodian.create(controller, 1)
        kek = secrets.token_bytes(KEY_BYTES)
        wrapped = custodian.wrap(controller, 1, kek)
        lineages.add_controller(tx, controller, wrapped_kek=wrapped, classes=classes, now=now)
        lineage = cls(controller, 1, kek)
        lineage._add_secret(tx, RowKind.ROUTE, version=1, now=now)
        lineage.refresh(tx)
        return lineage

    @classmethod
    def load(cls, tx: Transaction, custodian: Custodian, controller: Controller) -> Lineage | None:
        """The lineage as the key store has it, or None for an unknown controller. Raises CustodianFault."""
        found = lineages.current_kek(tx, controller)
        if found is None:
            return None
        e, wrapped = found
        lineage = cls(controller, e, custodian.unwrap(controller, e, wrapped))
        lineage.refresh(tx)
        return lineage

    def refresh(self, tx: Transaction) -> None:
        """Read again what can change within one e: fence secrets and horizons. Raises VerificationFailed."""
        self._routes = [self._unwrap(s) for s in lineages.find_secrets(tx, self.controller, RowKind.ROUTE)]
        self._fences = {s.version: self._unwrap(s) for s in lineages.find_secrets(tx, self.controller, RowKind.FENCE)}
        self.horizons = lineages.find_horizons(tx, self.controller)

    def require(self, classes: Iterable[str]) -> None:
        """Whether this lineage has a horizon for each of these key classes. Raises ConfigurationFault."""
        unknown = sorted(set(classes) - set(self.horizons))
        if unknown:
            message = f"policy.toml: key_classes: this key store was made without {', '.join(unknown)}"
            raise ConfigurationFault(message, hint="keep the key classes that the first enrolment was made with")

    def route_hashes(self, kind: Kind, name: str) -> list[bytes]:
        """The hashes a route may be found under; the newest, under which new routes are written, last."""
        return [derive.route_hash(r, controller=self.controller, kind=kind, name=name) for r in self._routes]

    def fence_hashes(self, kind: Kind, name: str) -> list[bytes]:
        """The hashes a fence may be found under, one for each month with fences."""
        return [derive.fence_hash(f, controller=self.controller, kind=kind, name=name) for f in self._fences.values()]

    def fence_month(self, tx: Transaction, now: int) -> int:
        """This month's fence secret, made with the first fence of the month; its month."""
        month = epoch_of(now)
        if month not in self._fences:
            self._add_secret(tx, RowKind.FENCE, version=month, now=now)
            self.refresh(tx)
        return month

    def fence_hash(self, kind: Kind, name: str, *, month: int) -> bytes:
        """The hash of a fence under one month's secret."""
        return derive.fence_hash(self._fences[month], controller=self.controller, kind=kind, name=name)

    def fence_rows(self, tx: Transaction) -> list[rows.Secret]:
        """The wrapped fence secrets, which the fence file beside the ledger carries too."""
        return lineages.find_secrets(tx, self.controller, RowKind.FENCE)

    def mint(self, incarnation: Incarnation, classes: Iterable[str]) -> tuple[list[rows.Key], dict[str, SubjectKey]]:
        """New CSKs, one for each class, at the class's horizon: rows to store, and handles by class.

        Raises:
            ConfigurationFault: a class that this lineage has no horizon for.
        """
        classes = list(classes)
        self.require(classes)
        minted: list[rows.Key] = []
        handles: dict[str, SubjectKey] = {}
        for name in classes:
            csk, key_id, base = secrets.token_bytes(KEY_BYTES), KeyId(new_id()), self.horizons[name]
            place = self._csk_place(key_id, incarnation, name, version=1, base=base)
            row = rows.Key(
                key_id=key_id,
                incarnation=incarnation,
                controller=self.controller,
                key_class=name,
                version=1,
                base=base,
                e=self.e,
                wrapped=envelope.wrap(self._kek, csk, place),
                commitment=derive.commitment(csk, key_id=key_id, version=1, base=base),
                state=KeyState.ACTIVE,
                valid_from=0,
            )
            minted.append(row)
            handles[name] = self._handle(row, csk)
        return minted, handles

    def open(self, row: rows.Key) -> SubjectKey:
        """A handle of a stored key.

        Raises:
            KeyDestroyed: it was erased, or is being erased.
            Refused: its state does not let it open anything now.
            KeyMissing: it should be there and is not.
            VerificationFailed: the row was moved or changed.
        """
        if row.state in (KeyState.ERASING, KeyState.DESTROYED):
            message = "this customer's key was destroyed"
            raise KeyDestroyed(message)
        if KeyState(row.state) not in OPENS:
            message = f"this customer's key is {row.state} and opens nothing now"
            raise Refused(message, hint="an operator can tell when it is resumed")
        if row.wrapped is None:
            message = f"a key of class {row.key_class} is {row.state} but has no material"
            raise KeyMissing(message)
        place = self._csk_place(row.key_id, row.incarnation, row.key_class, version=row.version, base=row.base)
        csk = envelope.unwrap(self._kek, row.wrapped, place)
        if derive.commitment(csk, key_id=row.key_id, version=row.version, base=row.base) != row.commitment:
            message = "a key does not match its commitment"
            raise IntegrityStop(message, hint="the key store was changed by something else; stop and investigate")
        return self._handle(row, csk)

    def add_purge_key(self, tx: Transaction, *, now: int) -> KeyId:
        """A key for one erasure's capture; deleted with it."""
        return self._add_secret(tx, RowKind.PURGE, version=0, now=now)

    def seal_capture(self, tx: Transaction, purge_key: KeyId, plaintext: bytes, *, erasure: bytes) -> bytes:
        """What an erasure still has to delete, under its purge key."""
        key = self._secret(tx, purge_key)
        return envelope.seal_capture(key, plaintext, controller=self.controller, erasure=erasure)

    def open_capture(self, tx: Transaction, purge_key: KeyId, sealed: bytes, *, erasure: bytes) -> bytes:
        """Raises VerificationFailed."""
        key = self._secret(tx, purge_key)
        return envelope.open_capture(key, sealed, controller=self.controller, erasure=erasure)

    def _handle(self, row: rows.Key, csk: bytes) -> SubjectKey:
        return SubjectKey(
            csk,
            controller=self.controller,
            incarnation=row.incarnation,
            key_class=row.key_class,
            version=row.version,
            base=row.base,
            key_id=row.key_id,
        )

    def _csk_place(self, key_id: KeyId, incarnation: Incarnation, name: str, *, version: int, base: int) -> RowPlace:
        return RowPlace(
            controller=self.controller,
            kind=RowKind.CSK,
            key_id=key_id,
            version=version,
            incarnation=incarnation,
            key_class=name,
            base=base,
        )

    def _add_secret(self, tx: Transaction, kind: RowKind, *, version: int, now: int) -> KeyId:
        key_id = KeyId(new_id())
        place = RowPlace(controller=self.controller, kind=kind, key_id=key_id, version=version)
        wrapped = envelope.wrap(self._kek, secrets.token_bytes(KEY_BYTES), place)
        secret = rows.Secret(
            key_id=key_id,
            controller=self.controller,
            kind=kind,
            version=version,
            e=self.e,
            wrapped=wrapped,
            created=now,
        )
        lineages.add_secret(tx, secret)
        return key_id

    def _secret(self, tx: Transaction, key_id: KeyId) -> bytes:
        found = lineages.find_secret(tx, key_id)
        if found is None:
            message = "an erasure's purge key is missing"
            raise KeyMissing(message)
        return self._unwrap(found)

    def _unwrap(self, row: rows.Secret) -> bytes:
        place = RowPlace(controller=self.controller, kind=RowKind(row.kind), key_id=row.key_id, version=row.version)
        return envelope.unwrap(self._kek, row.wrapped, place)
