"""One controller's keys, opened once: KEK_e, route and fence secrets, horizons. Mints, unwraps, and hashes identifiers.

A lineage is loaded by whoever has the custodian's W_e; without it there is no lineage, and nothing can be read, written
or looked up. Enrolment and rekey are the only callers of `mint`: the data path never makes a key.

While a turnover is under way there are two KEKs and two route secrets: rows open under the one they are wrapped under,
look-ups ask for the hashes under both, and everything new goes under the newest. A transaction that writes calls `hold`
first, so that the newest cannot change before it ends.
"""

from __future__ import annotations

import dataclasses
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping

from gateway.crypto import derive, envelope
from gateway.crypto.derive import KEY_BYTES, Kind
from gateway.crypto.envelope import RowKind, RowPlace
from gateway.crypto.secret import Secret
from gateway.errors import ConfigurationFault, IntegrityStop, KeyDestroyed, KeyMissing, Refused, VerificationFailed
from gateway.keys.custodian import Custodian, Destruction
from gateway.keys.handle import Redacted, SubjectKey
from gateway.keys.lifecycle import OPENS, KeyState
from gateway.keys.operations import OperationsKey
from gateway.keys.recovery import require_medium
from gateway.keys.rewrap import Rewrapping
from gateway.keystore import lineages, rows
from gateway.keystore.database import Transaction
from gateway.model.ids import Controller, Incarnation, KeyEpoch, KeyId, epoch_of, new_id

__all__ = ["IDENTITY", "Kind", "Lineage"]

IDENTITY = "identity"
Hasher = Callable[[Kind, str], bytes]
_PURGE_KEY = (
    "bring its row back from a backup made since the last turnover; `glomska keys turnover --release-lost` gives it up "
    "for ever: then that erasure ends without the rows that it was still to delete, and its certificate says so"
)
_SHARED = (
    "no turnover can give it up: put a backup made since the last turnover in the key store's place "
    "(`glomska keys restore`), then `glomska keys recover`"
)
_FENCE = "`glomska keys recover` brings it back from the fence file beside the ledger. Where that does not help, "


class Lineage(Redacted):
    """The unwrapped keys of one controller at its current e; lives as long as the process."""

    def __init__(self, controller: Controller, custodian: Custodian) -> None:
        self.controller = controller
        self.e = 0
        self.suspended = False
        self.horizons: dict[str, KeyEpoch] = {}
        self._custodian = custodian
        self._keks: dict[int, bytes] = {}
        self._opening: dict[int, envelope.Wrapping] = {}  # by e, for the many rows of customers
        self._places = envelope.CskPlaces(controller)
        self._routes: list[bytes] = []
        self._fences: list[tuple[int, bytes]] = []  # one a month, or several: see `fence_month`
        self._route_hashers: list[Hasher] = []
        self._fence_hashers: list[Hasher] = []

    @classmethod
    def create(
        cls, tx: Transaction, custodian: Custodian, controller: Controller, *, classes: Mapping[str, KeyEpoch], now: int
    ) -> Lineage:
        """A new controller at e = 1. `classes` gives each key class its horizon. Raises CustodianFault, Unreachable."""
        require_medium(tx, custodian)
        custodian.create(controller, 1)
        wrapped = custodian.wrap(controller, 1, secrets.token_bytes(KEY_BYTES))
        lineages.add_controller(tx, controller, wrapped_kek=wrapped, classes=classes, now=now)
        lineage = cls(controller, custodian)
        lineage.refresh(tx)
        lineage._add_secret(tx, RowKind.ROUTE, version=1, now=now)
        lineage.refresh(tx)
        return lineage

    @classmethod
    def load(cls, tx: Transaction, custodian: Custodian, controller: Controller) -> Lineage | None:
        """The lineage as the key store has it, or None for an unknown controller.

        Raises:
            CustodianFault: W_e is missing or wrong.
            KeyDestroyed: this controller has left, and its lineage is destroyed.
        """
        if lineages.current_e(tx, controller) is None:
            return None
        lineage = cls(controller, custodian)
        lineage.refresh(tx)
        return lineage

    @classmethod
    def mend_fences(
        cls, tx: Transaction, custodian: Custodian, controller: Controller, noted: Iterable[rows.Secret]
    ) -> int:
        """Put fence secrets of the fence file in the place of those that do not open; how many.

        A secret opens under its own id and month alone, so that none is taken for another. Raises CustodianFault.
        """
        lineage, mended = cls(controller, custodian), 0
        lineage._open_keks(tx)
        for row in lineage.fence_rows(tx):
            whole = [secret for secret in noted if secret.key_id == row.key_id and lineage._opens(secret)]
            if whole and not lineage._opens(row):
                lineages.delete_secret(tx, row.key_id)
                lineages.add_secret(tx, dataclasses.replace(whole[-1], created=row.created))
                mended += 1
        return mended

    def hold(self, tx: Transaction) -> None:
        """What this transaction writes is under an e that stays current until it ends. Raises as `load`."""
        lineages.pin_e(tx, self.controller)
        self.refresh(tx)

    def refresh(self, tx: Transaction) -> None:
        """Read again what can change: e, KEKs, route and fence secrets, horizons, suspension.

        Raises:
            CustodianFault: a new W cannot be used.
            KeyDestroyed: this controller has left.
            VerificationFailed: a row was moved or changed.
        """
        if lineages.has_left(tx, self.controller):
            message = "this controller has left: its keys were destroyed"
            raise KeyDestroyed(message, hint="nothing that was sealed for it can be read by anyone")
        self._open_keks(tx)
        self.e = lineages.current_e(tx, self.controller) or 0
        self._opening = {e: envelope.Wrapping(kek) for e, kek in self._keks.items()}
        self._routes = [self._shared(s) for s in lineages.find_secrets(tx, self.controller, RowKind.ROUTE)]
        self._fences = [(s.version, self._shared(s)) for s in self.fence_rows(tx)]
        self._route_hashers = [derive.route_hasher(r, controller=self.controller) for r in self._routes]
        self._fence_hashers = [derive.fence_hasher(f, controller=self.controller) for _month, f in self._fences]
        self.horizons = lineages.find_horizons(tx, self.controller)
        self.suspended = lineages.is_suspended(tx, self.controller)

    def _open_keks(self, tx: Transaction) -> None:
        wrapped, known = lineages.find_keks(tx, self.controller), self._keks
        self._keks = {
            e: known.get(e) or Secret(self._custodian.unwrap(self.controller, e, row)) for e, row in wrapped.items()
        }

    def turn(self, tx: Transaction, *, now: int) -> None:
        """Begin a pass: KEK_e+1 and R_e+1, under which everything new goes from here on. W_e+1 exists already."""
        following = self.e + 1
        wrapped = self._custodian.wrap(self.controller, following, secrets.token_bytes(KEY_BYTES))
        lineages.move_e(tx, self.controller, e=following, wrapped_kek=wrapped, now=now)
        self.refresh(tx)
        self._add_secret(tx, RowKind.ROUTE, version=following, now=now)
        self.refresh(tx)

    def rewrapping(self) -> Rewrapping:
        """What brings the rows of older e's under this one. After `hold`, for one page."""
        return Rewrapping(
            self.controller, self.e, keks=self._keks, route_secret=self._routes[-1], horizons=dict(self.horizons)
        )

    def require(self, classes: Iterable[str]) -> None:
        """Whether this lineage has a horizon for each of these key classes. Raises ConfigurationFault."""
        unknown = sorted(set(classes) - set(self.horizons))
        if unknown:
            message = f"policy.toml: key_classes: this key store was made without {', '.join(unknown)}"
            raise ConfigurationFault(message, hint="keep the key classes that the first enrolment was made with")

    def route_hashes(self, kind: Kind, name: str) -> list[bytes]:
        """The hashes a route may be found under; the newest, under which new routes are written, last."""
        return [hashed(kind, name) for hashed in self._route_hashers]

    def fence_hashes(self, kind: Kind, name: str) -> list[bytes]:
        """The hashes a fence may be found under, one for each fence secret."""
        return [hashed(kind, name) for hashed in self._fence_hashers]

    def fence_month(self, tx: Transaction, now: int, noted: Callable[[], Iterable[rows.Secret]] = tuple) -> int:
        """This month's fence secret, made with the first fence of the month; its month.

        `noted` gives those of the fence file. An erasure that was rolled back has left its own there, and that one goes
        on being the month's. Of a fence file of earlier versions a recovery may bring back several for a month.
        """
        month = epoch_of(now)
        if month not in dict(self._fences):
            left = [s for s in noted() if (s.controller, s.version) == (self.controller, month) and s.e in self._keks]
            if not any(self._keep_secret(tx, secret) for secret in reversed(left)):
                self._add_secret(tx, RowKind.FENCE, version=month, now=now)
            self.refresh(tx)
        return month

    def fence_hash(self, kind: Kind, name: str, *, month: int) -> bytes:
        """The hash of a fence under one month's newest secret. Raises KeyError for a month without one."""
        return derive.fence_hash(dict(self._fences)[month], controller=self.controller, kind=kind, name=name)

    def fence_rows(self, tx: Transaction) -> list[rows.Secret]:
        """The wrapped fence secrets, oldest first, which the fence file beside the ledger carries too."""
        return lineages.find_secrets(tx, self.controller, RowKind.FENCE)

    def mint(self, incarnation: Incarnation, classes: Iterable[str]) -> tuple[list[rows.Key], dict[str, SubjectKey]]:
        """New CSKs, one for each class, at the class's horizon: rows to store, and handles by class. After `hold`.

        Raises:
            ConfigurationFault: a class that this lineage has no horizon for.
        """
        classes = list(classes)
        self.require(classes)
        minted = {name: self.mint_version(incarnation, name, version=1, valid_from=0) for name in classes}
        return [row for row, _key in minted.values()], {name: key for name, (_row, key) in minted.items()}

    def mint_version(
        self, incarnation: Incarnation, name: str, *, version: int, valid_from: int, state: KeyState = KeyState.ACTIVE
    ) -> tuple[rows.Key, SubjectKey]:
        """One new CSK of a class, valid from an event time (ns) on. After `hold`."""
        csk, key_id, base = secrets.token_bytes(KEY_BYTES), KeyId(new_id()), self.horizons[name]
        place = self._csk_place(key_id, incarnation, name, version=version, base=base)
        row = rows.Key(
            key_id=key_id,
            incarnation=incarnation,
            controller=self.controller,
            key_class=name,
            version=version,
            base=base,
            e=self.e,
            wrapped=envelope.wrap(self._keks[self.e], csk, place),
            commitment=derive.commitment(csk, key_id=key_id, version=version, base=base),
            state=state,
            valid_from=valid_from,
        )
        return row, self._handle(row, csk, base=base)

    def open(self, row: rows.Key) -> SubjectKey:
        """A handle of a stored key, not reaching back beyond its class's horizon.

        Raises:
            KeyDestroyed: it was erased, or is being erased.
            Refused: its state, or its controller's, does not let it open anything now.
            KeyMissing: it should be there and is not.
            VerificationFailed: the row was moved or changed.
        """
        if row.state in (KeyState.ERASING, KeyState.DESTROYED):
            message = "this customer's key was destroyed"
            raise KeyDestroyed(message)
        if self.suspended:
            message = "this controller, or the whole gateway, is suspended: its keys open nothing now"
            raise Refused(message, hint="`glomska keys status` tells since when; `glomska keys resume` ends it")
        if KeyState(row.state) not in OPENS:
            message = f"this customer's key is {row.state} and opens nothing now"
            raise Refused(message, hint="an operator can tell when it is resumed")
        return self.open_to_end(row)

    def open_to_end(self, row: rows.Key) -> SubjectKey:
        """The same for an erasure, which a suspension or a hold must not stop. Raises as `open`, but not Refused."""
        base = row.base if row.state == KeyState.DEACTIVATED else max(self.horizons[row.key_class], row.base)
        return self._handle(row, self._csk(row), base=base)

    def open_at_base(self, row: rows.Key) -> SubjectKey:
        """The same, reaching back to where the row stands: for the series that are about to expire, and for no more."""
        return self._handle(row, self._csk(row), base=row.base)

    def _csk(self, row: rows.Key) -> bytes:
        if row.wrapped is None:
            message = f"a key of class {row.key_class} is {row.state} but has no material"
            raise KeyMissing(message)
        self._kek_of(row.e)  # it may have been destroyed
        place = self._places.aad(row.key_id, row.incarnation, row.key_class, row.version, row.base)
        csk = self._opening[row.e].unwrap(row.wrapped, place)
        if derive.commitment(csk, key_id=row.key_id, version=row.version, base=row.base) != row.commitment:
            message = "a key does not match its commitment"
            raise IntegrityStop(message, hint="the key store was changed by something else; stop and investigate")
        return csk

    def add_operations_key(self, tx: Transaction, day: int, *, now: int) -> KeyId:
        """A key for the dead letters of one UTC day. For the control role; see `control.operations`."""
        return self._add_secret(tx, RowKind.OPERATIONS, version=day, now=now)

    def operations_keys(self, tx: Transaction, day: int | None = None) -> list[OperationsKey]:
        """Operations keys that live, oldest first; of one day when told. Raises VerificationFailed."""
        found = lineages.find_secrets(tx, self.controller, RowKind.OPERATIONS)
        return [self._operations_key(row) for row in found if day is None or row.version == day]

    def _operations_key(self, row: rows.Secret) -> OperationsKey:
        secret = self._unwrap(row)
        return OperationsKey(secret, controller=self.controller, day=row.version, key_id=row.key_id)

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

    def _handle(self, row: rows.Key, csk: bytes, *, base: int) -> SubjectKey:
        """Between a turnover's first step and its ratchet the stored base lies behind the horizon; no handle does."""
        return SubjectKey(
            derive.ratchet(csk, base - row.base),
            controller=self.controller,
            incarnation=row.incarnation,
            key_class=sys.intern(row.key_class),  # the same few for all who are in a worker's memory
            version=row.version,
            base=base,
            key_id=row.key_id,
            valid_from=row.valid_from,
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
        self.hold(tx)
        key_id, fresh = KeyId(new_id()), secrets.token_bytes(KEY_BYTES)
        secret = rows.Secret(
            key_id=key_id,
            controller=self.controller,
            kind=kind,
            version=version,
            e=self.e,
            wrapped=envelope.wrap(self._keks[self.e], fresh, self._secret_place(kind, key_id, version)),
            created=now,
        )
        lineages.add_secret(tx, secret)
        return key_id

    def _keep_secret(self, tx: Transaction, noted: rows.Secret) -> bool:
        """Take in one that stands outside the key store, under this e; False where it does not open."""
        self.hold(tx)
        place = self._secret_place(RowKind(noted.kind), noted.key_id, noted.version)
        try:
            wrapped = envelope.wrap(self._keks[self.e], self._unwrap(noted), place)
        except VerificationFailed:
            return False
        lineages.add_secret(tx, dataclasses.replace(noted, e=self.e, wrapped=wrapped))
        return True

    def _secret(self, tx: Transaction, key_id: KeyId) -> bytes:
        found = lineages.find_secret(tx, key_id)
        if found is None:
            message = "an erasure's purge key is missing"
            raise VerificationFailed(message, hint=_PURGE_KEY)
        return self._unwrap(found)

    def _shared(self, row: rows.Secret) -> bytes:
        """One that every look-up of this controller needs."""
        try:
            return self._unwrap(row)
        except VerificationFailed as fault:
            message = f"a controller's {row.kind} secret does not open, and nobody of it is found without: {fault}"
            raise VerificationFailed(message, hint=_FENCE * (row.kind == RowKind.FENCE) + _SHARED) from None

    def _opens(self, row: rows.Secret) -> bool:
        try:
            return bool(self._unwrap(row))
        except VerificationFailed:
            return False

    def _unwrap(self, row: rows.Secret) -> bytes:
        place = self._secret_place(RowKind(row.kind), row.key_id, row.version)
        return Secret(envelope.unwrap(self._kek_of(row.e), row.wrapped, place))

    def _secret_place(self, kind: RowKind, key_id: KeyId, version: int) -> RowPlace:
        return RowPlace(controller=self.controller, kind=kind, key_id=key_id, version=version)

    def _kek_of(self, e: int) -> bytes:
        try:
            return self._keks[e]
        except KeyError:
            message = "a row is under a key-encryption key that was destroyed"
            raise VerificationFailed(
                message, hint="it was brought back from an older copy; it cannot be opened"
            ) from None


def note_destroyed(tx: Transaction, controller: Controller, reports: Mapping[int, Destruction], *, now: int) -> None:
    """What the custodian said when it destroyed W's, by e: certificates are made of it."""
    for e, report in reports.items():
        wrapping = rows.Wrapping(
            controller=controller,
            e=e,
            custodian=report.kind,
            attested=int(report.attested),
            residue=report.residue,
            destroyed=now,
        )
        lineages.add_wrapping(tx, wrapping)
